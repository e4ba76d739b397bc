//! The tables of full precision behind layered codes.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::rotation::rotation;
use super::served::{Served, plane_words};
use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
use crate::error::Result;
use crate::graph::Csr;
use crate::kernel::dense::{Factor, Isa, Matrix, SignMatrix, SignedMatrix, View, multiply_by, sum_abs};
use crate::train::context::Context;
use crate::train::teacher::layers::{Layers, centre_rows, row_norms};

/// Mean magnitude of a latent row at the start: how far a bit is from flipping, in units of the clipping range.
pub(crate) const START: f32 = 0.3;
/// Where magnitudes are clipped by default: the few that are larger would widen the steps of all others.
pub(crate) const CLIP: f32 = 1.0;

/// Rows rotated at once.
const BLOCK: usize = 96;
/// Users encoded at once.
const ENCODED: usize = 1024;

/// Columns of [`Tables::targets`].
pub(crate) const TARGETS: usize = 3;

/// One layer's columns in the tables.
pub(crate) type Segment = Range<usize>;

/// The signs and the scalers of the codes, of all layers side by side.
///
/// The logit of a pair is `sum over layers l of w_l^2 exp(user_scales[u][l] + item_scales[i][l]) / d_l * <users_l[u], items_l[i]>`.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) segments: Vec<Segment>,
    /// `w_l`, a weight per layer.
    pub(crate) weights: Vec<f32>,
    /// `n_users x bits`.
    pub(crate) users: SignMatrix,
    /// `n_items x bits`.
    pub(crate) items: SignMatrix,
    /// Logarithms, `n_users x layers`; negative infinity for a vector that is zero.
    pub(crate) user_scales: Matrix,
    /// Logarithms, `n_items x layers`.
    pub(crate) item_scales: Matrix,
    /// Latent vectors of users, which have their signs, `n_users x bits`: what queries of several planes are made of. Without rows where nothing but
    /// the signs is known, as of all that is read from a state.
    pub(crate) magnitudes: Matrix,
    /// What was made of users' magnitudes, where they were not kept.
    pub(crate) served: Option<Served>,
    /// What users' magnitudes are clipped to where queries have several planes: past it they say nothing.
    pub(crate) clip: f32,
    /// What fits a user again: see [`discrete`](super::discrete). Without columns where the student needs none.
    pub(crate) targets: Matrix,
}

/// Some users and some items, or all.
type SomeRows<'a> = Option<(&'a [u32], &'a [u32])>;

impl Tables {
    /// Rotates each layer of the teacher to the width of its segment. The scalers make the logits estimates of the teacher's
    /// scores: the angle between two vectors is read off their signs (Goemans and Williamson 1995:
    /// the expected share of equal signs is `1 - angle / pi`; near a right angle the inner product of the signs is `2 / pi` of the
    /// cosine). Item vectors are centred first, which shifts all scores of a user alike and balances the bits.
    pub(crate) fn rotated(context: &Context<'_>, teacher: &Layers, widths: &[usize]) -> Tables {
        Tables::turned(context, teacher, widths, (None, true))
    }

    /// As [`Tables::rotated`], the rows of some users and of some items, in their order. O(rows width bits + items width).
    pub(crate) fn rotated_rows(
        context: &Context<'_>,
        teacher: &Layers,
        widths: &[usize],
        rows: (&[u32], &[u32]),
    ) -> Tables {
        Tables::turned(context, teacher, widths, (Some(rows), true))
    }

    /// As [`Tables::rotated`], without the magnitudes of users: a float a bit of theirs.
    pub(crate) fn rotated_signs(context: &Context<'_>, teacher: &Layers, widths: &[usize]) -> Tables {
        Tables::turned(context, teacher, widths, (None, false))
    }

