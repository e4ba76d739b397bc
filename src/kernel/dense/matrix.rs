//! A dense row-major matrix.

use rayon::prelude::*;

/// `rows x cols` floats, row-major. `cols` may be zero only when the matrix is empty.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Matrix {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// All zeros.
    pub(crate) fn zeros(rows: usize, cols: usize) -> Matrix {
        Matrix { data: vec![0.0; rows * cols], rows, cols }
    }

    /// Wraps row-major data; `None` unless there are `rows * cols` of it.
    pub(crate) fn from_data(rows: usize, cols: usize, data: Vec<f32>) -> Option<Matrix> {
        (data.len() == rows * cols).then_some(Matrix { data, rows, cols })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.cols..(row + 1) * self.cols]
    }

    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    pub(crate) fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The rows, for loops on rayon.
    pub(crate) fn par_rows(&self) -> rayon::slice::ChunksExact<'_, f32> {
        self.data.par_chunks_exact(self.cols.max(1))
    }

    /// The rows, mutably, for loops on rayon.
    pub(crate) fn par_rows_mut(&mut self) -> rayon::slice::ChunksExactMut<'_, f32> {
        self.data.par_chunks_exact_mut(self.cols.max(1))
    }

    /// The rows `rows` copied, in that order.
    pub(crate) fn gather(&self, rows: &[u32]) -> Matrix {
        let mut out = Matrix::zeros(rows.len(), self.cols);
        out.par_rows_mut().zip(rows).for_each(|(to, &row)| to.copy_from_slice(self.row(row as usize)));
        out
    }

    /// Whether every element is finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.data.par_chunks(1 << 16).all(|chunk| chunk.iter().fold(0.0, |sum, x| sum + x * 0.0) == 0.0)
    }
}
