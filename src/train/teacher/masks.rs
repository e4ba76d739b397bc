//! Stochastic masks of edges.

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::nodes::Nodes;
use crate::graph::{Adjacency, Bipartite, EdgeMask};
use crate::kernel::dense::{Gram, Isa, Matrix, add_scaled, dot, multiply_by, product};
use crate::train::context::Context;
use crate::train::model::size::Size;
use crate::train::optim::random::{normal_matrix, unit};

/// Alternations between both sides that bring a subspace near to that of the largest singular values, where those stand out: among many that are alike it
/// is some of them.
const ALTERNATIONS: usize = 2;
/// Steps of Newton and Schulz to an inverse root: matrices of a trace of one need few.
const ROOTS: usize = 20;

/// The name masks' logits are kept by.
pub(crate) const MASKS: &str = "masks";

/// How the logits of masks learn from the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskGradient {
    /// By the losses under two masks that are drawn against each other (ARM: Yin and Zhou, ICLR 2019). Unbiased, and as noisy as one number for all
    /// edges is.
    Arm,
    /// By the derivative of the loss by the mask, as if that were its probability.
    Pathwise,
}

/// Binary masks of edges, one a hop, learned with the tables behind them (SGCN: Chen et al., "Structured Graph Convolutional Networks with
/// Stochastic Masks for Recommender Systems", SIGIR 2021): `A^(k) = A o Z^(k)`, `Z ~ Bernoulli(sigmoid(Phi))`. The loss is
///
/// `E[loss] + sparsity sum sigmoid(Phi) + nuclear sum over k of |A^(k)|_*`.
///
/// Degrees stay those of the whole graph. Once trained every mask is its expectation, and 0 where that is at most one half.
#[derive(Clone, Debug)]
pub(crate) struct Masking {
    /// `Phi` at the start.
    pub(crate) start: f32,
    pub(crate) gradient: MaskGradient,
    /// Weight of an edge that is expected to stay, a pair of the loss.
    pub(crate) sparsity: f32,
    /// Weight of the sum of the largest singular values, a pair.
    pub(crate) nuclear: f32,
    /// How many singular values are summed.
    pub(crate) rank: usize,
}

/// The masks of a step.
#[derive(Default)]
pub(crate) struct Masks {
    /// Of every hop; none where nothing is masked.
    hops: Vec<EdgeMask>,
    /// The uniform numbers they were drawn by, `edges x hops`.
    uniform: Option<Matrix>,
}

impl Masks {
    /// The adjacency of a hop.
    pub(crate) fn adjacency<'a>(&'a self, graph: &'a Bipartite, hop: usize) -> Adjacency<'a> {
        let adjacency = Adjacency::new(graph);
        match self.hops.get(hop) {
            Some(mask) => adjacency.masked(mask),
            None => adjacency,
        }
    }

    /// With the factor that `of` makes of the place in `edges x hops`.
    fn of(graph: &Bipartite, hops: usize, of: impl Fn(usize) -> f32 + Sync) -> Masks {
        let edges = graph.n_edges();
        let mask = |hop: usize| {
            let factors = (0..edges).into_par_iter().map(|edge| of(edge * hops + hop)).collect();
            EdgeMask::new(graph, factors)
        };
        Masks { hops: (0..hops).map(mask).collect(), uniform: None }
    }
}

impl Masking {
    /// Floats held beside the tables, about: logits, their best, gradient and moments, what they are drawn by, and a step's masks of both sides.
    pub(super) fn floats(&self, size: Size, hops: usize) -> f64 {
        11.0 * size.edges as f64 * hops as f64
    }

    /// The logits at the start, `edges x hops`.
    pub(crate) fn logits(&self, graph: &Bipartite, hops: usize) -> Matrix {
        let mut logits = Matrix::zeros(graph.n_edges(), hops);
        logits.data_mut().fill(self.start);
        logits
    }

    /// Masks by their logits.
    pub(crate) fn draw(&self, graph: &Bipartite, logits: &Matrix, rng: &mut Xoshiro256PlusPlus) -> Masks {
        let mut uniform = Matrix::zeros(logits.rows(), logits.cols());
        uniform.data_mut().iter_mut().for_each(|u| *u = unit(rng));
        let (u, phi) = (uniform.data(), logits.data());
        let masks = Masks::of(graph, logits.cols(), |at| f32::from(u8::from(u[at] > logistic(-phi[at]))));
        Masks { uniform: Some(uniform), ..masks }
    }

