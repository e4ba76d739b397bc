//! The rows of a sparse matrix, with its values or with ones in their place.

use super::csr::Csr;

/// Rows whose terms count by the values of a matrix, or for 1.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    rows: &'a Csr,
    valued: bool,
}

impl<'a> Terms<'a> {
    /// Every term for 1, whatever its value.
    pub(crate) fn ones(rows: &'a Csr) -> Terms<'a> {
        Terms { rows, valued: false }
    }

    /// By their values.
    pub(crate) fn values(rows: &'a Csr) -> Terms<'a> {
        Terms { rows, valued: true }
    }

    /// Rows in all.
    pub(crate) fn n_rows(self) -> usize {
        self.rows.n_rows()
    }

    /// Columns in all.
    pub(crate) fn n_cols(self) -> usize {
        self.rows.n_cols()
    }

    /// The columns of a row, rising, with how much each counts.
    pub(crate) fn row(self, row: usize) -> impl Iterator<Item = (u32, f32)> + 'a {
        let values = self.rows.row_values(row).filter(|_| self.valued);
        let targets = self.rows.row(row).iter().enumerate();
        targets.map(move |(at, &target)| (target, values.map_or(1.0, |values| values[at])))
    }
}
