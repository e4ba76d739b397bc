//! What draws soft codes to one and minus one.

use crate::kernel::dense::{Isa, exponentials};

/// The penalties of soft codes x in (-1, 1), summed over elements: `nu E[eps^2] + beta (|x| - 1)^2`.
///
/// A bit drawn as +1 with probability `sigmoid(x / tau)` differs from x by the noise eps, of which `E[eps^2] = 1 + x^2 - 2 x tanh(x / (2 tau))` (Wang
/// et al., IJCAI 2019, equation 17, in closed form: nothing is drawn).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Penalty {
    /// `nu`; 0 leaves the noise out.
    pub(crate) noise: f32,
    /// `tau`.
    pub(crate) temperature: f32,
    /// `beta`; 0 leaves the box out.
    pub(crate) bounds: f32,
}

impl Penalty {
    /// Adds `count` times the gradient by a row of soft codes; returns as many times the penalty. O(columns).
    pub(crate) fn add(&self, isa: Isa, count: f32, row: &[f32], gradient: &mut [f32]) -> f64 {
        let mut loss = 0.0;
        if self.noise > 0.0 {
            // With e = exp(-|x| / tau), which cannot overflow, tanh(|x| / (2 tau)) = (1 - e) / (1 + e).
            let mut decayed: Vec<f32> = row.iter().map(|x| x.abs()).collect();
            exponentials(isa, &mut decayed, -1.0 / self.temperature, 0.0);
            let scale = count * self.noise;
            for ((gradient, &x), &e) in gradient.iter_mut().zip(row).zip(&decayed) {
                let mean = ((1.0 - e) / (1.0 + e)).copysign(x);
                loss += f64::from(scale * (1.0 + x * x - 2.0 * x * mean));
                *gradient += scale * (2.0 * x - 2.0 * mean - x / self.temperature * (1.0 - mean * mean));
            }
        }
        if self.bounds > 0.0 {
            let scale = count * self.bounds;
            for (gradient, &x) in gradient.iter_mut().zip(row) {
                let short = 1.0 - x.abs();
                loss += f64::from(scale * short * short);
                *gradient -= 2.0 * scale * short.copysign(x);
            }
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn penalties_equal_finite_differences(
            row in prop::collection::vec(prop_oneof![-0.999f32..-0.01, 0.01f32..0.999], 1..40), noise in 0.0f32..2.0, bounds in 0.0f32..2.0,
            temperature in 0.05f32..2.0
        ) {
            let penalty = Penalty { noise, temperature, bounds };
            let of = |x: f64| {
                let mean = (x / (2.0 * f64::from(temperature))).tanh();
                f64::from(noise) * (1.0 + x * x - 2.0 * x * mean) + f64::from(bounds) * (x.abs() - 1.0).powi(2)
            };
            for isa in Isa::available() {
                let mut gradient = vec![0.5; row.len()];
                let loss = penalty.add(isa, 3.0, &row, &mut gradient);
                let want: f64 = row.iter().map(|&x| 3.0 * of(f64::from(x))).sum();
                prop_assert!((loss - want).abs() < 1e-4 * (1.0 + want), "{loss} {want}");
                for (&x, gradient) in row.iter().zip(&gradient) {
                    let x = f64::from(x);
                    let want = 0.5 + 3.0 * (of(x + 1e-5) - of(x - 1e-5)) / 2e-5;
                    prop_assert!((f64::from(*gradient) - want).abs() < 1e-3, "{x}: {gradient} {want}");
                }
            }
        }
    }

    /// The closed form is the mean over both bits, each with its probability.
    #[test]
    fn the_noise_is_that_of_a_drawn_bit() {
        for at in -20..=20 {
            let x = f64::from(at) / 20.0;
            for temperature in [0.1f32, 0.5, 2.0] {
                let up = 1.0 / (1.0 + (-x / f64::from(temperature)).exp());
                let want = up * (1.0 - x).powi(2) + (1.0 - up) * (1.0 + x).powi(2);
                let penalty = Penalty { noise: 1.0, temperature, bounds: 0.0 };
                let found = penalty.add(Isa::BASELINE, 1.0, &[x as f32], &mut [0.0]);
                assert!((found - want).abs() < 1e-5, "{x} {temperature}: {found} {want}");
            }
        }
    }
}
