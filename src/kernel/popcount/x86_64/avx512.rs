#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::super::pieces::{self, PiecePass};
use super::super::plain::Plain;
use super::super::portable::{self, Lanes, Pass};
use super::super::source::{Bits, Reach, Source};
use super::super::{Agreement, LANES, LaneCounts, LaneScalers, LaneSums, LaneWords, scalar};

/// [`super::super::Kernel::scan_many`] with the bits of bytes counted; scalar where the processor lacks the instructions.
pub(in super::super) fn scan<S: Source>(pass: Pass<'_, S>) {
    match Counting::detect() {
        // SAFETY: the processor has the instructions, as `proof` shows.
        Some(proof) => unsafe { scan_counting(proof, pass) },
        None => scalar::scan(pass),
    }
}

/// [`super::super::Kernel::scan_many`] with look-ups only; scalar where the processor lacks the instructions.
pub(in super::super) fn scan_by_tables<S: Source>(pass: Pass<'_, S>) {
    match Tables::detect() {
        // SAFETY: the processor has the instructions, as `proof` shows.
        Some(proof) => unsafe { scan_tables(proof, pass) },
        None => scalar::scan(pass),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bitalg,avx512vbmi,avx512vnni,gfni")]
fn scan_counting<S: Source>(proof: Counting, pass: Pass<'_, S>) {
    portable::scan::<Sixteen<Counting>, S>(proof, pass);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn scan_tables<S: Source>(proof: Tables, pass: Pass<'_, S>) {
    portable::scan::<Sixteen<Tables>, S>(proof, pass);
}

/// [`pieces::scan`] with the bits of bytes counted; in plain Rust where the processor lacks the instructions.
pub(in super::super) fn scan_pieces(pass: PiecePass<'_>) {
    match Counting::detect() {
        // SAFETY: the processor has the instructions, as `proof` shows.
        Some(proof) => unsafe { scan_pieces_counting(proof, pass) },
        None => pieces::scan::<Plain>((), pass),
    }
}

/// [`pieces::scan`] with look-ups only; in plain Rust where the processor lacks the instructions.
pub(in super::super) fn scan_pieces_by_tables(pass: PiecePass<'_>) {
    match Tables::detect() {
        // SAFETY: the processor has the instructions, as `proof` shows.
        Some(proof) => unsafe { scan_pieces_tables(proof, pass) },
        None => pieces::scan::<Plain>((), pass),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bitalg,avx512vbmi,avx512vnni,gfni")]
fn scan_pieces_counting(proof: Counting, pass: PiecePass<'_>) {
    pieces::scan::<Sixteen<Counting>>(proof, pass);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn scan_pieces_tables(proof: Tables, pass: PiecePass<'_>) {
    pieces::scan::<Sixteen<Tables>>(proof, pass);
}

/// What a processor with AVX-512 does with bytes. A value of it shows that the instructions are there: `detect` is the only way to one.
pub(in super::super) trait Bytes: Copy {
    /// Sums of bytes, lane by lane.
    type Sums: Copy;

    /// Words whose sums of look-ups [`Bytes::Sums`] can hold.
    const GROUP: usize;

    /// [`Lanes::inner`].
    ///
    /// # Safety
    /// Needs the instructions.
    unsafe fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        bits: &Bits<'_, N, Q>,
    ) -> [[__m512i; Q]; N];

    /// No bytes.
    ///
    /// # Safety
    /// Needs the instructions.
    unsafe fn none() -> Self::Sums;

    /// Adds the bytes `[4][lane]` of a word.
    ///
    /// # Safety
    /// Needs the instructions.
    unsafe fn add(sums: Self::Sums, bytes: __m512i) -> Self::Sums;

    /// The sum of every lane in 32 bits.
    ///
    /// # Safety
    /// Needs the instructions.
    unsafe fn total(sums: Self::Sums) -> __m512i;

    /// The high nibble of every byte.
    ///
    /// # Safety
    /// Needs the instructions.
    unsafe fn high(bytes: __m512i) -> __m512i;
}

/// AVX-512 with BITALG, VBMI, VNNI and GFNI, which come together: from Ice Lake and Zen 4 on.
#[derive(Clone, Copy)]
pub(in super::super) struct Counting(());

impl Counting {
    /// The instructions, if this processor has them.
    pub(in super::super) fn detect() -> Option<Self> {
        let found = Tables::detect().is_some()
            && is_x86_feature_detected!("avx512bitalg")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("gfni");
        found.then_some(Self(()))
    }
}

/// Words a byte can count the differing bits of.
const BYTE_WORDS: usize = 31;

impl Bytes for Counting {
    type Sums = __m512i;

    const GROUP: usize = usize::MAX;

    #[inline(always)]
    unsafe fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        bits: &Bits<'_, N, Q>,
    ) -> [[__m512i; Q]; N] {
        // SAFETY: the caller has the instructions; all rows are 64 bytes, aligned to 64.
        unsafe {
            if P != 1 {
                return look_up::<Self, P, W, N, Q>(bits);
            }
            let words = if W == 0 { bits.rows[0].len() } else { W };
            let mut inner = [[_mm512_set1_epi32(bits.width as i32); Q]; N];
            for start in (0..words).step_by(BYTE_WORDS) {
                let mut counts = [[_mm512_setzero_si512(); Q]; N];
                for word in start..words.min(start + BYTE_WORDS) {
                    let rows = load(bits, word);
                    for (q, query) in bits.queries.iter().enumerate() {
                        let query = _mm512_load_si512(query.spread[word].0.as_ptr().cast());
                        for n in 0..N {
                            let differing = _mm512_popcnt_epi8(_mm512_xor_si512(rows[n], query));
                            counts[n][q] = _mm512_add_epi8(counts[n][q], differing);
                        }
                    }
                }
                for (inner, counts) in inner.iter_mut().zip(counts) {
                    for (inner, counts) in inner.iter_mut().zip(counts) {
                        *inner = _mm512_dpbusd_epi32(*inner, by_lane(counts), _mm512_set1_epi8(-2));
                    }
                }
            }
            inner
        }
    }

    #[inline(always)]
    unsafe fn none() -> __m512i {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, bytes: __m512i) -> __m512i {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_dpbusd_epi32(sums, by_lane(bytes), _mm512_set1_epi8(1)) }
    }

    #[inline(always)]
    unsafe fn total(sums: __m512i) -> __m512i {
        sums
    }

    #[inline(always)]
    unsafe fn high(bytes: __m512i) -> __m512i {
        // SAFETY: the caller has the instructions. The matrix takes bits 4 to 7 to bits 0 to 3.
        unsafe { _mm512_gf2p8affine_epi64_epi8::<0>(bytes, _mm512_set1_epi64(0x1020_4080_0000_0000)) }
    }
}

/// The four bytes of every lane side by side.
///
/// # Safety
/// Needs VBMI.
#[inline(always)]
unsafe fn by_lane(bytes: __m512i) -> __m512i {
    const PLACES: LaneWords = {
        let mut places = [[0; LANES]; 4];
        let mut place = 0;
        while place < 64 {
            places[place / 16][place % 16] = (16 * (place % 4) + place / 4) as u8;
            place += 1;
        }
        LaneWords(places)
    };
    // SAFETY: the caller has VBMI; the places are 64 bytes, aligned to 64.
    unsafe { _mm512_permutexvar_epi8(_mm512_load_si512(PLACES.0.as_ptr().cast()), bytes) }
}

/// AVX-512 with bytes and words, as in Skylake-X.
#[derive(Clone, Copy)]
pub(in super::super) struct Tables(());

impl Tables {
    /// The instructions, if this processor has them.
    pub(in super::super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq");
        found.then_some(Self(()))
    }
}

impl Bytes for Tables {
    /// The sums of the even bytes and of the odd ones, 16 bits each.
    type Sums = [__m512i; 2];

    /// At most 480 a word, as a lane of four bytes has eight nibbles of at most 60: in 16 bits.
    const GROUP: usize = 128;

    #[inline(always)]
    unsafe fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        bits: &Bits<'_, N, Q>,
    ) -> [[__m512i; Q]; N] {
        // SAFETY: the caller has the instructions.
        unsafe { look_up::<Self, P, W, N, Q>(bits) }
    }

    #[inline(always)]
    unsafe fn none() -> [__m512i; 2] {
        // SAFETY: the caller has the instructions.
        unsafe { [_mm512_setzero_si512(); 2] }
    }

    #[inline(always)]
    unsafe fn add([even, odd]: [__m512i; 2], bytes: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let low = _mm512_and_si512(bytes, _mm512_set1_epi16(0xff));
            [_mm512_add_epi16(even, low), _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(bytes))]
        }
    }

    #[inline(always)]
    unsafe fn total([even, odd]: [__m512i; 2]) -> __m512i {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (even, odd) = (fold(even), fold(odd));
            let (low, high) = (_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd));
            _mm512_cvtepu16_epi32(_mm256_set_m128i(high, low))
        }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m512i) -> __m512i {
        // SAFETY: the caller has the instructions.
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15)) }
    }
}

