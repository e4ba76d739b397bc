use std::ops::Range;

use super::CodeError;

/// The widest layer in bits: with eight planes its inner product still is an exact f32.
pub const MAX_WIDTH: u32 = 1 << 16;
/// The most layers of a code.
pub const MAX_LAYERS: usize = 32;
/// The largest scaler: products of scalers, weights and inner products stay finite below it.
pub const MAX_SCALER: f32 = 1e12;
/// The largest layer weight.
pub const MAX_WEIGHT: f32 = 256.0;

/// Bits and weight of every layer of a code.
///
/// Layer l has `d_l` bits, held in `ceil(d_l / 64)` 64-bit words, least significant bit first; bits past `d_l` are zero in every code.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeShape {
    widths: Vec<u32>,
    weights: Vec<f32>,
    /// First word of each layer, and after the last the words of a row.
    starts: Vec<usize>,
}

impl CodeShape {
    /// A shape from bits and weight `w_l` of each layer.
    ///
    /// # Errors
    /// If there are no layers or more than [`MAX_LAYERS`], a width is not in `1..=`[`MAX_WIDTH`], or a weight not in `0..=`[`MAX_WEIGHT`].
    pub fn new(widths: Vec<u32>, weights: Vec<f32>) -> Result<Self, CodeError> {
        let layers = widths.len();
        if layers == 0 || layers > MAX_LAYERS {
            return Err(CodeError::Layers { layers });
        }
        if weights.len() != layers {
            return Err(CodeError::Weights { layers, weights: weights.len() });
        }
        let mut starts = Vec::with_capacity(layers + 1);
        let mut words = 0;
        for (layer, (&width, &weight)) in widths.iter().zip(&weights).enumerate() {
            if width == 0 || width > MAX_WIDTH {
                return Err(CodeError::Width { layer, width });
            }
            if !(0.0..=MAX_WEIGHT).contains(&weight) {
                return Err(CodeError::Weight { layer, weight });
            }
            starts.push(words);
            words += (width as usize).div_ceil(64);
        }
        starts.push(words);
        Ok(Self { widths, weights, starts })
    }

    /// `hops + 1` layers of `width` bits with BiGeaR's weights `w_l = (l + 1) / (hops + 1)`.
    ///
    /// # Errors
    /// As [`CodeShape::new`].
    pub fn hops(width: u32, hops: usize) -> Result<Self, CodeError> {
        let layers = hops.saturating_add(1).min(MAX_LAYERS + 1);
        let weights = (1..=layers).map(|l| l as f32 / layers as f32).collect();
        Self::new(vec![width; layers], weights)
    }

    /// Number of layers, at least 1.
    pub fn layers(&self) -> usize {
        self.widths.len()
    }

    /// Bits of every layer.
    pub fn widths(&self) -> &[u32] {
        &self.widths
    }

    /// Weight `w_l` of every layer.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// 64-bit words of a one-bit row.
    pub fn words(&self) -> usize {
        self.starts[self.layers()]
    }

    /// Bits of a row in all.
    pub fn bits(&self) -> u64 {
        self.widths.iter().map(|&d| u64::from(d)).sum()
    }

    /// The words of a layer inside a one-bit row.
    pub fn layer_words(&self, layer: usize) -> Range<usize> {
        self.starts[layer]..self.starts[layer + 1]
    }

    /// The bits of a layer's last word that belong to the layer.
    pub(crate) fn tail_mask(&self, layer: usize) -> u64 {
        match self.widths[layer] % 64 {
            0 => u64::MAX,
            bits => (1 << bits) - 1,
        }
    }

    /// The square of the size of a code with these scalers, one a layer: `sum_l w_l^2 d_l alpha_l^2`.
    pub(crate) fn square(&self, scalers: &[f32]) -> f64 {
        let layers = self.weights.iter().zip(&self.widths).zip(scalers);
        layers
            .map(|((&weight, &width), &alpha)| f64::from(width) * (f64::from(weight) * f64::from(alpha)).powi(2))
            .sum()
    }

    /// Checks that nothing is set past the width of a layer whose words are `words` (one plane).
    pub(super) fn is_masked(&self, layer: usize, words: &[u64]) -> bool {
        words.last().is_some_and(|last| last & !self.tail_mask(layer) == 0)
    }
}

/// Whether a scaler may be stored.
pub(super) fn is_scaler(scaler: f32) -> bool {
    (0.0..=MAX_SCALER).contains(&scaler)
}
