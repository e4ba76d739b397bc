//! Compressed sparse rows.

use super::scatter::{Edges, Grouped, group};
use crate::error::{Error, Result};
use crate::pool;

/// A sparse matrix of `n_rows x n_cols` by rows: row `r` holds `targets[offsets[r]..offsets[r + 1]]`, sorted and unique.
/// Without `values` every stored element is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    n_cols: usize,
    offsets: Vec<u64>,
    targets: Vec<u32>,
    values: Option<Vec<f32>>,
}

impl Csr {
    /// Builds the rows from edges `(row, column, value)` in any order; of the same element given twice the last value wins.
    /// Values that are all 1 are not stored. Parallel counting sort, O(edges + rows); the result does not depend on the
    /// number of threads.
    ///
    /// # Errors
    /// `InvalidArgument` when an edge lies outside `n_rows x n_cols` or has a value that is not finite.
    pub fn from_edges(n_rows: usize, n_cols: usize, edges: &[(u32, u32, f32)]) -> Result<Csr> {
        check_size(n_rows, n_cols)?;
        let chunks = pool::map(edges.len(), 1 << 16, |range| {
            let fits = |e: &(u32, u32, f32)| (e.0 as usize) < n_rows && (e.1 as usize) < n_cols && e.2.is_finite();
            (edges[range.clone()].iter().find(|edge| !fits(edge)), edges[range].iter().any(|edge| edge.2 != 1.0))
        });
        if let Some((row, col, value)) = chunks.iter().find_map(|(wrong, _)| *wrong) {
            return Err(invalid(
                format!("edge ({row}, {col}) of value {value} in a matrix of {n_rows} x {n_cols}"),
                "pass indices inside the matrix and finite values",
            ));
        }
        let weighted = chunks.iter().any(|(_, weighted)| *weighted);
        let grouped = if weighted { group::<true>(n_rows, edges) } else { group::<false>(n_rows, edges) };
        Ok(Csr::from_grouped(n_cols, grouped))
    }

    /// Takes rows as they are.
    ///
    /// # Errors
    /// `InvalidArgument` unless the offsets start at 0, never fall and end at the number of targets, every row is sorted,
    /// unique and below `n_cols`, and the values, if any, are finite and as many as the targets.
    pub fn from_parts(n_cols: usize, offsets: Vec<u64>, targets: Vec<u32>, values: Option<Vec<f32>>) -> Result<Csr> {
        check_size(offsets.len().saturating_sub(1), n_cols)?;
        let remedy = "pass the parts of a matrix in compressed rows";
        if offsets.first() != Some(&0) || offsets.last() != Some(&(targets.len() as u64)) || !offsets.is_sorted() {
            return Err(invalid(format!("row offsets that do not cover {} targets in order", targets.len()), remedy));
        }
        if let Some(values) = &values
            && (values.len() != targets.len() || !values.iter().all(|value| value.is_finite()))
        {
            return Err(invalid(format!("{} values for {} targets", values.len(), targets.len()), remedy));
        }
        let csr = Csr { n_cols, offsets, targets, values };
        let good =
            |row: &[u32]| row.is_sorted_by(|a, b| a < b) && row.last().is_none_or(|&last| (last as usize) < n_cols);
        let wrong = pool::map(csr.n_rows(), 1 << 12, |mut rows| rows.find(|&row| !good(csr.row(row))));
        match wrong.into_iter().flatten().next() {
            Some(row) => Err(invalid(format!("row {row} is not sorted, unique and below {n_cols}"), remedy)),
            None => Ok(csr),
        }
    }

    fn from_grouped(n_cols: usize, grouped: Grouped) -> Csr {
        Csr { n_cols, offsets: grouped.offsets, targets: grouped.targets, values: grouped.values }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Number of stored elements.
    pub fn n_edges(&self) -> usize {
        self.targets.len()
    }

    /// The columns of a row, sorted.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.targets[self.span(row)]
    }

    /// The values of a row, in the order of [`Csr::row`]; `None` when all are 1.
    pub fn row_values(&self, row: usize) -> Option<&[f32]> {
        self.values.as_ref().map(|values| &values[self.span(row)])
    }

