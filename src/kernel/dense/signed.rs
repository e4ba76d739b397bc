//! Matrices of signs, a bit each.

use std::ops::Range;

use rayon::prelude::*;

use super::isa::Isa;
use super::loops::{SIGNED_ROWS, add_scaled, add_signed, differing, pack_signs, write_signed, write_signed_columns};
use super::matrix::Matrix;

/// Signs of `rows x cols` numbers whose columns are cut into segments: of every row the words of one segment after another, 64 columns a word, a bit set
/// where the number is negative. A 32nd of the bytes of floats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SignMatrix {
    segments: Vec<Range<usize>>,
    /// `rows x stride`.
    words: Vec<u64>,
    stride: usize,
}

impl SignMatrix {
    /// All positive. The segments follow one another from column 0 on.
    pub(crate) fn positive(rows: usize, segments: &[Range<usize>]) -> SignMatrix {
        let stride = stride(segments);
        SignMatrix { segments: segments.to_vec(), words: vec![0; rows * stride], stride }
    }

    /// The signs of floats, `sign(0)` positive. Parallel.
    pub(crate) fn of(isa: Isa, values: &Matrix, segments: &[Range<usize>]) -> SignMatrix {
        let mut signs = SignMatrix::positive(values.rows(), segments);
        signs.par_rows_mut().zip(values.par_rows()).for_each(|(words, row)| pack_row(isa, segments, words, row));
        signs
    }

    /// The signs of floats that `write` writes, rows from the one on that it is told, in blocks of so many. Parallel.
    pub(crate) fn of_blocks(
        isa: Isa,
        (rows, block): (usize, usize),
        segments: &[Range<usize>],
        write: impl Fn(usize, &mut [f32]) + Sync,
    ) -> SignMatrix {
        let mut signs = SignMatrix::positive(rows, segments);
        let (stride, cols) = (signs.stride.max(1), signs.cols());
        let blocks = signs.words.par_chunks_mut(block * stride).enumerate();
        blocks.for_each_init(Vec::new, |buffer, (at, words)| {
            buffer.clear();
            buffer.resize(words.len() / stride * cols, 0.0);
            write(at * block, buffer);
            let rows = words.chunks_exact_mut(stride).zip(buffer.chunks_exact(cols.max(1)));
            rows.for_each(|(words, row)| pack_row(isa, segments, words, row));
        });
        signs
    }

    /// Of the words of all rows; `None` unless they are those of `rows`.
    pub(crate) fn from_words(rows: usize, segments: &[Range<usize>], words: Vec<u64>) -> Option<SignMatrix> {
        let stride = stride(segments);
        (words.len() == rows * stride).then(|| SignMatrix { segments: segments.to_vec(), words, stride })
    }

    pub(crate) fn rows(&self) -> usize {
        self.words.len() / self.stride.max(1)
    }

    pub(crate) fn cols(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.end)
    }

    /// Words a row.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn segments(&self) -> &[Range<usize>] {
        &self.segments
    }

    /// The words of all rows.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.stride..][..self.stride]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.words[row * self.stride..][..self.stride]
    }

    /// The rows, mutably, for loops on rayon.
    pub(crate) fn par_rows_mut(&mut self) -> rayon::slice::ChunksExactMut<'_, u64> {
        self.words.par_chunks_exact_mut(self.stride.max(1))
    }

    /// Gives a row the signs of floats.
    pub(crate) fn set_row(&mut self, isa: Isa, row: usize, values: &[f32]) {
        let words = &mut self.words[row * self.stride..][..self.stride];
        pack_row(isa, &self.segments, words, values);
    }

    /// Writes the signs of floats as the words of a row.
    pub(crate) fn pack(&self, isa: Isa, values: &[f32], words: &mut [u64]) {
        pack_row(isa, &self.segments, words, values);
    }

    /// `y += sign` of a row, as 1 and -1.
    pub(crate) fn add_row(&self, isa: Isa, row: usize, y: &mut [f32]) {
        each_segment(&self.segments, self.row(row), |_, columns, words| {
            add_signed(isa, &mut y[columns], 1.0, 1.0, words);
        });
    }

    /// `y += scale * x`, x a row times one size a segment.
    pub(crate) fn add_sized_row(&self, isa: Isa, row: usize, scale: f32, sizes: &[f32], y: &mut [f32]) {
        each_segment(&self.segments, self.row(row), |layer, columns, words| {
            add_signed(isa, &mut y[columns], scale, sizes[layer], words);
        });
    }

    /// The rows `rows` copied, in that order.
    pub(crate) fn gather(&self, rows: &[u32]) -> SignMatrix {
        let words = rows.iter().flat_map(|&row| self.row(row as usize)).copied().collect();
        SignMatrix { segments: self.segments.clone(), words, stride: self.stride }
    }

    /// The same with positive rows after the last, for `rows` in all.
    pub(crate) fn grown(mut self, rows: usize) -> SignMatrix {
        if rows > self.rows() {
            self.words.resize(rows * self.stride, 0);
        }
        self
    }
}

