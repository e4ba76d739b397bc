//! SpectralCF, and the spectral convolution it is made of.

use rayon::prelude::*;

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::lightgcn::hop;
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::Result;
use crate::graph::Adjacency;
use crate::kernel::dense::{Isa, Matrix, View, add_scaled, exponentials, product};
use crate::train::context::Context;
use crate::train::model::size::Size;
use crate::train::optim::random::normal_matrix;

/// Names of the layers' weights.
const NAMES: [&str; 5] = ["layer1.weights", "layer2.weights", "layer3.weights", "layer4.weights", "layer5.weights"];

/// SpectralCF (Zheng et al., RecSys 2018, equation 12): `X^(l+1) = sp(X^(l); T^(l))`, where the table `X^(0)` and every layer's `T^(l)` are learned; all
/// layers side by side are scored.
#[derive(Clone, Debug)]
pub(crate) struct SpectralCf {
    pub(crate) descent: Descent,
    /// Convolutions, at most [`SpectralCf::HOPS`].
    pub(crate) hops: usize,
    pub(crate) activation: Activation,
}

impl SpectralCf {
    /// Convolutions at most.
    pub(crate) const HOPS: usize = NAMES.len();
}

impl Teacher for SpectralCf {
    fn name(&self) -> &'static str {
        "SpectralCF"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.descent.factors; self.hops + 1], self.weights())
    }

    /// What a convolution is made from and gives, and gradients of three on the way.
    fn floats(&self, size: Size) -> f64 {
        self.descent.floats(size, self.hops + 1, 2 * self.hops + 3)
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        self.descent.run(context, self, |descent| Box::new(SpectralCf { descent, ..self.clone() }))
    }
}

impl Encoder for SpectralCf {
    type Tape = Vec<Convolved>;

    fn weights(&self) -> Vec<f32> {
        vec![1.0; self.hops + 1]
    }

    fn matrices(&self, context: &Context<'_>) -> Vec<(&'static str, Matrix)> {
        let names = NAMES[..self.hops].iter();
        names.map(|&name| (name, convolution_weights(context, name, self.descent.factors))).collect()
    }

    fn forward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        _: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Vec<Convolved>)>> {
        let mut layers = vec![tables.clone()];
        let mut tape: Vec<Convolved> = Vec::with_capacity(self.hops);
        for weights in matrices {
            let from = tape.last().map_or(tables, |last| &last.out);
            let convolved = self.activation.convolve(context, from, weights)?;
            layers.push(convolved.out.clone());
            tape.push(convolved);
        }
        Ok(Some((layers, tape)))
    }

    fn backward(
        &self,
        context: &Context<'_>,
        Parameters { matrices, .. }: &Parameters,
        _: &Draw,
        tape: Vec<Convolved>,
        gradient: &[Nodes],
    ) -> Result<Parameters> {
        let mut by_matrices = Vec::with_capacity(matrices.len());
        let mut layers = gradient.iter().rev();
        let mut by_layer = layers.next().cloned().unwrap_or_else(|| Nodes::zeros(0, 0, 0));
        for ((convolved, weights), below) in tape.iter().zip(matrices).rev().zip(layers) {
            let (by_from, by_weights) = self.activation.back(context, convolved, weights, by_layer)?;
            by_matrices.insert(0, by_weights);
            by_layer = by_from;
            by_layer.add(context.isa, below);
        }
        Ok(Parameters { tables: by_layer, matrices: by_matrices })
    }
}

/// `rho`, what a convolution ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// Nothing: the model is linear.
    Identity,
}

/// What the way back needs of a convolution.
pub(crate) struct Convolved {
    /// `(I + A_hat) X`.
    mixed: Nodes,
    /// `rho((I + A_hat) X T)`.
    pub(crate) out: Nodes,
}

/// The weights `T` of a convolution at the start: normal numbers of the size that keeps that of its inputs (Glorot and Bengio 2010).
pub(crate) fn convolution_weights(context: &Context<'_>, name: &str, width: usize) -> Matrix {
    normal_matrix(&mut context.rng(name), width, width, (1.0 / width as f32).sqrt())
}

