use std::path::Path;
use std::sync::Arc;

use super::layered::encode_rows;
use super::quantiser::{Quantiser, write_planes};
use super::query::{check_planes, plane_words};
use super::shape::is_scaler;
use super::{CodeError, CodeShape, LayeredCodes, MAX_PLANES, QueryCode};
use crate::kernel::shared::Shared;
use crate::pool;

/// Codes of B bit planes per dimension: what a user is stored as.
///
/// `words` is `[n][layer][plane][ceil(d_l / 64)]`, the most significant plane first; that plane is the sign, with `sign(0)` = 1, so the
/// first plane of a layer is its one-bit code and the first B' planes its B'-plane code. `scalers`, `[n x layers]`, are the same `alpha`
/// as of a one-bit code.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneCodes {
    shape: Arc<CodeShape>,
    planes: u32,
    rows: usize,
    words: Shared<u64>,
    scalers: Vec<f32>,
}

impl PlaneCodes {
    /// Codes from stored parts: `words` `[n][layer][plane][ceil(d_l / 64)]`, `scalers` `[n x layers]`. O(n), parallel.
    ///
    /// # Errors
    /// If `planes` is not in 1..=8, the parts disagree about n, a bit past a layer's width is set, or a scaler is out of range.
    pub fn from_parts(
        shape: impl Into<Arc<CodeShape>>,
        planes: u32,
        words: Vec<u64>,
        scalers: Vec<f32>,
    ) -> Result<Self, CodeError> {
        let shape = shape.into();
        check_planes(planes, MAX_PLANES)?;
        let rows = scalers.len() / shape.layers();
        CodeError::check_length("scalers", rows * shape.layers(), scalers.len())?;
        CodeError::check_length("words", rows * shape.words() * planes as usize, words.len())?;
        let codes = Self { shape, planes, rows, words: words.into(), scalers };
        let faults = pool::map(rows, 256, |mut rows| rows.find_map(|row| codes.fault(row)));
        faults.into_iter().flatten().next().map_or(Ok(codes), Err)
    }

    /// Encodes `layers[l]`, `[n x d_l]` row-major, with the scaler `alpha = mean |x|` of each row and layer. O(n d), parallel.
    ///
    /// # Errors
    /// If `planes` is not in 1..=8, the matrices disagree, or a value is not finite.
    pub fn encode(shape: impl Into<Arc<CodeShape>>, layers: &[&[f32]], planes: u32) -> Result<Self, CodeError> {
        Self::encode_inner(shape.into(), layers, planes, None)
    }

    /// Encodes `layers[l]`, `[n x d_l]`, beside trained scalers, `[n x layers]`. O(n d), parallel.
    ///
    /// # Errors
    /// As [`PlaneCodes::encode`], and if a scaler is out of range.
    pub fn encode_with_scalers(
        shape: impl Into<Arc<CodeShape>>,
        layers: &[&[f32]],
        planes: u32,
        scalers: Vec<f32>,
    ) -> Result<Self, CodeError> {
        Self::encode_inner(shape.into(), layers, planes, Some(scalers))
    }

    fn encode_inner(
        shape: Arc<CodeShape>,
        layers: &[&[f32]],
        planes: u32,
        scalers: Option<Vec<f32>>,
    ) -> Result<Self, CodeError> {
        check_planes(planes, MAX_PLANES)?;
        let row_words = shape.words() * planes as usize;
        let (words, scalers) = encode_rows(&shape, layers, scalers, (row_words, 16), |layer, values, words| {
            let quantiser = Quantiser::fit(values, planes);
            write_planes(values, &quantiser, &mut words[plane_words(&shape, layer, planes)]);
        })?;
        Ok(Self { rows: scalers.len() / shape.layers(), shape, planes, words: words.into(), scalers })
    }

    fn fault(&self, row: usize) -> Option<CodeError> {
        let words = self.row_words(row);
        (0..self.shape.layers()).find_map(|layer| {
            let scaler = self.scalers[row * self.shape.layers() + layer];
            let code = &words[plane_words(&self.shape, layer, self.planes)];
            let mut planes = code.chunks_exact(code.len() / self.planes as usize);
            if !is_scaler(scaler) {
                Some(CodeError::Scaler { row, layer, scaler })
            } else if planes.any(|plane| !self.shape.is_masked(layer, plane)) {
                Some(CodeError::Tail { row, layer })
            } else {
                None
            }
        })
    }

