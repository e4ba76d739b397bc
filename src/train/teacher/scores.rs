//! The scores of a teacher for all pairs: a matrix that is never formed.

use rayon::prelude::*;

use super::Neighbours;
use super::layers::Layers;
use crate::error::Result;
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled, product};
use crate::train::context::Context;

/// Users scored at once.
const BLOCK: usize = 64;

/// The scores `S = P Q' + A N` of every user and item: P and Q are the teacher's layers side by side, A the graph, every interaction taken for
/// 1, and N the neighbours' weights.
pub(crate) struct Scores<'a> {
    isa: Isa,
    graph: &'a Bipartite,
    users: Matrix,
    items: Matrix,
    neighbours: Option<(&'a Neighbours, Csr)>,
}

impl<'a> Scores<'a> {
    pub(crate) fn new(context: &Context<'a>, teacher: &'a Layers) -> Scores<'a> {
        let (users, items) = teacher.joined();
        let neighbours = teacher.neighbours.as_ref().map(|neighbours| (neighbours, neighbours.weights().transpose()));
        Scores { isa: context.isa, graph: context.graph, users, items, neighbours }
    }

    /// `S W`, a row per user, for a W with a row per item. O((nodes width + neighbours' weights + edges) cols).
    pub(crate) fn times(&self, items: &Matrix) -> Matrix {
        let isa = self.isa;
        let inner = product(isa, View::from(&self.items).transposed(), items.into());
        let mut out = product(isa, (&self.users).into(), (&inner).into());
        if let Some((neighbours, _)) = &self.neighbours {
            let moved = sparse_product(isa, neighbours.weights(), items, |row, at| row[at]);
            add(isa, &mut out, &sparse_product(isa, self.graph.users(), &moved, |_, _| 1.0));
        }
        out
    }

    /// `S' X`, a row per item, for an X with a row per user. As fast as [`Scores::times`].
    pub(crate) fn transposed_times(&self, users: &Matrix) -> Matrix {
        let isa = self.isa;
        let inner = product(isa, View::from(&self.users).transposed(), users.into());
        let mut out = product(isa, (&self.items).into(), (&inner).into());
        if let Some((_, columns)) = &self.neighbours {
            let touched = sparse_product(isa, self.graph.items(), users, |_, _| 1.0);
            add(isa, &mut out, &sparse_product(isa, columns, &touched, |row, at| row[at]));
        }
        out
    }

    /// What `visit` makes of every user's scores of `items`, which are rising; users in order. O(users items width), parallel.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn map_users<T: Send>(
        &self,
        context: &Context<'_>,
        items: &[u32],
        visit: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let all = items.len() == self.items.rows();
        let vectors = if all { None } else { Some(self.items.gather(items)) };
        let factor = Factor::pack(self.isa, View::from(vectors.as_ref().unwrap_or(&self.items)).transposed());
        let position = |item: u32| if all { Some(item as usize) } else { items.binary_search(&item).ok() };
        let users: Vec<u32> = (0..self.users.rows() as u32).collect();
        let blocks: Vec<Vec<T>> = users
            .par_chunks(BLOCK)
            .map(|block| {
                context.check()?;
                let mut scores = Matrix::zeros(block.len(), items.len());
                factor.multiply((&self.users.gather(block)).into(), scores.data_mut(), false);
                let rows = block.iter().enumerate().map(|(at, &user)| {
                    let row = scores.row_mut(at);
                    if let Some((neighbours, _)) = &self.neighbours {
                        neighbours.add_scores(self.graph.users().row(user as usize), position, row);
                    }
                    visit(user as usize, row)
                });
                Ok(rows.collect())
            })
            .collect::<Result<_>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }
}

fn add(isa: Isa, out: &mut Matrix, more: &Matrix) {
    out.par_rows_mut().zip(more.par_rows()).for_each(|(out, more)| add_scaled(isa, out, 1.0, more));
}

/// The product of a sparse matrix with a dense one; `weight` takes an element from the stored values of its row.
fn sparse_product(isa: Isa, rows: &Csr, by: &Matrix, weight: impl Fn(&[f32], usize) -> f32 + Sync) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), by.cols());
    out.par_rows_mut().enumerate().for_each(|(row, out)| {
        let values = rows.row_values(row).unwrap_or_default();
        for (at, &target) in rows.row(row).iter().enumerate() {
            add_scaled(isa, out, weight(values, at), by.row(target as usize));
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optim::random::{below, normal_matrix};

    /// Both products and the rows agree with scores summed one by one in double precision.
    #[test]
    fn products_and_rows_are_those_of_the_matrix() {
        let (n_users, n_items) = (30usize, 17usize);
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..n_users as u32)
            .flat_map(|user| (0..n_items as u32).map(move |item| (user, item, 2.0)))
            .filter(|_| below(&mut rng, 3) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users, n_items, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let neighbours = Neighbours::fit(&context, 1.0).unwrap();
        let teacher = Layers {
            users: vec![normal_matrix(&mut rng, n_users, 5, 1.0), normal_matrix(&mut rng, n_users, 3, 1.0)],
            items: vec![normal_matrix(&mut rng, n_items, 5, 1.0), normal_matrix(&mut rng, n_items, 3, 1.0)],
            weights: vec![0.5, 2.0],
            neighbours: Some(neighbours.clone()),
        };
        let scores = Scores::new(&context, &teacher);
        let weights = neighbours.weights();
        let oracle = |user: usize, item: usize| -> f64 {
            let layers = (0..2).map(|layer| {
                let pairs = teacher.users[layer].row(user).iter().zip(teacher.items[layer].row(item));
                f64::from(teacher.weights[layer]) * pairs.map(|(a, b)| f64::from(a * b)).sum::<f64>()
            });
            let touched = graph.users().row(user).iter().flat_map(|&from| weights.entries(from as usize));
            layers.sum::<f64>() + touched.filter(|e| e.0 as usize == item).map(|e| f64::from(e.1)).sum::<f64>()
        };
        let some: Vec<u32> = vec![1, 4, 5, 16];
        for items in [(0..n_items as u32).collect::<Vec<_>>(), some] {
            let rows = scores.map_users(&context, &items, |_, row| row.to_vec()).unwrap();
            for (user, row) in rows.iter().enumerate() {
                assert_eq!(row.len(), items.len());
                for (got, &item) in row.iter().zip(&items) {
                    assert!((f64::from(*got) - oracle(user, item as usize)).abs() < 1e-4);
                }
            }
        }
        let (w, x) = (normal_matrix(&mut rng, n_items, 4, 1.0), normal_matrix(&mut rng, n_users, 4, 1.0));
        let (by_items, by_users) = (scores.times(&w), scores.transposed_times(&x));
        for column in 0..4 {
            for user in 0..n_users {
                let want: f64 = (0..n_items).map(|i| oracle(user, i) * f64::from(w.row(i)[column])).sum();
                assert!((f64::from(by_items.row(user)[column]) - want).abs() < 1e-3);
            }
            for item in 0..n_items {
                let want: f64 = (0..n_users).map(|u| oracle(u, item) * f64::from(x.row(u)[column])).sum();
                assert!((f64::from(by_users.row(item)[column]) - want).abs() < 1e-3);
            }
        }
    }
}
