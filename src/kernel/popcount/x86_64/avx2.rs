#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::pieces::{self, PiecePass};
use super::super::plain::Plain;
use super::super::portable::{self, Lanes, Pass};
use super::super::source::{Bits, Reach, Source};
use super::super::{Agreement, LANES, LaneCounts, LaneScalers, LaneSums, LaneWords, scalar};

/// Whether this processor has AVX2.
pub(in super::super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// [`super::super::Kernel::scan_many`]; scalar where the processor lacks the instructions.
pub(in super::super) fn scan<S: Source>(pass: Pass<'_, S>) {
    match Avx2::detect() {
        // SAFETY: the processor has AVX2, as `proof` shows.
        Some(proof) => unsafe { scan_inner(proof, pass) },
        None => scalar::scan(pass),
    }
}

/// [`pieces::scan`]; in plain Rust where the processor lacks the instructions.
pub(in super::super) fn scan_pieces(pass: PiecePass<'_>) {
    match Avx2::detect() {
        // SAFETY: the processor has AVX2, as `proof` shows.
        Some(proof) => unsafe { scan_pieces_inner(proof, pass) },
        None => pieces::scan::<Plain>((), pass),
    }
}

#[target_feature(enable = "avx2")]
fn scan_pieces_inner(proof: Avx2, pass: PiecePass<'_>) {
    pieces::scan::<Halves>(proof, pass);
}

#[target_feature(enable = "avx2")]
fn scan_inner<S: Source>(proof: Avx2, pass: Pass<'_, S>) {
    portable::scan::<Halves, S>(proof, pass);
}

/// Shows that the processor has AVX2: [`Avx2::detect`] is the only way to one.
#[derive(Clone, Copy)]
struct Avx2(());

impl Avx2 {
    fn detect() -> Option<Self> {
        is_available().then_some(Self(()))
    }
}

/// Sixteen sums as two halves of eight. It is made from an [`Avx2`] only, so AVX2 is there wherever one is.
#[derive(Clone, Copy)]
struct Halves([__m256; 2]);

impl Lanes for Halves {
    type Proof = Avx2;
    type Ints = [__m256i; 2];
    type Floats = [__m256; 2];

    #[inline(always)]
    fn zero(_: Avx2) -> Self {
        // SAFETY: AVX2, as the proof shows.
        unsafe { Self([_mm256_setzero_ps(); 2]) }
    }

    #[inline(always)]
    fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        self,
        bits: &Bits<'_, N, Q>,
    ) -> [[[__m256i; 2]; Q]; N] {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe { inner::<P, W, N, Q>(bits) }
    }

    #[inline(always)]
    fn widen(self, inner: [__m256i; 2], radii: &LaneCounts, reach: &Reach<'_>) -> [__m256i; 2] {
        // Sixteen look-ups are few beside several planes; one plane needs none.
        let grown = if reach.by_radius.is_empty() { *radii } else { LaneCounts(radii.0.map(|r| reach.of(r) as u32)) };
        // SAFETY: AVX2, since there is a `Halves`; `grown` is 64 bytes, aligned to 64.
        unsafe {
            let most = _mm256_set1_epi32(reach.most);
            let grown = grown.0.as_ptr().cast::<__m256i>();
            let mut out = inner;
            for (half, out) in out.iter_mut().enumerate() {
                let mut grow = _mm256_load_si256(grown.add(half));
                if reach.by_radius.is_empty() {
                    grow = _mm256_add_epi32(grow, grow);
                }
                *out = _mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(*out, grow), _mm256_setzero_si256()), most);
            }
            out
        }
    }

    #[inline(always)]
    fn positive(self, inner: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe {
            let zero = _mm256_setzero_si256();
            [_mm256_max_epi32(inner[0], zero), _mm256_max_epi32(inner[1], zero)]
        }
    }

    #[inline(always)]
    fn plus(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
    }

    #[inline(always)]
    fn raised(self, inner: [__m256i; 2], by: i32) -> [__m256i; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        self.plus(inner, unsafe { [_mm256_set1_epi32(by); 2] })
    }

    #[inline(always)]
    fn restore(self, sums: &LaneSums) -> [__m256i; 2] {
        let sums = sums.0.as_ptr().cast::<__m256i>();
        // SAFETY: AVX2, since there is a `Halves`; the sums are 64 bytes, aligned to 64.
        unsafe { [_mm256_load_si256(sums), _mm256_load_si256(sums.add(1))] }
    }

    #[inline(always)]
    fn keep(self, inner: [__m256i; 2], sums: &mut LaneSums) {
        let sums = sums.0.as_mut_ptr().cast::<__m256i>();
        // SAFETY: AVX2, since there is a `Halves`; the sums are 64 bytes, aligned to 64.
        unsafe {
            _mm256_store_si256(sums, inner[0]);
            _mm256_store_si256(sums.add(1), inner[1]);
        }
    }

    #[inline(always)]
    fn scale(self, inner: [__m256i; 2], factor: f32) -> [__m256; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe {
            let factor = _mm256_set1_ps(factor);
            [_mm256_mul_ps(factor, _mm256_cvtepi32_ps(inner[0])), _mm256_mul_ps(factor, _mm256_cvtepi32_ps(inner[1]))]
        }
    }

    #[inline(always)]
    fn ask(self, scalers: &LaneScalers) {
        // SAFETY: a hint that never faults, in every x86-64 processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(scalers.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load(self, scalers: &LaneScalers) -> [__m256; 2] {
        let scalers = scalers.0.as_ptr();
        // SAFETY: AVX2, since there is a `Halves`; the scalers are 16 floats, aligned to 64 bytes.
        unsafe { [_mm256_load_ps(scalers), _mm256_load_ps(scalers.add(8))] }
    }

    #[inline(always)]
    fn unpack(self, packed: &[u8; LANES], step: f32) -> [__m256; 2] {
        // SAFETY: AVX2, since there is a `Halves`; `packed` is 16 bytes.
        unsafe {
            let packed = _mm_loadu_si128(packed.as_ptr().cast());
            let low = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(packed));
            let high = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(packed, packed)));
            let step = _mm256_set1_ps(step);
            [_mm256_mul_ps(step, low), _mm256_mul_ps(step, high)]
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [__m256; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn add_product(mut self, a: [__m256; 2], b: [__m256; 2]) -> Self {
        for half in 0..2 {
            // SAFETY: AVX2, since there is a `Halves`.
            self.0[half] = unsafe { _mm256_add_ps(self.0[half], _mm256_mul_ps(a[half], b[half])) };
        }
        self
    }

    #[inline(always)]
    fn reached(self, threshold: f32) -> u16 {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe {
            let threshold = _mm256_set1_ps(threshold);
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(self.0[0], threshold));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(self.0[1], threshold));
            (low | high << 8) as u16
        }
    }

    #[inline(always)]
    fn scores(self) -> [f32; LANES] {
        // SAFETY: two vectors of eight floats are sixteen floats.
        unsafe { std::mem::transmute(self.0) }
    }
}

