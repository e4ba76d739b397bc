//! The tables of full precision behind layered codes.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use kithdb_storage::State;
use rayon::prelude::*;

use super::rotation::rotation;
use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
use crate::error::Result;
use crate::graph::Csr;
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled, multiply_by, sum_abs, write_signs};
use crate::train::context::Context;
use crate::train::state::{ITEMS, TrainState, USERS, read_table};
use crate::train::teacher::layers::{Layers, centre_rows, row_norms};

/// Mean magnitude of a latent row at the start: how far a bit is from flipping, in units of the clipping range.
pub(crate) const START: f32 = 0.3;
/// Where magnitudes are clipped by default: the few that are larger would widen the steps of all others.
pub(crate) const CLIP: f32 = 1.0;

/// Rows rotated at once.
const BLOCK: usize = 96;

/// Columns of [`Tables::targets`].
pub(crate) const TARGETS: usize = 3;

/// One layer's columns in the tables.
pub(crate) type Segment = Range<usize>;

/// Latent vectors whose signs are the codes, and the scalers, of all layers side by side.
///
/// The logit of a pair is `sum over layers l of w_l^2 exp(user_scales[u][l] + item_scales[i][l]) / d_l * <sign(users_l[u]), sign(items_l[i])>`.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) segments: Vec<Segment>,
    /// `w_l`, a weight per layer.
    pub(crate) weights: Vec<f32>,
    /// `n_users x bits`.
    pub(crate) users: Matrix,
    /// `n_items x bits`.
    pub(crate) items: Matrix,
    /// Logarithms, `n_users x layers`; negative infinity for a vector that is zero.
    pub(crate) user_scales: Matrix,
    /// Logarithms, `n_items x layers`.
    pub(crate) item_scales: Matrix,
    /// What users' magnitudes are clipped to where queries have several planes: past it they say nothing.
    pub(crate) clip: f32,
    /// What fits a user again: see [`discrete`](super::discrete). Without columns where the student needs none.
    pub(crate) targets: Matrix,
}

impl Tables {
    /// Rotates each layer of the teacher to the width of its segment. The scalers make the logits estimates of the teacher's
    /// scores: the angle between two vectors is read off their signs (Goemans and Williamson 1995:
    /// the expected share of equal signs is `1 - angle / pi`; near a right angle the inner product of the signs is `2 / pi` of the
    /// cosine). Item vectors are centred first, which shifts all scores of a user alike and balances the bits.
    pub(crate) fn rotated(context: &Context<'_>, teacher: &Layers, widths: &[usize]) -> Tables {
        let isa = context.isa;
        let segments = segments(widths);
        let bits = widths.iter().sum();
        let mut tables = Tables {
            users: Matrix::zeros(teacher.users[0].rows(), bits),
            items: Matrix::zeros(teacher.items[0].rows(), bits),
            user_scales: Matrix::zeros(teacher.users[0].rows(), widths.len()),
            item_scales: Matrix::zeros(teacher.items[0].rows(), widths.len()),
            segments: segments.clone(),
            weights: vec![1.0; widths.len()],
            clip: CLIP,
            targets: Matrix::zeros(0, 0),
        };
        for (layer, segment) in segments.iter().enumerate() {
            let (users, mut items) = (&teacher.users[layer], teacher.items[layer].clone());
            centre_rows(isa, &mut items);
            let rotation = rotation(isa, &mut context.rng(&format!("rotation {layer}")), users.cols(), segment.len());
            let rotation = Factor::pack(isa, (&rotation).into());
            let weight = teacher.weights[layer].max(0.05) * std::f32::consts::FRAC_PI_2;
            for (from, table, scales, factor) in [
                (users, &mut tables.users, &mut tables.user_scales, weight),
                (&items, &mut tables.items, &mut tables.item_scales, 1.0),
            ] {
                let norms = row_norms(isa, from);
                let blocks = table.data_mut().par_chunks_mut((BLOCK * bits).max(1)).enumerate();
                blocks.for_each(|(block, rows)| {
                    let n = rows.len() / bits;
                    let part = &from.data()[block * BLOCK * from.cols()..][..n * from.cols()];
                    let mut rotated = vec![0.0; n * segment.len()];
                    rotation.multiply(View::new(part, n, from.cols()), &mut rotated, false);
                    for (row, rotated) in rows.chunks_exact_mut(bits).zip(rotated.chunks_exact(segment.len())) {
                        let row = &mut row[segment.clone()];
                        row.copy_from_slice(rotated);
                        Tables::spread(isa, row);
                    }
                });
                scales.par_rows_mut().zip(&norms).for_each(|(row, &norm)| row[layer] = (norm * factor).ln());
            }
        }
        tables
    }

