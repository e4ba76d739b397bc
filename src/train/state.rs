//! Arrays of a training that outlive it beside the codes.

use crate::kernel::dense::Matrix;

/// Named arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainState {
    /// The arrays, in a fixed order.
    pub parts: Vec<StatePart>,
}

/// One array.
#[derive(Clone, Debug, PartialEq)]
pub struct StatePart {
    /// `teacher.users`, `student.items`, ...
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
}

impl TrainState {
    pub(crate) fn push(&mut self, name: &str, matrix: Matrix) {
        let shape = [matrix.rows() as u64, matrix.cols() as u64];
        self.parts.push(StatePart { name: name.to_owned(), shape, data: StateData::Floats(matrix.into_data()) });
    }

    /// An array of one row.
    pub(crate) fn push_row(&mut self, name: &str, data: StateData) {
        let length = match &data {
            StateData::Floats(values) => values.len(),
            StateData::Integers(values) => values.len(),
        };
        self.parts.push(StatePart { name: name.to_owned(), shape: [1, length as u64], data });
    }
}