    /// Of all rows where none are named.
    fn turned(
        context: &Context<'_>,
        teacher: &Layers,
        widths: &[usize],
        (rows, has_magnitudes): (SomeRows<'_>, bool),
    ) -> Tables {
        let isa = context.isa;
        let segments = segments(widths);
        let bits = widths.iter().sum();
        let users = teacher.users.iter().take(widths.len());
        let users: Vec<Cow<'_, Matrix>> = match rows {
            Some((rows, _)) => users.map(|users| Cow::Owned(users.gather(rows))).collect(),
            None => users.map(Cow::Borrowed).collect(),
        };
        let items: Vec<Matrix> = teacher.items.iter().take(widths.len()).cloned().collect();
        let items = items.into_iter().map(|items| {
            let centred = centred(isa, items);
            Cow::Owned(match rows {
                Some((_, rows)) => centred.gather(rows),
                None => centred,
            })
        });
        let items: Vec<Cow<'_, Matrix>> = items.collect();
        let (n_users, n_items) = (users[0].rows(), items[0].rows());
        let mut tables = Tables {
            users: SignMatrix::positive(n_users, &segments),
            items: SignMatrix::positive(n_items, &segments),
            user_scales: Matrix::zeros(n_users, widths.len()),
            item_scales: Matrix::zeros(n_items, widths.len()),
            magnitudes: Matrix::zeros(0, 0),
            served: None,
            segments,
            weights: vec![1.0; widths.len()],
            clip: CLIP,
            targets: Matrix::zeros(0, 0),
        };
        let rotation = |(layer, segment): (usize, &Segment)| {
            let mut rng = context.rng(&format!("rotation {layer}"));
            Factor::pack(isa, (&rotation(isa, &mut rng, users[layer].cols(), segment.len())).into())
        };
        let rotations: Vec<Factor> = tables.segments.iter().enumerate().map(rotation).collect();
        for (layer, (users, items)) in users.iter().zip(&items).enumerate() {
            let weight = teacher.weights[layer].max(0.05) * std::f32::consts::FRAC_PI_2;
            for (from, scales, factor) in
                [(users, &mut tables.user_scales, weight), (items, &mut tables.item_scales, 1.0)]
            {
                let norms = row_norms(isa, from);
                scales.par_rows_mut().zip(&norms).for_each(|(row, &norm)| row[layer] = (norm * factor).ln());
            }
        }
        // Rows from `first` on, all layers side by side.
        let rotate = |from: &[Cow<'_, Matrix>], first: usize, out: &mut [f32]| {
            let rows = out.len() / bits;
            for ((from, rotation), segment) in from.iter().zip(&rotations).zip(&tables.segments) {
                let part = &from.data()[first * from.cols()..][..rows * from.cols()];
                let mut rotated = vec![0.0; rows * segment.len()];
                rotation.multiply(View::new(part, rows, from.cols()), &mut rotated, false);
                for (row, rotated) in out.chunks_exact_mut(bits).zip(rotated.chunks_exact(segment.len())) {
                    let row = &mut row[segment.clone()];
                    row.copy_from_slice(rotated);
                    Tables::spread(isa, row);
                }
            }
        };
        let signs = |from: &[Cow<'_, Matrix>], rows: usize| {
            SignMatrix::of_blocks(isa, (rows, BLOCK), &tables.segments, |first, out| rotate(from, first, out))
        };
        let of_items = signs(&items, n_items);
        let (of_users, magnitudes) = match has_magnitudes {
            true => {
                let mut magnitudes = Matrix::zeros(n_users, bits);
                let blocks = magnitudes.data_mut().par_chunks_mut((BLOCK * bits).max(1)).enumerate();
                blocks.for_each(|(block, out)| rotate(&users, block * BLOCK, out));
                (SignMatrix::of(isa, &magnitudes, &tables.segments), magnitudes)
            }
            false => (signs(&users, n_users), Matrix::zeros(0, 0)),
        };
        (tables.users, tables.items, tables.magnitudes) = (of_users, of_items, magnitudes);
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
        let (magnitudes, user_scales) = side(&layers.users, |_| 1.0);
        let (items, item_scales) = side(&layers.items, |width| width as f32);
        let weights = layers.weights.iter().map(|weight| weight.sqrt()).collect();
        let [users, items] = [&magnitudes, &items].map(|side| SignMatrix::of(isa, side, &segments));
        let (served, targets) = (None, Matrix::zeros(0, 0));
        Tables { segments, weights, users, items, user_scales, item_scales, magnitudes, served, clip: CLIP, targets }
    }

