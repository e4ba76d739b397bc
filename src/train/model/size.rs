//! How large a graph is: all that options are resolved by.

use crate::graph::{Bipartite, Csr};

/// Counts of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) users: usize,
    pub(crate) items: usize,
    /// Users with interactions: what is learned follows these, not how many are registered.
    pub(crate) active: usize,
    /// Items with interactions, of a catalogue.
    pub(crate) touched: usize,
    pub(crate) edges: usize,
}

impl Size {
    pub(crate) fn of(graph: &Bipartite) -> Size {
        let filled = |rows: &Csr| (0..rows.n_rows()).filter(|&row| rows.degree(row) > 0).count();
        Size {
            users: graph.n_users(),
            items: graph.n_items(),
            active: filled(graph.users()),
            touched: filled(graph.items()),
            edges: graph.n_edges(),
        }
    }

    /// Users and items.
    pub(crate) fn nodes(self) -> f64 {
        self.users as f64 + self.items as f64
    }

    /// The share of all pairs that are observed.
    pub(crate) fn density_of_all(self) -> f64 {
        self.edges as f64 / (self.users as f64 * self.items as f64).max(1.0)
    }

    /// The share of pairs of users and items with interactions that are observed.
    pub(crate) fn density(self) -> f64 {
        self.edges as f64 / (self.active as f64 * self.touched as f64).max(1.0)
    }
}
