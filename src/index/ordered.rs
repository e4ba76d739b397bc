use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::buckets::Buckets;
use super::mih::Mih;
use super::nodes::Nodes;
use super::order::{Order, Profile};
use super::planner::{Plan, Planner};
use super::probe::{Probe, prepare};
use super::{EngineKind, Filter, Found, Linear, TopK, Work, frontier, tree};
use crate::code::{CodeError, CodeShape, LayeredCodes, QueryCode};
use crate::kernel::popcount::{BlockQuery, Heads, Kernel};

/// Sample queries the planner learns from at build.
const SAMPLES: usize = 16;

/// Queries that share a scan, at most.
pub const TOGETHER: usize = 8;

/// How many results a sample query asks for.
const SAMPLE_K: usize = 20;

/// The index of a generation: items in [`Order`], with nodes and heads over them, and engines that all give the list of an exhaustive scan.
///
/// It takes about 2.2 bytes per item for nodes and 12 for heads at four layers of 64 bits, beside the codes themselves.
#[derive(Debug)]
pub struct Index {
    linear: Linear,
    bands: Vec<u32>,
    nodes: Nodes,
    /// None for codes of one layer, whose head would be the code.
    heads: Option<Heads>,
    /// For codes of one layer, where bounds do not tell what comes first.
    buckets: Option<Buckets>,
    /// The layer that adds most to scores.
    heaviest: usize,
    /// Built when it is first asked for: 2 to 4 bytes an item and table that most searches are faster without.
    mih: OnceLock<Mih>,
    planner: Planner,
}

impl Index {
    /// An index over all rows, calibrated by some of them. `ranks[row]` orders rows of equal score and is distinct for distinct rows. O(n (log n + words)), parallel.
    ///
    /// # Errors
    /// If there is not one rank per row.
    pub fn build(items: &LayeredCodes, ranks: impl Into<Arc<[u32]>>, kernel: Kernel) -> Result<Self, CodeError> {
        let mut index = Self::with_order(items, Order::of(items), ranks, kernel)?;
        index.calibrate_by_items()?;
        Ok(index)
    }

    /// An index over rows whose order is known, to be calibrated. O(n words), parallel.
    ///
    /// # Errors
    /// If `order` is no permutation of the rows with bands that cover it, or there is not one rank per row.
    pub fn with_order(
        items: &LayeredCodes,
        order: Order,
        ranks: impl Into<Arc<[u32]>>,
        kernel: Kernel,
    ) -> Result<Self, CodeError> {
        order.check()?;
        let Order { rows, bands } = order;
        CodeError::check_length("rows of the order", items.len(), rows.len())?;
        let stored = items.reordered(&rows)?;
        let nodes = Nodes::build(&stored)?;
        let layers = items.shape().layers();
        let heaviest = Profile::of(items).heaviest();
        let heads = (layers > 1).then(|| Heads::build(&stored, heaviest)).transpose()?;
        let buckets = (layers == 1).then(|| Buckets::build(&stored)).transpose()?;
        let planner = Planner::new(kernel, items.len(), heads.as_ref().map_or(0, Heads::words));
        let linear = Linear::of_stored(&stored, rows, ranks, kernel)?;
        Ok(Self { linear, bands, nodes, heads, buckets, heaviest, mih: OnceLock::new(), planner })
    }

    /// [`Index::calibrate`] by a few of the items themselves.
    ///
    /// # Errors
    /// None that valid codes give.
    pub fn calibrate_by_items(&mut self) -> Result<(), CodeError> {
        let samples = SAMPLES.min(self.len());
        let sample = |i: usize| self.code(self.order()[(2 * i + 1) * self.len() / (2 * samples)]);
        let queries: Result<Vec<QueryCode>, CodeError> =
            (0..samples).map(|i| QueryCode::from_item(&sample(i), 0)).collect();
        self.calibrate(&queries?)
    }

    /// Plans by what these queries touch from now on: a few that are like those to come. Until then every plan is a scan. The plans depend on
    /// counts only, never on the clock. O(queries x search), parallel.
    ///
    /// # Errors
    /// If a query has another shape than the items.
    pub fn calibrate(&mut self, queries: &[QueryCode]) -> Result<(), CodeError> {
        if !self.planner.wants_samples() || queries.is_empty() {
            return Ok(());
        }
        for engine in [EngineKind::Head, EngineKind::Tree] {
            let search = |query| self.search(query, SAMPLE_K, &Filter::default(), Some(engine));
            let work: Vec<Work> = queries.par_iter().map(|q| Ok(search(q)?.work)).collect::<Result<_, CodeError>>()?;
            self.planner.learn(engine, &work);
        }
        Ok(())
    }

