use super::portable::Lanes;
use super::{Agreement, LANES, LaneWords};

/// Something a kernel scans: blocks of 16 codes, balls, heads or centres.
///
/// One loop serves them all, so that they run on every instruction set and are held to one specification, [`Source::reference`].
pub trait Source {
    /// A query prepared for it.
    type Query;

    /// Whether it is read in runs long enough for two blocks at a time.
    const PAIRS: bool;

    /// Whether several queries pass over it together.
    const TOGETHER: bool;

    /// Number of blocks.
    fn blocks(&self) -> usize;

    /// Whether the query was made for codes of this shape.
    fn fits(&self, query: &Self::Query) -> bool;

    /// 32-bit words of every layer that is read, where all have as many.
    fn uniform(&self) -> Option<usize>;

    /// Bit planes of the query, 1 to 8.
    fn planes(query: &Self::Query) -> usize;

    /// Bytes from one block to the next.
    fn stride(&self) -> usize;

    /// The sums of `N` blocks for each of `Q` queries with as many planes, by the operations of `L`; memory is asked for `ahead` bytes behind what
    /// is read of each.
    fn sums<L: Lanes, const P: usize, const W: usize, const N: usize, const Q: usize>(
        &self,
        proof: L::Proof,
        queries: [&Self::Query; Q],
        blocks: [usize; N],
        ahead: [usize; N],
    ) -> [[L; Q]; N];

    /// The same sums, written for reading: one lane, one layer, one plane, one word at a time.
    fn reference(&self, query: &Self::Query, block: usize) -> [f32; LANES];
}

/// One layer of `N` blocks and of `Q` queries.
pub struct Bits<'a, const N: usize, const Q: usize> {
    /// One element a 32-bit word.
    pub rows: [&'a [LaneWords]; N],
    /// The queries.
    pub queries: [QueryBits<'a>; Q],
    /// Bits of the layer.
    pub width: u32,
    /// Bytes between what is read of each row and what is asked of the memory; they may wrap.
    pub ahead: [usize; N],
}

/// One layer of a query.
#[derive(Clone, Copy)]
pub struct QueryBits<'a> {
    /// `[plane][word]`, the most significant plane first.
    pub planes: &'a [u32],
    /// `[set][word]`: the same planes as tables.
    pub tables: &'a [Agreement],
    /// One plane's words, every byte of them 16 times; empty for several planes.
    pub spread: &'a [LaneWords],
    /// Bit planes, 1 to 8.
    pub count: usize,
}

impl QueryBits<'_> {
    pub(super) const NONE: Self = Self { planes: &[], tables: &[], spread: &[], count: 1 };
}

/// How much an inner product can grow inside a ball, of one layer and query.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// By radius, up to the layer's width; empty for one plane, where it is twice the radius.
    pub by_radius: &'a [i32],
    /// `sum_k |q_k|`: the inner product of the query with its own signs.
    pub most: i32,
}

impl Reach<'_> {
    /// What `radius` flipped bits can add.
    #[inline(always)]
    pub fn of(&self, radius: u32) -> i32 {
        if self.by_radius.is_empty() {
            2 * radius as i32
        } else {
            self.by_radius.get(radius as usize).copied().unwrap_or(2 * self.most)
        }
    }
}
