//! A sparse linear model of users on users.

use super::ridge::{self, Wanted};
use crate::error::Result;
use crate::graph::{Csr, Terms};
use crate::train::context::Context;

/// Predicts the items of user u from those of the users nearest to them, by a [ridge regression](ridge::fit) of the items that u has on those that their
/// neighbours have: what [`ItemNeighbours`](super::ItemNeighbours) is to items, and better than that where a user's own history says little.
#[derive(Clone, Debug)]
pub(crate) struct UserNeighbours {
    /// Row u: the users that u is predicted from, with weights.
    by_user: Csr,
}

impl UserNeighbours {
    /// Solves all users by each of some `regularisations`.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn fit_each(context: &Context<'_>, regularisations: &[f32]) -> Result<Vec<UserNeighbours>> {
        let (users, items) = (context.graph.users(), context.graph.items());
        let models = ridge::fit(context, (users, items), regularisations)?;
        Ok(models.into_iter().map(|by_user| UserNeighbours { by_user }).collect())
    }

    /// [`UserNeighbours::fit_each`] for one.
    pub(crate) fn fit(context: &Context<'_>, regularisation: f32) -> Result<UserNeighbours> {
        Ok(UserNeighbours::fit_each(context, &[regularisation])?.swap_remove(0))
    }

    /// The same model of the graph of the context, with the rows of those of `users`, which rise, that are `wanted` solved again, by a regularisation and
    /// with a weight.
    ///
    /// # Errors
    /// As [`ridge::refitted`].
    pub(crate) fn refitted(
        self,
        context: &Context<'_>,
        users: &[u32],
        (regularisation, weight): (f32, f32),
        wanted: Wanted<'_>,
    ) -> Result<UserNeighbours> {
        let sides = (context.graph.users(), context.graph.items());
        let chosen = (regularisation, |_| weight);
        Ok(UserNeighbours { by_user: ridge::refitted(context, sides, self.by_user, users, chosen, wanted)? })
    }

    /// Of more users, of which those that are more are predicted from nothing.
    pub(crate) fn grown(self, n_users: usize) -> UserNeighbours {
        UserNeighbours { by_user: self.by_user.grown(n_users) }
    }

    /// With entries between users who are active alone.
    pub(crate) fn of_active(self, is_active: impl Fn(u32) -> bool + Sync) -> UserNeighbours {
        UserNeighbours { by_user: self.by_user.filtered(|user, near| is_active(user) && is_active(near)) }
    }

    /// A model of these weights, a row a user.
    pub(crate) fn of(by_user: Csr) -> UserNeighbours {
        UserNeighbours { by_user }
    }

    /// What each user is predicted from, with weights; the model is the product of this matrix with the graph.
    pub(crate) fn weights(&self) -> &Csr {
        &self.by_user
    }

    /// The same model with every weight, and so every score, `times` as large.
    ///
    /// # Errors
    /// When a weight is no longer finite.
    pub(crate) fn scaled(self, times: f32) -> Result<UserNeighbours> {
        Ok(UserNeighbours { by_user: self.by_user.scaled_rows(|_| times)? })
    }

    /// Adds the scores of a user to `scores`, at the position of each item that has one; `histories` are everybody's. O(neighbours x their items).
    pub(crate) fn add_scores(
        &self,
        user: u32,
        histories: Terms<'_>,
        position: impl Fn(u32) -> Option<usize>,
        scores: &mut [f32],
    ) {
        for (other, weight) in self.by_user.entries(user as usize) {
            let known = histories.row(other as usize).filter_map(|(item, recency)| Some((position(item)?, recency)));
            known.for_each(|(at, recency)| scores[at] += recency * weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::tests::context;

    fn graph() -> Bipartite {
        let edges: Vec<_> = (0..120u32).map(|e| (e * 7 % 13, e * e % 9, 1.0)).collect();
        Bipartite::from_edges(14, 9, &edges).unwrap()
    }

    /// A user's weights solve the normal equations of their items on those of all others, and so do those of some users alone.
    #[test]
    fn few_users_give_the_closed_form_of_all() {
        let (graph, lambda) = (graph(), 1.5f32);
        let context = context(&graph, &());
        let model = UserNeighbours::fit_each(&context, &[9.0, lambda]).unwrap().swap_remove(1);
        let x = |user: u32, item: u32| f64::from(u8::from(graph.users().row(user as usize).contains(&item)));
        let count = |a: u32, b: u32| (0..9).map(|item| x(a, item) * x(b, item)).sum::<f64>();
        for user in 0..13u32 {
            let weights: Vec<(u32, f32)> = model.weights().entries(user as usize).collect();
            assert!(weights.iter().all(|entry| entry.0 != user) && !weights.is_empty());
            for &(row, own) in &weights {
                let left = weights.iter().map(|&(from, weight)| count(row, from) * f64::from(weight)).sum::<f64>();
                let left = left + f64::from(lambda * own);
                assert!((left - count(row, user)).abs() < 1e-3, "{user} {row}: {left}");
            }
            let mut scores = vec![0.0; 9];
            model.add_scores(user, graph.recent_users(), |at| Some(at as usize), &mut scores);
            for item in 0..9u32 {
                let want: f64 = weights.iter().map(|&(from, weight)| f64::from(weight) * x(from, item)).sum();
                assert!((f64::from(scores[item as usize]) - want).abs() < 1e-4);
            }
        }
        let refitted = model.clone().refitted(&context, &[2, 11], (lambda, 3.0), &|user, _, _| user != 11).unwrap();
        for user in 0..14 {
            let times = if user == 2 { 3.0 } else { 1.0 };
            let want: Vec<(u32, f32)> = model.weights().entries(user).map(|(of, own)| (of, times * own)).collect();
            assert_eq!(refitted.weights().entries(user).collect::<Vec<_>>(), want);
        }
        let grown = refitted.grown(16);
        assert!(grown.weights().n_rows() == 16 && grown.weights().n_cols() == 16 && grown.weights().degree(15) == 0);
    }
}
