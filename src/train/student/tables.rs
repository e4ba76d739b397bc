//! The tables of full precision behind layered codes.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Result;
use crate::code::{LayeredCodes, PlaneCodes};
use crate::kernel::dense::{Isa, Matrix, multiply_by, product, sum_abs, write_signs};
use crate::train::context::Context;
use crate::train::layers::{Layers, centre_rows, row_norms};
use crate::train::options::TrainOptions;
use crate::train::rotation::rotation;
use crate::train::state::TrainState;
use crate::train::validation::Validation;

/// Mean magnitude of a latent row at the start: how far a bit is from flipping, in units of the clipping range.
const START: f32 = 0.3;

/// One layer's columns in the tables.
pub(crate) type Segment = Range<usize>;

/// Latent vectors whose signs are the codes, and the scalers, of all layers side by side.
///
/// The logit of a pair is `sum over layers l of exp(user_scales[u][l] + item_scales[i][l]) / d_l * <sign(users_l[u]), sign(items_l[i])>`.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) segments: Vec<Segment>,
    /// `n_users x bits`.
    pub(crate) users: Matrix,
    /// `n_items x bits`.
    pub(crate) items: Matrix,
    /// Logarithms, `n_users x layers`; negative infinity for a vector that is zero.
    pub(crate) user_scales: Matrix,
    /// Logarithms, `n_items x layers`.
    pub(crate) item_scales: Matrix,
}

impl Tables {
    /// Rotates each layer of the teacher to the width of its segment. The scalers make the logits estimates of the teacher's
    /// scores divided by `temperature`: the angle between two vectors is read off their signs (Goemans and Williamson 1995:
    /// the expected share of equal signs is `1 - angle / pi`; near a right angle the inner product of the signs is `2 / pi` of the
    /// cosine). Item vectors are centred first, which shifts all scores of a user alike and balances the bits.
    pub(crate) fn rotated(context: &Context<'_>, teacher: &Layers, widths: &[usize], temperature: f32) -> Tables {
        let isa = context.isa;
        let segments = segments(widths);
        let bits = widths.iter().sum();
        let mut tables = Tables {
            users: Matrix::zeros(teacher.users[0].rows(), bits),
            items: Matrix::zeros(teacher.items[0].rows(), bits),
            user_scales: Matrix::zeros(teacher.users[0].rows(), widths.len()),
            item_scales: Matrix::zeros(teacher.items[0].rows(), widths.len()),
            segments: segments.clone(),
        };
        for (layer, segment) in segments.iter().enumerate() {
            let (users, mut items) = (&teacher.users[layer], teacher.items[layer].clone());
            centre_rows(isa, &mut items);
            let rotation = rotation(isa, &mut context.rng(&format!("rotation {layer}")), users.cols(), segment.len());
            let weight = teacher.weights[layer].max(0.05) * std::f32::consts::FRAC_PI_2 / temperature;
            for (from, table, scales, factor) in [
                (users, &mut tables.users, &mut tables.user_scales, weight),
                (&items, &mut tables.items, &mut tables.item_scales, 1.0),
            ] {
                let rotated = product(isa, from.into(), (&rotation).into());
                let norms = row_norms(isa, from);
                table.par_rows_mut().zip(rotated.par_rows()).for_each(|(row, rotated)| {
                    let row = &mut row[segment.clone()];
                    row.copy_from_slice(rotated);
                    let mean = sum_abs(isa, row) / row.len() as f32;
                    if mean > 0.0 {
                        multiply_by(isa, row, START / mean);
                    }
                });
                scales.par_rows_mut().zip(&norms).for_each(|(row, &norm)| row[layer] = (norm * factor).ln());
            }
        }
        tables
    }

    /// The users' code vectors: signs times scalers, over the width of the layer.
    pub(crate) fn write_user(&self, isa: Isa, user: usize, out: &mut [f32]) {
        self.write(isa, self.users.row(user), self.user_scales.row(user), out, |_| 1.0);
    }

