//! Buckets: runs of the order of storage, each with what the best of its items promise.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::probe::{AHEAD, Probe};
use super::vectors::{components, layer_product, mean};
use crate::code::{CodeError, LayeredCodes, MAX_SCALER};
use crate::kernel::popcount::{BallQuery, Centres, LANES, Source};

/// How many deviations above what their direction promises the best items of a bucket are expected.
const DEVIATIONS: f32 = 2.5;

/// So many buckets are looked at one by one; of more, those whose larger bucket promises most.
const FLAT: usize = 4096;

/// Buckets looked at for every sixteen codes that are scored, where there are too many to look at all.
const LOOKS: u64 = 8;

/// Codes scored before more buckets are looked at; twice as many after every time.
const FIRST: u64 = 2048;

/// Of so many blocks of centres one is looked at to tell where those begin that will be needed.
const SURVEYED: usize = 8;

/// The keys of all buckets.
const ALL: Range<u64> = 0..u64::MAX;

/// Where to look first: for every block of codes a centre whose score is about that of the best of them, and how far they scatter about it; and the same
/// for runs of sixteen blocks, and of sixteen such runs, so that what a run is made of is one block of centres.
///
/// With V = alpha x sigma the vectors of a bucket and m their mean, one layer at a time, the centre scores what the longest of them would in the
/// direction of m: its bits are the signs of m, its scaler is max |V| |m| / |m|_1, since q m / |m| is about q sign(m) |m| / |m|_1 (the estimator of
/// RaBitQ, arXiv 2405.12497, section 3.2). The deviation is a few times that of a component of V - m for the item farthest from m.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    /// The smallest buckets first.
    levels: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    centres: Centres,
    len: usize,
}

