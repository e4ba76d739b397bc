//! Adam on the rows of tables.

use rayon::prelude::*;

use crate::kernel::dense::{AdamStep, Isa, Matrix, adam};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-10;

/// Moments of a table of floats (Kingma and Ba 2015), with a step count a row, so that the
/// bias correction of a row fits the number of its own updates.
pub(crate) struct DenseAdam {
    first: Matrix,
    second: Matrix,
    steps: Vec<u32>,
}

impl DenseAdam {
    pub(crate) fn new(rows: usize, cols: usize) -> DenseAdam {
        DenseAdam { first: Matrix::zeros(rows, cols), second: Matrix::zeros(rows, cols), steps: vec![0; rows] }
    }

    /// One step on the rows for which `touched` holds, with `scale` times the gradient. O(rows + touched rows x columns), parallel.
    pub(crate) fn update(
        &mut self,
        isa: Isa,
        table: &mut Matrix,
        gradient: &Matrix,
        scale: f32,
        rate: f32,
        touched: impl Fn(usize) -> bool + Sync,
    ) {
        let rows = table.par_rows_mut().zip(gradient.par_rows()).zip(&mut self.steps);
        let moments = self.first.par_rows_mut().zip(self.second.par_rows_mut());
        rows.zip(moments).enumerate().filter(|(row, _)| touched(*row)).for_each(
            |(_, (((values, gradient), steps), (first, second)))| {
                *steps += 1;
                let (correct1, correct2) = corrections(*steps);
                let step = AdamStep {
                    rate: rate / correct1,
                    beta1: BETA1,
                    beta2: BETA2,
                    correct2: 1.0 / correct2,
                    epsilon: EPSILON,
                    scale,
                };
                adam(isa, values, first, second, gradient, &step);
            },
        );
    }
}

/// The bias corrections of both moments after a number of steps.
fn corrections(steps: u32) -> (f32, f32) {
    (1.0 - BETA1.powi(steps.min(10_000) as i32), 1.0 - BETA2.powi(steps.min(100_000) as i32))
}
