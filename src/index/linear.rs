use std::path::Path;
use std::sync::Arc;

use super::{EngineKind, Filter, Found, TopK, Work};
use crate::code::{CodeError, CodeShape, LayeredCodes, QueryCode};
use crate::kernel::popcount::{BlockQuery, Blocks, Kernel, LANES};

/// An allow list is scored block by block where it has fewer than one in this many of the rows: such a row costs a block of 16 items and
/// about as much again for the call (41 k items of 3x256, AVX2: 0.12 us per row, against 150 us for the whole scan).
const SPARSE: u64 = 32;

/// The exhaustive scan over one-bit items, exact.
#[derive(Debug, Clone)]
pub struct Linear {
    shape: Arc<CodeShape>,
    blocks: Blocks,
    /// The row at each position.
    order: Vec<u32>,
    /// The position of each row; empty where `order` counts up from 0.
    positions: Vec<u32>,
    ranks: Arc<[u32]>,
    kernel: Kernel,
}

impl Linear {
    /// An index over all rows in their own order. `ranks[row]` orders rows of equal score and is distinct for distinct rows.
    /// O(n x words), parallel.
    ///
    /// # Errors
    /// If there is not one rank per row.
    pub fn build(items: &LayeredCodes, ranks: impl Into<Arc<[u32]>>, kernel: Kernel) -> Result<Self, CodeError> {
        let order = (0..items.len() as u32).collect();
        Self::with_order(items, order, ranks, kernel)
    }

    /// An index whose scan visits the rows in `order`, a permutation of them. The order changes speed, never an answer.
    ///
    /// # Errors
    /// If `order` is no permutation of the rows, or there is not one rank per row.
    pub fn with_order(
        items: &LayeredCodes,
        order: Vec<u32>,
        ranks: impl Into<Arc<[u32]>>,
        kernel: Kernel,
    ) -> Result<Self, CodeError> {
        Self::of_stored(&items.reordered(&order)?, order, ranks, kernel)
    }

    /// [`Linear::with_order`] of items that are in that order already.
    pub(super) fn of_stored(
        items: &LayeredCodes,
        order: Vec<u32>,
        ranks: impl Into<Arc<[u32]>>,
        kernel: Kernel,
    ) -> Result<Self, CodeError> {
        let ranks = ranks.into();
        CodeError::check_length("ranks", items.len(), ranks.len())?;
        CodeError::check_length("rows of the order", items.len(), order.len())?;
        let mut positions = Vec::new();
        if order.iter().enumerate().any(|(at, &row)| at != row as usize) {
            positions = vec![u32::MAX; order.len()];
            for (at, &row) in order.iter().enumerate() {
                match positions.get_mut(row as usize) {
                    Some(position) if *position == u32::MAX => *position = at as u32,
                    _ => {
                        return Err(CodeError::Row { row: row as usize, rows: items.len() });
                    }
                }
            }
        }
        Ok(Self { shape: Arc::clone(items.shape()), blocks: Blocks::build(items), order, positions, ranks, kernel })
    }

    /// Rows in the index.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The shape of queries and items.
    pub(super) fn shape(&self) -> &Arc<CodeShape> {
        &self.shape
    }

    /// The code of one row, put together from its block. O(words).
    ///
    /// # Panics
    /// If there is no such row.
    pub(super) fn code(&self, row: u32) -> LayeredCodes {
        let position = self.position(row);
        let mut halves = self.blocks.words_at(position);
        let mut words = Vec::with_capacity(self.shape.words());
        for &width in self.shape.widths() {
            for start in (0..width).step_by(64) {
                let low = u64::from(halves.next().unwrap_or(0));
                let high = if width - start > 32 { u64::from(halves.next().unwrap_or(0)) } else { 0 };
                words.push(low | high << 32);
            }
        }
        let scalers = (0..self.shape.layers()).map(|layer| self.blocks.scaler(position, layer)).collect();
        LayeredCodes::from_valid(Arc::clone(&self.shape), words, scalers)
    }

    /// Where a row is stored.
    ///
    /// # Panics
    /// If there is no such row.
    pub(super) fn position(&self, row: u32) -> usize {
        if self.positions.is_empty() { row as usize } else { self.positions[row as usize] as usize }
    }

    /// Has the codes in memory that other processes have too, where these files hold the same; whether they do.
    pub(super) fn share_codes(&mut self, words: &Path, scalers: &Path) -> std::io::Result<bool> {
        let Some(shared) = self.blocks.shared(words, scalers)? else { return Ok(false) };
        self.blocks = shared;
        Ok(true)
    }

