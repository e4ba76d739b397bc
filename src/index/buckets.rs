//! Buckets: runs of the order of storage, each with what the best of its items promise.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::probe::{AHEAD, Probe};
use super::vectors::{components, mean};
use crate::code::{CodeError, LayeredCodes, MAX_SCALER};
use crate::kernel::popcount::{BallQuery, Blocks, LANES};

/// How many deviations above what their direction promises the best items of a bucket are expected.
const DEVIATIONS: f32 = 3.0;

/// So many buckets are looked at one by one; of more, those whose larger bucket promises most.
const FLAT: usize = 4096;

/// Buckets looked at for every sixteen codes that are scored, where there are too many to look at all.
const LOOKS: u64 = 8;

/// Codes scored before more buckets are looked at; twice as many after every time.
const FIRST: u64 = 2048;

/// Where to look first: for every block of codes a centre whose score is about that of the best of them, and how far they scatter about it; and the same
/// for runs of sixteen blocks, and of sixteen such runs, so that what a run is made of is one block of centres.
///
/// With V = alpha x sigma the vectors of a bucket and m their mean, one layer at a time, the centre scores what the longest of them would in the
/// direction of m: its bits are the signs of m, its scaler is max |V| |m| / |m|_1, since q m / |m| is about q sign(m) |m| / |m|_1 (the estimator of
/// RaBitQ, arXiv 2405.12497, section 3.2). The deviation is that of one component of V.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    /// The smallest buckets first.
    levels: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    centres: Blocks,
    /// `[bucket][layer]`, whole blocks of buckets.
    deviations: Vec<f32>,
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
        self.levels.iter().map(|level| level.centres.bytes() + size_of_val(level.deviations.as_slice())).sum()
    }

    /// Scores the blocks that promise most until the budget of `probe` is spent, or nothing is left. Which block comes next does not depend on the
    /// budget, but among those that are scored together. O(buckets looked at) beside the codes.
    pub(super) fn search(&self, probe: &mut Probe<'_>) {
        let spreads = Spreads::of(probe.query);
        // What waits to be opened, by level, and at the front what waits to be scored.
        let mut waiting: Vec<Vec<u64>> =
            self.levels.iter().map(|level| Vec::with_capacity(level.len.min(FLAT))).collect();
        let top = self.levels.len() - 1;
        let all: Vec<u32> = (0..self.levels[top].centres.len() as u32).collect();
        self.look(probe, &spreads, top, &all, &mut waiting[top]);
        let (mut looked, mut goal) = (0, if top == 0 { u64::MAX } else { FIRST });
        while !probe.spent {
            for level in (1..=top).rev() {
                let more = (goal - looked) * LOOKS / (LANES * LANES) as u64;
                let most = more.div_ceil(LANES.pow(level as u32 - 1) as u64);
                let opened = best(&mut waiting[level], most as usize, false);
                self.look(probe, &spreads, level - 1, &opened, &mut waiting[level - 1]);
            }
            let codes = goal.saturating_sub(probe.work.codes).min(probe.left()).max(1);
            let blocks = usize::try_from(codes).unwrap_or(usize::MAX).div_ceil(LANES);
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

    /// Has the buckets of some blocks of centres wait, by what their best items may score: the score of the centre and a few deviations. An estimate,
    /// no bound.
    fn look(&self, probe: &mut Probe<'_>, spreads: &Spreads, level: usize, blocks: &[u32], waiting: &mut Vec<u64>) {
        let level = &self.levels[level];
        let kernel = probe.linear.kernel();
        let mut sink = |block: usize, _: u16, scores: &[f32; LANES]| {
            let first = block * LANES;
            let promises = spreads.promises(&level.deviations[first * spreads.0.len()..], scores);
            let mut keys = [0; LANES];
            for (lane, key) in keys.iter_mut().enumerate() {
                *key = u64::from(ascending(promises[lane])) << 32 | u64::from(!((first + lane) as u32));
            }
            waiting.extend_from_slice(&keys[..LANES.min(level.len - first)]);
            f32::NEG_INFINITY
        };
        kernel.scan_list(&level.centres, probe.query.codes(), blocks, f32::NEG_INFINITY, &mut sink);
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
        let mut deviations: Vec<f32> =
            summaries.iter().flat_map(|summary| summary.deviations.iter().copied()).collect();
        deviations.resize(len.next_multiple_of(LANES) * shape.layers(), 0.0);
        let centres = Blocks::build(&LayeredCodes::from_parts(Arc::clone(shape), words, scalers)?);
        Ok(Self { centres, deviations, len })
    }
}

/// Takes the `most` largest out of `waiting`: the numbers of their buckets, largest first if `sorted`, otherwise the [`AHEAD`] largest first.
fn best(waiting: &mut Vec<u64>, most: usize, sorted: bool) -> Vec<u32> {
    let rest = waiting.len().saturating_sub(most);
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

/// Floats as integers in the same order.
fn ascending(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// How far scores of one query scatter for every deviation of a component, by layer: squared.
struct Spreads(Vec<f32>);

impl Spreads {
    /// The deviation of a sum of d independent components times q_k; |q|^2 is about (sum |q_k|)^2 / d.
    fn of(query: &BallQuery) -> Self {
        let codes = query.codes();
        let layers = codes.factors().iter().zip(query.most()).zip(codes.shape().widths());
        Self(
            layers
                .map(|((factor, &most), &width)| (DEVIATIONS * factor * most as f32).powi(2) / width as f32)
                .collect(),
        )
    }

    /// What the best items of 16 buckets may score, from the `[bucket][layer]` deviations and the scores of their centres.
    fn promises(&self, deviations: &[f32], scores: &[f32; LANES]) -> [f32; LANES] {
        let mut promises = *scores;
        if let [spread] = self.0[..] {
            let root = spread.sqrt();
            promises.iter_mut().zip(deviations).for_each(|(promise, deviation)| *promise += root * deviation);
            return promises;
        }
        for (promise, deviations) in promises.iter_mut().zip(deviations.chunks_exact(self.0.len())) {
            let squares = deviations.iter().zip(&self.0).map(|(deviation, spread)| deviation * deviation * spread);
            *promise += squares.sum::<f32>().sqrt();
        }
        promises
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
        let count = rows.len().max(1) as f32;
        let mean = mean(items, rows.clone());
        let mut summary = Self { signs: vec![0; shape.words()], scalers: Vec::new(), deviations: Vec::new() };
        for (layer, &width) in shape.widths().iter().enumerate() {
            let (mut magnitude, mut norm) = (0.0, 0.0);
            for k in components(shape, layer) {
                summary.signs[k / 64] |= u64::from(mean[k] >= 0.0) << (k % 64);
                magnitude += mean[k].abs();
                norm += mean[k] * mean[k];
            }
            let scalers = rows.clone().map(|row| items.row(row).scalers[layer]);
            let squares: f32 = scalers.clone().map(|scaler| scaler * scaler).sum();
            let longest = scalers.fold(0.0, f32::max) * (width as f32).sqrt();
            let scaler = if magnitude > 0.0 { longest * (norm.sqrt() / magnitude) } else { 0.0 };
            summary.scalers.push(scaler.min(MAX_SCALER));
            summary.deviations.push((squares / count - norm / width as f32).max(0.0).sqrt());
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::CodeShape;
    use crate::code::tests::flipped_items;

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
