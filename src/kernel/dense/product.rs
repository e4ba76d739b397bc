//! Products of dense matrices.
//!
//! The usual blocking (Goto and van de Geijn 2008): the right factor is packed once into panels of a few columns that every
//! thread shares, the left one is packed block by block, and a tile of the result stays in registers over `DEPTH` terms.
//! Threads split the rows of the result. An element is one chain of multiply-adds in the order of the inner index, whatever
//! the blocking, so the result does not depend on the split.

use std::ops::Range;

use rayon::prelude::*;

use super::Matrix;
use super::isa::{Isa, Set, dispatch, fma};

/// Terms of the inner index handled at once: a panel of `DEPTH x 16` floats fills half of a 32 KiB cache.
const DEPTH: usize = 256;
/// Terms of which the right factor is packed at once in a product that is computed only once: of a tall matrix no second one is made.
const PACKED: usize = 16 * DEPTH;
/// Rows of the result a task computes at once; a multiple of both tile heights. Its packed block stays in the second-level cache.
const ROWS: usize = 96;

/// A strided view of a matrix, or of its transpose.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<'a> View<'a> {
    /// `rows x cols` floats, row-major. `data` holds at least that many.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> View<'a> {
        assert!(data.len() >= rows * cols, "a view must lie inside its data");
        View { data, rows, cols, row_step: cols, col_step: 1 }
    }

    /// Some columns of this view; nothing is moved.
    pub(crate) fn columns(self, columns: Range<usize>) -> View<'a> {
        assert!(columns.end <= self.cols, "columns must lie inside their view");
        let first = (columns.start * self.col_step).min(self.data.len());
        View { data: &self.data[first..], cols: columns.len(), ..self }
    }

    /// Some rows of this view; nothing is moved.
    fn rows(self, rows: Range<usize>) -> View<'a> {
        self.transposed().columns(rows).transposed()
    }

    /// The transpose of this view; nothing is moved.
    pub(crate) fn transposed(self) -> View<'a> {
        View { rows: self.cols, cols: self.rows, row_step: self.col_step, col_step: self.row_step, ..self }
    }
}

impl<'a> From<&'a Matrix> for View<'a> {
    fn from(matrix: &'a Matrix) -> View<'a> {
        View::new(matrix.data(), matrix.rows(), matrix.cols())
    }
}

/// The right factor of a product (`inner x cols`), packed into panels of the width the instruction set wants: by depth
/// block, then panel, then term, then column; short panels are filled up with zeros.
#[derive(Clone)]
pub(crate) struct Factor {
    isa: Isa,
    inner: usize,
    cols: usize,
    panels: Vec<f32>,
}

impl Factor {
    /// Packs a right factor, in parallel. O(inner cols).
    pub(crate) fn pack(isa: Isa, right: View<'_>) -> Factor {
        let width = tile_width(isa);
        let n_panels = right.cols.div_ceil(width);
        let mut panels = vec![0.0; n_panels * width * right.rows];
        for (block, first) in panels.chunks_mut((n_panels * width * DEPTH).max(1)).zip((0..).step_by(DEPTH)) {
            let depth = DEPTH.min(right.rows - first);
            block.par_chunks_exact_mut(width * depth).enumerate().for_each(|(panel, out)| {
                let from = panel * width;
                let n = width.min(right.cols - from);
                for (term, out) in out.chunks_exact_mut(width).enumerate() {
                    let base = (first + term) * right.row_step + from * right.col_step;
                    if right.col_step == 1 {
                        out[..n].copy_from_slice(&right.data[base..base + n]);
                    } else {
                        for (column, out) in out[..n].iter_mut().enumerate() {
                            *out = right.data[base + column * right.col_step];
                        }
                    }
                }
            });
        }
        Factor { isa, inner: right.rows, cols: right.cols, panels }
    }

    /// Columns of the product.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// `out = left * self`, or `out += left * self`, on the calling thread. `out` is `left.rows x self.cols`, row-major.
    ///
    /// # Panics
    /// When the shapes disagree.
    pub(crate) fn multiply(&self, left: View<'_>, out: &mut [f32], accumulate: bool) {
        assert!(left.cols == self.inner && out.len() == left.rows * self.cols, "shapes of a product must agree");
        if self.inner == 0 && !accumulate {
            out.fill(0.0);
        }
        if self.inner == 0 || self.cols == 0 {
            return;
        }
        for (out, first) in out.chunks_mut(ROWS * self.cols).zip((0..).step_by(ROWS)) {
            let rows = out.len() / self.cols;
            let block = View { data: &left.data[first * left.row_step..], rows, ..left };
            self.multiply_block(block, out, accumulate, 0);
        }
    }

