//! The normalised adjacency and its product with dense matrices.

use rayon::prelude::*;

use super::{Bipartite, Csr};
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, weighted_sum};

/// `A_hat = D^-1/2 A D^-1/2` of the bipartite graph without self loops, by its two off-diagonal blocks. Weights of edges are
/// left out, so `D` holds plain degrees; the row of a node without edges is zero. Nothing is stored but `1 / sqrt(degree)`. Edges may be masked, each
/// multiplied by a factor; degrees stay those of the whole graph.
pub(crate) struct Adjacency<'a> {
    graph: &'a Bipartite,
    user_norms: Vec<f32>,
    item_norms: Vec<f32>,
    mask: Option<&'a EdgeMask>,
}

/// A factor for every edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EdgeMask {
    /// In the order of the users' rows.
    of_users: Vec<f32>,
    /// In the order of the items' rows.
    of_items: Vec<f32>,
}

impl EdgeMask {
    /// From the factors in the order of the users' rows. O(edges).
    pub(crate) fn new(graph: &Bipartite, of_users: Vec<f32>) -> EdgeMask {
        let mut next: Vec<usize> = graph.items().offsets().iter().map(|&offset| offset as usize).collect();
        let mut of_items = vec![0.0; of_users.len()];
        // Users rise within an item's row as they rise here.
        for (&item, &factor) in graph.users().targets().iter().zip(&of_users) {
            let at = &mut next[item as usize];
            of_items[*at] = factor;
            *at += 1;
        }
        EdgeMask { of_users, of_items }
    }

    /// The factors in the order of the users' rows.
    #[cfg(test)]
    pub(crate) fn of_users(&self) -> &[f32] {
        &self.of_users
    }
}

