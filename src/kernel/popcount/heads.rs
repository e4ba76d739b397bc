use bytemuck::Zeroable;
use rayon::prelude::*;

use super::portable::Lanes;
use super::scalar;
use super::source::{Bits, QueryBits, Source};
use super::{Agreement, BallQuery, LANES, LaneWords};
use crate::code::{CodeError, LayeredCodes};

/// Scalers packed into the place of one 32-bit word.
const PACKED: usize = 4;

/// The part of an item that bounds its score: one layer's bits, and every layer's scaler rounded up to 8 bits.
///
/// A block is `[ceil(d / 32)][16]` words of the layer's bits, then `[ceil(layers / 4)][16]` words of four scalers each, aligned to 64
/// bytes: 12 bytes per item for four layers of 64 bits.
///
/// # The bound
/// With h the layer whose bits are kept, `P_l = sum_k |q_k|` and `A_l = fl(step_l code_l)`:
///
/// ```text
/// u_h = max(0, p_h),  u_l = P_l elsewhere                 exact, in integers
/// s   = s + A_l (c_l u_l)                                 from +0.0, the last layer first, f32, each operation rounded
/// ```
///
/// `p_l <= u_l`, `u_l >= 0`, and a code is chosen such that `alpha <= A_l` holds for the rounded product itself, so steps 2 to 4 of the
/// proof at [`super::Balls`] apply as they stand: no score is above its bound, in floats, without slack.
#[derive(Debug, Clone)]
pub struct Heads {
    layer: usize,
    width: u32,
    steps: Vec<f32>,
    len: usize,
    rows: Vec<LaneWords>,
}

impl Heads {
    /// The heads of all rows, in their order, with the bits of `layer`. O(rows x words), parallel.
    ///
    /// # Errors
    /// If `layer` is one the codes do not have.
    pub fn build(codes: &LayeredCodes, layer: usize) -> Result<Self, CodeError> {
        let shape = codes.shape();
        let Some(&width) = shape.widths().get(layer) else { return Err(CodeError::Layers { layers: layer }) };
        let steps: Vec<f32> = (0..shape.layers())
            .map(|l| step(codes.scalers().iter().skip(l).step_by(shape.layers()).copied().fold(0.0, f32::max)))
            .collect();
        let words = width.div_ceil(32) as usize;
        let stride = words + shape.layers().div_ceil(PACKED);
        let mut rows = vec![LaneWords::zeroed(); codes.len().div_ceil(LANES) * stride];
        rows.par_chunks_exact_mut(stride).enumerate().with_min_len(64).for_each(|(block, rows)| {
            let (bits, packed) = rows.split_at_mut(words);
            for (lane, row) in (block * LANES..codes.len()).take(LANES).enumerate() {
                let row = codes.row(row);
                let code = &row.words[shape.layer_words(layer)];
                for (j, bits) in bits.iter_mut().enumerate() {
                    bits.set(lane, (code[j / 2] >> (32 * (j % 2))) as u32);
                }
                for (l, (&scaler, &step)) in row.scalers.iter().zip(&steps).enumerate() {
                    packed[l / PACKED].0[l % PACKED][lane] = round_up(scaler, step);
                }
            }
        });
        Ok(Self { layer, width, steps, len: codes.len().div_ceil(LANES), rows })
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    /// 32-bit words of a head.
    pub fn words(&self) -> usize {
        self.bit_words() + self.steps.len().div_ceil(PACKED)
    }

    fn bit_words(&self) -> usize {
        self.width.div_ceil(32) as usize
    }

    #[inline(always)]
    fn block(&self, block: usize) -> (&[LaneWords], &[LaneWords]) {
        let stride = self.words();
        self.rows[block * stride..][..stride].split_at(self.bit_words())
    }
}

impl Source for Heads {
    type Query = HeadQuery;

    const PAIRS: bool = true;

    const TOGETHER: bool = false;

    fn blocks(&self) -> usize {
        self.len
    }

    fn fits(&self, query: &HeadQuery) -> bool {
        (self.layer, self.width, self.steps.len()) == (query.layer, query.width, query.most.len())
    }

    #[inline(always)]
    fn uniform(&self) -> Option<usize> {
        Some(self.bit_words())
    }

    #[inline(always)]
    fn planes(query: &HeadQuery) -> usize {
        query.planes
    }

