use std::ops::Range;

use bytemuck::Zeroable;

use super::agreement::TABLE_PLANES;
use super::balls::{GROUPS, members, push_reach};
use super::blocks::BlockShape;
use super::portable::Lanes;
use super::source::{Bits, QueryBits, Reach};
use super::{BallQuery, BlockQuery, Blocks, LANES, LaneCounts, LaneSums, LaneWords};
use crate::code::{CodeError, LayeredCodes};

/// Bits of a piece; the last one may be narrower.
pub const PIECE: u32 = 256;

/// 32-bit words of a whole piece.
const WORDS: usize = PIECE as usize / 32;

/// Runs of 16 blocks whose pieces are read one after another before the next: what is kept of them meanwhile is some 40 KiB.
const TILE: usize = 32;

/// Bytes between the centre that is counted and what is asked of the memory.
const AHEAD: usize = 4096;

/// Blocks of a list between the one that is counted and what is asked of the memory.
const LATER: usize = 6;

/// What lets [`Blocks`] of one layer be read a piece of [`PIECE`] bits at a time, and most of them not to the end: for each a centre, the largest scaler
/// inside, and for every piece how many bits from there on an item differs from the centre in, at most. 16 centres a block, laid out as [`Blocks`] are.
///
/// Partial distances with a bound on the rest, as in "An improvement of the minimum distortion encoding algorithm for vector quantization" (Bei and Gray, IEEE
/// Transactions on Communications, 1985), over blocks of vectors, as in "PDX: A Data Layout for Vector Similarity Search" (arXiv 2503.04422); the bound is
/// that of [`super::Balls`], of what has not been read.
///
/// # The bound
/// With `p_<` the inner product of the pieces that were read, `p_>=(q, c)` the centre's of the others, `r` the radius from there on, `T(r)` at least twice the sum of
/// the r largest `|q_k|` there, and `P` their sum:
///
/// ```text
/// u = p_< + max(0, min(P, p_>=(q, c) + T(r)))             exact, in integers
/// s = 0 + alpha (c u)                                     f32, each operation rounded
/// ```
///
/// `p_>=(q, x) <= min(P, p_>=(q, c) + T(r))`, as flipping bit k changes `p` by `2 |q_k|` either way, so `p <= u`; both convert to f32 exactly, `c` and `alpha` are not
/// negative, and rounding is monotone: no score is above its bound, in floats, without slack. Nothing read, `alpha` is the largest scaler inside. Everything read, the bound is the
/// score.
#[derive(Debug, Clone)]
pub struct Pieces {
    /// One a block of codes; its scaler is the largest inside.
    centres: Blocks,
    /// How a code is cut: pieces as layers.
    shape: BlockShape,
    /// `[block of centres][piece]`.
    radii: Vec<LaneCounts>,
}

impl Pieces {
    /// How many pieces there are of codes of so many bits.
    pub fn count(width: u32) -> usize {
        width.div_ceil(PIECE) as usize
    }

    /// From a centre a block of codes, whose scaler is the largest inside, and `radii`, `[block x piece]`. O(blocks x words).
    ///
    /// # Errors
    /// If the centres have several layers, or there is not one radius a centre and piece.
    pub fn new(centres: &LayeredCodes, radii: &[u32]) -> Result<Self, CodeError> {
        let &[width] = centres.shape().widths() else {
            return Err(CodeError::Layers { layers: centres.shape().layers() });
        };
        let count = Self::count(width);
        CodeError::check_length("radii", centres.len() * count, radii.len())?;
        let mut lanes = vec![LaneCounts::zeroed(); centres.len().div_ceil(LANES) * count];
        for (centre, radii) in radii.chunks_exact(count).enumerate() {
            for (piece, &radius) in radii.iter().enumerate() {
                lanes[centre / LANES * count + piece].0[centre % LANES] = radius;
            }
        }
        let centres = Blocks::build(centres);
        Ok(Self { shape: centres.shape().cut(PIECE), centres, radii: lanes })
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.centres.bytes() + size_of_val(self.radii.as_slice())
    }

    pub(super) fn fit(&self, blocks: &Blocks, query: &PieceQuery) -> bool {
        let same = blocks.shape() == self.centres.shape() && *query.codes.shape() == self.shape;
        same && blocks.len().div_ceil(LANES) == self.centres.len()
    }

    fn radii(&self, run: usize) -> &[LaneCounts] {
        let count = self.shape.widths().len();
        &self.radii[run * count..][..count]
    }
}

