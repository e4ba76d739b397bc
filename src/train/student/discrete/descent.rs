//! The vector of one row that comes nearest to its targets, by bits and by magnitudes.

use crate::kernel::dense::{Factor, Gram, Isa, Matrix, Rows, SignedMatrix, View, add_scaled, dot, multiply_by};
use crate::train::student::Segment;

/// Passes over the bits of a row a sweep; the second flips a third of what the first one does, the third a tenth.
const PASSES: usize = 3;
/// Passes over the magnitudes of a user's vector, once its signs are settled.
const RELAXATIONS: usize = 2;
/// What the length of a column is a multiple of.
const LANES: usize = 16;
/// Rows made floats at once for the Gram matrix.
const PART: usize = 1024;
/// Entries of a list past which its columns, a float a bit and entry, are not kept for the next row.
const LONG: usize = 512;

/// The side that is held fixed: W, with a row a pair to fit, and its Gram matrix `W'W`. Its rows are those of `vectors` minus `shift`.
pub(super) struct Side<'a> {
    isa: Isa,
    segments: &'a [Segment],
    vectors: &'a SignedMatrix,
    shift: Vec<f32>,
    gram: Matrix,
    /// The rows of the Gram matrix of each layer, packed.
    factors: Vec<Factor>,
}

impl<'a> Side<'a> {
    /// The rows of `vectors` minus `shift`. O(rows bits^2), parallel.
    pub(super) fn new(isa: Isa, vectors: &'a SignedMatrix, shift: Vec<f32>) -> Side<'a> {
        let (segments, bits) = (vectors.signs.segments(), vectors.cols());
        let mut gram = Gram::new(isa, bits);
        let mut part = Matrix::zeros(PART.min(vectors.rows()), bits);
        for first in (0..vectors.rows()).step_by(PART) {
            let rows = PART.min(vectors.rows() - first);
            let part = &mut part.data_mut()[..rows * bits];
            vectors.write_rows(isa, first, part);
            gram.add(View::new(part, rows, bits));
        }
        let mut gram = gram.into_matrix();
        // sum (w - m)(w - m)' = sum w w' - s m' - m s' + n m m', with s the sum of all rows.
        let sum = column_sum(isa, vectors);
        let n = vectors.rows() as f32;
        for k in 0..gram.rows() {
            let row = gram.row_mut(k);
            add_scaled(isa, row, n * shift[k] - sum[k], &shift);
            add_scaled(isa, row, -shift[k], &sum);
        }
        let pack = |layer: &Segment| {
            let rows = &gram.data()[layer.start * bits..layer.end * bits];
            Factor::pack(isa, View::new(rows, layer.len(), bits))
        };
        let factors = segments.iter().map(pack).collect();
        Side { isa, segments, vectors, shift, gram, factors }
    }

    /// A vector to start from where there is none: the signs of `cross = W't`, at a magnitude that is not above that of least squares.
    pub(super) fn start(&self, cross: &[f32], vector: &mut [f32]) {
        let trace: f32 = (0..self.gram.rows()).map(|k| self.gram.row(k)[k]).sum();
        let total: f32 = cross.iter().map(|x| x.abs()).sum();
        let size = total / (trace * cross.len() as f32);
        if size.is_finite() && size > 0.0 {
            vector.iter_mut().zip(cross).for_each(|(x, &cross)| *x = if cross >= 0.0 { size } else { -size });
        }
    }

    /// The images `W'W y` of each layer's part of some vectors, back to back in `vectors`: a matrix a layer, a row a vector.
    pub(super) fn images(&self, vectors: &[f32]) -> Images {
        let bits = self.gram.cols();
        let rows = vectors.len() / bits.max(1);
        let image = |(segment, factor): (&Segment, &Factor)| {
            let part: Vec<f32> =
                vectors.chunks_exact(bits).flat_map(|vector| &vector[segment.clone()]).copied().collect();
            let mut out = Matrix::zeros(rows, bits);
            factor.multiply(View::new(&part, rows, segment.len()), out.data_mut(), false);
            out
        };
        Images(self.segments.iter().zip(&self.factors).map(image).collect())
    }
}

/// What [`Side::images`] gives.
pub(super) struct Images(Vec<Matrix>);

/// The sum of all rows, in order.
pub(super) fn column_sum(isa: Isa, matrix: &impl Rows) -> Vec<f32> {
    let mut sum = vec![0.0; matrix.cols()];
    (0..matrix.rows()).for_each(|row| matrix.add_row(isa, row, 1.0, &mut sum));
    sum
}

/// The buffers of a descent, kept from row to row.
#[derive(Default)]
pub(super) struct Workspace {
    /// The listed rows of W times the root of their weight, by column: `[bits][stride]`, padded with zeros.
    columns: Vec<f32>,
    /// The diagonal of `W'W`, that of the list included.
    diagonal: Vec<f32>,
    /// `W'W y` without the list, of each layer's part of y: `[layers][bits]`.
    images: Vec<f32>,
    /// The list's scores by each layer's part of y: `[layers][stride]`.
    parts: Vec<f32>,
    /// Targets of the list minus scores, times the root of their weight: `[stride]`.
    rest: Vec<f32>,
    /// The signs of the vector as it was.
    own: Vec<u64>,
}

/// The minimisation over one vector y of `|t - W y|^2 + weight |t_list - W_list y|^2`, up to the constant `|t|^2`.
pub(super) struct Descent<'a> {
    side: &'a Side<'a>,
    state: &'a mut Workspace,
    stride: usize,
    vector: &'a mut [f32],
    /// `W't`.
    cross: &'a [f32],
}