/// The sums of the four quarters, 16 bits each.
///
/// # Safety
/// Needs AVX-512 F.
#[inline(always)]
unsafe fn fold(sums: __m512i) -> __m128i {
    // SAFETY: the caller has AVX-512 F, which includes AVX2.
    unsafe {
        let half = _mm256_add_epi16(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
        _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
    }
}

/// A word of every row.
///
/// # Safety
/// Needs AVX-512 F; there is such a word.
#[inline(always)]
unsafe fn load<const N: usize, const Q: usize>(bits: &Bits<'_, N, Q>, word: usize) -> [__m512i; N] {
    // SAFETY: the caller has AVX-512 F; rows are 64 bytes, aligned to 64.
    unsafe {
        let mut loaded = [_mm512_setzero_si512(); N];
        for ((loaded, rows), ahead) in loaded.iter_mut().zip(&bits.rows).zip(bits.ahead) {
            let row = rows[word].0.as_ptr().cast::<i8>();
            // A hint that never faults, whatever the address.
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(ahead));
            *loaded = _mm512_load_si512(row.cast());
        }
        loaded
    }
}

/// The exact inner products of a layer, from the tables of [`Agreement`].
///
/// # Safety
/// Needs the instructions of `B`.
#[inline(always)]
unsafe fn look_up<B: Bytes, const P: usize, const W: usize, const N: usize, const Q: usize>(
    bits: &Bits<'_, N, Q>,
) -> [[__m512i; Q]; N] {
    let words = if W == 0 { bits.rows[0].len() } else { W };
    let sets = if P == 0 { bits.queries[0].tables.len() / words } else { 1 };
    // Both nibbles of a byte agree in at most 8 bits of one plane, and in 120 of four.
    let in_bytes = if P == 1 { BYTE_WORDS } else { 2 };
    // SAFETY: the caller has the instructions; tables are 64 bytes, aligned to 64.
    unsafe {
        let mut inner = [[_mm512_setzero_si512(); Q]; N];
        for set in 0..sets {
            for group in (0..words).step_by(B::GROUP.min(words.max(1))) {
                let group = group..words.min(group.saturating_add(B::GROUP));
                let mut sums = [[B::none(); Q]; N];
                for start in group.clone().step_by(in_bytes) {
                    let mut bytes = [[_mm512_setzero_si512(); Q]; N];
                    for word in start..group.end.min(start + in_bytes) {
                        let rows = load(bits, word);
                        let (mut low_bits, mut high_bits) = (rows, rows);
                        for n in 0..N {
                            low_bits[n] = _mm512_and_si512(rows[n], _mm512_set1_epi8(15));
                            high_bits[n] = B::high(rows[n]);
                        }
                        for (q, query) in bits.queries.iter().enumerate() {
                            let table: &Agreement = &query.tables[set * words + word];
                            let low = _mm512_load_si512(table.low.as_ptr().cast());
                            let high = _mm512_load_si512(table.high.as_ptr().cast());
                            for n in 0..N {
                                let low = _mm512_shuffle_epi8(low, low_bits[n]);
                                let high = _mm512_shuffle_epi8(high, high_bits[n]);
                                bytes[n][q] = _mm512_add_epi8(bytes[n][q], _mm512_add_epi8(low, high));
                            }
                        }
                    }
                    for n in 0..N {
                        for q in 0..Q {
                            sums[n][q] = B::add(sums[n][q], bytes[n][q]);
                        }
                    }
                }
                for n in 0..N {
                    for q in 0..Q {
                        // Every set counts a sixteenth of the one before.
                        let before =
                            if group.start == 0 && set > 0 { _mm512_slli_epi32::<4>(inner[n][q]) } else { inner[n][q] };
                        inner[n][q] = _mm512_add_epi32(before, B::total(sums[n][q]));
                    }
                }
            }
        }
        for inner in &mut inner {
            for (inner, query) in inner.iter_mut().zip(&bits.queries) {
                let count = if P == 1 { 1 } else { query.count };
                let excess = _mm512_set1_epi32(Agreement::excess(count, bits.width));
                *inner = _mm512_sub_epi32(_mm512_add_epi32(*inner, *inner), excess);
            }
        }
        inner
    }
}

