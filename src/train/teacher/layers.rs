//! What a teacher hands to a student.

use std::borrow::Cow;

use rayon::prelude::*;

use super::{Models, Neighbours};
use crate::error::Result;
use crate::graph::{Adjacency, Bipartite};
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, product};
use crate::train::context::Context;
use crate::train::state::TrainState;
use crate::train::state::taught::Taught;
use crate::train::student::rotation::rotation;

/// Full-precision vectors of every node, a matrix per layer: `users[l]` is `n_users x d_l`, `items[l]` is `n_items x d_l`.
/// The teacher's score of a pair is the sum over layers of `weights[l]` times the inner product, plus what the neighbours add.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    pub(crate) users: Vec<Matrix>,
    pub(crate) items: Vec<Matrix>,
    pub(crate) weights: Vec<f32>,
    pub(crate) neighbours: Neighbours,
    /// What else the teacher learned, by name: no score needs it, but what the vectors are made by.
    pub(crate) matrices: Matrices,
}

/// Matrices by name.
pub(crate) type Matrices = Vec<(String, Matrix)>;

impl Layers {
    /// One layer, whose inner products are the scores.
    pub(crate) fn of(users: Matrix, items: Matrix) -> Layers {
        Layers {
            users: vec![users],
            items: vec![items],
            weights: vec![1.0],
            neighbours: Neighbours::default(),
            matrices: Vec::new(),
        }
    }

    /// Whether every vector is finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.users.iter().chain(&self.items).all(Matrix::is_finite)
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
        if self.neighbours.is_empty() {
            return context.validation.recall(context, 20, &users, &items);
        }
        let sum = [(Models::from(&self.neighbours), &[(1.0, 1.0)][..])];
        let recalls = context.validation.recall_of_sums(context, 20, (&users, &items), &sum)?;
        Ok(recalls.first().copied())
    }

    /// Every layer rotated at random to a width of its own.
    pub(crate) fn rotated(&self, context: &Context<'_>, widths: &[usize]) -> Layers {
        let isa = context.isa;
        let mut out = Layers {
            users: Vec::new(),
            items: Vec::new(),
            weights: self.weights.clone(),
            neighbours: Neighbours::default(),
            matrices: Vec::new(),
        };
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
    pub(crate) fn save(mut self, state: &mut TrainState) {
        let matrices = std::mem::take(&mut self.matrices);
        Taught::new(self).save(state);
        matrices.into_iter().for_each(|(name, matrix)| state.push(&format!("teacher.{name}"), matrix));
    }

    /// Users and items such that a plain inner product is the score: all layers side by side, those of weight 0 left out. One layer of weight 1,
    /// as most teachers have it, is not copied.
    pub(crate) fn joined(&self) -> (Cow<'_, Matrix>, Cow<'_, Matrix>) {
        let used: Vec<usize> = (0..self.weights.len()).filter(|&layer| self.weights[layer] != 0.0).collect();
        if let &[layer] = &used[..]
            && self.weights[layer] == 1.0
        {
            return (Cow::Borrowed(&self.users[layer]), Cow::Borrowed(&self.items[layer]));
        }
        let join = |sides: &[Matrix], weighted: bool| {
            let rows = sides.first().map_or(0, Matrix::rows);
            let mut out = Matrix::zeros(rows, used.iter().map(|&layer| sides[layer].cols()).sum());
            out.par_rows_mut().enumerate().for_each(|(row, mut out)| {
                for &layer in &used {
                    let (head, tail) = out.split_at_mut(sides[layer].cols());
                    head.copy_from_slice(sides[layer].row(row));
                    if weighted {
                        head.iter_mut().for_each(|x| *x *= self.weights[layer]);
                    }
                    out = tail;
                }
            });
            Cow::Owned(out)
        };
        (join(&self.users, true), join(&self.items, false))
    }

    /// [`Layers::joined`], of layers that are not needed any more, and the neighbours.
    pub(crate) fn into_joined(mut self) -> (Matrix, Matrix, Neighbours) {
        let neighbours = std::mem::take(&mut self.neighbours);
        let copies = match self.joined() {
            (Cow::Owned(users), Cow::Owned(items)) => Some((users, items)),
            _ => None,
        };
        let first = self.weights.iter().position(|&weight| weight != 0.0).unwrap_or(0);
        let (users, items) = copies.unwrap_or_else(|| (self.users.swap_remove(first), self.items.swap_remove(first)));
        (users, items, neighbours)
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