/// Numbers of which the entries of a row have one magnitude in each segment: signs, and `rows x segments` sizes, none below 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SignedMatrix {
    pub(crate) signs: SignMatrix,
    pub(crate) sizes: Matrix,
}

/// Some rows of a [`SignedMatrix`] that follow one another, to be written.
pub(crate) struct SignedRows<'a> {
    isa: Isa,
    segments: &'a [Range<usize>],
    words: &'a mut [u64],
    sizes: &'a mut [f32],
}

impl SignedMatrix {
    pub(crate) fn rows(&self) -> usize {
        self.signs.rows()
    }

    pub(crate) fn cols(&self) -> usize {
        self.signs.cols()
    }

    /// Whether a row is all zeros.
    pub(crate) fn is_zero(&self, row: usize) -> bool {
        self.sizes.row(row).iter().all(|&size| size == 0.0)
    }

    /// Writes a row as floats.
    pub(crate) fn write_row(&self, isa: Isa, row: usize, out: &mut [f32]) {
        write_row(isa, &self.signs.segments, self.signs.row(row), self.sizes.row(row), out);
    }

    /// Writes `factor * (x - shift)`, x the rows `rows`, as columns: column k from `out[k * stride]` on, and zeros behind it up to `stride`, a multiple of
    /// sixteen that is no less than there are rows.
    pub(crate) fn write_columns(
        &self,
        isa: Isa,
        rows: &[u32],
        (shift, factor): (&[f32], f32),
        (out, stride): (&mut [f32], usize),
    ) {
        let (mut words, mut sizes) = ([0; SIGNED_ROWS], [0.0; SIGNED_ROWS]);
        let mut before = 0;
        for (layer, segment) in self.signs.segments.iter().enumerate() {
            // Columns of one word at a time, so that they stay in the cache.
            for first in segment.clone().step_by(64) {
                let shift = &shift[first..segment.end.min(first + 64)];
                let out = &mut out[first * stride..][..shift.len() * stride];
                for (at, rows) in rows.chunks(SIGNED_ROWS).enumerate() {
                    for (&row, (word, size)) in rows.iter().zip(words.iter_mut().zip(&mut sizes)) {
                        *word = self.signs.row(row as usize)[before];
                        *size = self.sizes.row(row as usize)[layer];
                    }
                    write_signed_columns(isa, &mut out[at * SIGNED_ROWS..], stride, &words, &sizes, shift, factor);
                }
                out.chunks_exact_mut(stride.max(1)).for_each(|column| column[rows.len()..].fill(0.0));
                before += 1;
            }
        }
    }

    /// Gives `visit` every segment, `row` and the inner product there of that row of `rows` with a vector of these signs and sizes. O(words) a row.
    pub(crate) fn inner_products(
        &self,
        isa: Isa,
        rows: &[u32],
        (words, sizes): (&[u64], &[f32]),
        mut visit: impl FnMut(usize, usize, f32),
    ) {
        for (at, &row) in rows.iter().enumerate() {
            let (mut own, of_row) = (self.signs.row(row as usize), self.sizes.row(row as usize));
            each_segment(&self.signs.segments, words, |layer, columns, words| {
                let (first, rest) = own.split_at(words.len());
                let agreeing = columns.len() as i32 - 2 * differing(isa, first, words) as i32;
                visit(layer, at, of_row[layer] * sizes[layer] * agreeing as f32);
                own = rest;
            });
        }
    }

    /// The rows `among` in blocks of `rows`, in order, for loops on rayon.
    pub(crate) fn par_blocks_mut(
        &mut self,
        isa: Isa,
        among: Range<usize>,
        rows: usize,
    ) -> impl IndexedParallelIterator<Item = SignedRows<'_>> {
        let SignMatrix { segments, words, stride } = &mut self.signs;
        let (segments, layers) = (&*segments, segments.len());
        let sizes = &mut self.sizes.data_mut()[among.start * layers..among.end * layers];
        let words = &mut words[among.start * *stride..among.end * *stride];
        let sizes = sizes.par_chunks_mut((rows * layers).max(1));
        let blocks = words.par_chunks_mut((rows * *stride).max(1)).zip(sizes);
        blocks.map(move |(words, sizes)| SignedRows { isa, segments, words, sizes })
    }

    /// The rows `rows` as floats, in that order. Parallel.
    pub(crate) fn gather(&self, isa: Isa, rows: &[u32]) -> Matrix {
        let mut out = Matrix::zeros(rows.len(), self.cols());
        out.par_rows_mut().zip(rows).for_each(|(out, &row)| self.write_row(isa, row as usize, out));
        out
    }

    /// Puts the rows of `from` in the places of the rows `rows`, in that order. The entries of a row of `from` have one magnitude in each segment.
    pub(crate) fn scatter(&mut self, isa: Isa, rows: &[u32], from: &Matrix) {
        for (at, &row) in rows.iter().enumerate() {
            self.signs.set_row(isa, row as usize, from.row(at));
            let sizes = self.sizes.row_mut(row as usize).iter_mut().zip(&self.signs.segments);
            sizes.for_each(|(size, segment)| *size = from.row(at)[segment.start].abs());
        }
    }
}

