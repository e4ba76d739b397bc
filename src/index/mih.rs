use std::ops::Range;

use super::Linear;
use super::probe::Probe;
use crate::kernel::popcount::{Blocks, LANES};

/// Bits of a substring, at most: 65,536 buckets a table.
const MOST_BITS: u32 = 16;

/// Tables a band, at most.
const MOST_TABLES: u32 = 8;

/// Classical multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012): the heaviest layer is cut into substrings, and every norm band
/// has a table a substring that lists the items of each bucket.
///
/// A band is probed at radius 0, 1, 2, ... around the query's own substrings, in all its tables. Once radius r is done, an item that was
/// not met differs in more than r bits in each of m substrings, so by at least m (r + 1) bits of the layer, and flipping a bit costs its
/// score at least `2 min |q_k| = 2`. That bounds its score together with the largest scalers of the band: the weighted stopping rule. A
/// band whose next radius has more buckets than it has blocks is finished by a scan of what was not met.
#[derive(Debug)]
pub struct Mih {
    layer: usize,
    /// First bit of the layer of every substring, and its length.
    substrings: Vec<(u32, u32)>,
    bands: Vec<Band>,
}

/// One norm band: a run of positions.
#[derive(Debug)]
struct Band {
    positions: Range<usize>,
    /// Largest scaler per layer.
    scalers: Vec<f32>,
    /// One a substring.
    tables: Vec<Table>,
}

/// Blocks of items by bucket.
#[derive(Debug)]
struct Table {
    bits: u32,
    /// Where each bucket starts, and the end of the last.
    starts: Vec<u32>,
    /// Blocks of 16 positions, ascending and distinct in a bucket.
    blocks: Vec<u32>,
}

impl Mih {
    /// Tables over items in an order that `bands` cuts, on the bits of `layer`. O(n x tables).
    pub(super) fn build(linear: &Linear, bands: &[u32], layer: usize) -> Self {
        let width = linear.shape().widths()[layer];
        let largest = bands.iter().zip([0].iter().chain(bands)).map(|(end, start)| end - start).max().unwrap_or(0);
        // As many buckets as items; shorter where the layer is.
        let bits = largest.max(2).ilog2().clamp(1, MOST_BITS).min(width);
        let tables = (width / bits).clamp(1, MOST_TABLES);
        let substrings: Vec<(u32, u32)> = (0..tables).map(|table| (table * (width / tables), bits)).collect();
        let mut start = 0;
        let bands = bands.iter().map(|&end| {
            let positions = std::mem::replace(&mut start, end as usize)..end as usize;
            Band::build(linear.blocks(), positions, layer, &substrings)
        });
        Self { layer, bands: bands.collect(), substrings }
    }

    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        let tables = self.bands.iter().flat_map(|band| &band.tables);
        tables.map(|table| size_of_val(table.starts.as_slice()) + size_of_val(table.blocks.as_slice())).sum()
    }

    /// Offers every row that can enter.
    pub(super) fn search(&self, probe: &mut Probe<'_>) {
        let sign = probe.query.codes().layer(self.layer);
        let keys: Vec<u32> = self.substrings.iter().map(|&(start, bits)| substring(|j| sign[j], start, bits)).collect();
        let mut met = vec![0u64; probe.linear.blocks().len().div_ceil(64)];
        for band in &self.bands {
            self.search_band(probe, band, &keys, &mut met);
        }
    }

    fn search_band(&self, probe: &mut Probe<'_>, band: &Band, keys: &[u32], met: &mut [u64]) {
        let blocks = band.positions.start / LANES..band.positions.end.div_ceil(LANES);
        let mut probed = 0;
        let most = band.tables.iter().map(|table| table.bits).max().unwrap_or(0);
        for radius in 0..=most {
            // What was not met at smaller radii differs from the query in at least so many bits of the layer.
            let differing = band.tables.iter().map(|table| radius.min(table.bits)).sum();
            if probe.spent || probe.bound(&band.scalers, self.layer, differing) < probe.top.threshold() {
                return;
            }
            let buckets: u64 = band.tables.iter().map(|table| choose(table.bits, radius)).sum();
            if probed + buckets > blocks.len() as u64 {
                break;
            }
            probed += buckets;
            for (table, &key) in band.tables.iter().zip(keys) {
                table.probe(key, radius, |bucket| {
                    probe.work.buckets += 1;
                    for &block in bucket {
                        if meet(met, block as usize) {
                            probe.scan(block as usize..block as usize + 1);
                        }
                    }
                });
            }
        }
        let mut rest = blocks.start;
        for block in blocks.clone() {
            if !meet(met, block) {
                probe.scan(rest..block);
                rest = block + 1;
            }
        }
        probe.scan(rest..blocks.end);
    }
}

impl Band {
    fn build(blocks: &Blocks, positions: Range<usize>, layer: usize, substrings: &[(u32, u32)]) -> Self {
        let largest = |layer| positions.clone().map(|position| blocks.scaler(position, layer)).fold(0.0, f32::max);
        let tables = substrings.iter().map(|&(start, bits)| {
            let key = |position| substring(|j| blocks.word(position, layer, j), start, bits);
            Table::build(bits, positions.clone().map(|position| (key(position), (position / LANES) as u32)))
        });
        Self { tables: tables.collect(), scalers: (0..blocks.shape().widths().len()).map(largest).collect(), positions }
    }
}

impl Table {
    fn build(bits: u32, keyed: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut keyed: Vec<(u32, u32)> = keyed.collect();
        keyed.sort_unstable();
        keyed.dedup();
        let mut starts = vec![0; (1 << bits) + 1];
        keyed.iter().for_each(|&(key, _)| starts[key as usize + 1] += 1);
        for key in 0..1 << bits {
            starts[key + 1] += starts[key];
        }
        Self { bits, starts, blocks: keyed.into_iter().map(|(_, block)| block).collect() }
    }

    /// Gives the buckets that differ from `key` in exactly `radius` bits, in ascending order of the difference.
    fn probe(&self, key: u32, radius: u32, mut visit: impl FnMut(&[u32])) {
        if radius > self.bits {
            return;
        }
        let mut flips = (1u64 << radius) - 1;
        while flips >> self.bits == 0 {
            let bucket = (key ^ flips as u32) as usize;
            visit(&self.blocks[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]);
            if flips == 0 {
                return;
            }
            // The next larger number with as many bits: carry the lowest run of ones, put its remainder at the bottom.
            let lowest = flips & flips.wrapping_neg();
            let carried = flips + lowest;
            flips = carried | ((flips ^ carried) >> (2 + lowest.trailing_zeros()));
        }
    }
}

/// Marks a block; whether it was not marked before.
fn meet(met: &mut [u64], block: usize) -> bool {
    let bit = 1 << (block % 64);
    let new = met[block / 64] & bit == 0;
    met[block / 64] |= bit;
    new
}

/// The `bits` bits from bit `start` on of a layer's 32-bit words.
fn substring(word: impl Fn(usize) -> u32, start: u32, bits: u32) -> u32 {
    let (first, shift) = (start as usize / 32, start % 32);
    let mut joined = u64::from(word(first));
    if shift + bits > 32 {
        joined |= u64::from(word(first + 1)) << 32;
    }
    (joined >> shift) as u32 & ((1 << bits) - 1)
}

/// How many words of `bits` bits have `radius` ones.
fn choose(bits: u32, radius: u32) -> u64 {
    (0..radius).fold(1, |ways, i| ways * u64::from(bits.saturating_sub(i)) / u64::from(i + 1))
}
