use bytemuck::Zeroable;

use super::blocks::layer_before;
use super::portable::Lanes;
use super::scalar;
use super::source::{Reach, Source};
use super::{BlockQuery, Blocks, LANES, LaneCounts};
use crate::code::{CodeError, LayeredCodes, QueryCode};

/// Balls of items: a centre, a radius and the largest scaler per layer, 16 balls per block, laid out as [`Blocks`] are.
///
/// # The bound
/// The bound of a ball is the score's own chain of operations ([`crate::code`]) on other numbers, from `+0.0`, the last layer first:
///
/// ```text
/// u_l = max(0, min(P_l, p_l(q, centre) + T_l(r_l)))       exact, in integers
/// s   = s + A_l (c_l u_l)                                 f32, each operation rounded
/// ```
///
/// with `A_l` the largest scaler inside, `r_l` the radius (the most bits an item differs from the centre in), `P_l = sum_k |q_k|`, and
/// `T_l(r)` at least twice the sum of the r largest `|q_k|`. **No item inside has a score above it, in floats, without slack:**
///
/// 1. `p_l(q, x) <= u_l`. Flipping bit k changes `p` by `2 |q_k|` either way, and x differs from the centre in at most `r_l` bits, so
///    `p_l(q, x) <= p_l(q, centre) + T_l(r_l)`; and `|sigma_k| = 1` gives `p_l <= P_l`.
/// 2. `u_l <= P_l <= 65,536 * 255 < 2^24` converts to f32 exactly, as `p_l` does.
/// 3. Rounding is monotone: `a <= b` gives `fl(a) <= fl(b)`. Hence `fl(c p) <= fl(c u)` for `c >= 0`. As `u >= 0` the right side is not
///    negative, so `fl(alpha fl(c p)) <= fl(alpha fl(c u)) <= fl(A fl(c u))` for `0 <= alpha <= A`.
/// 4. Sums keep the order: `s <= s'` and `t <= t'` give `fl(s + t) <= fl(s' + t')`. By induction over the layers score <= bound.
///
/// For one plane `T(r) = 2 r`. For B planes the `|q_k|` are known to their three top bits (all of them up to B = 4) and rounded up, so
/// `T(r) <= 2 r (2^B - 1)`.
#[derive(Debug, Clone)]
pub struct Balls {
    centres: Blocks,
    /// `[block][layer]`.
    radii: Vec<LaneCounts>,
    len: usize,
}

impl Balls {
    /// Balls from `centres`, whose scalers are the largest inside, and `radii`, `[balls x layers]`. O(balls x words).
    ///
    /// # Errors
    /// If there is not one radius a centre and layer.
    pub fn new(centres: &LayeredCodes, radii: &[u32]) -> Result<Self, CodeError> {
        let (len, layers) = (centres.len(), centres.shape().layers());
        CodeError::check_length("radii", len * layers, radii.len())?;
        let mut lanes = vec![LaneCounts::zeroed(); len.div_ceil(LANES) * layers];
        for (ball, radii) in radii.chunks_exact(layers).enumerate() {
            for (layer, &radius) in radii.iter().enumerate() {
                lanes[ball / LANES * layers + layer].0[ball % LANES] = radius;
            }
        }
        Ok(Self { centres: Blocks::build(centres), radii: lanes, len })
    }

    /// Number of balls.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.centres.bytes() + size_of_val(self.radii.as_slice())
    }

    fn radii(&self, block: usize) -> &[LaneCounts] {
        let layers = self.centres.shape().widths().len();
        &self.radii[block * layers..][..layers]
    }
}

impl Source for Balls {
    type Query = BallQuery;

    const PAIRS: bool = false;

    const TOGETHER: bool = false;

    fn blocks(&self) -> usize {
        self.centres.len()
    }

    fn fits(&self, query: &BallQuery) -> bool {
        self.centres.fits(&query.codes)
    }

    #[inline(always)]
    fn uniform(&self) -> Option<usize> {
        self.centres.uniform()
    }

    #[inline(always)]
    fn planes(query: &BallQuery) -> usize {
        query.codes.planes()
    }

    #[inline(always)]
    fn stride(&self) -> usize {
        self.centres.stride()
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
        let (rows, scalers) = self.centres.run(blocks);
        let mut codes = [&queries[0].codes; Q];
        for (codes, query) in codes.iter_mut().zip(queries) {
            *codes = &query.codes;
        }
        let mut end = self.centres.shape().words();
        for (layer, &width) in self.centres.shape().widths().iter().enumerate().rev() {
            let bits = layer_before::<P, W, N, Q>(&mut end, width, codes, rows, ahead);
            let inner = sums[0][0].inner::<P, W, N, Q>(&bits);
            for n in 0..N {
                let scalers = sums[n][0].load(&scalers[n][layer]);
                let radii = &self.radii(blocks[n])[layer];
                for q in 0..Q {
                    let most = sums[n][q].widen(inner[n][q], radii, &queries[q].reach(layer));
                    let products = sums[n][q].scale(most, codes[q].factors()[layer]);
                    sums[n][q] = sums[n][q].add_product(scalers, products);
                }
            }
        }
        sums
    }

