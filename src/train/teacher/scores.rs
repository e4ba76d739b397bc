//! The scores of a teacher for all pairs: a matrix that is never formed.

use std::borrow::Cow;

use rayon::prelude::*;

use super::layers::Layers;
use super::{ItemNeighbours, Neighbours, UserNeighbours};
use crate::error::Result;
use crate::graph::{Bipartite, Csr, Terms};
use crate::kernel::dense::{Factor, Halves, Isa, Matrix, Rows, View, add_scaled_halves, dot, multiply_by};
use crate::train::context::Context;

/// Users scored at once.
const BLOCK: usize = 64;
/// Rows made floats at once in a product over all of them.
const PART: usize = 1024;

/// The scores `S = P Q' + A N + B A` of every user and item: P and Q are the teacher's layers side by side, A the graph, every interaction taken for
/// 1 or its recency, N the weights of items' neighbours and B those of users'.
pub(crate) struct Scores<'a> {
    isa: Isa,
    graph: &'a Bipartite,
    users: Cow<'a, Matrix>,
    items: Cow<'a, Matrix>,
    /// N.
    of_items: Option<&'a ItemNeighbours>,
    /// B.
    of_users: Option<&'a UserNeighbours>,
    /// Both from the other side, where that is kept.
    turned: Option<Turned>,
}

/// The models of neighbours from the other side, which are as large again.
struct Turned {
    /// What each item is predicted from.
    by_item: Option<Csr>,
    /// Whom each user predicts.
    predicted: Option<Csr>,
}

/// A product of the scores of one side with a dense matrix, of which blocks of rows are asked for: all its rows are as large as the vectors of a
/// side.
pub(crate) struct Product<'a> {
    isa: Isa,
    vectors: &'a Matrix,
    inner: Factor,
    sparse: Vec<Sparse<'a>>,
}

/// Rows of a dense matrix that are summed over the terms of a sparse row.
struct Sparse<'a> {
    terms: Summed<'a>,
    /// Of half the bytes: over many nodes there is nothing larger in a training, and what is rounded is averaged over the terms of a sum.
    by: Halves,
}

/// Terms that are summed over.
enum Summed<'a> {
    Lent(Terms<'a>),
    Own(Cow<'a, Csr>),
}

impl Summed<'_> {
    fn terms(&self) -> Terms<'_> {
        match self {
            Summed::Lent(terms) => *terms,
            Summed::Own(rows) => Terms::values(rows),
        }
    }
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
        for sparse in &self.sparse {
            out.chunks_exact_mut(cols).enumerate().for_each(|(row, out)| sparse.add_row(self.isa, first + row, out));
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
    fn rows(&self, rows: &[u32]) -> Matrix {
        let mut out = Matrix::zeros(rows.len(), self.cols());
        let cols = self.cols().max(1);
        out.data_mut().par_chunks_mut(BLOCK * cols).zip(rows.par_chunks(BLOCK)).for_each(|(out, rows)| {
            self.inner.multiply((&self.vectors.gather(rows)).into(), out, false);
            for sparse in &self.sparse {
                let rows = rows.iter().zip(out.chunks_exact_mut(cols));
                rows.for_each(|(&row, out)| sparse.add_row(self.isa, row as usize, out));
            }
        });
        out
    }
}