/// Words whose agreements fit 16 bits: at most 480 each, as a lane of four bytes has eight nibbles of at most 60.
const GROUP: usize = 128;

/// Words whose agreements fit 8 bits: with one plane at most 16 each, as a register has two bytes of every lane.
const BYTE_GROUP: usize = 15;

/// The exact inner products of a layer, from the tables of [`Agreement`].
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
    bits: &Bits<'_, N, Q>,
) -> [[[__m256i; 2]; Q]; N] {
    let words = if W == 0 { bits.rows[0].len() } else { W };
    let sets = if P == 0 { bits.queries[0].tables.len() / words } else { 1 };
    // SAFETY: the caller has AVX2.
    unsafe {
        let mut sums = [[[_mm256_setzero_si256(); 2]; Q]; N];
        for set in 0..sets {
            for start in (0..words).step_by(GROUP) {
                let end = words.min(start + GROUP);
                let (mut rows, mut tables): ([&[LaneWords]; N], [&[Agreement]; Q]) = ([&[]; N], [&[]; Q]);
                for (part, rows) in rows.iter_mut().zip(bits.rows) {
                    *part = &rows[start..end];
                }
                for (part, query) in tables.iter_mut().zip(&bits.queries) {
                    *part = &query.tables[set * words..][start..end];
                }
                let counts =
                    if P == 1 { one_plane(rows, tables, bits.ahead) } else { planes(rows, tables, bits.ahead) };
                for n in 0..N {
                    for q in 0..Q {
                        for (sum, counts) in sums[n][q].iter_mut().zip(counts[n][q]) {
                            // Every set counts a sixteenth of the one before.
                            let before = if start == 0 && set > 0 { _mm256_slli_epi32::<4>(*sum) } else { *sum };
                            *sum = _mm256_add_epi32(before, _mm256_cvtepu16_epi32(counts));
                        }
                    }
                }
            }
        }
        for sums in &mut sums {
            for (sums, query) in sums.iter_mut().zip(&bits.queries) {
                let count = if P == 1 { 1 } else { query.count };
                let excess = _mm256_set1_epi32(Agreement::excess(count, bits.width));
                for sum in sums {
                    *sum = _mm256_sub_epi32(_mm256_add_epi32(*sum, *sum), excess);
                }
            }
        }
        sums
    }
}

