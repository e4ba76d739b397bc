//! Draws of positives and negatives.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::random::{below, subset, unit};
use super::synthesis::Synthesis;
use crate::graph::Bipartite;
use crate::train::model::Sampler;

/// Draws of an item nobody asked for are given up after so many hits on items the user has touched: that user has touched nearly all.
const TRIES: usize = 32;

/// Draws negatives: first a pool of items that a block of users shares, so that their scores are one dense product, then each pair's own
/// negatives out of the pool.
#[derive(Clone, Debug)]
pub(crate) struct Negatives {
    kind: Sampler,
    candidates: usize,
    known: KnownItems,
    /// Running sums of `degree^power` over the known items, for the popularity sampler.
    cumulative: Vec<f64>,
}

impl Negatives {
    /// A sampler on a graph. `candidates` is of use to the dynamic and the synthesised sampler, `power` to the popularity sampler.
    pub(crate) fn new(kind: Sampler, candidates: usize, power: f32, graph: &Bipartite) -> Negatives {
        let known = KnownItems::of(graph);
        let mut sum = 0.0;
        let cumulative = match kind {
            Sampler::Popularity => known
                .0
                .iter()
                .map(|&item| {
                    sum += (graph.items().degree(item as usize) as f64).powf(f64::from(power));
                    sum
                })
                .collect(),
            _ => Vec::new(),
        };
        let candidates = match kind {
            Sampler::Dynamic | Sampler::Synthesised => candidates.max(1),
            _ => 1,
        };
        Negatives { kind, candidates, known, cumulative }
    }

    /// How negatives are mixed with the positive, layer by layer, if they are.
    pub(crate) fn synthesis(&self) -> Option<Synthesis> {
        (self.kind == Sampler::Synthesised).then_some(Synthesis { candidates: self.candidates, most: 1.0 })
    }

    /// A pool of `count` known items: distinct and uniform, all of them when there are no more; by popularity, with repeats.
    pub(crate) fn pool(&self, rng: &mut Xoshiro256PlusPlus, count: usize) -> Vec<u32> {
        let KnownItems(known) = &self.known;
        let Some(&total) = self.cumulative.last() else {
            let mut pool = subset(rng, known.len(), count);
            pool.iter_mut().for_each(|at| *at = known[*at as usize]);
            return pool;
        };
        let mut pool: Vec<u32> = (0..count)
            .map(|_| {
                let at = f64::from(unit(rng)) * total;
                known[self.cumulative.partition_point(|&sum| sum <= at).min(known.len() - 1)]
            })
            .collect();
        pool.sort_unstable();
        pool
    }

    /// Positions in the pool of the candidates of one negative, which are not among `touched`; one unless the sampler chooses.
    pub(crate) fn candidates(&self, rng: &mut Xoshiro256PlusPlus, pool: &[u32], touched: &[u32], out: &mut Vec<u32>) {
        out.clear();
        out.extend((0..self.candidates).map(|_| self.untouched(rng, pool, touched) as u32));
    }

    fn untouched(&self, rng: &mut Xoshiro256PlusPlus, pool: &[u32], touched: &[u32]) -> usize {
        let mut at = below(rng, pool.len());
        for _ in 0..TRIES {
            if touched.binary_search(&pool[at]).is_err() {
                break;
            }
            at = below(rng, pool.len());
        }
        at
    }
}

/// The items with interactions, ascending: negatives are drawn of these. Of the others nothing is learned, so that they would tell nothing, and a catalogue
/// may be mostly they.
#[derive(Clone, Debug)]
pub(crate) struct KnownItems(Vec<u32>);

impl KnownItems {
    pub(crate) fn of(graph: &Bipartite) -> KnownItems {
        let items = graph.items();
        KnownItems((0..items.n_rows() as u32).filter(|&item| items.degree(item as usize) > 0).collect())
    }

