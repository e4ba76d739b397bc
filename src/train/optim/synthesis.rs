//! Negatives synthesised from a positive and several candidates.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::random::{below, unit};
use crate::kernel::dense::{Isa, Matrix, add_mixed, add_product, add_scaled, mixed_dot};

/// Shares are read from windows of a pool: this many windows, each this much further on, a line of the cache.
const WINDOWS: usize = 1 << 9;
const STRIDE: usize = 16;

/// How negatives are synthesised (MixGCF, KDD 2021; BiGeaR++, TOIS 2025): each of `candidates` items n is drawn towards the
/// positive p, `n' = b p + (1 - b) n` with `b ~ U(0, most)` for every candidate, layer and element, and of the mixtures the one
/// with the largest inner product with the user is the layer's negative. Layers choose apart. With one candidate and `most = 0` the
/// negative is the candidate itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Synthesis {
    /// Items a negative is chosen from, at least 1.
    pub(crate) candidates: usize,
    /// The largest share of the positive, 0 to 1.
    pub(crate) most: f32,
}

/// Shares of the positive: one pool, of which every mixture reads a window that starts at random. Two mixtures share numbers only
/// where their windows overlap, and a pool is used for a few steps at most, so what is saved is drawing hundreds of numbers a
/// mixture.
pub(crate) struct Shares {
    pool: Matrix,
    width: usize,
}

/// The negative of one layer: item `item`, mixed by the shares from `window` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) item: u32,
    pub(crate) window: u32,
}

impl Synthesis {
    /// The candidate itself, drawn uniformly.
    pub(crate) const NONE: Synthesis = Synthesis { candidates: 1, most: 0.0 };

    /// Draws a pool for mixtures of `width` elements.
    pub(crate) fn shares(&self, rng: &mut Xoshiro256PlusPlus, width: usize) -> Shares {
        let mut pool = Matrix::zeros(1, WINDOWS * STRIDE + width);
        pool.data_mut().iter_mut().for_each(|share| *share = self.most * unit(rng));
        Shares { pool, width }
    }
}

impl Shares {
    fn window(&self, window: u32) -> &[f32] {
        &self.pool.data()[window as usize * STRIDE..][..self.width]
    }

    /// Mixes every candidate into the positive and takes the hardest; returns it with its inner product with the user.
    /// `user` and `positive` are the rows of one layer, `row` gives those of candidates. The choice has no gradient.
    /// `candidates` is not empty. O(candidates x width).
    pub(crate) fn hardest<'r>(
        &self,
        isa: Isa,
        rng: &mut Xoshiro256PlusPlus,
        (user, positive): (&[f32], &[f32]),
        row: impl Fn(u32) -> &'r [f32],
        candidates: &[u32],
    ) -> (Chosen, f32) {
        let mut best = (Chosen { item: 0, window: 0 }, f32::NEG_INFINITY);
        for (at, &item) in candidates.iter().enumerate() {
            let window = below(rng, WINDOWS) as u32;
            let score = mixed_dot(isa, user, positive, row(item), self.window(window));
            if at == 0 || score > best.1 {
                best = (Chosen { item, window }, score);
            }
        }
        best
    }

    /// The gradient that reaches the user from a negative whose score has gradient `scale`: `out += scale n'`.
    pub(crate) fn to_user(
        &self,
        isa: Isa,
        out: &mut [f32],
        scale: f32,
        chosen: Chosen,
        positive: &[f32],
        negative: &[f32],
    ) {
        add_mixed(isa, out, scale, positive, negative, self.window(chosen.window));
    }

    /// The part that reaches the positive: `out += scale b user`.
    pub(crate) fn to_positive(&self, isa: Isa, out: &mut [f32], scale: f32, chosen: Chosen, user: &[f32]) {
        add_product(isa, out, scale, self.window(chosen.window), user);
    }

    /// The part that reaches the chosen candidate: `out += scale (1 - b) user`.
    pub(crate) fn to_candidate(&self, isa: Isa, out: &mut [f32], scale: f32, chosen: Chosen, user: &[f32]) {
        add_scaled(isa, out, scale, user);
        add_product(isa, out, -scale, self.window(chosen.window), user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optim::random::normal_matrix;
    use rand_xoshiro::rand_core::SeedableRng;

    fn score(user: &[f64], positive: &[f64], negative: &[f64], shares: &[f32]) -> f64 {
        let mix = |at: usize| f64::from(shares[at]) * positive[at] + (1.0 - f64::from(shares[at])) * negative[at];
        (0..user.len()).map(|at| user[at] * mix(at)).sum()
    }

    fn wide(row: &[f32]) -> Vec<f64> {
        row.iter().map(|&x| f64::from(x)).collect()
    }

    #[test]
    fn the_hardest_mixture_is_chosen_and_its_gradients_equal_finite_differences() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
        let width = 21;
        let items = normal_matrix(&mut rng, 9, width, 1.0);
        let users = normal_matrix(&mut rng, 1, width, 1.0);
        let synthesis = Synthesis { candidates: 5, most: 0.7 };
        let shares = synthesis.shares(&mut rng, width);
        assert!(shares.pool.data().iter().all(|b| (0.0..0.7).contains(b)));
        let candidates = [1, 4, 5, 7, 8];
        let (user, positive) = (users.row(0), items.row(0));
        for isa in Isa::available() {
            let before = rng.clone();
            let (chosen, value) =
                shares.hardest(isa, &mut rng, (user, positive), |item| items.row(item as usize), &candidates);
            let mut again = before;
            for &item in &candidates {
                let window = below(&mut again, WINDOWS) as u32;
                let other = score(&wide(user), &wide(positive), &wide(items.row(item as usize)), shares.window(window));
                assert!(other <= f64::from(value) + 1e-4, "{other} {value}");
                assert!(chosen.item != item || (other - f64::from(value)).abs() < 1e-4);
            }
            let negative = items.row(chosen.item as usize);
            let mut gradients = [vec![0.0; width], vec![0.0; width], vec![0.0; width]];
            shares.to_user(isa, &mut gradients[0], 1.0, chosen, positive, negative);
            shares.to_positive(isa, &mut gradients[1], 1.0, chosen, user);
            shares.to_candidate(isa, &mut gradients[2], 1.0, chosen, user);
            let rows = [wide(user), wide(positive), wide(negative)];
            for of in 0..3 {
                for at in 0..width {
                    let shifted = |by: f64| {
                        let mut rows = rows.clone();
                        rows[of][at] += by;
                        score(&rows[0], &rows[1], &rows[2], shares.window(chosen.window))
                    };
                    let want = (shifted(1e-4) - shifted(-1e-4)) / 2e-4;
                    assert!((f64::from(gradients[of][at]) - want).abs() < 1e-4, "{of} {at}");
                }
            }
        }
    }

    #[test]
    fn without_synthesis_the_candidate_is_the_negative() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
        let items = normal_matrix(&mut rng, 4, 16, 1.0);
        let shares = Synthesis::NONE.shares(&mut rng, 16);
        let mut out = vec![0.0; 16];
        let isa = Isa::BASELINE;
        let (chosen, _) =
            shares.hardest(isa, &mut rng, (items.row(0), items.row(1)), |item| items.row(item as usize), &[3]);
        shares.to_user(isa, &mut out, 1.0, chosen, items.row(1), items.row(3));
        assert_eq!(out, items.row(3));
    }
}
