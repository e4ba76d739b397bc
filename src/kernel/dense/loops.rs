//! Loops over rows of floats. Reductions keep sixteen running sums, folded in a fixed order.

use super::isa::{Isa, dispatch, fma};

/// Running sums of a reduction, the same number on every instruction set.
const LANES: usize = 16;

dispatch! {
    /// The inner product of two rows of the same length.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body;
    /// `y += scale * x`.
    pub(crate) fn add_scaled(y: &mut [f32], scale: f32, x: &[f32]) = add_scaled_body;
    /// `y += scale * x`, of bfloat16.
    pub(crate) fn add_scaled_halves(y: &mut [f32], scale: f32, x: &[u16]) = add_scaled_halves_body;
    /// Rounds floats to the nearest bfloat16, ties to even.
    pub(crate) fn round_to_halves(out: &mut [u16], x: &[f32]) = round_to_halves_body;
    /// `out = base + sum over targets t, in order, of factor * scales[t] * table[t]`, where `table` has rows as long as `out`; an empty `base`
    /// stands for zeros. The sums stay in registers, 64 columns at a time.
    pub(crate) fn weighted_sum(
        out: &mut [f32], base: &[f32], table: &[f32], targets: &[u32], factor: f32, scales: &[f32],
    ) = weighted_sum_body;
    /// `out += sum over targets t, in order, of weight (<v, x> - shift) v`, where v is row t of `table`, which has rows as long as `out`; without
    /// `weights` each is 1. Four rows are read together, which changes no bit.
    pub(crate) fn add_projections(
        out: &mut [f32], x: &[f32], shift: f32, table: &[f32], targets: &[u32], weights: Option<&[f32]>,
    ) = add_projections_body;
    /// `y = x + scale * y`.
    pub(crate) fn scale_add(y: &mut [f32], scale: f32, x: &[f32]) = scale_add_body;
    /// The sum of absolute values of a row.
    pub(crate) fn sum_abs(x: &[f32]) -> f32 = sum_abs_body;
    /// Replaces each `x` by `exp(scale * x - shift)` and returns the sum. The relative error of an exponential is below 3e-7
    /// for results that are normal numbers; smaller results become 0.
    pub(crate) fn exponentials(x: &mut [f32], scale: f32, shift: f32) -> f32 = exponentials_body;
    /// The largest element, or negative infinity for an empty row.
    pub(crate) fn maximum(x: &[f32]) -> f32 = maximum_body;
    /// Multiplies a row by a number.
    pub(crate) fn multiply_by(x: &mut [f32], scale: f32) = multiply_by_body;
    /// Writes the signs of `x` as floats, +1 for `x >= 0` and -1 otherwise.
    pub(crate) fn write_signs(out: &mut [f32], x: &[f32]) = write_signs_body;
    /// Packs signs, 64 to a word, a bit set where `x < 0`; what is past the end is clear. `words` holds one for every 64 of `x`, the last begun.
    pub(crate) fn pack_signs(words: &mut [u64], x: &[f32]) = pack_signs_body;
    /// Writes `size` with the signs of `words`, as [`pack_signs`] packs them. `size` is not negative.
    pub(crate) fn write_signed(out: &mut [f32], size: f32, words: &[u64]) = write_signed_body;
    /// `y += scale * x`, with the x that [`write_signed`] writes.
    pub(crate) fn add_signed(y: &mut [f32], scale: f32, size: f32, words: &[u64]) = add_signed_body;
    /// `out[k][row] = factor * (x_row[k] - shift[k])`, with the x that [`write_signed`] writes of one word and size for each of sixteen rows; the columns
    /// of `out` are `stride` apart, and there are as many of them as shifts, at most 64.
    pub(crate) fn write_signed_columns(
        out: &mut [f32], stride: usize, words: &[u64; SIGNED_ROWS], sizes: &[f32; SIGNED_ROWS], shift: &[f32], factor: f32,
    ) = write_signed_columns_body;
    /// `y += scale * a * b`, element by element.
    pub(crate) fn add_product(y: &mut [f32], scale: f32, a: &[f32], b: &[f32]) = add_product_body;
    /// `sum of x (b + share (a - b))`: the inner product of a row with a mixture of two others, with a share for each element.
    pub(crate) fn mixed_dot(x: &[f32], a: &[f32], b: &[f32], shares: &[f32]) -> f32 = mixed_dot_body;
    /// `y += scale * (b + share (a - b))`.
    pub(crate) fn add_mixed(y: &mut [f32], scale: f32, a: &[f32], b: &[f32], shares: &[f32]) = add_mixed_body;
    /// How many bits of two rows of the same length differ.
    pub(crate) fn differing(a: &[u64], b: &[u64]) -> u32 = differing_body;
    /// How many bits two rows of the same length have in common.
    pub(crate) fn common(a: &[u64], b: &[u64]) -> u32 = common_body;
    /// One step of Adam; the gradient is multiplied by the step's `scale` first. `first` and `second` are the moments.
    pub(crate) fn adam(
        values: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], step: &AdamStep,
    ) = adam_body;
}

