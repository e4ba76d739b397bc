//! Factors of a teacher's scores, neighbours included: what signs can start from.

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::context::Context;
use super::fold_in::solve_ridge;
use super::layers::Layers;
use super::random::normal;
use super::teacher::Neighbours;
use crate::graph::Csr;
use crate::kernel::dense::{Isa, Matrix, View, add_scaled, product};

/// Times both sides are solved.
const SWEEPS: usize = 3;
/// The ridge of a solve, as a share of the mean diagonal.
const RIDGE: f64 = 0.02;

/// One matrix a side, at most `most` wide, whose inner products come near the scores of a teacher and `neighbours` over all pairs: alternating
/// ridge regressions `V = S'U (U'U + lambda)^-1`, `U = S V (V'V + lambda)^-1` of the scores S, which are never formed, since S is a sum of
/// products of thin and of sparse matrices. O(sweeps (edges + neighbours' weights + nodes width) width).
pub(crate) fn factorise(context: &Context<'_>, teacher: &Layers, neighbours: &Neighbours, most: usize) -> Layers {
    let (isa, graph) = (context.isa, context.graph);
    let (p, q) = teacher.joined();
    // What neighbours add needs directions of its own.
    let width = most.min(2 * p.cols());
    let mut rng = context.rng("factors");
    let mut users = widened(&p, width, &mut rng);
    let mut items = widened(&q, width, &mut rng);
    let columns = neighbours.weights().transpose();
    for _ in 0..SWEEPS {
        let mut scored = thin(isa, (&q, &p), &users);
        add(isa, &mut scored, &weighted_sums(isa, &columns, &sums(isa, graph.items(), &users)));
        items = solved(isa, &users, &scored);
        let mut scored = thin(isa, (&p, &q), &items);
        add(isa, &mut scored, &sums(isa, graph.users(), &weighted_sums(isa, neighbours.weights(), &items)));
        users = solved(isa, &items, &scored);
    }
    Layers { users: vec![users], items: vec![items], weights: vec![1.0], neighbours: None }
}

/// The first columns of `from`, and past its width small random ones, zero where the row is.
fn widened(from: &Matrix, width: usize, rng: &mut Xoshiro256PlusPlus) -> Matrix {
    let mut out = Matrix::zeros(from.rows(), width);
    let kept = width.min(from.cols());
    for row in 0..from.rows() {
        let (source, out) = (from.row(row), out.row_mut(row));
        out[..kept].copy_from_slice(&source[..kept]);
        let mean = source.iter().map(|x| x.abs()).sum::<f32>() / source.len().max(1) as f32;
        out[kept..].iter_mut().for_each(|x| *x = mean * normal(rng));
    }
    out
}

/// `left (right' by)`.
fn thin(isa: Isa, (left, right): (&Matrix, &Matrix), by: &Matrix) -> Matrix {
    let inner = product(isa, View::from(right).transposed(), by.into());
    product(isa, left.into(), (&inner).into())
}

fn add(isa: Isa, out: &mut Matrix, more: &Matrix) {
    out.par_rows_mut().zip(more.par_rows()).for_each(|(out, more)| add_scaled(isa, out, 1.0, more));
}

/// `rows by`, every stored element of the rows taken for 1.
fn sums(isa: Isa, rows: &Csr, by: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), by.cols());
    out.par_rows_mut()
        .enumerate()
        .for_each(|(row, out)| add_rows(isa, rows.row(row).iter().map(|&at| (at, 1.0)), by, out));
    out
}

/// `rows by`.
fn weighted_sums(isa: Isa, rows: &Csr, by: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(rows.n_rows(), by.cols());
    out.par_rows_mut().enumerate().for_each(|(row, out)| add_rows(isa, rows.entries(row), by, out));
    out
}

fn add_rows(isa: Isa, entries: impl Iterator<Item = (u32, f32)>, by: &Matrix, out: &mut [f32]) {
    entries.for_each(|(target, weight)| add_scaled(isa, out, weight, by.row(target as usize)));
}

/// `scored (fixed' fixed + lambda)^-1`.
fn solved(isa: Isa, fixed: &Matrix, scored: &Matrix) -> Matrix {
    let gram = product(isa, View::from(fixed).transposed(), fixed.into());
    let mut identity = Matrix::zeros(gram.rows(), gram.rows());
    (0..gram.rows()).for_each(|at| identity.row_mut(at)[at] = 1.0);
    let inverse = solve_ridge(gram, identity, RIDGE);
    product(isa, scored.into(), (&inverse).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::random::{below, normal_matrix};

    /// With as many directions as items there are, the factors give the scores again, but for the ridge.
    #[test]
    fn wide_factors_give_the_scores_again() {
        let (n_users, n_items) = (60u32, 12u32);
        let mut rng = crate::train::tests::context(&Bipartite::from_edges(1, 1, &[]).unwrap(), &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..n_users)
            .flat_map(|user| (0..n_items).map(move |item| (user, item, 2.0)))
            .filter(|edge| edge.0 != 7 && below(&mut rng, 2 + edge.1 as usize % 3) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users as usize, n_items as usize, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let neighbours = Neighbours::fit(&context, 1.0).unwrap();
        let matrix = |rng: &mut _, rows| normal_matrix(rng, rows, 8, 0.3);
        let (mut users, items) = (matrix(&mut rng, n_users as usize), matrix(&mut rng, n_items as usize));
        users.row_mut(7).fill(0.0);
        let teacher = Layers { users: vec![users], items: vec![items], weights: vec![1.0], neighbours: None };
        let factors = factorise(&context, &teacher, &neighbours, 64);
        assert_eq!((factors.users[0].cols(), factors.items[0].cols()), (16, 16));
        let (mut error, mut total) = (0.0, 0.0);
        for user in 0..n_users as usize {
            let mut scores = vec![0.0; n_items as usize];
            neighbours.add_scores(graph.users().row(user), |item| Some(item as usize), &mut scores);
            for (item, score) in scores.iter().enumerate() {
                let inner = |layers: &Layers| -> f32 {
                    layers.users[0].row(user).iter().zip(layers.items[0].row(item)).map(|(a, b)| a * b).sum()
                };
                let want = score + inner(&teacher);
                error += (want - inner(&factors)).powi(2);
                total += want * want;
            }
        }
        assert!(error < 0.02 * total, "{error} of {total}");
        assert!(factors.users[0].row(7).iter().all(|&x| x == 0.0), "a user without interactions has no vector");
    }
}
