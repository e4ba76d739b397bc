//! The scores of a teacher for all pairs: a matrix that is never formed.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Neighbours;
use super::layers::Layers;
use crate::error::Result;
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled, dot, multiply_by, product};
use crate::train::context::Context;

/// Users scored at once.
const BLOCK: usize = 64;
/// Users weighed at once in a product over all of them.
const PART: usize = 4096;

/// The scores `S = P Q' + A N` of every user and item: P and Q are the teacher's layers side by side, A the graph, every interaction taken for
/// 1, and N the neighbours' weights.
pub(crate) struct Scores<'a> {
    isa: Isa,
    graph: &'a Bipartite,
    users: Cow<'a, Matrix>,
    items: Cow<'a, Matrix>,
    neighbours: Option<(&'a Neighbours, Csr)>,
}

/// A product of the scores of one side with a dense matrix, of which blocks of rows are asked for: all its rows are as large as the vectors of a
/// side.
pub(crate) struct Product<'a> {
    isa: Isa,
    vectors: &'a Matrix,
    inner: Factor,
    /// What is summed over the edges of a row, weighed by their values where `weighed`.
    sparse: Option<(&'a Csr, Matrix, bool)>,
}

/// The neighbours' part of a user's scores.
pub(crate) struct Added {
    /// Of every item.
    values: Vec<f32>,
    /// The items that have one; twice where weights cancelled on the way.
    items: Vec<u32>,
}

impl Product<'_> {
    /// Columns of the product.
    pub(crate) fn cols(&self) -> usize {
        self.inner.cols()
    }

    /// Writes rows from `first` on to `out`, as many as it holds. On the calling thread.
    pub(crate) fn write(&self, first: usize, out: &mut [f32]) {
        let (width, cols) = (self.vectors.cols(), self.cols().max(1));
        let rows = out.len() / cols;
        let left = View::new(&self.vectors.data()[first * width..][..rows * width], rows, width);
        self.inner.multiply(left, out, false);
        if let Some((edges, by, weighed)) = &self.sparse {
            for (row, out) in out.chunks_exact_mut(cols).enumerate() {
                add_row(self.isa, edges, first + row, *weighed, by, out);
            }
        }
    }

    /// All rows. Parallel.
    pub(crate) fn all(&self) -> Matrix {
        let mut out = Matrix::zeros(self.vectors.rows(), self.cols());
        let block = (BLOCK * self.cols()).max(1);
        let blocks = out.data_mut().par_chunks_mut(block).enumerate();
        blocks.for_each(|(block, out)| self.write(block * BLOCK, out));
        out
    }
}

impl Product<'_> {
    /// The rows `rows`, in that order. Parallel, at a cost that follows them.
    pub(crate) fn rows(&self, rows: &[u32]) -> Matrix {
        let mut out = Matrix::zeros(rows.len(), self.cols());
        let cols = self.cols().max(1);
        out.data_mut().par_chunks_mut(BLOCK * cols).zip(rows.par_chunks(BLOCK)).for_each(|(out, rows)| {
            self.inner.multiply((&self.vectors.gather(rows)).into(), out, false);
            if let Some((edges, by, weighed)) = &self.sparse {
                for (&row, out) in rows.iter().zip(out.chunks_exact_mut(cols)) {
                    add_row(self.isa, edges, row as usize, *weighed, by, out);
                }
            }
        });
        out
    }
}

