//! The graph of users and items.

use std::time::Duration;

use super::Csr;
use super::postings::Postings;
use super::terms::Terms;
use crate::error::{Error, Result};
use crate::pool;

/// Edges that threads started for the call are worth it for.
const MANY: usize = 1 << 20;

/// Who touched what, from both sides: `items` is the transpose of `users`.
#[derive(Clone, Debug)]
pub struct Bipartite {
    users: Csr,
    items: Csr,
    /// The same rows with recencies for values, of users and of items, where interactions age.
    recencies: Option<Box<(Csr, Csr)>>,
}

impl Bipartite {
    /// From edges `(user, item, weight)`; of the same edge given twice the last weight wins. O(edges + nodes), parallel.
    ///
    /// # Errors
    /// As [`Csr::from_edges`], `InvalidArgument` for a weight that is not positive, and `Thread` where a million edges or more want threads
    /// and there are none.
    pub fn from_edges(n_users: usize, n_items: usize, edges: &[(u32, u32, f32)]) -> Result<Bipartite> {
        let build = || Bipartite::from_users(Csr::from_edges(n_users, n_items, edges)?);
        if edges.len() < MANY { build() } else { pool::within(0, build) }
    }

    /// From posting lists of items below `n_items`, with confidences for weights ([`Postings::confidences`]), and recencies ([`Postings::recencies`]).
    pub(crate) fn from_postings(postings: &Postings, n_items: u32, half_life: Option<Duration>) -> Result<Bipartite> {
        let rows =
            |values| Csr::from_parts(n_items as usize, postings.offsets().to_vec(), postings.items().to_vec(), values);
        let graph = Bipartite::from_users(rows(postings.confidences(half_life))?)?;
        let recencies = half_life.and_then(|half_life| postings.recencies(half_life));
        let recencies = recencies.map(|recencies| rows(Some(recencies))).transpose()?;
        Ok(Bipartite { recencies: recencies.map(both_sides), ..graph })
    }

    /// From the users' rows; weights are the values.
    ///
    /// # Errors
    /// `InvalidArgument` for a weight that is not positive.
    pub fn from_users(users: Csr) -> Result<Bipartite> {
        if let Some(value) = users.values().and_then(|values| values.iter().find(|&&value| value <= 0.0)) {
            return Err(Error::InvalidArgument {
                what: format!("an interaction of weight {value}"),
                remedy: "pass weights above zero, and remove interactions that no longer hold".to_owned(),
            });
        }
        let items = users.transpose();
        Ok(Bipartite { users, items, recencies: None })
    }

    /// Users by items.
    pub fn users(&self) -> &Csr {
        &self.users
    }

    /// Items by users.
    pub fn items(&self) -> &Csr {
        &self.items
    }

    /// Users by items, by how recent interactions are.
    pub(crate) fn recent_users(&self) -> Terms<'_> {
        self.recencies.as_ref().map_or(Terms::ones(&self.users), |recencies| Terms::values(&recencies.0))
    }

    /// Items by users, by how recent interactions are.
    pub(crate) fn recent_items(&self) -> Terms<'_> {
        self.recencies.as_ref().map_or(Terms::ones(&self.items), |recencies| Terms::values(&recencies.1))
    }

    /// Number of users, those without interactions included.
    pub fn n_users(&self) -> usize {
        self.users.n_rows()
    }

    /// Number of items, those without interactions included.
    pub fn n_items(&self) -> usize {
        self.items.n_rows()
    }

    /// Number of interactions.
    pub fn n_edges(&self) -> usize {
        self.users.n_edges()
    }

    /// The same nodes without the edges for which `keep(user, item)` is false.
    pub fn filtered(&self, keep: impl Fn(u32, u32) -> bool + Sync) -> Bipartite {
        let users = self.users.filtered(&keep);
        let items = users.transpose();
        let recencies = self.recencies.as_ref().map(|recencies| both_sides(recencies.0.filtered(&keep)));
        Bipartite { users, items, recencies }
    }
}

fn both_sides(users: Csr) -> Box<(Csr, Csr)> {
    let items = users.transpose();
    Box::new((users, items))
}
