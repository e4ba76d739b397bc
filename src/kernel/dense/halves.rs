//! A dense row-major matrix of half the bytes.

use rayon::prelude::*;

use super::isa::Isa;
use super::loops::round_to_halves;

/// `rows x cols` numbers of bfloat16: the upper halves of floats, which keep their range and eight bits of what they are. For terms of sums over many.
pub(crate) struct Halves {
    values: Vec<u16>,
    cols: usize,
}

impl Halves {
    /// Rounds rows that `write` adds to, each of zeros before; those that are not `wanted` stay zeros. Parallel, at a cost that follows those that are.
    pub(crate) fn of_rows(
        isa: Isa,
        (rows, cols): (usize, usize),
        wanted: impl Fn(usize) -> bool + Sync,
        write: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Halves {
        let mut values = vec![0; rows * cols];
        let all = values.par_chunks_exact_mut(cols.max(1)).enumerate().filter(|&(row, _)| wanted(row));
        all.for_each_init(Vec::new, |buffer, (row, out)| {
            buffer.clear();
            buffer.resize(cols, 0.0);
            write(row, buffer);
            round_to_halves(isa, out, buffer);
        });
        Halves { values, cols }
    }

    /// A row, for [`add_scaled_halves`](super::add_scaled_halves).
    pub(crate) fn row(&self, row: usize) -> &[u16] {
        &self.values[row * self.cols..][..self.cols]
    }
}
