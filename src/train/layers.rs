//! What a teacher hands to a student.

use crate::kernel::dense::{Isa, Matrix, dot};

/// Full-precision vectors of every node, a matrix a layer: `users[l]` is `n_users x d_l`, `items[l]` is `n_items x d_l`.
/// A teacher's score is the sum over layers of the inner products.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    pub(crate) users: Vec<Matrix>,
    pub(crate) items: Vec<Matrix>,
}

impl Layers {
    /// Whether every vector is finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.users.iter().chain(&self.items).all(Matrix::is_finite)
    }
}

/// The Euclidean norms of the rows.
pub(crate) fn row_norms(isa: Isa, matrix: &Matrix) -> Vec<f32> {
    use rayon::prelude::*;
    matrix.par_rows().map(|row| dot(isa, row, row).sqrt()).collect()
}