/// The agreements of 16 lanes with one plane, 16 bits each: at most [`GROUP`] words.
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn one_plane<const N: usize, const Q: usize>(
    rows: [&[LaneWords]; N],
    tables: [&[Agreement]; Q],
    ahead: [usize; N],
) -> [[[__m128i; 2]; Q]; N] {
    let words = rows[0].len();
    // SAFETY: the caller has AVX2.
    unsafe {
        let mut sums = [[_mm256_setzero_si256(); Q]; N];
        let mut bytes = [[_mm256_setzero_si256(); Q]; N];
        for word in 0..words {
            for half in 0..2 {
                let agreements = look_up(rows, tables, word, half, ahead);
                for n in 0..N {
                    for q in 0..Q {
                        bytes[n][q] = _mm256_add_epi8(bytes[n][q], agreements[n][q]);
                    }
                }
            }
            if (word + 1).is_multiple_of(BYTE_GROUP) || word + 1 == words {
                for (sums, bytes) in sums.iter_mut().zip(&mut bytes) {
                    for (sum, bytes) in sums.iter_mut().zip(bytes) {
                        let low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(*bytes));
                        let high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(*bytes));
                        *sum = _mm256_add_epi16(*sum, _mm256_add_epi16(low, high));
                        *bytes = _mm256_setzero_si256();
                    }
                }
            }
        }
        let mut halves = [[[_mm_setzero_si128(); 2]; Q]; N];
        for (halves, sums) in halves.iter_mut().zip(sums) {
            for (halves, sum) in halves.iter_mut().zip(sums) {
                *halves = [_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum)];
            }
        }
        halves
    }
}

/// The agreements of 16 lanes with a set of planes, 16 bits each: at most [`GROUP`] words.
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn planes<const N: usize, const Q: usize>(
    rows: [&[LaneWords]; N],
    tables: [&[Agreement]; Q],
    ahead: [usize; N],
) -> [[[__m128i; 2]; Q]; N] {
    // SAFETY: the caller has AVX2.
    unsafe {
        // Of each pair of bytes both together, and the second alone: the first is what that leaves.
        let mut both = [[_mm256_setzero_si256(); Q]; N];
        let mut second = [[_mm256_setzero_si256(); Q]; N];
        for word in 0..rows[0].len() {
            let first_half = look_up(rows, tables, word, 0, ahead);
            let second_half = look_up(rows, tables, word, 1, ahead);
            for n in 0..N {
                for q in 0..Q {
                    let bytes = _mm256_add_epi8(first_half[n][q], second_half[n][q]);
                    both[n][q] = _mm256_add_epi16(both[n][q], bytes);
                    second[n][q] = _mm256_add_epi16(second[n][q], _mm256_srli_epi16::<8>(bytes));
                }
            }
        }
        let mut sums = [[[_mm_setzero_si128(); 2]; Q]; N];
        for n in 0..N {
            for q in 0..Q {
                let first = _mm256_sub_epi16(both[n][q], _mm256_slli_epi16::<8>(second[n][q]));
                let [first, second] = [fold(first), fold(second[n][q])];
                sums[n][q] = [_mm_unpacklo_epi16(first, second), _mm_unpackhi_epi16(first, second)];
            }
        }
        sums
    }
}

/// The sums of the two halves, lane by lane.
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn fold(sums: __m256i) -> __m128i {
    // SAFETY: the caller has AVX2.
    unsafe { _mm_add_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums)) }
}

/// The agreements of one half of a word's bytes, both nibbles together, of every row with every query: at most 120 a byte.
///
/// # Safety
/// Needs AVX2; `half` is 0 or 1.
#[inline(always)]
unsafe fn look_up<const N: usize, const Q: usize>(
    rows: [&[LaneWords]; N],
    tables: [&[Agreement]; Q],
    word: usize,
    half: usize,
    ahead: [usize; N],
) -> [[__m256i; Q]; N] {
    // SAFETY: the caller has AVX2; rows and tables are 64 bytes, aligned to 64, and a half of them is 32.
    unsafe {
        let nibble = _mm256_set1_epi8(15);
        let mut bits = [[nibble; 2]; N];
        for ((bits, rows), ahead) in bits.iter_mut().zip(rows).zip(ahead) {
            let row = rows[word].0.as_ptr().cast::<__m256i>().add(half);
            if half == 0 {
                // A hint that never faults, whatever the address.
                _mm_prefetch::<_MM_HINT_T0>(row.cast::<i8>().wrapping_add(ahead));
            }
            let row = _mm256_load_si256(row);
            *bits = [_mm256_and_si256(row, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(row), nibble)];
        }
        let mut agreements = [[nibble; Q]; N];
        for (q, table) in tables.iter().enumerate() {
            let table = &table[word];
            let low = _mm256_load_si256(table.low.as_ptr().cast::<__m256i>().add(half));
            let high = _mm256_load_si256(table.high.as_ptr().cast::<__m256i>().add(half));
            for (agreements, [low_bits, high_bits]) in agreements.iter_mut().zip(bits) {
                agreements[q] =
                    _mm256_add_epi8(_mm256_shuffle_epi8(low, low_bits), _mm256_shuffle_epi8(high, high_bits));
            }
        }
        agreements
    }
}
