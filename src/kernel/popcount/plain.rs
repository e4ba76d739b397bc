//! The operations of a scan in plain Rust, for the compiler to put into whatever registers there are.

use super::portable::Lanes;
use super::source::{Bits, Reach};
use super::{LANES, LaneCounts, LaneScalers, LaneSums, LaneWords};

/// Sums in plain arrays, for the compiler to put into whatever registers there are: for instruction sets that count the bits of bytes.
#[derive(Clone, Copy)]
pub struct Plain([f32; LANES]);

impl Lanes for Plain {
    type Proof = ();
    type Ints = [i32; LANES];
    type Floats = [f32; LANES];

    #[inline(always)]
    fn zero((): ()) -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    fn inner<const P: usize, const W: usize, const N: usize, const Q: usize>(
        self,
        bits: &Bits<'_, N, Q>,
    ) -> [[[i32; LANES]; Q]; N] {
        bits.rows.map(|rows| {
            let rows = &rows[..if W == 0 { rows.len() } else { W }];
            bits.queries.map(|query| {
                let mut inner = [0i32; LANES];
                let planes = query.planes.chunks_exact(rows.len()).take(if P == 1 { 1 } else { query.count });
                for plane in planes {
                    for (inner, count) in inner.iter_mut().zip(differing(rows, plane)) {
                        *inner = 2 * *inner + (bits.width as i32 - 2 * count as i32);
                    }
                }
                inner
            })
        })
    }

    #[inline(always)]
    fn widen(self, mut inner: [i32; LANES], radii: &LaneCounts, reach: &Reach<'_>) -> [i32; LANES] {
        for (inner, radius) in inner.iter_mut().zip(radii.0) {
            *inner = (*inner + reach.of(radius)).max(0).min(reach.most);
        }
        inner
    }

    #[inline(always)]
    fn positive(self, inner: [i32; LANES]) -> [i32; LANES] {
        inner.map(|p| p.max(0))
    }

    #[inline(always)]
    fn plus(self, mut a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
        a
    }

    #[inline(always)]
    fn raised(self, inner: [i32; LANES], by: i32) -> [i32; LANES] {
        inner.map(|p| p + by)
    }

    #[inline(always)]
    fn restore(self, sums: &LaneSums) -> [i32; LANES] {
        sums.0
    }

    #[inline(always)]
    fn keep(self, inner: [i32; LANES], sums: &mut LaneSums) {
        sums.0 = inner;
    }

    #[inline(always)]
    fn scale(self, inner: [i32; LANES], factor: f32) -> [f32; LANES] {
        inner.map(|p| factor * p as f32)
    }

    #[inline(always)]
    fn ask(self, _: &LaneScalers) {}

    #[inline(always)]
    fn load(self, scalers: &LaneScalers) -> [f32; LANES] {
        scalers.0
    }

    #[inline(always)]
    fn unpack(self, packed: &[u8; LANES], step: f32) -> [f32; LANES] {
        packed.map(|code| step * f32::from(code))
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn add_product(mut self, a: [f32; LANES], b: [f32; LANES]) -> Self {
        for ((sum, a), b) in self.0.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
        self
    }

    #[inline(always)]
    fn reached(self, threshold: f32) -> u16 {
        let mut mask = 0;
        for (lane, sum) in self.0.into_iter().enumerate() {
            mask |= u16::from(sum >= threshold) << lane;
        }
        mask
    }

    #[inline(always)]
    fn scores(self) -> [f32; LANES] {
        self.0
    }
}

/// Words a byte can count before it is full: 8 bits of each of four bytes.
const BYTE_WORDS: usize = 7;

/// The number of differing bits of each lane: counted in bytes and widened at the end.
#[inline(always)]
fn differing(rows: &[LaneWords], plane: &[u32]) -> [u32; LANES] {
    let mut differing = [0u32; LANES];
    for (rows, plane) in rows.chunks(BYTE_WORDS).zip(plane.chunks(BYTE_WORDS)) {
        let mut counts = [0u8; LANES];
        for (row, &query) in rows.iter().zip(plane) {
            for (items, query) in row.0.iter().zip(query.to_le_bytes()) {
                for (count, item) in counts.iter_mut().zip(items) {
                    *count += (item ^ query).count_ones() as u8;
                }
            }
        }
        for (sum, count) in differing.iter_mut().zip(counts) {
            *sum += u32::from(count);
        }
    }
    differing
}
