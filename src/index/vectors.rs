//! Codes as the vectors they stand for: `alpha sigma` of every layer, one after another, each padded with zeros to whole words.

use std::ops::Range;

use crate::code::{CodeShape, LayeredCodes};

/// The eight signs of a byte.
const SIGNS: [[f32; 8]; 256] = {
    let mut signs = [[-1.0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                signs[byte][bit] = 1.0;
            }
            bit += 1;
        }
        byte += 1;
    }
    signs
};

/// The components of a layer in a vector, without the padding.
pub(super) fn components(shape: &CodeShape, layer: usize) -> Range<usize> {
    let first = 64 * shape.layer_words(layer).start;
    first..first + shape.widths()[layer] as usize
}

/// The mean of some rows, added up in their order; zeros for none. O(rows x bits).
pub(super) fn mean(items: &LayeredCodes, rows: impl ExactSizeIterator<Item = usize>) -> Vec<f32> {
    let share = 1.0 / rows.len().max(1) as f32;
    let mut sum = vec![0.0f32; 64 * items.shape().words()];
    rows.for_each(|row| add(items, row, 1.0, &mut sum));
    sum.iter_mut().for_each(|sum| *sum *= share);
    sum
}

/// Adds `times` a row to a vector. O(bits).
pub(super) fn add(items: &LayeredCodes, row: usize, times: f32, sum: &mut [f32]) {
    let (shape, row) = (items.shape(), items.row(row));
    for (layer, &scaler) in row.scalers.iter().enumerate() {
        let (words, scaler) = (shape.layer_words(layer), times * scaler);
        for (sum, word) in sum[64 * words.start..64 * words.end].chunks_exact_mut(64).zip(&row.words[words.clone()]) {
            for (sum, byte) in sum.chunks_exact_mut(8).zip(word.to_le_bytes()) {
                sum.iter_mut().zip(&SIGNS[byte as usize]).for_each(|(sum, sign)| *sum += scaler * sign);
            }
        }
        sum[components(shape, layer).end..64 * words.end].fill(0.0);
    }
}

/// The product of a row with a vector, layer by layer as scores weigh them, by the squares of their weights. O(bits).
pub(super) fn product(items: &LayeredCodes, row: usize, vector: &[f32]) -> f32 {
    let layers = items.shape().weights().iter().enumerate();
    layers.fold(0.0, |sum, (layer, weight)| sum + weight * weight * layer_product(items, row, layer, vector))
}

/// What a layer adds to the product of a row with a vector. O(bits).
pub(super) fn layer_product(items: &LayeredCodes, row: usize, layer: usize, vector: &[f32]) -> f32 {
    let (words, mut lanes, row) = (items.shape().layer_words(layer), [0.0f32; 8], items.row(row));
    for (vector, word) in vector[64 * words.start..64 * words.end].chunks_exact(64).zip(&row.words[words]) {
        for (vector, byte) in vector.chunks_exact(8).zip(word.to_le_bytes()) {
            let products = vector.iter().zip(&SIGNS[byte as usize]);
            lanes.iter_mut().zip(products).for_each(|(lane, (value, sign))| *lane += value * sign);
        }
    }
    row.scalers[layer] * lanes.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::code::tests::flipped_items;

    proptest! {
        #[test]
        fn means_and_products_are_taken_bit_by_bit(width in 1..200u32, more in 0..2usize, rows in 0..40usize, seed: u64) {
            let shape = Arc::new(CodeShape::hops(width, more).unwrap());
            let items = flipped_items(&shape, rows, 3, 20, seed);
            let vector = |row: usize| {
                let mut vector = vec![0.0f64; 64 * shape.words()];
                let row = items.row(row);
                for (layer, &scaler) in row.scalers.iter().enumerate() {
                    for k in components(&shape, layer) {
                        vector[k] = f64::from(scaler) * if row.words[k / 64] >> (k % 64) & 1 == 1 { 1.0 } else { -1.0 };
                    }
                }
                vector
            };
            let size: f64 = items.scalers().iter().map(|&scaler| f64::from(scaler)).sum();
            let found = mean(&items, 0..rows);
            for (k, found) in found.iter().enumerate() {
                let expected = (0..rows).map(|row| vector(row)[k]).sum::<f64>() / rows.max(1) as f64;
                prop_assert!((f64::from(*found) - expected).abs() <= 1e-5 * size, "{k}: {found}, {expected}");
            }
            let most = found.iter().fold(0.0, |most: f64, &x| most.max(f64::from(x).abs()));
            let mut weights = vec![0.0f64; 64 * shape.words()];
            for (layer, &weight) in shape.weights().iter().enumerate() {
                weights[components(&shape, layer)].fill(f64::from(weight).powi(2));
            }
            for row in 0..rows {
                let of_one = vector(row);
                let expected: f64 = (0..found.len()).map(|k| weights[k] * of_one[k] * f64::from(found[k])).sum();
                let got = f64::from(product(&items, row, &found));
                prop_assert!((got - expected).abs() <= 1e-3 * size * most, "{row}: {got}, {expected}");
            }
        }
    }
}
