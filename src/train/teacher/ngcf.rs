//! NGCF.

use rayon::prelude::*;

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::lightgcn::hop;
use super::masks::{MASKS, Masking};
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::Result;
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_product, add_scaled, product};
use crate::train::context::Context;
use crate::train::model::size::Size;
use crate::train::optim::loss::{normalise, normalise_back};
use crate::train::optim::random::normal_matrix;

/// The slope of the activation below zero.
const LEAK: f32 = 0.2;
/// Matrices of a hop.
const OF_HOP: usize = 3;
/// Their names, by hop.
const NAMES: [[&str; OF_HOP]; 4] = [
    ["hop1.sum", "hop1.product", "hop1.bias"],
    ["hop2.sum", "hop2.product", "hop2.bias"],
    ["hop3.sum", "hop3.product", "hop3.bias"],
    ["hop4.sum", "hop4.product", "hop4.bias"],
];

/// Neural Graph Collaborative Filtering (Wang et al., SIGIR 2019, equations 7 and 8):
/// `E^(l+1) = LeakyReLU(((A_hat + I) E^(l)) W1 + (E^(l) o A_hat E^(l)) W2 + b)`, where the table `E^(0)` and every hop's `W1`, `W2` and `b` are
/// learned. The vectors that are scored are `E^(0)` and, each scaled to length 1, the hops side by side; what is propagated is not scaled. The two biases of
/// the paper are only ever added, so there is one. A hop costs O(edges d + nodes d^2), forth and back.
#[derive(Clone, Debug)]
pub(crate) struct Ngcf {
    pub(crate) descent: Descent,
    /// `L`, at most [`Ngcf::HOPS`].
    pub(crate) hops: usize,
    /// Masks of every hop's edges, where they are learned.
    pub(crate) masking: Option<Masking>,
}

/// What the way back needs of a hop.
pub(crate) struct Passed {
    /// `A_hat E^(l)`.
    hopped: Nodes,
    /// `E^(l+1)`.
    out: Nodes,
}

impl Ngcf {
    /// Hops at most.
    pub(crate) const HOPS: usize = NAMES.len();
}

impl Teacher for Ngcf {
    fn name(&self) -> &'static str {
        if self.masking.is_some() { "S-NGCF" } else { "NGCF" }
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.descent.factors; self.hops + 1], self.weights())
    }

    /// What a hop is made from and gives, forth and back.
    fn floats(&self, size: Size) -> f64 {
        let masks = self.masking.as_ref().map_or(0.0, |masking| masking.floats(size, self.hops));
        self.descent.floats(size, self.hops + 1, 2 * self.hops + 12) + masks
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        self.descent.run(context, self, |descent| Box::new(Ngcf { descent, ..self.clone() }))
    }
}

impl Encoder for Ngcf {
    type Tape = Vec<Passed>;

    fn weights(&self) -> Vec<f32> {
        vec![1.0; self.hops + 1]
    }

    /// Weights of Glorot and Bengio's size (2010), biases of zero.
    fn matrices(&self, context: &Context<'_>) -> Vec<(&'static str, Matrix)> {
        let d = self.descent.factors;
        let mut rng = context.rng("hops");
        let mut matrices = Vec::new();
        for [sum, product, bias] in &NAMES[..self.hops] {
            let mut weights = || normal_matrix(&mut rng, d, d, (1.0 / d as f32).sqrt());
            matrices.extend([(*sum, weights()), (*product, weights()), (*bias, Matrix::zeros(1, d))]);
        }
        matrices.extend(self.masking.iter().map(|masking| (MASKS, masking.logits(context.graph, self.hops))));
        matrices
    }

    fn masking(&self) -> Option<&Masking> {
        self.masking.as_ref()
    }

