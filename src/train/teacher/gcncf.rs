//! GCN-CF.

use rayon::prelude::*;

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::nodes::Nodes;
use super::spectralcf::{Activation, Convolved, convolution_weights};
use super::{Fit, Teacher};
use crate::error::Result;
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Isa, Matrix, add_product, add_scaled, dot, multiply_by};
use crate::train::context::Context;
use crate::train::model::size::Size;

/// Names of the weights of the convolutions.
const CONVOLUTIONS: [&str; 2] = ["layer1.weights", "layer2.weights"];
/// Names of what crosses nodes with themselves, `W1` and then `W2`, of users and then items.
const CROSSES: [&str; 4] = ["cross1.users", "cross1.items", "cross2.users", "cross2.items"];
/// Keeps a column that is everywhere the same from being divided by zero.
const EPSILON: f32 = 1e-5;
/// Rows whose sums are one task's: fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 512;

/// The teacher of DGCN-BinCF (Wang et al., IJCAI 2019): two [spectral convolutions](Activation::convolve) of normalised inputs, and between them two
/// crosses of every node with itself,
///
/// `X1 = sp(BN(X0); T0)`, `X2 = X1 + diag((X1 o W1) 1) X1`, `X3 = X2 + diag((X2 o W2) 1) X2`, `X4 = sp(BN(X3); T1)`,
///
/// where `W1` and `W2` have a row for each node, kept `d` times as large: all elements of an activated row are positive, so that steps of Adam on the
/// rows themselves would add up; elements of `T` are kept the root of `d` times as large, about 1, for the same reason. `X0`, `X1` and `X4` side by side are scored. Every column is normalised by its mean and deviation over
/// all nodes with interactions, which are the same while training and after: a step propagates the whole graph. There is no scale or shift after it,
/// since `T` has the one and the paper names neither. Forth and back it costs as much as two hops and six products with `T`: O(edges d + nodes d^2).
#[derive(Clone, Debug)]
pub(crate) struct GcnCf {
    pub(crate) descent: Descent,
    pub(crate) activation: Activation,
    /// Whether there are crosses; without, `X3` is `X1`.
    pub(crate) crossed: bool,
    /// Whether inputs are normalised.
    pub(crate) normalised: bool,
}

/// What the way back needs.
pub(crate) struct Passed {
    first: Convolved,
    second: Convolved,
    /// `BN(X0)` and `BN(X3)`.
    normals: Option<[Normal; 2]>,
}

impl Teacher for GcnCf {
    fn name(&self) -> &'static str {
        "GCN-CF"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.descent.factors; 3], self.weights())
    }

    /// What the convolutions and the normalisation are made from, forth and back, and two crosses with their gradients, moments and best.
    fn floats(&self, size: Size) -> f64 {
        self.descent.floats(size, 3, if self.crossed { 15 } else { 5 })
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        self.descent.run(context, self, |descent| Box::new(GcnCf { descent, ..self.clone() }))
    }
}

impl Encoder for GcnCf {
    type Tape = Passed;

    fn weights(&self) -> Vec<f32> {
        vec![1.0; 3]
    }

    /// The crosses start at zero, where `X3` is `X1`.
    fn matrices(&self, context: &Context<'_>) -> Vec<(&'static str, Matrix)> {
        let (d, graph) = (self.descent.factors, context.graph);
        let weights = |name| {
            let mut weights = convolution_weights(context, name, d);
            multiply_by(context.isa, weights.data_mut(), (d as f32).sqrt());
            (name, weights)
        };
        let mut matrices: Vec<_> = CONVOLUTIONS.into_iter().map(weights).collect();
        if self.crossed {
            let rows = [graph.n_users(), graph.n_items()].into_iter().cycle();
            matrices.extend(CROSSES.into_iter().zip(rows).map(|(name, rows)| (name, Matrix::zeros(rows, d))));
        }
        matrices
    }

    fn forward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        _: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Passed)>> {
        let (isa, graph) = (context.isa, context.graph);
        let [to_first, to_second] = [0, 1].map(|at| self.convolution(isa, &matrices[at]));
        let normal = |nodes: &Nodes| self.normalised.then(|| Normal::of(isa, graph, nodes));
        let in_first = normal(tables);
        let first = self.activation.convolve(context, in_first.as_ref().map_or(tables, |n| &n.out), &to_first)?;
        let crossed = self.cross(isa, &first.out, matrices);
        let of_second = crossed.as_ref().unwrap_or(&first.out);
        let in_second = normal(of_second);
        let input = in_second.as_ref().map_or(of_second, |n| &n.out);
        let second = self.activation.convolve(context, input, &to_second)?;
        let layers = vec![tables.clone(), first.out.clone(), second.out.clone()];
        let normals = in_first.zip(in_second).map(|(first, second)| [first, second]);
        Ok(Some((layers, Passed { first, second, normals })))
    }

    fn backward(
        &self,
        context: &Context<'_>,
        Parameters { matrices, .. }: &Parameters,
        _: &Draw,
        Passed { first, second, normals }: Passed,
        gradient: &[Nodes],
    ) -> Result<Parameters> {
        let (isa, graph) = (context.isa, context.graph);
        let normals = normals.as_ref();
        let [to_first, to_second] = [0, 1].map(|at| self.convolution(isa, &matrices[at]));
        let (mut by_crossed, by_second) = self.activation.back(context, &second, &to_second, gradient[2].clone())?;
        if let Some([_, normal]) = normals {
            normal.back(isa, graph, &mut by_crossed);
        }
        let (mut by_first_out, by_crosses) = self.cross_back(isa, &first.out, matrices, by_crossed);
        by_first_out.add(isa, &gradient[1]);
        let (mut by_tables, by_first) = self.activation.back(context, &first, &to_first, by_first_out)?;
        if let Some([normal, _]) = normals {
            normal.back(isa, graph, &mut by_tables);
        }
        by_tables.add(isa, &gradient[0]);
        let mut by_matrices = [by_first, by_second].map(|by| self.convolution(isa, &by)).to_vec();
        by_matrices.extend(by_crosses);
        Ok(Parameters { tables: by_tables, matrices: by_matrices })
    }
}