    /// Scales a row's layer to the mean magnitude every layer starts with.
    pub(crate) fn spread(isa: Isa, row: &mut [f32]) {
        let mean = sum_abs(isa, row) / row.len() as f32;
        if mean > 0.0 {
            multiply_by(isa, row, START / mean);
        }
    }

    /// The code vectors of users and of items, signs times scalers: those of users times `w_l^2`, those of items divided by the width of the layer, so that
    /// inner products are logits. The signs are copied.
    pub(crate) fn code_vectors(&self) -> [SignedMatrix; 2] {
        let [users, items] = self.sizes();
        [(&self.users, users), (&self.items, items)].map(|(signs, sizes)| SignedMatrix { signs: signs.clone(), sizes })
    }

    /// As [`Tables::code_vectors`], with the signs that are here.
    pub(crate) fn into_code_vectors(self) -> [SignedMatrix; 2] {
        let [users, items] = self.sizes();
        [SignedMatrix { signs: self.users, sizes: users }, SignedMatrix { signs: self.items, sizes: items }]
    }

    /// The scalers of the code vectors.
    fn sizes(&self) -> [Matrix; 2] {
        let of = |scales: &Matrix, factor: &dyn Fn(usize) -> f32| {
            let mut sizes = Matrix::zeros(scales.rows(), scales.cols());
            let of_all = sizes.data_mut().iter_mut().zip(scales.data()).zip((0..self.segments.len()).cycle());
            of_all.for_each(|((size, scale), layer)| *size = scale.exp() * factor(layer));
            sizes
        };
        let of_users = of(&self.user_scales, &|layer| self.weights[layer] * self.weights[layer]);
        [of_users, of(&self.item_scales, &|layer| 1.0 / self.segments[layer].len() as f32)]
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
        favour_rare(&mut self.item_scales, degrees, novelty);
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
        let scalers = self.user_scalers();
        if planes == 1 {
            return Ok(PlaneCodes::from_parts(shape.clone(), 1, positive_words(&self.users, shape), scalers)?);
        }
        let mut words = Vec::with_capacity(self.users.rows() * shape.words() * planes as usize);
        let (bits, layers) = (self.users.cols(), self.segments.len());
        let mut part = vec![0.0; ENCODED.min(self.users.rows()) * bits];
        for first in (0..self.users.rows()).step_by(ENCODED) {
            let rows = first..self.users.rows().min(first + ENCODED);
            let part = &mut part[..rows.len() * bits];
            self.write_magnitudes(first, part);
            let scalers = scalers[rows.start * layers..rows.end * layers].to_vec();
            words.extend(plane_words((shape, &self.segments), (part, self.clip), planes, scalers)?);
        }
        Ok(PlaneCodes::from_parts(shape.clone(), planes, words, scalers)?)
    }

    /// The items' codes.
    ///
    /// # Errors
    /// When a table is not finite, or the shape is another one.
    pub(crate) fn encode_items(&self, shape: &Arc<CodeShape>) -> Result<LayeredCodes> {
        self.encode_items_with(shape, &self.item_scales)
    }

    /// As [`Tables::encode_items`], with other logarithms of scalers.
    pub(super) fn encode_items_with(&self, shape: &Arc<CodeShape>, scales: &Matrix) -> Result<LayeredCodes> {
        let scalers = self.scalers(scales, |width| 1.0 / width as f32);
        Ok(LayeredCodes::from_parts(shape.clone(), positive_words(&self.items, shape), scalers)?)
    }

