//! What a teacher hands to a student.

use rayon::prelude::*;

use super::Neighbours;
use crate::error::Result;
use crate::graph::{Adjacency, Bipartite};
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, product};
use crate::train::context::Context;
use crate::train::state::TrainState;
use crate::train::state::taught::Taught;
use crate::train::student::rotation::rotation;

/// Full-precision vectors of every node, a matrix per layer: `users[l]` is `n_users x d_l`, `items[l]` is `n_items x d_l`.
/// The teacher's score of a pair is the sum over layers of `weights[l]` times the inner product, plus the score of the neighbours if there are
/// any.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    pub(crate) users: Vec<Matrix>,
    pub(crate) items: Vec<Matrix>,
    pub(crate) weights: Vec<f32>,
    pub(crate) neighbours: Option<Neighbours>,
}

impl Layers {
    /// Whether every vector is finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.users.iter().chain(&self.items).all(Matrix::is_finite)
    }

    /// Replaces the score by a mean of itself and that of neighbours, which weigh `weight` times as much. Being a mean, it keeps the size of
    /// scores, for which temperatures are set.
    ///
    /// # Errors
    /// When a weight is no longer finite.
    pub(crate) fn average_with(&mut self, neighbours: Neighbours, weight: f32) -> Result<()> {
        self.weights.iter_mut().for_each(|own| *own /= 1.0 + weight);
        self.neighbours = Some(neighbours.scaled(weight / (1.0 + weight))?);
        Ok(())
    }

    /// Recall at 20 on what is held out.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn recall(&self, context: &Context<'_>) -> Result<Option<f64>> {
        if context.validation.is_empty() {
            return Ok(None);
        }
        let (users, items) = self.joined();
        match &self.neighbours {
            None => context.validation.recall(context, 20, &users, &items),
            Some(neighbours) => {
                let recalls = context.validation.recall_of_sums(context, 20, (&users, &items), neighbours, &[1.0])?;
                Ok(recalls.first().copied())
            }
        }
    }

    /// Every layer rotated at random to a width of its own.
    pub(crate) fn rotated(&self, context: &Context<'_>, widths: &[usize]) -> Layers {
        let isa = context.isa;
        let mut out = Layers { users: Vec::new(), items: Vec::new(), weights: self.weights.clone(), neighbours: None };
        for (layer, (width, (users, items))) in widths.iter().zip(self.users.iter().zip(&self.items)).enumerate() {
            let rotation = rotation(isa, &mut context.rng(&format!("rotation {layer}")), users.cols(), *width);
            out.users.push(product(isa, users.into(), (&rotation).into()));
            out.items.push(product(isa, items.into(), (&rotation).into()));
        }
        out
    }

    /// Adds the layers `V^(l+1) = A_hat V^(l)` of `hops` further hops, with weight 0: they carry no score of the teacher, but
    /// students start their layers from them.
    pub(crate) fn propagate(&mut self, isa: Isa, graph: &Bipartite, hops: usize) {
        let adjacency = Adjacency::new(graph);
        for _ in 0..hops {
            if let (Some(users), Some(items)) = (self.users.last(), self.items.last()) {
                let next = (adjacency.to_users(isa, items), adjacency.to_items(isa, users));
                self.users.push(next.0);
                self.items.push(next.1);
                self.weights.push(0.0);
            }
        }
    }

    /// Keeps what the score is made of.
    pub(crate) fn save(self, state: &mut TrainState) {
        Taught::new(self).save(state);
    }

    /// Users and items such that a plain inner product is the score: all layers side by side, those of weight 0 left out.
    pub(crate) fn joined(&self) -> (Matrix, Matrix) {
        let join = |sides: &[Matrix], weighted: bool| {
            let used: Vec<(&Matrix, f32)> =
                sides.iter().zip(&self.weights).filter(|(_, w)| **w != 0.0).map(|(m, &w)| (m, w)).collect();
            let rows = sides.first().map_or(0, Matrix::rows);
            let mut out = Matrix::zeros(rows, used.iter().map(|(m, _)| m.cols()).sum());
            out.par_rows_mut().enumerate().for_each(|(row, mut out)| {
                for (matrix, weight) in &used {
                    let (head, tail) = out.split_at_mut(matrix.cols());
                    head.copy_from_slice(matrix.row(row));
                    if weighted {
                        head.iter_mut().for_each(|x| *x *= weight);
                    }
                    out = tail;
                }
            });
            out
        };
        (join(&self.users, true), join(&self.items, false))
    }
}

/// The Euclidean norms of the rows.
pub(crate) fn row_norms(isa: Isa, matrix: &Matrix) -> Vec<f32> {
    matrix.par_rows().map(|row| dot(isa, row, row).sqrt()).collect()
}

/// Subtracts the mean of the rows that are not zero from each of them; zero rows stay zero.
pub(crate) fn centre_rows(isa: Isa, matrix: &mut Matrix) {
    let is_zero = |row: &[f32]| row.iter().all(|&x| x == 0.0);
    let mut mean = vec![0.0f32; matrix.cols()];
    let mut count = 0u32;
    for row in 0..matrix.rows() {
        if !is_zero(matrix.row(row)) {
            add_scaled(isa, &mut mean, 1.0, matrix.row(row));
            count += 1;
        }
    }
    let scale = -1.0 / count.max(1) as f32;
    matrix.par_rows_mut().filter(|row| !is_zero(row)).for_each(|row| add_scaled(isa, row, scale, &mean));
}