    /// Those that are drawn against them by the same numbers, where that is how logits learn.
    pub(crate) fn opposite(&self, graph: &Bipartite, logits: &Matrix, masks: &Masks) -> Option<Masks> {
        let u = masks.uniform.as_ref().filter(|_| self.gradient == MaskGradient::Arm)?.data();
        let phi = logits.data();
        Some(Masks::of(graph, logits.cols(), |at| f32::from(u8::from(u[at] < logistic(phi[at])))))
    }

    /// What stands for them once trained.
    pub(crate) fn expected(graph: &Bipartite, logits: &Matrix) -> Masks {
        Masks::of(graph, logits.cols(), |at| {
            Some(logistic(logits.data()[at])).filter(|&kept| kept > 0.5).unwrap_or(0.0)
        })
    }

    /// Adds to the gradient by the logits of a hop that of a loss by what it hopped `from`, with a gradient `by` what came of it: nothing, unless that is
    /// how they learn.
    pub(crate) fn add_pathwise(
        &self,
        context: &Context<'_>,
        logits: &Matrix,
        hop: usize,
        (from, by): (&Nodes, &Nodes),
        into: &mut Matrix,
    ) {
        if self.gradient != MaskGradient::Pathwise {
            return;
        }
        let adjacency = Adjacency::new(context.graph);
        let by_edges = adjacency.by_edges(context.isa, (&from.users, &from.items), (&by.users, &by.items));
        into.par_rows_mut().zip(logits.par_rows()).zip(&by_edges).for_each(|((into, phi), by)| {
            into[hop] += by * slope(phi[hop]);
        });
    }

    /// Adds to the gradient by the logits, a sum over `pairs`, that of the penalties and what `losses` under the masks and their opposite say.
    pub(crate) fn add_penalties(
        &self,
        context: &Context<'_>,
        logits: &Matrix,
        masks: &Masks,
        losses: Option<(f64, f64)>,
        pairs: usize,
        into: &mut Matrix,
    ) {
        let pairs = pairs as f32;
        if let Some((uniform, (loss, opposite))) = masks.uniform.as_ref().zip(losses) {
            add_scaled(context.isa, into.data_mut(), (loss - opposite) as f32, uniform.data());
            into.data_mut().iter_mut().for_each(|by| *by -= 0.5 * (loss - opposite) as f32);
        }
        let sparsity = self.sparsity * pairs;
        into.data_mut().par_iter_mut().zip(logits.data()).for_each(|(by, &phi)| *by += sparsity * slope(phi));
        for (hop, mask) in masks.hops.iter().enumerate().filter(|_| self.nuclear > 0.0) {
            let by_edges = by_nuclear_norm(context, &Adjacency::new(context.graph).masked(mask), self.rank);
            into.par_rows_mut().zip(logits.par_rows()).zip(&by_edges).for_each(|((into, phi), by)| {
                into[hop] += self.nuclear * pairs * by * slope(phi[hop]);
            });
        }
    }
}

/// The subgradient of the sum of the `rank` largest singular values of `A`, users by items, by the factor of every edge: `(U V')_ui A_ui`, in the order of
/// the users' rows. The singular vectors are those of a block of vectors after some alternations between both sides. O(edges rank + nodes rank^2).
fn by_nuclear_norm(context: &Context<'_>, adjacency: &Adjacency<'_>, rank: usize) -> Vec<f32> {
    let isa = context.isa;
    let mut items = normal_matrix(&mut context.rng("subspace"), context.graph.n_items(), rank, 1.0);
    let mut users = Matrix::zeros(0, 0);
    for _ in 0..ALTERNATIONS {
        users = adjacency.to_users(isa, &items);
        orthonormalise(isa, &mut users);
        items = adjacency.to_items(isa, &users);
    }
    // With orthonormal columns Q of the users' side, A is about Q (A' Q)', whose polar factor is Q times that of the right side: (B B')^(-1/2) B.
    let gram = Gram::of(isa, (&items).into());
    let items = product(isa, (&items).into(), (&inverse_root(isa, &gram)).into());
    let nothing = [context.graph.n_users(), context.graph.n_items()].map(|rows| Matrix::zeros(rows, rank));
    Adjacency::new(context.graph).by_edges(isa, (&nothing[0], &items), (&users, &nothing[1]))
}

/// Makes the columns orthonormal, one after the other (Gram and Schmidt, twice); those that depend on the ones before become zero.
fn orthonormalise(isa: Isa, matrix: &mut Matrix) {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let mut columns: Vec<Vec<f32>> = (0..cols).map(|col| (0..rows).map(|row| matrix.row(row)[col]).collect()).collect();
    for at in 0..cols {
        let (before, from) = columns.split_at_mut(at);
        let column = &mut from[0];
        let length = dot(isa, column, column).sqrt();
        for _ in 0..2 {
            for other in &*before {
                let along = dot(isa, column, other);
                add_scaled(isa, column, -along, other);
            }
        }
        let left = dot(isa, column, column).sqrt();
        multiply_by(isa, column, if left > 1e-5 * length { 1.0 / left } else { 0.0 });
    }
    matrix.par_rows_mut().enumerate().for_each(|(row, out)| {
        out.iter_mut().zip(&columns).for_each(|(out, column)| *out = column[row]);
    });
}

