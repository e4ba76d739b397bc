//! The specification: one lane, one layer, one plane, one word at a time.

use std::ops::Range;

use super::source::Source;
use super::{LANES, LaneWords, Sink};

/// The exact inner product of one lane of one layer with the query's planes, `[plane][word]`.
pub(super) fn inner(rows: &[LaneWords], planes: &[u32], width: u32, lane: usize) -> i32 {
    // Horner's rule over the planes, the most significant first.
    planes.chunks_exact(rows.len()).fold(0, |inner, plane| {
        let differing: u32 = plane.iter().zip(rows).map(|(query, item)| (query ^ item.0[lane]).count_ones()).sum();
        2 * inner + (width as i32 - 2 * differing as i32)
    })
}

/// The terms `(alpha, c p)` summed as the score defines it: from `+0.0`, the last layer first, every operation rounded.
pub(super) fn sum(terms: &[(f32, f32)]) -> f32 {
    terms.iter().rev().fold(0.0, |sum, (alpha, product)| sum + alpha * product)
}

/// [`super::Kernel::scan`], without preconditions beyond its own.
pub(super) fn scan<S: Source>(
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    mut threshold: f32,
    sink: &mut Sink<'_>,
) {
    for block in range {
        let scores = source.reference(query, block);
        let reached = (0..LANES).fold(0, |mask, lane| mask | (u16::from(scores[lane] >= threshold) << lane));
        if reached != 0 {
            threshold = sink(block, reached, &scores);
        }
    }
}
