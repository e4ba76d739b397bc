//! Implicit-feedback alternating least squares.

use rayon::prelude::*;

use super::layers::Layers;
use super::{Fit, Teacher};
use crate::error::{Error, Result};
use crate::graph::Csr;
use crate::kernel::dense::{Factor, Gram, Isa, Matrix, View, add_projections, add_scaled, dot, scale_add};
use crate::train::context::Context;
use crate::train::model::size::Size;
use crate::train::optim::random::normal_matrix;

/// Rows solved together at most, so that their products with the Gram matrix are one dense product.
const BLOCK: usize = 48;
/// Rows solved together at least: those of a tile of the product.
const LEAST: usize = 12;
/// Bytes that the vectors of a block's edges should take, so that the steps after the first find them in the second-level cache.
const CACHED: usize = 1 << 20;
/// One of so many sweeps is enough from vectors of nearly the same graph on.
const REFIT: usize = 3;

/// Matrix factorisation of implicit feedback (Hu, Koren, Volinsky 2008) in the notation of Rendle et al., "Revisiting the
/// Performance of iALS on Item Recommendation Benchmarks" (2022, equations 1 to 4):
///
/// `sum over observed (u, i) of c_ui (1 - <p_u, q_i>)^2 + a0 sum over all (u, i) of <p_u, q_i>^2 + sum over nodes x of reg_x |v_x|^2`
///
/// with the edge's weight as confidence `c_ui` and `reg_x = regularisation (degree_x + a0 n_other)^exponent`, a degree being the sum of confidences. A sweep solves
/// all users, then all items, each by a few steps of conjugate gradients from the last solution (Takács, Pilászy, Tikk 2011).
/// A sweep costs O(steps (edges d + nodes d^2)).
#[derive(Clone, Debug)]
pub(crate) struct ImplicitAls {
    /// Width `d` of the vectors.
    pub(crate) factors: usize,
    pub(crate) sweeps: usize,
    /// Steps of conjugate gradients a solve.
    pub(crate) steps: usize,
    /// `a0`, the weight of an unobserved pair.
    pub(crate) unobserved: f32,
    pub(crate) regularisation: f32,
    /// 0 regularises every node alike, 1 in proportion to its number of terms.
    pub(crate) exponent: f32,
}

impl Teacher for ImplicitAls {
    fn name(&self) -> &'static str {
        "implicit ALS"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.factors], vec![1.0])
    }

    fn floats(&self, size: Size) -> f64 {
        size.nodes() * self.factors as f64
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        let graph = context.graph;
        let mut rng = context.rng("ials");
        let deviation = 0.1 / (self.factors as f32).sqrt();
        let users = normal_matrix(&mut rng, graph.n_users(), self.factors, deviation);
        let items = normal_matrix(&mut rng, graph.n_items(), self.factors, deviation);
        self.improve(context, users, items, self.sweeps)
    }

    fn refit(&self, context: &Context<'_>, before: Layers) -> Result<Fit> {
        let (users, items, _) = before.into_joined();
        self.improve(context, users, items, self.sweeps.div_ceil(REFIT))
    }

    fn regularised(&self, times: f32) -> Option<(Box<dyn Teacher>, f32)> {
        let regularisation = self.regularisation * times;
        Some((Box::new(ImplicitAls { regularisation, ..self.clone() }), regularisation))
    }
}

impl ImplicitAls {
    /// `sweeps` sweeps over both sides.
    fn improve(&self, context: &Context<'_>, mut users: Matrix, mut items: Matrix, sweeps: usize) -> Result<Fit> {
        let graph = context.graph;
        context.monitor.phase("teacher", sweeps as u64);
        for sweep in 0..sweeps {
            self.solve(context, graph.users(), &items, &mut users)?;
            self.solve(context, graph.items(), &users, &mut items)?;
            context.monitor.advance(sweep as u64 + 1);
        }
        let layers = Layers::of(users, items);
        if !layers.is_finite() {
            return Err(Error::Diverged {
                model: self.name(),
                phase: "its last sweep".into(),
                lower: "the confidences",
            });
        }
        Ok(Fit { layers, epochs: Vec::new(), chosen: Vec::new(), settled: None })
    }

    /// Improves the vectors of one side, `solved`, with those of the other, `fixed`, held. `rows` are the edges of the side, or some of its rows,
    /// whose solutions depend on no other.
    pub(crate) fn solve(&self, context: &Context<'_>, rows: &Csr, fixed: &Matrix, solved: &mut Matrix) -> Result<()> {
        let (isa, d) = (context.isa, self.factors);
        let mut gram = Gram::of(isa, fixed.into());
        gram.data_mut().iter_mut().for_each(|x| *x *= self.unobserved);
        let gram = Factor::pack(isa, (&gram).into());
        let all_terms = self.unobserved * fixed.rows() as f32;
        let row_bytes = (size_of::<f32>() * d * rows.n_edges() / rows.n_rows().max(1)).max(1);
        let block_rows = (CACHED / row_bytes / LEAST * LEAST).clamp(LEAST, BLOCK);
        solved.data_mut().par_chunks_mut(block_rows * d).enumerate().try_for_each(|(block, solved)| {
            context.check()?;
            let first = block * block_rows;
            let regularisation: Vec<f32> = (first..first + solved.len() / d)
                .map(|row| self.regularisation * (confidence(rows, row) + all_terms).powf(self.exponent))
                .collect();
            let system = System { isa, rows, first, fixed, gram: &gram, regularisation };
            system.improve(solved, self.steps);
            Ok(())
        })
    }
}

