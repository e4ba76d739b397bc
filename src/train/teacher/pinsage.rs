//! PinSage.

use std::cmp::Reverse;
use std::sync::OnceLock;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::descent::Descent;
use super::encoder::{Draw, Encoder, Parameters};
use super::nodes::Nodes;
use super::{Fit, Teacher};
use crate::error::Result;
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled, product};
use crate::train::context::Context;
use crate::train::model::size::Size;
use crate::train::optim::loss::{normalise, normalise_back};
use crate::train::optim::random::{below, normal_matrix};

/// Walks from every node, and how often each visits the other side.
const WALKS: usize = 64;
const VISITS: usize = 2;
/// Names of the hops' matrices.
const NAMES: [&str; 4] = ["hop1.dense", "hop2.dense", "hop3.dense", "hop4.dense"];

/// PinSage (Ying et al., KDD 2018) on the bipartite graph, trained end to end: `E^(l+1) = ReLU([E^(l), N E^(l)] W)`, each row scaled to length 1, where
/// the table `E^(0)` and every hop's `W` are learned. `N` averages a node's most visited neighbours by [`Importance`]. The vectors that are
/// scored are `E^(0)` and the hops side by side. A hop costs O(nodes (fanout d + d^2)), forth and back.
#[derive(Clone, Debug)]
pub(crate) struct PinSage {
    descent: Descent,
    /// `L`.
    hops: usize,
    /// Neighbours of a node.
    fanout: usize,
    /// Of the graph that is learned from, once it is known.
    importance: OnceLock<Importance>,
}

/// What the way back needs of a hop.
pub(crate) struct Passed {
    /// `N E^(l)`.
    means: Nodes,
    /// `E^(l+1)`, and one over the lengths its users and items had.
    out: Nodes,
    inverses: [Vec<f32>; 2],
}

impl PinSage {
    /// Hops at most.
    pub(crate) const HOPS: usize = NAMES.len();

    /// With so many hops, at most [`PinSage::HOPS`], and neighbours of a node.
    pub(crate) fn new(descent: Descent, hops: usize, fanout: usize) -> PinSage {
        PinSage { descent, hops, fanout, importance: OnceLock::new() }
    }

    fn importance(&self, context: &Context<'_>) -> Result<&Importance> {
        if let Some(known) = self.importance.get() {
            return Ok(known);
        }
        let made = Importance::new(context, self.fanout)?;
        Ok(self.importance.get_or_init(|| made))
    }
}

impl Teacher for PinSage {
    fn name(&self) -> &'static str {
        "PinSage"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.descent.factors; self.hops + 1], self.weights())
    }

    /// What a hop is made from and gives, forth and back.
    fn floats(&self, size: Size) -> f64 {
        self.descent.floats(size, self.hops + 1, 2 * self.hops + 8)
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        let fresh = PinSage { importance: OnceLock::new(), ..self.clone() };
        self.descent
            .run(context, &fresh, |descent| Box::new(PinSage { descent, importance: OnceLock::new(), ..self.clone() }))
    }
}

impl Encoder for PinSage {
    type Tape = Vec<Passed>;

    fn weights(&self) -> Vec<f32> {
        vec![1.0; self.hops + 1]
    }

    /// Weights of He et al.'s size (2015).
    fn matrices(&self, context: &Context<'_>) -> Vec<(&'static str, Matrix)> {
        let d = self.descent.factors;
        let mut rng = context.rng("hops");
        let weights = |&name| (name, normal_matrix(&mut rng, 2 * d, d, (1.0 / d as f32).sqrt()));
        NAMES[..self.hops].iter().map(weights).collect()
    }