    fn forward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        Draw { masks, .. }: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Vec<Passed>)>> {
        let isa = context.isa;
        let mut layers = vec![tables.clone()];
        let mut tape: Vec<Passed> = Vec::with_capacity(self.hops);
        for of_hop in matrices.chunks_exact(OF_HOP).take(self.hops) {
            let from = tape.last().map_or(tables, |last| &last.out);
            let hopped = hop(context, &masks.adjacency(context.graph, tape.len()), from, None)?;
            let out = from.zip(&hopped, |from, hopped| convolve(isa, from, hopped, of_hop));
            let mut layer = out.clone();
            layer.each_mut(|side| {
                side.par_rows_mut().for_each(|row| {
                    normalise(isa, row);
                });
            });
            layers.push(layer);
            tape.push(Passed { hopped, out });
        }
        Ok(Some((layers, tape)))
    }

    fn backward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        Draw { masks, .. }: &Draw,
        mut tape: Vec<Passed>,
        gradient: &[Nodes],
    ) -> Result<Parameters> {
        let isa = context.isa;
        let logits = self.masking.as_ref().and_then(|_| matrices.last());
        let mut by_masks = logits.map(|logits| Matrix::zeros(logits.rows(), logits.cols()));
        let mut by_matrices: Vec<Matrix> = Vec::with_capacity(matrices.len());
        // By what the hop above was made from.
        let mut above: Option<Nodes> = None;
        let mut hops: Vec<&[Matrix]> = matrices.chunks_exact(OF_HOP).take(self.hops).collect();
        while let (Some(Passed { hopped, out }), Some(of_hop)) = (tape.pop(), hops.pop()) {
            context.check()?;
            let from = tape.last().map_or(tables, |last| &last.out);
            let of_layer = &gradient[tape.len() + 1];
            let sides = |side: fn(&Nodes) -> &Matrix| {
                let above = above.as_ref().map(side);
                let through = through_activation(isa, side(of_layer), side(&out), above);
                Back::of(isa, &through, side(from), side(&hopped), of_hop)
            };
            let (mut users, items) = (sides(|nodes| &nodes.users), sides(|nodes| &nodes.items));
            for (matrix, other) in users.by_matrices.iter_mut().zip(&items.by_matrices) {
                add_scaled(isa, matrix.data_mut(), 1.0, other.data());
            }
            by_matrices.splice(0..0, users.by_matrices);
            let by_hopped = Nodes { users: users.by_hopped, items: items.by_hopped };
            let by_from = Nodes { users: users.by_from, items: items.by_from };
            if let (Some(masking), Some(logits), Some(by)) = (&self.masking, logits, &mut by_masks) {
                masking.add_pathwise(context, logits, tape.len(), (from, &by_hopped), by);
            }
            above = Some(hop(context, &masks.adjacency(context.graph, tape.len()), &by_hopped, Some(&by_from))?);
        }
        let mut by_tables = gradient[0].clone();
        above.iter().for_each(|above| by_tables.add(isa, above));
        by_matrices.extend(by_masks);
        Ok(Parameters { tables: by_tables, matrices: by_matrices })
    }
}

/// `LeakyReLU((from + hopped) W1 + (from o hopped) W2 + b)`.
fn convolve(isa: Isa, from: &Matrix, hopped: &Matrix, of_hop: &[Matrix]) -> Matrix {
    let [sum, products, bias] = of_hop else { return from.clone() };
    let (sums, both) = inputs(isa, from, hopped);
    let mut out = product(isa, (&sums).into(), sum.into());
    Factor::pack(isa, products.into()).par_multiply((&both).into(), out.data_mut(), true);
    out.par_rows_mut().for_each(|row| {
        for (x, bias) in row.iter_mut().zip(bias.data()) {
            *x += bias;
            *x *= if *x > 0.0 { 1.0 } else { LEAK };
        }
    });
    out
}

/// `from + hopped` and `from o hopped`.
fn inputs(isa: Isa, from: &Matrix, hopped: &Matrix) -> (Matrix, Matrix) {
    let (mut sums, mut both) = (from.clone(), Matrix::zeros(from.rows(), from.cols()));
    sums.par_rows_mut().zip(both.par_rows_mut()).zip(from.par_rows().zip(hopped.par_rows())).for_each(
        |((sum, both), (from, hopped))| {
            add_scaled(isa, sum, 1.0, hopped);
            add_product(isa, both, 1.0, from, hopped);
        },
    );
    (sums, both)
}

