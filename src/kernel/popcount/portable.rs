//! One loop for every instruction set: constant widths, lane inside, compiled by the callers under their `#[target_feature]`.
//!
//! Functions here are `#[inline(always)]`, so that they take on the features of the function they are inlined into.

use std::ops::Range;

use super::{BlockQuery, Blocks, LANES, LaneScalers, LaneWords, Sink};

/// The sums of 16 items while the layers are added up, and how bits are counted into them.
pub(super) trait Lanes: Copy {
    /// Shows that the processor has the instructions; whoever holds a value of the implementing type once held one.
    type Proof: Copy;

    /// Sixteen times `+0.0`.
    fn zero(proof: Self::Proof) -> Self;

    /// Adds `alpha (c p)` of one layer: `P` planes and `W` words a row, or as many as there are where `P` or `W` is 0.
    fn add_layer<const P: usize, const W: usize>(self, layer: &Layer<'_>) -> Self;

    /// The lanes with `score >= threshold`, lane 0 in bit 0.
    fn reached(self, threshold: f32) -> u16;

    /// The 16 scores.
    fn scores(self) -> [f32; LANES];
}

/// One layer of one block, and of the query.
pub(super) struct Layer<'a> {
    /// One element a 32-bit word.
    pub(super) rows: &'a [LaneWords],
    /// `[plane][word]`, the most significant plane first.
    pub(super) planes: &'a [u32],
    pub(super) width: u32,
    pub(super) factor: f32,
    pub(super) scalers: &'a LaneScalers,
}

/// [`super::Kernel::scan`] with planes and width constant where they are common ones.
#[inline(always)]
pub(super) fn scan<L: Lanes>(
    proof: L::Proof,
    blocks: &Blocks,
    query: &BlockQuery,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    match query.planes() {
        1 => scan_planes::<L, 1>(proof, blocks, query, range, threshold, sink),
        _ => scan_planes::<L, 0>(proof, blocks, query, range, threshold, sink),
    }
}

#[inline(always)]
fn scan_planes<L: Lanes, const P: usize>(
    proof: L::Proof,
    blocks: &Blocks,
    query: &BlockQuery,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    match blocks.shape().uniform() {
        Some(2) => scan_width::<L, P, 2>(proof, blocks, query, range, threshold, sink),
        Some(4) => scan_width::<L, P, 4>(proof, blocks, query, range, threshold, sink),
        Some(8) => scan_width::<L, P, 8>(proof, blocks, query, range, threshold, sink),
        Some(12) => scan_width::<L, P, 12>(proof, blocks, query, range, threshold, sink),
        Some(16) => scan_width::<L, P, 16>(proof, blocks, query, range, threshold, sink),
        Some(24) => scan_width::<L, P, 24>(proof, blocks, query, range, threshold, sink),
        _ => scan_width::<L, P, 0>(proof, blocks, query, range, threshold, sink),
    }
}

#[inline(always)]
fn scan_width<L: Lanes, const P: usize, const W: usize>(
    proof: L::Proof,
    blocks: &Blocks,
    query: &BlockQuery,
    range: Range<usize>,
    mut threshold: f32,
    sink: &mut Sink<'_>,
) {
    for block in range {
        let sums = score::<L, P, W>(proof, blocks, query, block);
        let reached = sums.reached(threshold);
        if reached != 0 {
            threshold = sink(block, reached, &sums.scores());
        }
    }
}

/// Scores one block, the last layer first.
#[inline(always)]
fn score<L: Lanes, const P: usize, const W: usize>(
    proof: L::Proof,
    blocks: &Blocks,
    query: &BlockQuery,
    block: usize,
) -> L {
    let (mut rows, scalers) = blocks.block(block);
    let mut planes = query.words();
    let count = if P == 0 { query.planes() } else { P };
    let mut sums = L::zero(proof);
    let layers = blocks.shape().widths().iter().zip(query.factors()).zip(scalers);
    for ((&width, &factor), scalers) in layers.rev() {
        let words = if W == 0 { width.div_ceil(32) as usize } else { W };
        let (other_rows, layer_rows) = rows.split_at(rows.len() - words);
        let (other_planes, layer_planes) = planes.split_at(planes.len() - words * count);
        sums = sums.add_layer::<P, W>(&Layer { rows: layer_rows, planes: layer_planes, width, factor, scalers });
        (rows, planes) = (other_rows, other_planes);
    }
    sums
}

