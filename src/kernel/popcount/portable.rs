//! One loop for every instruction set: constant widths, lane inside, compiled by the callers under their `#[target_feature]`.
//!
//! Functions here are `#[inline(always)]`, so that they take on the features of the function they are inlined into.

use std::marker::PhantomData;
use std::ops::Range;

use super::source::{Bits, Reach, Source};
use super::{LANES, LaneScalers, LaneWords, Sink};

/// The sums of 16 lanes while the layers are added up, and the few operations all sources are made of.
///
/// Methods take `self` although most only look at their arguments: whoever holds a value of the type has shown that the processor has
/// the instructions.
pub trait Lanes: Copy {
    /// Shows that the processor has the instructions; whoever holds a value of the implementing type once held one.
    type Proof: Copy;
    /// Sixteen integers.
    type Ints: Copy;
    /// Sixteen floats.
    type Floats: Copy;

    /// Sixteen times `+0.0`.
    fn zero(proof: Self::Proof) -> Self;

    /// The exact inner products `p` of one layer: `P` planes and `W` words a row, or as many as there are where `P` or `W` is 0.
    fn inner<const P: usize, const W: usize>(self, bits: &Bits<'_>) -> Self::Ints;

    /// The largest inner product in a ball: `max(0, min(most, p + reach(radius)))`.
    fn widen(self, inner: Self::Ints, radii: &LaneWords, reach: &Reach<'_>) -> Self::Ints;

    /// `max(0, p)`.
    fn positive(self, inner: Self::Ints) -> Self::Ints;

    /// `factor p`, rounded once.
    fn scale(self, inner: Self::Ints, factor: f32) -> Self::Floats;

    /// Sixteen scalers.
    fn load(self, scalers: &LaneScalers) -> Self::Floats;

    /// `step` times byte `byte` of every lane, rounded once.
    fn unpack(self, packed: &LaneWords, byte: usize, step: f32) -> Self::Floats;

    /// The same value in every lane.
    fn splat(self, value: f32) -> Self::Floats;

    /// `s + a b`, both operations rounded.
    fn add_product(self, a: Self::Floats, b: Self::Floats) -> Self;

    /// The lanes with `score >= threshold`, lane 0 in bit 0.
    fn reached(self, threshold: f32) -> u16;

    /// The 16 sums.
    fn scores(self) -> [f32; LANES];
}

/// [`super::Kernel::scan`] with planes and width constant where they are common ones.
#[inline(always)]
pub(super) fn scan<L: Lanes, S: Source>(
    proof: L::Proof,
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    match S::planes(query) {
        1 => scan_planes::<L, S, 1>(proof, source, query, range, threshold, sink),
        _ => scan_planes::<L, S, 0>(proof, source, query, range, threshold, sink),
    }
}

#[inline(always)]
fn scan_planes<L: Lanes, S: Source, const P: usize>(
    proof: L::Proof,
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    match source.uniform() {
        Some(2) => scan_width::<L, S, P, 2>(proof, source, query, range, threshold, sink),
        Some(4) => scan_width::<L, S, P, 4>(proof, source, query, range, threshold, sink),
        Some(8) => scan_width::<L, S, P, 8>(proof, source, query, range, threshold, sink),
        Some(12) => scan_width::<L, S, P, 12>(proof, source, query, range, threshold, sink),
        Some(16) => scan_width::<L, S, P, 16>(proof, source, query, range, threshold, sink),
        Some(24) => scan_width::<L, S, P, 24>(proof, source, query, range, threshold, sink),
        _ => scan_width::<L, S, P, 0>(proof, source, query, range, threshold, sink),
    }
}

/// Ranges of fewer blocks are jumps of a search rather than a scan: nothing is asked of the memory behind them.
const LONG: usize = 32;

/// Bytes between what a long scan counts and what it asks of the memory.
///
/// Hardware prefetchers stop at the end of a page: without it a scan of 4 MB of 3x256 takes 4.2 ns an item instead of 2.9 (AVX2).
const AHEAD: usize = 4096;

#[inline(always)]
fn scan_width<L: Lanes, S: Source, const P: usize, const W: usize>(
    proof: L::Proof,
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    mut threshold: f32,
    sink: &mut Sink<'_>,
) {
    let ahead = if range.len() < LONG { 0 } else { AHEAD };
    for block in range {
        let sums = source.sums::<L, P, W>(proof, query, block, ahead);
        let reached = sums.reached(threshold);
        if reached != 0 {
            threshold = sink(block, reached, &sums.scores());
        }
    }
}

/// The planes of a layer, one where `P` is 1.
#[inline(always)]
pub(super) fn planes<const P: usize>(planes: &[u32], words: usize) -> impl Iterator<Item = &[u32]> {
    let count = if P == 0 { planes.len() / words } else { P };
    (0..count).map(move |plane| &planes[plane * words..][..words])
}

/// A way to count the differing bits of a row of 16 lanes and a plane of the query.
pub trait Count: Copy {
    /// The number of differing bits of each lane.
    fn differing(rows: &[LaneWords], plane: &[u32]) -> [u32; LANES];
}

/// Sums in plain arrays, for the compiler to put into whatever registers there are.
#[derive(Clone, Copy)]
pub struct Plain<C>([f32; LANES], PhantomData<C>);

impl<C: Count> Lanes for Plain<C> {
    type Proof = ();
    type Ints = [i32; LANES];
    type Floats = [f32; LANES];

    #[inline(always)]
    fn zero((): ()) -> Self {
        Self([0.0; LANES], PhantomData)
    }

    #[inline(always)]
    fn inner<const P: usize, const W: usize>(self, bits: &Bits<'_>) -> [i32; LANES] {
        let words = if W == 0 { bits.rows.len() } else { W };
        let rows = &bits.rows[..words];
        let mut inner = [0i32; LANES];
        for plane in planes::<P>(bits.planes, words) {
            for (inner, count) in inner.iter_mut().zip(C::differing(rows, plane)) {
                *inner = 2 * *inner + (bits.width as i32 - 2 * count as i32);
            }
        }
        inner
    }

    #[inline(always)]
    fn widen(self, mut inner: [i32; LANES], radii: &LaneWords, reach: &Reach<'_>) -> [i32; LANES] {
        for (inner, radius) in inner.iter_mut().zip(radii.0) {
            *inner = (*inner + reach.of(radius)).max(0).min(reach.most);
        }
        inner
    }

    #[inline(always)]
    fn positive(self, inner: [i32; LANES]) -> [i32; LANES] {
        inner.map(|p| p.max(0))
    }

    #[inline(always)]
    fn scale(self, inner: [i32; LANES], factor: f32) -> [f32; LANES] {
        inner.map(|p| factor * p as f32)
    }

    #[inline(always)]
    fn load(self, scalers: &LaneScalers) -> [f32; LANES] {
        scalers.0
    }

    #[inline(always)]
    fn unpack(self, packed: &LaneWords, byte: usize, step: f32) -> [f32; LANES] {
        packed.0.map(|word| step * (word >> (8 * byte) & 255) as f32)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn add_product(mut self, a: [f32; LANES], b: [f32; LANES]) -> Self {
        for ((sum, a), b) in self.0.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
        self
    }

    #[inline(always)]
    fn reached(self, threshold: f32) -> u16 {
        let mut mask = 0;
        for (lane, sum) in self.0.into_iter().enumerate() {
            mask |= u16::from(sum >= threshold) << lane;
        }
        mask
    }

    #[inline(always)]
    fn scores(self) -> [f32; LANES] {
        self.0
    }
}

/// Counts in 32-bit lanes: for instruction sets that count the bits of 32-bit words.
#[derive(Clone, Copy)]
pub struct Words;

impl Count for Words {
    #[inline(always)]
    fn differing(rows: &[LaneWords], plane: &[u32]) -> [u32; LANES] {
        let mut differing = [0u32; LANES];
        for (row, query) in rows.iter().zip(plane) {
            for (count, item) in differing.iter_mut().zip(row.0) {
                *count += (item ^ query).count_ones();
            }
        }
        differing
    }
}

/// Words a byte can count before it is full: 8 bits each.
pub(super) const BYTE_WORDS: usize = 31;

/// Counts in bytes and widens at the end: for instruction sets that count the bits of bytes.
#[cfg(any(test, target_arch = "aarch64"))]
#[derive(Clone, Copy)]
pub struct Bytes;

#[cfg(any(test, target_arch = "aarch64"))]
impl Count for Bytes {
    #[inline(always)]
    fn differing(rows: &[LaneWords], plane: &[u32]) -> [u32; LANES] {
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
        differing
    }
}