    /// The codes, in the order of the scan.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The row at each position.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// The loops that score.
    pub(super) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.blocks.bytes() + size_of_val(self.order.as_slice()) + size_of_val(self.positions.as_slice())
    }

    /// The exact best k of the rows `filter` admits; none for k = 0. O(n x words), or O(m x words) for a short allow list of m rows.
    ///
    /// # Errors
    /// If the query has another shape than the items.
    pub fn search(&self, query: &QueryCode, k: usize, filter: &Filter<'_>) -> Result<Found, CodeError> {
        if **query.shape() != *self.shape {
            return Err(CodeError::ShapeMismatch);
        }
        let query = BlockQuery::new(query);
        let few = filter.allow.filter(|allow| allow.len() < self.len() as u64 / SPARSE);
        let mut top = TopK::new(k, self.len());
        let (engine, codes) = match few {
            _ if k == 0 => (EngineKind::Linear, 0),
            Some(allow) => (EngineKind::Allowed, self.score_allowed(&query, allow, filter, u64::MAX, &mut top).0),
            None => (EngineKind::Linear, self.scan(&query, filter, &mut top)),
        };
        Ok(Found::new(top, engine, Work { codes, ..Work::default() }))
    }

    /// [`Linear::search`] of several queries with as many planes, which share a scan of all rows.
    ///
    /// # Errors
    /// If a query has another shape than the items.
    pub fn search_together(&self, queries: &[(&QueryCode, Filter<'_>)], k: usize) -> Result<Vec<Found>, CodeError> {
        if queries.iter().any(|(query, _)| **query.shape() != *self.shape) {
            return Err(CodeError::ShapeMismatch);
        }
        let prepared: Vec<BlockQuery> = queries.iter().map(|(query, _)| BlockQuery::new(query)).collect();
        let filters: Vec<&Filter<'_>> = queries.iter().map(|(_, filter)| filter).collect();
        let mut tops = vec![TopK::new(k, self.len()); queries.len()];
        self.scan_many(&prepared.iter().collect::<Vec<_>>(), &filters, &mut tops);
        let work = Work { codes: self.len() as u64, ..Work::default() };
        Ok(tops.into_iter().map(|top| Found::new(top, EngineKind::Linear, work)).collect())
    }

    /// Scores every row; returns how many.
    pub(super) fn scan(&self, query: &BlockQuery, filter: &Filter<'_>, top: &mut TopK) -> u64 {
        let threshold = top.threshold();
        let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
            self.offer(block, lanes, scores, filter, top);
            top.threshold()
        };
        self.kernel.scan(&self.blocks, query, 0..self.blocks.len(), threshold, &mut sink);
        self.len() as u64
    }

    /// [`Linear::scan`] of several queries with as many planes, each with its filter and its best so far, in one pass over the codes.
    fn scan_many(&self, queries: &[&BlockQuery], filters: &[&Filter<'_>], tops: &mut [TopK]) {
        let mut thresholds: Vec<f32> = tops.iter().map(TopK::threshold).collect();
        let mut sink = |query: usize, block: usize, lanes: u16, scores: &[f32; LANES]| {
            self.offer(block, lanes, scores, filters[query], &mut tops[query]);
            tops[query].threshold()
        };
        self.kernel.scan_many(&self.blocks, queries, 0..self.blocks.len(), &mut thresholds, &mut sink);
    }

    /// Scores only blocks that hold a row of `allow`, up to `budget` codes and what it takes to fill `top`; returns how many codes, and whether
    /// those were all. O(m (log m + words)) for m rows.
    pub(super) fn score_allowed(
        &self,
        query: &BlockQuery,
        allow: &roaring::RoaringBitmap,
        filter: &Filter<'_>,
        budget: u64,
        top: &mut TopK,
    ) -> (u64, bool) {
        let mut at: Vec<u32> = allow
            .iter()
            .filter_map(|row| {
                if self.positions.is_empty() {
                    ((row as usize) < self.len()).then_some(row)
                } else {
                    self.positions.get(row as usize).copied()
                }
            })
            .collect();
        at.sort_unstable();
        let mut scored = 0;
        for block_positions in at.chunk_by(|a, b| a / LANES as u32 == b / LANES as u32) {
            let block = block_positions[0] as usize / LANES;
            let items = LANES.min(self.len() - block * LANES) as u64;
            if scored + items > budget && top.is_full() {
                return (scored, false);
            }
            let lanes = block_positions.iter().fold(0, |lanes, at| lanes | 1 << (*at as usize % LANES));
            let scores = self.kernel.score(&self.blocks, query, block);
            self.offer(block, lanes, &scores, filter, top);
            scored += items;
        }
        (scored, true)
    }

    /// Offers the admitted rows among `lanes` of a block.
    #[inline]
    pub(super) fn offer(&self, block: usize, lanes: u16, scores: &[f32; LANES], filter: &Filter<'_>, top: &mut TopK) {
        self.offer_counting(block, lanes, scores, filter, top, |_| ());
    }

    /// [`Linear::offer`], and tells the scores of rows the user has not seen that reach the list and are not listed.
    #[inline]
    pub(super) fn offer_counting(
        &self,
        block: usize,
        mut lanes: u16,
        scores: &[f32; LANES],
        filter: &Filter<'_>,
        top: &mut TopK,
        mut refused: impl FnMut(f32),
    ) {
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            // Padding lanes of the last block have no row.
            let Some(&row) = self.order.get(block * LANES + lane) else {
                return;
            };
            let score = scores[lane];
            if score < top.threshold() || filter.has_seen(row) {
                continue;
            }
            if filter.lists(row) {
                top.push(score, self.ranks[row as usize], row);
            } else {
                refused(score);
            }
        }
    }
}
