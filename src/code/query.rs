use std::sync::Arc;

use super::quantiser::{Quantiser, check_values, mean_magnitude, write_planes};
use super::shape::is_scaler;
use super::{CodeError, CodeShape, LayeredCodes, MAX_PLANES, Row};

/// A query, ready to be scored against one-bit items: B bit planes and the factor `c_l` of every layer.
///
/// Words are `[layer][plane][ceil(d_l / 64)]`, the most significant plane (the sign) first.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryCode {
    shape: Arc<CodeShape>,
    planes: u32,
    words: Vec<u64>,
    factors: Vec<f32>,
}

impl QueryCode {
    /// Encodes one vector per layer, `layers[l]` of `d_l` values, to `planes` bit planes. O(bits).
    ///
    /// # Errors
    /// If there is not one vector of the right length per layer, a value is not finite or too large, or `planes` not in 1..=8.
    pub fn encode(shape: impl Into<Arc<CodeShape>>, layers: &[&[f32]], planes: u32) -> Result<Self, CodeError> {
        let shape = shape.into();
        check_planes(planes, MAX_PLANES)?;
        let rows = super::layered::rows_of(&shape, layers)?;
        CodeError::check_length("rows of values", 1, rows)?;
        let mut words = vec![0; shape.words() * planes as usize];
        let mut scalers = Vec::with_capacity(shape.layers());
        for (layer, values) in layers.iter().enumerate() {
            check_values(values, 0, layer)?;
            let alpha = mean_magnitude(values);
            if !is_scaler(alpha) {
                return Err(CodeError::Scaler { row: 0, layer, scaler: alpha });
            }
            scalers.push(alpha);
            let range = plane_words(&shape, layer, planes);
            write_planes(values, &Quantiser::fit(values, planes), &mut words[range]);
        }
        Ok(Self::from_planes(shape, planes, words, &scalers))
    }

    /// The one-bit query that asks for the neighbours of a stored item.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn from_item(items: &LayeredCodes, row: usize) -> Result<Self, CodeError> {
        if row >= items.len() {
            return Err(CodeError::Row { row, rows: items.len() });
        }
        let item = items.row(row);
        Ok(Self::from_planes(Arc::clone(items.shape()), 1, item.words.to_vec(), item.scalers))
    }

    /// A query from planes that are known to be valid, in the layout of [`QueryCode`].
    pub(super) fn from_planes(shape: Arc<CodeShape>, planes: u32, words: Vec<u64>, scalers: &[f32]) -> Self {
        let factors = (0..shape.layers())
            .map(|layer| {
                let width = shape.widths()[layer];
                let code = &words[plane_words(&shape, layer, planes)];
                let total = magnitude(code, planes, width, shape.tail_mask(layer));
                let weight = shape.weights()[layer];
                weight * weight * (scalers[layer] * (width as f32 / total as f32))
            })
            .collect();
        Self { shape, planes, words, factors }
    }

    /// The shape of the items it can be scored against.
    pub fn shape(&self) -> &Arc<CodeShape> {
        &self.shape
    }

    /// Bit planes, 1 to 8.
    pub fn planes(&self) -> u32 {
        self.planes
    }

    /// The planes of one layer, `[plane][ceil(d_l / 64)]`, the sign first.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn layer(&self, layer: usize) -> &[u64] {
        &self.words[plane_words(&self.shape, layer, self.planes)]
    }

    /// `sum_k |q_k|` of a layer: the inner product of the query with its own signs.
    pub(crate) fn magnitude(&self, layer: usize) -> u32 {
        magnitude(self.layer(layer), self.planes, self.shape.widths()[layer], self.shape.tail_mask(layer))
    }

    /// The size of the vector it stands for, if all dimensions of a layer had their mean magnitude: `sqrt(sum_l w_l^2 d_l m_l^2)`. What scores are divided by
    /// to be compared with those of other queries. O(planes x words).
    pub(crate) fn size(&self) -> f32 {
        let layers = self.factors.iter().zip(self.shape.weights()).zip(self.shape.widths()).enumerate();
        let squares = layers.map(|(layer, ((&factor, &weight), &width))| {
            // c_l = w_l^2 s_l, where s_l is the step between the integers: m_l is s_l times their mean magnitude.
            let mean = f64::from(factor) / f64::from(weight).max(f64::MIN_POSITIVE) * f64::from(self.magnitude(layer))
                / f64::from(width);
            f64::from(width) * mean * mean
        });
        squares.sum::<f64>().sqrt() as f32
    }

    /// What every layer adds to the score of an item, `alpha_i (c_l p_l)`, `[layers]`: summed in f32 from the last layer to the first, beginning
    /// at +0.0, they are the score bit for bit. For explanations; searches have faster ways. O(planes x words).
    ///
    /// # Panics
    /// If the item has another shape.
    pub fn contributions(&self, item: Row<'_>) -> Vec<f32> {
        let layer = |layer: usize| {
            let words = &item.words[self.shape.layer_words(layer)];
            let width = i64::from(self.shape.widths()[layer]);
            let planes = self.layer(layer).chunks_exact(words.len());
            // From the most significant plane on: what is summed so far counts twice as much as the next.
            let product = planes.fold(0, |sum: i64, plane| {
                let differing: u32 = plane.iter().zip(words).map(|(a, b)| (a ^ b).count_ones()).sum();
                2 * sum + width - 2 * i64::from(differing)
            });
            item.scalers[layer] * (self.factors[layer] * product as f32)
        };
        (0..self.shape.layers()).map(layer).collect()
    }

    /// The factor `c_l` of every layer.
    pub fn factors(&self) -> &[f32] {
        &self.factors
    }
}

/// Refuses a number of planes outside `1..=most`.
pub(super) fn check_planes(planes: u32, most: u32) -> Result<(), CodeError> {
    if planes == 0 || planes > most { Err(CodeError::Planes { planes, most }) } else { Ok(()) }
}

/// Where a layer's planes are in a row of `planes` planes.
pub(super) fn plane_words(shape: &CodeShape, layer: usize, planes: u32) -> std::ops::Range<usize> {
    let words = shape.layer_words(layer);
    words.start * planes as usize..words.end * planes as usize
}

/// `sum_k |q_k|` of one layer, at most `65,536 * 255`.
///
/// Where the sign is set, |q| = 2 m + 1 with m the remaining planes as an integer; elsewhere m is those planes' complement.
fn magnitude(code: &[u64], planes: u32, width: u32, tail: u64) -> u32 {
    let words = code.len() / planes as usize;
    let (sign, rest) = code.split_at(words);
    let mut total = width;
    for (b, plane) in rest.chunks_exact(words).enumerate() {
        let ones: u32 = plane
            .iter()
            .zip(sign)
            .enumerate()
            .map(|(j, (plane, sign))| {
                let mask = if j + 1 == words { tail } else { u64::MAX };
                (!(plane ^ sign) & mask).count_ones()
            })
            .sum();
        // Plane b of the rest has weight 2^(planes - 2 - b) in m, twice that in |q|.
        total += ones << (planes as usize - 1 - b);
    }
    total
}