/// The sum of the confidences of a row: without weights, its degree.
fn confidence(rows: &Csr, row: usize) -> f32 {
    rows.row_values(row).map_or(rows.degree(row) as f32, |weights| weights.iter().sum())
}

/// The normal equations of a block of rows, `(a0 Q^T Q + reg_u I + sum over i of c_ui q_i q_i^T) p_u = sum over i of c_ui q_i`.
struct System<'a> {
    isa: Isa,
    rows: &'a Csr,
    first: usize,
    fixed: &'a Matrix,
    gram: &'a Factor,
    regularisation: Vec<f32>,
}

impl System<'_> {
    /// `steps` steps of conjugate gradients on every row of the block, starting from `x`.
    fn improve(&self, x: &mut [f32], steps: usize) {
        let d = self.fixed.cols();
        let mut residual = vec![0.0f32; x.len()];
        // The right side is that of ones in place of the inner products.
        self.apply(x, 1.0, &mut residual);
        residual.iter_mut().for_each(|r| *r = -*r);
        let mut direction = residual.clone();
        let mut image = vec![0.0f32; x.len()];
        for _ in 0..steps {
            self.apply(&direction, 0.0, &mut image);
            for row in 0..x.len() / d {
                let span = row * d..(row + 1) * d;
                let (x, residual) = (&mut x[span.clone()], &mut residual[span.clone()]);
                let (direction, image) = (&mut direction[span.clone()], &image[span]);
                let before = dot(self.isa, residual, residual);
                let curvature = dot(self.isa, direction, image);
                // A row that is solved, or that has no edges and starts at its solution, stays as it is.
                if before <= f32::MIN_POSITIVE || curvature <= f32::MIN_POSITIVE {
                    continue;
                }
                let step = before / curvature;
                add_scaled(self.isa, x, step, direction);
                add_scaled(self.isa, residual, -step, image);
                let after = dot(self.isa, residual, residual);
                scale_add(self.isa, direction, after / before, residual);
            }
        }
        // Without edges the solution is zero; conjugate gradients only come near it.
        for (row, x) in x.chunks_exact_mut(d).enumerate() {
            if self.rows.degree(self.first + row) == 0 {
                x.fill(0.0);
            }
        }
    }

    /// `image = A x - shift b`, row by row, where b is the right side.
    fn apply(&self, x: &[f32], shift: f32, image: &mut [f32]) {
        let d = self.fixed.cols();
        self.gram.multiply(View::new(x, x.len() / d, d), image, false);
        for (row, (x, image)) in x.chunks_exact(d).zip(image.chunks_exact_mut(d)).enumerate() {
            add_scaled(self.isa, image, self.regularisation[row], x);
            let (targets, weights) = (self.rows.row(self.first + row), self.rows.row_values(self.first + row));
            add_projections(self.isa, image, x, shift, self.fixed.data(), targets, weights);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;

    /// Solves the normal equations of one user densely, in f64.
    fn direct(graph: &Bipartite, items: &Matrix, user: usize, model: &ImplicitAls) -> Vec<f64> {
        let d = items.cols();
        let reg = model.regularisation
            * (graph.users().entries(user).map(|edge| edge.1).sum::<f32>() + model.unobserved * items.rows() as f32)
                .powf(model.exponent);
        let mut system = vec![vec![0.0f64; d + 1]; d];
        for (a, row) in system.iter_mut().enumerate() {
            row[a] += f64::from(reg);
            for item in 0..items.rows() {
                let v = items.row(item);
                let weight = graph.users().entries(user).find(|e| e.0 as usize == item).map_or(0.0, |e| e.1);
                for (b, entry) in row[..d].iter_mut().enumerate() {
                    *entry += f64::from(model.unobserved + weight) * f64::from(v[a]) * f64::from(v[b]);
                }
                row[d] += f64::from(weight) * f64::from(v[a]);
            }
        }
        for pivot in 0..d {
            let lead = system[pivot].clone();
            for (at, row) in system.iter_mut().enumerate().filter(|(at, _)| *at != pivot) {
                let factor = row[pivot] / lead[pivot];
                assert!(at != pivot);
                row.iter_mut().zip(&lead).for_each(|(x, l)| *x -= factor * l);
            }
        }
        system.iter().enumerate().map(|(at, row)| row[d] / row[at]).collect()
    }

    #[test]
    fn a_solve_equals_the_normal_equations() {
        let edges: Vec<_> =
            (0..40u32).map(|e| (e * 7 % 11, e * 13 % 17, 1.0 + (e % 3) as f32)).filter(|e| e.0 != 5).collect();
        let graph = Bipartite::from_edges(11, 17, &edges).unwrap();
        let model =
            ImplicitAls { factors: 6, sweeps: 1, steps: 30, unobserved: 0.3, regularisation: 0.2, exponent: 1.0 };
        let context = crate::train::tests::context(&graph, &());
        let items = normal_matrix(&mut context.rng("test"), 17, 6, 0.5);
        let mut users = normal_matrix(&mut context.rng("users"), 11, 6, 0.5);
        model.solve(&context, graph.users(), &items, &mut users).unwrap();
        for user in 0..11 {
            for (got, want) in users.row(user).iter().zip(direct(&graph, &items, user, &model)) {
                assert!((f64::from(*got) - want).abs() < 1e-4, "user {user}: {got} {want}");
            }
        }
        assert!(users.row(5).iter().all(|&x| x == 0.0), "a user without edges has no vector");
    }
}
