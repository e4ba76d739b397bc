//! The specification: one lane, one layer, one plane, one word at a time.

use std::ops::Range;

use super::{BlockQuery, Blocks, LANES, Sink};

/// Scores one block.
pub(super) fn score(blocks: &Blocks, query: &BlockQuery, block: usize) -> [f32; LANES] {
    std::array::from_fn(|lane| lane_score(blocks, query, block, lane))
}

fn lane_score(blocks: &Blocks, query: &BlockQuery, block: usize, lane: usize) -> f32 {
    let (mut rows, scalers) = blocks.block(block);
    let mut planes = query.words();
    let mut terms = Vec::with_capacity(scalers.len());
    for (layer, &width) in blocks.shape().widths().iter().enumerate() {
        let words = width.div_ceil(32) as usize;
        let (row, other_layers) = rows.split_at(words);
        let (layer_planes, other_planes) = planes.split_at(words * query.planes());
        let mut inner = 0;
        for plane in layer_planes.chunks_exact(words) {
            let differing: u32 = plane.iter().zip(row).map(|(query, item)| (query ^ item.0[lane]).count_ones()).sum();
            // Horner's rule over the planes, the most significant first.
            inner = 2 * inner + (width as i32 - 2 * differing as i32);
        }
        terms.push((scalers[layer].0[lane], query.factors()[layer], inner));
        (rows, planes) = (other_layers, other_planes);
    }
    let mut score = 0.0;
    for (alpha, factor, inner) in terms.into_iter().rev() {
        score += alpha * (factor * inner as f32);
    }
    score
}

/// [`super::Kernel::scan`], without preconditions beyond its own.
pub(super) fn scan(blocks: &Blocks, query: &BlockQuery, range: Range<usize>, mut threshold: f32, sink: &mut Sink<'_>) {
    for block in range {
        let scores = score(blocks, query, block);
        let reached = (0..LANES).fold(0, |mask, lane| mask | (u16::from(scores[lane] >= threshold) << lane));
        if reached != 0 {
            threshold = sink(block, reached, &scores);
        }
    }
}