    /// The code of one row, which only the index holds. O(words).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn code(&self, row: u32) -> LayeredCodes {
        self.linear.code(row)
    }

    /// The shape of queries and items.
    pub fn shape(&self) -> &Arc<CodeShape> {
        self.linear.shape()
    }

    /// Rows in the index.
    pub fn len(&self) -> usize {
        self.linear.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.linear.is_empty()
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.linear.bytes()
            + self.nodes.bytes()
            + self.heads.as_ref().map_or(0, Heads::bytes)
            + self.buckets.as_ref().map_or(0, Buckets::bytes)
            + self.mih.get().map_or(0, Mih::bytes)
    }

    /// The row at each position of storage.
    pub fn order(&self) -> &[u32] {
        self.linear.order()
    }

    /// The position after the last item of every norm band, ascending.
    pub fn bands(&self) -> &[u32] {
        &self.bands
    }

    /// The exact best k of the rows `filter` admits: the planner's choice of engine, or `engine`. An engine that does not apply (heads of
    /// codes with one layer) is replaced by the scan; the answer says which one ran.
    ///
    /// # Errors
    /// If the query has another shape than the items.
    pub fn search(
        &self,
        query: &QueryCode,
        k: usize,
        filter: &Filter<'_>,
        engine: Option<EngineKind>,
    ) -> Result<Found, CodeError> {
        self.search_within(query, k, filter, engine, u64::MAX)
    }

    /// [`Index::search`] that scores at most `budget` codes, or as many more as it takes to find min(k, rows admitted) rows. The list is exact,
    /// and says so, where the search ends inside the budget; otherwise it holds the best of what was scored: by the tree what has the largest bound
    /// first, or for codes of one layer what promises most on average; by heads, where those are forced, what has the largest bound; by the others
    /// in the order of storage.
    ///
    /// # Errors
    /// If the query has another shape than the items.
    pub fn search_within(
        &self,
        query: &QueryCode,
        k: usize,
        filter: &Filter<'_>,
        engine: Option<EngineKind>,
        budget: u64,
    ) -> Result<Found, CodeError> {
        let limited = budget < self.len() as u64;
        let budget = if limited { budget } else { u64::MAX };
        if **query.shape() != **self.linear.shape() {
            return Err(CodeError::ShapeMismatch);
        }
        let plan = match engine {
            Some(engine) if k > 0 => Plan::Run(engine),
            _ => match self.planner.plan(query.shape(), query.planes(), k, filter) {
                // The others do not come to the best codes first.
                Plan::Run(_) if limited => Plan::Run(EngineKind::Tree),
                plan => plan,
            },
        };
        let query = prepare(query);
        let engine = match plan {
            Plan::Nothing => return Ok(Found::new(TopK::new(0, 0), EngineKind::Linear, Work::default())),
            Plan::Score(rows) => {
                let mut top = TopK::new(k, self.len());
                let (codes, exact) = self.linear.score_allowed(query.codes(), &rows, filter, budget, &mut top);
                return Ok(Found::within(top, EngineKind::Allowed, Work { codes, ..Work::default() }, exact));
            }
            Plan::Run(EngineKind::Head) if self.heads.is_none() => EngineKind::Linear,
            Plan::Run(engine) => engine,
        };
        let heads = self.heads.as_ref().filter(|_| match engine {
            EngineKind::Linear => false,
            EngineKind::Mih => !limited,
            _ => true,
        });
        let mut probe = Probe::new(&self.linear, heads, &query, k, filter, budget);
        match engine {
            EngineKind::Mih => {
                let mih = self.mih.get_or_init(|| Mih::build(&self.linear, &self.bands, self.heaviest));
                mih.search(&mut probe);
            }
            EngineKind::Tree if limited => match &self.buckets {
                Some(buckets) => buckets.search(&mut probe, &self.nodes.levels()[0], budget),
                None => frontier::search(&mut probe, Some(&self.nodes), budget),
            },
            EngineKind::Head if limited => frontier::search(&mut probe, None, budget),
            EngineKind::Tree => tree::search(&mut probe, &self.nodes),
            _ => probe.scan(0..self.linear.blocks().len()),
        }
        Ok(Found::within(probe.top, engine, probe.work, !probe.spent))
    }

    /// [`Index::search`] for several queries: those that are best answered by a scan share one, [`TOGETHER`] at a time. The answers are those
    /// each would get alone.
    ///
    /// # Errors
    /// If a query has another shape than the items.
    pub fn search_together(&self, queries: &[(&QueryCode, Filter<'_>)], k: usize) -> Result<Vec<Found>, CodeError> {
        let mut found = Vec::with_capacity(queries.len());
        for queries in queries.chunks(TOGETHER) {
            let scans = |(query, filter): &(&QueryCode, Filter<'_>)| {
                **query.shape() == **self.linear.shape()
                    && query.planes() == queries[0].0.planes()
                    && matches!(
                        self.planner.plan(query.shape(), query.planes(), k, filter),
                        Plan::Run(EngineKind::Linear)
                    )
            };
            if queries.len() == 1 || !queries.iter().all(scans) {
                for (query, filter) in queries {
                    found.push(self.search(query, k, filter, None)?);
                }
                continue;
            }
            let prepared: Vec<BlockQuery> = queries.iter().map(|(query, _)| BlockQuery::new(query)).collect();
            let filters: Vec<&Filter<'_>> = queries.iter().map(|(_, filter)| filter).collect();
            let mut tops = vec![TopK::new(k, self.len()); queries.len()];
            self.linear.scan_many(&prepared.iter().collect::<Vec<_>>(), &filters, &mut tops);
            let work = Work { codes: self.len() as u64, ..Work::default() };
            found.extend(tops.into_iter().map(|top| Found::new(top, EngineKind::Linear, work)));
        }
        Ok(found)
    }
}