impl<'a> Scores<'a> {
    pub(crate) fn new(context: &Context<'a>, teacher: &'a Layers) -> Scores<'a> {
        let (users, items) = teacher.joined();
        let Neighbours { items: of_items, users: of_users } = &teacher.neighbours;
        let (of_items, of_users) = (of_items.as_ref(), of_users.as_ref());
        Scores { isa: context.isa, graph: context.graph, users, items, of_items, of_users, turned: None }
    }

    /// Keeps the neighbours from the other side too, which what is asked of items goes by, time and again.
    pub(crate) fn turned(self) -> Scores<'a> {
        let by_item = self.of_items.map(ItemNeighbours::by_item);
        let predicted = self.of_users.map(|model| model.weights().transpose());
        Scores { turned: Some(Turned { by_item, predicted }), ..self }
    }

    /// What each item is predicted from.
    fn by_item(&self) -> Option<Cow<'_, Csr>> {
        match &self.turned {
            Some(turned) => turned.by_item.as_ref().map(Cow::Borrowed),
            None => self.of_items.map(|model| Cow::Owned(model.by_item())),
        }
    }

    /// Whom each user predicts.
    fn predicted(&self) -> Option<Cow<'_, Csr>> {
        match &self.turned {
            Some(turned) => turned.predicted.as_ref().map(Cow::Borrowed),
            None => self.of_users.map(|model| Cow::Owned(model.weights().transpose())),
        }
    }

    /// `S W`, a row per user, for a W with a row per item. O((items width + edges + neighbours' weights) cols), then O((width + edges + a user's neighbours)
    /// cols) a row.
    pub(crate) fn times(&self, items: &impl Rows) -> Product<'_> {
        self.times_for(items, None)
    }

    /// The rows of `S W` that are those of some `users`, in their order. Parallel; of neighbours, at a cost that follows what these users have.
    pub(crate) fn rows_times(&self, users: &[u32], items: &impl Rows) -> Matrix {
        self.times_for(items, Some(users)).rows(users)
    }

    /// `S W`, of which rows of `users` may be asked for, or any.
    fn times_for(&self, items: &impl Rows, users: Option<&[u32]>) -> Product<'_> {
        let (isa, touched) = (self.isa, self.graph.recent_users());
        let inner = inner(isa, &self.items, items, None);
        let mut sparse = Vec::new();
        if let Some(model) = self.of_items {
            let by = sparse_product(isa, Terms::values(model.weights()), |_| 1.0, items, reached(touched, users));
            sparse.push(Sparse { terms: Summed::Lent(touched), by });
        }
        if let Some(model) = self.of_users {
            let terms = Terms::values(model.weights());
            let by = sparse_product(isa, touched, |_| 1.0, items, reached(terms, users));
            sparse.push(Sparse { terms: Summed::Lent(terms), by });
        }
        Product { isa, vectors: &self.users, inner: Factor::pack(isa, (&inner).into()), sparse }
    }

    /// `S' D X`, a row per item, for an X with a row per user and a diagonal D of `weights` of the users. As fast as [`Scores::times`].
    pub(crate) fn transposed_times(&self, users: &impl Rows, weights: &[f32]) -> Product<'_> {
        self.transposed_times_for(users, weights, None)
    }

    /// The rows of `S' D X` that are those of some `items`, in their order, as [`Scores::rows_times`] gives those of users.
    pub(crate) fn rows_transposed_times(&self, items: &[u32], users: &impl Rows, weights: &[f32]) -> Matrix {
        self.transposed_times_for(users, weights, Some(items)).rows(items)
    }

    /// `S' D X`, of which rows of `items` may be asked for, or any.
    fn transposed_times_for(&self, users: &impl Rows, weights: &[f32], items: Option<&[u32]>) -> Product<'_> {
        let isa = self.isa;
        let inner = inner(isa, &self.users, users, Some(weights));
        let touched = self.graph.recent_items();
        let mut sparse = Vec::new();
        // Before the other, which is kept until the product is dropped.
        let of_users = self.predicted().map(|predicted| {
            let terms = Terms::values(&predicted);
            let by = sparse_product(isa, terms, |user| weights[user], users, reached(touched, items));
            Sparse { terms: Summed::Lent(touched), by }
        });
        if let Some(by_item) = self.by_item() {
            let terms = Terms::values(&by_item);
            let by = sparse_product(isa, touched, |user| weights[user], users, reached(terms, items));
            sparse.push(Sparse { terms: Summed::Own(by_item), by });
        }
        sparse.extend(of_users);
        Product { isa, vectors: &self.items, inner: Factor::pack(isa, (&inner).into()), sparse }
    }

    /// Room for what neighbours add.
    pub(crate) fn nothing_added(&self) -> Added {
        Added { values: vec![0.0; self.items.rows()], items: Vec::new() }
    }

    /// What neighbours add to the scores of a user. `added` is empty before. O(neighbours x their items).
    pub(crate) fn add_neighbours(&self, user: usize, added: &mut Added) {
        let touched = self.graph.recent_users();
        if let Some(model) = self.of_items {
            for (from, recency) in touched.row(user) {
                let predicted = model.weights().entries(from as usize);
                predicted.for_each(|(item, weight)| added.add(item, recency * weight));
            }
        }
        if let Some(model) = self.of_users {
            for (other, weight) in model.weights().entries(user) {
                touched.row(other as usize).for_each(|(item, recency)| added.add(item, recency * weight));
            }
        }
    }

    /// A user's scores of `items`, with what neighbours add to them. O(items width).
    pub(crate) fn of(&self, user: usize, items: &[u32], added: &Added) -> Vec<f32> {
        let vector = self.users.row(user);
        let score = |&item: &u32| dot(self.isa, vector, self.items.row(item as usize)) + added.values[item as usize];
        items.iter().map(score).collect()
    }

    /// What `visit` makes of the scores of `items`, which are rising, of some users, in their order. O(users items width), parallel.
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
        let places = if all { Vec::new() } else { places(items, self.items.rows()) };
        let position = |item: u32| match places.get(item as usize) {
            None => Some(item as usize),
            Some(&place) => (place != u32::MAX).then_some(place as usize),
        };
        let blocks: Vec<Vec<T>> = users
            .par_chunks(BLOCK)
            .map(|block| {
                context.check()?;
                let mut scores = Matrix::zeros(block.len(), items.len());
                factor.multiply((&self.users.gather(block)).into(), scores.data_mut(), false);
                let rows = block.iter().enumerate().map(|(at, &user)| {
                    let row = scores.row_mut(at);
                    let histories = self.graph.recent_users();
                    if let Some(model) = self.of_items {
                        model.add_scores(histories.row(user as usize), position, row);
                    }
                    if let Some(model) = self.of_users {
                        model.add_scores(user, histories, position, row);
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
        let place = places(users, self.users.rows());
        let (by_item, predicted) = (self.by_item(), self.predicted());
        let blocks: Vec<Vec<T>> = items
            .par_chunks(BLOCK)
            .map(|block| {
                context.check()?;
                let mut scores = Matrix::zeros(block.len(), users.len());
                factor.multiply((&self.items.gather(block)).into(), scores.data_mut(), false);
                let rows = block.iter().enumerate().map(|(at, &item)| {
                    let row = scores.row_mut(at);
                    let mut add = |user: u32, weight: f32| {
                        if let Some(score) = row.get_mut(place[user as usize] as usize) {
                            *score += weight;
                        }
                    };
                    let of = self.graph.recent_items();
                    if let Some(by_item) = &by_item {
                        for (near, weight) in by_item.entries(item as usize) {
                            of.row(near as usize).for_each(|(user, recency)| add(user, recency * weight));
                        }
                    }
                    if let Some(predicted) = &predicted {
                        for (from, recency) in of.row(item as usize) {
                            let predicted = predicted.entries(from as usize);
                            predicted.for_each(|(user, weight)| add(user, recency * weight));
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

/// The place of each of `n` nodes among some, and `u32::MAX` of those that are not among them.
fn places(nodes: &[u32], n: usize) -> Vec<u32> {
    let mut places = vec![u32::MAX; n];
    nodes.iter().zip(0..).for_each(|(&node, at)| places[node as usize] = at);
    places
}

impl Added {
    fn add(&mut self, item: u32, weight: f32) {
        let value = &mut self.values[item as usize];
        if *value == 0.0 {
            self.items.push(item);
        }
        *value += weight;
    }

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

impl Sparse<'_> {
    /// Adds the sum of a row to `out`.
    fn add_row(&self, isa: Isa, row: usize, out: &mut [f32]) {
        self.terms
            .terms()
            .row(row)
            .for_each(|(of, value)| add_scaled_halves(isa, out, value, self.by.row(of as usize)));
    }
}

/// Whether each node is one that some of the `rows` of a sparse matrix point to; `None` where any may be asked for. O(rows' edges + nodes).
fn reached(terms: Terms<'_>, rows: Option<&[u32]>) -> Option<Vec<bool>> {
    let mut reached = vec![false; terms.n_cols()];
    rows?.iter().flat_map(|&row| terms.row(row as usize)).for_each(|(to, _)| reached[to as usize] = true);
    Some(reached)
}

/// `vectors' D by`, D a diagonal of `weights`, or of ones. Parallel, in memory for some rows of `by`.
fn inner(isa: Isa, vectors: &Matrix, by: &impl Rows, weights: Option<&[f32]>) -> Matrix {
    let (width, cols) = (vectors.cols(), by.cols());
    let mut inner = Matrix::zeros(width, cols);
    let mut part = Matrix::zeros(PART.min(by.rows()), cols);
    for first in (0..by.rows()).step_by(PART) {
        let rows = PART.min(by.rows() - first);
        let part = &mut part.data_mut()[..rows * cols];
        by.write_rows(isa, first, part);
        if let Some(weights) = weights {
            let weighted = part.par_chunks_exact_mut(cols.max(1)).zip(&weights[first..]);
            weighted.for_each(|(row, &weight)| multiply_by(isa, row, weight));
        }
        let left = View::new(&vectors.data()[first * width..][..rows * width], rows, width);
        let right = Factor::pack(isa, View::new(part, rows, cols));
        right.par_multiply(left.transposed(), inner.data_mut(), true);
    }
    inner
}

/// The product of a sparse matrix with a dense one whose rows are scaled: of the rows that are `needed`, or of all. Parallel.
fn sparse_product(
    isa: Isa,
    terms: Terms<'_>,
    scale: impl Fn(usize) -> f32 + Sync,
    by: &impl Rows,
    needed: Option<Vec<bool>>,
) -> Halves {
    let wanted = |row: usize| needed.as_ref().is_none_or(|needed| needed[row]);
    Halves::of_rows(isa, (terms.n_rows(), by.cols()), wanted, |row, out| {
        let terms = terms.row(row).map(|(of, value)| (of as usize, value));
        terms.for_each(|(of, value)| by.add_row(isa, of, scale(of) * value, out));
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::graph::postings::{Edge, PostingsBuilder};
    use crate::train::optim::random::{below, normal_matrix};
    use crate::train::teacher::Neighbours;

    /// Both products and the rows agree with scores summed one by one in double precision.
    #[test]
    fn products_and_rows_are_those_of_the_matrix() {
        let (n_users, n_items) = (30usize, 17usize);
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("test");
        let edges: Vec<(u32, u32)> = (0..n_users as u32)
            .flat_map(|user| (0..n_items as u32).map(move |item| (user, item)))
            .filter(|_| below(&mut rng, 3) == 0)
            .collect();
        let edges: Vec<_> = edges.into_iter().map(|(user, item)| (user, item, 2.0)).collect();
        products_and_rows(&mut rng, &Bipartite::from_edges(n_users, n_items, &edges).unwrap());
        // Interactions that age.
        let mut builder = PostingsBuilder::with_capacity(n_users, edges.len());
        for user in 0..n_users as u32 {
            for &(_, item, weight) in edges.iter().filter(|edge| edge.0 == user) {
                builder.push(item, Edge { weight, time: Some(i64::from(item * 7 % 5) * 1000) });
            }
            builder.end_row();
        }
        let aged = Bipartite::from_postings(&builder.finish(), n_items as u32, Some(Duration::from_secs(2))).unwrap();
        assert!((0..n_users).any(|user| aged.recent_users().row(user).any(|(_, recency)| recency < 0.5)));
        products_and_rows(&mut rng, &aged);
    }

    fn products_and_rows(rng: &mut Xoshiro256PlusPlus, graph: &Bipartite) {
        let (n_users, n_items) = (graph.n_users(), graph.n_items());
        let context = crate::train::tests::context(graph, &());
        let of_items = ItemNeighbours::fit(&context, 1.0, 0.2).unwrap();
        let of_users = UserNeighbours::fit(&context, 2.0).unwrap();
        let teacher = Layers {
            users: vec![normal_matrix(rng, n_users, 5, 1.0), normal_matrix(rng, n_users, 3, 1.0)],
            items: vec![normal_matrix(rng, n_items, 5, 1.0), normal_matrix(rng, n_items, 3, 1.0)],
            weights: vec![0.5, 2.0],
            neighbours: Neighbours { items: Some(of_items.clone()), users: Some(of_users.clone()) },
            matrices: Vec::new(),
        };
        let scores = Scores::new(&context, &teacher);
        let weights = of_items.weights();
        let recency = |user: u32, item: usize| {
            let known = graph.recent_users().row(user as usize).find(|entry| entry.0 as usize == item);
            known.map_or(0.0, |entry| f64::from(entry.1))
        };
        let oracle = |user: usize, item: usize| -> f64 {
            let layers = (0..2).map(|layer| {
                let pairs = teacher.users[layer].row(user).iter().zip(teacher.items[layer].row(item));
                f64::from(teacher.weights[layer]) * pairs.map(|(a, b)| f64::from(a * b)).sum::<f64>()
            });
            let touched = (0..n_items).flat_map(|from| {
                let predicted = weights.entries(from).filter(|entry| entry.0 as usize == item);
                predicted.map(move |(_, weight)| f64::from(weight) * recency(user as u32, from))
            });
            let near = of_users.weights().entries(user).map(|(other, own)| f64::from(own) * recency(other, item));
            layers.sum::<f64>() + touched.sum::<f64>() + near.sum::<f64>()
        };
        let some: Vec<u32> = vec![1, 4, 5, 16];
        for items in [(0..n_items as u32).collect::<Vec<_>>(), some] {
            let users: Vec<u32> = (0..n_users as u32).collect();
            let rows = scores.map_some(&context, &users, &items, |_, row| row.to_vec()).unwrap();
            for (user, row) in rows.iter().enumerate() {
                assert_eq!(row.len(), items.len());
                for (got, &item) in row.iter().zip(&items) {
                    assert!((f64::from(*got) - oracle(user, item as usize)).abs() < 1e-4);
                }
            }
        }
        let (few, others) = (vec![2u32, 9, 16], vec![0u32, 7, 28]);
        let columns = scores.map_items(&context, &few, &others, |item, row| (item, row.to_vec())).unwrap();
        for (item, row) in columns {
            for (got, &user) in row.iter().zip(&others) {
                assert!((f64::from(*got) - oracle(user as usize, item as usize)).abs() < 1e-4);
            }
        }
        let mut added = scores.nothing_added();
        for user in [0, 7, 29] {
            scores.add_neighbours(user, &mut added);
            let touched = graph.users().row(user).iter().flat_map(|&from| weights.row(from as usize).to_vec());
            let near =
                of_users.weights().row(user).iter().flat_map(|&other| graph.users().row(other as usize).to_vec());
            let touched: std::collections::BTreeSet<u32> = touched.chain(near).collect();
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
        let (w, x) = (normal_matrix(rng, n_items, 4, 1.0), normal_matrix(rng, n_users, 4, 1.0));
        let doubled = vec![2.0; n_users];
        let (by_items, by_users) = (scores.times(&w).all(), scores.transposed_times(&x, &doubled).all());
        for rows in [vec![], vec![3u32], vec![0, 2, 16]] {
            assert_eq!(scores.rows_times(&rows, &w), by_items.gather(&rows));
            assert_eq!(scores.rows_transposed_times(&rows, &x, &doubled), by_users.gather(&rows));
        }
        // What neighbours add is rounded to eight bits on the way.
        for column in 0..4 {
            for user in 0..n_users {
                let want: f64 = (0..n_items).map(|i| oracle(user, i) * f64::from(w.row(i)[column])).sum();
                assert!((f64::from(by_items.row(user)[column]) - want).abs() < 0.05);
            }
            for item in 0..n_items {
                let want: f64 = (0..n_users).map(|u| 2.0 * oracle(u, item) * f64::from(x.row(u)[column])).sum();
                assert!((f64::from(by_users.row(item)[column]) - want).abs() < 0.05);
            }
        }
    }
}