    /// The signs of the layers as they are. The scalers are mean magnitudes (BiGeaR, KDD 2022), the weights those that give
    /// the teacher's score, `w_l^2 = weights[l]`.
    pub(crate) fn of_signs(isa: Isa, layers: &Layers) -> Tables {
        let widths: Vec<usize> = layers.users.iter().map(Matrix::cols).collect();
        let segments = segments(&widths);
        let bits = widths.iter().sum();
        let side = |from: &[Matrix], factor: fn(usize) -> f32| {
            let rows = from.first().map_or(0, Matrix::rows);
            let (mut table, mut scales) = (Matrix::zeros(rows, bits), Matrix::zeros(rows, widths.len()));
            for (layer, (segment, from)) in segments.iter().zip(from).enumerate() {
                let rows = table.par_rows_mut().zip(scales.par_rows_mut()).zip(from.par_rows());
                rows.for_each(|((row, scales), from)| {
                    let row = &mut row[segment.clone()];
                    row.copy_from_slice(from);
                    let mean = sum_abs(isa, row) / row.len() as f32;
                    Tables::spread(isa, row);
                    scales[layer] = (mean * factor(segment.len())).ln();
                });
            }
            (table, scales)
        };
        let (users, user_scales) = side(&layers.users, |_| 1.0);
        let (items, item_scales) = side(&layers.items, |width| width as f32);
        let weights = layers.weights.iter().map(|weight| weight.sqrt()).collect();
        let targets = Matrix::zeros(0, 0);
        Tables { segments, weights, users, items, user_scales, item_scales, clip: CLIP, targets }
    }

    /// Scales a row's layer to the mean magnitude every layer starts with.
    pub(crate) fn spread(isa: Isa, row: &mut [f32]) {
        let mean = sum_abs(isa, row) / row.len() as f32;
        if mean > 0.0 {
            multiply_by(isa, row, START / mean);
        }
    }

    /// The items' code vectors: signs times scalers divided by the width of the layer.
    pub(crate) fn write_item(&self, isa: Isa, item: usize, out: &mut [f32]) {
        self.write(isa, self.items.row(item), self.item_scales.row(item), out, |layer| {
            1.0 / self.segments[layer].len() as f32
        });
    }

    /// The same tables, whose latents are code vectors in place of what they were: those of users times `w_l^2`, so that inner products are logits.
    pub(crate) fn into_code_vectors(mut self, isa: Isa) -> Tables {
        let none = || Matrix::zeros(0, 0);
        let (mut users, mut items) =
            (std::mem::replace(&mut self.users, none()), std::mem::replace(&mut self.items, none()));
        let bits = users.cols();
        let square = |layer: usize| self.weights[layer] * self.weights[layer];
        let inverse = |layer: usize| 1.0 / self.segments[layer].len() as f32;
        let in_place = |side: &mut Matrix, scales: &Matrix, factor: &(dyn Fn(usize) -> f32 + Sync)| {
            side.par_rows_mut().zip(scales.par_rows()).for_each_init(
                || vec![0.0; bits],
                |latent, (row, scales)| {
                    latent.copy_from_slice(row);
                    self.write(isa, latent, scales, row, factor);
                },
            );
        };
        in_place(&mut users, &self.user_scales, &square);
        in_place(&mut items, &self.item_scales, &inverse);
        (self.users, self.items) = (users, items);
        self
    }

    /// The code vectors of users and of items, as [`Tables::into_code_vectors`] makes them, beside the latents.
    pub(crate) fn code_vectors(&self, isa: Isa) -> [Matrix; 2] {
        let of = |latents: &Matrix, scales: &Matrix, factor: &(dyn Fn(usize) -> f32 + Sync)| {
            let mut vectors = Matrix::zeros(latents.rows(), latents.cols());
            let rows = vectors.par_rows_mut().zip(latents.par_rows()).zip(scales.par_rows());
            rows.for_each(|((vector, latent), scales)| self.write(isa, latent, scales, vector, factor));
            vectors
        };
        let of_users = of(&self.users, &self.user_scales, &|layer| self.weights[layer] * self.weights[layer]);
        [of_users, of(&self.items, &self.item_scales, &|layer| 1.0 / self.segments[layer].len() as f32)]
    }

    fn write(&self, isa: Isa, latent: &[f32], scales: &[f32], out: &mut [f32], factor: impl Fn(usize) -> f32) {
        for (layer, (segment, scale)) in self.segments.iter().zip(scales).enumerate() {
            let out = &mut out[segment.clone()];
            write_signs(isa, out, &latent[segment.clone()]);
            multiply_by(isa, out, scale.exp() * factor(layer));
        }
    }

