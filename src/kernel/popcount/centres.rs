use super::blocks::layer_before;
use super::portable::Lanes;
use super::source::Source;
use super::{BallQuery, Blocks, LANES, LaneScalers, scalar};
use crate::code::{CodeError, LayeredCodes};

/// Centres of buckets of items, 16 a block, laid out as [`Blocks`] are, each with how far its items scatter about it.
///
/// # What a bucket promises
/// The score of its centre, and what the best of its items are expected to score beyond that: the score's own chain of operations
/// ([`crate::code`]) with one more term a layer, from `+0.0`, the last layer first, each operation rounded.
///
/// ```text
/// s = s + A_l (c_l p_l(q, centre))
/// s = s + D_l (c_l P_l / sqrt(d_l))
/// ```
///
/// with `A_l` the centre's scaler, `D_l` its deviation and `P_l = sum_k |q_k|`. It is an estimate, no bound: a sum of `d_l` independent components of
/// deviation D, each times `c_l q_k`, has the deviation `D c_l |q|`, and |q| is about `P_l / sqrt(d_l)`.
#[derive(Debug, Clone)]
pub struct Centres {
    codes: Blocks,
    /// `[block][layer]`.
    deviations: Vec<LaneScalers>,
}

impl Centres {
    /// Centres from their codes and `[centre x layer]` deviations of a component. O(centres x words).
    ///
    /// # Errors
    /// If there is not one deviation a centre and layer.
    pub fn new(centres: &LayeredCodes, deviations: &[f32]) -> Result<Self, CodeError> {
        let (len, layers) = (centres.len(), centres.shape().layers());
        CodeError::check_length("deviations", len * layers, deviations.len())?;
        let mut lanes = vec![LaneScalers([0.0; LANES]); len.div_ceil(LANES) * layers];
        for (centre, deviations) in deviations.chunks_exact(layers).enumerate() {
            for (layer, &deviation) in deviations.iter().enumerate() {
                lanes[centre / LANES * layers + layer].0[centre % LANES] = deviation;
            }
        }
        Ok(Self { codes: Blocks::build(centres), deviations: lanes })
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.codes.bytes() + size_of_val(self.deviations.as_slice())
    }

    fn deviations(&self, block: usize) -> &[LaneScalers] {
        let layers = self.codes.shape().widths().len();
        &self.deviations[block * layers..][..layers]
    }
}

impl Source for Centres {
    type Query = BallQuery;

    const PAIRS: bool = true;

    const TOGETHER: bool = true;

    fn blocks(&self) -> usize {
        self.codes.len()
    }

    fn fits(&self, query: &BallQuery) -> bool {
        self.codes.fits(query.codes())
    }

    #[inline(always)]
    fn uniform(&self) -> Option<usize> {
        self.codes.uniform()
    }

    #[inline(always)]
    fn planes(query: &BallQuery) -> usize {
        query.codes().planes()
    }

    #[inline(always)]
    fn stride(&self) -> usize {
        self.codes.stride()
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
        let (rows, scalers) = self.codes.run(blocks);
        let mut codes = [queries[0].codes(); Q];
        for (codes, query) in codes.iter_mut().zip(queries) {
            *codes = query.codes();
        }
        let mut end = self.codes.shape().words();
        for (layer, &width) in self.codes.shape().widths().iter().enumerate().rev() {
            let bits = layer_before::<P, W, N, Q>(&mut end, width, codes, rows, ahead);
            let inner = sums[0][0].inner::<P, W, N, Q>(&bits);
            for n in 0..N {
                let scalers = sums[n][0].load(&scalers[n][layer]);
                let deviations = sums[n][0].load(&self.deviations(blocks[n])[layer]);
                for q in 0..Q {
                    let products = sums[n][q].scale(inner[n][q], codes[q].factors()[layer]);
                    let spread = sums[n][q].splat(queries[q].spread()[layer]);
                    sums[n][q] = sums[n][q].add_product(scalers, products);
                    sums[n][q] = sums[n][q].add_product(deviations, spread);
                }
            }
        }
        sums
    }

    fn reference(&self, query: &BallQuery, block: usize) -> [f32; LANES] {
        let (rows, scalers) = self.codes.block(block);
        let deviations = self.deviations(block);
        std::array::from_fn(|lane| {
            let mut terms = vec![[(0.0, 0.0); 2]; scalers.len()];
            let mut end = self.codes.shape().words();
            for (layer, &width) in self.codes.shape().widths().iter().enumerate().rev() {
                let bits = layer_before::<0, 0, 1, 1>(&mut end, width, [query.codes()], [rows], [0]);
                let product = query.codes().factors()[layer] * scalar::inner(&bits, lane) as f32;
                // Summed from the end on.
                terms[layer] = [(deviations[layer].0[lane], query.spread()[layer]), (scalers[layer].0[lane], product)];
            }
            scalar::sum(terms.as_flattened())
        })
    }
}