/// `(M + tiny)^(-1/2)` of a symmetric matrix without negative eigenvalues, by the coupled iteration of Newton and Schulz.
fn inverse_root(isa: Isa, matrix: &Matrix) -> Matrix {
    let n = matrix.rows();
    let trace: f32 = (0..n).map(|at| matrix.row(at)[at]).sum();
    let identity = |scale: f32| {
        let mut identity = Matrix::zeros(n, n);
        (0..n).for_each(|at| identity.row_mut(at)[at] = scale);
        identity
    };
    if trace <= 0.0 || !trace.is_finite() {
        return identity(0.0);
    }
    // Eigenvalues between 0 and 1, and above what a float can tell from 0.
    let mut root = identity(1e-4);
    add_scaled(isa, root.data_mut(), 1.0 / trace, matrix.data());
    let mut inverse = identity(1.0);
    for _ in 0..ROOTS {
        let both = product(isa, (&inverse).into(), (&root).into());
        let mut step = identity(1.5);
        add_scaled(isa, step.data_mut(), -0.5, both.data());
        root = product(isa, (&root).into(), (&step).into());
        inverse = product(isa, (&step).into(), (&inverse).into());
    }
    multiply_by(isa, inverse.data_mut(), 1.0 / trace.sqrt());
    inverse
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn slope(x: f32) -> f32 {
    logistic(x) * logistic(-x)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::train::teacher::encoder::tests::{inner, random};
    use crate::train::teacher::encoder::{Draw, Encoder, Parameters};
    use rand_xoshiro::rand_core::SeedableRng;

    /// Asserts that the gradient by the logits, which are an encoder's last matrix, is that of a random linear function of the layers by central
    /// differences, where every mask is its probability.
    pub(crate) fn assert_pathwise_is_the_derivative<E: Encoder>(context: &Context<'_>, encoder: &E, factors: usize) {
        let probable = |parameters: &Parameters| {
            let logits = parameters.matrices.last().unwrap();
            let masks = Masks::of(context.graph, logits.cols(), |at| logistic(logits.data()[at]));
            Draw { progress: 0.0, masks }
        };
        let (parameters, gradient) = random(context, encoder, factors, probable);
        let draw = probable(&parameters);
        let (_, tape) = encoder.forward(context, &parameters, &draw).unwrap().unwrap();
        let back = encoder.backward(context, &parameters, &draw, tape, &gradient).unwrap();
        let value = |parameters: &Parameters| -> f64 {
            inner(&encoder.forward(context, parameters, &probable(parameters)).unwrap().unwrap().0, &gradient)
        };
        let got = back.matrices.last().unwrap();
        for at in 0..got.data().len() {
            let shifted = |by: f32| {
                let mut parameters = parameters.clone();
                parameters.matrices.last_mut().unwrap().data_mut()[at] += by;
                value(&parameters)
            };
            let want = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            let got = f64::from(got.data()[at]);
            assert!((got - want).abs() < 0.02 * want.abs().max(0.5), "{at}: {got} {want}");
        }
    }

    const MASKING: Masking = Masking { start: 0.4, gradient: MaskGradient::Arm, sparsity: 0.0, nuclear: 1.0, rank: 3 };

    /// The estimate of ARM, averaged over many draws, of a loss whose expectation is known: products of the masks of two edges.
    #[test]
    fn arm_is_unbiased() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut logits = MASKING.logits(&graph, 1);
        logits.data_mut()[3] = -0.7;
        let loss = |masks: &Masks| {
            let factors = masks.hops[0].of_users();
            f64::from(3.0 * factors[2] * factors[3] + factors[5])
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut sum = Matrix::zeros(logits.rows(), 1);
        let draws = 60_000;
        let masking = Masking { nuclear: 0.0, ..MASKING };
        for _ in 0..draws {
            let masks = masking.draw(&graph, &logits, &mut rng);
            let opposite = masking.opposite(&graph, &logits, &masks).unwrap();
            masking.add_penalties(&context, &logits, &masks, Some((loss(&masks), loss(&opposite))), 1, &mut sum);
        }
        let (phi, draws) = (logits.data(), draws as f32);
        let want = |at: usize| match at {
            2 => 3.0 * slope(phi[2]) * logistic(phi[3]),
            3 => 3.0 * slope(phi[3]) * logistic(phi[2]),
            5 => slope(phi[5]),
            _ => 0.0,
        };
        for at in 0..logits.rows() {
            let got = sum.data()[at] / draws;
            assert!((got - want(at)).abs() < 0.02, "{at}: {got} {}", want(at));
        }
    }

    /// The singular values of a graph with a factor an edge, falling: roots of the eigenvalues of A'A by the method of Jacobi.
    fn singular_values(context: &Context<'_>, factors: &[f32]) -> Vec<f64> {
        let n = context.graph.n_items();
        let mask = EdgeMask::new(context.graph, factors.to_vec());
        let mut identity = Matrix::zeros(n, n);
        (0..n).for_each(|at| identity.row_mut(at)[at] = 1.0);
        let dense = Adjacency::new(context.graph).masked(&mask).to_users(context.isa, &identity);
        let mut gram = vec![vec![0.0; n]; n];
        for row in (0..dense.rows()).map(|row| dense.row(row)) {
            for (a, out) in gram.iter_mut().enumerate() {
                out.iter_mut().zip(row).for_each(|(out, b)| *out += f64::from(row[a] * b));
            }
        }
        for _ in 0..20 {
            for p in 0..n {
                for q in p + 1..n {
                    let angle = 0.5 * (2.0 * gram[p][q]).atan2(gram[q][q] - gram[p][p]);
                    let (sin, cos) = angle.sin_cos();
                    for row in &mut gram {
                        (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                    }
                    let (above, below) = gram.split_at_mut(q);
                    for (a, b) in above[p].iter_mut().zip(&mut below[0]) {
                        (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
                    }
                }
            }
        }
        let mut values: Vec<f64> = (0..n).map(|at| gram[at][at].max(0.0).sqrt()).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values
    }

    /// The subgradient is the derivative of the sum of the largest singular values, of all there are and of those that stand out, which the naive
    /// ones give by differences.
    #[test]
    fn the_nuclear_norm_falls_along_its_subgradient() {
        for (graph, rank) in [(crate::train::tests::graph(), 10), (crate::train::tests::two_blocks(), 2)] {
            let context = crate::train::tests::context(&graph, &());
            let norm = |factors: &[f32]| singular_values(&context, factors).iter().take(rank).sum::<f64>();
            let factors: Vec<f32> = (0..graph.n_edges()).map(|edge| 0.6 + 0.05 * (edge % 7) as f32).collect();
            let mask = EdgeMask::new(&graph, factors.clone());
            let by = by_nuclear_norm(&context, &Adjacency::new(&graph).masked(&mask), rank);
            let before = norm(&factors);
            let length: f32 = by.iter().map(|by| by * by).sum();
            let after: Vec<f32> = factors.iter().zip(&by).map(|(factor, by)| factor - 0.01 * by).collect();
            let fell = (before - norm(&after)) / 0.01;
            assert!((fell - f64::from(length)).abs() < 0.1 * f64::from(length), "{rank}: {fell} {length}");
        }
    }

    /// What penalties add to the gradient is the derivative of their sum, a pair, by the logits.
    #[test]
    fn sparsity_is_the_derivative_of_the_expected_edges() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let masking = Masking { sparsity: 0.3, nuclear: 0.0, ..MASKING };
        let mut logits = masking.logits(&graph, 2);
        logits.data_mut().iter_mut().zip(0..).for_each(|(phi, at)| *phi = (at % 11) as f32 / 4.0 - 1.2);
        let masks = Masking::expected(&graph, &logits);
        let mut gradient = Matrix::zeros(logits.rows(), 2);
        masking.add_penalties(&context, &logits, &masks, None, 7, &mut gradient);
        let sum = |phi: f32| f64::from(7.0 * 0.3 * logistic(phi));
        for (got, &phi) in gradient.data().iter().zip(logits.data()) {
            let want = (sum(phi + 1e-2) - sum(phi - 1e-2)) / 2e-2;
            assert!((f64::from(*got) - want).abs() < 1e-3, "{phi}: {got} {want}");
        }
    }

    #[test]
    fn what_is_expected_less_than_half_is_cut() {
        let graph = crate::train::tests::graph();
        let mut logits = MASKING.logits(&graph, 2);
        logits.data_mut()[4] = -0.1;
        let masks = Masking::expected(&graph, &logits);
        assert_eq!(masks.hops[0].of_users()[2], 0.0);
        assert_eq!(masks.hops[1].of_users()[2], logistic(0.4));
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let drawn = MASKING.draw(&graph, &logits, &mut rng);
        assert!(drawn.hops.iter().flat_map(EdgeMask::of_users).all(|&factor| factor == 0.0 || factor == 1.0));
    }
}