impl<'a> Scores<'a> {
    pub(crate) fn new(context: &Context<'a>, teacher: &'a Layers) -> Scores<'a> {
        let (users, items) = teacher.joined();
        let neighbours = teacher.neighbours.as_ref().map(|neighbours| (neighbours, neighbours.weights().transpose()));
        Scores { isa: context.isa, graph: context.graph, users, items, neighbours }
    }

    /// `S W`, a row per user, for a W with a row per item. O((items width + neighbours' weights) cols), then O((width + edges) cols) a row.
    pub(crate) fn times(&self, items: &Matrix) -> Product<'_> {
        let inner = product(self.isa, View::from(&*self.items).transposed(), items.into());
        let sparse = self
            .neighbours
            .as_ref()
            .map(|(neighbours, _)| (self.graph.users(), sparse_product(self.isa, neighbours.weights(), items), false));
        Product { isa: self.isa, vectors: &self.users, inner: Factor::pack(self.isa, (&inner).into()), sparse }
    }

    /// `S' D X`, a row per item, for an X with a row per user and a diagonal D of `weights` of the users. As fast as [`Scores::times`].
    pub(crate) fn transposed_times(&self, users: &Matrix, weights: &[f32]) -> Product<'_> {
        let (isa, width, cols) = (self.isa, self.users.cols(), users.cols());
        let mut inner = Matrix::zeros(width, cols);
        for first in (0..users.rows()).step_by(PART) {
            let rows = first..users.rows().min(first + PART);
            let mut part = users.data()[rows.start * cols..rows.end * cols].to_vec();
            let weighted = part.par_chunks_exact_mut(cols.max(1)).zip(&weights[rows.clone()]);
            weighted.for_each(|(row, &weight)| multiply_by(isa, row, weight));
            let left = View::new(&self.users.data()[rows.start * width..rows.end * width], rows.len(), width);
            let right = Factor::pack(isa, View::new(&part, rows.len(), cols));
            right.par_multiply(left.transposed(), inner.data_mut(), true);
        }
        let sparse = self.neighbours.as_ref().map(|(_, columns)| {
            let mut touched = Matrix::zeros(self.graph.n_items(), cols);
            touched.par_rows_mut().enumerate().for_each(|(item, out)| {
                for &user in self.graph.items().row(item) {
                    add_scaled(isa, out, weights[user as usize], users.row(user as usize));
                }
            });
            (columns, touched, true)
        });
        Product { isa, vectors: &self.items, inner: Factor::pack(isa, (&inner).into()), sparse }
    }

    /// Room for what neighbours add.
    pub(crate) fn nothing_added(&self) -> Added {
        Added { values: vec![0.0; self.items.rows()], items: Vec::new() }
    }

    /// What neighbours add to the scores of a user. `added` is empty before. O(edges of the user x neighbours).
    pub(crate) fn add_neighbours(&self, user: usize, added: &mut Added) {
        let Some((neighbours, _)) = &self.neighbours else { return };
        let touched = self.graph.users().row(user).iter();
        for (item, weight) in touched.flat_map(|&from| neighbours.weights().entries(from as usize)) {
            let value = &mut added.values[item as usize];
            if *value == 0.0 {
                added.items.push(item);
            }
            *value += weight;
        }
    }

    /// A user's scores of `items`, with what neighbours add to them. O(items width).
    pub(crate) fn of(&self, user: usize, items: &[u32], added: &Added) -> Vec<f32> {
        let vector = self.users.row(user);
        let score = |&item: &u32| dot(self.isa, vector, self.items.row(item as usize)) + added.values[item as usize];
        items.iter().map(score).collect()
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
        let users: Vec<u32> = (0..self.users.rows() as u32).collect();
        self.map_some(context, &users, items, visit)
    }

    /// As [`Scores::map_users`], of some users, in their order.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn map_some<T: Send>(
        &self,
        context: &Context<'_>,
        users: &[u32],
        items: &[u32],
        visit: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let all = items.len() == self.items.rows();
        let vectors = if all { None } else { Some(self.items.gather(items)) };
        let factor = Factor::pack(self.isa, View::from(vectors.as_ref().unwrap_or(&*self.items)).transposed());
        let position = |item: u32| if all { Some(item as usize) } else { items.binary_search(&item).ok() };
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

