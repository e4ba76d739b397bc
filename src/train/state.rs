//! Full-precision state, kept so that a later training can go on from it.

use crate::kernel::dense::Matrix;

/// Named arrays of floats.
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
    pub data: Vec<f32>,
}

impl TrainState {
    pub(crate) fn push(&mut self, name: &str, matrix: Matrix) {
        let shape = [matrix.rows() as u64, matrix.cols() as u64];
        self.parts.push(StatePart { name: name.to_owned(), shape, data: matrix.into_data() });
    }
}