impl SignedRows<'_> {
    pub(crate) fn len(&self) -> usize {
        self.words.len() / stride(self.segments).max(1)
    }

    /// All of them as floats, back to back.
    pub(crate) fn to_floats(&self) -> Vec<f32> {
        let cols = self.segments.last().map_or(0, |segment| segment.end);
        let mut out = vec![0.0; self.len() * cols];
        let words = self.words.chunks_exact(stride(self.segments).max(1));
        let rows = words.zip(self.sizes.chunks_exact(self.segments.len().max(1)));
        rows.zip(out.chunks_exact_mut(cols.max(1)))
            .for_each(|((words, sizes), out)| write_row(self.isa, self.segments, words, sizes, out));
        out
    }

    /// Gives a row the values of floats, which have one magnitude in each segment.
    pub(crate) fn set(&mut self, row: usize, values: &[f32]) {
        let (stride, layers) = (stride(self.segments), self.segments.len());
        pack_row(self.isa, self.segments, &mut self.words[row * stride..][..stride], values);
        let sizes = self.sizes[row * layers..][..layers].iter_mut().zip(self.segments);
        sizes.for_each(|(size, segment)| *size = values[segment.start].abs());
    }
}

/// Rows of floats, whatever they are held as.
pub(crate) trait Rows: Sync {
    fn rows(&self) -> usize;

    fn cols(&self) -> usize;

    /// `y += scale * x`, x a row.
    fn add_row(&self, isa: Isa, row: usize, scale: f32, y: &mut [f32]);

    /// Writes rows from `first` on to `out`, as many as it holds. Parallel.
    fn write_rows(&self, isa: Isa, first: usize, out: &mut [f32]);
}

impl Rows for Matrix {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn cols(&self) -> usize {
        self.cols()
    }

    fn add_row(&self, isa: Isa, row: usize, scale: f32, y: &mut [f32]) {
        add_scaled(isa, y, scale, self.row(row));
    }

    fn write_rows(&self, _: Isa, first: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.data()[first * self.cols()..][..out.len()]);
    }
}

impl Rows for SignedMatrix {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn cols(&self) -> usize {
        self.cols()
    }

    fn add_row(&self, isa: Isa, row: usize, scale: f32, y: &mut [f32]) {
        self.signs.add_sized_row(isa, row, scale, self.sizes.row(row), y);
    }

    fn write_rows(&self, isa: Isa, first: usize, out: &mut [f32]) {
        let rows = out.par_chunks_exact_mut(self.cols().max(1)).enumerate();
        rows.for_each(|(row, out)| self.write_row(isa, first + row, out));
    }
}

/// Words of a row with these segments.
fn stride(segments: &[Range<usize>]) -> usize {
    segments.iter().map(|segment| segment.len().div_ceil(64)).sum()
}

/// Runs `visit` on every segment, its columns and its words of a row.
#[inline]
fn each_segment<'a>(
    segments: &[Range<usize>],
    mut words: &'a [u64],
    mut visit: impl FnMut(usize, Range<usize>, &'a [u64]),
) {
    for (layer, segment) in segments.iter().enumerate() {
        let (own, rest) = words.split_at(segment.len().div_ceil(64));
        visit(layer, segment.clone(), own);
        words = rest;
    }
}

fn write_row(isa: Isa, segments: &[Range<usize>], words: &[u64], sizes: &[f32], out: &mut [f32]) {
    each_segment(segments, words, |layer, columns, words| write_signed(isa, &mut out[columns], sizes[layer], words));
}