    /// Writes the magnitudes of the users from `first` on, as many as `out` has rows; their signs, where nothing else is known. Parallel.
    pub(super) fn write_magnitudes(&self, first: usize, out: &mut [f32]) {
        let bits = self.users.cols();
        if self.magnitudes.rows() == self.users.rows() {
            return out.copy_from_slice(&self.magnitudes.data()[first * bits..][..out.len()]);
        }
        out.par_chunks_exact_mut(bits.max(1)).enumerate().for_each(|(at, row)| {
            row.fill(0.0);
            self.users.add_row(Isa::BASELINE, first + at, row);
        });
    }

    /// The scalers of users.
    pub(super) fn user_scalers(&self) -> Vec<f32> {
        self.scalers(&self.user_scales, |_| 1.0)
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

    /// With rows of nodes that have no vector after the last.
    pub(crate) fn grown(self, n_users: usize, n_items: usize) -> Tables {
        let targets = if self.targets.cols() > 0 { self.targets.grown(n_users, 0.0) } else { self.targets };
        Tables {
            users: self.users.grown(n_users),
            items: self.items.grown(n_items),
            user_scales: self.user_scales.grown(n_users, f32::NEG_INFINITY),
            item_scales: self.item_scales.grown(n_items, f32::NEG_INFINITY),
            magnitudes: if self.magnitudes.cols() > 0 { self.magnitudes.grown(n_users, 0.0) } else { self.magnitudes },
            targets,
            ..self
        }
    }

    /// The rows of some users and items, as tables of their own, where these users have these `magnitudes`.
    pub(crate) fn gather(&self, users: &[u32], items: &[u32], magnitudes: Matrix) -> Tables {
        Tables {
            segments: self.segments.clone(),
            weights: self.weights.clone(),
            users: self.users.gather(users),
            items: self.items.gather(items),
            user_scales: self.user_scales.gather(users),
            item_scales: self.item_scales.gather(items),
            magnitudes,
            served: None,
            clip: self.clip,
            targets: Matrix::zeros(0, 0),
        }
    }
}

/// Places the rows of one side that have edges, but had none to train on, `degrees`, by the signs of the rows of `fixed` that these lead to.
fn place(
    isa: Isa,
    segments: &[Segment],
    (rows, scales): (&mut SignMatrix, &mut Matrix),
    fixed: &SignMatrix,
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
    let mut sum = vec![0.0; rows.cols()];
    for at in placed {
        sum.fill(0.0);
        edges.row(at).iter().for_each(|&target| fixed.add_row(isa, target as usize, &mut sum));
        rows.set_row(isa, at, &sum);
        scales.row_mut(at).copy_from_slice(&usual);
    }
}

/// Divides the scores of items with these logarithms of scalers as [`Tables::favour_rare`] does.
pub(super) fn favour_rare(item_scales: &mut Matrix, degrees: &[u32], novelty: f32) {
    let touched = degrees.iter().filter(|&&degree| degree > 0);
    let mean = touched.clone().map(|&degree| f64::from(degree)).sum::<f64>() / touched.count().max(1) as f64;
    item_scales.par_rows_mut().zip(degrees).filter(|(_, degree)| **degree > 0).for_each(|(scales, &degree)| {
        let less = novelty * (f64::from(degree) / mean).ln() as f32;
        scales.iter_mut().for_each(|scale| *scale -= less);
    });
}

/// The matrix with the mean of its rows that are not zero taken from them.
fn centred(isa: Isa, mut matrix: Matrix) -> Matrix {
    centre_rows(isa, &mut matrix);
    matrix
}

/// The words of codes, whose bits are set where signs are positive.
fn positive_words(signs: &SignMatrix, shape: &CodeShape) -> Vec<u64> {
    let masks: Vec<u64> = (0..shape.layers())
        .flat_map(|layer| {
            let words = shape.layer_words(layer).len();
            (1..=words).map(move |at| if at == words { shape.tail_mask(layer) } else { u64::MAX })
        })
        .collect();
    signs.words().iter().zip(masks.iter().cycle()).map(|(word, mask)| !word & mask).collect()
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