    #[inline(always)]
    fn stride(&self) -> usize {
        self.words() * size_of::<LaneWords>()
    }

    #[inline(always)]
    fn sums<L: Lanes, const P: usize, const W: usize, const N: usize, const Q: usize>(
        &self,
        proof: L::Proof,
        queries: [&HeadQuery; Q],
        blocks: [usize; N],
        ahead: [usize; N],
    ) -> [[L; Q]; N] {
        let mut sums = [[L::zero(proof); Q]; N];
        let (mut rows, mut packed): ([&[LaneWords]; N], [&[LaneWords]; N]) = ([&[]; N], [&[]; N]);
        for n in 0..N {
            (rows[n], packed[n]) = self.block(blocks[n]);
        }
        let mut bits = Bits { rows, queries: [queries[0].bits(); Q], width: self.width, ahead };
        for (bits, query) in bits.queries.iter_mut().zip(queries) {
            *bits = query.bits();
        }
        let inner = sums[0][0].inner::<P, W, N, Q>(&bits);
        for (layer, &step) in self.steps.iter().enumerate().rev() {
            for n in 0..N {
                let scalers = sums[n][0].unpack(&packed[n][layer / PACKED].0[layer % PACKED], step);
                for q in 0..Q {
                    let products = if layer == self.layer {
                        sums[n][q].scale(sums[n][q].positive(inner[n][q]), queries[q].factor)
                    } else {
                        sums[n][q].splat(queries[q].most[layer])
                    };
                    sums[n][q] = sums[n][q].add_product(scalers, products);
                }
            }
        }
        sums
    }

    fn reference(&self, query: &HeadQuery, block: usize) -> [f32; LANES] {
        let (rows, packed) = self.block(block);
        std::array::from_fn(|lane| {
            let bits = Bits { rows: [rows], queries: [query.bits()], width: self.width, ahead: [0] };
            let inner = scalar::inner(&bits, lane).max(0);
            let terms: Vec<(f32, f32)> = (self.steps.iter().zip(&query.most).enumerate())
                .map(|(layer, (step, &most))| {
                    let code = packed[layer / PACKED].0[layer % PACKED][lane];
                    let product = if layer == self.layer { query.factor * inner as f32 } else { most };
                    (step * f32::from(code), product)
                })
                .collect();
            scalar::sum(&terms)
        })
    }
}

/// A query against [`Heads`].
#[derive(Debug, Clone)]
pub struct HeadQuery {
    layer: usize,
    width: u32,
    planes: usize,
    /// The words of the layer that is kept, `[plane][ceil(d / 32)]`.
    words: Vec<u32>,
    /// Their tables, `[set][ceil(d / 32)]`.
    tables: Vec<Agreement>,
    /// The words, spread; empty for several planes.
    spread: Vec<LaneWords>,
    /// `c_h`.
    factor: f32,
    /// `c_l P_l` of every layer, rounded.
    most: Vec<f32>,
}

impl HeadQuery {
    /// Prepares a query for `heads`. O(words).
    ///
    /// # Panics
    /// If the query has fewer layers than the heads were built from.
    pub fn new(query: &BallQuery, heads: &Heads) -> Self {
        let codes = query.codes();
        Self {
            layer: heads.layer,
            width: codes.shape().widths()[heads.layer],
            planes: codes.planes(),
            words: codes.layer(heads.layer).to_vec(),
            tables: codes.tables(heads.layer).to_vec(),
            spread: codes.spread(heads.layer).to_vec(),
            factor: codes.factors()[heads.layer],
            most: codes.factors().iter().zip(query.most()).map(|(factor, &most)| factor * most as f32).collect(),
        }
    }

    #[inline(always)]
    fn bits(&self) -> QueryBits<'_> {
        QueryBits { planes: &self.words, tables: &self.tables, spread: &self.spread, count: self.planes }
    }
}

/// The smallest step with `fl(255 step) >= largest`.
fn step(largest: f32) -> f32 {
    let mut step = largest / 255.0;
    while step * 255.0 < largest {
        step = step.next_up();
    }
    step
}

/// The smallest code with `fl(code step) >= scaler`; at most 255, as the step was chosen for a scaler no smaller.
fn round_up(scaler: f32, step: f32) -> u8 {
    if step == 0.0 {
        return 0;
    }
    let mut code = (scaler / step) as u8;
    while step * f32::from(code) < scaler && code < 255 {
        code += 1;
    }
    code
}
