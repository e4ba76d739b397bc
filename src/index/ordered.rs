use std::path::Path;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::buckets::Buckets;
use super::calibration::DEPTHS;
use super::mih::Mih;
use super::nodes::Nodes;
use super::order::{Order, Profile};
use super::planner::{Plan, Planner};
use super::probe::{Limit, Probe, prepare};
use super::{Calibration, Effort, EngineKind, Filter, Found, Linear, TopK, Work, frontier, pieces, tree};
use crate::code::{CodeError, CodeShape, LayeredCodes, QueryCode};
use crate::kernel::popcount::{BallQuery, Heads, Kernel, LANES, LAYOUT, PIECE, Pieces};

/// Sample queries the planner learns from at build.
const SAMPLES: usize = 16;

/// Queries that share a scan, at most.
pub const TOGETHER: usize = 8;

/// How many results a sample query asks for.
const SAMPLE_K: usize = 20;

/// The share of the exact list a sample query asks for.
const SAMPLE_SHARE: f32 = 0.99;

/// The index of a generation: items in [`Order`], with nodes and heads over them, and engines that all give the list of an exhaustive scan.
///
/// It takes about 2.2 bytes per item for nodes and 12 for heads at four layers of 64 bits, beside the codes themselves, and 3.5, 6.5 and 7 for nodes, buckets and pieces at one of 768.
#[derive(Debug)]
pub struct Index {
    linear: Linear,
    bands: Vec<u32>,
    nodes: Nodes,
    /// None for codes of one layer, whose heads are pieces.
    heads: Option<Heads>,
    /// For codes of one layer, where bounds do not tell what comes first.
    buckets: Option<Buckets>,
    /// For codes of one layer that are not too short: their heads are pieces, as many as it takes.
    pieces: Option<Pieces>,
    /// The layer that adds most to scores.
    heaviest: usize,
    /// Built when it is first asked for: 2 to 4 bytes an item and table that most searches are faster without.
    mih: OnceLock<Mih>,
    planner: Planner,
    calibration: Option<Calibration>,
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
        let pieces = pieces::build(&stored)?;
        let head_words = heads.as_ref().map_or(PIECE as usize / 32, Heads::words);
        let planner = Planner::new(kernel, items.len(), head_words);
        let linear = Linear::of_stored(&stored, rows, ranks, kernel)?;
        Ok(Self {
            linear,
            bands,
            nodes,
            heads,
            buckets,
            pieces,
            heaviest,
            mih: OnceLock::new(),
            planner,
            calibration: None,
        })
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

    /// Whether queries of so many planes are best answered by a scan, so that the order of storage serves searches by a budget alone.
    pub fn is_scanned(&self, planes: u32) -> bool {
        self.planner.wants_samples() && self.planner.scans(self.shape(), planes, SAMPLE_K)
    }