impl Buckets {
    /// The buckets of `items`, which are in the order of storage. O(n x bits), parallel.
    ///
    /// # Errors
    /// None that valid codes give.
    pub(super) fn build(items: &LayeredCodes) -> Result<Self, CodeError> {
        let mut levels = vec![Level::build(items, LANES)?];
        for level in 1.. {
            if levels[level - 1].len <= FLAT {
                break;
            }
            levels.push(Level::build(items, LANES.pow(level as u32 + 1))?);
        }
        Ok(Self { levels })
    }

    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.centres.bytes()).sum()
    }

    /// Scores the blocks that promise most until the budget of `probe` is spent, or nothing is left. Which block comes next does not depend on the
    /// budget, but among those that are scored together. O(buckets looked at) beside the codes.
    pub(super) fn search(&self, probe: &mut Probe<'_>) {
        let mut survey = self.sample(probe);
        let others: Vec<u32> = (0..self.top().centres.blocks() as u32).filter(|&block| !is_sample(block)).collect();
        let keys = survey.from.unwrap_or(ALL.start)..ALL.end;
        self.look(probe, self.levels.len() - 1, &others, keys, &mut survey.waiting);
        self.open(probe, survey);
    }

    /// [`Buckets::search`] of several probes whose queries have as many planes: they share the look at the largest buckets.
    pub(super) fn search_together(&self, probes: &mut [Probe<'_>]) {
        let Some(first) = probes.first() else { return };
        let (kernel, top) = (first.linear.kernel(), self.top());
        let mut surveys: Vec<Survey> = probes.iter_mut().map(|probe| self.sample(probe)).collect();
        let queries: Vec<&BallQuery> = probes.iter().map(|probe| probe.query).collect();
        let keys = |survey: &Survey| survey.from.unwrap_or(ALL.start)..ALL.end;
        let mut thresholds: Vec<f32> = surveys.iter().map(|survey| promise(keys(survey).start)).collect();
        let kept = thresholds.clone();
        let mut sink = |query: usize, block: usize, lanes: u16, promises: &[f32; LANES]| {
            if !is_sample(block as u32) {
                let keys = keys(&surveys[query]);
                wait(&mut surveys[query].waiting, &keys, block * LANES..top.len, lanes, promises);
            }
            kept[query]
        };
        kernel.scan_many(&top.centres, &queries, 0..top.centres.blocks(), &mut thresholds, &mut sink);
        for (probe, survey) in probes.iter_mut().zip(surveys) {
            probe.work.nodes += top.len as u64 - survey.sampled;
            self.open(probe, survey);
        }
    }

    /// The largest buckets.
    fn top(&self) -> &Level {
        &self.levels[self.levels.len() - 1]
    }

    /// How many buckets of a level are opened for so many codes.
    fn opened(level: usize, codes: u64) -> u64 {
        match level {
            0 => codes.div_ceil(LANES as u64),
            _ => (codes.saturating_mul(LOOKS) / (LANES * LANES) as u64).div_ceil(LANES.pow(level as u32 - 1) as u64),
        }
    }

    /// Has the largest buckets of a sample wait: all of them, or, where few are wanted, from a key on that leaves more than these most often.
    fn sample(&self, probe: &mut Probe<'_>) -> Survey {
        let top = self.levels.len() - 1;
        // Goals double, so that the last one lies above the budget.
        let goals = probe.left().div_ceil(FIRST).checked_next_power_of_two().and_then(|goals| goals.checked_mul(FIRST));
        let codes = if top == 0 { probe.left() } else { goals.unwrap_or(u64::MAX) };
        let sample: Vec<u32> =
            (0..self.levels[top].centres.blocks() as u32).filter(|&block| is_sample(block)).collect();
        let mut waiting = Vec::new();
        let before = probe.work.nodes;
        self.look(probe, top, &sample, ALL, &mut waiting);
        let sampled = probe.work.nodes - before;
        // Neighbours promise alike, so that a sample of runs of them is a small one.
        let share = usize::try_from(Self::opened(top, codes)).unwrap_or(usize::MAX) / SURVEYED;
        let expected = share.saturating_add(share / 2 + LANES);
        let from = waiting.len().checked_sub(expected).map(|rest| {
            let from = *waiting.select_nth_unstable(rest).1;
            waiting.drain(..rest);
            from
        });
        Survey { waiting, from, sampled }
    }

    /// Opens what promises most of the largest buckets that wait, until the budget is spent or nothing is left.
    fn open(&self, probe: &mut Probe<'_>, survey: Survey) {
        // What waits to be opened, by level, and at the front what waits to be scored.
        let mut waiting: Vec<Vec<u64>> = vec![Vec::new(); self.levels.len()];
        let top = self.levels.len() - 1;
        let mut missing = survey.from;
        waiting[top] = survey.waiting;
        let (mut looked, mut goal) = (0, if top == 0 { u64::MAX } else { FIRST });
        while !probe.spent {
            for level in (1..=top).rev() {
                let most = Self::opened(level, goal - looked);
                self.complete(probe, level, most, &mut missing, &mut waiting);
                let opened = best(&mut waiting[level], most, false);
                self.look(probe, level - 1, &opened, ALL, &mut waiting[level - 1]);
            }
            let blocks = Self::opened(0, goal.saturating_sub(probe.work.codes).min(probe.left()).max(1));
            self.complete(probe, 0, blocks, &mut missing, &mut waiting);
            // With a smaller budget the last would not have been taken.
            let next = best(&mut waiting[0], blocks, probe.trace.is_some());
            if next.is_empty() {
                return;
            }
            probe.scan_list_within(&next);
            if probe.work.codes >= goal {
                (looked, goal) = (goal, goal.saturating_mul(2));
            }
        }
    }

    /// Has the largest buckets wait that a survey left out, where fewer than `most` wait of those of `level`.
    fn complete(
        &self,
        probe: &mut Probe<'_>,
        level: usize,
        most: u64,
        missing: &mut Option<u64>,
        waiting: &mut [Vec<u64>],
    ) {
        let waiting = &mut waiting[level];
        if level + 1 < self.levels.len() || waiting.len() as u64 >= most {
            return;
        }
        if let Some(before) = missing.take() {
            let blocks: Vec<u32> = (0..self.levels[level].centres.blocks() as u32).collect();
            self.look(probe, level, &blocks, 0..before, waiting);
        }
    }

    /// Has the buckets of some blocks of centres wait whose keys are in `keys`.
    fn look(&self, probe: &mut Probe<'_>, level: usize, blocks: &[u32], keys: Range<u64>, waiting: &mut Vec<u64>) {
        let level = &self.levels[level];
        let threshold = promise(keys.start);
        waiting.reserve(if keys == ALL { blocks.len() * LANES } else { 0 });
        let mut sink = |block: usize, lanes: u16, promises: &[f32; LANES]| {
            wait(waiting, &keys, block * LANES..level.len, lanes, promises);
            threshold
        };
        probe.linear.kernel().scan_list(&level.centres, probe.query, blocks, threshold, &mut sink);
        let len = |&block: &u32| LANES.min(level.len - block as usize * LANES) as u64;
        probe.work.nodes += blocks.iter().map(len).sum::<u64>();
    }
}

