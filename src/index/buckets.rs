//! Buckets: runs of the order of storage, each with what its items promise on average.

use rayon::prelude::*;

use super::nodes::{LEAF_BLOCKS, SIZES};
use super::probe::Probe;
use super::vectors::{components, mean};
use crate::code::{CodeError, LayeredCodes};
use crate::kernel::popcount::{Balls, BlockQuery, Blocks, Kernel, LANES, Source};

/// How many deviations above its mean the best items of a bucket are expected.
const DEVIATIONS: f32 = 1.5;

/// Where to look first: for every run of 32 items a centre whose score is about the mean of theirs, and how far they scatter about it.
///
/// With V = alpha x sigma the vectors of a bucket, one layer at a time, the centre has the signs of the mean vector and its mean magnitude as
/// scaler, and the deviation is that of one component of V.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    centres: Blocks,
    /// `[bucket][layer]`.
    deviations: Vec<f32>,
    len: usize,
}

impl Buckets {
    /// The buckets of `items`, which are in the order of storage. O(n x bits), parallel.
    ///
    /// # Errors
    /// None that valid codes give.
    pub(super) fn build(items: &LayeredCodes) -> Result<Self, CodeError> {
        let shape = items.shape();
        let len = items.len().div_ceil(SIZES[0]);
        let summaries: Vec<Summary> = (0..len).into_par_iter().map(|bucket| Summary::of(items, bucket)).collect();
        let words = summaries.iter().flat_map(|summary| summary.signs.iter().copied()).collect();
        let scalers = summaries.iter().flat_map(|summary| summary.scalers.iter().copied()).collect();
        let deviations = summaries.iter().flat_map(|summary| summary.deviations.iter().copied()).collect();
        let centres = Blocks::build(&LayeredCodes::from_parts(std::sync::Arc::clone(shape), words, scalers)?);
        Ok(Self { centres, deviations, len })
    }

    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.centres.bytes() + size_of_val(self.deviations.as_slice())
    }

    /// What the best items of every bucket may score: the score of its centre and a few deviations. An estimate, no bound.
    fn promises(&self, kernel: Kernel, query: &BlockQuery, most: &[i32]) -> Vec<f32> {
        let mut promises = all_scores(kernel, &self.centres, query);
        // The deviation of a sum of d independent components times q_k; |q|^2 is about (sum |q_k|)^2 / d.
        let spreads: Vec<f32> = (query.factors().iter().zip(most).zip(query.shape().widths()))
            .map(|((factor, &most), &width)| (DEVIATIONS * factor * most as f32).powi(2) / width as f32)
            .collect();
        for (promise, deviations) in promises.iter_mut().zip(self.deviations.chunks_exact(spreads.len().max(1))) {
            let variance: f32 =
                deviations.iter().zip(&spreads).map(|(deviation, spread)| deviation * deviation * spread).sum();
            *promise += variance.sqrt();
        }
        promises
    }

    /// Scores the buckets that promise most until the budget of `probe` is spent, or no other can reach the list by its bound, that of `leaves`: the
    /// smallest nodes, which are the buckets as balls. O(buckets) beside the codes.
    pub(super) fn search(&self, probe: &mut Probe<'_>, leaves: &Balls, budget: u64) {
        let kernel = probe.linear.kernel();
        let promises = self.promises(kernel, probe.query.codes(), probe.query.most());
        let bounds = all_scores(kernel, leaves, probe.query);
        probe.work.nodes += 2 * self.len as u64;
        let mut waiting: Vec<(u32, f32)> = (0..)
            .zip(promises.iter().zip(&bounds))
            .map(|(bucket, (&promise, &bound))| (bucket, promise.min(bound)))
            .collect();
        waiting.truncate(self.len);
        let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let mut rest = &mut waiting[..];
        // So many buckets spend the budget where no filter stands in the way.
        let mut taken = (budget / SIZES[0] as u64 + 1) as usize;
        let last = probe.linear.blocks().len();
        while !rest.is_empty() && !probe.spent {
            if taken < rest.len() {
                rest.select_nth_unstable_by(taken, better);
            }
            let (next, later) = rest.split_at_mut(taken.min(rest.len()));
            next.sort_unstable_by(better);
            for &(bucket, _) in next.iter() {
                if bounds[bucket as usize] < probe.top.threshold() {
                    continue;
                }
                let first = bucket as usize * LEAF_BLOCKS;
                probe.scan_codes_within(first..(first + LEAF_BLOCKS).min(last));
                if probe.spent {
                    return;
                }
            }
            rest = later;
            taken *= 2;
        }
    }
}

/// The scores of all lanes, padding included.
fn all_scores<S: Source>(kernel: Kernel, source: &S, query: &S::Query) -> Vec<f32> {
    let mut all = Vec::with_capacity(source.blocks() * LANES);
    let mut sink = |_: usize, _: u16, scores: &[f32; LANES]| {
        all.extend_from_slice(scores);
        f32::NEG_INFINITY
    };
    kernel.scan(source, query, 0..source.blocks(), f32::NEG_INFINITY, &mut sink);
    all
}

/// What the items of a bucket have in common.
struct Summary {
    signs: Vec<u64>,
    scalers: Vec<f32>,
    deviations: Vec<f32>,
}

impl Summary {
    fn of(items: &LayeredCodes, bucket: usize) -> Self {
        let shape = items.shape();
        let rows = bucket * SIZES[0]..items.len().min((bucket + 1) * SIZES[0]);
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
            // A mean of equal numbers may be rounded above them, and above what a scaler may be.
            summary.scalers.push((magnitude / width as f32).min(scalers.fold(0.0, f32::max)));
            summary.deviations.push((squares / count - norm / width as f32).max(0.0).sqrt());
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::code::tests::flipped_items;
    use crate::code::{CodeShape, MAX_SCALER};

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
