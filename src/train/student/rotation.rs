//! Random rotations that spread a vector's energy evenly over many signs.

use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, multiply_by};
use crate::pool;
use crate::train::optim::random::normal_matrix;

/// Multiply-adds of an orthogonalisation by which a rotation is one dense frame: up to 1,024 dimensions to as many.
const DENSE: usize = 1 << 30;
/// Columns of a block of a larger one.
const BLOCK: usize = 256;

/// A random `from x to` matrix with orthonormal rows (`from <= to`) or columns (`from > to`). Multiplying by it keeps inner
/// products when `to >= from`, and the signs of the result are then hyperplane hashes along a tight frame, whose errors are
/// below those of independent directions. O(from to min(from, to, 256)) past some thousand dimensions, where the frame is a product of two
/// block-diagonal ones.
pub(crate) fn rotation(isa: Isa, rng: &mut rand_xoshiro::Xoshiro256PlusPlus, from: usize, to: usize) -> Matrix {
    let (short, long) = (from.min(to), from.max(to));
    let work = short.saturating_mul(short).saturating_mul(long);
    let frame = if work <= DENSE { dense(isa, rng, short, long) } else { in_blocks(isa, rng, short, long) };
    if from <= to { frame } else { transpose(&frame) }
}

/// A frame of `short` orthonormal rows of `long` columns, each row a mixture of all columns: rows are dealt to blocks of columns, each a dense
/// frame; the columns of a block are dealt to all blocks of a second stage, each a dense rotation. Products of orthonormal rows and rotations
/// have orthonormal rows.
fn in_blocks(isa: Isa, rng: &mut rand_xoshiro::Xoshiro256PlusPlus, short: usize, long: usize) -> Matrix {
    let blocks = long.div_ceil(BLOCK);
    // The first blocks are the larger ones, so that none has more of `short` than of `long`.
    let start = |n: usize, block: usize| block * (n / blocks) + block.min(n % blocks);
    let part = |n: usize, block: usize| start(n, block)..start(n, block + 1);
    // Numbers are drawn in one order; blocks are made orthonormal side by side.
    let draw = |rng: &mut _, tall: usize| -> Vec<Matrix> {
        (0..blocks).map(|block| normal_matrix(rng, part(tall, block).len(), part(long, block).len(), 1.0)).collect()
    };
    let (mut first, mut second) = (draw(rng, short), draw(rng, long));
    pool::each(first.iter_mut().chain(&mut second).collect(), |block| orthonormalise(isa, block));
    let mut frame = Matrix::zeros(short, long);
    pool::each(frame.data_mut().chunks_exact_mut(long).enumerate().collect(), |(row, out)| {
        let block = (0..blocks).find(|&block| part(short, block).contains(&row)).unwrap_or(0);
        let from = part(long, block);
        for (at, &value) in first[block].row(row - part(short, block).start).iter().enumerate() {
            // Dealt out one by one, the columns fill every block of the second stage.
            let (dealt, within) = ((from.start + at) % blocks, (from.start + at) / blocks);
            add_scaled(isa, &mut out[part(long, dealt)], value, second[dealt].row(within));
        }
    });
    frame
}

/// A frame of `short` orthonormal rows of `long` columns.
fn dense(isa: Isa, rng: &mut rand_xoshiro::Xoshiro256PlusPlus, short: usize, long: usize) -> Matrix {
    let mut frame = normal_matrix(rng, short, long, 1.0);
    orthonormalise(isa, &mut frame);
    frame
}

/// Makes the rows, no more than columns, orthonormal, each from those before (Gram and Schmidt). O(rows^2 columns).
fn orthonormalise(isa: Isa, frame: &mut Matrix) {
    let (short, long) = (frame.rows(), frame.cols());
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
            let r = rotation(Isa::BASELINE, &mut rng, from, to);
            assert_eq!((r.rows(), r.cols()), (from, to));
            let frame = if from <= to { r } else { transpose(&r) };
            assert_orthonormal(&frame);
        }
    }

    fn assert_orthonormal(frame: &Matrix) {
        for a in 0..frame.rows() {
            for b in 0..frame.rows() {
                let inner = dot(Isa::BASELINE, frame.row(a), frame.row(b));
                assert!((inner - f32::from(u8::from(a == b))).abs() < 1e-5, "{a} {b} {inner}");
            }
        }
    }

    #[test]
    fn frames_in_blocks_are_orthonormal_and_mix_everything() {
        for (short, long) in [(600, 600), (3, 1000), (515, 516), (300, 771), (1, 1)] {
            let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(2);
            let frame = in_blocks(Isa::BASELINE, &mut rng, short, long);
            assert_eq!((frame.rows(), frame.cols()), (short, long));
            assert_orthonormal(&frame);
            // The energy of a row, 1, lies everywhere, as a random direction's does: in no column much, in every run of columns some.
            let most = frame.data().iter().fold(0.0f32, |most, x| most.max(x.abs()));
            assert!(long == 1 || most < 7.0 / (long as f32).sqrt(), "{short} {long} {most}");
            for row in frame.data().chunks_exact(long) {
                for run in row.chunks_exact(100) {
                    let energy = dot(Isa::BASELINE, run, run) * long as f32 / 100.0;
                    assert!((0.3..2.5).contains(&energy), "{short} {long} {energy}");
                }
            }
        }
    }
}