/// Rows of [`write_signed_columns`].
pub(crate) const SIGNED_ROWS: usize = 16;

/// The constants of one step of [`adam`].
pub(crate) struct AdamStep {
    /// Learning rate over the bias correction of the first moment.
    pub(crate) rate: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    /// Inverse bias correction of the second moment.
    pub(crate) correct2: f32,
    pub(crate) epsilon: f32,
    /// Multiplies the gradient.
    pub(crate) scale: f32,
}

#[inline(always)]
fn adam_body<const FUSED: bool>(
    values: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    step: &AdamStep,
) {
    let n = values.len();
    let (first, second, gradient) = (&mut first[..n], &mut second[..n], &gradient[..n]);
    for at in 0..n {
        let g = gradient[at] * step.scale;
        let m = fma::<FUSED>(step.beta1, first[at], (1.0 - step.beta1) * g);
        let v = fma::<FUSED>(step.beta2, second[at], (1.0 - step.beta2) * g * g);
        first[at] = m;
        second[at] = v;
        values[at] -= step.rate * m / ((v * step.correct2).sqrt() + step.epsilon);
    }
}

#[inline(always)]
fn common_body<const FUSED: bool>(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
}

#[inline(always)]
fn pack_signs_body<const FUSED: bool>(words: &mut [u64], x: &[f32]) {
    for (word, x) in words.iter_mut().zip(x.chunks(64)) {
        *word = x.iter().enumerate().fold(0, |word, (k, &x)| word | (u64::from(!is_positive(x)) << k));
    }
}

/// Whether a sign is taken for +1, as codes take it.
#[inline(always)]
fn is_positive(x: f32) -> bool {
    x >= 0.0
}

/// `size`, negative where the lowest bit of `bits` is set.
#[inline(always)]
fn signed(size: f32, bits: u32) -> f32 {
    f32::from_bits(size.to_bits() | bits << 31)
}

/// Runs `visit` on every element of `out` and the number of size `size` with its sign.
#[inline(always)]
fn each_signed(out: &mut [f32], size: f32, words: &[u64], visit: impl Fn(&mut f32, f32)) {
    let (blocks, rest) = out.as_chunks_mut::<64>();
    for (block, word) in blocks.iter_mut().zip(words) {
        let halves = [*word as u32, (*word >> 32) as u32];
        for (half, bits) in block.as_chunks_mut::<32>().0.iter_mut().zip(halves) {
            for (lane, out) in half.iter_mut().enumerate() {
                visit(out, signed(size, bits >> lane));
            }
        }
    }
    if let Some(&word) = words.get(blocks.len()) {
        rest.iter_mut().enumerate().for_each(|(lane, out)| visit(out, signed(size, (word >> lane) as u32)));
    }
}

#[inline(always)]
fn write_signed_body<const FUSED: bool>(out: &mut [f32], size: f32, words: &[u64]) {
    each_signed(out, size, words, |out, x| *out = x);
}

#[inline(always)]
fn add_signed_body<const FUSED: bool>(y: &mut [f32], scale: f32, size: f32, words: &[u64]) {
    each_signed(y, size, words, |y, x| *y = fma::<FUSED>(scale, x, *y));
}