    fn forward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        _: &Draw,
    ) -> Result<Option<(Vec<Nodes>, Vec<Passed>)>> {
        let importance = self.importance(context)?;
        let mut layers = vec![tables.clone()];
        let mut tape: Vec<Passed> = Vec::with_capacity(self.hops);
        for dense in matrices {
            context.check()?;
            let from = tape.last().map_or(tables, |last| &last.out);
            let means = importance.means(context.isa, from);
            let mut out = from.zip(&means, |from, means| both(context.isa, from, means, dense));
            let inverses = [&mut out.users, &mut out.items].map(|side| {
                let rows = side.par_rows_mut().map(|row| {
                    row.iter_mut().for_each(|x| *x = x.max(0.0));
                    normalise(context.isa, row)
                });
                rows.collect()
            });
            layers.push(out.clone());
            tape.push(Passed { means, out, inverses });
        }
        Ok(Some((layers, tape)))
    }

    fn backward(
        &self,
        context: &Context<'_>,
        Parameters { tables, matrices }: &Parameters,
        _: &Draw,
        mut tape: Vec<Passed>,
        gradient: &[Nodes],
    ) -> Result<Parameters> {
        let isa = context.isa;
        let importance = self.importance(context)?;
        let mut by_matrices: Vec<Matrix> = Vec::with_capacity(matrices.len());
        let mut by_out = gradient[self.hops].clone();
        for dense in matrices.iter().rev() {
            context.check()?;
            let Some(Passed { means, out, inverses }) = tape.pop() else { break };
            let from = tape.last().map_or(tables, |last| &last.out);
            through_activation(isa, &mut by_out.users, &out.users, &inverses[0]);
            through_activation(isa, &mut by_out.items, &out.items, &inverses[1]);
            let mut by_dense = by_weights(isa, &from.users, &means.users, &by_out.users);
            let of_items = by_weights(isa, &from.items, &means.items, &by_out.items);
            add_scaled(isa, by_dense.data_mut(), 1.0, of_items.data());
            by_matrices.insert(0, by_dense);
            let [own, mean] = halves(dense);
            let back = |side: &Matrix, half: View<'_>| product(isa, side.into(), half.transposed());
            let by_means = Nodes { users: back(&by_out.users, mean), items: back(&by_out.items, mean) };
            let by_from = Nodes { users: back(&by_out.users, own), items: back(&by_out.items, own) };
            let below = &gradient[tape.len()];
            by_out = importance.back(isa, &by_means);
            by_out.add(isa, &by_from);
            by_out.add(isa, below);
        }
        Ok(Parameters { tables: by_out, matrices: by_matrices })
    }
}

/// The rows of a hop's matrix that vectors and means are multiplied with.
fn halves(dense: &Matrix) -> [View<'_>; 2] {
    let d = dense.cols();
    let (own, mean) = dense.data().split_at(d * d);
    [own, mean].map(|half| View::new(half, d, d))
}

/// `[from, means] W`.
fn both(isa: Isa, from: &Matrix, means: &Matrix, dense: &Matrix) -> Matrix {
    let [own, mean] = halves(dense);
    let mut out = product(isa, from.into(), own);
    Factor::pack(isa, mean).par_multiply(means.into(), out.data_mut(), true);
    out
}

/// The gradient by `W` from that by `[from, means] W`.
fn by_weights(isa: Isa, from: &Matrix, means: &Matrix, by_out: &Matrix) -> Matrix {
    let d = from.cols();
    let mut by_weights = Matrix::zeros(2 * d, d);
    let (own, mean) = by_weights.data_mut().split_at_mut(d * d);
    let factor = Factor::pack(isa, by_out.into());
    factor.par_multiply(View::from(from).transposed(), own, false);
    factor.par_multiply(View::from(means).transposed(), mean, false);
    by_weights
}

/// Turns the gradient by scaled outputs into that by what the activation is of. Outputs are zero where it was not above zero.
fn through_activation(isa: Isa, gradient: &mut Matrix, out: &Matrix, inverses: &[f32]) {
    gradient.par_rows_mut().zip(out.par_rows()).zip(inverses).for_each(|((gradient, out), &inverse)| {
        normalise_back(isa, gradient, out, inverse);
        gradient.iter_mut().zip(out).filter(|(_, x)| **x <= 0.0).for_each(|(g, _)| *g = 0.0);
    });
}

/// The neighbours of every node that short random walks from it visit most, each with its share of their visits (section 3.2 of the paper). Walks step to
/// and fro between users and items, and count what they visit on the other side.
#[derive(Clone, Debug)]
pub(crate) struct Importance {
    /// Users by items, and its transpose.
    of_users: [Csr; 2],
    /// Items by users, and its transpose.
    of_items: [Csr; 2],
}

impl Importance {
    /// Draws the walks. O(nodes walks), parallel.
    ///
    /// # Errors
    /// `Cancelled`.
    fn new(context: &Context<'_>, fanout: usize) -> Result<Importance> {
        let graph: &Bipartite = context.graph;
        let mut rng = context.rng("walks");
        let (of_users, of_items) = (graph.users(), graph.items());
        let mut side = |from: &Csr, to: &Csr| -> Result<[Csr; 2]> {
            let seeds: Vec<u64> = (0..from.n_rows()).map(|_| rng.next_u64()).collect();
            let visited: Vec<Vec<(u32, f32)>> =
                seeds.par_iter().enumerate().map(|(node, &seed)| most_visited(from, to, node, seed, fanout)).collect();
            context.check()?;
            let rows = visited.iter().zip(0u32..);
            let edges: Vec<(u32, u32, f32)> =
                rows.flat_map(|(row, node)| row.iter().map(move |&(other, share)| (node, other, share))).collect();
            let shares = Csr::from_edges(from.n_rows(), to.n_rows(), &edges)?;
            let transposed = shares.transpose();
            Ok([shares, transposed])
        };
        Ok(Importance { of_users: side(of_users, of_items)?, of_items: side(of_items, of_users)? })
    }

