//! One loop for every instruction set: constant widths, lane inside, compiled by the callers under their `#[target_feature]`.
//!
//! Functions here are `#[inline(always)]`, so that they take on the features of the function they are inlined into.

use std::ops::Range;

use super::agreement::TABLE_PLANES;
use super::source::{Bits, Reach, Source};
use super::{LANES, LaneCounts, LaneScalers, LaneSums, Sink};

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

    /// The exact inner products `p` of one layer: `W` words per row, or as many as there are where `W` is 0; one plane where `P` is 1, one
    /// set of tables where it is 4.
    fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        self,
        bits: &Bits<'_, N, Q>,
    ) -> [[Self::Ints; Q]; N];

    /// The largest inner product in a ball: `max(0, min(most, p + reach(radius)))`.
    fn widen(self, inner: Self::Ints, radii: &LaneCounts, reach: &Reach<'_>) -> Self::Ints;

    /// `max(0, p)`.
    fn positive(self, inner: Self::Ints) -> Self::Ints;

    /// The sum of two, lane by lane.
    fn plus(self, a: Self::Ints, b: Self::Ints) -> Self::Ints;

    /// As much more in every lane.
    fn raised(self, inner: Self::Ints, by: i32) -> Self::Ints;

    /// Sixteen sums that were kept.
    fn restore(self, sums: &LaneSums) -> Self::Ints;

    /// Sixteen sums to keep.
    fn keep(self, inner: Self::Ints, sums: &mut LaneSums);

    /// `factor p`, rounded once.
    fn scale(self, inner: Self::Ints, factor: f32) -> Self::Floats;

    /// Asks the memory for scalers that will be loaded; a hint.
    fn ask(self, scalers: &LaneScalers);

    /// Sixteen scalers.
    fn load(self, scalers: &LaneScalers) -> Self::Floats;

    /// `step` times the byte of every lane, rounded once.
    fn unpack(self, packed: &[u8; LANES], step: f32) -> Self::Floats;

    /// The same value in every lane.
    fn splat(self, value: f32) -> Self::Floats;

    /// `s + a b`, both operations rounded.
    fn add_product(self, a: Self::Floats, b: Self::Floats) -> Self;

    /// The lanes with `score >= threshold`, lane 0 in bit 0.
    fn reached(self, threshold: f32) -> u16;

    /// The 16 sums.
    fn scores(self) -> [f32; LANES];
}

/// Which blocks are read.
#[derive(Clone)]
pub(super) enum Which<'a> {
    /// Those of a range, in order.
    Range(Range<usize>),
    /// These, in their order.
    List(&'a [u32]),
}

impl Which<'_> {
    /// What [`Which::get`] takes.
    #[inline(always)]
    pub(super) fn range(&self) -> Range<usize> {
        match self {
            Which::Range(range) => range.clone(),
            Which::List(list) => 0..list.len(),
        }
    }

    /// The block at a place.
    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> usize {
        match self {
            Which::Range(_) => at,
            Which::List(list) => list[at] as usize,
        }
    }

    /// How far from the block at a place what follows it lies: what comes after the `next` places from there where blocks are listed, `ahead` bytes
    /// where they are a range.
    #[inline(always)]
    fn ahead(&self, at: usize, next: usize, ahead: usize, stride: usize) -> usize {
        match self {
            Which::Range(_) => ahead,
            Which::List(list) => {
                let later = list.get(at + next).copied().unwrap_or(list[at]);
                (later as usize).wrapping_sub(list[at] as usize).wrapping_mul(stride)
            }
        }
    }
}

/// One scan: what is read, by which queries, and who is told.
pub(super) struct Pass<'a, S: Source> {
    pub(super) source: &'a S,
    /// All of as many planes.
    pub(super) queries: &'a [&'a S::Query],
    pub(super) blocks: Which<'a>,
    /// One a query.
    pub(super) thresholds: &'a mut [f32],
    pub(super) sink: &'a mut Sink<'a>,
}

/// [`super::Kernel::scan_many`] with planes and width constant where they are common ones.
#[inline(always)]
pub(super) fn scan<L: Lanes, S: Source>(proof: L::Proof, pass: Pass<'_, S>) {
    match S::planes(pass.queries[0]) {
        1 => scan_planes::<L, S, 1>(proof, pass),
        2..=TABLE_PLANES => scan_planes::<L, S, TABLE_PLANES>(proof, pass),
        // Rare enough for one loop of any width.
        _ => scan_width::<L, S, 0, 0>(proof, pass),
    }
}