#[inline(always)]
fn write_signed_columns_body<const FUSED: bool>(
    out: &mut [f32],
    stride: usize,
    words: &[u64; SIGNED_ROWS],
    sizes: &[f32; SIGNED_ROWS],
    shift: &[f32],
    factor: f32,
) {
    let (low, high) = shift.split_at(shift.len().min(32));
    for (half, shift) in [low, high].into_iter().enumerate() {
        let bits = words.map(|word| (word >> (32 * half)) as u32);
        for (k, (column, &shift)) in out.chunks_mut(stride).skip(32 * half).zip(shift).enumerate() {
            for (row, out) in column[..SIGNED_ROWS].iter_mut().enumerate() {
                *out = factor * (signed(sizes[row], bits[row] >> k) - shift);
            }
        }
    }
}

#[inline(always)]
fn differing_body<const FUSED: bool>(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

#[inline(always)]
fn add_product_body<const FUSED: bool>(y: &mut [f32], scale: f32, a: &[f32], b: &[f32]) {
    for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
        *y = fma::<FUSED>(scale * a, b, *y);
    }
}

#[inline(always)]
fn mixed_dot_body<const FUSED: bool>(x: &[f32], a: &[f32], b: &[f32], shares: &[f32]) -> f32 {
    let n = x.len();
    let (a, b, shares) = (&a[..n], &b[..n], &shares[..n]);
    let mut lanes = [0.0f32; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            let at = start + lane;
            *sum = fma::<FUSED>(x[at], fma::<FUSED>(shares[at], a[at] - b[at], b[at]), *sum);
        }
    }
    (whole..n).fold(fold(lanes), |total, at| fma::<FUSED>(x[at], fma::<FUSED>(shares[at], a[at] - b[at], b[at]), total))
}

#[inline(always)]
fn add_mixed_body<const FUSED: bool>(y: &mut [f32], scale: f32, a: &[f32], b: &[f32], shares: &[f32]) {
    let n = y.len();
    let (a, b, shares) = (&a[..n], &b[..n], &shares[..n]);
    for at in 0..n {
        y[at] = fma::<FUSED>(scale, fma::<FUSED>(shares[at], a[at] - b[at], b[at]), y[at]);
    }
}

#[inline(always)]
fn fold(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn dot_body<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = fma::<FUSED>(a, b, *lane);
        }
    }
    let mut total = fold(lanes);
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        total = fma::<FUSED>(a, b, total);
    }
    total
}

#[inline(always)]
fn add_scaled_body<const FUSED: bool>(y: &mut [f32], scale: f32, x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = fma::<FUSED>(scale, x, *y);
    }
}

#[inline(always)]
fn add_scaled_halves_body<const FUSED: bool>(y: &mut [f32], scale: f32, x: &[u16]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = fma::<FUSED>(scale, f32::from_bits(u32::from(x) << 16), *y);
    }
}

#[inline(always)]
fn round_to_halves_body<const FUSED: bool>(out: &mut [u16], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        let bits = x.to_bits();
        *out = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    }
}

#[inline(always)]
fn add_projections_body<const FUSED: bool>(
    out: &mut [f32],
    x: &[f32],
    shift: f32,
    table: &[f32],
    targets: &[u32],
    weights: Option<&[f32]>,
) {
    let row = |target: u32| &table[target as usize * x.len()..][..x.len()];
    let weight = |at: usize| weights.map_or(1.0, |weights| weights[at]);
    let (fours, rest) = targets.as_chunks::<4>();
    for (four, targets) in fours.iter().enumerate() {
        let rows = targets.map(row);
        let mut factors = dots::<FUSED>(rows, x);
        factors.iter_mut().enumerate().for_each(|(at, factor)| *factor = weight(4 * four + at) * (*factor - shift));
        // Wide enough that the sums of a block stay in registers, and that no compiler vectorises across blocks.
        let (blocks, rest) = out.as_chunks_mut::<64>();
        let from = 64 * blocks.len();
        for (block, out) in blocks.iter_mut().enumerate() {
            let mut sums = *out;
            for (&factor, row) in factors.iter().zip(rows) {
                for (sum, &v) in sums.iter_mut().zip(&row[64 * block..][..64]) {
                    *sum = fma::<FUSED>(factor, v, *sum);
                }
            }
            *out = sums;
        }
        factors.iter().zip(rows).for_each(|(&factor, row)| add_scaled_body::<FUSED>(rest, factor, &row[from..]));
    }
    for (at, row) in rest.iter().map(|&target| row(target)).enumerate() {
        let factor = weight(4 * fours.len() + at) * (dot_body::<FUSED>(row, x) - shift);
        add_scaled_body::<FUSED>(out, factor, row);
    }
}