/// Sixteen sums. It is made from a `B` only, so that the instructions are there wherever one is.
#[derive(Clone, Copy)]
struct Sixteen<B>(__m512, PhantomData<B>);

impl<B: Bytes> Lanes for Sixteen<B> {
    type Proof = B;
    type Ints = __m512i;
    type Floats = __m512;

    #[inline(always)]
    fn zero(_: B) -> Self {
        // SAFETY: AVX-512 F, as the proof shows; so in all methods below, since there is a value.
        Self(unsafe { _mm512_setzero_ps() }, PhantomData)
    }

    #[inline(always)]
    fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        self,
        bits: &Bits<'_, N, Q>,
    ) -> [[__m512i; Q]; N] {
        // SAFETY: the instructions of `B`, since there is a value.
        unsafe { B::inner::<P, W, N, Q>(bits) }
    }

    #[inline(always)]
    fn widen(self, inner: __m512i, radii: &LaneCounts, reach: &Reach<'_>) -> __m512i {
        // Sixteen look-ups are few beside several planes; one plane needs none.
        let grown = if reach.by_radius.is_empty() { *radii } else { LaneCounts(radii.0.map(|r| reach.of(r) as u32)) };
        // SAFETY: AVX-512 F; `grown` is 64 bytes, aligned to 64.
        unsafe {
            let mut grow = _mm512_load_si512(grown.0.as_ptr().cast());
            if reach.by_radius.is_empty() {
                grow = _mm512_add_epi32(grow, grow);
            }
            let grown = _mm512_max_epi32(_mm512_add_epi32(inner, grow), _mm512_setzero_si512());
            _mm512_min_epi32(grown, _mm512_set1_epi32(reach.most))
        }
    }

    #[inline(always)]
    fn positive(self, inner: __m512i) -> __m512i {
        // SAFETY: AVX-512 F.
        unsafe { _mm512_max_epi32(inner, _mm512_setzero_si512()) }
    }

    #[inline(always)]
    fn plus(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: AVX-512 F.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn raised(self, inner: __m512i, by: i32) -> __m512i {
        // SAFETY: AVX-512 F.
        unsafe { _mm512_add_epi32(inner, _mm512_set1_epi32(by)) }
    }

    #[inline(always)]
    fn restore(self, sums: &LaneSums) -> __m512i {
        // SAFETY: AVX-512 F; the sums are 64 bytes, aligned to 64.
        unsafe { _mm512_load_si512(sums.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn keep(self, inner: __m512i, sums: &mut LaneSums) {
        // SAFETY: AVX-512 F; the sums are 64 bytes, aligned to 64.
        unsafe { _mm512_store_si512(sums.0.as_mut_ptr().cast(), inner) }
    }

    #[inline(always)]
    fn scale(self, inner: __m512i, factor: f32) -> __m512 {
        // SAFETY: AVX-512 F.
        unsafe { _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_cvtepi32_ps(inner)) }
    }

    #[inline(always)]
    fn ask(self, scalers: &LaneScalers) {
        // SAFETY: a hint that never faults, in every x86-64 processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(scalers.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load(self, scalers: &LaneScalers) -> __m512 {
        // SAFETY: AVX-512 F; the scalers are 64 bytes, aligned to 64.
        unsafe { _mm512_load_ps(scalers.0.as_ptr()) }
    }

    #[inline(always)]
    fn unpack(self, packed: &[u8; LANES], step: f32) -> __m512 {
        // SAFETY: AVX-512 F; `packed` is 16 bytes.
        unsafe {
            let codes = _mm512_cvtepu8_epi32(_mm_loadu_si128(packed.as_ptr().cast()));
            _mm512_mul_ps(_mm512_set1_ps(step), _mm512_cvtepi32_ps(codes))
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn add_product(self, a: __m512, b: __m512) -> Self {
        // SAFETY: AVX-512 F.
        Self(unsafe { _mm512_add_ps(self.0, _mm512_mul_ps(a, b)) }, PhantomData)
    }

    #[inline(always)]
    fn reached(self, threshold: f32) -> u16 {
        // SAFETY: AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, _mm512_set1_ps(threshold)) }
    }

    #[inline(always)]
    fn scores(self) -> [f32; LANES] {
        // SAFETY: a vector of sixteen floats is sixteen floats.
        unsafe { std::mem::transmute(self.0) }
    }
}
