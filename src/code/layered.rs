use std::sync::Arc;

use super::quantiser::{check_values, mean_magnitude, write_signs};
use super::shape::is_scaler;
use super::{CodeError, CodeShape};
use crate::pool;

/// Rows a parallel task takes at a time.
const CHUNK: usize = 1024;

/// One-bit codes of many nodes: what an item is stored as.
///
/// `words` is `[n x words]`, row-major, layer after layer in a row; `scalers` is `[n x layers]`. Every value of this type satisfies the
/// bounds of the [module](super): tails are zero, scalers finite and in range.
#[derive(Debug, Clone, PartialEq)]
pub struct LayeredCodes {
    shape: Arc<CodeShape>,
    rows: usize,
    words: Vec<u64>,
    scalers: Vec<f32>,
}

/// One row of [`LayeredCodes`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// The row's words, layer after layer.
    pub words: &'a [u64],
    /// The row's scalers, one per layer.
    pub scalers: &'a [f32],
}

impl LayeredCodes {
    /// Codes from stored parts: `words` `[n x words]`, `scalers` `[n x layers]`. O(n), parallel.
    ///
    /// # Errors
    /// If the parts disagree about n, a bit past a layer's width is set, or a scaler is out of range.
    pub fn from_parts(shape: impl Into<Arc<CodeShape>>, words: Vec<u64>, scalers: Vec<f32>) -> Result<Self, CodeError> {
        let shape = shape.into();
        let rows = scalers.len() / shape.layers();
        CodeError::check_length("scalers", rows * shape.layers(), scalers.len())?;
        CodeError::check_length("words", rows * shape.words(), words.len())?;
        let codes = Self { shape, rows, words, scalers };
        // The first faulty row is reported, whichever thread finds one first.
        let faults = pool::map(rows, CHUNK, |mut rows| rows.find_map(|row| codes.fault(row)));
        faults.into_iter().flatten().next().map_or(Ok(codes), Err)
    }

    /// The rows `order` names, in that order. O(rows x words), parallel: one visit a row, so that what is made of the result reads memory
    /// front to back.
    ///
    /// # Errors
    /// If `order` names a row there is not.
    pub(crate) fn reordered(&self, order: &[u32]) -> Result<Self, CodeError> {
        if let Some(&row) = order.iter().find(|&&row| row as usize >= self.rows) {
            return Err(CodeError::Row { row: row as usize, rows: self.rows });
        }
        let (width, layers) = (self.shape.words(), self.shape.layers());
        let (mut words, mut scalers) = (vec![0; order.len() * width], vec![0.0; order.len() * layers]);
        pool::rows((&mut words, width), (&mut scalers, layers), CHUNK, |at, words, scalers| {
            let row = self.row(order[at] as usize);
            words.copy_from_slice(row.words);
            scalers.copy_from_slice(row.scalers);
        });
        Ok(Self::from_valid(Arc::clone(&self.shape), words, scalers))
    }

    /// Codes from parts that are known to be valid.
    pub(crate) fn from_valid(shape: Arc<CodeShape>, words: Vec<u64>, scalers: Vec<f32>) -> Self {
        Self { rows: scalers.len() / shape.layers(), shape, words, scalers }
    }

    /// Encodes the signs of `layers[l]`, `[n x d_l]` row-major, with the scaler `alpha = mean |x|` of each row and layer. O(n d), parallel.
    ///
    /// # Errors
    /// If there is not one matrix per layer, their sizes disagree, or a value is not finite.
    pub fn encode(shape: impl Into<Arc<CodeShape>>, layers: &[&[f32]]) -> Result<Self, CodeError> {
        Self::encode_inner(shape.into(), layers, None)
    }

    /// Encodes the signs of `layers[l]`, `[n x d_l]`, beside trained scalers, `[n x layers]`. O(n d), parallel.
    ///
    /// # Errors
    /// As [`LayeredCodes::encode`], and if a scaler is out of range.
    pub fn encode_with_scalers(
        shape: impl Into<Arc<CodeShape>>,
        layers: &[&[f32]],
        scalers: Vec<f32>,
    ) -> Result<Self, CodeError> {
        Self::encode_inner(shape.into(), layers, Some(scalers))
    }

    fn encode_inner(shape: Arc<CodeShape>, layers: &[&[f32]], scalers: Option<Vec<f32>>) -> Result<Self, CodeError> {
        let (words, scalers) = encode_rows(&shape, layers, scalers, (shape.words(), 64), |layer, values, words| {
            write_signs(values, &mut words[shape.layer_words(layer)]);
        })?;
        Ok(Self::from_valid(shape, words, scalers))
    }