impl<'a> Descent<'a> {
    /// Starts from `vector`, whose entries have one magnitude in each layer, and of which `start` holds the images, in a row of their own.
    pub(super) fn new(
        side: &'a Side<'a>,
        state: &'a mut Workspace,
        vector: &'a mut [f32],
        (start, place): (&Images, usize),
        cross: &'a [f32],
        list: impl Iterator<Item = (u32, f32)>,
        weight: f32,
    ) -> Descent<'a> {
        let (bits, layers, root) = (vector.len(), side.segments.len(), weight.sqrt());
        let (rows, goals): (Vec<u32>, Vec<f32>) = list.unzip();
        let stride = rows.len().next_multiple_of(LANES);
        let Workspace { columns, diagonal, images, parts, rest, own } = &mut *state;
        if columns.capacity() > bits * stride.max(LONG) {
            *columns = Vec::new();
        }
        // All of it is written below: it is most of what a row takes.
        columns.resize(bits * stride, 0.0);
        for (buffer, len) in
            [(&mut *diagonal, bits), (images, layers * bits), (parts, layers * stride), (&mut *rest, stride)]
        {
            buffer.clear();
            buffer.resize(len, 0.0);
        }
        side.vectors.write_columns(side.isa, &rows, (&side.shift, root), (columns, stride));
        rest.iter_mut().zip(&goals).for_each(|(rest, goal)| *rest = root * goal);
        // The vector is a code so far: its products are counts of bits.
        own.resize(side.vectors.signs.stride(), 0);
        side.vectors.signs.pack(side.isa, vector, own);
        let sizes: Vec<f32> = side.segments.iter().map(|segment| vector[segment.start].abs()).collect();
        let shifts: Vec<f32> =
            side.segments.iter().map(|own| dot(side.isa, &vector[own.clone()], &side.shift[own.clone()])).collect();
        side.vectors.inner_products(side.isa, &rows, (own, &sizes), |layer, at, product| {
            let score = root * (product - shifts[layer]);
            parts[layer * stride + at] = score;
            rest[at] -= score;
        });
        for (layer, image) in images.chunks_exact_mut(bits.max(1)).enumerate() {
            image.copy_from_slice(start.0[layer].row(place));
        }
        let square = |k: usize| {
            let column = &columns[k * stride..][..stride];
            dot(side.isa, column, column)
        };
        for segment in side.segments {
            // Not shifted, the entries of a row have one magnitude in a layer, and its columns one square.
            let one = side.shift[segment.clone()].iter().all(|&x| x == 0.0).then(|| square(segment.start));
            for k in segment.clone() {
                diagonal[k] = side.gram.row(k)[k] + one.unwrap_or_else(|| square(k));
            }
        }
        Descent { side, state, stride, vector, cross }
    }

    /// The vector as it is now.
    pub(super) fn vector(&self) -> &[f32] {
        self.vector
    }

    /// Follows a change of `vector[k]`, in a layer, by `delta`.
    fn add(&mut self, layer: usize, k: usize, delta: f32) {
        let (isa, bits, stride) = (self.side.isa, self.vector.len(), self.stride);
        let Workspace { columns, images, parts, rest, .. } = &mut *self.state;
        let column = &columns[k * stride..][..stride];
        add_scaled(isa, &mut images[layer * bits..][..bits], delta, self.side.gram.row(k));
        add_scaled(isa, &mut parts[layer * stride..][..stride], delta, column);
        add_scaled(isa, rest, -delta, column);
    }

    /// Half the negative derivative of the loss by `vector[k]`.
    fn slope(&self, k: usize) -> f32 {
        let state = &*self.state;
        let image: f32 = state.images.chunks_exact(self.vector.len()).map(|image| image[k]).sum();
        self.cross[k] - image + dot(self.side.isa, &state.columns[k * self.stride..][..self.stride], &state.rest)
    }

    /// Scalers, then passes of flips, each followed by scalers.
    pub(super) fn fit(&mut self) {
        self.rescale();
        for _ in 0..PASSES {
            let flips = self.flip();
            self.rescale();
            if flips == 0 {
                break;
            }
        }
    }

    /// Flips every bit whose flip lowers the loss, one after the other; how many there were.
    fn flip(&mut self) -> usize {
        let mut flips = 0;
        for layer in 0..self.side.segments.len() {
            for k in self.side.segments[layer].clone() {
                let x = self.vector[k];
                // The loss changes by 4 x (x diagonal + slope).
                if x * (x * self.state.diagonal[k] + self.slope(k)) < 0.0 {
                    self.vector[k] = -x;
                    self.add(layer, k, -2.0 * x);
                    flips += 1;
                }
            }
        }
        flips
    }

    /// Gives every layer's scaler its least-squares value, given the others. A layer that would have to point backwards keeps its own.
    fn rescale(&mut self) {
        let (isa, bits, stride) = (self.side.isa, self.vector.len(), self.stride);
        for (layer, segment) in self.side.segments.iter().enumerate() {
            let Workspace { images, parts, rest, .. } = &mut *self.state;
            let part = &parts[layer * stride..][..stride];
            let own = &images[layer * bits..][segment.clone()];
            let square = dot(isa, own, &self.vector[segment.clone()]) + dot(isa, part, part);
            let image = |k: usize| images.chunks_exact(bits).map(|image| image[k]).sum::<f32>();
            let slope = segment.clone().map(|k| self.vector[k] * (self.cross[k] - image(k))).sum::<f32>()
                + dot(isa, part, rest);
            let times = 1.0 + slope / square;
            if times.is_finite() && times > 1e-3 {
                add_scaled(isa, rest, 1.0 - times, part);
                multiply_by(isa, &mut images[layer * bits..][..bits], times);
                multiply_by(isa, &mut parts[layer * stride..][..stride], times);
                multiply_by(isa, &mut self.vector[segment.clone()], times);
            }
        }
    }

    /// Gives magnitudes their best values one after the other, signs unchanged.
    pub(super) fn relax(&mut self) {
        for _ in 0..RELAXATIONS {
            for layer in 0..self.side.segments.len() {
                for k in self.side.segments[layer].clone() {
                    let x = self.vector[k];
                    if x == 0.0 {
                        continue;
                    }
                    let step = self.slope(k) / self.state.diagonal[k];
                    // Never quite zero, whose sign would be lost.
                    let next =
                        if x > 0.0 { (x + step).max(f32::MIN_POSITIVE) } else { (x + step).min(-f32::MIN_POSITIVE) };
                    if next.is_finite() {
                        self.vector[k] = next;
                        self.add(layer, k, next - x);
                    }
                }
            }
        }
    }

    /// The loss, up to the constant.
    pub(super) fn loss(&self) -> f64 {
        let mut loss: f64 = self.state.rest.iter().map(|&x| f64::from(x).powi(2)).sum();
        for k in 0..self.vector.len() {
            let image: f32 = self.state.images.chunks_exact(self.vector.len()).map(|image| image[k]).sum();
            loss += f64::from(self.vector[k]) * (f64::from(image) - 2.0 * f64::from(self.cross[k]));
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dense::SignMatrix;
    use crate::train::optim::random::{below, normal, normal_matrix};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;
    use rayon::prelude::*;

    /// `|t - W y|^2 + weight |list part|^2` from its definition, in double precision.
    fn direct(w: &Matrix, target: &[f64], list: &[(u32, f32)], weight: f64, y: &[f32]) -> f64 {
        let score = |row: usize| w.row(row).iter().zip(y).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let all: f64 = target.iter().enumerate().map(|(row, t)| (t - score(row)).powi(2)).sum();
        let listed = list.iter().map(|&(row, goal)| (f64::from(goal) - score(row as usize)).powi(2));
        all + weight * listed.sum::<f64>()
    }

    /// On random problems of one to three layers: the loss that is followed is the one defined, no step raises it, where flips end no flip
    /// would lower it, and relaxing keeps signs.
    #[test]
    fn a_descent_lowers_the_loss_of_the_definition() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        for case in 0..60 {
            let isa = Isa::BASELINE;
            let (rows, layers) = (20 + below(&mut rng, 30), 1 + case % 3);
            let mut end = 0;
            let segments: Vec<Segment> = (0..layers)
                .map(|_| {
                    let start = end;
                    end += 1 + below(&mut rng, 12);
                    start..end
                })
                .collect();
            // What is fitted to are codes less their shift, which items' have none of.
            let shifted = if case % 2 == 0 { 1.0 } else { 0.0 };
            let shift: Vec<f32> = (0..end).map(|_| shifted * normal(&mut rng)).collect();
            let mut sizes = normal_matrix(&mut rng, rows, segments.len(), 1.0);
            sizes.data_mut().iter_mut().for_each(|size| *size = size.abs());
            let held =
                SignedMatrix { signs: SignMatrix::of(isa, &normal_matrix(&mut rng, rows, end, 1.0), &segments), sizes };
            let mut w = held.gather(isa, &(0..rows as u32).collect::<Vec<_>>());
            w.par_rows_mut().for_each(|row| row.iter_mut().zip(&shift).for_each(|(x, shift)| *x -= shift));
            let target: Vec<f64> = (0..rows).map(|_| f64::from(3.0 * normal(&mut rng))).collect();
            let list: Vec<(u32, f32)> =
                (0..below(&mut rng, 20)).map(|_| (below(&mut rng, rows) as u32, 3.0 * normal(&mut rng))).collect();
            let weight = below(&mut rng, 4) as f32;
            let cross: Vec<f32> = (0..end)
                .map(|k| (0..rows).map(|row| f64::from(w.row(row)[k]) * target[row]).sum::<f64>() as f32)
                .collect();
            let mut y: Vec<f32> = vec![0.0; end];
            for segment in &segments {
                let scaler = 0.1 + normal(&mut rng).abs();
                y[segment.clone()].iter_mut().for_each(|y| *y = if below(&mut rng, 2) == 0 { scaler } else { -scaler });
            }
            let side = Side::new(isa, &held, shift);
            let images = side.images(&y);
            let mut workspace = Workspace::default();
            let constant: f64 = target.iter().map(|t| t * t).sum();
            let loss = |y: &[f32]| direct(&w, &target, &list, f64::from(weight), y);
            let before = loss(&y);
            let mut descent =
                Descent::new(&side, &mut workspace, &mut y, (&images, 0), &cross, list.iter().copied(), weight);
            let near = |descent: &Descent<'_>| {
                let (followed, defined) = (constant + descent.loss(), loss(descent.vector));
                assert!((followed - defined).abs() < 1e-3 * (1.0 + before), "case {case}: {followed} {defined}");
                defined
            };
            assert!((near(&descent) - before).abs() < 1e-6 * (1.0 + before));
            let mut last = before;
            loop {
                let flips = descent.flip();
                let next = near(&descent);
                assert!(next <= last + 1e-4 * (1.0 + before), "case {case}: flips raised {last} to {next}");
                last = next;
                if flips == 0 {
                    break;
                }
            }
            for k in 0..end {
                let mut flipped = descent.vector.to_vec();
                flipped[k] = -flipped[k];
                assert!(loss(&flipped) > last - 1e-3 * (1.0 + before), "case {case}: bit {k} should have been flipped");
            }
            descent.rescale();
            let scaled = near(&descent);
            assert!(scaled <= last + 1e-4 * (1.0 + before));
            for segment in &segments {
                let first = descent.vector[segment.start].abs();
                assert!(descent.vector[segment.clone()].iter().all(|x| (x.abs() - first).abs() < 1e-5 * first));
            }
            let signs: Vec<bool> = descent.vector.iter().map(|x| *x > 0.0).collect();
            descent.relax();
            assert!(near(&descent) <= scaled + 1e-4 * (1.0 + before));
            assert_eq!(signs, descent.vector.iter().map(|x| *x > 0.0).collect::<Vec<_>>());
        }
    }
}