impl Activation {
    /// The spectral convolution `sp(X; T) = rho((I + A_hat) X T)`. O(edges d + nodes d^2).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn convolve(self, context: &Context<'_>, from: &Nodes, weights: &Matrix) -> Result<Convolved> {
        let isa = context.isa;
        let mixed = hop(context, &Adjacency::new(context.graph), from, Some(from))?;
        let side = |mixed: &Matrix| {
            let mut out = product(isa, mixed.into(), weights.into());
            out.par_rows_mut().for_each(|row| self.apply(isa, row));
            out
        };
        Ok(Convolved { out: Nodes { users: side(&mixed.users), items: side(&mixed.items) }, mixed })
    }

    /// The gradients by `X` and by `T`, from that by the convolution. As costly as [`Activation::convolve`] twice.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn back(
        self,
        context: &Context<'_>,
        Convolved { mixed, out }: &Convolved,
        weights: &Matrix,
        mut by_out: Nodes,
    ) -> Result<(Nodes, Matrix)> {
        let isa = context.isa;
        for (gradient, out) in [(&mut by_out.users, &out.users), (&mut by_out.items, &out.items)] {
            let rows = gradient.par_rows_mut().zip(out.par_rows());
            rows.for_each(|(gradient, out)| gradient.iter_mut().zip(out).for_each(|(g, &x)| *g *= self.slope(x)));
        }
        let by_weights = |mixed: &Matrix, by: &Matrix| product(isa, View::from(mixed).transposed(), by.into());
        let mut of_weights = by_weights(&mixed.users, &by_out.users);
        add_scaled(isa, of_weights.data_mut(), 1.0, by_weights(&mixed.items, &by_out.items).data());
        let by_mixed = |by: &Matrix| product(isa, by.into(), View::from(weights).transposed());
        let by_mixed = Nodes { users: by_mixed(&by_out.users), items: by_mixed(&by_out.items) };
        let by_from = hop(context, &Adjacency::new(context.graph), &by_mixed, Some(&by_mixed))?;
        Ok((by_from, of_weights))
    }

    fn apply(self, isa: Isa, row: &mut [f32]) {
        // With e = exp(-s |x|), which cannot overflow, the two that are curved are fractions.
        let decayed = |steepness: f32| {
            let mut decayed: Vec<f32> = row.iter().map(|x| x.abs()).collect();
            exponentials(isa, &mut decayed, -steepness, 0.0);
            decayed
        };
        match self {
            Activation::Sigmoid => {
                let decayed = decayed(1.0);
                row.iter_mut().zip(&decayed).for_each(|(x, e)| *x = if *x < 0.0 { *e } else { 1.0 } / (1.0 + e));
            }
            Activation::Tanh => {
                let decayed = decayed(2.0);
                row.iter_mut().zip(&decayed).for_each(|(x, e)| *x = ((1.0 - e) / (1.0 + e)).copysign(*x));
            }
            Activation::Relu => row.iter_mut().for_each(|x| *x = x.max(0.0)),
            Activation::Identity => {}
        }
    }

    /// The derivative where the activation is `out`.
    fn slope(self, out: f32) -> f32 {
        match self {
            Activation::Sigmoid => out * (1.0 - out),
            Activation::Tanh => 1.0 - out * out,
            Activation::Relu => f32::from(u8::from(out > 0.0)),
            Activation::Identity => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::teacher::descent::tests::small;
    use crate::train::teacher::encoder::tests::assert_gradients_equal_finite_differences;

    const ALL: [Activation; 4] = [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Identity];

    #[test]
    fn gradients_equal_finite_differences() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        for activation in ALL {
            for hops in 0..4 {
                let model = SpectralCf { descent: small(), hops, activation };
                assert_gradients_equal_finite_differences(&context, &model, model.descent.factors);
            }
        }
    }

    /// Two convolutions, written out for each node.
    #[test]
    fn convolutions_equal_their_definition() {
        let graph = Bipartite::from_edges(2, 2, &[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)]).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let one = |x| Matrix::from_data(1, 1, vec![x]).unwrap();
        let column = |x: [f32; 2]| Matrix::from_data(2, 1, x.to_vec()).unwrap();
        // Of the path item 0, user 0, item 1, user 1: an edge weighs one over the roots of both degrees.
        let side = 1.0 / 2f32.sqrt();
        for (activation, rho) in ALL.into_iter().zip([
            (|x: f32| 1.0 / (1.0 + (-x).exp())) as fn(f32) -> f32,
            f32::tanh,
            |x| x.max(0.0),
            |x| x,
        ]) {
            let model = SpectralCf { descent: Descent { factors: 1, ..small() }, hops: 2, activation };
            let tables = Nodes { users: column([1.0, -2.0]), items: column([3.0, 0.5]) };
            let parameters = Parameters { tables, matrices: vec![one(0.5), one(-0.75)] };
            let (layers, _) = model.forward(&context, &parameters, &Draw::default()).unwrap().unwrap();
            let mut path = [3.0, 1.0, 0.5, -2.0f32];
            for (layer, weight) in layers[1..].iter().zip([0.5, -0.75]) {
                let [a, b, c, d] = path;
                let mixed = [a + side * b, b + side * a + 0.5 * c, c + 0.5 * b + side * d, d + side * c];
                path = mixed.map(|x| rho(weight * x));
                let found = [layer.items.row(0), layer.users.row(0), layer.items.row(1), layer.users.row(1)];
                for (found, want) in found.iter().zip(path) {
                    assert!((found[0] - want).abs() < 1e-5, "{activation:?}: {found:?} {want}");
                }
            }
        }
    }
}