impl<'a> Adjacency<'a> {
    pub(crate) fn new(graph: &'a Bipartite) -> Adjacency<'a> {
        let norms = |csr: &Csr| {
            csr.degrees().iter().map(|&degree| if degree == 0 { 0.0 } else { 1.0 / (degree as f32).sqrt() }).collect()
        };
        Adjacency { graph, user_norms: norms(graph.users()), item_norms: norms(graph.items()), mask: None }
    }

    /// The same with masked edges.
    pub(crate) fn masked(self, mask: &'a EdgeMask) -> Adjacency<'a> {
        Adjacency { mask: Some(mask), ..self }
    }

    /// The derivative of `<to_users(items), by_users> + <to_items(users), by_items>` by the factor of every edge, in the order of the users' rows.
    /// O(edges x columns), parallel.
    pub(crate) fn by_edges(&self, isa: Isa, from: (&Matrix, &Matrix), by: (&Matrix, &Matrix)) -> Vec<f32> {
        let rows = self.graph.users();
        let by_user: Vec<Vec<f32>> = (0..rows.n_rows())
            .into_par_iter()
            .map(|user| {
                let of = |&item: &u32| {
                    let item = item as usize;
                    let both = dot(isa, by.0.row(user), from.1.row(item)) + dot(isa, by.1.row(item), from.0.row(user));
                    self.user_norms[user] * self.item_norms[item] * both
                };
                rows.row(user).iter().map(of).collect()
            })
            .collect();
        by_user.concat()
    }

    /// One hop to the users, `out[u] = sum over items i of u of items[i] / sqrt(d_u d_i)`. O(edges x columns), parallel.
    pub(crate) fn to_users(&self, isa: Isa, items: &Matrix) -> Matrix {
        self.to_users_onto(isa, items, None)
    }

    /// One hop to the items, as [`Adjacency::to_users`].
    pub(crate) fn to_items(&self, isa: Isa, users: &Matrix) -> Matrix {
        self.to_items_onto(isa, users, None)
    }

    /// `base` plus one hop to the users.
    pub(crate) fn to_users_onto(&self, isa: Isa, items: &Matrix, base: Option<&Matrix>) -> Matrix {
        let factors = self.mask.map(|mask| &mask.of_users[..]);
        propagate(isa, self.graph.users(), factors, (&self.user_norms, &self.item_norms), items, base)
    }

    /// `base` plus one hop to the items.
    pub(crate) fn to_items_onto(&self, isa: Isa, users: &Matrix, base: Option<&Matrix>) -> Matrix {
        let factors = self.mask.map(|mask| &mask.of_items[..]);
        propagate(isa, self.graph.items(), factors, (&self.item_norms, &self.user_norms), users, base)
    }
}

fn propagate(
    isa: Isa,
    rows: &Csr,
    factors: Option<&[f32]>,
    (row_norms, col_norms): (&[f32], &[f32]),
    dense: &Matrix,
    base: Option<&Matrix>,
) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), dense.cols());
    out.par_rows_mut().enumerate().for_each_init(Vec::new, |kept: &mut Vec<u32>, (row, out)| {
        let base = base.map_or(&[] as &[f32], |base| base.row(row));
        let Some(factors) = factors else {
            return weighted_sum(isa, out, base, dense.data(), rows.row(row), row_norms[row], col_norms);
        };
        let factors = &factors[rows.offsets()[row] as usize..][..rows.degree(row)];
        let edges = rows.row(row).iter().zip(factors);
        // Masks that are drawn keep an edge or do not: what is left is a row of the graph.
        if factors.iter().all(|&factor| factor == 0.0 || factor == 1.0) {
            kept.clear();
            kept.extend(edges.filter(|(_, factor)| **factor == 1.0).map(|(&target, _)| target));
            return weighted_sum(isa, out, base, dense.data(), kept, row_norms[row], col_norms);
        }
        out.iter_mut().zip(base).for_each(|(out, base)| *out = *base);
        for (&target, factor) in edges.filter(|(_, factor)| **factor != 0.0) {
            let target = target as usize;
            add_scaled(isa, out, row_norms[row] * col_norms[target] * factor, dense.row(target));
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn hops_equal_the_dense_product(
            edges in prop::collection::vec((0u32..12, 0u32..9, 0.5f32..2.0), 0..60), cols in 1usize..40, seed in 0u32..99
        ) {
            let graph = Bipartite::from_edges(12, 9, &edges).unwrap();
            let value = |at: usize| ((at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 20) as f32 / 2048.0 - 1.0;
            let items = Matrix::from_data(9, cols, (0..9 * cols).map(value).collect()).unwrap();
            let users = Matrix::from_data(12, cols, (0..12 * cols).map(value).collect()).unwrap();
            for isa in Isa::available() {
                let adjacency = Adjacency::new(&graph);
                let (to_users, to_items) = (adjacency.to_users(isa, &items), adjacency.to_items(isa, &users));
                let entry = |user: usize, item: usize| -> f64 {
                    if graph.users().row(user).contains(&(item as u32)) {
                        1.0 / ((graph.users().degree(user) * graph.items().degree(item)) as f64).sqrt()
                    } else {
                        0.0
                    }
                };
                let onto = adjacency.to_users_onto(isa, &items, Some(&users));
                for (at, (onto, hop)) in onto.data().iter().zip(to_users.data()).enumerate() {
                    prop_assert!((onto - hop - users.data()[at]).abs() < 1e-5);
                }
                // Masked, every entry is multiplied: with factors of 2 a hop is twice as long, and with 0 there is none.
                let twice = EdgeMask::new(&graph, vec![2.0; graph.n_edges()]);
                let doubled = Adjacency::new(&graph).masked(&twice).to_items_onto(isa, &users, Some(&items));
                for (at, (doubled, hop)) in doubled.data().iter().zip(to_items.data()).enumerate() {
                    prop_assert!((doubled - 2.0 * hop - items.data()[at]).abs() < 1e-5);
                }
                // Drawn, it is the graph of the edges that are kept, with the degrees of the whole one.
                let is_kept = |edge: usize| edge.is_multiple_of(3) || edge.is_multiple_of(4);
                let drawn = (0..graph.n_edges()).map(|edge| f32::from(u8::from(is_kept(edge)))).collect();
                let drawn = EdgeMask::new(&graph, drawn);
                let hop = Adjacency::new(&graph).masked(&drawn).to_users_onto(isa, &items, Some(&users));
                for user in 0..12 {
                    let first = graph.users().offsets()[user] as usize;
                    let kept = graph.users().row(user).iter().enumerate().filter(|(at, _)| is_kept(first + at));
                    let kept: Vec<usize> = kept.map(|(_, &item)| item as usize).collect();
                    for col in 0..cols {
                        let terms = kept.iter().map(|&item| entry(user, item) * f64::from(items.row(item)[col]));
                        let want = f64::from(users.row(user)[col]) + terms.sum::<f64>();
                        prop_assert!((f64::from(hop.row(user)[col]) - want).abs() < 1e-5);
                    }
                }
                for col in 0..cols {
                    for user in 0..12 {
                        let want: f64 = (0..9).map(|item| entry(user, item) * f64::from(items.row(item)[col])).sum();
                        prop_assert!((f64::from(to_users.row(user)[col]) - want).abs() < 1e-5);
                    }
                    for item in 0..9 {
                        let want: f64 = (0..12).map(|user| entry(user, item) * f64::from(users.row(user)[col])).sum();
                        prop_assert!((f64::from(to_items.row(item)[col]) - want).abs() < 1e-5);
                    }
                }
            }
        }
    }
    /// One edge's factor reaches both directions, and the derivative by it is what it carries.
    #[test]
    fn a_factor_reaches_both_sides() {
        let edges: Vec<_> = (0..40u32).map(|e| (e * 7 % 9, e * 13 % 12, 1.0)).collect();
        let graph = Bipartite::from_edges(10, 13, &edges).unwrap();
        let isa = Isa::BASELINE;
        let table = |rows: usize, by: f32| {
            Matrix::from_data(rows, 3, (0..rows * 3).map(|at| (at as f32 * by).sin()).collect()).unwrap()
        };
        let (users, items, by_users, by_items) = (table(10, 0.7), table(13, 1.3), table(10, 2.1), table(13, 0.9));
        let factors: Vec<f32> = (0..graph.n_edges()).map(|edge| 0.5 + 0.1 * (edge % 5) as f32).collect();
        let value = |factors: &[f32]| -> f32 {
            let mask = EdgeMask::new(&graph, factors.to_vec());
            let adjacency = Adjacency::new(&graph).masked(&mask);
            let inner = |a: &Matrix, b: &Matrix| a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum::<f32>();
            inner(&adjacency.to_users(isa, &items), &by_users) + inner(&adjacency.to_items(isa, &users), &by_items)
        };
        let by_edges = Adjacency::new(&graph).by_edges(isa, (&users, &items), (&by_users, &by_items));
        for edge in 0..graph.n_edges() {
            let mut more = factors.clone();
            more[edge] += 1.0;
            let want = value(&more) - value(&factors);
            assert!((by_edges[edge] - want).abs() < 1e-4, "{edge}: {} {want}", by_edges[edge]);
        }
    }
}