/// The inner products of four rows with a fifth, the same bits as [`dot`]'s.
#[inline(always)]
fn dots<const FUSED: bool>(rows: [&[f32]; 4], x: &[f32]) -> [f32; 4] {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut lanes = [[0.0f32; LANES]; 4];
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<LANES>().0);
    for ((((x, a), b), c), d) in x.iter().zip(a).zip(b).zip(c).zip(d) {
        for (lanes, row) in lanes.iter_mut().zip([a, b, c, d]) {
            for (lane, (&v, &x)) in lanes.iter_mut().zip(row.iter().zip(x)) {
                *lane = fma::<FUSED>(v, x, *lane);
            }
        }
    }
    let mut totals = lanes.map(fold);
    for (total, row) in totals.iter_mut().zip(rows) {
        for (&v, &x) in row[LANES * x.len()..].iter().zip(rest) {
            *total = fma::<FUSED>(v, x, *total);
        }
    }
    totals
}

#[inline(always)]
fn weighted_sum_body<const FUSED: bool>(
    out: &mut [f32],
    base: &[f32],
    table: &[f32],
    targets: &[u32],
    factor: f32,
    scales: &[f32],
) {
    let cols = out.len();
    let mut start = 0;
    for width in [64, 16, 8, 1] {
        while start + width <= cols {
            let (out, base) = (&mut out[start..start + width], base.get(start..start + width));
            match width {
                64 => sum_columns::<FUSED, 64>(out, base, table, cols, start, targets, factor, scales),
                16 => sum_columns::<FUSED, 16>(out, base, table, cols, start, targets, factor, scales),
                8 => sum_columns::<FUSED, 8>(out, base, table, cols, start, targets, factor, scales),
                _ => sum_columns::<FUSED, 1>(out, base, table, cols, start, targets, factor, scales),
            }
            start += width;
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn sum_columns<const FUSED: bool, const W: usize>(
    out: &mut [f32],
    base: Option<&[f32]>,
    table: &[f32],
    cols: usize,
    start: usize,
    targets: &[u32],
    factor: f32,
    scales: &[f32],
) {
    let mut sums = [0.0f32; W];
    if let Some(base) = base {
        sums.copy_from_slice(base);
    }
    for &target in targets {
        let scale = factor * scales[target as usize];
        let from = target as usize * cols + start;
        for (sum, &x) in sums.iter_mut().zip(&table[from..from + W]) {
            *sum = fma::<FUSED>(scale, x, *sum);
        }
    }
    out.copy_from_slice(&sums);
}

#[inline(always)]
fn scale_add_body<const FUSED: bool>(y: &mut [f32], scale: f32, x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = fma::<FUSED>(scale, *y, x);
    }
}

#[inline(always)]
fn sum_abs_body<const FUSED: bool>(x: &[f32]) -> f32 {
    sum_of(x, f32::abs)
}

#[inline(always)]
fn sum_of(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += of(x);
        }
    }
    rest.iter().fold(fold(lanes), |total, &x| total + of(x))
}

#[inline(always)]
fn maximum_body<const FUSED: bool>(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |best, &x| if x > best { x } else { best })
}

#[inline(always)]
fn multiply_by_body<const FUSED: bool>(x: &mut [f32], scale: f32) {
    for x in x {
        *x *= scale;
    }
}

#[inline(always)]
fn write_signs_body<const FUSED: bool>(out: &mut [f32], x: &[f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = if x >= 0.0 { 1.0 } else { -1.0 };
    }
}