impl Scores<'_> {
    /// What `visit` makes of the scores that each of `items` has with `users`, which are rising; items in order.
    /// O(users items width + what the items' neighbours are held by), parallel.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn map_items<T: Send>(
        &self,
        context: &Context<'_>,
        items: &[u32],
        users: &[u32],
        visit: impl Fn(u32, &[f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let factor = Factor::pack(self.isa, View::from(&self.users.gather(users)).transposed());
        let mut place = vec![u32::MAX; self.users.rows()];
        users.iter().zip(0..).for_each(|(&user, at)| place[user as usize] = at);
        let blocks: Vec<Vec<T>> = items
            .par_chunks(BLOCK)
            .map(|block| {
                context.check()?;
                let mut scores = Matrix::zeros(block.len(), users.len());
                factor.multiply((&self.items.gather(block)).into(), scores.data_mut(), false);
                let rows = block.iter().enumerate().map(|(at, &item)| {
                    let row = scores.row_mut(at);
                    if let Some((_, columns)) = &self.neighbours {
                        for (near, weight) in columns.entries(item as usize) {
                            for &user in self.graph.items().row(near as usize) {
                                if let Some(score) = row.get_mut(place[user as usize] as usize) {
                                    *score += weight;
                                }
                            }
                        }
                    }
                    visit(item, row)
                });
                Ok(rows.collect())
            })
            .collect::<Result<_>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }
}

impl Added {
    /// The `most` items that get most, in no order. O(items).
    pub(crate) fn largest(&mut self, most: usize) -> &[u32] {
        if self.items.len() > most {
            let values = &self.values;
            self.items.select_nth_unstable_by(most, |&a, &b| {
                values[b as usize].total_cmp(&values[a as usize]).then(a.cmp(&b))
            });
        }
        &self.items[..most.min(self.items.len())]
    }

    /// Makes it empty. O(items added to).
    pub(crate) fn clear(&mut self) {
        self.items.drain(..).for_each(|item| self.values[item as usize] = 0.0);
    }
}

/// Adds to `out` the rows of `by` that a row of a sparse matrix points to, each times its stored value where `weighed`.
fn add_row(isa: Isa, rows: &Csr, row: usize, weighed: bool, by: &Matrix, out: &mut [f32]) {
    let values = rows.row_values(row).filter(|_| weighed);
    for (at, &target) in rows.row(row).iter().enumerate() {
        add_scaled(isa, out, values.map_or(1.0, |values| values[at]), by.row(target as usize));
    }
}

/// The product of a sparse matrix with a dense one.
fn sparse_product(isa: Isa, rows: &Csr, by: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), by.cols());
    out.par_rows_mut().enumerate().for_each(|(row, out)| add_row(isa, rows, row, true, by, out));
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
            matrices: Vec::new(),
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
        let mut added = scores.nothing_added();
        for user in [0, 7, 29] {
            scores.add_neighbours(user, &mut added);
            let touched = graph.users().row(user).iter().flat_map(|&from| weights.row(from as usize).to_vec());
            let touched: std::collections::BTreeSet<u32> = touched.collect();
            let mut all = added.largest(99).to_vec();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all, touched.into_iter().collect::<Vec<_>>());
            let largest = added.largest(4).to_vec();
            let of = |item: u32| added.values[item as usize];
            let least = largest.iter().map(|&item| of(item)).fold(f32::INFINITY, f32::min);
            assert!(all.iter().all(|item| largest.contains(item) || of(*item) <= least));
            for (item, got) in [2, 16].into_iter().zip(scores.of(user, &[2, 16], &added)) {
                assert!((f64::from(got) - oracle(user, item)).abs() < 1e-4);
            }
            added.clear();
            assert!(added.values.iter().all(|&value| value == 0.0));
        }
        let (w, x) = (normal_matrix(&mut rng, n_items, 4, 1.0), normal_matrix(&mut rng, n_users, 4, 1.0));
        let doubled = vec![2.0; n_users];
        let (by_items, by_users) = (scores.times(&w).all(), scores.transposed_times(&x, &doubled).all());
        for column in 0..4 {
            for user in 0..n_users {
                let want: f64 = (0..n_items).map(|i| oracle(user, i) * f64::from(w.row(i)[column])).sum();
                assert!((f64::from(by_items.row(user)[column]) - want).abs() < 1e-3);
            }
            for item in 0..n_items {
                let want: f64 = (0..n_users).map(|u| 2.0 * oracle(u, item) * f64::from(x.row(u)[column])).sum();
                assert!((f64::from(by_users.row(item)[column]) - want).abs() < 1e-3);
            }
        }
    }
}
