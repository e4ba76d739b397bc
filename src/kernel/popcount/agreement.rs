use super::LANES;

/// Planes a table can hold: the agreement of four bits is then at most `4 (2^4 - 1) = 60`, and that of a 32-bit word's column of two
/// bytes at most 240, which a byte holds.
pub const TABLE_PLANES: usize = 4;

/// How far 32 dimensions of a query agree with any item, a nibble at a time: entry n of a nibble's table is the sum over the planes of
/// `2^b` times the bits in which n agrees with the plane.
///
/// A look-up counts four dimensions in all planes at once, which is what makes a query of four planes cost little more than one of one
/// plane. With `A` the sum over all nibbles, `M = 2^B - 1`, d dimensions and t unused bits in the last word (zero on both sides, so that
/// they agree), the inner product is `p = 2 A - M (d + 2 t)`. The layout follows the item's: `[j][16]` for byte j of the word.
///
/// Tables in registers as in "Cache locality is not enough: high-performance nearest neighbor search with product quantization fast scan"
/// (André, Kermarrec and Le Scouarnec, VLDB 2015), but with exact integer entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Agreement {
    /// For the low nibble of each byte.
    pub low: [[u8; LANES]; 4],
    /// For the high nibble of each byte.
    pub high: [[u8; LANES]; 4],
}

impl Agreement {
    /// The tables of one word of up to [`TABLE_PLANES`] planes, the most significant first.
    fn of(planes: impl Iterator<Item = u32> + Clone) -> Self {
        let table = |nibble: usize| {
            let doubled = planes.clone().fold([0u64; 2], |sum, word| {
                let agreement = &AGREEMENT[(word >> (4 * nibble)) as usize % 16];
                // Entries are bytes of at most 60: sums never carry into the next.
                [2 * sum[0] + agreement[0], 2 * sum[1] + agreement[1]]
            });
            bytemuck::cast::<[[u8; 8]; 2], [u8; LANES]>(doubled.map(u64::to_le_bytes))
        };
        Self { low: std::array::from_fn(|j| table(2 * j)), high: std::array::from_fn(|j| table(2 * j + 1)) }
    }

    /// Appends the tables of one layer, whose planes are `[plane][word]`, the most significant first: `[set][word]`, where every set but
    /// the first holds [`TABLE_PLANES`] planes and counts a sixteenth of the one before.
    pub fn extend(tables: &mut Vec<Agreement>, planes: &[u32], words: usize) {
        let count = planes.len() / words.max(1);
        let mut start = 0;
        for set in (0..count.div_ceil(TABLE_PLANES)).rev() {
            let end = count - set * TABLE_PLANES;
            tables.extend((0..words).map(|word| Self::of((start..end).map(move |plane| planes[plane * words + word]))));
            start = end;
        }
    }

    /// `M (d + 2 t)`, what `2 A` is above the inner product.
    pub fn excess(planes: usize, width: u32) -> i32 {
        let unused = width.next_multiple_of(32) - width;
        ((1 << planes) - 1) * (width + 2 * unused) as i32
    }
}

/// Byte n of entry v: in how many bits the nibbles n and v agree.
const AGREEMENT: [[u64; 2]; 16] = {
    let mut tables = [[0u64; 2]; 16];
    let mut v = 0;
    while v < 16 {
        let mut n = 0;
        while n < 16 {
            let agreement = 4 - ((v ^ n) as u32).count_ones() as u64;
            tables[v][n / 8] |= agreement << (8 * (n % 8));
            n += 1;
        }
        v += 1;
    }
    tables
};
