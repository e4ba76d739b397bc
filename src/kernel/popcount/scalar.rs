//! The specification: one lane, one layer, one plane, one word at a time.

use super::LANES;
use super::portable::Pass;
use super::source::{Bits, Source};

/// The exact inner product of one lane of one layer with the query's planes.
pub(super) fn inner(bits: &Bits<'_, 1, 1>, lane: usize) -> i32 {
    let ([rows], [query]) = (bits.rows, bits.queries);
    // Horner's rule over the planes, the most significant first.
    query.planes.chunks_exact(rows.len()).fold(0, |inner, plane| {
        let differing: u32 = plane.iter().zip(rows).map(|(query, item)| (query ^ item.get(lane)).count_ones()).sum();
        2 * inner + (bits.width as i32 - 2 * differing as i32)
    })
}

/// The terms `(alpha, c p)` summed as the score defines it: from `+0.0`, the last layer first, every operation rounded.
pub(super) fn sum(terms: &[(f32, f32)]) -> f32 {
    terms.iter().rev().fold(0.0, |sum, (alpha, product)| sum + alpha * product)
}

/// [`super::Kernel::scan_many`], without preconditions beyond its own.
pub(super) fn scan<S: Source>(pass: Pass<'_, S>) {
    let Pass { source, queries, blocks, thresholds, sink } = pass;
    for block in blocks.range().map(|at| blocks.get(at)) {
        for (query, (&prepared, threshold)) in queries.iter().zip(&mut *thresholds).enumerate() {
            let scores = source.reference(prepared, block);
            let reached = (0..LANES).fold(0, |mask, lane| mask | (u16::from(scores[lane] >= *threshold) << lane));
            if reached != 0 {
                *threshold = sink(query, block, reached, &scores);
            }
        }
    }
}