    /// `N E`.
    fn means(&self, isa: Isa, from: &Nodes) -> Nodes {
        Nodes {
            users: weighted_sums(isa, &self.of_users[0], &from.items),
            items: weighted_sums(isa, &self.of_items[0], &from.users),
        }
    }

    /// The gradient by `E` from that by `N E`.
    fn back(&self, isa: Isa, by_means: &Nodes) -> Nodes {
        Nodes {
            users: weighted_sums(isa, &self.of_items[1], &by_means.items),
            items: weighted_sums(isa, &self.of_users[1], &by_means.users),
        }
    }
}

/// The nodes of the other side that walks from `node` visit most, at most `fanout`, with shares that add up to 1. `from` has the edges of the node's
/// side, `to` those of the other.
fn most_visited(from: &Csr, to: &Csr, node: usize, seed: u64, fanout: usize) -> Vec<(u32, f32)> {
    if from.degree(node) == 0 {
        return Vec::new();
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut step = |row: &[u32]| row[below(&mut rng, row.len())];
    let mut visits = Vec::with_capacity(WALKS * VISITS);
    for _ in 0..WALKS {
        let mut at = node;
        for _ in 0..VISITS {
            let visited = step(from.row(at));
            visits.push(visited);
            at = step(to.row(visited as usize)) as usize;
        }
    }
    visits.sort_unstable();
    let mut counted: Vec<(u32, f32)> = visits.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f32)).collect();
    counted.sort_by_key(|&(_, count)| Reverse(count as usize));
    counted.truncate(fanout);
    let total: f32 = counted.iter().map(|visited| visited.1).sum();
    counted.iter_mut().for_each(|visited| visited.1 /= total);
    counted
}

/// `out[r] = sum over stored (r, c) of value table[c]`.
fn weighted_sums(isa: Isa, rows: &Csr, table: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), table.cols());
    out.par_rows_mut().enumerate().for_each(|(row, out)| {
        rows.entries(row).for_each(|(target, value)| add_scaled(isa, out, value, table.row(target as usize)));
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::teacher::descent::tests::small;
    use crate::train::teacher::encoder::tests::{assert_gradients_equal_finite_differences, inner};

    #[test]
    fn gradients_equal_finite_differences() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        for hops in 0..3 {
            let model = PinSage::new(small(), hops, 3);
            assert_gradients_equal_finite_differences(&context, &model, model.descent.factors);
        }
    }

    /// Two users with items of their own and one in common.
    #[test]
    fn the_most_visited_come_with_their_shares() {
        let edges = [(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0), (1, 2, 1.0)];
        let graph = Bipartite::from_edges(3, 3, &edges).unwrap();
        let of = |node, seed, fanout| most_visited(graph.users(), graph.items(), node, seed, fanout);
        let mut shares = [0.0; 3];
        for seed in 0..50 {
            let all = of(0, seed, 10);
            assert!(all.is_sorted_by(|a, b| a.1 >= b.1), "{all:?}");
            assert_eq!(of(0, seed, 1), [(all[0].0, 1.0)]);
            all.iter().for_each(|&(item, share)| shares[item as usize] += share / 50.0);
        }
        // Steps end at items 0, 1 and 2 with 1/2, 1/2 and 0, then with 3/8, 1/2 and 1/8.
        for (item, share) in [7.0 / 16.0, 0.5, 1.0 / 16.0].into_iter().enumerate() {
            assert!((shares[item] - share).abs() < 0.03, "{item}: {shares:?}");
        }
        assert!(of(2, 5, 4).is_empty());
    }

    #[test]
    fn means_and_their_way_back_are_transposes() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let importance = Importance::new(&context, 4).unwrap();
        assert!((0..10).all(|user| importance.of_users[0].degree(user) <= 4));
        let mut rng = context.rng("test");
        let mut nodes =
            || Nodes { users: normal_matrix(&mut rng, 10, 5, 1.0), items: normal_matrix(&mut rng, 13, 5, 1.0) };
        let (x, g) = (nodes(), nodes());
        let isa = context.isa;
        let (forth, back) = (importance.means(isa, &x), importance.back(isa, &g));
        let (forth, back) = (inner(&[forth], &[g]), inner(&[x], &[back]));
        assert!((forth - back).abs() < 1e-3, "{forth} {back}");
    }
}