/// The gradient by what the activation is of, from that by its scaled outputs and that by the outputs themselves. Rows whose outputs are `out`.
fn through_activation(isa: Isa, by_layer: &Matrix, out: &Matrix, by_out: Option<&Matrix>) -> Matrix {
    let mut gradient = by_layer.clone();
    gradient.par_rows_mut().zip(out.par_rows()).enumerate().for_each(|(at, (gradient, out))| {
        let mut unit = out.to_vec();
        let inverse = normalise(isa, &mut unit);
        normalise_back(isa, gradient, &unit, inverse);
        if let Some(by_out) = by_out {
            add_scaled(isa, gradient, 1.0, by_out.row(at));
        }
        gradient.iter_mut().zip(out).for_each(|(g, &x)| *g *= if x > 0.0 { 1.0 } else { LEAK });
    });
    gradient
}

/// The gradients of one side of a hop.
struct Back {
    by_from: Matrix,
    by_hopped: Matrix,
    by_matrices: Vec<Matrix>,
}

impl Back {
    /// From the gradient `through` the activation.
    fn of(isa: Isa, through: &Matrix, from: &Matrix, hopped: &Matrix, of_hop: &[Matrix]) -> Back {
        let (sums, both) = inputs(isa, from, hopped);
        let mut bias = Matrix::zeros(1, through.cols());
        through.data().chunks_exact(through.cols().max(1)).for_each(|row| add_scaled(isa, bias.data_mut(), 1.0, row));
        let by_matrices = vec![
            product(isa, View::from(&sums).transposed(), through.into()),
            product(isa, View::from(&both).transposed(), through.into()),
            bias,
        ];
        let by_sums = product(isa, through.into(), View::from(&of_hop[0]).transposed());
        let by_both = product(isa, through.into(), View::from(&of_hop[1]).transposed());
        let (mut by_from, mut by_hopped) = (by_sums.clone(), by_sums);
        let rows = by_from.par_rows_mut().zip(by_hopped.par_rows_mut()).zip(by_both.par_rows());
        rows.zip(from.par_rows().zip(hopped.par_rows())).for_each(
            |(((by_from, by_hopped), by_both), (from, hopped))| {
                add_product(isa, by_from, 1.0, by_both, hopped);
                add_product(isa, by_hopped, 1.0, by_both, from);
            },
        );
        Back { by_from, by_hopped, by_matrices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::teacher::descent::tests::small;
    use crate::train::teacher::encoder::tests::assert_gradients_equal_finite_differences;
    use crate::train::teacher::masks::MaskGradient;
    use crate::train::teacher::masks::tests::assert_pathwise_is_the_derivative;

    #[test]
    fn gradients_equal_finite_differences() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        for hops in 0..3 {
            let model = Ngcf { descent: small(), hops, masking: None };
            assert_gradients_equal_finite_differences(&context, &model, model.descent.factors);
        }
    }

    #[test]
    fn masks_learn_by_the_derivative() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let gradient = MaskGradient::Pathwise;
        let masking = Some(Masking { start: 0.3, gradient, sparsity: 0.0, nuclear: 0.0, rank: 1 });
        let model = Ngcf { descent: small(), hops: 2, masking };
        assert_pathwise_is_the_derivative(&context, &model, model.descent.factors);
    }

    /// One hop, written out for each node.
    #[test]
    fn a_hop_equals_its_definition() {
        let graph = Bipartite::from_edges(2, 2, &[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)]).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let model = Ngcf { descent: Descent { factors: 1, ..small() }, hops: 1, masking: None };
        let one = |x| Matrix::from_data(1, 1, vec![x]).unwrap();
        let column = |x: [f32; 2]| Matrix::from_data(2, 1, x.to_vec()).unwrap();
        let tables = Nodes { users: column([1.0, -2.0]), items: column([3.0, 0.5]) };
        let parameters = Parameters { tables, matrices: vec![one(0.5), one(-1.0), one(0.25)] };
        let (_, tape) = model.forward(&context, &parameters, &Draw::default()).unwrap().unwrap();
        let leaky = |x: f32| if x > 0.0 { x } else { 0.2 * x };
        let want = |own: f32, hopped: f32| leaky(0.5 * (own + hopped) - own * hopped + 0.25);
        // User 0 has two items, item 1 two users: an edge weighs one over the roots of both degrees.
        let hopped = [3.0 / 2f32.sqrt() + 0.5 / 2.0, 0.5 / 2f32.sqrt()];
        for (at, own) in [1.0, -2.0].into_iter().enumerate() {
            assert!((tape[0].out.users.row(at)[0] - want(own, hopped[at])).abs() < 1e-6);
        }
    }
}
