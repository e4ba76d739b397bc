//! Arrays of a training that outlive it beside the codes.

pub(crate) mod cuts;
mod slots;
pub(crate) mod taught;

use kithdb_storage::State;
pub(crate) use slots::{ITEMS, USERS};
use taught::LISTS;

use crate::error::Result;
use crate::graph::Bipartite;
use crate::kernel::dense::{Matrix, SignMatrix};
use crate::train::student::Segment;

/// Arrays with a row per user, and with one per item.
const OF_USERS: [&str; 7] = [
    "teacher.users",
    "teacher.cross1.users",
    "teacher.cross2.users",
    "student.user_signs",
    "student.user_magnitudes",
    "student.user_scales",
    "student.user_targets",
];
const OF_ITEMS: [&str; 5] =
    ["teacher.items", "teacher.cross1.items", "teacher.cross2.items", "student.item_signs", "student.item_scales"];

/// Named arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainState {
    /// The arrays, in a fixed order.
    pub parts: Vec<StatePart>,
}

/// One array.
#[derive(Clone, Debug, PartialEq)]
pub struct StatePart {
    /// `teacher.users`, `student.item_signs`, ...
    pub name: String,
    /// Rows and columns.
    pub shape: [u64; 2],
    /// Row-major.
    pub data: StateData,
}

/// The elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum StateData {
    /// Vectors and weights.
    Floats(Vec<f32>),
    /// Numbers of nodes, and counts of them.
    Integers(Vec<u32>),
    /// Signs, 64 a word.
    Words(Vec<u64>),
}

impl StatePart {
    /// Makes each row the one that is named of those there are, and zeros where none is.
    fn place_rows(&mut self, rows: &[Option<usize>]) {
        fn placed<T: Copy + Default>(values: &[T], width: usize, rows: &[Option<usize>]) -> Vec<T> {
            let mut placed = vec![T::default(); width * rows.len()];
            for (out, row) in placed.chunks_exact_mut(width.max(1)).zip(rows) {
                if let Some(row) = row {
                    out.copy_from_slice(&values[row * width..][..width]);
                }
            }
            placed
        }
        let width = self.shape[1] as usize;
        match &mut self.data {
            StateData::Floats(values) => *values = placed(values, width, rows),
            StateData::Integers(values) => *values = placed(values, width, rows),
            StateData::Words(values) => *values = placed(values, width, rows),
        }
        self.shape[0] = rows.len() as u64;
    }
}

impl TrainState {
    pub(crate) fn push(&mut self, name: &str, matrix: Matrix) {
        let shape = [matrix.rows() as u64, matrix.cols() as u64];
        self.parts.push(StatePart { name: name.to_owned(), shape, data: StateData::Floats(matrix.into_data()) });
    }

    pub(crate) fn push_signs(&mut self, name: &str, signs: SignMatrix) {
        let shape = [signs.rows() as u64, signs.stride() as u64];
        self.parts.push(StatePart { name: name.to_owned(), shape, data: StateData::Words(signs.words().to_vec()) });
    }

    /// What is worth storing of a training on `graph`: the rows of users and items with interactions. Who has none, as those who were forgotten,
    /// has nothing that was learned. `rows.users` and `rows.items` name those that stay. O(rows stored).
    pub(crate) fn of_active(mut self, graph: &Bipartite) -> TrainState {
        for (side, names, name) in [(graph.users(), &OF_USERS[..], USERS), (graph.items(), &OF_ITEMS[..], ITEMS)] {
            let active: Vec<u32> = (0..side.n_rows() as u32).filter(|&row| side.degree(row as usize) > 0).collect();
            let rows: Vec<Option<usize>> = active.iter().map(|&row| Some(row as usize)).collect();
            self.parts.iter_mut().filter(|part| names.contains(&&*part.name)).for_each(|part| part.place_rows(&rows));
            self.push_column(name, active);
        }
        self
    }

    /// How many elements each node has in an array that holds a list a node; `None` of one that does not.
    pub(crate) fn lengths(&self, name: &str) -> Option<&[u32]> {
        let [counts, ..] = LISTS.into_iter().find(|[_, lists @ ..]| lists.contains(&name))?;
        let counts = self.parts.iter().find(|part| part.name == counts)?;
        match &counts.data {
            StateData::Integers(counts) => Some(counts),
            StateData::Floats(_) | StateData::Words(_) => None,
        }
    }

    /// An array of one column.
    pub(crate) fn push_column(&mut self, name: &str, values: Vec<u32>) {
        let shape = [values.len() as u64, 1];
        self.parts.push(StatePart { name: name.to_owned(), shape, data: StateData::Integers(values) });
    }

    /// An array of one row.
    pub(crate) fn push_row(&mut self, name: &str, data: StateData) {
        let length = match &data {
            StateData::Floats(values) => values.len(),
            StateData::Integers(values) => values.len(),
            StateData::Words(values) => values.len(),
        };
        self.parts.push(StatePart { name: name.to_owned(), shape: [1, length as u64], data });
    }
}

/// Reads an array with a row for each of `rows` nodes, of which `named` tells those that are stored, others are `blank`; `None` where the state has none of
/// so many.
///
/// # Errors
/// `Storage`.
pub(crate) fn read_table(state: &State, name: &str, named: &str, rows: usize, blank: f32) -> Result<Option<Matrix>> {
    let &[held, cols] = state.shape(name).unwrap_or_default() else { return Ok(None) };
    if cols == 0 || held > rows as u64 {
        return Ok(None);
    }
    let mut stored = Matrix::zeros(held as usize, cols as usize);
    state.part_into(name, stored.data_mut())?;
    let mut table = Matrix::zeros(0, cols as usize).grown(rows, blank);
    Ok(spread(state, named, stored.data(), table.data_mut(), rows)?.then_some(table))
}

/// As [`read_table`], signs of so many segments.
///
/// # Errors
/// `Storage`.
pub(crate) fn read_signs(
    state: &State,
    name: &str,
    named: &str,
    rows: usize,
    segments: &[Segment],
) -> Result<Option<SignMatrix>> {
    let &[held, stride] = state.shape(name).unwrap_or_default() else { return Ok(None) };
    // Nothing is made room for by what a file says of itself.
    if stride != SignMatrix::positive(0, segments).stride() as u64 || held > rows as u64 {
        return Ok(None);
    }
    let Some(stored) = state.part::<u64>(name)? else { return Ok(None) };
    let mut words = vec![0; rows * stride as usize];
    let found = spread(state, named, &stored, &mut words, rows)?;
    Ok(if found { SignMatrix::from_words(rows, segments, words) } else { None })
}

/// Puts stored rows where they belong among `rows` in all, which `all` has room for; whether they can be, which they cannot where their numbers are none of
/// such rows.
fn spread<T: Copy>(state: &State, named: &str, stored: &[T], all: &mut [T], rows: usize) -> Result<bool> {
    let width = all.len() / rows.max(1);
    let Some(numbers) = state.part::<u32>(named)? else {
        // Of who came later nothing is known.
        let known = all.get_mut(..stored.len());
        return Ok(known.map(|known| known.copy_from_slice(stored)).is_some());
    };
    let owned = slots::owned(&numbers, rows).filter(|_| numbers.len() * width == stored.len());
    for &(row, owner) in owned.iter().flatten() {
        all[owner * width..][..width].copy_from_slice(&stored[row * width..][..width]);
    }
    Ok(owned.is_some())
}
