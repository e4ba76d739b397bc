//! The fold-in map: from what somebody touched to the vector training would have given them.
//!
//! Training knows, for every user, both the items they touched and the vector it learned. The map is the ridge regression of the second on
//! the first: `W = (X'X + lambda I)^-1 X'Y`, row u of X the user's [profile](crate::fold_in) and row u of Y their learned vector, both scaled to length 1,
//! since a positive factor of a user changes no ranking. Somebody who comes later is placed by one product with W.

use rayon::prelude::*;

use super::Tables;
use crate::fold_in::write_profile;
use crate::graph::Bipartite;
use crate::kernel::dense::{Factor, Gram, Isa, Matrix, Rows as _, SignedMatrix, View, dot, multiply_by, sum_abs};

/// Users the map is learned from; more change it little.
const SAMPLE: usize = 20_000;
/// Users whose rows of X and Y are held at once.
const PART: usize = 4096;
/// The ridge, as a share of the mean diagonal of `X'X`.
const RIDGE: f64 = 0.02;

/// The map, `bits x bits`: a profile times it is a user's vector, layer after layer. O(sample bits^2 + bits^3).
pub(crate) fn fit(isa: Isa, graph: &Bipartite, tables: &Tables) -> Matrix {
    let [_, items] = tables.code_vectors();
    let active: Vec<u32> = (0..graph.n_users() as u32).filter(|&u| graph.users().degree(u as usize) > 0).collect();
    let count = active.len().min(SAMPLE);
    let users: Vec<u32> = (0..count).map(|at| active[at * active.len() / count.max(1)]).collect();
    let bits = tables.users.cols();
    let mut gram = Gram::new(isa, bits);
    let mut cross = Matrix::zeros(bits, bits);
    for users in users.chunks(PART) {
        let (mut x, mut y) = (Matrix::zeros(users.len(), bits), Matrix::zeros(users.len(), bits));
        x.par_rows_mut().zip(users).for_each(|(out, &user)| profile(isa, graph, &items, user as usize, out));
        y.par_rows_mut().zip(users).for_each(|(out, &user)| learned(isa, tables, user as usize, out));
        gram.add((&x).into());
        Factor::pack(isa, (&y).into()).par_multiply(View::from(&x).transposed(), cross.data_mut(), true);
    }
    solve_ridge(gram.into_matrix(), cross, RIDGE)
}

/// The vector that training gave a user, of length 1.
fn learned(isa: Isa, tables: &Tables, user: usize, out: &mut [f32]) {
    for (segment, scale) in tables.segments.iter().zip(tables.user_scales.row(user)) {
        let out = &mut out[segment.clone()];
        out.copy_from_slice(&tables.magnitudes.row(user)[segment.clone()]);
        out.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
        let mean = sum_abs(isa, out) / out.len() as f32;
        if mean > 0.0 {
            multiply_by(isa, out, scale.exp() / mean);
        }
    }
    normalise(isa, out);
}

/// The [profile](write_profile) of a user of the graph.
fn profile(isa: Isa, graph: &Bipartite, items: &SignedMatrix, user: usize, out: &mut [f32]) {
    let touched = graph.users().entries(user);
    let touched: Vec<(u32, f32, u32)> =
        touched.map(|(item, weight)| (item, weight, graph.items().degree(item as usize) as u32)).collect();
    write_profile(&touched, out, |&item, factor, out| {
        items.add_row(isa, item as usize, factor, out);
    });
}

fn normalise(isa: Isa, row: &mut [f32]) {
    let norm = dot(isa, row, row).sqrt();
    if norm > 0.0 {
        multiply_by(isa, row, 1.0 / norm);
    }
}

/// Solves `(gram + ridge I) W = right` by Cholesky factorisation in double precision, with a ridge of `share` of the mean diagonal.
pub(crate) fn solve_ridge(gram: Matrix, right: Matrix, share: f64) -> Matrix {
    let n = gram.rows();
    let mut lower: Vec<f64> = gram.data().iter().map(|&x| f64::from(x)).collect();
    let trace: f64 = (0..n).map(|k| lower[k * n + k]).sum();
    // Where nobody has a profile the map is zero.
    let ridge = (share * trace / n as f64).max(f64::MIN_POSITIVE.sqrt());
    for k in 0..n {
        lower[k * n + k] += ridge;
    }
    for k in 0..n {
        let (done, rest) = lower.split_at_mut((k + 1) * n);
        let row = &mut done[k * n..];
        let pivot = row[k].sqrt();
        row[k] = pivot;
        row[k + 1..].iter_mut().for_each(|x| *x /= pivot);
        // `row` now is column k of the factor, transposed: what follows is the update of the remaining triangle.
        let row = &done[k * n..];
        rest.par_chunks_exact_mut(n).enumerate().for_each(|(below, out)| {
            let column = k + 1 + below;
            let factor = row[column];
            out[column..].iter_mut().zip(&row[column..]).for_each(|(out, &x)| *out -= factor * x);
        });
    }
    let mut solved = right;
    // Rows of W by forward and backward substitution; each block of columns is independent.
    let columns = 64;
    let blocks: Vec<(usize, Vec<f64>)> = (0..n.div_ceil(columns))
        .into_par_iter()
        .map(|block| {
            let range = block * columns..((block + 1) * columns).min(n);
            let width = range.len();
            let mut w: Vec<f64> = (0..n)
                .flat_map(|k| solved.row(k)[range.clone()].iter().map(|&x| f64::from(x)).collect::<Vec<_>>())
                .collect();
            let mut eliminate = |k: usize, others: std::ops::Range<usize>, forward: bool| {
                let pivot = lower[k * n + k];
                let row: Vec<f64> = w[k * width..(k + 1) * width].iter().map(|x| x / pivot).collect();
                w[k * width..(k + 1) * width].copy_from_slice(&row);
                for other in others {
                    let factor = if forward { lower[k * n + other] } else { lower[other * n + k] };
                    w[other * width..(other + 1) * width].iter_mut().zip(&row).for_each(|(out, x)| *out -= factor * x);
                }
            };
            (0..n).for_each(|k| eliminate(k, k + 1..n, true));
            (0..n).rev().for_each(|k| eliminate(k, 0..k, false));
            (block * columns, w)
        })
        .collect();
    for (first, w) in blocks {
        let width = w.len() / n.max(1);
        for (k, row) in w.chunks_exact(width.max(1)).enumerate() {
            solved.row_mut(k)[first..first + width].iter_mut().zip(row).for_each(|(out, &x)| *out = x as f32);
        }
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dense::product;

    #[test]
    fn the_solution_solves() {
        let n = 70;
        let noise = |k: usize| ((k * 7919 + 13) % 101) as f32 / 50.0 - 1.0;
        let x = Matrix::from_data(200, n, (0..200 * n).map(noise).collect()).unwrap();
        let right = Matrix::from_data(n, n, (0..n * n).map(|k| noise(k + 5)).collect()).unwrap();
        let isa = Isa::chosen().unwrap();
        let gram = Gram::of(isa, (&x).into());
        let w = solve_ridge(gram.clone(), right.clone(), RIDGE);
        let ridge = RIDGE as f32 * (0..n).map(|k| gram.row(k)[k]).sum::<f32>() / n as f32;
        let mut again = product(isa, (&gram).into(), (&w).into());
        again.data_mut().iter_mut().zip(w.data()).for_each(|(a, w)| *a += ridge * w);
        for (a, b) in again.data().iter().zip(right.data()) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }
}
