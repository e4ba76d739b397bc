//! The tables of full precision behind layered codes.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::dense::{Isa, Matrix, multiply_by, product, sum_abs, write_signs};
use crate::train::context::Context;
use crate::train::layers::{Layers, centre_rows, row_norms};
use crate::train::rotation::rotation;

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

    /// The users' query vector of one layer at full precision, clipped to the range of the latents and scaled so that its
    /// mean magnitude is the scaler of the 1-bit code.
    pub(crate) fn query(&self, isa: Isa, user: usize, layer: usize) -> Vec<f32> {
        let mut query: Vec<f32> =
            self.users.row(user)[self.segments[layer].clone()].iter().map(|x| x.clamp(-1.0, 1.0)).collect();
        let mean = sum_abs(isa, &query) / query.len() as f32;
        let scale = self.user_scales.row(user)[layer].exp() / mean.max(f32::MIN_POSITIVE);
        multiply_by(isa, &mut query, scale);
        query
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
