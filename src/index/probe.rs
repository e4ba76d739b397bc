use std::ops::Range;

use super::nodes::LEAF_BLOCKS;
use super::{Calibration, Filter, Linear, TopK, Work};
use crate::code::QueryCode;
use crate::kernel::popcount::{BallQuery, Heads, Kernel, LANES, PieceQuery, Pieces, Source};

/// Blocks of heads after which it is decided whether heads are worth looking at.
const WINDOW: usize = 64;

// A node's blocks, which are looked at together, fit into a window.
const _: () = assert!(LANES * LEAF_BLOCKS <= WINDOW);

/// Blocks whose heads are skipped once they were not, before they are tried again: twice as many after every time, up to the second figure.
const SKIP: (usize, usize) = (2 * WINDOW, 64 * WINDOW);

/// Blocks at the front of a list that are scored before others, because they promise most: with what they give, few of the others reach the list.
pub(super) const AHEAD: usize = 8;

/// How many codes may be scored once there are k rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit<'a> {
    /// `u64::MAX` for an exact search.
    pub(super) codes: u64,
    /// What raises the number where too few turn out to be admitted, and the share of the exact list to find.
    pub(super) recall: Option<(&'a Calibration, f32)>,
    /// Whether it is to be told what share of the exact list was found: what a filter leaves out is counted then.
    pub(super) is_judged: bool,
}

impl Limit<'_> {
    pub(super) const NONE: Self = Self { codes: u64::MAX, recall: None, is_judged: false };
}

