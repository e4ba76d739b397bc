//! What scalers an item can expect, by how many users have it.

use crate::code::LayeredCodes;

/// Mean scaler of the items that have a code, by order of magnitude of the item's degree: what a new item starts with.
pub(super) struct ScalerProfile {
    layers: usize,
    /// `[33 x layers]`, row b for degrees of b bits.
    means: Vec<f32>,
}

impl ScalerProfile {
    const ROWS: usize = 33;

    pub(super) fn of(items: &LayeredCodes, degrees: &[u32]) -> Self {
        let layers = items.shape().layers();
        let (mut sums, mut counts) = (vec![0f64; Self::ROWS * layers], [0u64; Self::ROWS]);
        for (scalers, &degree) in items.scalers().chunks_exact(layers).zip(degrees) {
            if scalers.iter().any(|&scaler| scaler > 0.0) {
                let row = Self::row(degree);
                counts[row] += 1;
                sums[row * layers..][..layers].iter_mut().zip(scalers).for_each(|(sum, &s)| *sum += f64::from(s));
            }
        }
        let occupied: Vec<usize> = (0..Self::ROWS).filter(|&row| counts[row] > 0).collect();
        let mean = |row: usize| {
            let nearest = occupied.iter().copied().min_by_key(|&o| o.abs_diff(row));
            (0..layers)
                .map(|l| nearest.map_or(0.0, |o| (sums[o * layers + l] / counts[o] as f64) as f32))
                .collect::<Vec<_>>()
        };
        Self { layers, means: (0..Self::ROWS).flat_map(mean).collect() }
    }

    pub(super) fn at(&self, degree: u32) -> &[f32] {
        &self.means[Self::row(degree) * self.layers..][..self.layers]
    }

    fn row(degree: u32) -> usize {
        (u32::BITS - degree.leading_zeros()) as usize
    }
}
