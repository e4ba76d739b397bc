//! A teacher as a generation keeps it.

use std::borrow::Cow;

use kithdb_storage::State;

use super::{ITEMS, StateData, TrainState, USERS, read_table};
use crate::error::{Error, Result};
use crate::graph::{Csr, Terms};
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled};
use crate::train::teacher::layers::Layers;
use crate::train::teacher::{ItemNeighbours, Neighbours, UserNeighbours};

/// Of a model of neighbours: from how many others each row is predicted, from whom, and the weights. A row that is fitted again is the only one to change.
const OF_ITEMS: [&str; 3] =
    ["teacher.item_neighbours.counts", "teacher.item_neighbours.items", "teacher.item_neighbours.weights"];
const OF_USERS: [&str; 3] =
    ["teacher.user_neighbours.counts", "teacher.user_neighbours.users", "teacher.user_neighbours.weights"];

/// Those of items as they were kept before, a row for what an item predicts: read, and never written.
const OF_PREDICTORS: [&str; 3] =
    ["teacher.neighbours.counts", "teacher.neighbours.items", "teacher.neighbours.weights"];

/// The arrays with a list a node, how long each list is before them.
pub(super) const LISTS: [[&str; 3]; 2] = [OF_ITEMS, OF_USERS];

/// All that gives a teacher's scores again, in full precision: vectors whose inner products they are, and neighbours where they add to those.
///
/// Its arrays are `teacher.users` and `teacher.items`, a row per node that `rows.users` and `rows.items` name, per node where there are no such
/// arrays, as in states of before, and, of the neighbours, `teacher.item_neighbours.counts`, from how many items each item is predicted, `.items`, which, and `.weights`, and
/// `teacher.user_neighbours.counts`, `.users` and `.weights`, which are that of users.
pub(crate) struct Taught {
    users: Matrix,
    items: Matrix,
    neighbours: Neighbours,
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
        for ([counts, near, values], weights) in weight_lists(&self.neighbours) {
            state.push_column(counts, weights.degrees());
            let (targets, weights) = weights.into_owned().into_entries();
            state.push_row(near, StateData::Integers(targets));
            state.push_row(values, StateData::Floats(weights));
        }
    }

    /// Reads it back; `None` where the state holds none of so many users and items.
    ///
    /// # Errors
    /// `Storage` and `Damaged`.
    pub(crate) fn read(state: &State, n_users: usize, n_items: usize) -> Result<Option<Taught>> {
        let users = read_table(state, "teacher.users", USERS, n_users, 0.0)?;
        let items = read_table(state, "teacher.items", ITEMS, n_items, 0.0)?;
        let Some((users, items)) = users.zip(items).filter(|(users, items)| users.cols() == items.cols()) else {
            return Ok(None);
        };
        Ok(Some(Taught { users, items, neighbours: read_neighbours(state, n_users, n_items)? }))
    }

    /// Taken apart: the vectors of users and of items, and the neighbours.
    pub(crate) fn into_parts(self) -> (Matrix, Matrix, Neighbours) {
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

/// What each node is predicted from by the models of neighbours that there are, with the names of their arrays.
pub(crate) fn weight_lists(neighbours: &Neighbours) -> impl Iterator<Item = ([&'static str; 3], Cow<'_, Csr>)> {
    let of_items = neighbours.items.as_ref().map(|model| (OF_ITEMS, Cow::Owned(model.by_item())));
    let of_users = neighbours.users.as_ref().map(|model| (OF_USERS, Cow::Borrowed(model.weights())));
    of_items.into_iter().chain(of_users)
}

/// The neighbours of so many users and items that the state has.
///
/// # Errors
/// `Storage` and `Damaged`.
pub(crate) fn read_neighbours(state: &State, n_users: usize, n_items: usize) -> Result<Neighbours> {
    let items = match read_weights(state, OF_ITEMS, n_items)? {
        Some(by_item) => Some(ItemNeighbours::of(by_item.transpose())),
        None => read_weights(state, OF_PREDICTORS, n_items)?.map(ItemNeighbours::of),
    };
    Ok(Neighbours { items, users: read_weights(state, OF_USERS, n_users)?.map(UserNeighbours::of) })
}

fn read_weights(state: &State, [counts, near, values]: [&str; 3], n: usize) -> Result<Option<Csr>> {
    let Some(mut counts) = state.part::<u32>(counts)? else { return Ok(None) };
    // Who came later is predicted from nobody.
    counts.resize(n.max(counts.len()), 0);
    let mut offsets = vec![0u64];
    offsets.extend(counts.iter().scan(0, |end, &count| {
        *end += u64::from(count);
        Some(*end)
    }));
    let damaged = || Error::Damaged { what: "the neighbours of the training state do not fit".to_owned() };
    let targets = state.part(near)?.filter(|_| counts.len() == n).ok_or_else(damaged)?;
    Csr::from_parts(n, offsets, targets, state.part(values)?).map(Some).map_err(|_| damaged())
}

/// Scores of a [`Taught`] teacher.
pub(crate) struct Scorer<'a> {
    taught: &'a Taught,
    isa: Isa,
    items: Factor,
}

impl Scorer<'_> {
    /// The scores of all items for some users; `histories` are everybody's: `[users x items]`. Works on the calling thread.
    /// O(items (users columns) + histories x neighbours).
    pub(crate) fn scores(&self, users: &[u32], histories: Terms<'_>) -> Matrix {
        let n_items = self.taught.items.rows();
        let mut scores = Matrix::zeros(users.len(), n_items);
        self.items.multiply((&self.taught.users.gather(users)).into(), scores.data_mut(), false);
        if !self.taught.neighbours.is_empty() {
            let mut added = vec![0.0; n_items];
            for (row, &user) in users.iter().enumerate() {
                added.fill(0.0);
                self.taught.neighbours.add_scores(user, histories, |item| Some(item as usize), &mut added);
                add_scaled(self.isa, scores.row_mut(row), 1.0, &added);
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use kithdb_storage::{Draft, Store, StoreOptions};

    use super::*;

    /// Neighbours as they were kept until there were those of users: a row for what an item predicts.
    #[test]
    fn neighbours_kept_by_predictor_are_read() {
        let by_predictor = Csr::from_edges(3, 3, &[(0, 1, 0.5), (0, 2, -1.0), (2, 0, 2.0)]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), &StoreOptions::default()).unwrap();
        let [counts, near, values] = OF_PREDICTORS;
        let mut writer = store.begin_generation().unwrap();
        writer.part("any", &[1], &[0u32]).unwrap();
        writer.state_part(counts, &[1, 3], &by_predictor.degrees()).unwrap();
        writer.ragged_state(near, &[1, 3], &by_predictor.degrees(), by_predictor.targets()).unwrap();
        let weights = by_predictor.values().unwrap();
        writer.ragged_state(values, &[1, 3], &by_predictor.degrees(), weights).unwrap();
        let manifest = writer.publish(Draft::default()).unwrap();
        let state = store.read_state(&manifest).unwrap().unwrap();
        let read = read_neighbours(&state, 5, 3).unwrap();
        assert!(read.users.is_none());
        assert_eq!(read.items.as_ref().unwrap().weights(), &by_predictor);
        // Kept as they are now, they are rows of what each item is predicted from.
        let kept: Vec<_> = weight_lists(&read).map(|(names, rows)| (names, rows.into_owned())).collect();
        assert_eq!(kept, [(OF_ITEMS, by_predictor.transpose())]);
    }
}