/// A query against [`Pieces`].
#[derive(Debug, Clone)]
pub struct PieceQuery {
    /// Pieces as layers.
    codes: BlockQuery,
    /// `T` of what is left from every piece on, one entry a radius; empty for one plane.
    reach: Vec<i32>,
    /// Where the entries of each piece end.
    ends: Vec<usize>,
    /// `P` from every piece on.
    most: Vec<i32>,
}

impl PieceQuery {
    /// Cuts a query of one layer. O(words x 2^min(planes - 1, 3) + bits x pieces).
    ///
    /// # Panics
    /// If it has several layers.
    pub fn new(query: &BallQuery) -> Self {
        let codes = query.codes().cut(PIECE);
        let (planes, widths) = (codes.planes(), codes.shape().widths());
        let (mut reach, mut ends, mut most) = (Vec::new(), Vec::new(), Vec::new());
        if planes == 1 {
            let mut left = widths.iter().sum::<u32>() as i32;
            for &width in widths {
                most.push(left);
                left -= width as i32;
            }
            return Self { codes, reach, ends, most };
        }
        // Counted from the last piece to the first, so that each adds its own.
        let mut from = vec![[0; GROUPS]; widths.len()];
        let mut sums = [0; GROUPS];
        for (piece, (from, &width)) in from.iter_mut().zip(widths).enumerate().rev() {
            for (sum, count) in sums.iter_mut().zip(members(codes.layer(piece), planes, width)) {
                *sum += count;
            }
            *from = sums;
        }
        for members in &from {
            push_reach(members, planes, &mut reach);
            ends.push(reach.len());
            most.push(reach.last().map_or(0, |twice| twice / 2));
        }
        Self { codes, reach, ends, most }
    }

    #[inline(always)]
    fn reach(&self, piece: usize) -> Reach<'_> {
        let by_radius = match self.ends.get(piece) {
            Some(&end) => &self.reach[piece.checked_sub(1).map_or(0, |before| self.ends[before])..end],
            None => &[],
        };
        Reach { by_radius, most: self.most[piece] }
    }
}

/// One scan: what [`super::Kernel::scan_pieces`] takes.
pub(super) struct PiecePass<'a> {
    pub(super) pieces: &'a Pieces,
    pub(super) blocks: &'a Blocks,
    pub(super) query: &'a PieceQuery,
    pub(super) done: &'a [u64],
    pub(super) threshold: f32,
    pub(super) sink: &'a mut dyn FnMut(usize, u16, &[f32; LANES]) -> f32,
    /// Pieces of blocks that were read.
    pub(super) read: &'a mut u64,
}

/// [`super::Kernel::scan_pieces`] with planes and width constant where they are common ones.
#[inline(always)]
pub(super) fn scan<L: Lanes>(proof: L::Proof, pass: PiecePass<'_>) {
    let whole = pass.pieces.shape.uniform() == Some(WORDS);
    match pass.query.codes.planes() {
        1 if whole => scan_cut::<L, 1, WORDS>(proof, pass),
        1 => scan_cut::<L, 1, 0>(proof, pass),
        2..=TABLE_PLANES if whole => scan_cut::<L, TABLE_PLANES, WORDS>(proof, pass),
        2..=TABLE_PLANES => scan_cut::<L, TABLE_PLANES, 0>(proof, pass),
        _ => scan_cut::<L, 0, 0>(proof, pass),
    }
}

/// A piece of all codes and of the query.
struct Piece<'a> {
    words: Range<usize>,
    width: u32,
    query: QueryBits<'a>,
}

impl Piece<'_> {
    /// The inner products of this piece of some blocks, whose rows begin at these words.
    #[inline(always)]
    fn inner<L: Lanes, const P: usize, const W: usize, const N: usize>(
        &self,
        lanes: L,
        words: &[LaneWords],
        starts: [usize; N],
        ahead: [usize; N],
    ) -> [[L::Ints; 1]; N] {
        let mut bits = Bits { rows: [&[]; N], queries: [self.query], width: self.width, ahead };
        for (rows, start) in bits.rows.iter_mut().zip(starts) {
            *rows = &words[start + self.words.start..][..if W == 0 { self.words.len() } else { W }];
        }
        lanes.inner::<P, W, N, 1>(&bits)
    }
}

/// Blocks of a tile.
const PLACES: usize = TILE * LANES;

