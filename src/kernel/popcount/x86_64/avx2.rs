#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::portable::{self, BYTE_WORDS, Lanes};
use super::super::source::{Bits, Reach, Source};
use super::super::{LANES, LaneScalers, LaneWords, Sink, scalar};

/// Whether this processor has AVX2.
pub(in super::super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// [`super::super::Kernel::scan`]; scalar where the processor lacks the instructions.
pub(in super::super) fn scan<S: Source>(
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    match Avx2::detect() {
        // SAFETY: the processor has AVX2, as `proof` shows.
        Some(proof) => unsafe { scan_inner(proof, source, query, range, threshold, sink) },
        None => scalar::scan(source, query, range, threshold, sink),
    }
}

#[target_feature(enable = "avx2")]
fn scan_inner<S: Source>(
    proof: Avx2,
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    portable::scan::<Halves, S>(proof, source, query, range, threshold, sink);
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
    fn inner<const P: usize, const W: usize>(self, bits: &Bits<'_>) -> [__m256i; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        unsafe { inner::<P, W>(bits) }
    }

    #[inline(always)]
    fn widen(self, inner: [__m256i; 2], radii: &LaneWords, reach: &Reach<'_>) -> [__m256i; 2] {
        // Sixteen look-ups are few beside several planes; one plane needs none.
        let grown = if reach.by_radius.is_empty() { *radii } else { LaneWords(radii.0.map(|r| reach.of(r) as u32)) };
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
        inner.map(|p| unsafe { _mm256_max_epi32(p, _mm256_setzero_si256()) })
    }

    #[inline(always)]
    fn scale(self, inner: [__m256i; 2], factor: f32) -> [__m256; 2] {
        // SAFETY: AVX2, since there is a `Halves`.
        inner.map(|p| unsafe { _mm256_mul_ps(_mm256_set1_ps(factor), _mm256_cvtepi32_ps(p)) })
    }

    #[inline(always)]
    fn load(self, scalers: &LaneScalers) -> [__m256; 2] {
        let scalers = scalers.0.as_ptr();
        // SAFETY: AVX2, since there is a `Halves`; the scalers are 16 floats, aligned to 64 bytes.
        unsafe { [_mm256_load_ps(scalers), _mm256_load_ps(scalers.add(8))] }
    }

    #[inline(always)]
    fn unpack(self, packed: &LaneWords, byte: usize, step: f32) -> [__m256; 2] {
        let packed = packed.0.as_ptr().cast::<__m256i>();
        // SAFETY: AVX2, since there is a `Halves`; the lanes are 64 bytes, aligned to 64.
        unsafe {
            let shift = _mm_cvtsi32_si128(8 * byte as i32);
            let low = _mm256_set1_epi32(255);
            let unpack = |words: __m256i| {
                let bytes = _mm256_and_si256(_mm256_srl_epi32(words, shift), low);
                _mm256_mul_ps(_mm256_set1_ps(step), _mm256_cvtepi32_ps(bytes))
            };
            [unpack(_mm256_load_si256(packed)), unpack(_mm256_load_si256(packed.add(1)))]
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

/// The exact inner products `sum_b 2^b (d - 2 popcount)` of a layer.
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn inner<const P: usize, const W: usize>(bits: &Bits<'_>) -> [__m256i; 2] {
    let words = if W == 0 { bits.rows.len() } else { W };
    let rows = &bits.rows[..words];
    // SAFETY: the caller has AVX2.
    unsafe {
        let width = _mm256_set1_epi32(bits.width as i32);
        let mut inner = [_mm256_setzero_si256(); 2];
        for plane in portable::planes::<P>(bits.planes, words) {
            let mut minus_twice = [width; 2];
            for (rows, plane) in rows.chunks(BYTE_WORDS).zip(plane.chunks(BYTE_WORDS)) {
                let counts = count_bytes(rows, plane, bits.ahead);
                for (sum, counts) in minus_twice.iter_mut().zip(counts) {
                    // Bytes times -2, in pairs, then pairs of pairs: at most 4 * 248 * 2, far from saturation.
                    let pairs = _mm256_maddubs_epi16(counts, _mm256_set1_epi8(-2));
                    let lanes = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
                    *sum = _mm256_add_epi32(*sum, lanes);
                }
            }
            for (inner, term) in inner.iter_mut().zip(minus_twice) {
                *inner = _mm256_add_epi32(_mm256_add_epi32(*inner, *inner), term);
            }
        }
        inner
    }
}

/// Counts of differing bits a byte, of at most [`BYTE_WORDS`] words.
///
/// The prefetch `ahead` of the words also keeps the compiler from interleaving them until it runs out of registers (3.4 ns an item
/// instead of 2.9 at 3x256 in the cache).
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn count_bytes(rows: &[LaneWords], plane: &[u32], ahead: usize) -> [__m256i; 2] {
    // SAFETY: the caller has AVX2; a row is 64 bytes, aligned to 64.
    unsafe {
        let nibble = _mm256_set1_epi8(15);
        let ones = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        let mut counts = [_mm256_setzero_si256(); 2];
        for (row, &query) in rows.iter().zip(plane) {
            let query = _mm256_set1_epi32(query as i32);
            let row = row.0.as_ptr().cast::<__m256i>();
            // A hint that never faults, whatever the address.
            _mm_prefetch::<_MM_HINT_T0>(row.cast::<i8>().wrapping_add(ahead));
            for (half, count) in counts.iter_mut().enumerate() {
                let bits = _mm256_xor_si256(_mm256_load_si256(row.add(half)), query);
                let low = _mm256_shuffle_epi8(ones, _mm256_and_si256(bits, nibble));
                let high = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16(bits, 4), nibble));
                *count = _mm256_add_epi8(*count, _mm256_add_epi8(low, high));
            }
        }
        counts
    }
}
