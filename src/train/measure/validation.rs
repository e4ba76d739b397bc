//! Recall on held-out interactions.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::holdout::Holdout;
use crate::code::{LayeredCodes, PlaneCodes};
use crate::error::Result;
use crate::graph::Csr;
use crate::index::{Filter, Linear, Seen, TopK};
use crate::kernel::dense::{Factor, Matrix, View, add_scaled};
use crate::train::context::Context;
use crate::train::teacher::Models;

/// Users scored at once.
const BLOCK: usize = 64;

/// Models of neighbours and pairs of weights, of those of items and of those of users.
pub(crate) type Tried<'a> = (Models<'a>, &'a [(f32, f32)]);

/// Held-out interactions of some users, and what is masked for them.
pub(crate) struct Validation {
    /// Rising.
    users: Vec<u32>,
    /// Of each of these, the items held out and those trained on.
    held: Vec<Vec<u32>>,
    seen: Vec<Vec<u32>>,
}

impl Validation {
    /// Validates on at most `most` of the users with held-out interactions, spread evenly over them.
    pub(crate) fn new(holdout: &Holdout, most: usize) -> Validation {
        let all: Vec<u32> =
            (0..holdout.held.n_rows() as u32).filter(|&u| holdout.held.degree(u as usize) > 0).collect();
        let count = all.len().min(most);
        let users: Vec<u32> = (0..count).map(|at| all[at * all.len() / count]).collect();
        let rows = |of: &Csr| users.iter().map(|&user| of.row(user as usize).to_vec()).collect();
        Validation { held: rows(&holdout.held), seen: rows(holdout.trained.users()), users }
    }

    /// Nothing to validate on.
    pub(crate) fn none() -> Validation {
        Validation { users: Vec::new(), held: Vec::new(), seen: Vec::new() }
    }