impl Level {
    fn build(items: &LayeredCodes, size: usize) -> Result<Self, CodeError> {
        let shape = items.shape();
        let len = items.len().div_ceil(size);
        let summary = |bucket: usize| Summary::of(items, bucket * size..items.len().min((bucket + 1) * size));
        let summaries: Vec<Summary> = (0..len).into_par_iter().map(summary).collect();
        let words = summaries.iter().flat_map(|summary| summary.signs.iter().copied()).collect();
        let scalers = summaries.iter().flat_map(|summary| summary.scalers.iter().copied()).collect();
        let deviations: Vec<f32> =
            summaries.iter().flat_map(|summary| summary.deviations.iter().map(|one| DEVIATIONS * one)).collect();
        let centres = Centres::new(&LayeredCodes::from_parts(Arc::clone(shape), words, scalers)?, &deviations)?;
        Ok(Self { centres, len })
    }
}

/// A first look at the largest buckets.
struct Survey {
    /// What waits to be opened.
    waiting: Vec<u64>,
    /// The key that those of the other buckets have to reach; `None` where all of them are wanted.
    from: Option<u64>,
    /// Buckets that were looked at.
    sampled: u64,
}

/// Whether a block of the largest buckets is looked at to tell where those begin that will be needed.
fn is_sample(block: u32) -> bool {
    (block as usize).is_multiple_of(SURVEYED)
}

/// Has those buckets of a block wait whose keys are in `keys`: the first of `buckets`, which end with the last there is.
fn wait(waiting: &mut Vec<u64>, keys: &Range<u64>, buckets: Range<usize>, mut lanes: u16, promises: &[f32; LANES]) {
    let key = |lane: usize| key(promises[lane], (buckets.start + lane) as u32);
    if *keys == ALL && buckets.len() >= LANES {
        let mut all = [0; LANES];
        for (lane, key_of) in all.iter_mut().enumerate() {
            *key_of = key(lane);
        }
        return waiting.extend_from_slice(&all);
    }
    while lanes != 0 {
        let lane = lanes.trailing_zeros() as usize;
        lanes &= lanes - 1;
        // Lanes that pad the last block are no buckets.
        if lane < buckets.len() && keys.contains(&key(lane)) {
            waiting.push(key(lane));
        }
    }
}

/// Takes the `most` largest out of `waiting`: the numbers of their buckets, largest first if `sorted`, otherwise the [`AHEAD`] largest first.
fn best(waiting: &mut Vec<u64>, most: u64, sorted: bool) -> Vec<u32> {
    let rest = waiting.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
    if rest > 0 {
        waiting.select_nth_unstable(rest);
    }
    let most = &mut waiting[rest..];
    if sorted {
        most.sort_unstable();
    } else if most.len() > AHEAD {
        most.select_nth_unstable(most.len() - AHEAD);
    }
    let taken = most.iter().rev().map(|&key| !(key as u32)).collect();
    waiting.truncate(rest);
    taken
}

/// Larger for buckets that promise more, and for those before among equals: floats as integers in the same order, above what is left of a bucket's
/// number.
fn key(promise: f32, bucket: u32) -> u64 {
    let bits = promise.to_bits();
    let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ascending) << 32 | u64::from(!bucket)
}

/// The promise of the least key from `key` on; minus infinity for all keys.
fn promise(key: u64) -> f32 {
    let ascending = (key >> 32) as u32;
    match ascending >> 31 {
        _ if key == 0 => f32::NEG_INFINITY,
        0 => f32::from_bits(!ascending),
        _ => f32::from_bits(ascending & !(1 << 31)),
    }
}

