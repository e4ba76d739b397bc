use rayon::prelude::*;

use super::{bisection, nodes};
use crate::code::{CodeError, LayeredCodes};

/// Items of the top norm band, about; every further one holds twice as many. Measured between a fourth and ten times as many, from forty thousand items to
/// a million.
const TOP: usize = 300;

/// Norm bands of codes of one layer: bisection parts long vectors from short ones by itself, and clusters are cut by every band.
const FEW_BANDS: u32 = 4;

/// How much longer than those of the next band the items of a band of one-layer codes are, by the middle ones, or the two bands are one.
const APART: f32 = 1.09;

/// One new row for so many that are stored, at most, or an order is made from nothing; new rows come to lie among those that have changed and one another.
const NEW: usize = 16;

/// One row of so many, at most, may have changed, new ones included, or an order is made from nothing.
const CHANGED: usize = 4;

/// Where the items of a generation are stored.
///
/// By norm band: items with large scalers win, so a search starts with them and soon knows a score to beat. In a band by bisection, so that what is stored
/// together scores alike. The order changes speed, never an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The row at each position: a permutation.
    pub rows: Vec<u32>,
    /// The position after the last item of every band, ascending; the last is the number of rows.
    pub bands: Vec<u32>,
}

impl Order {
    /// The order of `items`. Depends on nothing else, the number of threads included; equals go by row. O(n log n x bits), parallel.
    pub fn of(items: &LayeredCodes) -> Self {
        Self::in_bands(items, true)
    }

    /// The order of codes of one layer for searches by a budget alone: one band, where clusters are whole. Otherwise as [`Order::of`].
    pub fn without_bands(items: &LayeredCodes) -> Self {
        Self::in_bands(items, false)
    }

    /// The order of `items`, most of which are stored in this one and have the codes they had `before`: these stay where they are, so that buckets and
    /// bands are reused, and the others share the places that are left. `None` where so much is new or has changed that an order is better made from nothing. O(n x words + changed x log n x bits), parallel.
    ///
    /// # Panics
    /// If `before` has not as many rows as this order.
    pub fn mended(mut self, before: &LayeredCodes, items: &LayeredCodes) -> Option<Self> {
        let is_other = before.shape() != items.shape() || items.len() < before.len();
        if is_other || items.len() - before.len() > before.len() / NEW {
            return None;
        }
        self.rows.extend(before.len() as u32..items.len() as u32);
        let changed = |row: usize| row >= before.len() || before.row(row) != items.row(row);
        let moved: Vec<u32> =
            (0..).zip(&self.rows).filter(|&(_, &row)| changed(row as usize)).map(|(place, _)| place).collect();
        if moved.len() > items.len() / CHANGED {
            return None;
        }
        bisection::mend(items, &mut self.rows, 0, &moved);
        if let Some(last) = self.bands.last_mut() {
            *last = self.rows.len() as u32;
        }
        Some(self)
    }

    fn in_bands(items: &LayeredCodes, banded: bool) -> Self {
        let profile = Profile::of(items);
        let norms = |row: u32| profile.norm(items.row(row as usize).scalers);
        // Norms are not negative, so their bits order as they do; the largest come first.
        let mut keyed: Vec<u64> = (0..items.len() as u32)
            .into_par_iter()
            .map(|row| u64::from(!norms(row).to_bits()) << 32 | u64::from(row))
            .collect();
        keyed.par_sort_unstable();
        let mut rows: Vec<u32> = keyed.into_par_iter().map(|keyed| keyed as u32).collect();
        let bands = match items.shape().layers() {
            1 if !banded => cuts(items.len(), 1),
            1 => apart(cuts(items.len(), FEW_BANDS), |position| norms(rows[position as usize])),
            _ => cuts(items.len(), (items.len() / TOP + 1).ilog2().max(1)),
        };
        let mut rest = &mut rows[..];
        let mut start = 0;
        for &end in &bands {
            let (band, later) = rest.split_at_mut((end - start) as usize);
            bisection::order(items, band);
            (rest, start) = (later, end);
        }
        Self { rows, bands }
    }

    /// Checks the bands of an order that was stored; its rows are checked where codes are laid out.
    ///
    /// # Errors
    /// If the bands do not ascend to the number of rows.
    pub fn check(&self) -> Result<(), CodeError> {
        let ascending = self.bands.is_sorted_by(|a, b| a < b);
        let last = self.bands.last().map_or(0, |&end| end as usize);
        CodeError::check_length("bands of the order", self.rows.len(), if ascending { last } else { 0 })
    }
}

/// Where the bands end: multiples of a middle node, so that no node spans two bands but the largest ones.
fn cuts(n: usize, bands: u32) -> Vec<u32> {
    let whole = (1u64 << bands) - 1;
    let mut ends: Vec<u32> = (1..=bands)
        .map(|band| {
            let end = n as u64 * ((1 << band) - 1) / whole;
            end.next_multiple_of(nodes::SIZES[1] as u64).min(n as u64) as u32
        })
        .filter(|&end| end > 0)
        .collect();
    ends.dedup();
    ends
}

/// The bands whose middle items have norms apart from those of the next band; the others become one with it.
fn apart(ends: Vec<u32>, norm: impl Fn(u32) -> f32) -> Vec<u32> {
    let starts = [0].into_iter().chain(ends.iter().copied());
    let middles: Vec<f32> = starts.zip(&ends).map(|(start, &end)| norm(start.midpoint(end))).collect();
    (ends.iter().enumerate())
        .filter(|&(band, _)| middles.get(band + 1).is_none_or(|next| middles[band] >= APART * next))
        .map(|(_, &end)| end)
        .collect()
}

/// What a layer weighs: means over all items.
pub(super) struct Profile {
    /// `w_l^2 m_l d_l` of every layer, with `m_l` the mean item scaler, which stands in for the scalers of users to come.
    weights: Vec<f32>,
    /// `w_l^2 m_l^2 d_l`.
    shares: Vec<f32>,
}

impl Profile {
    pub(super) fn of(items: &LayeredCodes) -> Self {
        let shape = items.shape();
        let mut sums = vec![0f64; shape.layers()];
        for scalers in items.scalers().chunks_exact(shape.layers()) {
            sums.iter_mut().zip(scalers).for_each(|(sum, &scaler)| *sum += f64::from(scaler));
        }
        let means: Vec<f32> = sums.iter().map(|sum| (sum / items.len().max(1) as f64) as f32).collect();
        let weights: Vec<f32> = (shape.weights().iter().zip(shape.widths()).zip(&means))
            .map(|((weight, &width), mean)| weight * weight * mean * width as f32)
            .collect();
        let shares = weights.iter().zip(&means).map(|(weight, mean)| weight * mean).collect();
        Self { weights, shares }
    }

    /// The score of an item with a query that agrees with all its bits, up to a factor.
    fn norm(&self, scalers: &[f32]) -> f32 {
        self.weights.iter().zip(scalers).map(|(weight, scaler)| weight * scaler).sum()
    }

    /// The layer that adds most to scores, the last of equals.
    pub(super) fn heaviest(&self) -> usize {
        (0..self.shares.len()).max_by(|&a, &b| self.shares[a].total_cmp(&self.shares[b])).unwrap_or(0)
    }
}
