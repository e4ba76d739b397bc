//! Losses of one user's scores, with their gradients.

use crate::kernel::dense::{Isa, add_scaled, dot, exponentials, maximum, multiply_by};

/// The loss `log(1 + sum over k of exp((n_k - p) / temperature))` of a positive's score `p` against those of its negatives `n_k`: BPR
/// (Rendle et al. 2009) with one negative and temperature 1, K-pair BPR with more, InfoNCE with a temperature. On return `negatives` holds the
/// derivatives by them; their sum, negated, is the derivative by `p`. O(negatives).
pub(crate) fn pairwise(positive: f32, negatives: &mut [f32], temperature: f32) -> f32 {
    let top = negatives.iter().fold(0.0f32, |top, &n| top.max((n - positive) / temperature));
    let mut total = (-top).exp();
    for n in negatives.iter_mut() {
        *n = ((*n - positive) / temperature - top).exp();
        total += *n;
    }
    let scale = 1.0 / (total * temperature);
    negatives.iter_mut().for_each(|n| *n *= scale);
    top + total.ln()
}

/// `weight log sum over j of exp(s_j / temperature)`: what a sampled softmax over shared negatives adds to a user's loss, once for all of the
/// user's `weight` positives. On return `scores` holds the derivatives. O(scores).
pub(crate) fn log_partition(isa: Isa, scores: &mut [f32], weight: f32, temperature: f32) -> f32 {
    let top = maximum(isa, scores) / temperature;
    let total = exponentials(isa, scores, 1.0 / temperature, top);
    multiply_by(isa, scores, weight / (total * temperature));
    weight * (top + total.ln())
}

/// Scales a row to length 1 and returns the inverse of the length it had; a zero row stays zero and returns 0.
pub(crate) fn normalise(isa: Isa, row: &mut [f32]) -> f32 {
    let norm = dot(isa, row, row).sqrt();
    let inverse = if norm > f32::MIN_POSITIVE { 1.0 / norm } else { 0.0 };
    multiply_by(isa, row, inverse);
    inverse
}

/// Turns the gradient by a row that [`normalise`] made into that by the row it was made from.
pub(crate) fn normalise_back(isa: Isa, gradient: &mut [f32], row: &[f32], inverse: f32) {
    let along = dot(isa, gradient, row);
    add_scaled(isa, gradient, -along, row);
    multiply_by(isa, gradient, inverse);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn difference(of: impl Fn(f64) -> f64) -> f64 {
        (of(1e-5) - of(-1e-5)) / 2e-5
    }

    proptest! {
        #[test]
        fn pairwise_equals_finite_differences(
            positive in -4.0f32..4.0, negatives in prop::collection::vec(-4.0f32..4.0, 1..9), temperature in 0.1f32..2.0
        ) {
            let t = f64::from(temperature);
            let loss = |p: f64, n: &[f64]| (1.0 + n.iter().map(|n| ((n - p) / t).exp()).sum::<f64>()).ln();
            let wide: Vec<f64> = negatives.iter().map(|&n| f64::from(n)).collect();
            let mut gradient = negatives.clone();
            let value = pairwise(positive, &mut gradient, temperature);
            prop_assert!((f64::from(value) - loss(f64::from(positive), &wide)).abs() < 1e-4);
            for at in 0..wide.len() {
                let want = difference(|by| {
                    let mut shifted = wide.clone();
                    shifted[at] += by;
                    loss(f64::from(positive), &shifted)
                });
                prop_assert!((f64::from(gradient[at]) - want).abs() < 1e-4, "{} {want}", gradient[at]);
            }
            let want = difference(|by| loss(f64::from(positive) + by, &wide));
            prop_assert!((f64::from(-gradient.iter().sum::<f32>()) - want).abs() < 1e-4);
        }

        #[test]
        fn the_partition_equals_finite_differences(
            scores in prop::collection::vec(-3.0f32..3.0, 1..40), weight in 0.5f32..4.0, temperature in 0.1f32..2.0
        ) {
            let t = f64::from(temperature);
            let loss = |s: &[f64]| f64::from(weight) * s.iter().map(|s| (s / t).exp()).sum::<f64>().ln();
            let wide: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
            for isa in Isa::available() {
                let mut gradient = scores.clone();
                let value = log_partition(isa, &mut gradient, weight, temperature);
                prop_assert!((f64::from(value) - loss(&wide)).abs() < 1e-3);
                for at in 0..wide.len() {
                    let want = difference(|by| {
                        let mut shifted = wide.clone();
                        shifted[at] += by;
                        loss(&shifted)
                    });
                    prop_assert!((f64::from(gradient[at]) - want).abs() < 1e-3, "{} {want}", gradient[at]);
                }
            }
        }

        #[test]
        fn cosines_equal_finite_differences(row in prop::collection::vec(0.1f32..3.0, 1..40)) {
            // The function differentiated is <w, x / |x|> with w fixed.
            let w: Vec<f32> = (0..row.len()).map(|k| (k as f32 * 0.7).sin()).collect();
            let of = |x: &[f64]| {
                let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
                x.iter().zip(&w).map(|(x, w)| x * f64::from(*w)).sum::<f64>() / norm
            };
            let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            for isa in Isa::available() {
                let mut unit = row.clone();
                let inverse = normalise(isa, &mut unit);
                let mut gradient = w.clone();
                normalise_back(isa, &mut gradient, &unit, inverse);
                for at in 0..row.len() {
                    let want = difference(|by| {
                        let mut shifted = wide.clone();
                        shifted[at] += by;
                        of(&shifted)
                    });
                    prop_assert!((f64::from(gradient[at]) - want).abs() < 1e-3, "{} {want}", gradient[at]);
                }
            }
        }
    }

    #[test]
    fn a_zero_row_has_no_direction_and_no_gradient() {
        let (mut row, mut gradient) = (vec![0.0; 5], vec![1.0; 5]);
        let inverse = normalise(Isa::BASELINE, &mut row);
        normalise_back(Isa::BASELINE, &mut gradient, &row, inverse);
        assert_eq!((inverse, row, gradient), (0.0, vec![0.0; 5], vec![0.0; 5]));
    }
}