/// What the items of a bucket have in common.
struct Summary {
    signs: Vec<u64>,
    scalers: Vec<f32>,
    deviations: Vec<f32>,
}

impl Summary {
    fn of(items: &LayeredCodes, rows: Range<usize>) -> Self {
        let shape = items.shape();
        let mean = mean(items, rows.clone());
        let mut summary = Self { signs: vec![0; shape.words()], scalers: Vec::new(), deviations: Vec::new() };
        for (layer, &width) in shape.widths().iter().enumerate() {
            let (mut magnitude, mut norm) = (0.0, 0.0);
            for k in components(shape, layer) {
                summary.signs[k / 64] |= u64::from(mean[k] >= 0.0) << (k % 64);
                magnitude += mean[k].abs();
                norm += mean[k] * mean[k];
            }
            let scaler = |row: usize| items.row(row).scalers[layer];
            let longest = rows.clone().map(scaler).fold(0.0, f32::max) * (width as f32).sqrt();
            let scale = if magnitude > 0.0 { longest * (norm.sqrt() / magnitude) } else { 0.0 };
            summary.scalers.push(scale.min(MAX_SCALER));
            // The square of V - m for every component.
            let apart = |row: usize| {
                let product = layer_product(items, row, layer, &mean);
                scaler(row) * scaler(row) + (norm - 2.0 * product) / width as f32
            };
            summary.deviations.push(rows.clone().map(apart).fold(0.0, f32::max).sqrt());
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::probe::{Limit, prepare};
    use super::super::{Filter, Linear, Order};
    use super::*;
    use crate::code::tests::{flipped_items, random_query};
    use crate::code::{CodeShape, QueryCode};
    use crate::kernel::popcount::Kernel;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_comes_next_does_not_depend_on_the_budget(
            rows in 3000..9000usize,
            run in 1..300usize,
            budgets in prop::collection::vec(1..4000u64, 6),
            seed: u64,
        ) {
            let shape = Arc::new(CodeShape::hops(96, 0).unwrap());
            let items = flipped_items(&shape, rows, run, 12, seed);
            let order = Order::without_bands(&items).rows;
            let items = items.reordered(&order).unwrap();
            let buckets = Buckets::build(&items).unwrap();
            let ranks: Vec<u32> = (0..rows as u32).collect();
            let linear = Linear::of_stored(&items, order, ranks, Kernel::from_env().unwrap()).unwrap();
            let queries = [random_query(&shape, 2, seed), QueryCode::from_item(&items, rows / 2).unwrap()];
            for query in queries {
                let query = prepare(&query);
                let filter = Filter::default();
                let scored = |codes: u64| {
                    let mut probe = Probe::new(&linear, None, &query, 5, &filter, Limit { codes, ..Limit::NONE });
                    probe.trace = Some(Vec::new());
                    buckets.search(&mut probe);
                    probe.trace.unwrap()
                };
                let all = scored(u64::MAX);
                let mut sorted = all.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.into_iter().eq(0..rows.div_ceil(LANES) as u32));
                for &budget in &budgets {
                    let some = scored(budget);
                    let least = all.len().min(budget as usize / LANES);
                    prop_assert!(some.len() >= least && all.starts_with(&some), "{}", budget);
                }
            }
        }

        #[test]
        fn keys_keep_the_order_of_promises(a: f32, b: f32, buckets: [u32; 2]) {
            let [one, other] = [key(a, buckets[0]), key(b, buckets[1])];
            if a != b {
                prop_assert_eq!(a < b, one < other);
            }
            prop_assert!(promise(one) == a || a.is_nan());
        }
    }

    #[test]
    fn the_largest_scalers_there_may_be_have_a_mean() {
        let shape = Arc::new(CodeShape::hops(70, 0).unwrap());
        for rows in 1..70 {
            let words = flipped_items(&shape, rows, 70, 0, 3).words().to_vec();
            let items = LayeredCodes::from_parts(Arc::clone(&shape), words, vec![MAX_SCALER; rows]).unwrap();
            assert!(Buckets::build(&items).is_ok(), "{rows} rows");
        }
    }
}
