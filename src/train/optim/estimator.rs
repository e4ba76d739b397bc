//! Stand-ins for the derivative of sign, which is zero almost everywhere.

use crate::kernel::dense::{Isa, exponentials};

/// What a gradient is multiplied with on its way through a sign, as a function of the value x before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Estimator {
    /// `clamp((g / sqrt(pi)) exp(-(g x)^2), 1e-8, 1)`: the Dirac delta as a narrow bell (BiGeaR, KDD 2022).
    Dirac {
        /// `g`: one over the width of the bell.
        sharpness: f32,
    },
    /// `1[|x| <= range]`: clipped straight-through (Hubara et al. 2016).
    Clipped {
        /// The largest magnitude with a gradient.
        range: f32,
    },
    /// `b (1 - tanh^2(b x))`.
    Tanh {
        /// `b`.
        sharpness: f32,
    },
    /// `4 b s(b x) (1 - s(b x))` with the logistic function s.
    Sigmoid {
        /// `b`.
        sharpness: f32,
    },
}

/// Elements handled at once: they stay in the first-level cache between the passes.
const BLOCK: usize = 256;

impl Estimator {
    /// Multiplies each element of `gradient` with the estimate at the element of `values` in the same place.
    pub(crate) fn scale(self, isa: Isa, values: &[f32], gradient: &mut [f32]) {
        let mut buffer = [0.0f32; BLOCK];
        for (values, gradient) in values.chunks(BLOCK).zip(gradient.chunks_mut(BLOCK)) {
            let factors = &mut buffer[..values.len()];
            self.write(isa, values, factors);
            gradient.iter_mut().zip(factors).for_each(|(g, factor)| *g *= *factor);
        }
    }

    fn write(self, isa: Isa, values: &[f32], out: &mut [f32]) {
        match self {
            Estimator::Dirac { sharpness } => {
                out.iter_mut().zip(values).for_each(|(o, &x)| *o = (sharpness * x) * (sharpness * x));
                exponentials(isa, out, -1.0, 0.0);
                let height = sharpness / std::f32::consts::PI.sqrt();
                out.iter_mut().for_each(|o| *o = (height * *o).clamp(1e-8, 1.0));
            }
            Estimator::Clipped { range } => {
                out.iter_mut().zip(values).for_each(|(o, x)| *o = if x.abs() <= range { 1.0 } else { 0.0 });
            }
            // With the logistic function s, 1 - tanh^2(z) = 4 s(2z) (1 - s(2z)).
            Estimator::Tanh { sharpness } => logistic_slope(isa, out, values, 2.0 * sharpness, 4.0 * sharpness),
            Estimator::Sigmoid { sharpness } => logistic_slope(isa, out, values, sharpness, 4.0 * sharpness),
        }
    }
}

/// `height s(steepness x) (1 - s(steepness x))`, by `e / (1 + e)^2` with `e = exp(-|steepness x|)`, which cannot overflow.
fn logistic_slope(isa: Isa, out: &mut [f32], values: &[f32], steepness: f32, height: f32) {
    out.iter_mut().zip(values).for_each(|(o, x)| *o = (steepness * x).abs());
    exponentials(isa, out, -1.0, 0.0);
    out.iter_mut().for_each(|o| *o = height * *o / ((1.0 + *o) * (1.0 + *o)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivative of `f` by central differences.
    fn slope(f: impl Fn(f64) -> f64, x: f32) -> f64 {
        (f(f64::from(x) + 1e-5) - f(f64::from(x) - 1e-5)) / 2e-5
    }

    #[test]
    fn estimates_equal_their_definitions() {
        let values: Vec<f32> = (-300..=300).map(|at| at as f32 / 100.0).collect();
        for isa in Isa::available() {
            let at = |estimator: Estimator| {
                let mut gradient = vec![2.0f32; values.len()];
                estimator.scale(isa, &values, &mut gradient);
                gradient.into_iter().map(|g| f64::from(g) / 2.0).collect::<Vec<_>>()
            };
            for sharpness in [0.5f32, 1.0, 4.0] {
                let b = f64::from(sharpness);
                // tanh(b x) and 4 s(b x) - 2 are the smooth signs whose slopes the two last ones are.
                let tanh = at(Estimator::Tanh { sharpness });
                let sigmoid = at(Estimator::Sigmoid { sharpness });
                let dirac = at(Estimator::Dirac { sharpness });
                for (at, &x) in values.iter().enumerate() {
                    assert!((tanh[at] - slope(|x| (b * x).tanh(), x)).abs() < 1e-4 * b);
                    assert!((sigmoid[at] - slope(|x| 4.0 / (1.0 + (-b * x).exp()), x)).abs() < 1e-4 * b);
                    let bell = b / std::f64::consts::PI.sqrt() * (-(b * f64::from(x)).powi(2)).exp();
                    assert!((dirac[at] - bell.clamp(1e-8, 1.0)).abs() < 1e-5 * b, "{x} {} {bell}", dirac[at]);
                }
            }
            let clipped = at(Estimator::Clipped { range: 1.0 });
            assert!(
                values.iter().zip(&clipped).all(|(x, &g)| (g == 1.0) == (x.abs() <= 1.0) && (g == 0.0 || g == 1.0))
            );
        }
    }
}
