//! The encoder of float vectors made elsewhere: from a vector to its code, now and for every query to come.
//!
//! An item x is centred and turned along a tight frame F (`d x w`, orthonormal rows, `w >= d`): `z = (x - m) F`. Since `F F' = I`, inner
//! products are kept, `<q, x - m> = <q F, z>`, and random directions spread the energy evenly over the bits. Subtracting the mean m changes
//! no ranking: `<q, x> = <q, x - m> + <q, m>`, and the last term is the same for every item. Without it, a direction all items share would
//! make bits constant.
//!
//! The code of z is one layer a pass: `b_1 = sign(z)` with the scaler `a_1 = mean |z|` of least squared error, then `b_2 = sign(z - a_1 b_1)`
//! and so on, each pass encoding what those before left over. A query meets every pass with the same vector q F, so that the layers' sum is
//! its inner product with `y = a_1 b_1 + a_2 b_2 + ...`, and layers weigh 1.
//!
//! Of least squared error, y is too short, by a factor that differs from item to item. All scalers of an item are therefore multiplied by
//! `|z|^2 / <z, y>`, which makes the inner product with a random query unbiased (RaBitQ, SIGMOD 2024, arXiv 2405.12497, section 3.2).

use std::sync::Arc;

use rayon::prelude::*;

use crate::code::{CodeError, CodeShape, LayeredCodes, PlaneCodes, QueryCode, mean_magnitude, write_signs};
use crate::kernel::dense::{Factor, Isa, View};
use crate::pool;

/// What turns vectors `[inputs x dims]` into codes of `inputs x passes` layers of one width.
#[derive(Clone)]
pub(crate) struct Encoder {
    shape: Arc<CodeShape>,
    inputs: usize,
    dims: usize,
    passes: usize,
    /// Whether vectors are scaled to length 1 first.
    normalised: bool,
    /// The items' mean, `[inputs x dims]`.
    mean: Vec<f32>,
    /// `[inputs][dims x width]`.
    frames: Vec<f32>,
    factors: Vec<Factor>,
    /// The mean along the frames: `[inputs x width]`.
    turned_mean: Vec<f32>,
}

impl Encoder {
    /// An encoder from its parts: `mean`, `[inputs x dims]`, and `frames`, `[inputs][dims x width]`, where `shape` has `inputs x passes`
    /// layers of `width` bits.
    ///
    /// # Errors
    /// If the parts do not fit one another, or a value is not finite.
    pub(crate) fn new(
        shape: Arc<CodeShape>,
        passes: usize,
        normalised: bool,
        mean: Vec<f32>,
        frames: Vec<f32>,
        isa: Isa,
    ) -> Result<Self, CodeError> {
        let width = shape.widths()[0] as usize;
        let inputs = shape.layers() / passes.max(1);
        CodeError::check_length("layers of the encoder", inputs * passes, shape.layers())?;
        if inputs == 0 || shape.widths().iter().any(|&other| other as usize != width) {
            return Err(CodeError::ShapeMismatch);
        }
        let dims = mean.len() / inputs;
        CodeError::check_length("values of the encoder's mean", inputs * dims.max(1), mean.len())?;
        CodeError::check_length("values of the encoder's frames", inputs * dims * width, frames.len())?;
        for (at, values) in mean.chunks_exact(dims).chain(frames.chunks_exact(dims * width)).enumerate() {
            if !values.iter().all(|x| x.is_finite()) {
                return Err(CodeError::NotFinite { row: at, layer: at % inputs });
            }
        }
        let factors: Vec<Factor> =
            frames.chunks_exact(dims * width).map(|frame| Factor::pack(isa, View::new(frame, dims, width))).collect();
        let mut encoder =
            Self { shape, inputs, dims, passes, normalised, mean, frames, factors, turned_mean: Vec::new() };
        encoder.turned_mean = encoder.turn(&encoder.mean);
        Ok(encoder)
    }

    /// Values of a vector.
    pub(crate) fn len(&self) -> usize {
        self.inputs * self.dims
    }

    /// Layers one input takes.
    pub(crate) fn passes(&self) -> usize {
        self.passes
    }

    /// Whether vectors are scaled to length 1 first.
    pub(crate) fn is_normalised(&self) -> bool {
        self.normalised
    }

    /// The items' mean, `[inputs, dims]` of [`Encoder::extents`], for storage.
    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The frames, `[inputs, dims, width]` of [`Encoder::extents`], for storage.
    pub(crate) fn frames(&self) -> &[f32] {
        &self.frames
    }

    /// Inputs, dimensions of each, bits of a layer.
    pub(crate) fn extents(&self) -> [u64; 3] {
        [self.inputs as u64, self.dims as u64, self.width() as u64]
    }

    fn width(&self) -> usize {
        self.shape.widths()[0] as usize
    }

