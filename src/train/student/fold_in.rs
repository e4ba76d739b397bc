//! The fold-in map: from what somebody touched to the vector training would have given them.
//!
//! Training knows, for every user, both the items they touched and the vector it learned. The map is the ridge regression of the second on
//! the first: `W = (X'X + lambda I)^-1 X'Y`, row u of X the user's [profile](crate::fold_in) and row u of Y their learned vector, both scaled to length 1,
//! since a positive factor of a user changes no ranking. Somebody who comes later is placed by one product with W.

use rayon::prelude::*;

use super::Segment;
use crate::fold_in::write_profile;
use crate::graph::Bipartite;
use crate::kernel::dense::{Factor, Gram, Isa, Matrix, SignMatrix, View, dot, multiply_by, sum_abs};

/// Users the map is learned from; more change it little.
const SAMPLE: usize = 20_000;
/// Users whose rows of X and Y are held at once.
const PART: usize = 256;
/// The ridge, as a share of the mean diagonal of `X'X`.
const RIDGE: f64 = 0.02;

/// The sums the map is made of, of users who come one after the other.
pub(crate) struct Fit<'a> {
    isa: Isa,
    graph: &'a Bipartite,
    /// The sizes of items' code vectors, `n_items x layers`.
    sizes: Matrix,
    /// The users it is learned from, rising, of whom so many have come.
    sample: Vec<u32>,
    come: usize,
    /// All users who have come.
    seen: usize,
    /// Rows of X and Y that are in no sum yet, so many of each.
    x: Matrix,
    y: Matrix,
    held: usize,
    gram: Gram,
    cross: Matrix,
}