    /// At most `ROWS` rows of the product, but for the panels before column `first`.
    fn multiply_block(&self, left: View<'_>, out: &mut [f32], accumulate: bool, first: usize) {
        match self.isa.set() {
            Set::Avx512 => block_wide(self.isa, left, self, out, accumulate, first),
            _ => block_narrow(self.isa, left, self, out, accumulate, first),
        }
    }

    /// As [`Factor::multiply`], with the rows split over rayon.
    pub(crate) fn par_multiply(&self, left: View<'_>, out: &mut [f32], accumulate: bool) {
        assert!(left.cols == self.inner && out.len() == left.rows * self.cols, "shapes of a product must agree");
        out.par_chunks_mut((ROWS * self.cols).max(1)).enumerate().for_each(|(task, out)| {
            let rows = out.len() / self.cols.max(1);
            // Without terms there is no data to start in.
            let start = (task * ROWS * left.row_step).min(left.data.len());
            let block = View { data: &left.data[start..], rows, ..left };
            self.multiply(block, out, accumulate);
        });
    }
}

/// `left * right`, on rayon. O(rows inner cols), in memory for the result and for 4,096 rows of `right`.
///
/// # Panics
/// When the shapes disagree.
pub(crate) fn product(isa: Isa, left: View<'_>, right: View<'_>) -> Matrix {
    assert!(left.cols == right.rows, "shapes of a product must agree");
    let mut out = Matrix::zeros(left.rows, right.cols);
    for first in (0..right.rows).step_by(PACKED) {
        let terms = first..right.rows.min(first + PACKED);
        let factor = Factor::pack(isa, right.rows(terms.clone()));
        factor.par_multiply(left.columns(terms), out.data_mut(), true);
    }
    out
}

/// The Gram matrix `X'X` of rows that come a part at a time. Half of it is computed: to the last bit the product of X' and X.
pub(crate) struct Gram {
    isa: Isa,
    sums: Matrix,
}

impl Gram {
    /// Of rows of `cols` floats.
    pub(crate) fn new(isa: Isa, cols: usize) -> Gram {
        Gram { isa, sums: Matrix::zeros(cols, cols) }
    }

    /// Of all rows of a matrix, on rayon. O(rows cols^2), in memory for the result and for 4,096 rows.
    pub(crate) fn of(isa: Isa, all: View<'_>) -> Matrix {
        let mut gram = Gram::new(isa, all.cols);
        for first in (0..all.rows).step_by(PACKED) {
            gram.add(all.rows(first..all.rows.min(first + PACKED)));
        }
        gram.into_matrix()
    }

    /// Adds some rows, on rayon. O(rows cols^2), in memory for the rows.
    ///
    /// # Panics
    /// When they are not as wide.
    pub(crate) fn add(&mut self, rows: View<'_>) {
        let cols = self.sums.cols();
        assert!(rows.cols == cols, "shapes of a product must agree");
        if rows.rows == 0 || cols == 0 {
            return;
        }
        let (factor, left) = (Factor::pack(self.isa, rows), rows.transposed());
        let tasks = self.sums.data_mut().par_chunks_mut(ROWS * cols).with_max_len(1).enumerate();
        tasks.for_each(|(task, out)| {
            let first = task * ROWS;
            let block = left.rows(first..first + out.len() / cols);
            factor.multiply_block(block, out, true, first);
        });
    }

    /// All of it.
    pub(crate) fn into_matrix(self) -> Matrix {
        let mut sums = self.sums;
        for row in 0..sums.rows() {
            for column in 0..row / ROWS * ROWS {
                let mirrored = sums.row(column)[row];
                sums.row_mut(row)[column] = mirrored;
            }
        }
        sums
    }
}

/// Columns of a tile: two vectors of the set.
fn tile_width(isa: Isa) -> usize {
    match isa.set() {
        Set::Avx512 => 32,
        _ => 16,
    }
}