#[inline(always)]
fn scan_planes<L: Lanes, S: Source, const P: usize>(proof: L::Proof, pass: Pass<'_, S>) {
    match pass.source.uniform() {
        Some(2) => scan_width::<L, S, P, 2>(proof, pass),
        Some(4) => scan_width::<L, S, P, 4>(proof, pass),
        Some(8) => scan_width::<L, S, P, 8>(proof, pass),
        Some(24) => scan_width::<L, S, P, 24>(proof, pass),
        _ => scan_width::<L, S, P, 0>(proof, pass),
    }
}

/// Ranges of fewer blocks are jumps of a search rather than a scan: nothing is asked of the memory behind them.
const LONG: usize = 32;

/// Bytes between what a long scan counts and what it asks of the memory.
///
/// Hardware prefetchers stop at the end of a page: without it a scan of 4 MB of 3x256 takes 4.2 ns an item instead of 2.9 (AVX2).
const AHEAD: usize = 4096;

/// Queries that share what is read of the blocks.
const TOGETHER: usize = 4;

/// Blocks that several queries pass over before the next: at most some 64 KiB, so that they are read from memory once.
const TILE: usize = 64;

#[inline(always)]
fn scan_width<L: Lanes, S: Source, const P: usize, const W: usize>(proof: L::Proof, pass: Pass<'_, S>) {
    let Pass { source, queries, blocks, thresholds, sink } = pass;
    let range = blocks.range();
    let tile = if queries.len() == 1 { range.len().max(1) } else { TILE };
    let ahead = if range.len() < LONG { 0 } else { AHEAD };
    for start in range.clone().step_by(tile) {
        let tile = start..range.end.min(start + tile);
        let mut first = 0;
        if S::TOGETHER && P > 0 {
            while let Some(together) = queries.get(first..first + TOGETHER).and_then(|some| some.first_chunk()) {
                pass_over::<L, S, P, 0, TOGETHER>(
                    proof,
                    source,
                    *together,
                    first,
                    &blocks,
                    tile.clone(),
                    ahead,
                    thresholds,
                    sink,
                );
                first += TOGETHER;
            }
        }
        for (query, &alone) in queries.iter().enumerate().skip(first) {
            pass_over::<L, S, P, W, 1>(proof, source, [alone], query, &blocks, tile.clone(), ahead, thresholds, sink);
        }
    }
}

/// `Q` queries, the first of them number `first`, over some blocks; two at a time, since they share what is read of the queries.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn pass_over<L: Lanes, S: Source, const P: usize, const W: usize, const Q: usize>(
    proof: L::Proof,
    source: &S,
    queries: [&S::Query; Q],
    first: usize,
    blocks: &Which<'_>,
    range: Range<usize>,
    ahead: usize,
    thresholds: &mut [f32],
    sink: &mut Sink<'_>,
) {
    let mut at = range.start;
    while S::PAIRS && at + 2 <= range.end {
        let pair = [blocks.get(at), blocks.get(at + 1)];
        let later = [blocks.ahead(at, 2, ahead, source.stride()), blocks.ahead(at + 1, 2, ahead, source.stride())];
        let sums = source.sums::<L, P, W, 2, Q>(proof, queries, pair, later);
        offer(pair[0], sums[0], first, thresholds, sink);
        offer(pair[1], sums[1], first, thresholds, sink);
        at += 2;
    }
    while at < range.end {
        let block = blocks.get(at);
        let later = blocks.ahead(at, 1, ahead, source.stride());
        for (query, alone) in (first..).zip(queries) {
            let [sums] = source.sums::<L, P, W, 1, 1>(proof, [alone], [block], [later]);
            offer(block, sums, query, thresholds, sink);
        }
        at += 1;
    }
}

/// Tells the sink of every query one of whose lanes reaches its threshold.
#[inline(always)]
fn offer<L: Lanes, const Q: usize>(
    block: usize,
    sums: [L; Q],
    first: usize,
    thresholds: &mut [f32],
    sink: &mut Sink<'_>,
) {
    for (query, sums) in (first..).zip(sums) {
        let reached = sums.reached(thresholds[query]);
        if reached != 0 {
            thresholds[query] = sink(query, block, reached, &sums.scores());
        }
    }
}