    /// Gives items that nothing was learned of the codes of somebody who came later: the signs that most of their users have, and scalers as
    /// items with few interactions have them. `users` tells who has each item, `degrees` how many of these interactions were trained on.
    /// O(placed interactions x bits + items).
    pub(crate) fn place_items(&mut self, isa: Isa, users: &Csr, degrees: &[u32]) {
        let Tables { segments, users: fixed, items, item_scales, .. } = self;
        place(isa, segments, (items, item_scales), fixed, (users, degrees));
    }

    /// Divides the scores of every item by its degree, as a share of the mean one, to the power `novelty`. Returns the items' scales as they were, which is
    /// what can be learned on from.
    pub(crate) fn favour_rare(&mut self, degrees: &[u32], novelty: f32) -> Matrix {
        let plain = self.item_scales.clone();
        let touched = degrees.iter().filter(|&&degree| degree > 0);
        let mean = touched.clone().map(|&degree| f64::from(degree)).sum::<f64>() / touched.count().max(1) as f64;
        self.item_scales.par_rows_mut().zip(degrees).filter(|(_, degree)| **degree > 0).for_each(
            |(scales, &degree)| {
                let less = novelty * (f64::from(degree) / mean).ln() as f32;
                scales.iter_mut().for_each(|scale| *scale -= less);
            },
        );
        plain
    }

    /// As [`Tables::place_items`], users of whom nothing was learned, by their `items`.
    pub(crate) fn place_users(&mut self, isa: Isa, items: &Csr, degrees: &[u32]) {
        let Tables { segments, users, items: fixed, user_scales, .. } = self;
        place(isa, segments, (users, user_scales), fixed, (items, degrees));
    }

    /// The users' codes. With several planes, those past the first say how sure a bit is.
    ///
    /// # Errors
    /// When a table is not finite, or the shape is another one.
    pub(crate) fn encode_users(&self, shape: &Arc<CodeShape>, planes: u32) -> Result<PlaneCodes> {
        let clip = if planes > 1 { self.clip } else { f32::INFINITY };
        let layers = self.layers(&self.users, clip);
        let layers: Vec<&[f32]> = layers.iter().map(|layer| &**layer).collect();
        let scalers = self.scalers(&self.user_scales, |_| 1.0);
        Ok(PlaneCodes::encode_with_scalers(shape.clone(), &layers, planes, scalers)?)
    }

    /// The items' codes.
    ///
    /// # Errors
    /// When a table is not finite, or the shape is another one.
    pub(crate) fn encode_items(&self, shape: &Arc<CodeShape>) -> Result<LayeredCodes> {
        let layers = self.layers(&self.items, f32::INFINITY);
        let layers: Vec<&[f32]> = layers.iter().map(|layer| &**layer).collect();
        let scalers = self.scalers(&self.item_scales, |width| 1.0 / width as f32);
        Ok(LayeredCodes::encode_with_scalers(shape.clone(), &layers, scalers)?)
    }

