//! Rows of a side that have a code: only these are stored, since who has none, as those who were forgotten, has only zeros.

use std::borrow::Cow;

use crate::code::PlaneCodes;

/// The numbers of the rows that have a code, of so many in all.
pub(super) struct CodedRows {
    pub(super) rows: usize,
    pub(super) numbers: Vec<u32>,
}

impl CodedRows {
    pub(super) fn of(codes: &PlaneCodes) -> Self {
        let rows = (0..).zip(codes.scalers().chunks_exact(codes.shape().layers()));
        let numbers = rows.filter(|(_, scalers)| scalers.iter().any(|&s| s > 0.0)).map(|(row, _)| row).collect();
        Self { rows: codes.len(), numbers }
    }

    /// The values of these rows alone; borrowed where they are all.
    pub(super) fn gather<'a, T: Copy>(&self, values: &'a [T]) -> Cow<'a, [T]> {
        if self.numbers.len() == self.rows {
            return Cow::Borrowed(values);
        }
        let width = values.len() / self.rows;
        self.numbers.iter().flat_map(|&row| &values[row as usize * width..][..width]).copied().collect()
    }

    /// How many values each of all rows has, `width` where it has a code: `[rows]`.
    pub(super) fn lengths(&self, width: usize) -> Vec<u32> {
        let mut lengths = vec![0; self.rows];
        self.numbers.iter().for_each(|&row| lengths[row as usize] = width as u32);
        lengths
    }

    /// The values of all rows, `width` each, from those of these; `None` where they do not fit.
    pub(super) fn spread<T: Copy + Default>(&self, values: &[T], width: usize) -> Option<Vec<T>> {
        let fits = self.numbers.is_sorted_by(|a, b| a < b)
            && self.numbers.last().is_none_or(|&last| (last as usize) < self.rows)
            && values.len() == self.numbers.len() * width;
        let mut spread = fits.then(|| vec![T::default(); self.rows * width])?;
        for (&row, values) in self.numbers.iter().zip(values.chunks_exact(width)) {
            spread[row as usize * width..][..width].copy_from_slice(values);
        }
        Some(spread)
    }
}