impl GcnCf {
    /// `T` of what is learned of a convolution, and the gradient by that from the one by `T`: the root of the width, by which elements are kept larger, is
    /// the same both ways.
    fn convolution(&self, isa: Isa, learned: &Matrix) -> Matrix {
        let mut weights = learned.clone();
        multiply_by(isa, weights.data_mut(), 1.0 / (self.descent.factors as f32).sqrt());
        weights
    }

    /// `X3` of `X1`; nothing where there are no crosses.
    fn cross(&self, isa: Isa, from: &Nodes, matrices: &[Matrix]) -> Option<Nodes> {
        let [_, _, users1, items1, users2, items2] = matrices else { return None };
        let side = |from: &Matrix, first: &Matrix, second: &Matrix| {
            let mut out = from.clone();
            let rows = out.par_rows_mut().zip(first.par_rows()).zip(second.par_rows());
            rows.for_each(|((row, first), second)| {
                for weights in [first, second] {
                    let factor = 1.0 + share(isa, row, weights);
                    multiply_by(isa, row, factor);
                }
            });
            out
        };
        Some(Nodes { users: side(&from.users, users1, users2), items: side(&from.items, items1, items2) })
    }

    /// The gradients by `X1` and by what crosses it, from that by `X3`.
    fn cross_back(&self, isa: Isa, from: &Nodes, matrices: &[Matrix], by: Nodes) -> (Nodes, Vec<Matrix>) {
        let [_, _, users1, items1, users2, items2] = matrices else { return (by, Vec::new()) };
        let side = |from: &Matrix, first: &Matrix, second: &Matrix, mut by: Matrix| {
            let (mut by_first, mut by_second) = (first.clone(), second.clone());
            let rows = by.par_rows_mut().zip(by_first.par_rows_mut()).zip(by_second.par_rows_mut());
            rows.zip(from.par_rows()).for_each(|(((by, first), second), row)| {
                let mut crossed = row.to_vec();
                multiply_by(isa, &mut crossed, 1.0 + share(isa, row, first));
                uncross(isa, &crossed, second, by);
                uncross(isa, row, first, by);
            });
            (by, by_first, by_second)
        };
        let (users, by_users1, by_users2) = side(&from.users, users1, users2, by.users);
        let (items, by_items1, by_items2) = side(&from.items, items1, items2, by.items);
        (Nodes { users, items }, vec![by_users1, by_items1, by_users2, by_items2])
    }
}

/// `<x, w> / d`.
fn share(isa: Isa, row: &[f32], weights: &[f32]) -> f32 {
    dot(isa, row, weights) / row.len() as f32
}

/// Takes the gradient `by` the cross `y = x (1 + <x, w> / d)` of a row back to x, and writes that by w over w.
fn uncross(isa: Isa, row: &[f32], weights: &mut [f32], by: &mut [f32]) {
    let (factor, slope) = (1.0 + share(isa, row, weights), share(isa, by, row));
    multiply_by(isa, by, factor);
    add_scaled(isa, by, slope, weights);
    weights.copy_from_slice(row);
    multiply_by(isa, weights, slope);
}

/// Columns of mean 0 and deviation 1 over the nodes with interactions (batch normalisation: Ioffe and Szegedy 2015). The others' rows are zero.
struct Normal {
    out: Nodes,
    /// One over the deviation of every column.
    inverse: Vec<f32>,
    /// One over the number of nodes with interactions.
    share: f32,
}