    /// One that is not among `touched`, which is not empty, uniform; any where nearly all are.
    pub(crate) fn untouched(&self, rng: &mut Xoshiro256PlusPlus, touched: &[u32]) -> u32 {
        let mut item = self.0[below(rng, self.0.len())];
        for _ in 0..TRIES {
            if touched.binary_search(&item).is_err() {
                break;
            }
            item = self.0[below(rng, self.0.len())];
        }
        item
    }
}

/// `count` positives out of a user's interactions, with replacement.
pub(crate) fn positives(rng: &mut Xoshiro256PlusPlus, row: &[u32], count: usize) -> Vec<u32> {
    if row.is_empty() {
        return Vec::new();
    }
    (0..count).map(|_| row[below(rng, row.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::SeedableRng;

    fn graph() -> Bipartite {
        // Item i of 1 to 9 has degree i, item 0 none; user 8 has touched 1 to 9, user 0 only item 9.
        let edges: Vec<_> = (1..10u32).flat_map(|item| (9 - item..9).map(move |user| (user, item, 1.0))).collect();
        Bipartite::from_edges(9, 10, &edges).unwrap()
    }

    #[test]
    fn popularity_draws_in_proportion_to_the_power_of_degrees() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let graph = graph();
        for power in [0.5f32, 1.0] {
            let pool = Negatives::new(Sampler::Popularity, 1, power, &graph).pool(&mut rng, 100_000);
            let total: f64 = (1..10).map(|degree| f64::from(degree).powf(f64::from(power))).sum();
            for item in 0..10u32 {
                let share = pool.iter().filter(|&&drawn| drawn == item).count() as f64 / 1e5;
                let want = if item == 0 { 0.0 } else { f64::from(item).powf(f64::from(power)) / total };
                assert!((share - want).abs() < 0.01, "{item}: {share} {want}");
            }
        }
    }

    #[test]
    fn candidates_are_untouched_and_as_many_as_asked() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        let graph = graph();
        for (kind, count) in [(Sampler::Uniform, 1), (Sampler::Dynamic, 5), (Sampler::Synthesised, 5)] {
            let sampler = Negatives::new(kind, 5, 1.0, &graph);
            let pool = sampler.pool(&mut rng, 8);
            assert!(pool.len() == 8 && pool.is_sorted_by(|a, b| a < b));
            let mut drawn = Vec::new();
            for _ in 0..200 {
                sampler.candidates(&mut rng, &pool, graph.users().row(3), &mut drawn);
                assert_eq!(drawn.len(), count);
                assert!(drawn.iter().all(|&at| !graph.users().row(3).contains(&pool[at as usize])));
            }
        }
    }

    /// A catalogue that nobody has touched yet changes no draw.
    #[test]
    fn items_without_interactions_are_never_drawn() {
        let edges: Vec<_> = (0..9u32).map(|user| (user, 3 * user, 1.0)).collect();
        let graph = Bipartite::from_edges(9, 1000, &edges).unwrap();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
        for kind in [Sampler::Uniform, Sampler::Popularity, Sampler::Dynamic, Sampler::Synthesised] {
            let sampler = Negatives::new(kind, 5, 0.5, &graph);
            for count in [4, 100] {
                assert!(
                    sampler.pool(&mut rng, count).iter().all(|item| item.is_multiple_of(3) && *item < 27),
                    "{kind} {count}"
                );
            }
        }
        let known = KnownItems::of(&graph);
        for _ in 0..200 {
            let item = known.untouched(&mut rng, &[6]);
            assert!(item.is_multiple_of(3) && item < 27 && item != 6, "{item}");
        }
    }

    #[test]
    fn a_user_who_touched_the_whole_pool_still_gets_candidates() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let graph = graph();
        let mut drawn = Vec::new();
        Negatives::new(Sampler::Dynamic, 4, 1.0, &graph).candidates(&mut rng, &[9], &[9], &mut drawn);
        assert_eq!(drawn, [0; 4]);
        assert!(positives(&mut rng, &[], 3).is_empty());
        assert_eq!(positives(&mut rng, &[7], 3), [7; 3]);
    }
}