    fn fault(&self, row: usize) -> Option<CodeError> {
        let Row { words, scalers } = self.row(row);
        scalers.iter().enumerate().find_map(|(layer, &scaler)| {
            if !is_scaler(scaler) {
                Some(CodeError::Scaler { row, layer, scaler })
            } else if !self.shape.is_masked(layer, &words[self.shape.layer_words(layer)]) {
                Some(CodeError::Tail { row, layer })
            } else {
                None
            }
        })
    }

    /// The shape of every row.
    pub fn shape(&self) -> &Arc<CodeShape> {
        &self.shape
    }

    /// Number of rows n.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The words, `[n x words]`, for storage.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The scalers, `[n x layers]`, for storage.
    pub fn scalers(&self) -> &[f32] {
        &self.scalers
    }

    /// The words and the scalers, taken out.
    pub(crate) fn into_parts(self) -> (Vec<u64>, Vec<f32>) {
        (self.words, self.scalers)
    }

    /// One row.
    ///
    /// # Panics
    /// If `row >= len()`.
    pub fn row(&self, row: usize) -> Row<'_> {
        let (words, layers) = (self.shape.words(), self.shape.layers());
        Row { words: &self.words[row * words..][..words], scalers: &self.scalers[row * layers..][..layers] }
    }

    /// Writes the de-quantised segment `alpha sigma_k` of a row into `out`, `[d_l]`.
    ///
    /// # Panics
    /// If `row` or `layer` does not exist, or `out` is not `d_l` long.
    pub fn decode_into(&self, row: usize, layer: usize, out: &mut [f32]) {
        out.fill(0.0);
        self.add_decoded(row, layer, 1.0, out);
    }

    /// Adds `factor` times the de-quantised segment of a row to `out`, `[d_l]`: summed over the items a new user touched, it is the
    /// vector that user is answered by.
    ///
    /// # Panics
    /// As [`LayeredCodes::decode_into`].
    pub fn add_decoded(&self, row: usize, layer: usize, factor: f32, out: &mut [f32]) {
        assert_eq!(out.len(), self.shape.widths()[layer] as usize, "one value a bit of the layer");
        let Row { words, scalers } = self.row(row);
        let value = factor * scalers[layer];
        for (&word, out) in words[self.shape.layer_words(layer)].iter().zip(out.chunks_mut(64)) {
            for (k, out) in out.iter_mut().enumerate() {
                let clear = (word >> k) & 1 ^ 1;
                // A clear bit flips the sign bit.
                *out += f32::from_bits(value.to_bits() ^ ((clear as u32) << 31));
            }
        }
    }
}

/// The words, `row_words` a row, that `write` makes of each layer's values, and the scalers: those given, or `mean |x|`. A task takes
/// at least `least` rows.
pub(super) fn encode_rows(
    shape: &CodeShape,
    layers: &[&[f32]],
    scalers: Option<Vec<f32>>,
    (row_words, least): (usize, usize),
    write: impl Fn(usize, &[f32], &mut [u64]) + Sync,
) -> Result<(Vec<u64>, Vec<f32>), CodeError> {
    let rows = rows_of(shape, layers)?;
    let given = scalers.is_some();
    let mut scalers = scalers.unwrap_or_else(|| vec![0.0; rows * shape.layers()]);
    CodeError::check_length("scalers", rows * shape.layers(), scalers.len())?;
    let mut words = vec![0; rows * row_words];
    pool::try_rows((&mut words, row_words), (&mut scalers, shape.layers()), least, |row, words, scalers| {
        for (layer, values) in layers.iter().enumerate() {
            let width = shape.widths()[layer] as usize;
            let values = &values[row * width..][..width];
            check_values(values, row, layer)?;
            if !given {
                scalers[layer] = mean_magnitude(values);
            }
            if !is_scaler(scalers[layer]) {
                return Err(CodeError::Scaler { row, layer, scaler: scalers[layer] });
            }
            write(layer, values, words);
        }
        Ok(())
    })?;
    Ok((words, scalers))
}

/// The number of rows `layers[l]`, `[n x d_l]`, agree on.
pub(super) fn rows_of(shape: &CodeShape, layers: &[&[f32]]) -> Result<usize, CodeError> {
    CodeError::check_length("layers of values", shape.layers(), layers.len())?;
    let rows = layers[0].len() / shape.widths()[0] as usize;
    for (values, &width) in layers.iter().zip(shape.widths()) {
        CodeError::check_length("values of a layer", rows * width as usize, values.len())?;
    }
    Ok(rows)
}
