//! A dense row-major matrix.

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut, zeroed_vec};
use rayon::prelude::*;

/// Floats that fill a line of the cache and lie in one, so that no wide load of a row of whole lines touches two.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in a line.
const LINE: usize = 16;

/// `rows x cols` floats, row-major. `cols` may be zero only when the matrix is empty.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Matrix {
    /// `rows * cols` floats, and zeros up to the end of the last line.
    lines: Vec<Line>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// All zeros.
    pub(crate) fn zeros(rows: usize, cols: usize) -> Matrix {
        Matrix { lines: zeroed_vec((rows * cols).div_ceil(LINE)), rows, cols }
    }

    /// Of row-major data; `None` unless there are `rows * cols` of it.
    #[cfg(test)]
    pub(crate) fn from_data(rows: usize, cols: usize, data: Vec<f32>) -> Option<Matrix> {
        (data.len() == rows * cols).then(|| {
            let mut matrix = Matrix::zeros(rows, cols);
            matrix.data_mut().copy_from_slice(&data);
            matrix
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.data()[row * self.cols..(row + 1) * self.cols]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let cols = self.cols;
        &mut self.data_mut()[row * cols..(row + 1) * cols]
    }

    pub(crate) fn data(&self) -> &[f32] {
        &cast_slice(&self.lines)[..self.rows * self.cols]
    }

    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut cast_slice_mut(&mut self.lines)[..self.rows * self.cols]
    }

    pub(crate) fn into_data(self) -> Vec<f32> {
        self.data().to_vec()
    }

    /// The rows, for loops on rayon.
    pub(crate) fn par_rows(&self) -> rayon::slice::ChunksExact<'_, f32> {
        self.data().par_chunks_exact(self.cols.max(1))
    }

    /// The rows, mutably, for loops on rayon.
    pub(crate) fn par_rows_mut(&mut self) -> rayon::slice::ChunksExactMut<'_, f32> {
        let cols = self.cols.max(1);
        self.data_mut().par_chunks_exact_mut(cols)
    }

    /// The rows `rows` copied, in that order.
    pub(crate) fn gather(&self, rows: &[u32]) -> Matrix {
        let mut out = Matrix::zeros(rows.len(), self.cols);
        out.par_rows_mut().zip(rows).for_each(|(to, &row)| to.copy_from_slice(self.row(row as usize)));
        out
    }

    /// Puts the rows of `from` in the places of the rows `rows`, in that order.
    pub(crate) fn scatter(&mut self, rows: &[u32], from: &Matrix) {
        for (at, &row) in rows.iter().enumerate() {
            self.row_mut(row as usize).copy_from_slice(from.row(at));
        }
    }

    /// The same with rows of `value` after the last, for `rows` in all.
    pub(crate) fn grown(self, rows: usize, value: f32) -> Matrix {
        if rows <= self.rows {
            return self;
        }
        let mut grown = Matrix::zeros(rows, self.cols);
        let (head, tail) = grown.data_mut().split_at_mut(self.rows * self.cols);
        head.copy_from_slice(self.data());
        tail.fill(value);
        grown
    }

    /// Whether every element is finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.data().par_chunks(1 << 16).all(|chunk| chunk.iter().fold(0.0, |sum, x| sum + x * 0.0) == 0.0)
    }
}
