//! What a training learned, as its state holds it.

use kithdb_storage::State;

use super::Choices;
use crate::code::CodeShape;
use crate::error::Result;
use crate::graph::Bipartite;
use crate::kernel::dense::Matrix;
use crate::train::state::TrainState;
use crate::train::state::taught::Taught;
use crate::train::student::Tables;
use crate::train::teacher::Neighbours;
use crate::train::teacher::layers::Layers;

/// The teacher and the student's tables of a generation of the models of [`Choices`], with a row for every node.
pub(crate) struct Learned {
    /// Factors of users.
    pub(super) users: Matrix,
    /// Factors of items.
    pub(super) items: Matrix,
    /// The neighbours, times their weights.
    pub(super) neighbours: Neighbours,
    pub(super) tables: Tables,
}

impl Learned {
    /// Reads what a generation of `known` users and items, with codes of this shape, was trained to; `None` where its state does not hold it.
    ///
    /// # Errors
    /// `Storage` and `Damaged`.
    pub(crate) fn read(
        state: &State,
        choices: &Choices,
        shape: &CodeShape,
        known: (usize, usize),
    ) -> Result<Option<Learned>> {
        let Some(taught) = Taught::read(state, known.0, known.1)? else { return Ok(None) };
        let Some(tables) = Tables::read(state, (shape.widths(), shape.weights()), known)? else { return Ok(None) };
        let (users, items, neighbours) = taught.into_parts();
        // Of generations of before signs were kept.
        let tables = Tables { magnitudes: Matrix::zeros(0, 0), served: None, ..tables };
        let fits = users.cols() == choices.teacher.factors && neighbours.are(choices.added);
        Ok(fits.then_some(Learned { users, items, neighbours, tables }))
    }

    /// With rows for nodes that came since: zeros, as of a node nothing is known of.
    pub(super) fn grown(self, n_users: usize, n_items: usize) -> Learned {
        let Learned { users, items, neighbours, tables } = self;
        Learned {
            users: users.grown(n_users, 0.0),
            items: items.grown(n_items, 0.0),
            neighbours: neighbours.grown(n_users, n_items),
            tables: tables.grown(n_users, n_items),
        }
    }

    /// As training state of a graph that has grown, with nothing learned of what it has more.
    pub(crate) fn carried(self, graph: &Bipartite) -> TrainState {
        self.grown(graph.users().n_rows(), graph.items().n_rows()).save(graph)
    }

    /// Of a teacher of one layer, and tables.
    pub(super) fn of(layers: Layers, tables: Tables) -> Learned {
        let (users, items, neighbours) = layers.into_joined();
        Learned { users, items, neighbours, tables: Tables { magnitudes: Matrix::zeros(0, 0), ..tables } }
    }

    /// Taken apart: the teacher, for a student, and the tables.
    pub(super) fn into_parts(self) -> (Layers, Tables) {
        let Learned { users, items, neighbours, tables } = self;
        (Layers { neighbours, ..Layers::of(users, items) }, tables)
    }

    /// As training state.
    pub(crate) fn save(self, graph: &Bipartite) -> TrainState {
        let mut state = TrainState::default();
        let Learned { users, items, neighbours, tables } = self;
        tables.save(&mut state);
        Layers { neighbours: neighbours.of_active(graph), ..Layers::of(users, items) }.save(&mut state);
        state.of_active(graph)
    }
}
