use std::ops::Range;

use super::{Filter, Linear, TopK, Work};
use crate::code::QueryCode;
use crate::kernel::popcount::{BallQuery, HeadQuery, Heads, LANES};

/// Blocks of heads after which it is decided whether heads are worth looking at.
const WINDOW: usize = 64;

/// Blocks whose heads are skipped once they were not, before they are tried again: twice as many after every time, up to the second figure.
const SKIP: (usize, usize) = (2 * WINDOW, 64 * WINDOW);

/// One search under way: what it compares with, the best so far, and what it touched.
pub(super) struct Probe<'a> {
    pub(super) linear: &'a Linear,
    pub(super) query: &'a BallQuery,
    pub(super) filter: &'a Filter<'a>,
    pub(super) top: TopK,
    pub(super) work: Work,
    /// Whether something that may have entered was left out because of the budget: nothing more is scored then.
    pub(super) spent: bool,
    /// How many codes may be scored once there are k rows; `u64::MAX` for an exact search.
    budget: u64,
    heads: Option<(&'a Heads, HeadQuery)>,
    /// Blocks of heads tested, and reached, since heads were last judged.
    tested: usize,
    reached: usize,
    /// Blocks to score without looking at their heads.
    skip: usize,
    /// How many to skip the next time.
    next_skip: usize,
}

impl<'a> Probe<'a> {
    pub(super) fn new(
        linear: &'a Linear,
        heads: Option<&'a Heads>,
        query: &'a BallQuery,
        k: usize,
        filter: &'a Filter<'a>,
        budget: u64,
    ) -> Self {
        let heads = heads.map(|heads| (heads, HeadQuery::new(query, heads)));
        let top = TopK::new(k, linear.len());
        Self {
            linear,
            query,
            filter,
            top,
            work: Work::default(),
            spent: false,
            budget,
            heads,
            tested: 0,
            reached: 0,
            skip: 0,
            next_skip: SKIP.0,
        }
    }

    /// Offers every row of `range` that can still enter: by its head first, and where heads let more than two blocks in five through, by
    /// its code alone.
    pub(super) fn scan(&mut self, mut range: Range<usize>) {
        if self.budget < u64::MAX {
            return self.scan_codes_within(range);
        }
        while !range.is_empty() {
            let blind = self.heads.is_none() || self.skip > 0;
            let most = if self.skip > 0 { self.skip } else { WINDOW };
            let piece = range.start..range.end.min(range.start + most);
            range.start = piece.end;
            if blind {
                self.skip = self.skip.saturating_sub(piece.len());
                self.scan_codes(piece);
            } else {
                self.scan_heads(piece);
            }
            self.top.tighten();
        }
    }

    /// Offers the rows of `range` that the budget affords: without any left, a block at a time until there are k rows.
    pub(super) fn scan_codes_within(&mut self, mut range: Range<usize>) {
        while !range.is_empty() && !self.spent {
            let left = self.budget.saturating_sub(self.work.codes) / LANES as u64;
            let most = match usize::try_from(left).unwrap_or(usize::MAX) {
                0 if self.top.is_full() => return self.spent = true,
                blocks => blocks.clamp(1, WINDOW),
            };
            let piece = range.start..range.end.min(range.start + most);
            range.start = piece.end;
            self.scan_codes(piece);
            self.top.tighten();
        }
    }

    /// Gives the blocks of `range` that can still enter, each with the most its items can score by their heads, or `most` without heads.
    pub(super) fn bound_blocks(&mut self, range: Range<usize>, most: f32, mut visit: impl FnMut(usize, f32)) {
        let Some((heads, head)) = &self.heads else {
            return range.for_each(|block| visit(block, most));
        };
        let threshold = self.top.threshold();
        let mut sink = |block: usize, _: u16, bounds: &[f32; LANES]| {
            visit(block, bounds.iter().copied().fold(0.0, f32::max));
            threshold
        };
        self.work.heads += items(self.linear, &range);
        self.linear.kernel().scan(*heads, head, range, threshold, &mut sink);
    }

    /// The most an item can score whose scalers are at most `scalers` and which differs from the query's signs in at least `differing` bits
    /// of `layer`.
    ///
    /// Each of them lowers the inner product from `P = sum_k |q_k|` by `2 |q_k| >= 2`, so `p <= u = max(0, P - 2 differing)` there and
    /// `p <= u = P` in other layers; from here the proof is that of [`crate::kernel::popcount::Balls`], steps 2 to 4.
    pub(super) fn bound(&self, scalers: &[f32], layer: usize, differing: u32) -> f32 {
        let layers = scalers.iter().zip(self.query.codes().factors()).zip(self.query.most()).enumerate();
        layers.rev().fold(0.0, |sum, (l, ((scaler, factor), &most))| {
            let most = if l == layer { (most - 2 * differing as i32).max(0) } else { most };
            sum + scaler * (factor * most as f32)
        })
    }

    fn scan_codes(&mut self, range: Range<usize>) {
        let Self { linear, filter, top, .. } = self;
        let threshold = top.threshold();
        self.work.codes += items(linear, &range);
        let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
            linear.offer(block, lanes, scores, filter, top);
            top.threshold()
        };
        linear.kernel().scan(linear.blocks(), self.query.codes(), range, threshold, &mut sink);
    }

    fn scan_heads(&mut self, range: Range<usize>) {
        let Self { linear, query, filter, top, heads: Some((heads, head)), .. } = self else { return };
        let threshold = top.threshold();
        let (blocks, touched) = (range.len(), items(linear, &range));
        let mut codes = 0;
        let mut reached = 0;
        let mut sink = |block: usize, _: u16, _: &[f32; LANES]| {
            reached += 1;
            codes += items(linear, &(block..block + 1));
            let scores = linear.kernel().score(linear.blocks(), query.codes(), block);
            linear.offer(block, u16::MAX, &scores, filter, top);
            top.threshold()
        };
        linear.kernel().scan(*heads, head, range, threshold, &mut sink);
        self.work.heads += touched;
        self.work.codes += codes;
        // Before there are k rows everything reaches the list, and says nothing about heads.
        if threshold > f32::NEG_INFINITY {
            self.tested += blocks;
            self.reached += reached;
        }
        if self.tested >= WINDOW {
            if 5 * self.reached > 2 * self.tested {
                self.skip = self.next_skip;
                self.next_skip = (2 * self.next_skip).min(SKIP.1);
            } else {
                self.next_skip = SKIP.0;
            }
            (self.tested, self.reached) = (0, 0);
        }
    }
}

/// Items in a range of blocks: the last block may be short.
fn items(linear: &Linear, range: &Range<usize>) -> u64 {
    ((range.end * LANES).min(linear.len()) - (range.start * LANES).min(linear.len())) as u64
}

/// The query in the form nodes, heads and codes are compared with.
pub(super) fn prepare(query: &QueryCode) -> BallQuery {
    BallQuery::new(query)
}