    /// The items' code vectors: signs times scalers divided by the width of the layer.
    pub(crate) fn write_item(&self, isa: Isa, item: usize, out: &mut [f32]) {
        self.write(isa, self.items.row(item), self.item_scales.row(item), out, |width| 1.0 / width as f32);
    }

    fn write(&self, isa: Isa, latent: &[f32], scales: &[f32], out: &mut [f32], factor: impl Fn(usize) -> f32) {
        for (segment, scale) in self.segments.iter().zip(scales) {
            let out = &mut out[segment.clone()];
            write_signs(isa, out, &latent[segment.clone()]);
            multiply_by(isa, out, scale.exp() * factor(segment.len()));
        }
    }

    /// Users and items as dense vectors whose inner products are the scores of the codes, with 1-bit queries.
    pub(crate) fn decoded(&self, isa: Isa) -> (Matrix, Matrix) {
        let mut users = Matrix::zeros(self.users.rows(), self.users.cols());
        let mut items = Matrix::zeros(self.items.rows(), self.items.cols());
        users.par_rows_mut().enumerate().for_each(|(user, out)| self.write_user(isa, user, out));
        items.par_rows_mut().enumerate().for_each(|(item, out)| self.write_item(isa, item, out));
        (users, items)
    }

    /// The codes: users at the query planes asked for, items at one bit.
    ///
    /// # Errors
    /// None, as long as the tables are finite.
    pub(crate) fn encode(&self, options: &TrainOptions) -> Result<(PlaneCodes, LayeredCodes)> {
        let shape = Arc::new(options.shape()?);
        let split = |table: &Matrix, clip: f32| -> Vec<Vec<f32>> {
            let layer = |segment: &Segment| -> Vec<f32> {
                let row = |row: &[f32]| row[segment.clone()].iter().map(|x| x.clamp(-clip, clip)).collect::<Vec<_>>();
                table.par_rows().flat_map_iter(row).collect()
            };
            self.segments.iter().map(layer).collect()
        };
        let scalers = |scales: &Matrix, per_bit: bool| -> Vec<f32> {
            let layers = self.segments.iter().cycle();
            let scaler =
                |(scale, segment): (&f32, &Segment)| scale.exp() / if per_bit { segment.len() as f32 } else { 1.0 };
            scales.data().iter().zip(layers).map(scaler).collect()
        };
        // Past the clipping range a latent's magnitude says nothing: its gradient was zero there.
        let (users, items) = (split(&self.users, 1.0), split(&self.items, 1.0));
        let (users, items): (Vec<&[f32]>, Vec<&[f32]>) =
            (users.iter().map(Vec::as_slice).collect(), items.iter().map(Vec::as_slice).collect());
        let planes = options.query_planes;
        let users = PlaneCodes::encode_with_scalers(shape.clone(), &users, planes, scalers(&self.user_scales, false))?;
        let items = LayeredCodes::encode_with_scalers(shape, &items, scalers(&self.item_scales, true))?;
        Ok((users, items))
    }

    /// Recall at 20 of the 1-bit codes.
    pub(crate) fn recall(&self, isa: Isa, validation: &Validation) -> Option<f64> {
        if validation.is_empty() {
            return None;
        }
        let (users, items) = self.decoded(isa);
        validation.recall(isa, 20, &users, &items)
    }

    /// Keeps all tables.
    pub(crate) fn save(self, state: &mut TrainState) {
        state.push("student.users", self.users);
        state.push("student.items", self.items);
        state.push("student.user_scales", self.user_scales);
        state.push("student.item_scales", self.item_scales);
    }

    /// Whether every number is usable: latents finite, scalers neither infinite nor undefined.
    pub(crate) fn is_finite(&self) -> bool {
        let scales = |scales: &Matrix| scales.data().iter().all(|&x| x < 80.0);
        self.users.is_finite() && self.items.is_finite() && scales(&self.user_scales) && scales(&self.item_scales)
    }
}

/// Consecutive columns of the given widths.
pub(crate) fn segments(widths: &[usize]) -> Vec<Segment> {
    let mut end = 0;
    widths
        .iter()
        .map(|width| {
            end += width;
            end - width..end
        })
        .collect()
}
