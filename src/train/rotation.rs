//! Random rotations that spread a vector's energy evenly over many signs.

use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, multiply_by};
use crate::train::random::normal_matrix;

/// A random `from x to` matrix with orthonormal rows (`from <= to`) or columns (`from > to`). Multiplying by it keeps inner
/// products when `to >= from`, and the signs of the result are then hyperplane hashes along a tight frame, whose errors are
/// below those of independent directions. O(from to min(from, to)).
pub(crate) fn rotation(isa: Isa, rng: &mut rand_xoshiro::Xoshiro256PlusPlus, from: usize, to: usize) -> Matrix {
    let (short, long) = (from.min(to), from.max(to));
    let mut frame = normal_matrix(rng, short, long, 1.0);
    for row in 0..short {
        // Twice is enough (Kahan, Parlett): the second pass removes the rounding left by the first.
        for _ in 0..2 {
            let (done, rest) = frame.data_mut().split_at_mut(row * long);
            let current = &mut rest[..long];
            for done in done.chunks_exact(long) {
                let along = dot(isa, done, current);
                add_scaled(isa, current, -along, done);
            }
            let norm = dot(isa, current, current).sqrt();
            multiply_by(isa, current, 1.0 / norm);
        }
    }
    if from <= to { frame } else { transpose(&frame) }
}

fn transpose(matrix: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(matrix.cols(), matrix.rows());
    for row in 0..matrix.rows() {
        for (col, &x) in matrix.row(row).iter().enumerate() {
            out.row_mut(col)[row] = x;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::SeedableRng;

    #[test]
    fn the_shorter_side_is_orthonormal() {
        for (from, to) in [(5, 5), (7, 32), (32, 7), (1, 3)] {
            let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
            let r = rotation(Isa::Baseline, &mut rng, from, to);
            assert_eq!((r.rows(), r.cols()), (from, to));
            let frame = if from <= to { r } else { transpose(&r) };
            for a in 0..frame.rows() {
                for b in 0..frame.rows() {
                    let inner = dot(Isa::Baseline, frame.row(a), frame.row(b));
                    assert!((inner - f32::from(u8::from(a == b))).abs() < 1e-5, "{from} {to} {a} {b} {inner}");
                }
            }
        }
    }
}
