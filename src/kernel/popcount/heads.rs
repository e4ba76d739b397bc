use bytemuck::Zeroable;
use rayon::prelude::*;

use super::portable::Lanes;
use super::scalar;
use super::source::{Bits, QueryBits, Source};
use super::{BallQuery, LANES, LaneWords};
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
    /// 32-bit words of the layers before it.
    start: usize,
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
        let start = shape.widths()[..layer].iter().map(|width| width.div_ceil(32) as usize).sum();
        Ok(Self { layer, width, start, steps, len: codes.len().div_ceil(LANES), rows })
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
    type Query = BallQuery;

    const PAIRS: bool = true;

    const TOGETHER: bool = false;

    fn blocks(&self) -> usize {
        self.len
    }

    fn fits(&self, query: &BallQuery) -> bool {
        let widths = query.codes().shape().widths();
        let start: usize = widths.iter().take(self.layer).map(|width| width.div_ceil(32) as usize).sum();
        widths.len() == self.steps.len() && widths[self.layer] == self.width && start == self.start
    }

    #[inline(always)]
    fn uniform(&self) -> Option<usize> {
        Some(self.bit_words())
    }

    #[inline(always)]
    fn planes(query: &BallQuery) -> usize {
        query.codes().planes()
    }

    #[inline(always)]
    fn stride(&self) -> usize {
        self.words() * size_of::<LaneWords>()
    }

    #[inline(always)]
    fn sums<L: Lanes, const P: usize, const W: usize, const N: usize, const Q: usize>(
        &self,
        proof: L::Proof,
        queries: [&BallQuery; Q],
        blocks: [usize; N],
        ahead: [usize; N],
    ) -> [[L; Q]; N] {
        let mut sums = [[L::zero(proof); Q]; N];
        let (mut rows, mut packed): ([&[LaneWords]; N], [&[LaneWords]; N]) = ([&[]; N], [&[]; N]);
        for n in 0..N {
            (rows[n], packed[n]) = self.block(blocks[n]);
        }
        let words = if W == 0 { self.bit_words() } else { W };
        let range = self.start..self.start + words;
        let mut bits = Bits { rows, queries: [QueryBits::NONE; Q], width: self.width, ahead };
        for (bits, query) in bits.queries.iter_mut().zip(queries) {
            *bits = query.codes().bits::<P>(range.clone());
        }
        let inner = sums[0][0].inner::<P, W, N, Q>(&bits);
        for (layer, &step) in self.steps.iter().enumerate().rev() {
            let mut most = [0.0; Q];
            for (most, query) in most.iter_mut().zip(queries) {
                *most = query.most_product(layer);
            }
            for n in 0..N {
                let scalers = sums[n][0].unpack(&packed[n][layer / PACKED].0[layer % PACKED], step);
                for q in 0..Q {
                    let products = if layer == self.layer {
                        sums[n][q].scale(sums[n][q].positive(inner[n][q]), queries[q].codes().factors()[layer])
                    } else {
                        sums[n][q].splat(most[q])
                    };
                    sums[n][q] = sums[n][q].add_product(scalers, products);
                }
            }
        }
        sums
    }

    fn reference(&self, query: &BallQuery, block: usize) -> [f32; LANES] {
        let (rows, packed) = self.block(block);
        std::array::from_fn(|lane| {
            let queries = [query.codes().bits::<0>(self.start..self.start + self.bit_words())];
            let inner = scalar::inner(&Bits { rows: [rows], queries, width: self.width, ahead: [0] }, lane).max(0);
            let terms: Vec<(f32, f32)> = (self.steps.iter().enumerate())
                .map(|(layer, step)| {
                    let code = packed[layer / PACKED].0[layer % PACKED][lane];
                    let product = match layer == self.layer {
                        true => query.codes().factors()[layer] * inner as f32,
                        false => query.most_product(layer),
                    };
                    (step * f32::from(code), product)
                })
                .collect();
            scalar::sum(&terms)
        })
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