    /// The columns of every layer, clipped; borrowed where nothing changes.
    fn layers<'a>(&self, table: &'a Matrix, clip: f32) -> Vec<Cow<'a, [f32]>> {
        if self.segments.len() == 1 && clip == f32::INFINITY {
            return vec![Cow::Borrowed(table.data())];
        }
        let layer = |segment: &Segment| {
            let mut out = Matrix::zeros(table.rows(), segment.len());
            out.par_rows_mut().zip(table.par_rows()).for_each(|(out, row)| {
                out.iter_mut().zip(&row[segment.clone()]).for_each(|(out, x)| *out = x.clamp(-clip, clip));
            });
            Cow::Owned(out.into_data())
        };
        self.segments.iter().map(layer).collect()
    }

    fn scalers(&self, logarithms: &Matrix, factor: impl Fn(usize) -> f32) -> Vec<f32> {
        let scaler = |(log, segment): (&f32, &Segment)| log.exp() * factor(segment.len());
        logarithms.data().iter().zip(self.segments.iter().cycle()).map(scaler).collect()
    }

    /// The shape of the codes.
    ///
    /// # Errors
    /// When there are too many bits.
    pub(crate) fn shape(&self) -> Result<CodeShape> {
        let widths = self.segments.iter().map(|segment| segment.len() as u32).collect();
        Ok(CodeShape::new(widths, self.weights.clone())?)
    }

    /// Recall at 20 of the 1-bit codes on what is held out.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn recall(&self, context: &Context<'_>) -> Result<Option<f64>> {
        if context.validation.is_empty() {
            return Ok(None);
        }
        let shape = Arc::new(self.shape()?);
        let (users, items) = (self.encode_users(&shape, 1)?, self.encode_items(&shape)?);
        context.validation.recall_of_codes(context, 20, &users, &items)
    }

    /// Keeps all tables.
    pub(crate) fn save(self, state: &mut TrainState) {
        state.push("student.users", self.users);
        state.push("student.items", self.items);
        state.push("student.user_scales", self.user_scales);
        state.push("student.item_scales", self.item_scales);
        if self.targets.cols() > 0 {
            state.push("student.user_targets", self.targets);
        }
    }

    /// The arrays that [`Tables::save`] moves into a state, as they are.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = (&'static str, &Matrix)> {
        let targets = (self.targets.cols() > 0).then_some(("student.user_targets", &self.targets));
        let tables = [("student.users", &self.users), ("student.items", &self.items)];
        let scales = [("student.user_scales", &self.user_scales), ("student.item_scales", &self.item_scales)];
        tables.into_iter().chain(scales).chain(targets)
    }

    /// Reads them back, of codes with layers of these widths and weights; `None` where the state holds none of so many users and items.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn read(
        state: &State,
        (widths, weights): (&[u32], &[f32]),
        (n_users, n_items): (usize, usize),
    ) -> Result<Option<Tables>> {
        let widths: Vec<usize> = widths.iter().map(|&width| width as usize).collect();
        let (bits, layers) = (widths.iter().sum::<usize>(), widths.len());
        let table = |name: &str, named: &str, rows: usize, cols: usize| -> Result<Option<Matrix>> {
            Ok(read_table(state, name, named, rows)?.filter(|table| table.cols() == cols))
        };
        let users = table("student.users", USERS, n_users, bits)?;
        let items = table("student.items", ITEMS, n_items, bits)?;
        let user_scales = table("student.user_scales", USERS, n_users, layers)?;
        let item_scales = table("student.item_scales", ITEMS, n_items, layers)?;
        let targets = table("student.user_targets", USERS, n_users, TARGETS)?;
        let (Some(users), Some(items), Some(user_scales), Some(item_scales)) = (users, items, user_scales, item_scales)
        else {
            return Ok(None);
        };
        let targets = targets.unwrap_or_else(|| Matrix::zeros(0, 0));
        let (segments, weights) = (segments(&widths), weights.to_vec());
        Ok(Some(Tables { segments, weights, users, items, user_scales, item_scales, clip: CLIP, targets }))
    }

    /// With rows of nodes that have no vector after the last.
    pub(crate) fn grown(self, n_users: usize, n_items: usize) -> Tables {
        let targets = if self.targets.cols() > 0 { self.targets.grown(n_users, 0.0) } else { self.targets };
        Tables {
            users: self.users.grown(n_users, 0.0),
            items: self.items.grown(n_items, 0.0),
            user_scales: self.user_scales.grown(n_users, f32::NEG_INFINITY),
            item_scales: self.item_scales.grown(n_items, f32::NEG_INFINITY),
            targets,
            ..self
        }
    }

    /// The rows of some users and items, as tables of their own.
    pub(crate) fn gather(&self, users: &[u32], items: &[u32]) -> Tables {
        Tables {
            segments: self.segments.clone(),
            weights: self.weights.clone(),
            users: self.users.gather(users),
            items: self.items.gather(items),
            user_scales: self.user_scales.gather(users),
            item_scales: self.item_scales.gather(items),
            clip: self.clip,
            targets: Matrix::zeros(0, 0),
        }
    }
}

/// Places the rows of one side that have edges, but had none to train on, `degrees`, by the signs of the rows of `fixed` that these lead to.
fn place(
    isa: Isa,
    segments: &[Segment],
    (rows, scales): (&mut Matrix, &mut Matrix),
    fixed: &Matrix,
    (edges, degrees): (&Csr, &[u32]),
) {
    let placed = (0..edges.n_rows()).filter(|&row| degrees[row] == 0 && edges.degree(row) > 0);
    let least = degrees.iter().copied().filter(|&degree| degree > 0).min().unwrap_or(0);
    let few: Vec<usize> = (0..degrees.len()).filter(|&row| (1..=least.max(2)).contains(&degrees[row])).collect();
    let usual: Vec<f32> = (0..segments.len())
        .map(|layer| {
            let known = few.iter().map(|&row| scales.row(row)[layer]).filter(|scale| scale.is_finite());
            let known: Vec<f32> = known.collect();
            if known.is_empty() { f32::NEG_INFINITY } else { known.iter().sum::<f32>() / known.len() as f32 }
        })
        .collect();
    let mut vector = vec![0.0; rows.cols()];
    for at in placed {
        let row = rows.row_mut(at);
        row.fill(0.0);
        for &target in edges.row(at) {
            write_signs(isa, &mut vector, fixed.row(target as usize));
            add_scaled(isa, row, 1.0, &vector);
        }
        segments.iter().for_each(|segment| Tables::spread(isa, &mut row[segment.clone()]));
        scales.row_mut(at).copy_from_slice(&usual);
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
