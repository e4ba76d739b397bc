//! How large a graph is: all that options are resolved by.

use crate::graph::Bipartite;

/// Counts of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) users: usize,
    pub(crate) items: usize,
    /// Items with interactions.
    pub(crate) touched: usize,
    pub(crate) edges: usize,
}

impl Size {
    pub(crate) fn of(graph: &Bipartite) -> Size {
        let touched = (0..graph.n_items()).filter(|&item| graph.items().degree(item) > 0).count();
        Size { users: graph.n_users(), items: graph.n_items(), touched, edges: graph.n_edges() }
    }

    /// Users and items.
    pub(crate) fn nodes(self) -> f64 {
        self.users as f64 + self.items as f64
    }

    /// The share of pairs that are observed.
    pub(crate) fn density(self) -> f64 {
        self.edges as f64 / (self.users as f64 * self.items as f64).max(1.0)
    }
}