    /// The columns and values of a row.
    pub fn entries(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let values = self.row_values(row);
        self.row(row).iter().enumerate().map(move |(at, &target)| (target, values.map_or(1.0, |values| values[at])))
    }

    /// Number of elements of a row.
    pub fn degree(&self, row: usize) -> usize {
        self.span(row).len()
    }

    /// Number of elements of every row.
    pub fn degrees(&self) -> Vec<u32> {
        self.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect()
    }

    /// Where each row starts, and the end: `n_rows + 1` numbers.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// The columns of all rows, one row after the other.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// The values in the order of [`Csr::targets`]; `None` when all are 1.
    pub fn values(&self) -> Option<&[f32]> {
        self.values.as_deref()
    }

    /// With the values of every row as many times as large as `times` says of it.
    ///
    /// # Errors
    /// When one is no longer finite.
    pub(crate) fn scaled_rows(mut self, times: impl Fn(usize) -> f32) -> Result<Csr> {
        let mut values = self.values.take().unwrap_or_else(|| vec![1.0; self.targets.len()]);
        for row in 0..self.n_rows() {
            let times = times(row);
            values[self.span(row)].iter_mut().for_each(|value| *value *= times);
        }
        Csr::from_parts(self.n_cols, self.offsets, self.targets, Some(values))
    }

    /// The targets of all rows, and their values.
    pub(crate) fn into_entries(self) -> (Vec<u32>, Vec<f32>) {
        let values = self.values.unwrap_or_else(|| vec![1.0; self.targets.len()]);
        (self.targets, values)
    }

    /// A square matrix with more rows and columns, for `n` in all, that hold nothing.
    pub(crate) fn grown(mut self, n: usize) -> Csr {
        let end = self.targets.len() as u64;
        self.offsets.resize(self.offsets.len().max(n + 1), end);
        self.n_cols = self.n_cols.max(n);
        self
    }

    /// The rows `rows`, in that order.
    pub(crate) fn gather(&self, rows: &[u32]) -> Csr {
        let mut offsets = vec![0];
        let mut targets = Vec::new();
        let mut values = self.values.as_ref().map(|_| Vec::new());
        for &row in rows {
            targets.extend_from_slice(self.row(row as usize));
            offsets.push(targets.len() as u64);
            if let Some((values, own)) = values.as_mut().zip(self.row_values(row as usize)) {
                values.extend_from_slice(own);
            }
        }
        Csr { n_cols: self.n_cols, offsets, targets, values }
    }

    /// The transpose, built in parallel. O(edges + rows + columns).
    pub fn transpose(&self) -> Csr {
        let grouped =
            if self.values.is_some() { group::<true>(self.n_cols, self) } else { group::<false>(self.n_cols, self) };
        Csr::from_grouped(self.n_rows(), grouped)
    }

    /// The same matrix without the elements for which `keep(row, column)` is false.
    pub fn filtered(&self, keep: impl Fn(u32, u32) -> bool + Sync) -> Csr {
        let rows: Vec<(Vec<u32>, Vec<f32>)> = pool::map(self.n_rows(), 1, |rows| {
            let kept = self.entries(rows.start).filter(|&(target, _)| keep(rows.start as u32, target));
            if self.values.is_some() { kept.unzip() } else { (kept.map(|(target, _)| target).collect(), Vec::new()) }
        });
        let mut offsets = vec![0];
        let mut targets = Vec::with_capacity(self.n_edges());
        let mut values = self.values.as_ref().map(|_| Vec::with_capacity(self.n_edges()));
        for (row, row_values) in rows {
            targets.extend_from_slice(&row);
            offsets.push(targets.len() as u64);
            if let Some(values) = &mut values {
                values.extend_from_slice(&row_values);
            }
        }
        Csr { n_cols: self.n_cols, offsets, targets, values }
    }

    fn span(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}

/// The transpose of a matrix as edges, by rows.
impl Edges for Csr {
    const SORTED: bool = true;

    fn len(&self) -> usize {
        self.n_edges()
    }

