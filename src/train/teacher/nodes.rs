//! Vectors of all users and items, and those of them that are scored.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::dense::{Isa, Matrix, add_scaled};

/// A matrix for the users and one for the items, of the same width.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    pub(crate) users: Matrix,
    pub(crate) items: Matrix,
}

impl Nodes {
    pub(crate) fn zeros(n_users: usize, n_items: usize, cols: usize) -> Nodes {
        Nodes { users: Matrix::zeros(n_users, cols), items: Matrix::zeros(n_items, cols) }
    }

    /// Of both sides what `of` makes of them and of the other's same side.
    pub(crate) fn zip(&self, other: &Nodes, of: impl Fn(&Matrix, &Matrix) -> Matrix) -> Nodes {
        Nodes { users: of(&self.users, &other.users), items: of(&self.items, &other.items) }
    }

    /// Changes both sides.
    pub(crate) fn each_mut(&mut self, mut of: impl FnMut(&mut Matrix)) {
        of(&mut self.users);
        of(&mut self.items);
    }

    /// Adds others of the same shape.
    pub(crate) fn add(&mut self, isa: Isa, others: &Nodes) {
        for (to, from) in [(&mut self.users, &others.users), (&mut self.items, &others.items)] {
            to.par_rows_mut().zip(from.par_rows()).for_each(|(to, from)| add_scaled(isa, to, 1.0, from));
        }
    }

    /// Zeros of the same shape.
    pub(crate) fn zeroed(&self) -> Nodes {
        Nodes::zeros(self.users.rows(), self.items.rows(), self.users.cols())
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.users.is_finite() && self.items.is_finite()
    }
}

/// The vectors that are scored: a pair's score is the inner product of its concatenated layers, each times its weight.
#[derive(Clone, Copy)]
pub(crate) struct Scored<'a> {
    pub(crate) layers: &'a [Nodes],
    pub(crate) weights: &'a [f32],
}

impl Scored<'_> {
    /// The columns of every layer.
    pub(super) fn segments(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let widths = self.layers.iter().map(|layer| layer.users.cols());
        widths
            .map(|width| {
                end += width;
                end - width..end
            })
            .collect()
    }

    pub(super) fn gather<'m>(&'m self, side: impl Fn(&'m Nodes) -> &'m Matrix + Sync, rows: &[u32]) -> Matrix {
        let segments = self.segments();
        let mut out = Matrix::zeros(rows.len(), segments.last().map_or(0, |last| last.end));
        out.par_rows_mut().zip(rows).for_each(|(out, &row)| {
            for ((segment, layer), weight) in segments.iter().zip(self.layers).zip(self.weights) {
                let out = &mut out[segment.clone()];
                out.copy_from_slice(side(layer).row(row as usize));
                out.iter_mut().for_each(|x| *x *= weight);
            }
        });
        out
    }

    /// Adds the gradient by gathered rows to that by all rows, layer by layer. Rows may repeat.
    pub(crate) fn scatter(
        &self,
        isa: Isa,
        side: impl Fn(&mut Nodes) -> &mut Matrix + Sync,
        rows: &[u32],
        gradient: &Matrix,
        into: &mut [Nodes],
    ) {
        let segments = self.segments();
        into.par_iter_mut().zip(&segments).zip(self.weights).for_each(|((into, segment), &weight)| {
            let into = side(into);
            for (at, &row) in rows.iter().enumerate() {
                add_scaled(isa, into.row_mut(row as usize), weight, &gradient.row(at)[segment.clone()]);
            }
        });
    }
}
