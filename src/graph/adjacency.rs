//! The normalised adjacency and its product with dense matrices.

use rayon::prelude::*;

use super::{Bipartite, Csr};
use crate::kernel::dense::{Isa, Matrix, weighted_sum};

/// `A_hat = D^-1/2 A D^-1/2` of the bipartite graph without self loops, by its two off-diagonal blocks. Weights of edges are
/// left out, so `D` holds plain degrees; the row of a node without edges is zero. Nothing is stored but `1 / sqrt(degree)`.
pub(crate) struct Adjacency<'a> {
    graph: &'a Bipartite,
    user_norms: Vec<f32>,
    item_norms: Vec<f32>,
}

impl<'a> Adjacency<'a> {
    pub(crate) fn new(graph: &'a Bipartite) -> Adjacency<'a> {
        let norms = |csr: &Csr| {
            csr.degrees().iter().map(|&degree| if degree == 0 { 0.0 } else { 1.0 / (degree as f32).sqrt() }).collect()
        };
        Adjacency { graph, user_norms: norms(graph.users()), item_norms: norms(graph.items()) }
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
        propagate(isa, self.graph.users(), &self.user_norms, &self.item_norms, items, base)
    }

    /// `base` plus one hop to the items.
    pub(crate) fn to_items_onto(&self, isa: Isa, users: &Matrix, base: Option<&Matrix>) -> Matrix {
        propagate(isa, self.graph.items(), &self.item_norms, &self.user_norms, users, base)
    }
}

fn propagate(
    isa: Isa,
    rows: &Csr,
    row_norms: &[f32],
    col_norms: &[f32],
    dense: &Matrix,
    base: Option<&Matrix>,
) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), dense.cols());
    out.par_rows_mut().enumerate().for_each(|(row, out)| {
        let base = base.map_or(&[] as &[f32], |base| base.row(row));
        weighted_sum(isa, out, base, dense.data(), rows.row(row), row_norms[row], col_norms);
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
}