dispatch! {
    fn block_narrow(left: View<'_>, right: &Factor, out: &mut [f32], accumulate: bool, first: usize) = narrow;
    fn block_wide(left: View<'_>, right: &Factor, out: &mut [f32], accumulate: bool, first: usize) = wide;
}

#[inline(always)]
fn narrow<const FUSED: bool>(left: View<'_>, right: &Factor, out: &mut [f32], accumulate: bool, first: usize) {
    block::<FUSED, 6, 16>(left, right, out, accumulate, first);
}

#[inline(always)]
fn wide<const FUSED: bool>(left: View<'_>, right: &Factor, out: &mut [f32], accumulate: bool, first: usize) {
    block::<FUSED, 12, 32>(left, right, out, accumulate, first);
}

/// At most `ROWS` rows of the result, but for the panels before column `begin`.
#[inline(always)]
fn block<const FUSED: bool, const H: usize, const W: usize>(
    left: View<'_>,
    right: &Factor,
    out: &mut [f32],
    accumulate: bool,
    begin: usize,
) {
    let (rows, cols) = (left.rows, right.cols);
    let mut packed = vec![0.0f32; ROWS.min(rows.next_multiple_of(H)) * DEPTH.min(right.inner)];
    let n_panels = cols.div_ceil(W);
    for (panels, first) in right.panels.chunks(n_panels * W * DEPTH).zip((0..).step_by(DEPTH)) {
        let depth = DEPTH.min(right.inner - first);
        for (tile, packed) in packed.chunks_exact_mut(H * depth).take(rows.div_ceil(H)).enumerate() {
            pack_tile::<H>(left, tile * H, first, packed);
        }
        let resume = accumulate || first > 0;
        let before = begin / W;
        for (panel, right) in panels[before * W * depth..].chunks_exact(W * depth).enumerate() {
            let from = (before + panel) * W;
            let width = W.min(cols - from);
            for (tile, left) in packed.chunks_exact(H * depth).take(rows.div_ceil(H)).enumerate() {
                let top = tile * H;
                let height = H.min(rows - top);
                let mut sums = [[0.0f32; W]; H];
                if resume {
                    for (sums, row) in sums.iter_mut().zip(out[top * cols..].chunks(cols)).take(height) {
                        sums[..width].copy_from_slice(&row[from..from + width]);
                    }
                }
                let sums = multiply_tile::<FUSED, H, W>(left, right, sums);
                for (sums, row) in sums.iter().zip(out[top * cols..].chunks_mut(cols)).take(height) {
                    row[from..from + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// The chain of multiply-adds of one tile; `sums` stays in registers: counted loops are unrolled whole, where iterators over the same were not always, at a
/// twentieth of the speed.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn multiply_tile<const FUSED: bool, const H: usize, const W: usize>(
    left: &[f32],
    right: &[f32],
    mut sums: [[f32; W]; H],
) -> [[f32; W]; H] {
    for (a, b) in left.as_chunks::<H>().0.iter().zip(right.as_chunks::<W>().0) {
        for h in 0..H {
            for w in 0..W {
                sums[h][w] = fma::<FUSED>(a[h], b[w], sums[h][w]);
            }
        }
    }
    sums
}

/// Packs `H` rows of the left factor term by term; rows past the end are zeros.
#[inline(always)]
fn pack_tile<const H: usize>(left: View<'_>, top: usize, first: usize, packed: &mut [f32]) {
    let height = H.min(left.rows - top);
    if height < H {
        packed.fill(0.0);
    }
    if left.col_step == 1 {
        let depth = packed.len() / H;
        for row in 0..height {
            let base = (top + row) * left.row_step + first;
            for (out, &x) in packed.chunks_exact_mut(H).zip(&left.data[base..base + depth]) {
                out[row] = x;
            }
        }
    } else {
        for (term, out) in packed.chunks_exact_mut(H).enumerate() {
            let base = (first + term) * left.col_step + top * left.row_step;
            for (row, out) in out[..height].iter_mut().enumerate() {
                *out = left.data[base + row * left.row_step];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dense::dot;
    use proptest::prelude::*;

    fn naive(left: &[f32], right: &[f32], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let mut out = vec![0.0; m * n];
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            out[i * n + j] = (0..k).map(|t| f64::from(left[i * k + t]) * f64::from(right[t * n + j])).sum();
        }
        out
    }

    fn transpose(data: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|at| data[(at % rows) * cols + at / rows]).collect()
    }

    #[test]
    fn a_product_without_terms_is_zero() {
        for isa in Isa::available() {
            for left in [View::new(&[], 200, 0), View::new(&[], 0, 200).transposed()] {
                assert_eq!(product(isa, left, View::new(&[], 0, 3)), Matrix::zeros(200, 3));
            }
        }
    }

    /// Packed part by part, a product is the same to the last bit.
    #[test]
    fn a_tall_product_is_that_of_one_factor() {
        let (m, k, n) = (7, 2 * PACKED + 77, 40);
        let values = |len: usize| (0..len).map(|at| (at * 7919 % 1013) as f32 / 500.0 - 1.0).collect::<Vec<f32>>();
        let (left, right) = (values(m * k), values(k * n));
        let (left, right) = (View::new(&left, k, m).transposed(), View::new(&right, k, n));
        for isa in Isa::available() {
            let mut whole = vec![0.0; m * n];
            Factor::pack(isa, right).multiply(left, &mut whole, false);
            assert_eq!(product(isa, left, right).data(), whole);
        }
    }

    /// Half of it computed, and part by part, a Gram matrix is the product to the last bit.
    #[test]
    fn a_gram_matrix_is_the_product() {
        for (rows, cols) in [(PACKED + 77, 230), (300, ROWS), (5, 1), (0, 3), (3, 0)] {
            let values: Vec<f32> = (0..rows * cols).map(|at| (at * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
            let view = View::new(&values, rows, cols);
            for isa in Isa::available() {
                assert_eq!(Gram::of(isa, view), product(isa, view.transposed(), view), "{rows} x {cols}, {isa:?}");
            }
        }
    }

    /// A product may not take longer than its elements one by one, whose rows are read from memory again and again: what the compiler makes of a tile can change
    /// with the code around it. As it should be, it is two to six times as fast; what seems slow is given more rounds.
    #[test]
    fn a_product_is_not_slower_than_its_elements_one_by_one() {
        const ROUNDS: Range<usize> = 9..300;
        const INNER: usize = 2 * DEPTH;
        if cfg!(debug_assertions) {
            return eprintln!("a_product_is_not_slower_than_its_elements_one_by_one: only of an optimised build");
        }
        let values: Vec<f32> = (0..ROWS * INNER).map(|at| (at * 7919 % 1013) as f32 / 500.0 - 1.0).collect();
        let view = View::new(&values, ROWS, INNER);
        let timed = |work: &dyn Fn(&mut [f32])| {
            let (start, mut out) = (std::time::Instant::now(), vec![0.0; ROWS * ROWS]);
            work(std::hint::black_box(&mut out));
            start.elapsed()
        };
        for isa in Isa::available() {
            let factor = Factor::pack(isa, view.transposed());
            let whole = |out: &mut [f32]| factor.multiply(std::hint::black_box(view), out, false);
            let one_by_one = |out: &mut [f32]| {
                for (out, left) in out.chunks_exact_mut(ROWS).zip(values.chunks_exact(INNER)) {
                    let elements = out.iter_mut().zip(values.chunks_exact(INNER));
                    elements.for_each(|(out, right)| *out = dot(isa, std::hint::black_box(left), right));
                }
            };
            let mut best = [std::time::Duration::MAX; 2];
            for round in 0..ROUNDS.end {
                best = [timed(&whole).min(best[0]), timed(&one_by_one).min(best[1])];
                if round >= ROUNDS.start && best[0] <= best[1] {
                    break;
                }
            }
            println!("{isa:?}: {best:?}");
            assert!(best[0] <= best[1], "{isa:?}: {best:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn equals_the_naive_product_in_every_layout(
            m in 0usize..120, k in 0usize..300, n in 0usize..70, seed in any::<u32>(), accumulate in any::<bool>()
        ) {
            let mut state = seed | 1;
            let mut next = || { state ^= state << 13; state ^= state >> 17; state ^= state << 5; (state % 2001) as f32 / 1000.0 - 1.0 };
            let left: Vec<f32> = (0..m * k).map(|_| next()).collect();
            let right: Vec<f32> = (0..k * n).map(|_| next()).collect();
            let start: Vec<f32> = (0..m * n).map(|_| next()).collect();
            let expected = naive(&left, &right, (m, k, n));
            let (left_t, right_t) = (transpose(&left, m, k), transpose(&right, k, n));
            let mut fused: Option<Vec<u32>> = None;
            for isa in Isa::available() {
                for (l, r) in [
                    (View::new(&left, m, k), View::new(&right, k, n)),
                    (View::new(&left_t, k, m).transposed(), View::new(&right_t, n, k).transposed()),
                ] {
                    let mut out = start.clone();
                    Factor::pack(isa, r).par_multiply(l, &mut out, accumulate);
                    for (at, (&got, want)) in out.iter().zip(&expected).enumerate() {
                        let want = want + if accumulate { f64::from(start[at]) } else { 0.0 };
                        prop_assert!((f64::from(got) - want).abs() < 1e-4, "{isa:?} {got} {want}");
                    }
                    if isa != Isa::BASELINE {
                        let bits: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
                        prop_assert_eq!(fused.get_or_insert_with(|| bits.clone()), &bits);
                    }
                }
            }
        }
    }
}