impl<'a> Fit<'a> {
    /// For codes of so many `bits`.
    pub(crate) fn new(isa: Isa, graph: &'a Bipartite, sizes: Matrix, bits: usize) -> Fit<'a> {
        let active: Vec<u32> = (0..graph.n_users() as u32).filter(|&u| graph.users().degree(u as usize) > 0).collect();
        let count = active.len().min(SAMPLE);
        let sample: Vec<u32> = (0..count).map(|at| active[at * active.len() / count.max(1)]).collect();
        let [x, y] = [0, 1].map(|_| Matrix::zeros(PART.min(count), bits));
        let (gram, cross) = (Gram::new(isa, bits), Matrix::zeros(bits, bits));
        Fit { isa, graph, sizes, sample, come: 0, seen: 0, x, y, held: 0, gram, cross }
    }

    /// Takes the users that come next: a row of `magnitudes` and the logarithms of their scalers each. `items` are the signs of all items.
    /// O(those of the sample x (bits^2 + interactions x bits)), parallel.
    pub(crate) fn add(&mut self, items: &SignMatrix, magnitudes: &[f32], scales: &[f32]) {
        let (isa, graph, bits) = (self.isa, self.graph, self.x.cols());
        let (segments, layers) = (items.segments(), items.segments().len());
        let (first, end) = (self.seen, self.seen + magnitudes.len() / bits.max(1));
        self.seen = end;
        while let Some(users) = self.sample.get(self.come..) {
            let count = users.iter().take_while(|&&user| (user as usize) < end).take(PART - self.held).count();
            if count == 0 {
                return;
            }
            let (users, sizes) = (&users[..count], &self.sizes);
            let [x, y] =
                [&mut self.x, &mut self.y].map(|rows| &mut rows.data_mut()[self.held * bits..][..count * bits]);
            let rows = x.par_chunks_exact_mut(bits).zip(y.par_chunks_exact_mut(bits)).zip(users);
            rows.for_each(|((x, y), &user)| {
                profile(isa, graph, (items, sizes), user as usize, x);
                let at = user as usize - first;
                y.copy_from_slice(&magnitudes[at * bits..][..bits]);
                learned(isa, segments, &scales[at * layers..][..layers], y);
            });
            (self.held, self.come) = (self.held + count, self.come + count);
            if self.held == PART {
                self.sum();
            }
        }
    }

    /// Adds the rows that are held to the sums. However many are added at once, every element is one sum in the order of the users.
    fn sum(&mut self) {
        let bits = self.x.cols();
        let [x, y] = [&self.x, &self.y].map(|rows| View::new(rows.data(), self.held, bits));
        self.gram.add(x);
        Factor::pack(self.isa, y).par_multiply(x.transposed(), self.cross.data_mut(), true);
        self.held = 0;
    }

    /// The map, `bits x bits`: a profile times it is a user's vector, layer after layer. O(bits^3).
    pub(crate) fn finish(mut self) -> Matrix {
        self.sum();
        let Fit { gram, cross, .. } = self;
        solve_ridge(gram.into_matrix(), cross, RIDGE)
    }
}

/// Makes the magnitudes of a user the vector that training gave them, of length 1.
fn learned(isa: Isa, segments: &[Segment], scales: &[f32], out: &mut [f32]) {
    for (segment, scale) in segments.iter().zip(scales) {
        let out = &mut out[segment.clone()];
        out.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
        let mean = sum_abs(isa, out) / out.len() as f32;
        if mean > 0.0 {
            multiply_by(isa, out, scale.exp() / mean);
        }
    }
    normalise(isa, out);
}

/// Writes the [profile](write_profile) of a user of the graph.
fn profile(isa: Isa, graph: &Bipartite, (items, sizes): (&SignMatrix, &Matrix), user: usize, out: &mut [f32]) {
    let touched = graph.users().entries(user);
    let touched: Vec<(u32, f32, u32)> =
        touched.map(|(item, weight)| (item, weight, graph.items().degree(item as usize) as u32)).collect();
    write_profile(&touched, out, |&item, factor, out| {
        items.add_sized_row(isa, item as usize, factor, sizes.row(item as usize), out);
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
    use crate::train::optim::random::{below, normal_matrix};

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

    /// However many users come at once the map is the same to the last bit, and those without interactions are in no sum.
    #[test]
    fn users_may_come_in_any_parts() {
        let (n_users, n_items, bits) = (PART + 700, 60, 70);
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("parts");
        let edges: Vec<(u32, u32, f32)> = (0..n_users as u32)
            .filter(|user| user % 11 != 3)
            .flat_map(|user| (0..n_items as u32).map(move |item| (user, item, 1.0)))
            .filter(|_| below(&mut rng, 20) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users, n_items, &edges).unwrap();
        let isa = Isa::chosen().unwrap();
        let items = SignMatrix::of(isa, &normal_matrix(&mut rng, n_items, bits, 1.0), &[0..64, 64..70]);
        let mut sizes = normal_matrix(&mut rng, n_items, 2, 1.0);
        sizes.data_mut().iter_mut().for_each(|size| *size = size.abs());
        let (magnitudes, scales) =
            (normal_matrix(&mut rng, n_users, bits, 0.5), normal_matrix(&mut rng, n_users, 2, 1.0));
        let map = |together: usize, magnitudes: &Matrix| {
            let mut fit = Fit::new(isa, &graph, sizes.clone(), bits);
            let parts = magnitudes.data().chunks(together * bits).zip(scales.data().chunks(together * 2));
            parts.for_each(|(magnitudes, scales)| fit.add(&items, magnitudes, scales));
            fit.finish()
        };
        let whole = map(n_users, &magnitudes);
        assert!(whole.is_finite() && whole.data().iter().any(|&x| x != 0.0));
        for together in [1, 48, 999, PART, PART + 1] {
            assert_eq!(map(together, &magnitudes), whole, "{together}");
        }
        let mut others = magnitudes.clone();
        (0..n_users).filter(|user| user % 11 == 3).for_each(|user| others.row_mut(user).fill(9.0));
        assert_eq!(map(500, &others), whole);
        others.row_mut(4).fill(9.0);
        assert_ne!(map(500, &others), whole);
    }
}