    /// Whether there is nothing to validate on.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Mean over users of the share of their held-out items among the `k` best by inner product, trained items masked,
    /// ties by rising index. `None` when nothing is held out. O(users x items x columns).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn recall(
        &self,
        context: &Context<'_>,
        k: usize,
        users: &Matrix,
        items: &Matrix,
    ) -> Result<Option<f64>> {
        let shares =
            self.means(context, users, items, |user, scores, means| means.push(self.share_of(user, scores, k)))?;
        Ok(shares.first().copied())
    }

    /// As [`Validation::recall`] of the inner products plus the scores of neighbours, by each of some models those of items and those of users times each pair
    /// of weights: one recall a pair, in order, none when nothing is held out.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn recall_of_sums(
        &self,
        context: &Context<'_>,
        k: usize,
        vectors: (&Matrix, &Matrix),
        tried: &[Tried<'_>],
    ) -> Result<Vec<f64>> {
        self.means_of_sums(context, vectors, tried, |user, sums| self.share_of(user, sums, k))
    }

    /// As [`Validation::recall_of_sums`], but a held-out item that `r` others come before counts for `1 / (1 + (r / k)^4)`, not for one or nothing as they
    /// are fewer than `k` or not: what is chosen by a step that soft depends less on which interactions are held out.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn soft_recall_of_sums(
        &self,
        context: &Context<'_>,
        k: usize,
        vectors: (&Matrix, &Matrix),
        tried: &[Tried<'_>],
    ) -> Result<Vec<f64>> {
        self.means_of_sums(context, vectors, tried, |user, sums| self.soft_share_of(user, sums, k))
    }

    /// Means of a measure of what [`Validation::recall_of_sums`] adds up.
    fn means_of_sums(
        &self,
        context: &Context<'_>,
        (users, items): (&Matrix, &Matrix),
        tried: &[Tried<'_>],
        measure: impl Fn(u32, &mut [f32]) -> f64 + Sync,
    ) -> Result<Vec<f64>> {
        let isa = context.isa;
        let histories = context.graph.recent_users();
        self.means(context, users, items, |user, scores, means| {
            let [mut by_items, mut by_users, mut sums] = [(); 3].map(|()| vec![0.0; scores.len()]);
            for (models, weights) in tried {
                if let Some(model) = models.items {
                    by_items.fill(0.0);
                    model.add_scores(histories.row(user as usize), |item| Some(item as usize), &mut by_items);
                }
                if let Some(model) = models.users {
                    by_users.fill(0.0);
                    model.add_scores(user, histories, |item| Some(item as usize), &mut by_users);
                }
                for &(of_items, of_users) in *weights {
                    sums.copy_from_slice(scores);
                    if models.items.is_some() {
                        add_scaled(isa, &mut sums, of_items, &by_items);
                    }
                    if models.users.is_some() {
                        add_scaled(isa, &mut sums, of_users, &by_users);
                    }
                    means.push(measure(user, &mut sums));
                }
            }
        })
    }

    /// As [`Validation::recall`] of the inner products times scales of the items: one recall for each of the `scales`, none when nothing is
    /// held out.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn recall_of_scaled(
        &self,
        context: &Context<'_>,
        k: usize,
        (users, items): (&Matrix, &Matrix),
        scales: &[Vec<f32>],
    ) -> Result<Vec<f64>> {
        self.means(context, users, items, |user, scores, means| {
            for scales in scales {
                let mut scaled: Vec<f32> = scores.iter().zip(scales).map(|(score, scale)| score * scale).collect();
                means.push(self.share_of(user, &mut scaled, k));
            }
        })
    }

    /// Means over users of what `measure` pushes for each: measures of rankings that it makes of the user's inner products.
    fn means(
        &self,
        context: &Context<'_>,
        users: &Matrix,
        items: &Matrix,
        measure: impl Fn(u32, &mut [f32], &mut Vec<f64>) + Sync,
    ) -> Result<Vec<f64>> {
        if self.users.is_empty() {
            return Ok(Vec::new());
        }
        let factor = Factor::pack(context.isa, View::from(items).transposed());
        let measured: Vec<Vec<Vec<f64>>> = self
            .users
            .par_chunks(BLOCK)
            .map(|block| {
                context.check()?;
                let queries = users.gather(block);
                let mut scores = Matrix::zeros(block.len(), items.rows());
                factor.multiply((&queries).into(), scores.data_mut(), false);
                let rows = block.iter().enumerate().map(|(row, &user)| {
                    let mut of_one = Vec::new();
                    measure(user, scores.row_mut(row), &mut of_one);
                    of_one
                });
                Ok(rows.collect())
            })
            .collect::<Result<_>>()?;
        let measured: Vec<Vec<f64>> = measured.into_iter().flatten().collect();
        let measures = measured.first().map_or(0, Vec::len);
        Ok((0..measures).map(|at| mean(&measured.iter().map(|of_one| of_one[at]).collect::<Vec<_>>())).collect())
    }

    /// As [`Validation::recall`], of codes with 1-bit queries and the served score. O(users x items x words).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn recall_of_codes(
        &self,
        context: &Context<'_>,
        k: usize,
        users: &PlaneCodes,
        items: &LayeredCodes,
    ) -> Result<Option<f64>> {
        if self.users.is_empty() {
            return Ok(None);
        }
        let ranks: Vec<u32> = (0..items.len() as u32).collect();
        let index = Linear::build(items, ranks, context.popcount)?;
        let recalls: Vec<f64> = self
            .users
            .par_iter()
            .map(|&user| {
                context.check()?;
                let filter = Filter { seen: Seen::of(self.seen(user)), ..Filter::default() };
                let found = index.search(&users.query(user as usize, 1)?, k, &filter)?;
                Ok(self.share(user, &found.matches.iter().map(|found| found.row).collect::<Vec<_>>()))
            })
            .collect::<Result<_>>()?;
        Ok(Some(mean(&recalls)))
    }

    /// As [`Validation::recall`], of the items by falling `degrees`: the most popular ones that a user does not have. O(items log items + trained
    /// items of the users).
    pub(crate) fn recall_of_popularity(&self, k: usize, degrees: &[u32]) -> Option<f64> {
        let mut popular: Vec<u32> = (0..degrees.len() as u32).collect();
        popular.sort_by_key(|&item| Reverse(degrees[item as usize]));
        let shares = self.users.iter().zip(&self.seen).map(|(&user, seen)| {
            let unseen = popular.iter().copied().filter(|item| seen.binary_search(item).is_err());
            self.share(user, &unseen.take(k).collect::<Vec<_>>())
        });
        (!self.is_empty()).then(|| mean(&shares.collect::<Vec<_>>()))
    }

    fn seen(&self, user: u32) -> &[u32] {
        self.users.binary_search(&user).map_or(&[], |at| &self.seen[at])
    }

    fn held(&self, user: u32) -> &[u32] {
        self.users.binary_search(&user).map_or(&[], |at| &self.held[at])
    }

    /// The share of a user's held-out items among `found`.
    fn share(&self, user: u32, found: &[u32]) -> f64 {
        let held = self.held(user);
        found.iter().filter(|item| held.binary_search(item).is_ok()).count() as f64 / held.len() as f64
    }

    /// The share of a user's held-out items among the `k` best by `scores`. Overwrites those of seen items.
    fn share_of(&self, user: u32, scores: &mut [f32], k: usize) -> f64 {
        self.share(user, &best(scores, self.seen(user), k))
    }

    /// As [`Validation::share_of`], softly: see [`Validation::soft_recall_of_sums`].
    fn soft_share_of(&self, user: u32, scores: &mut [f32], k: usize) -> f64 {
        mask(scores, self.seen(user));
        let of_item = |&item: &u32| {
            let (before, after) = scores.split_at(item as usize);
            let score = after[0];
            let rank = before.iter().filter(|&&other| other >= score).count()
                + after.iter().filter(|&&other| other > score).count();
            1.0 / (1.0 + (rank as f64 / k as f64).powi(4))
        };
        let held = self.held(user);
        held.iter().map(of_item).sum::<f64>() / held.len() as f64
    }
}

