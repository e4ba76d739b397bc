//! Negatives mixed hop by hop.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::random::unit;

/// How MixGCF makes a negative (Huang et al., KDD 2021): the vectors of a pair's candidates at every hop are drawn towards the positive's, `n' = a p + (1 - a) n`
/// with one `a ~ U(0, 1)` a hop for all candidates (positive mixing), and of each hop's mixtures the one with the largest inner product with the user is
/// taken (hop mixing), which at one share is the candidate with the largest. What it comes to is linear in `a`, so that inner products are all there is to
/// know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mixing {
    /// Whether candidates are mixed with the positive; else `a` is 0.
    pub(crate) positive: bool,
    /// Whether hops choose apart; else all take the candidate with the largest sum.
    pub(crate) hops: bool,
}

/// One hop of a negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MixedHop {
    pub(crate) item: u32,
    /// `a`.
    pub(crate) share: f32,
}

impl Mixing {
    /// Chooses one negative, appends its hops and returns its score. `positive` holds the inner products of the user with the positive's hops, `negative`
    /// gives that with a candidate's hop. `candidates` is not empty. O(candidates x hops).
    pub(crate) fn choose(
        self,
        rng: &mut Xoshiro256PlusPlus,
        positive: &[f32],
        negative: impl Fn(usize, u32) -> f32,
        candidates: &[u32],
        chosen: &mut Vec<MixedHop>,
    ) -> f32 {
        let first = chosen.len();
        let shares: Vec<f32> = positive.iter().map(|_| if self.positive { unit(rng) } else { 0.0 }).collect();
        let mut scores = vec![f32::NEG_INFINITY; positive.len()];
        let mut mixed = vec![(MixedHop { item: 0, share: 0.0 }, 0.0); positive.len()];
        chosen.resize(first + positive.len(), mixed[0].0);
        for (at, &item) in candidates.iter().enumerate() {
            for (hop, ((mixed, &own), &share)) in mixed.iter_mut().zip(positive).zip(&shares).enumerate() {
                let score = negative(hop, item);
                *mixed = (MixedHop { item, share }, score + share * (own - score));
            }
            let is_better = |sum: f32, best: f32| at == 0 || sum > best;
            let sum = |scores: &[f32]| scores.iter().sum::<f32>();
            let whole = !self.hops && is_better(mixed.iter().map(|mixed| mixed.1).sum(), sum(&scores));
            for ((score, chosen), &(hop, mixed)) in scores.iter_mut().zip(&mut chosen[first..]).zip(&mixed) {
                if whole || (self.hops && is_better(mixed, *score)) {
                    (*score, *chosen) = (mixed, hop);
                }
            }
        }
        scores.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_xoshiro::rand_core::SeedableRng;

    proptest! {
        /// Against all mixtures, made with the same shares; and where all hops choose, those of the candidates that score most by themselves: what a share makes
        /// of an order of candidates is the same order.
        #[test]
        fn the_hardest_mixture_is_chosen(
            positive in prop::collection::vec(-2.0f32..2.0, 1..5), n in 1u32..9, seed in 0u64..1000,
            is_mixed in any::<bool>(), is_apart in any::<bool>(),
        ) {
            let mixing = Mixing { positive: is_mixed, hops: is_apart };
            let negative = |hop: usize, item: u32| ((hop * 7 + item as usize * 3) as f32 * 0.37 + seed as f32).sin() * 2.0;
            let candidates: Vec<u32> = (0..n).map(|at| at * 5).collect();
            let rng = || Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut chosen = vec![MixedHop { item: 99, share: 0.5 }];
            let score = mixing.choose(&mut rng(), &positive, negative, &candidates, &mut chosen);
            prop_assert_eq!(chosen.remove(0), MixedHop { item: 99, share: 0.5 });
            prop_assert_eq!(chosen.len(), positive.len());
            let value = |hop: usize, item: u32, share: f32| share * positive[hop] + (1.0 - share) * negative(hop, item);
            let total: f32 = chosen.iter().enumerate().map(|(hop, of)| value(hop, of.item, of.share)).sum();
            prop_assert!((score - total).abs() < 1e-4, "{score} {total}");
            let (mut again, mut sums, mut best) = (rng(), Vec::new(), vec![f32::NEG_INFINITY; positive.len()]);
            let shares: Vec<f32> = positive.iter().map(|_| if is_mixed { unit(&mut again) } else { 0.0 }).collect();
            for &item in &candidates {
                let mut sum = 0.0;
                for (hop, (best, &share)) in best.iter_mut().zip(&shares).enumerate() {
                    sum += value(hop, item, share);
                    *best = best.max(value(hop, item, share));
                }
                sums.push(sum);
            }
            let want = if is_apart { best.iter().sum() } else { sums.into_iter().fold(f32::NEG_INFINITY, f32::max) };
            prop_assert!((score - want).abs() < 1e-4, "{score} {want}");
            prop_assert!(is_apart || chosen.iter().all(|hop| hop.item == chosen[0].item));
            let hardest = |hop: usize, item: u32| candidates.iter().all(|&other| negative(hop, other) <= negative(hop, item));
            prop_assert!(!is_apart || chosen.iter().enumerate().all(|(hop, of)| hardest(hop, of.item)));
            prop_assert!(chosen.iter().zip(&shares).all(|(of, &share)| of.share == share));
            prop_assert!(chosen.iter().all(|hop| (0.0..1.0).contains(&hop.share) && (is_mixed || hop.share == 0.0)));
        }
    }
}
