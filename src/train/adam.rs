//! Adam on the rows of tables, of floats and of signs.

use rayon::prelude::*;

use crate::kernel::dense::{AdamStep, Isa, Matrix, adam, adam_signs, dot};
use crate::train::student::Segment;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-10;

/// Moments of a table of floats (Kingma and Ba 2015), with a step count a row as in [`Adam`].
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

/// Moments of the rows of a table of signs (Kingma and Ba 2015), updated only when a row has a gradient, with a step count a row, so that the
/// bias correction of a row fits the number of its own updates.
pub(crate) struct Adam {
    first: Matrix,
    second: Matrix,
    scale_first: Matrix,
    scale_second: Matrix,
    steps: Vec<u32>,
}

impl Adam {
    pub(crate) fn new(rows: usize, cols: usize, layers: usize) -> Adam {
        Adam {
            first: Matrix::zeros(rows, cols),
            second: Matrix::zeros(rows, cols),
            scale_first: Matrix::zeros(rows, layers),
            scale_second: Matrix::zeros(rows, layers),
            steps: vec![0; rows],
        }
    }

    /// One step on `rows` (distinct). `codes` are their vectors (signs times scalers), `gradients` the gradients of the loss
    /// with respect to those; `rates` are the learning rates of latents and scalers.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn update(
        &mut self,
        isa: Isa,
        rows: &[u32],
        segments: &[Segment],
        codes: &Matrix,
        gradients: &Matrix,
        (latents, scales): (&mut Matrix, &mut Matrix),
        rates: (f32, f32),
    ) {
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_unstable_by_key(|&at| rows[at as usize]);
        let mut jobs = Vec::with_capacity(rows.len());
        let sorted: Vec<u32> = order.iter().map(|&at| rows[at as usize]).collect();
        let mut first = RowsMut::new(&mut self.first);
        let mut second = RowsMut::new(&mut self.second);
        let mut scale_first = RowsMut::new(&mut self.scale_first);
        let mut scale_second = RowsMut::new(&mut self.scale_second);
        let mut latents = RowsMut::new(latents);
        let mut scales = RowsMut::new(scales);
        for (&row, &at) in sorted.iter().zip(&order) {
            self.steps[row as usize] += 1;
            jobs.push((
                at as usize,
                self.steps[row as usize],
                first.take(row),
                second.take(row),
                scale_first.take(row),
                scale_second.take(row),
                latents.take(row),
                scales.take(row),
            ));
        }
        jobs.into_par_iter().for_each(|(at, steps, first, second, scale_first, scale_second, latent, scale)| {
            let (code, gradient) = (codes.row(at), gradients.row(at));
            let (correct1, correct2) = corrections(steps);
            for (layer, segment) in segments.iter().enumerate() {
                let span = segment.clone();
                // The code is sign times scaler, so the sign's gradient is the code's times the scaler, and the
                // gradient of the scaler's logarithm is the inner product of code and gradient.
                let magnitude = code.get(span.start).map_or(0.0, |x| x.abs());
                let g = dot(isa, &code[span.clone()], &gradient[span.clone()]);
                if magnitude > 0.0 {
                    let m = &mut scale_first[layer];
                    *m = BETA1 * *m + (1.0 - BETA1) * g;
                    let v = &mut scale_second[layer];
                    *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                    scale[layer] -= rates.1 * (*m / correct1) / ((*v / correct2).sqrt() + EPSILON);
                }
                let step = AdamStep {
                    rate: rates.0 / correct1,
                    beta1: BETA1,
                    beta2: BETA2,
                    correct2: 1.0 / correct2,
                    epsilon: EPSILON,
                    scale: magnitude,
                };
                let gradient = &gradient[span.clone()];
                adam_signs(
                    isa,
                    &mut latent[span.clone()],
                    &mut first[span.clone()],
                    &mut second[span],
                    gradient,
                    &step,
                );
            }
        });
    }
}

/// Hands out rows of a matrix in rising order.
struct RowsMut<'a> {
    rest: &'a mut [f32],
    next: u32,
    cols: usize,
}

impl<'a> RowsMut<'a> {
    fn new(matrix: &'a mut Matrix) -> RowsMut<'a> {
        let cols = matrix.cols();
        RowsMut { rest: matrix.data_mut(), next: 0, cols }
    }

    /// Row `row`, which lies after all rows taken before.
    fn take(&mut self, row: u32) -> &'a mut [f32] {
        let skip = (row - self.next) as usize * self.cols;
        let (taken, rest) = std::mem::take(&mut self.rest)[skip..].split_at_mut(self.cols);
        self.rest = rest;
        self.next = row + 1;
        taken
    }
}