/// Puts the items of `seen` behind all others.
fn mask(scores: &mut [f32], seen: &[u32]) {
    seen.iter().for_each(|&item| scores[item as usize] = f32::NEG_INFINITY);
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The `k` best items that are not in `seen`. Overwrites the scores of seen items.
fn best(scores: &mut [f32], seen: &[u32], k: usize) -> Vec<u32> {
    mask(scores, seen);
    let mut best = TopK::new(k, scores.len());
    for (item, &score) in (0..).zip(&*scores) {
        if score > f32::NEG_INFINITY && score >= best.threshold() {
            best.push(score, item, item);
        }
    }
    best.into_sorted().into_iter().map(|(item, _)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::CodeShape;
    use crate::graph::Bipartite;

    #[test]
    fn recall_masks_what_was_trained_and_breaks_ties_by_index() {
        let trained = Bipartite::from_edges(3, 5, &[(0, 0, 1.0), (1, 4, 1.0)]).unwrap();
        let held = Csr::from_edges(3, 5, &[(0, 1, 1.0), (0, 3, 1.0), (1, 0, 1.0)]).unwrap();
        let validation = Validation::new(&Holdout { trained, held }, 9);
        let graph = Bipartite::from_edges(3, 5, &[]).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let users = Matrix::from_data(3, 1, vec![1.0; 3]).unwrap();
        let items = Matrix::from_data(5, 1, vec![9.0, 2.0, 2.0, 1.0, 7.0]).unwrap();
        // User 0: 4 then the tie of 1 and 2, so one of two hits at 2. User 1: 0 first. User 2 has nothing held out.
        assert_eq!(validation.recall(&context, 2, &users, &items).unwrap(), Some((0.5 + 1.0) / 2.0));
        assert_eq!(validation.recall(&context, 100, &users, &items).unwrap(), Some(1.0));
        // Popularity ranks as one-dimensional vectors of the degrees do; with nothing held out there is no recall.
        assert_eq!(validation.recall_of_popularity(2, &[9, 2, 2, 1, 7]), Some((0.5 + 1.0) / 2.0));
        assert_eq!(validation.recall_of_popularity(1, &[9, 2, 2, 1, 7]), Some(0.5));
        assert_eq!(Validation::none().recall_of_popularity(2, &[1; 5]), None);
        // Softly: of user 0 item 1 has one before it and item 3 three, of user 1 item 0 none.
        let tried: Tried<'_> = (Models::default(), &[(0.0, 0.0)]);
        let soft = validation.soft_recall_of_sums(&context, 2, (&users, &items), &[tried]).unwrap();
        let shares = [1.0, 3.0].map(|rank: f64| 1.0 / (1.0 + (rank / 2.0).powi(4)));
        assert_eq!(soft, [(f64::midpoint(shares[0], shares[1]) + 1.0) / 2.0]);
        // Scaled, as vectors so scaled would be: with the second, the tie is broken and item 3 comes first.
        let scales = [vec![1.0; 5], vec![1.0, 0.1, 1.0, 30.0, 1.0], vec![0.0, 0.0, 0.0, 0.0, 1.0]];
        let scaled = validation.recall_of_scaled(&context, 2, (&users, &items), &scales).unwrap();
        let direct = |scales: &Vec<f32>| {
            let data = items.data().iter().zip(scales).map(|(x, scale)| x * scale).collect();
            validation.recall(&context, 2, &users, &Matrix::from_data(5, 1, data).unwrap()).unwrap().unwrap()
        };
        assert_eq!(scaled, scales.iter().map(direct).collect::<Vec<_>>());
        assert_eq!(scaled[..2], [0.75, 0.75]);
        let shape = std::sync::Arc::new(CodeShape::new(vec![1], vec![1.0]).unwrap());
        let users = PlaneCodes::encode(shape.clone(), &[users.data()], 1).unwrap();
        let items = LayeredCodes::encode(shape, &[items.data()]).unwrap();
        assert_eq!(validation.recall_of_codes(&context, 2, &users, &items).unwrap(), Some((0.5 + 1.0) / 2.0));
    }
}