/// Adds one layer's term to 16 sums, rounding every operation.
#[inline(always)]
fn add_term(mut sums: [f32; LANES], layer: &Layer<'_>, inner: [i32; LANES]) -> [f32; LANES] {
    for ((sum, alpha), inner) in sums.iter_mut().zip(layer.scalers.0).zip(inner) {
        *sum += alpha * (layer.factor * inner as f32);
    }
    sums
}

/// The planes of a layer, one where `P` is 1.
#[inline(always)]
pub(super) fn planes<const P: usize>(planes: &[u32], words: usize) -> impl Iterator<Item = &[u32]> {
    let count = if P == 0 { planes.len() / words } else { P };
    (0..count).map(move |plane| &planes[plane * words..][..words])
}

#[inline(always)]
fn reached(sums: [f32; LANES], threshold: f32) -> u16 {
    let mut mask = 0;
    for (lane, sum) in sums.into_iter().enumerate() {
        mask |= u16::from(sum >= threshold) << lane;
    }
    mask
}

/// Counts in 32-bit lanes: for instruction sets that count the bits of 32-bit words.
#[cfg(any(test, target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(super) struct Words([f32; LANES]);

#[cfg(any(test, target_arch = "x86_64"))]
impl Lanes for Words {
    type Proof = ();

    #[inline(always)]
    fn zero((): ()) -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    fn add_layer<const P: usize, const W: usize>(self, layer: &Layer<'_>) -> Self {
        let words = if W == 0 { layer.rows.len() } else { W };
        let rows = &layer.rows[..words];
        let mut inner = [0i32; LANES];
        for plane in planes::<P>(layer.planes, words) {
            let mut differing = [0u32; LANES];
            for (row, query) in rows.iter().zip(plane) {
                for (count, item) in differing.iter_mut().zip(row.0) {
                    *count += (item ^ query).count_ones();
                }
            }
            for (inner, count) in inner.iter_mut().zip(differing) {
                *inner = 2 * *inner + (layer.width as i32 - 2 * count as i32);
            }
        }
        Self(add_term(self.0, layer, inner))
    }

    #[inline(always)]
    fn reached(self, threshold: f32) -> u16 {
        reached(self.0, threshold)
    }

    #[inline(always)]
    fn scores(self) -> [f32; LANES] {
        self.0
    }
}

/// Words a byte can count before it is full: 8 bits each.
pub(super) const BYTE_WORDS: usize = 31;

/// Counts in bytes and widens at the end: for instruction sets that count the bits of bytes.
#[cfg(any(test, target_arch = "aarch64"))]
#[derive(Clone, Copy)]
pub(super) struct Bytes([f32; LANES]);

#[cfg(any(test, target_arch = "aarch64"))]
impl Lanes for Bytes {
    type Proof = ();

    #[inline(always)]
    fn zero((): ()) -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    fn add_layer<const P: usize, const W: usize>(self, layer: &Layer<'_>) -> Self {
        let words = if W == 0 { layer.rows.len() } else { W };
        let rows = &layer.rows[..words];
        let mut inner = [0i32; LANES];
        for plane in planes::<P>(layer.planes, words) {
            let mut differing = [0u32; LANES];
            for (rows, plane) in rows.chunks(BYTE_WORDS).zip(plane.chunks(BYTE_WORDS)) {
                let mut bytes = [0u8; 4 * LANES];
                for (row, &query) in rows.iter().zip(plane) {
                    let item: [u8; 4 * LANES] = bytemuck::cast(row.0);
                    let query: [u8; 4 * LANES] = bytemuck::cast([query; LANES]);
                    for ((count, item), query) in bytes.iter_mut().zip(item).zip(query) {
                        *count += (item ^ query).count_ones() as u8;
                    }
                }
                let words: [u32; LANES] = bytemuck::cast(bytes);
                for (count, bytes) in differing.iter_mut().zip(words) {
                    let pairs = (bytes & 0x00ff_00ff) + (bytes >> 8 & 0x00ff_00ff);
                    *count += (pairs & 0xffff) + (pairs >> 16);
                }
            }
            for (inner, count) in inner.iter_mut().zip(differing) {
                *inner = 2 * *inner + (layer.width as i32 - 2 * count as i32);
            }
        }
        Self(add_term(self.0, layer, inner))
    }

    #[inline(always)]
    fn reached(self, threshold: f32) -> u16 {
        reached(self.0, threshold)
    }

    #[inline(always)]
    fn scores(self) -> [f32; LANES] {
        self.0
    }
}
