use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::{Calibration, EngineKind, Filter, Work, pieces};
use crate::code::CodeShape;
use crate::kernel::popcount::{Kernel, LANES, TABLE_PLANES};

/// Up to so many items nothing beats the scan.
const SMALL: usize = 4096;

/// A search for more than one in this many of the items visits nearly everything.
const DEEP: u64 = 16;

/// A deny list of at least 1 - 1/this of the items is turned round into what it leaves.
const MOSTLY_DENIED: u64 = 4;

/// How long a kernel takes, in units of one comparison of a 32-bit word of 16 items with one plane by AVX2 look-ups: fixed ratios, so that a plan
/// never depends on the clock (`cargo bench --bench kernels`, on a processor that has them all).
#[derive(Debug, Clone, Copy)]
struct Speed {
    /// Comparing a word of 16 items with one plane.
    word: f64,
    /// With a set of up to [`TABLE_PLANES`] planes.
    set: f64,
    /// The arithmetic of a layer of 16 items.
    layer: f64,
}

impl Speed {
    fn of(kernel: Kernel) -> Self {
        match kernel {
            Kernel::Avx512 => Self { word: 0.5, set: 0.9, layer: 1.1 },
            // One item, and one plane, at a time.
            Kernel::Scalar => Self { word: 50.0, set: 150.0, layer: 20.0 },
            Kernel::Avx512Bw | Kernel::Avx2 | Kernel::Neon => Self { word: 1.0, set: 1.1, layer: 2.1 },
        }
    }
}

/// What one unit of work costs, in the units of [`Speed`]. Jumping to a block that was not asked for in advance costs about [`Costs::JUMP`], the
/// kernel whichever (codes past the second-level cache).
#[derive(Debug, Clone, Copy)]
struct Costs {
    node: f64,
    head: f64,
    code: f64,
    allowed: f64,
}

impl Costs {
    const JUMP: f64 = 12.0;

    /// What a piece of a code costs beside its bits: it is jumped to, and what was read of the code is kept.
    const PIECE: f64 = 5.0;

    /// Costs of single nodes, heads and codes for a query of `planes` planes.
    fn of(kernel: Kernel, shape: &CodeShape, head_words: usize, planes: u32) -> Self {
        let speed = Speed::of(kernel);
        let words = f64::from(shape.widths().iter().map(|d| d.div_ceil(32)).sum::<u32>());
        let layers = shape.layers() as f64 * speed.layer;
        let word = if planes == 1 { speed.word } else { speed.set * f64::from(planes.div_ceil(TABLE_PLANES as u32)) };
        let code = words * word + layers;
        let node = code + if planes > 1 { 3.0 * layers } else { layers } + Self::JUMP;
        // Of codes of one layer the heads are pieces.
        let piece = if shape.layers() == 1 { Self::PIECE } else { 0.0 };
        let head = head_words as f64 * word + layers + piece;
        Self { node: node / 16.0, head: head / 16.0, code: code / 16.0, allowed: code + Self::JUMP }
    }

    fn total(&self, work: &Average) -> f64 {
        work.nodes * self.node + work.heads * self.head + work.codes * self.code + work.buckets * Costs::JUMP
    }
}

/// What a query touches on average.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Average {
    nodes: f64,
    buckets: f64,
    heads: f64,
    codes: f64,
}

impl Average {
    fn of(work: &[Work]) -> Self {
        let mean = |part: fn(&Work) -> u64| work.iter().map(part).sum::<u64>() as f64 / work.len().max(1) as f64;
        Self {
            nodes: mean(|work| work.nodes),
            buckets: mean(|work| work.buckets),
            heads: mean(|work| work.heads),
            codes: mean(|work| work.codes),
        }
    }
}

/// How a filter is met.
pub(super) enum Plan<'a> {
    /// Nothing can be returned.
    Nothing,
    /// These rows are scored one by one; the filter still applies.
    Score(Cow<'a, RoaringBitmap>),
    /// An engine runs, and asks the filter about rows that would enter.
    Run(EngineKind, Expected),
}

/// What a plan goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// What the engine costs.
    cost: f64,
    /// Rows the filter admits.
    admitted: u64,
}

/// Chooses the engine with the least expected cost, from what sample queries touched in this very index.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    kernel: Kernel,
    items: usize,
    head_words: usize,
    /// What the samples touched by engine; empty for a small index.
    samples: Vec<(EngineKind, Average)>,
    /// What the samples touched beside the codes when they searched for a share of the exact list.
    partial: Option<Average>,
}

impl Planner {
    pub(super) fn new(kernel: Kernel, items: usize, head_words: usize) -> Self {
        Self { kernel, items, head_words, samples: Vec::new(), partial: None }
    }

