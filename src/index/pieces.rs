//! Codes of one layer, read a piece at a time: what promises most first, then all others as far as it takes to tell that they do not reach the list.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::buckets::Buckets;
use super::nodes::majority;
use super::probe::Probe;
use crate::code::{CodeError, LayeredCodes};
use crate::kernel::popcount::{LANES, PIECE, Pieces};

/// Codes of fewer pieces are hardly read faster.
const LEAST: usize = 2;

/// Codes that are scored first for every row that is wanted, and at least: what they find is most of the list, and the threshold hardly rises after them.
const FIRST: (u64, u64) = (24, 512);

/// How many codes are scored first for a list of `k`.
pub(super) fn first(k: u64) -> u64 {
    k.saturating_mul(FIRST.0).max(FIRST.1)
}

/// Bits of a word of codes.
const WORD: u32 = u64::BITS;

/// The pieces of `items`, which are in the order of storage and of one layer; `None` where their codes are too short. O(n x words), parallel.
///
/// # Errors
/// None that valid codes give.
pub(super) fn build(items: &LayeredCodes) -> Result<Option<Pieces>, CodeError> {
    let &[width] = items.shape().widths() else { return Ok(None) };
    if Pieces::count(width) < LEAST {
        return Ok(None);
    }
    let blocks = (0..items.len().div_ceil(LANES)).into_par_iter();
    let centres: Vec<Centre> =
        blocks.map(|block| Centre::of(items, block * LANES..items.len().min((block + 1) * LANES))).collect();
    let words = centres.iter().flat_map(|centre| centre.words.iter().copied()).collect();
    let scalers = centres.iter().map(|centre| centre.scaler).collect();
    let radii: Vec<u32> = centres.iter().flat_map(|centre| centre.radii.iter().copied()).collect();
    Pieces::new(&LayeredCodes::from_parts(Arc::clone(items.shape()), words, scalers)?, &radii).map(Some)
}

/// The centre of a block.
struct Centre {
    words: Vec<u64>,
    scaler: f32,
    /// From each piece on, the most bits that an item differs in.
    radii: Vec<u32>,
}

impl Centre {
    fn of(items: &LayeredCodes, rows: Range<usize>) -> Self {
        let words = majority(items, rows.clone());
        let pieces = words.chunks((PIECE / WORD) as usize);
        let mut centre = Self { radii: vec![0; pieces.len()], scaler: 0.0, words: Vec::new() };
        for row in rows.map(|row| items.row(row)) {
            centre.scaler = row.scalers[0].max(centre.scaler);
            let item = row.words.chunks((PIECE / WORD) as usize);
            let mut differing = 0;
            for ((radius, centre), item) in centre.radii.iter_mut().zip(pieces.clone()).zip(item).rev() {
                differing += centre.iter().zip(item).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
                *radius = differing.max(*radius);
            }
        }
        centre.words = words;
        centre
    }
}

/// Scores the codes that promise most, then a piece of every other block at a time while one of its items can still reach the list. The list is exact.
/// O(n x words) at worst.
pub(super) fn search(probe: &mut Probe<'_>, buckets: &Buckets, pieces: &Pieces) {
    let first = probe.limited(first(probe.top.k() as u64), |probe| buckets.search(probe));
    let mut done = vec![0u64; probe.linear.blocks().len().div_ceil(u64::BITS as usize)];
    for block in first {
        done[block as usize / 64] |= 1 << (block % 64);
    }
    probe.scan_pieces(pieces, &done);
}