/// One search under way: what it compares with, the best so far, and what it touched.
pub(super) struct Probe<'a> {
    pub(super) linear: &'a Linear,
    pub(super) query: &'a BallQuery,
    pub(super) filter: &'a Filter<'a>,
    pub(super) top: TopK,
    pub(super) work: Work,
    /// Whether something that may have entered was left out because of the budget: nothing more is scored then.
    pub(super) spent: bool,
    limit: Limit<'a>,
    /// The scores that reached the list of rows that are not listed, where what was found is judged.
    refused: Vec<f32>,
    /// The blocks of codes that were scored, where that is asked for.
    pub(super) trace: Option<Vec<u32>>,
    heads: Option<&'a Heads>,
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
        limit: Limit<'a>,
    ) -> Self {
        let top = TopK::new(k, linear.len());
        Self {
            linear,
            query,
            filter,
            top,
            work: Work::default(),
            spent: false,
            limit,
            refused: Vec::new(),
            trace: None,
            heads,
            tested: 0,
            reached: 0,
            skip: 0,
            next_skip: SKIP.0,
        }
    }

    /// Codes that may still be scored.
    pub(super) fn left(&self) -> u64 {
        self.limit.codes.saturating_sub(self.work.codes)
    }

    /// Codes that may be scored in all; `None` where a share of the exact list is to be found.
    pub(super) fn budget(&self) -> Option<u64> {
        self.limit.recall.is_none().then_some(self.limit.codes)
    }

    /// The share of the exact list that is expected to be found, by what was scored.
    pub(super) fn expected(&mut self, calibration: &Calibration) -> f32 {
        // The last block may be short of codes.
        let codes = self.limit.codes.max(self.work.codes);
        match self.ranks() {
            None => calibration.share(self.top.k() as u64, codes),
            Some(ranks) => calibration.share_of_ranks(&ranks, codes),
        }
    }

    /// The ranks of the list's rows among all that the user has not seen, as far as they were scored, ascending from 0; `None` where they are the
    /// best.
    fn ranks(&mut self) -> Option<Vec<u32>> {
        let last = self.top.kth();
        self.refused.retain(|&score| score >= last);
        if self.refused.is_empty() {
            return None;
        }
        self.refused.sort_unstable_by(|a, b| b.total_cmp(a));
        let before = |score: f32| self.refused.partition_point(|&refused| refused > score) as u32;
        Some((0..).zip(self.top.scores()).map(|(rank, score)| rank + before(score)).collect())
    }

    /// Raises the limit where the list turns out to reach further down than it was made for; whether it did.
    fn raise(&mut self) -> bool {
        let Some((calibration, share)) = self.limit.recall else { return false };
        let Some(ranks) = self.ranks() else { return false };
        let codes = self.limit.codes;
        if calibration.share_of_ranks(&ranks, codes) < share {
            self.limit.codes = codes.max(calibration.budget_of_ranks(&ranks, share));
        }
        self.limit.codes > codes
    }

    /// Offers every row of `range` that can still enter: by its head first, and where heads let more than two blocks in five through, by
    /// its code alone.
    pub(super) fn scan(&mut self, mut range: Range<usize>) {
        if self.limit.codes < u64::MAX {
            return self.scan_codes_within(range);
        }
        while !range.is_empty() {
            let blind = self.heads.is_none() || self.skip > 0;
            let most = if self.skip > 0 { self.skip } else { WINDOW };
            let piece = range.start..range.end.min(range.start + most);
            range.start = piece.end;
            self.scan_piece(Codes::Range(piece), blind);
        }
    }

    /// [`Probe::scan`] of the blocks in a list, at most [`WINDOW`] of them.
    pub(super) fn scan_list(&mut self, list: &[u32]) {
        if self.limit.codes < u64::MAX {
            return self.scan_list_within(list);
        }
        self.scan_piece(Codes::List(list), self.heads.is_none() || self.skip > 0);
    }

    fn scan_piece(&mut self, piece: Codes<'_>, blind: bool) {
        if blind {
            self.skip = self.skip.saturating_sub(piece.len());
            self.scan_codes(piece);
        } else {
            self.scan_heads(piece);
        }
        self.top.tighten();
    }

    /// Offers the rows of `range` that the budget affords: without any left, a block at a time until there are k rows.
    pub(super) fn scan_codes_within(&mut self, mut range: Range<usize>) {
        while !range.is_empty() {
            let Some(most) = self.affords() else { return };
            let piece = range.start..range.end.min(range.start + most);
            range.start = piece.end;
            self.scan_codes(Codes::Range(piece));
            self.top.tighten();
        }
    }

    /// [`Probe::scan_codes_within`] of the blocks in a list, in its order, which begins with those that promise most.
    pub(super) fn scan_list_within(&mut self, mut list: &[u32]) {
        while !list.is_empty() {
            let Some(most) = self.affords() else { return };
            let most = if self.top.is_full() { most } else { most.min(AHEAD) };
            let (piece, later) = list.split_at(most.min(list.len()));
            list = later;
            self.scan_codes(Codes::List(piece));
            self.top.tighten();
        }
    }

    /// What `search` scores of so many codes, or as many more as it takes to fill the list: the blocks of an exact search that come first.
    pub(super) fn limited(&mut self, codes: u64, search: impl FnOnce(&mut Self)) -> Vec<u32> {
        let limit = std::mem::replace(&mut self.limit, Limit { codes, ..Limit::NONE });
        let trace = self.trace.replace(Vec::new());
        search(self);
        (self.limit, self.spent) = (limit, false);
        std::mem::replace(&mut self.trace, trace).unwrap_or_default()
    }

    /// Offers every row that can still enter of the blocks that are not `done`, a bit a block, by one piece of their codes after another.
    pub(super) fn scan_pieces(&mut self, pieces: &Pieces, done: &[u64]) {
        let Self { linear, filter, top, work, .. } = self;
        // A list that was filled between two cuts has a threshold already.
        let threshold = top.kth();
        let mut scored = 0;
        let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
            scored += items(linear, &(block..block + 1));
            linear.offer(block, lanes, scores, filter, top);
            top.tighten();
            top.threshold()
        };
        let query = PieceQuery::new(self.query);
        let read = linear.kernel().scan_pieces(pieces, linear.blocks(), &query, done, threshold, &mut sink);
        work.nodes += linear.blocks().len() as u64;
        work.heads += read * LANES as u64;
        work.codes += scored;
    }

    /// How many blocks of codes may be scored next, at least one; none where the budget is spent.
    fn affords(&mut self) -> Option<usize> {
        loop {
            let left = usize::try_from(self.left() / LANES as u64).unwrap_or(usize::MAX);
            if left > 0 || !self.top.is_full() {
                return Some(left.clamp(1, WINDOW));
            }
            if self.spent || !self.raise() {
                self.spent = true;
                return None;
            }
        }
    }

    /// Gives the blocks of `range` that can still enter, each with the most its items can score by their heads, or `most` without heads.
    pub(super) fn bound_blocks(&mut self, range: Range<usize>, most: f32, mut visit: impl FnMut(usize, f32)) {
        let Some(heads) = self.heads else {
            return range.for_each(|block| visit(block, most));
        };
        let threshold = self.top.threshold();
        let mut sink = |block: usize, _: u16, bounds: &[f32; LANES]| {
            visit(block, bounds.iter().copied().fold(0.0, f32::max));
            threshold
        };
        self.work.heads += items(self.linear, &range);
        self.linear.kernel().scan(heads, self.query, range, threshold, &mut sink);
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

    fn scan_codes(&mut self, blocks: Codes<'_>) {
        let Self { linear, filter, top, refused, .. } = self;
        let threshold = top.threshold();
        self.work.codes += blocks.items(linear);
        if let Some(trace) = &mut self.trace {
            match &blocks {
                Codes::Range(range) => trace.extend(range.clone().map(|block| block as u32)),
                Codes::List(list) => trace.extend_from_slice(list),
            }
        }
        let query = self.query.codes();
        let scan = |sink: &mut dyn FnMut(usize, u16, &[f32; LANES]) -> f32| {
            blocks.scan(linear.kernel(), linear.blocks(), query, threshold, sink);
        };
        if self.limit.is_judged {
            let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
                linear.offer_counting(block, lanes, scores, filter, top, |score| refused.push(score));
                top.threshold()
            };
            scan(&mut sink);
        } else {
            let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
                linear.offer(block, lanes, scores, filter, top);
                top.threshold()
            };
            scan(&mut sink);
        }
    }

    fn scan_heads(&mut self, blocks: Codes<'_>) {
        let Self { linear, query, top, heads: Some(heads), .. } = self else { return };
        let threshold = top.threshold();
        // Codes are not where their heads are: once it is known which of them are needed, memory is asked for one while another is scored.
        let mut list = [0; WINDOW];
        let mut reached = 0;
        let mut sink = |block: usize, _: u16, _: &[f32; LANES]| {
            list[reached] = block as u32;
            reached += 1;
            threshold
        };
        blocks.scan(linear.kernel(), *heads, *query, threshold, &mut sink);
        self.work.heads += blocks.items(linear);
        self.scan_codes(Codes::List(&list[..reached]));
        // Before there are k rows everything reaches the list, and says nothing about heads.
        if threshold > f32::NEG_INFINITY {
            self.tested += blocks.len();
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

/// Which blocks of codes are scored.
enum Codes<'a> {
    Range(Range<usize>),
    List(&'a [u32]),
}

impl Codes<'_> {
    fn len(&self) -> usize {
        match self {
            Codes::Range(range) => range.len(),
            Codes::List(list) => list.len(),
        }
    }

    fn items(&self, linear: &Linear) -> u64 {
        match self {
            Codes::Range(range) => items(linear, range),
            Codes::List(list) => list.iter().map(|&block| items(linear, &(block as usize..block as usize + 1))).sum(),
        }
    }

    fn scan<S: Source>(
        &self,
        kernel: Kernel,
        source: &S,
        query: &S::Query,
        threshold: f32,
        sink: &mut dyn FnMut(usize, u16, &[f32; LANES]) -> f32,
    ) {
        match self {
            Codes::Range(range) => kernel.scan(source, query, range.clone(), threshold, sink),
            Codes::List(list) => kernel.scan_list(source, query, list, threshold, sink),
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