    /// The words and scalers of items, `[n x inputs x dims]`, unchecked: a scaler is infinite where a value is too large. O(n inputs dims
    /// width), parallel.
    pub(crate) fn items(&self, vectors: &[f32]) -> (Vec<u64>, Vec<f32>) {
        let (rows, width, words) = (vectors.len() / self.len(), self.width(), self.shape.words());
        let layer_words = words / self.shape.layers();
        let mut centred = self.prepared(vectors);
        centred.par_chunks_exact_mut(self.len()).for_each(|row| {
            row.iter_mut().zip(&self.mean).for_each(|(x, mean)| *x -= mean);
        });
        let mut turned = self.turn(&centred);
        let mut codes = vec![0; rows * words];
        let mut scalers = vec![0.0; rows * self.shape.layers()];
        let layers =
            codes.par_chunks_exact_mut(self.passes * layer_words).zip(scalers.par_chunks_exact_mut(self.passes));
        layers.zip(turned.par_chunks_exact_mut(width)).with_min_len(64).for_each(|((words, scalers), rest)| {
            let whole = rest.to_vec();
            for (words, scaler) in words.chunks_exact_mut(layer_words).zip(scalers.iter_mut()) {
                *scaler = mean_magnitude(rest);
                write_signs(rest, words);
                rest.iter_mut().for_each(|x| *x -= if *x >= 0.0 { *scaler } else { -*scaler });
            }
            let dot = |b: &[f32]| whole.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            let (square, missed) = (dot(&whole), dot(rest));
            // The code leaves over less than the whole, so the denominator is above half the code's own square.
            if square > 0.0 {
                let factor = square / (square - missed);
                scalers.iter_mut().for_each(|scaler| *scaler = (f64::from(*scaler) * factor) as f32);
            }
        });
        // An item at the very mean is as near to everybody as the mean: it has a code, of next to no length.
        for scalers in scalers.chunks_exact_mut(self.shape.layers()) {
            if scalers.iter().all(|&scaler| scaler == 0.0) {
                scalers[0] = f32::MIN_POSITIVE;
            }
        }
        (codes, scalers)
    }

    /// The codes of those who ask, `[n x inputs x dims]`, with `planes` bits per dimension. O(n inputs dims width), parallel.
    ///
    /// # Errors
    /// For values too large to be encoded, and planes out of range.
    pub(crate) fn users(&self, vectors: &[f32], planes: u32) -> Result<PlaneCodes, CodeError> {
        let turned = self.turn(&self.prepared(vectors));
        let inputs = self.by_input(&turned);
        PlaneCodes::encode(Arc::clone(&self.shape), &self.repeated(&inputs), planes)
    }

    /// The query of one vector, `[inputs x dims]`: the same as of a user with that vector.
    ///
    /// # Errors
    /// As [`Encoder::users`].
    pub(crate) fn query(&self, vector: &[f32], planes: u32) -> Result<QueryCode, CodeError> {
        let turned = self.turn(&self.prepared(vector));
        let inputs = self.by_input(&turned);
        QueryCode::encode(Arc::clone(&self.shape), &self.repeated(&inputs), planes)
    }

    /// The query of an item by its own code: its passes are summed up to the vector they stand for, and the mean is added again.
    ///
    /// # Errors
    /// If there is no such row.
    pub(crate) fn query_of_item(&self, items: &LayeredCodes, row: usize, planes: u32) -> Result<QueryCode, CodeError> {
        if row >= items.len() {
            return Err(CodeError::Row { row, rows: items.len() });
        }
        let mut vector = self.turned_mean.clone();
        for (input, segment) in vector.chunks_exact_mut(self.width()).enumerate() {
            (0..self.passes).for_each(|pass| items.add_decoded(row, input * self.passes + pass, 1.0, segment));
        }
        let inputs: Vec<&[f32]> = vector.chunks_exact(self.width()).collect();
        QueryCode::encode(Arc::clone(&self.shape), &self.repeated(&inputs), planes)
    }

    /// The vectors, scaled to length 1 if they have to be. Zeros stay zero.
    fn prepared(&self, vectors: &[f32]) -> Vec<f32> {
        let mut prepared = vectors.to_vec();
        if self.normalised {
            normalise(&mut prepared, self.len());
        }
        prepared
    }

    /// Each input times its frame: `[n x inputs x dims]` to `[n x inputs x width]`. The result of a row does not depend on the others.
    fn turn(&self, vectors: &[f32]) -> Vec<f32> {
        let (rows, width) = (vectors.len() / self.len(), self.width());
        let mut turned = vec![0.0; rows * self.inputs * width];
        let turn_row = |out: &mut [f32], row: &[f32]| {
            let inputs = out.chunks_exact_mut(width).zip(row.chunks_exact(self.dims));
            for ((out, input), factor) in inputs.zip(&self.factors) {
                factor.multiply(View::new(input, 1, self.dims), out, false);
            }
        };
        match self.factors.as_slice() {
            // A query turns its vector on its own thread.
            _ if rows == 1 => turn_row(&mut turned, vectors),
            [factor] => factor.par_multiply(View::new(vectors, rows, self.dims), &mut turned, false),
            _ => {
                let rows = turned.par_chunks_exact_mut(self.inputs * width).zip(vectors.par_chunks_exact(self.len()));
                rows.with_min_len(64).for_each(|(out, row)| turn_row(out, row));
            }
        }
        turned
    }

    /// `[n x inputs x width]` as a matrix an input.
    fn by_input(&self, turned: &[f32]) -> Vec<Vec<f32>> {
        let width = self.width();
        let input = |input| turned.chunks_exact(width).skip(input).step_by(self.inputs).flatten().copied().collect();
        (0..self.inputs).map(input).collect()
    }

    /// A matrix a layer from one an input.
    fn repeated<'a>(&self, inputs: &'a [impl AsRef<[f32]>]) -> Vec<&'a [f32]> {
        inputs.iter().flat_map(|input| std::iter::repeat_n(input.as_ref(), self.passes)).collect()
    }
}

/// Scales each row of `width` values to length 1; a row of zeros stays.
pub(crate) fn normalise(rows: &mut [f32], width: usize) {
    let width = width.max(1);
    pool::each(rows.chunks_mut(256 * width).collect(), |rows: &mut [f32]| {
        for row in rows.chunks_exact_mut(width) {
            let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
    });
}
