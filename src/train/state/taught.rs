//! A teacher as a generation keeps it.

use std::borrow::Cow;

use kithdb_storage::State;

use super::{ITEMS, StateData, TrainState, USERS, read_table};
use crate::error::{Error, Result};
use crate::graph::Csr;
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled};
use crate::train::teacher::Neighbours;
use crate::train::teacher::layers::Layers;

/// How many items each item predicts, which, and with which weights.
pub(crate) const COUNTS: &str = "teacher.neighbours.counts";
pub(crate) const NEIGHBOURS: &str = "teacher.neighbours.items";
pub(crate) const WEIGHTS: &str = "teacher.neighbours.weights";

/// All that gives a teacher's scores again, in full precision: vectors whose inner products they are, and neighbours where they add to those.
///
/// Its arrays are `teacher.users` and `teacher.items`, a row per node that `rows.users` and `rows.items` name, per node where there are no such
/// arrays, and, of the neighbours, `teacher.neighbours.counts`, how many items each
/// item predicts, `.items`, which, and `.weights`.
pub(crate) struct Taught {
    users: Matrix,
    items: Matrix,
    neighbours: Option<Neighbours>,
}

impl Taught {
    /// What is to be kept of a teacher.
    pub(crate) fn new(layers: Layers) -> Taught {
        let (users, items, neighbours) = layers.into_joined();
        Taught { users, items, neighbours }
    }

    /// Appends it to a state.
    pub(crate) fn save(self, state: &mut TrainState) {
        state.push("teacher.users", self.users);
        state.push("teacher.items", self.items);
        if let Some(neighbours) = self.neighbours {
            let (counts, items, weights) = neighbour_lists(&neighbours);
            state.push_row(COUNTS, StateData::Integers(counts));
            state.push_row(NEIGHBOURS, StateData::Integers(items.to_vec()));
            state.push_row(WEIGHTS, StateData::Floats(weights.into_owned()));
        }
    }

    /// Reads it back; `None` where the state holds none of so many users and items.
    ///
    /// # Errors
    /// `Storage` and `Damaged`.
    pub(crate) fn read(state: &State, n_users: usize, n_items: usize) -> Result<Option<Taught>> {
        let users = read_table(state, "teacher.users", USERS, n_users)?;
        let items = read_table(state, "teacher.items", ITEMS, n_items)?;
        let Some((users, items)) = users.zip(items).filter(|(users, items)| users.cols() == items.cols()) else {
            return Ok(None);
        };
        Ok(Some(Taught { users, items, neighbours: read_neighbours(state, n_items)? }))
    }

    /// Taken apart: the vectors of users and of items, and the neighbours.
    pub(crate) fn into_parts(self) -> (Matrix, Matrix, Option<Neighbours>) {
        (self.users, self.items, self.neighbours)
    }

    /// The vectors of users and items. Their inner product is the score but for what neighbours add.
    pub(crate) fn vectors(&self) -> (&Matrix, &Matrix) {
        (&self.users, &self.items)
    }

    /// What scores any number of users. O(items x columns).
    pub(crate) fn scorer(&self, isa: Isa) -> Scorer<'_> {
        Scorer { taught: self, isa, items: Factor::pack(isa, View::from(&self.items).transposed()) }
    }
}

/// How many items each item predicts, which, and with which weights.
pub(crate) fn neighbour_lists(neighbours: &Neighbours) -> (Vec<u32>, &[u32], Cow<'_, [f32]>) {
    let weights = neighbours.weights();
    let values = weights.values().map_or_else(|| Cow::Owned(vec![1.0; weights.n_edges()]), Cow::Borrowed);
    (weights.degrees(), weights.targets(), values)
}

/// The neighbours of so many items; `None` where the state has none.
///
/// # Errors
/// `Storage` and `Damaged`.
pub(crate) fn read_neighbours(state: &State, n_items: usize) -> Result<Option<Neighbours>> {
    let Some(counts) = state.part::<u32>(COUNTS)? else { return Ok(None) };
    let mut offsets = vec![0u64];
    offsets.extend(counts.iter().scan(0, |end, &count| {
        *end += u64::from(count);
        Some(*end)
    }));
    let damaged = || Error::Damaged { what: "the neighbours of the training state do not fit".to_owned() };
    let targets = state.part(NEIGHBOURS)?.filter(|_| counts.len() == n_items).ok_or_else(damaged)?;
    let weights = Csr::from_parts(n_items, offsets, targets, state.part(WEIGHTS)?);
    Ok(Some(Neighbours::of(weights.map_err(|_| damaged())?)))
}

/// Scores of a [`Taught`] teacher.
pub(crate) struct Scorer<'a> {
    taught: &'a Taught,
    isa: Isa,
    items: Factor,
}

impl Scorer<'_> {
    /// The scores of all items for some users, whose items `history` gives: `[users x items]`. Works on the calling thread.
    /// O(items (users columns) + histories x neighbours).
    pub(crate) fn scores<'h>(&self, users: &[u32], history: impl Fn(u32) -> &'h [u32]) -> Matrix {
        let n_items = self.taught.items.rows();
        let mut scores = Matrix::zeros(users.len(), n_items);
        self.items.multiply((&self.taught.users.gather(users)).into(), scores.data_mut(), false);
        if let Some(neighbours) = &self.taught.neighbours {
            let mut added = vec![0.0; n_items];
            for (row, &user) in users.iter().enumerate() {
                added.fill(0.0);
                neighbours.add_scores(history(user), |item| Some(item as usize), &mut added);
                add_scaled(self.isa, scores.row_mut(row), 1.0, &added);
            }
        }
        scores
    }
}