fn pack_row(isa: Isa, segments: &[Range<usize>], mut words: &mut [u64], values: &[f32]) {
    for segment in segments {
        let (own, rest) = words.split_at_mut(segment.len().div_ceil(64));
        pack_signs(isa, own, &values[segment.clone()]);
        words = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The size and the signs of a row, segment by segment.
    type Row = Vec<(f32, Vec<bool>)>;

    /// Segments of any widths, and some rows.
    fn signed_rows() -> impl Strategy<Value = (Vec<Range<usize>>, Vec<Row>)> {
        prop::collection::vec(1usize..150, 1..4).prop_flat_map(|widths| {
            let mut end = 0;
            let segments: Vec<Range<usize>> = widths
                .iter()
                .map(|width| {
                    end += width;
                    end - width..end
                })
                .collect();
            let row: Vec<_> =
                widths.iter().map(|&width| (0.0f32..3.0, prop::collection::vec(any::<bool>(), width))).collect();
            (Just(segments), prop::collection::vec(row, 1..40))
        })
    }

    proptest! {
        /// What is packed comes back bit by bit, and every sum is that of the floats.
        #[test]
        fn signs_and_sizes_are_the_floats((segments, rows) in signed_rows(), factor in 0.1f32..2.0) {
            let cols = segments.last().unwrap().end;
            let mut floats = Matrix::zeros(rows.len(), cols);
            for (at, row) in rows.iter().enumerate() {
                let values = row.iter().flat_map(|(size, signs)| signs.iter().map(move |&sign| if sign { *size } else { -*size }));
                floats.row_mut(at).iter_mut().zip(values).for_each(|(to, x)| *to = x);
            }
            for isa in Isa::available() {
                let mut signed = SignedMatrix {
                    signs: SignMatrix::positive(rows.len(), &segments),
                    sizes: Matrix::zeros(rows.len(), segments.len()),
                };
                let numbers: Vec<u32> = (0..rows.len() as u32).collect();
                signed.scatter(isa, &numbers, &floats);
                prop_assert_eq!(&signed.signs, &SignMatrix::of(isa, &floats, &segments));
                prop_assert_eq!(signed.gather(isa, &numbers), floats.clone());
                let mut written = vec![0.0; rows.len() * cols];
                signed.write_rows(isa, 0, &mut written);
                prop_assert_eq!(&written, floats.data());
                let shift: Vec<f32> = (0..cols).map(|k| k as f32 / 7.0).collect();
                for row in 0..rows.len() {
                    let [mut got, mut want] = [0, 1].map(|_| shift.clone());
                    signed.add_row(isa, row, factor, &mut got);
                    floats.add_row(isa, row, factor, &mut want);
                    prop_assert_eq!(got, want);
                }
                let some: Vec<u32> = numbers.iter().rev().step_by(2).copied().collect();
                let stride = some.len().next_multiple_of(SIGNED_ROWS) + SIGNED_ROWS;
                let mut columns = vec![f32::NAN; cols * stride];
                signed.write_columns(isa, &some, (&shift, factor), (&mut columns, stride));
                for k in 0..cols {
                    for (place, value) in columns[k * stride..][..stride].iter().enumerate() {
                        let row = some.get(place).map(|&row| floats.row(row as usize)[k]);
                        let want = row.map_or(0.0, |x| factor * (x - shift[k]));
                        prop_assert_eq!(value.to_bits(), want.to_bits(), "column {} place {}", k, place);
                    }
                }
                let mut turned = signed.clone();
                turned.par_blocks_mut(isa, 0..rows.len(), 7).for_each(|mut block| {
                    let values = block.to_floats();
                    for row in 0..block.len() {
                        let negated: Vec<f32> = values[row * cols..][..cols].iter().map(|x| -2.0 * x).collect();
                        block.set(row, &negated);
                    }
                });
                for row in 0..rows.len() {
                    let mut got = vec![0.0; cols];
                    turned.write_row(isa, row, &mut got);
                    prop_assert!(got.iter().zip(floats.row(row)).all(|(got, x)| *got == -2.0 * x));
                    prop_assert_eq!(turned.is_zero(row), floats.row(row).iter().all(|&x| x == 0.0));
                }
                for of in 0..rows.len() {
                    let vector = (signed.signs.row(of), signed.sizes.row(of));
                    let mut sums = vec![0.0f64; some.len()];
                    signed.inner_products(isa, &some, vector, |layer, at, product| {
                        let part = |row: usize| floats.row(row)[segments[layer].clone()].iter().map(|&x| f64::from(x));
                        let want: f64 = part(of).zip(part(some[at] as usize)).map(|(a, b)| a * b).sum();
                        sums[at] += (f64::from(product) - want).abs();
                    });
                    prop_assert!(sums.iter().all(|&off| off < 1e-3), "{:?}", sums);
                }
                let gathered = signed.signs.gather(&some);
                prop_assert!(some.iter().enumerate().all(|(at, &row)| gathered.row(at) == signed.signs.row(row as usize)));
            }
        }
    }
}