    fn visit(&self, range: std::ops::Range<usize>, mut visit: impl FnMut(u32, u32, f32)) {
        let mut row = self.offsets.partition_point(|&offset| offset <= range.start as u64).saturating_sub(1);
        for at in range {
            while self.offsets[row + 1] <= at as u64 {
                row += 1;
            }
            visit(self.targets[at], row as u32, self.values.as_ref().map_or(1.0, |values| values[at]));
        }
    }
}

fn check_size(n_rows: usize, n_cols: usize) -> Result<()> {
    if n_rows >= u32::MAX as usize || n_cols >= u32::MAX as usize {
        return Err(invalid(format!("a matrix of {n_rows} x {n_cols}"), "keep both sides below 2^32 - 1"));
    }
    Ok(())
}

fn invalid(what: String, remedy: &str) -> Error {
    Error::InvalidArgument { what, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn naive(edges: &[(u32, u32, f32)]) -> BTreeMap<(u32, u32), f32> {
        edges.iter().map(|&(row, col, value)| ((row, col), value)).collect()
    }

    fn stored(csr: &Csr) -> BTreeMap<(u32, u32), f32> {
        (0..csr.n_rows()).flat_map(|row| csr.entries(row).map(move |(col, value)| ((row as u32, col), value))).collect()
    }

    fn edges() -> impl Strategy<Value = (usize, usize, Vec<(u32, u32, f32)>)> {
        (1usize..2000, 1usize..80, any::<bool>()).prop_flat_map(|(rows, cols, weighted)| {
            let value = if weighted { (0.5f32..3.0).boxed() } else { Just(1.0f32).boxed() };
            let edge = (0..rows as u32, 0..cols as u32, value);
            (Just(rows), Just(cols), prop::collection::vec(edge, 0..3000))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_hold_the_last_write_of_every_edge((rows, cols, edges) in edges()) {
            let csr = Csr::from_edges(rows, cols, &edges).unwrap();
            let want = naive(&edges);
            prop_assert_eq!(stored(&csr), want);
            prop_assert_eq!(csr.degrees().iter().map(|&d| d as usize).sum::<usize>(), csr.n_edges());
            let again = Csr::from_parts(cols, csr.offsets.clone(), csr.targets.clone(), csr.values.clone()).unwrap();
            prop_assert_eq!(&again, &csr);
        }

        #[test]
        fn transposing_swaps_and_twice_is_nothing((rows, cols, edges) in edges()) {
            let csr = Csr::from_edges(rows, cols, &edges).unwrap();
            let transposed = csr.transpose();
            let swapped: BTreeMap<_, _> = stored(&csr).into_iter().map(|((row, col), value)| ((col, row), value)).collect();
            prop_assert_eq!(stored(&transposed), swapped);
            prop_assert_eq!(transposed.transpose(), csr);
        }

        #[test]
        fn filtering_keeps_what_is_asked((rows, cols, edges) in edges()) {
            let csr = Csr::from_edges(rows, cols, &edges).unwrap();
            let kept = csr.filtered(|row, col| (row + col) % 3 == 0);
            let want: BTreeMap<_, _> = stored(&csr).into_iter().filter(|((row, col), _)| (row + col) % 3 == 0).collect();
            prop_assert_eq!(stored(&kept), want);
        }
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(Csr::from_edges(2, 2, &[(2, 0, 1.0)]).is_err());
        assert!(Csr::from_edges(2, 2, &[(0, 2, 1.0)]).is_err());
        assert!(Csr::from_edges(2, 2, &[(0, 0, f32::NAN)]).is_err());
        for (offsets, targets, values) in [
            (vec![], vec![], None),
            (vec![0, 2], vec![0], None),
            (vec![0, 2, 1, 2], vec![0, 1], None),
            (vec![0, 2], vec![1, 0], None),
            (vec![0, 2], vec![1, 1], None),
            (vec![0, 1], vec![2], None),
            (vec![0, 1], vec![1], Some(vec![])),
            (vec![0, 1], vec![1], Some(vec![f32::INFINITY])),
        ] {
            assert!(Csr::from_parts(2, offsets.clone(), targets.clone(), values).is_err(), "{offsets:?} {targets:?}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let edges: Vec<_> = (0..200_000u32)
            .map(|e| (e.wrapping_mul(2_654_435_761) % 5000, e.wrapping_mul(40_503) % 700, (e % 9) as f32))
            .collect();
        let build = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Csr::from_edges(5000, 700, &edges).unwrap().transpose())
        };
        assert_eq!(build(1), build(3));
    }
}