    /// Measures what a budget finds, on these queries and what each may return: a few hundred that are like those to come. It is `None` for a small
    /// index, which is scanned. O(queries x n x words), parallel.
    ///
    /// # Errors
    /// If a query has another shape than the items.
    pub fn measure(&self, samples: &[(QueryCode, Filter<'_>)]) -> Result<Option<Calibration>, CodeError> {
        if !self.planner.wants_samples() || samples.is_empty() {
            return Ok(None);
        }
        let until = |(query, filter): &(QueryCode, Filter<'_>)| -> Result<Vec<u32>, CodeError> {
            let depth = DEPTHS[DEPTHS.len() - 1] as usize;
            let exact = self.search(query, depth, filter, None)?;
            let prepared = prepare(query);
            let mut probe = self.probe(&prepared, depth, filter, EngineKind::Tree, Limit::NONE);
            probe.trace = Some(Vec::new());
            self.run(&mut probe, EngineKind::Tree, true);
            let mut scored = vec![u32::MAX; self.linear.blocks().len()];
            let mut codes = 0;
            for &block in probe.trace.iter().flatten() {
                codes += LANES as u32;
                scored[block as usize] = codes;
            }
            Ok(exact.matches.iter().map(|hit| scored[self.linear.position(hit.row) / LANES]).collect())
        };
        let until: Vec<Vec<u32>> = samples.par_iter().map(until).collect::<Result<_, _>>()?;
        Ok(Some(Calibration::of(&until)))
    }

    /// Has [`Effort::Recall`] go by a measurement of this index, and plans by what these queries touch with it. O(queries x search), parallel.
    ///
    /// # Errors
    /// If a query has another shape than the items.
    pub fn set_calibration(&mut self, calibration: Calibration, queries: &[QueryCode]) -> Result<(), CodeError> {
        if queries.iter().any(|query| **query.shape() != **self.linear.shape()) {
            return Err(CodeError::ShapeMismatch);
        }
        let (codes, share) = (calibration.budget(SAMPLE_K as u64, SAMPLE_SHARE), SAMPLE_SHARE);
        let filter = Filter::default();
        let touched = |query: &QueryCode| {
            let prepared = prepare(query);
            let limit = Limit { codes, recall: Some((&calibration, share)), is_judged: true };
            let mut probe = self.probe(&prepared, SAMPLE_K, &filter, EngineKind::Tree, limit);
            self.run(&mut probe, EngineKind::Tree, true);
            probe.work
        };
        let work: Vec<Work> = queries.par_iter().map(touched).collect();
        self.planner.learn_partial(&work);
        self.calibration = Some(calibration);
        Ok(())
    }

    /// What budgets find, if that was measured.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// The code of one row, which only the index holds. O(words).
    ///
    /// # Panics
    /// If there is no such row.
    pub fn code(&self, row: u32) -> LayeredCodes {
        self.linear.code(row)
    }

    /// Codes as the kernels read them, and the name of that layout: words and scalers, in the order of storage.
    pub(crate) fn stored_codes(&self) -> (&'static str, [&[u8]; 2]) {
        (LAYOUT, self.linear.blocks().as_bytes())
    }

    /// Has the codes in memory that other processes have too, where these files hold what [`Index::stored_codes`] gives of this index; whether they do.
    ///
    /// # Errors
    /// Where a file cannot be mapped.
    pub(crate) fn share_codes(&mut self, words: &Path, scalers: &Path) -> std::io::Result<bool> {
        self.linear.share_codes(words, scalers)
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
            + self.pieces.as_ref().map_or(0, Pieces::bytes)
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
        self.search_with(query, k, filter, engine, Effort::Exact)
    }

    /// [`Index::search`] with more or less effort. The list is exact, and says so, where the search ends inside its budget; otherwise it holds the
    /// best of what was scored: by the tree what has the largest bound first, or for codes of one layer what promises most; by heads,
    /// where those are forced, what has the largest bound; by the others in the order of storage.
    ///
    /// A share of the exact list is searched for where the index was calibrated, no engine is forced, and the planner expects to save something.
    ///
    /// # Errors
    /// If the query has another shape than the items.
    pub fn search_with(
        &self,
        query: &QueryCode,
        k: usize,
        filter: &Filter<'_>,
        engine: Option<EngineKind>,
        effort: Effort,
    ) -> Result<Found, CodeError> {
        if **query.shape() != **self.linear.shape() {
            return Err(CodeError::ShapeMismatch);
        }
        let plan = self.planner.plan(query.shape(), query.planes(), k, filter);
        let limit = self.limit(query, k, &plan, engine, effort);
        let prepared = prepare(query);
        let engine = match (plan, engine) {
            (Plan::Nothing, _) => return Ok(Found::new(TopK::new(0, 0), EngineKind::Linear, Work::default())),
            (Plan::Score(rows), None) => {
                let mut top = TopK::new(k, self.len());
                let scored = self.linear.score_allowed(prepared.codes(), &rows, filter, limit.codes, &mut top);
                let work = Work { codes: scored.0, ..Work::default() };
                return Ok(Found::within(top, EngineKind::Allowed, work, scored.1, None));
            }
            (_, Some(engine)) => engine,
            // The others do not come to the best codes first.
            (Plan::Run(..), None) if limit.codes < u64::MAX => EngineKind::Tree,
            (Plan::Run(engine, _), None) => engine,
        };
        let limited = limit.codes < u64::MAX;
        let has_heads = self.heads.is_some() || self.pieces.is_some() && !limited;
        let engine = if engine == EngineKind::Head && !has_heads { EngineKind::Linear } else { engine };
        let mut probe = self.probe(&prepared, k, filter, engine, limit);
        self.run(&mut probe, engine, limited);
        Ok(self.found(probe, engine))
    }

    /// How many codes a search with some effort may score.
    fn limit(
        &self,
        query: &QueryCode,
        k: usize,
        plan: &Plan<'_>,
        engine: Option<EngineKind>,
        effort: Effort,
    ) -> Limit<'_> {
        match (effort, plan) {
            (Effort::Budget(codes), _) if codes < self.len() as u64 => {
                Limit { codes, recall: None, is_judged: self.calibration.is_some() }
            }
            (Effort::Recall(share), &Plan::Run(_, expected)) if engine.is_none() => {
                let recall = self.calibration.as_ref().map(|calibration| (calibration, share));
                let budget = |recall| self.planner.partial(query.shape(), query.planes(), k, expected, recall);
                recall.and_then(budget).map_or(Limit::NONE, |codes| Limit { codes, recall, is_judged: true })
            }
            _ => Limit::NONE,
        }
    }

    /// The end of a search.
    fn found(&self, mut probe: Probe<'_>, engine: EngineKind) -> Found {
        let exact = !probe.spent;
        let recall = match &self.calibration {
            Some(calibration) if !exact && engine == EngineKind::Tree => Some(probe.expected(calibration)),
            _ => None,
        };
        Found::within(probe.top, engine, probe.work, exact, recall)
    }

    fn probe<'a>(
        &'a self,
        query: &'a BallQuery,
        k: usize,
        filter: &'a Filter<'a>,
        engine: EngineKind,
        limit: Limit<'a>,
    ) -> Probe<'a> {
        let heads = self.heads.as_ref().filter(|_| match engine {
            EngineKind::Linear => false,
            EngineKind::Mih => limit.codes == u64::MAX,
            _ => true,
        });
        Probe::new(&self.linear, heads, query, k, filter, limit)
    }

    /// Runs an engine: one that comes to the best codes first, if the search may end before it has its proof.
    fn run(&self, probe: &mut Probe<'_>, engine: EngineKind, limited: bool) {
        match engine {
            EngineKind::Mih => {
                let mih = self.mih.get_or_init(|| Mih::build(&self.linear, &self.bands, self.heaviest));
                mih.search(probe);
            }
            EngineKind::Tree if limited => match &self.buckets {
                Some(buckets) => buckets.search(probe),
                None => frontier::search(probe, Some(&self.nodes)),
            },
            EngineKind::Head if limited => frontier::search(probe, None),
            EngineKind::Tree => tree::search(probe, &self.nodes),
            EngineKind::Head if self.pieces.is_some() => {
                if let (Some(buckets), Some(pieces)) = (&self.buckets, &self.pieces) {
                    pieces::search(probe, buckets, pieces);
                }
            }
            _ => probe.scan(0..self.linear.blocks().len()),
        }
    }

    /// [`Index::search_with`] for several queries: those that are best answered by an exact scan share one, [`TOGETHER`] at a time, and those that search
    /// for a share of the exact list their look at the buckets. The lists are those each would get alone.
    ///
    /// # Errors
    /// If a query has another shape than the items.
    pub fn search_together(
        &self,
        queries: &[(&QueryCode, Filter<'_>)],
        k: usize,
        effort: Effort,
    ) -> Result<Vec<Found>, CodeError> {
        let mut found = Vec::with_capacity(queries.len());
        for queries in queries.chunks(TOGETHER) {
            match self.shared(queries, k, effort) {
                Shared::Scan => found.extend(self.linear.search_together(queries, k)?),
                Shared::Buckets(buckets, limits) => {
                    let prepared: Vec<BallQuery> = queries.iter().map(|(query, _)| prepare(query)).collect();
                    let mut probes: Vec<Probe<'_>> = (prepared.iter().zip(queries).zip(limits))
                        .map(|((prepared, (_, filter)), limit)| {
                            self.probe(prepared, k, filter, EngineKind::Tree, limit)
                        })
                        .collect();
                    buckets.search_together(&mut probes);
                    found.extend(probes.into_iter().map(|probe| self.found(probe, EngineKind::Tree)));
                }
                Shared::Nothing => {
                    for (query, filter) in queries {
                        found.push(self.search_with(query, k, filter, None, effort)?);
                    }
                }
            }
        }
        Ok(found)
    }

    /// What these queries can share, all of them.
    fn shared(&self, queries: &[(&QueryCode, Filter<'_>)], k: usize, effort: Effort) -> Shared<'_> {
        let alike = |(query, _): &(&QueryCode, Filter<'_>)| {
            **query.shape() == **self.linear.shape() && query.planes() == queries[0].0.planes()
        };
        if queries.len() < 2 || !queries.iter().all(alike) {
            return Shared::Nothing;
        }
        let plans = || {
            queries.iter().map(|(query, filter)| (query, self.planner.plan(query.shape(), query.planes(), k, filter)))
        };
        let scans = |plan: &Plan<'_>| match plan {
            Plan::Run(EngineKind::Linear, _) => true,
            // What a scan reads it reads once for all of them, and pieces once for each.
            Plan::Run(EngineKind::Head, _) => self.pieces.is_some(),
            _ => false,
        };
        if effort == Effort::Exact {
            return if plans().all(|(_, plan)| scans(&plan)) { Shared::Scan } else { Shared::Nothing };
        }
        let limits = plans().map(|(query, plan)| match plan {
            Plan::Run(..) => Some(self.limit(query, k, &plan, None, effort)).filter(|limit| limit.codes < u64::MAX),
            _ => None,
        });
        match (limits.collect(), &self.buckets) {
            (Some(limits), Some(buckets)) => Shared::Buckets(buckets, limits),
            _ => Shared::Nothing,
        }
    }
}

/// What several queries share.
enum Shared<'a> {
    /// A scan of all codes.
    Scan,
    /// A look at the buckets; each may score as many codes.
    Buckets(&'a Buckets, Vec<Limit<'a>>),
    Nothing,
}
