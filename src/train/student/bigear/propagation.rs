//! From the trained table to the segments that are quantised, and back.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::Adjacency;
use crate::kernel::dense::{Isa, Matrix, add_scaled, multiply_by, sum_abs, write_signs};
use crate::train::context::Context;
use crate::train::optim::estimator::Estimator;
use crate::train::teacher::{Nodes, hop};

/// Zeros of the same shape.
pub(crate) fn zeros_like(nodes: &Nodes) -> Nodes {
    Nodes::zeros(nodes.users.rows(), nodes.items.rows(), nodes.users.cols())
}

/// `to += scale * from`.
fn add(isa: Isa, to: &mut Nodes, scale: f32, from: &Nodes) {
    for (to, from) in [(&mut to.users, &from.users), (&mut to.items, &from.items)] {
        to.par_rows_mut().zip(from.par_rows()).for_each(|(to, from)| add_scaled(isa, to, scale, from));
    }
}

/// The linear part of the model: the layers `V^(l+1) = A_hat V^(l)` above the trained table `V^(0)`, and the segments made of them:
/// each layer is one, or, `pooled`, `sum over layers of w_l V^(l)` is the only one.
pub(crate) struct Propagation<'a> {
    adjacency: Adjacency<'a>,
    weights: Vec<f32>,
    pooled: bool,
}

impl<'a> Propagation<'a> {
    /// `weights` are the layers' `w_l`, one more than there are hops.
    pub(crate) fn new(adjacency: Adjacency<'a>, weights: Vec<f32>, pooled: bool) -> Propagation<'a> {
        Propagation { adjacency, weights, pooled }
    }

    /// The segments above a table. O(hops edges columns).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn forward(&self, context: &Context<'_>, table: &Nodes) -> Result<Vec<Nodes>> {
        let mut segments = vec![table.clone()];
        for _ in 1..self.weights.len() {
            if let Some(last) = segments.last() {
                segments.push(hop(context, &self.adjacency, last, None)?);
            }
        }
        if !self.pooled {
            return Ok(segments);
        }
        let mut sum = zeros_like(table);
        segments.iter().zip(&self.weights).for_each(|(layer, &weight)| add(context.isa, &mut sum, weight, layer));
        Ok(vec![sum])
    }

    /// The gradient with respect to the table, given those with respect to the segments; `A_hat` is symmetric, so for two hops it is
    /// `A_hat (A_hat G_2 + G_1) + G_0`. As costly as [`Propagation::forward`].
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn backward(&self, context: &Context<'_>, gradients: Vec<Nodes>) -> Result<Option<Nodes>> {
        let weighted = |of_sum: &Nodes, weight: f32| {
            let mut out = zeros_like(of_sum);
            add(context.isa, &mut out, weight, of_sum);
            out
        };
        let layers: Vec<Nodes> = match (self.pooled, gradients.first()) {
            (true, Some(of_sum)) => self.weights.iter().map(|&weight| weighted(of_sum, weight)).collect(),
            _ => gradients,
        };
        let mut layers = layers.into_iter().rev();
        let Some(mut total) = layers.next() else { return Ok(None) };
        for gradient in layers {
            total = hop(context, &self.adjacency, &total, Some(&gradient))?;
        }
        Ok(Some(total))
    }
}

/// The de-quantised codes of a segment, times its weight: `w mean|v| sign(v)` for every row v, so that plain inner products are the
/// segment's part of the score.
pub(crate) fn quantise(isa: Isa, segment: &Nodes, weight: f32) -> Nodes {
    let side = |values: &Matrix| {
        let mut codes = Matrix::zeros(values.rows(), values.cols());
        codes.par_rows_mut().zip(values.par_rows()).for_each(|(code, values)| {
            write_signs(isa, code, values);
            multiply_by(isa, code, weight * sum_abs(isa, values) / values.len() as f32);
        });
        codes
    };
    Nodes { users: side(&segment.users), items: side(&segment.items) }
}

/// Turns the gradient with respect to [`quantise`]'s result into the one with respect to the segment. The scaler takes none and
/// leaves it unscaled.
pub(crate) fn through_signs(isa: Isa, estimator: Estimator, segment: &Nodes, weight: f32, gradient: &mut Nodes) {
    for (values, gradient) in [(&segment.users, &mut gradient.users), (&segment.items, &mut gradient.items)] {
        gradient.par_rows_mut().zip(values.par_rows()).for_each(|(gradient, values)| {
            multiply_by(isa, gradient, weight);
            estimator.scale(isa, values, gradient);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::normal_matrix;

    fn nodes(seed: &str) -> Nodes {
        let graph = Bipartite::from_edges(7, 5, &[]).unwrap();
        let mut rng = crate::train::tests::context(&graph, &()).rng(seed);
        Nodes { users: normal_matrix(&mut rng, 7, 3, 1.0), items: normal_matrix(&mut rng, 5, 3, 1.0) }
    }

    fn inner(a: &Nodes, b: &Nodes) -> f64 {
        let side = |a: &Matrix, b: &Matrix| -> f64 {
            a.data().iter().zip(b.data()).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        side(&a.users, &b.users) + side(&a.items, &b.items)
    }

    /// Both passes are linear, so the second is the gradient of the first exactly when it is its adjoint.
    #[test]
    fn backward_is_the_adjoint_of_forward() {
        let edges: Vec<_> = (0..20u32).map(|e| (e * 3 % 6, e * e % 5, 1.0)).collect();
        let graph = Bipartite::from_edges(7, 5, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        for (weights, pooled) in
            [(vec![1.0 / 3.0, 2.0 / 3.0, 1.0], false), (vec![0.5, 2.0, 1.0], true), (vec![0.7], true)]
        {
            let segments = if pooled { 1 } else { weights.len() };
            let propagation = Propagation::new(Adjacency::new(&graph), weights, pooled);
            let table = nodes("table");
            let gradients: Vec<Nodes> = (0..segments).map(|at| nodes(&format!("gradient {at}"))).collect();
            let forward = propagation.forward(&context, &table).unwrap();
            assert_eq!(forward.len(), segments);
            let there: f64 = forward.iter().zip(&gradients).map(|(a, b)| inner(a, b)).sum();
            let back = inner(&table, &propagation.backward(&context, gradients).unwrap().unwrap());
            assert!((there - back).abs() < 1e-4 && there.abs() > 0.1, "{there} {back}");
        }
    }

    #[test]
    fn codes_are_weighted_mean_magnitudes_with_signs() {
        let mut segment = nodes("segment");
        segment.items.row_mut(2).fill(0.0);
        let codes = quantise(Isa::BASELINE, &segment, 0.5);
        assert!(codes.items.row(2).iter().all(|&code| code == 0.0));
        for (values, codes) in segment.users.data().chunks(3).zip(codes.users.data().chunks(3)) {
            let mean = values.iter().map(|x| x.abs()).sum::<f32>() / 3.0;
            for (x, code) in values.iter().zip(codes) {
                assert!((code - 0.5 * mean * x.signum()).abs() < 1e-6);
            }
        }
        let mut gradient = nodes("gradient");
        let before = gradient.clone();
        through_signs(Isa::BASELINE, Estimator::Clipped { range: 1.0 }, &segment, 0.5, &mut gradient);
        for ((x, before), after) in segment.users.data().iter().zip(before.users.data()).zip(gradient.users.data()) {
            assert_eq!(*after, if x.abs() <= 1.0 { 0.5 * before } else { 0.0 });
        }
    }
}