impl Normal {
    /// Normalises the columns. O(nodes columns).
    fn of(isa: Isa, graph: &Bipartite, nodes: &Nodes) -> Normal {
        let active = |rows: &Csr| (0..rows.n_rows()).filter(|&row| rows.degree(row) > 0).count();
        let share = 1.0 / (active(graph.users()) + active(graph.items())).max(1) as f32;
        let mean = sums(graph, nodes, |row, _, sum| add_scaled(isa, sum, share, row), nodes);
        let mut out = nodes.clone();
        for (matrix, rows) in [(&mut out.users, graph.users()), (&mut out.items, graph.items())] {
            matrix.par_rows_mut().enumerate().for_each(|(row, values)| match rows.degree(row) {
                0 => values.fill(0.0),
                _ => add_scaled(isa, values, -1.0, &mean),
            });
        }
        let mut inverse = sums(graph, &out, |row, _, sum| add_product(isa, sum, share, row, row), &out);
        inverse.iter_mut().for_each(|variance| *variance = 1.0 / (*variance + EPSILON).sqrt());
        out.each_mut(|side| {
            side.par_rows_mut().for_each(|row| row.iter_mut().zip(&inverse).for_each(|(x, inverse)| *x *= inverse));
        });
        Normal { out, inverse, share }
    }

    /// Turns the gradient g by the normalised columns y into that by what they were made from, `(g - mean(g) - y mean(g o y)) / deviation`.
    fn back(&self, isa: Isa, graph: &Bipartite, by: &mut Nodes) {
        let share = self.share;
        let mean = sums(graph, by, |by, _, sum| add_scaled(isa, sum, share, by), &self.out);
        let along = sums(graph, by, |by, out, sum| add_product(isa, sum, share, by, out), &self.out);
        let sides = [(&mut by.users, &self.out.users, graph.users()), (&mut by.items, &self.out.items, graph.items())];
        for (by, out, rows) in sides {
            by.par_rows_mut().zip(out.par_rows()).enumerate().for_each(|(row, (by, out))| {
                if rows.degree(row) == 0 {
                    by.fill(0.0);
                    return;
                }
                add_scaled(isa, by, -1.0, &mean);
                add_product(isa, by, -1.0, out, &along);
                by.iter_mut().zip(&self.inverse).for_each(|(by, inverse)| *by *= inverse);
            });
        }
    }
}

/// What `add` makes of the rows of nodes with interactions, and of the same rows of `beside`, one after the other: users first.
fn sums(graph: &Bipartite, nodes: &Nodes, add: impl Fn(&[f32], &[f32], &mut [f32]) + Sync, beside: &Nodes) -> Vec<f32> {
    let cols = nodes.users.cols();
    let mut total = vec![0.0; cols];
    let sides = [(&nodes.users, &beside.users, graph.users()), (&nodes.items, &beside.items, graph.items())];
    for (side, beside, rows) in sides {
        let parts: Vec<Vec<f32>> = (0..side.rows().div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let mut sum = vec![0.0; cols];
                let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(side.rows());
                range.filter(|&row| rows.degree(row) > 0).for_each(|row| add(side.row(row), beside.row(row), &mut sum));
                sum
            })
            .collect();
        parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(total, x)| *total += x));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optim::random::normal_matrix;
    use crate::train::teacher::descent::tests::small;
    use crate::train::teacher::encoder::tests::assert_gradients_equal_finite_differences;

    #[test]
    fn gradients_equal_finite_differences() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Identity] {
            for (crossed, normalised) in [(true, true), (false, true), (true, false), (false, false)] {
                let model = GcnCf { descent: small(), activation, crossed, normalised };
                assert_gradients_equal_finite_differences(&context, &model, model.descent.factors);
            }
        }
    }

    #[test]
    fn columns_have_mean_zero_and_deviation_one_over_the_nodes_with_interactions() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let mut nodes =
            Nodes { users: normal_matrix(&mut rng, 10, 3, 2.0), items: normal_matrix(&mut rng, 13, 3, 2.0) };
        nodes.users.row_mut(9).fill(1e6);
        let Normal { out, .. } = Normal::of(context.isa, &graph, &nodes);
        assert_eq!((out.users.row(9), out.items.row(12)), (&[0.0; 3][..], &[0.0; 3][..]));
        for col in 0..3 {
            let values: Vec<f32> =
                out.users.par_rows().take(9).chain(out.items.par_rows().take(12)).map(|row| row[col]).collect();
            let mean = values.iter().sum::<f32>() / 21.0;
            let variance = values.iter().map(|x| x * x).sum::<f32>() / 21.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        }
    }

    /// A cross written out, and as none where its weights are zero.
    #[test]
    fn crosses_equal_their_definition() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let mut random = |rows| normal_matrix(&mut rng, rows, 4, 0.5);
        let from = Nodes { users: random(10), items: random(13) };
        let matrices: Vec<Matrix> = [4, 4, 10, 13, 10, 13].map(&mut random).into();
        let model = GcnCf { descent: small(), activation: Activation::Sigmoid, crossed: true, normalised: true };
        let crossed = model.cross(context.isa, &from, &matrices).unwrap();
        for item in 0..13 {
            let once = |x: &[f32], w: &[f32]| -> Vec<f32> {
                let share = x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>() / 4.0;
                x.iter().map(|x| x + share * x).collect()
            };
            let want = once(&once(from.items.row(item), matrices[3].row(item)), matrices[5].row(item));
            assert!(want.iter().zip(crossed.items.row(item)).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        let zeros: Vec<Matrix> = matrices.iter().map(|matrix| Matrix::zeros(matrix.rows(), 4)).collect();
        assert_eq!(model.cross(context.isa, &from, &zeros).unwrap().users, from.users);
    }
}