    /// Whether samples would change a plan.
    pub(super) fn wants_samples(&self) -> bool {
        self.items > SMALL
    }

    /// Whether nothing beats the scan for a list of some length, by what the samples touched.
    pub(super) fn scans(&self, shape: &CodeShape, planes: u32, k: usize) -> bool {
        let costs = Costs::of(self.kernel, shape, self.head_words, planes);
        self.engine(&costs, shape, k as u64, self.items as u64).0 == EngineKind::Linear
    }

    /// Takes what sample queries touched with one engine.
    pub(super) fn learn(&mut self, engine: EngineKind, work: &[Work]) {
        self.samples.retain(|(known, _)| *known != engine);
        self.samples.push((engine, Average::of(work)));
    }

    /// Takes what sample queries touched when they searched for a share of the exact list.
    pub(super) fn learn_partial(&mut self, work: &[Work]) {
        self.partial = Some(Average::of(work));
    }

    /// The budget that is expected to find `share` of the best `k`, where that costs less than what was planned.
    pub(super) fn partial(
        &self,
        shape: &CodeShape,
        planes: u32,
        k: usize,
        expected: Expected,
        (calibration, share): (&Calibration, f32),
    ) -> Option<u64> {
        // The k-th of the admitted is further down among all, by as much as there are more of these.
        let depth = u128::from(k as u64) * self.items as u128 / u128::from(expected.admitted.max(1));
        // A shorter list may need more: its share is less certain.
        let budget = [k as u64, u64::try_from(depth).unwrap_or(u64::MAX)].map(|depth| calibration.budget(depth, share));
        let budget = budget[0].max(budget[1]);
        let costs = Costs::of(self.kernel, shape, self.head_words, planes);
        let beside = costs.total(&Average { codes: 0.0, ..self.partial? });
        // Every block is jumped to.
        let cost = beside + budget as f64 * (costs.code + Costs::JUMP / 16.0);
        (budget < self.items as u64 && cost < expected.cost).then_some(budget)
    }

    /// The plan for the best `k` of `filter`. O(samples), and O(items / 64) for a deny list of most items.
    pub(super) fn plan<'a>(&self, shape: &CodeShape, planes: u32, k: usize, filter: &Filter<'a>) -> Plan<'a> {
        let items = self.items as u64;
        if k == 0 || items == 0 {
            return Plan::Nothing;
        }
        let denied = filter.deny.iter().map(|deny| deny.len()).max().unwrap_or(0).min(items);
        let mut admitted = filter.allow.map_or(items - denied, |allow| allow.len().min(items));
        let mut short = filter.allow.map(Cow::Borrowed);
        let all_denied: u64 = filter.deny.iter().map(|deny| deny.len()).sum();
        if short.is_none() && MOSTLY_DENIED * all_denied >= (MOSTLY_DENIED - 1) * items {
            let mut left = RoaringBitmap::new();
            left.insert_range(0..self.items as u32);
            filter.deny.iter().for_each(|deny| left -= *deny);
            admitted = left.len();
            short = Some(Cow::Owned(left));
        }
        let costs = Costs::of(self.kernel, shape, self.head_words, planes);
        let (engine, cost) = self.engine(&costs, shape, k as u64, admitted);
        match short {
            Some(rows) if rows.len() as f64 * costs.allowed < cost => Plan::Score(rows),
            _ => Plan::Run(engine, Expected { cost, admitted }),
        }
    }

    /// The cheapest engine for the best `k` of `admitted` rows, and its cost.
    fn engine(&self, costs: &Costs, shape: &CodeShape, k: u64, admitted: u64) -> (EngineKind, f64) {
        let items = self.items as u64;
        let linear = (EngineKind::Linear, items as f64 * costs.code);
        // To find k admitted rows is to find as many times more as there are rows to an admitted one.
        let deep = u128::from(k) * u128::from(DEEP) >= u128::from(admitted);
        if deep || admitted == 0 {
            return linear;
        }
        // Of codes of one layer a longer list than those of the samples scores more of what promises most, block by block.
        let longer = match shape.layers() {
            1 => (pieces::first(k).min(items) - pieces::first(0).min(items)) as f64,
            _ => 0.0,
        };
        let longer = longer * (costs.code + Costs::JUMP / LANES as f64);
        let sampled = self.samples.iter().map(|(engine, average)| match engine {
            EngineKind::Head => (*engine, costs.total(average) + longer),
            _ => (*engine, costs.total(average)),
        });
        sampled.fold(linear, |best, next| if next.1 < best.1 { next } else { best })
    }
}