/// Tile by tile: first the centres of all blocks, then one piece after another of those blocks that can still reach the threshold.
#[inline(always)]
fn scan_cut<L: Lanes, const P: usize, const W: usize>(proof: L::Proof, pass: PiecePass<'_>) {
    let PiecePass { pieces, blocks, query, done, mut threshold, sink, read } = pass;
    let lanes = L::zero(proof);
    let factor = query.codes.factors()[0];
    let (words, scalers) = blocks.whole();
    let (centres, most) = pieces.centres.whole();
    let row = pieces.shape.words();
    let mut cut = Vec::with_capacity(pieces.shape.widths().len());
    let mut start = 0;
    for &width in pieces.shape.widths() {
        let words = start..start + width.div_ceil(32) as usize;
        start = words.end;
        cut.push(Piece { query: query.codes.bits::<P>(words.clone()), words, width });
    }
    // What is left from each piece on can add at most, `[piece][block]`.
    let mut rest = vec![LaneSums::zeroed(); cut.len() * TILE];
    // Of the blocks, what was read so far.
    let mut sums = [LaneSums::zeroed(); PLACES];
    // The blocks that can still reach the threshold, by their place in the tile, and the last one again.
    let mut list = [0u32; PLACES + LATER + 2];
    for first in (0..pieces.centres.len()).step_by(TILE) {
        let mut alive = 0;
        for (place, run) in (first..pieces.centres.len().min(first + TILE)).enumerate() {
            let mut inner = lanes.restore(&LaneSums::zeroed());
            let mut bound = lanes;
            for (number, (piece, radii)) in cut.iter().zip(pieces.radii(run)).enumerate().rev() {
                let [[own]] = piece.inner::<L, P, W, 1>(lanes, centres, [run * row], [AHEAD]);
                inner = lanes.plus(inner, own);
                let left = lanes.widen(inner, radii, &query.reach(number));
                lanes.keep(left, &mut rest[number * TILE + place]);
                if number == 0 {
                    bound = lanes.add_product(lanes.load(&most[run]), lanes.scale(left, factor));
                }
            }
            let blocks = blocks.len() - run * LANES;
            let is_there = if blocks < LANES { (1 << blocks) - 1 } else { u16::MAX };
            let done = (done[run / 4] >> (LANES * (run % 4))) as u16;
            let mut open = bound.reached(threshold) & is_there & !done;
            while open != 0 {
                list[alive] = (place * LANES) as u32 + open.trailing_zeros();
                open &= open - 1;
                alive += 1;
            }
        }
        let (words, scalers) = (&words[first * LANES * row..], &scalers[first * LANES..]);
        for (number, piece) in cut.iter().enumerate() {
            let Some(&last) = list[..alive].last() else { break };
            list[alive..alive + LATER + 2].fill(last);
            *read += alive as u64;
            let rest = rest.get((number + 1) * TILE..).and_then(|rest| rest.first_chunk::<TILE>());
            let (mut at, mut kept) = (0, 0);
            while at < alive {
                // Two at a time, since they share what is read of the query.
                let pair = if at + 2 <= alive { 2 } else { 1 };
                let places = [list[at] as usize, list[at + 1] as usize];
                let mut inner = [[lanes.restore(&LaneSums::zeroed())]; 2];
                if pair == 2 {
                    let later = [list[at + LATER] as usize, list[at + LATER + 1] as usize];
                    lanes.ask(&scalers[later[0]]);
                    lanes.ask(&scalers[later[1]]);
                    let ahead = [later[0].wrapping_sub(places[0]), later[1].wrapping_sub(places[1])];
                    let ahead = ahead.map(|blocks| blocks.wrapping_mul(row * size_of::<LaneWords>()));
                    inner = piece.inner::<L, P, W, 2>(lanes, words, [places[0] * row, places[1] * row], ahead);
                } else {
                    [inner[0]] = piece.inner::<L, P, W, 1>(lanes, words, [places[0] * row], [0]);
                }
                at += pair;
                for (&place, [inner]) in places.iter().zip(inner).take(pair) {
                    let sum = if number == 0 { inner } else { lanes.plus(inner, lanes.restore(&sums[place])) };
                    let scalers = lanes.load(&scalers[place]);
                    let Some(rest) = rest else {
                        let scores = lanes.add_product(scalers, lanes.scale(sum, factor));
                        let reached = scores.reached(threshold);
                        if reached != 0 {
                            threshold = sink(first * LANES + place, reached, &scores.scores());
                        }
                        continue;
                    };
                    lanes.keep(sum, &mut sums[place]);
                    let left = rest[place / LANES].0[place % LANES];
                    let bound = lanes.add_product(scalers, lanes.scale(lanes.raised(sum, left), factor));
                    list[kept] = place as u32;
                    kept += usize::from(bound.reached(threshold) != 0);
                }
            }
            alive = kept;
        }
    }
}