#[inline(always)]
fn exponentials_body<const FUSED: bool>(x: &mut [f32], scale: f32, shift: f32) -> f32 {
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = exponential::<FUSED>(fma::<FUSED>(scale, *x, -shift));
            *lane += *x;
        }
    }
    let mut total = fold(lanes);
    for x in rest {
        *x = exponential::<FUSED>(fma::<FUSED>(scale, *x, -shift));
        total += *x;
    }
    total
}

/// `exp(x)` by a power of two and a polynomial on `|r| <= ln(2)/2` (the minimax coefficients of Cephes' `expf`); results
/// outside the normal numbers are 0 or at most 2^127.
#[inline(always)]
#[allow(clippy::excessive_precision)]
fn exponential<const FUSED: bool>(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let rounded = fma::<FUSED>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = fma::<FUSED>(n, 2.121_944_4e-4, fma::<FUSED>(n, -0.693_359_375, clamped));
    let mut p = 1.987_569_15e-4;
    for c in [1.398_199_950_7e-3, 8.333_451_907_3e-3, 4.166_579_589_4e-2, 1.666_666_545_9e-1, 5.000_000_120_1e-1] {
        p = fma::<FUSED>(p, r, c);
    }
    let p = fma::<FUSED>(p * r, r, r) + 1.0;
    let power = f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        (0usize..100)
            .prop_flat_map(|n| (prop::collection::vec(-3.0f32..3.0, n), prop::collection::vec(-3.0f32..3.0, n)))
    }

    proptest! {
        #[test]
        fn loops_equal_their_definitions((a, b) in rows(), scale in -2.0f32..2.0) {
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let (a64, b64) = (wide(&a), wide(&b));
            for isa in Isa::available() {
                let inner: f64 = a64.iter().zip(&b64).map(|(a, b)| a * b).sum();
                prop_assert!((f64::from(dot(isa, &a, &b)) - inner).abs() < 1e-3);
                let words: Vec<[u64; 2]> = a.iter().zip(&b).map(|(a, b)| [a, b].map(|x| f64::from(*x).to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
                let [x, y] = [0, 1].map(|at| words.iter().map(|pair| pair[at]).collect::<Vec<u64>>());
                prop_assert_eq!(differing(isa, &x, &y), words.iter().map(|[x, y]| (x ^ y).count_ones()).sum::<u32>());
                prop_assert_eq!(common(isa, &x, &y), words.iter().map(|[x, y]| (x & y).count_ones()).sum::<u32>());
                prop_assert!((f64::from(sum_abs(isa, &a)) - a64.iter().map(|x| x.abs()).sum::<f64>()).abs() < 1e-3);
                prop_assert_eq!(maximum(isa, &a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                let mut y = b.clone();
                add_scaled(isa, &mut y, scale, &a);
                let mut z = b.clone();
                scale_add(isa, &mut z, scale, &a);
                let mut halves = vec![0; a.len()];
                round_to_halves(isa, &mut halves, &a);
                let mut rounded = b.clone();
                add_scaled_halves(isa, &mut rounded, 1.0, &halves);
                for at in 0..a.len() {
                    prop_assert!((rounded[at] - (b[at] + a[at])).abs() <= a[at].abs() / 256.0 + 1e-6);
                    prop_assert!((y[at] - (b[at] + scale * a[at])).abs() < 1e-5);
                    prop_assert!((z[at] - (a[at] + scale * b[at])).abs() < 1e-5);
                }
                let shares: Vec<f32> = a.iter().map(|a| a.abs() / 3.0).collect();
                let mixed = |at: usize| f64::from(b[at]) + f64::from(shares[at]) * (a64[at] - b64[at]);
                let want: f64 = (0..a.len()).map(|at| b64[at] * mixed(at)).sum();
                prop_assert!((f64::from(mixed_dot(isa, &b, &a, &b, &shares)) - want).abs() < 1e-3);
                let (mut y, mut z) = (b.clone(), b.clone());
                add_mixed(isa, &mut y, scale, &a, &b, &shares);
                add_product(isa, &mut z, scale, &a, &shares);
                for at in 0..a.len() {
                    prop_assert!((f64::from(y[at]) - (b64[at] + f64::from(scale) * mixed(at))).abs() < 1e-5);
                    prop_assert!((z[at] - (b[at] + scale * a[at] * shares[at])).abs() < 1e-5);
                }
                let mut signs = vec![0.0; a.len()];
                write_signs(isa, &mut signs, &a);
                let want: Vec<f32> = a.iter().map(|&a| if a >= 0.0 { 1.0 } else { -1.0 }).collect();
                prop_assert_eq!(signs, want);
            }
        }

        #[test]
        fn exponentials_are_accurate(x in prop::collection::vec(-80.0f32..20.0, 0..50)) {
            for isa in Isa::available() {
                let mut got = x.clone();
                let total = exponentials(isa, &mut got, 1.0, 0.5);
                let want: Vec<f64> = x.iter().map(|&x| f64::from(x - 0.5).exp()).collect();
                for (got, want) in got.iter().zip(&want) {
                    prop_assert!((f64::from(*got) - want).abs() <= 4e-6 * want, "{got} {want}");
                }
                prop_assert!((f64::from(total) - want.iter().sum::<f64>()).abs() <= 1e-5 * want.iter().sum::<f64>());
            }
        }
    }

    #[test]
    fn weighted_sums_are_chains_of_additions() {
        for cols in [1, 5, 16, 64, 67, 150] {
            let table: Vec<f32> = (0..9 * cols).map(|at| ((at * 31 % 97) as f32 - 40.0) / 16.0).collect();
            let scales: Vec<f32> = (0..9).map(|at| at as f32 / 8.0 - 0.3).collect();
            let targets = [3u32, 0, 8, 3, 5];
            for isa in Isa::available() {
                for base in [vec![], (0..cols).map(|at| at as f32).collect()] {
                    let mut want = if base.is_empty() { vec![0.0; cols] } else { base.clone() };
                    for &t in &targets {
                        let row = &table[t as usize * cols..][..cols];
                        add_scaled(isa, &mut want, 0.7 * scales[t as usize], row);
                    }
                    let mut got = vec![f32::NAN; cols];
                    weighted_sum(isa, &mut got, &base, &table, &targets, 0.7, &scales);
                    assert_eq!(got, want, "{isa:?} {cols}");
                }
            }
        }
    }

    #[test]
    fn projections_are_chains_of_dots_and_additions() {
        for cols in [1, 5, 16, 64, 67, 150] {
            let table: Vec<f32> = (0..9 * cols).map(|at| ((at * 31 % 97) as f32 - 40.0) / 16.0).collect();
            let x: Vec<f32> = (0..cols).map(|at| ((at * 17 % 23) as f32 - 9.0) / 8.0).collect();
            let weights: Vec<f32> = (0..9).map(|at| at as f32 / 8.0 - 0.3).collect();
            let targets = [3u32, 0, 8, 3, 5, 7, 1, 2, 6];
            for isa in Isa::available() {
                for (n, weights) in (0..=9).flat_map(|n| [(n, None), (n, Some(&weights[..]))]) {
                    let mut want: Vec<f32> = (0..cols).map(|at| at as f32).collect();
                    let mut got = want.clone();
                    for (at, &t) in targets[..n].iter().enumerate() {
                        let row = &table[t as usize * cols..][..cols];
                        let factor = weights.map_or(1.0, |weights| weights[at]) * (dot(isa, row, &x) - 0.75);
                        add_scaled(isa, &mut want, factor, row);
                    }
                    add_projections(isa, &mut got, &x, 0.75, &table, &targets[..n], weights);
                    assert_eq!(got, want, "{isa:?} {cols} {n}");
                }
            }
        }
    }

    #[test]
    fn exponentials_underflow_to_zero() {
        let mut x = [-1000.0, f32::NEG_INFINITY, 0.0];
        assert_eq!(exponentials(Isa::BASELINE, &mut x, 1.0, 0.0), 1.0);
        assert_eq!(x, [0.0, 0.0, 1.0]);
    }
}