    fn reference(&self, query: &BallQuery, block: usize) -> [f32; LANES] {
        let (rows, scalers) = self.centres.block(block);
        let radii = self.radii(block);
        std::array::from_fn(|lane| {
            let mut terms = vec![(0.0, 0.0); scalers.len()];
            let mut end = self.centres.shape().words();
            for (layer, &width) in self.centres.shape().widths().iter().enumerate().rev() {
                let bits = layer_before::<0, 0, 1, 1>(&mut end, width, [&query.codes], [rows], [0]);
                let reach = query.reach(layer);
                let most = (scalar::inner(&bits, lane) + reach.of(radii[layer].0[lane])).min(reach.most).max(0);
                terms[layer] = (scalers[layer].0[lane], query.codes.factors()[layer] * most as f32);
            }
            scalar::sum(&terms)
        })
    }
}

/// A query against [`Balls`] and [`Centres`](super::Centres): its codes, how far flipped bits can carry it, and how far its scores scatter.
#[derive(Debug, Clone)]
pub struct BallQuery {
    codes: BlockQuery,
    /// `T_l` of every layer, `d_l + 1` entries each; empty for one plane.
    reach: Vec<i32>,
    /// Where each layer's entries end.
    ends: Vec<usize>,
    /// `P_l` of every layer.
    most: Vec<i32>,
    /// `c_l P_l / sqrt(d_l)` of every layer.
    spread: Vec<f32>,
}

/// Bits of a magnitude that are told apart; the rest are rounded up.
const MAGNITUDE_BITS: u32 = 3;

impl BallQuery {
    /// Prepares a query. O(words x 2^min(planes - 1, 3) + bits).
    pub fn new(query: &QueryCode) -> Self {
        let shape = query.shape();
        let most: Vec<i32> = (0..shape.layers()).map(|layer| query.magnitude(layer) as i32).collect();
        let spread = (query.factors().iter().zip(&most).zip(shape.widths()))
            .map(|((factor, &most), &width)| factor * most as f32 / (width as f32).sqrt())
            .collect();
        let codes = BlockQuery::new(query);
        let (mut reach, mut ends) = (Vec::new(), Vec::new());
        if codes.planes() > 1 {
            reach.reserve(shape.bits() as usize + shape.layers());
            for (layer, &width) in shape.widths().iter().enumerate() {
                push_reach(&members(codes.layer(layer), codes.planes(), width), codes.planes(), &mut reach);
                ends.push(reach.len());
            }
        }
        Self { codes, reach, ends, most, spread }
    }

    /// The query against plain codes.
    pub fn codes(&self) -> &BlockQuery {
        &self.codes
    }

    /// `c_l P_l / sqrt(d_l)` of every layer: the deviation of its scores for every deviation of an item's components.
    pub fn spread(&self) -> &[f32] {
        &self.spread
    }

    /// `P_l` of every layer.
    pub fn most(&self) -> &[i32] {
        &self.most
    }

    /// `c_l P_l` of a layer, rounded.
    #[inline(always)]
    pub(super) fn most_product(&self, layer: usize) -> f32 {
        self.codes.factors()[layer] * self.most[layer] as f32
    }

    #[inline(always)]
    fn reach(&self, layer: usize) -> Reach<'_> {
        let by_radius = match self.ends.get(layer) {
            Some(&end) => &self.reach[end - self.codes.shape().widths()[layer] as usize - 1..end],
            None => &[],
        };
        Reach { by_radius, most: self.most[layer] }
    }
}

/// Groups of magnitudes that are told apart.
pub(super) const GROUPS: usize = 1 << MAGNITUDE_BITS;

/// How many components of `width` have a magnitude of each group, the smallest first, by planes `[plane][ceil(width / 32)]` of which there are several.
pub(super) fn members(words: &[u32], planes: usize, width: u32) -> [u32; GROUPS] {
    let stride = words.len() / planes;
    let (signs, rest) = words.split_at(stride);
    let known = known(planes);
    let mut members = [0; GROUPS];
    for (group, members) in members.iter_mut().take(1 << known).enumerate() {
        for (j, sign) in signs.iter().enumerate() {
            let left = width - 32 * j as u32;
            let mut mask = if left < 32 { (1 << left) - 1 } else { u32::MAX };
            for (bit, plane) in rest.chunks_exact(stride).take(known).enumerate() {
                // |q| = 2 m + 1; bits of m are the planes' where the sign is set, and their complement elsewhere.
                let set = !(plane[j] ^ sign);
                let wanted = group >> (known - 1 - bit) & 1 == 1;
                mask &= if wanted { set } else { !set };
            }
            *members += mask.count_ones();
        }
    }
    members
}

/// Bits of a magnitude that are looked at.
fn known(planes: usize) -> usize {
    (MAGNITUDE_BITS as usize).min(planes - 1)
}

/// Appends `T(0..)` of so many components of each group: twice the running sum of the magnitudes, largest first, each rounded up to the end of its group.
pub(super) fn push_reach(members: &[u32; GROUPS], planes: usize, reach: &mut Vec<i32>) {
    let (known, mut sum) = (known(planes), 0);
    let unknown = planes - 1 - known;
    reach.push(0);
    for (group, &members) in members.iter().enumerate().take(1 << known).rev() {
        // The known bits of m are the group's, and the unknown ones at most all set.
        let magnitude = 2 * (((group + 1) << unknown) as i32) - 1;
        reach.extend((1..=members as i32).map(|member| sum + member * 2 * magnitude));
        sum += members as i32 * 2 * magnitude;
    }
}