    fn row_words(&self, row: usize) -> &[u64] {
        let words = self.shape.words() * self.planes as usize;
        &self.words[row * words..][..words]
    }

    /// The shape of every row.
    pub fn shape(&self) -> &Arc<CodeShape> {
        &self.shape
    }

    /// Bit planes B of every row, 1 to 8.
    pub fn planes(&self) -> u32 {
        self.planes
    }

    /// Number of rows n.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The words, `[n][layer][plane][ceil(d_l / 64)]`, for storage.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The scalers, `[n x layers]`, for storage.
    pub fn scalers(&self) -> &[f32] {
        &self.scalers
    }

    /// Has the words in memory that other processes have too, where this file holds the same; whether it does. O(words).
    pub(crate) fn share_words(&mut self, file: &Path) -> std::io::Result<bool> {
        let shared = Shared::map(file)?;
        let is_same = shared == self.words;
        if is_same {
            self.words = shared;
        }
        Ok(is_same)
    }

    /// The words and the scalers, taken out.
    pub(crate) fn into_parts(self) -> (Vec<u64>, Vec<f32>) {
        (self.words.into_vec(), self.scalers)
    }

    /// The sign planes alone, beside the same scalers: each row as a one-bit code that queries can be scored against. O(n words).
    pub fn signs(&self) -> LayeredCodes {
        let sign = |row: usize, layer: usize| {
            let stored = plane_words(&self.shape, layer, self.planes);
            &self.row_words(row)[stored][..self.shape.layer_words(layer).len()]
        };
        let mut words = Vec::with_capacity(self.rows * self.shape.words());
        for row in 0..self.rows {
            (0..self.shape.layers()).for_each(|layer| words.extend_from_slice(sign(row, layer)));
        }
        LayeredCodes::from_valid(Arc::clone(&self.shape), words, self.scalers.clone())
    }

    /// The query of a row with its `planes` most significant planes. O(bits).
    ///
    /// # Errors
    /// If there is no such row, or `planes` is not in `1..=self.planes()`.
    pub fn query(&self, row: usize, planes: u32) -> Result<QueryCode, CodeError> {
        if row >= self.rows {
            return Err(CodeError::Row { row, rows: self.rows });
        }
        check_planes(planes, self.planes)?;
        let all = self.row_words(row);
        let mut words = Vec::with_capacity(self.shape.words() * planes as usize);
        for layer in 0..self.shape.layers() {
            let stored = plane_words(&self.shape, layer, self.planes);
            let wanted = self.shape.layer_words(layer).len() * planes as usize;
            words.extend_from_slice(&all[stored][..wanted]);
        }
        let layers = self.shape.layers();
        let scalers = &self.scalers[row * layers..][..layers];
        Ok(QueryCode::from_planes(Arc::clone(&self.shape), planes, words, scalers))
    }

    /// Writes the de-quantised segment `alpha (d / sum |q|) q_k` of a row into `out`, `[d_l]`.
    ///
    /// # Errors
    /// If there is no such row.
    ///
    /// # Panics
    /// If `layer` does not exist or `out` is not `d_l` long.
    pub fn decode_into(&self, row: usize, layer: usize, out: &mut [f32]) -> Result<(), CodeError> {
        let width = self.shape.widths()[layer] as usize;
        assert_eq!(out.len(), width, "one value a bit of the layer");
        let query = self.query(row, self.planes)?;
        let code = query.layer(layer);
        let words = code.len() / self.planes as usize;
        let odd = |k: usize| {
            let t = code.chunks_exact(words).fold(0, |t, plane| t << 1 | (plane[k / 64] >> (k % 64) & 1) as i32);
            2 * t - ((1 << self.planes) - 1)
        };
        let total: i32 = (0..width).map(|k| odd(k).abs()).sum();
        let alpha = self.scalers[row * self.shape.layers() + layer];
        let step = alpha * (width as f32 / total as f32);
        for (k, out) in out.iter_mut().enumerate() {
            *out = step * odd(k) as f32;
        }
        Ok(())
    }
}
