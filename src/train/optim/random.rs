//! Draws from a generator: ranges, uniform and normal floats, permutations, subsets.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use crate::kernel::dense::Matrix;

/// A uniform integer below `n` (Lemire's multiplication; the bias is below `n / 2^64`). `n` is above zero.
pub(crate) fn below(rng: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A uniform float in [0, 1).
pub(crate) fn unit(rng: &mut Xoshiro256PlusPlus) -> f32 {
    (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32
}

/// A standard normal number (Box and Muller).
pub(crate) fn normal(rng: &mut Xoshiro256PlusPlus) -> f32 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f32::consts::TAU * unit(rng)).cos()
}

/// A matrix of independent normal numbers.
pub(crate) fn normal_matrix(rng: &mut Xoshiro256PlusPlus, rows: usize, cols: usize, deviation: f32) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    matrix.data_mut().iter_mut().for_each(|x| *x = deviation * normal(rng));
    matrix
}

/// Shuffles in place (Fisher and Yates).
pub(crate) fn shuffle<T>(rng: &mut Xoshiro256PlusPlus, items: &mut [T]) {
    for end in (2..=items.len()).rev() {
        items.swap(end - 1, below(rng, end));
    }
}

/// `count` distinct numbers below `n`, sorted; all of them when `count >= n` (Floyd's sampling).
pub(crate) fn subset(rng: &mut Xoshiro256PlusPlus, n: usize, count: usize) -> Vec<u32> {
    if count >= n {
        return (0..n as u32).collect();
    }
    let mut chosen = hashbrown::HashSet::with_capacity(count);
    for end in n - count..n {
        let drawn = below(rng, end + 1) as u32;
        if !chosen.insert(drawn) {
            chosen.insert(end as u32);
        }
    }
    let mut chosen: Vec<u32> = chosen.into_iter().collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::SeedableRng;

    #[test]
    fn subsets_are_sorted_distinct_and_even() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let mut hits = [0u32; 10];
        for _ in 0..10_000 {
            let drawn = subset(&mut rng, 10, 4);
            assert!(drawn.len() == 4 && drawn.is_sorted_by(|a, b| a < b));
            drawn.iter().for_each(|&x| hits[x as usize] += 1);
        }
        assert!(hits.iter().all(|&n| (3_700..4_300).contains(&n)), "{hits:?}");
        assert_eq!(subset(&mut rng, 3, 9), [0, 1, 2]);
    }

    #[test]
    fn normals_have_mean_zero_and_unit_variance() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
        let drawn: Vec<f64> = (0..100_000).map(|_| f64::from(normal(&mut rng))).collect();
        let mean = drawn.iter().sum::<f64>() / 1e5;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / 1e5 - mean * mean;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
