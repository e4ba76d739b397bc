//! A sparse linear model of users on users.

use super::ridge::{self, Column};
use crate::error::Result;
use crate::graph::Csr;
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

    /// The users that each of `users` is predicted from, as [`ridge::columns`] tells them.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn columns(
        context: &Context<'_>,
        users: &[u32],
        regularisation: f32,
        wanted: impl Fn(u32, &[u32]) -> bool + Sync,
    ) -> Result<Vec<Column>> {
        ridge::columns(context, (context.graph.users(), context.graph.items()), users, regularisation, wanted)
    }

    /// The same model of `n_users` users with other columns for `users`, which rise. O(weights).
    ///
    /// # Errors
    /// When they are none of such users, or a weight is not finite.
    pub(crate) fn replaced(&self, n_users: usize, users: &[u32], columns: &[Column]) -> Result<UserNeighbours> {
        Ok(UserNeighbours { by_user: ridge::replaced(&self.by_user, n_users, users, columns)? })
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
        Ok(UserNeighbours { by_user: ridge::scaled(&self.by_user, times)? })
    }

    /// Adds the scores of a user to `scores`, at the position of each item that has one; `history` gives anybody's items.
    /// O(neighbours x their items).
    pub(crate) fn add_scores<'h>(
        &self,
        user: u32,
        history: impl Fn(u32) -> &'h [u32],
        position: impl Fn(u32) -> Option<usize>,
        scores: &mut [f32],
    ) {
        for (other, weight) in self.by_user.entries(user as usize) {
            history(other).iter().filter_map(|&item| position(item)).for_each(|at| scores[at] += weight);
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
            let history = |user: u32| graph.users().row(user as usize);
            model.add_scores(user, history, |at| Some(at as usize), &mut scores);
            for item in 0..9u32 {
                let want: f64 = weights.iter().map(|&(from, weight)| f64::from(weight) * x(from, item)).sum();
                assert!((f64::from(scores[item as usize]) - want).abs() < 1e-4);
            }
        }
        let some = [2, 11];
        let columns = UserNeighbours::columns(&context, &some, lambda, |user, _| user != 11).unwrap();
        assert_eq!(columns[0], model.weights().entries(2).collect::<Vec<_>>());
        assert!(columns[1].is_empty());
        let replaced = model.replaced(15, &some, &columns).unwrap();
        for user in 0..13 {
            let (known, now) = (model.weights().row(user), replaced.weights().row(user));
            assert_eq!(if user == 11 { &[] } else { known }, now);
        }
        assert!(replaced.weights().n_rows() == 15 && replaced.weights().n_cols() == 15);
    }
}
