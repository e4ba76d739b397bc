//! Which interactions are never trained on, so that choices can be made on them.

use crate::graph::{Bipartite, Csr};

/// Salt of the hash; part of the format, since a change would train on what was held out before.
const SALT: u64 = 0x6b69_7468_6462_0001;
/// Share of the interactions held out, in parts of a thousand.
const SHARE: u64 = 20;
/// Interactions held out at most.
const MOST: u64 = 20_000;

/// The split of a graph: `trained` holds the interactions to learn from, `held` the others, as users by items.
pub(crate) struct Holdout {
    pub(crate) trained: Bipartite,
    pub(crate) held: Csr,
}

impl Holdout {
    /// Splits off about min(2 %, 20,000) of the interactions. Whether one is held out is told by the hash of its two dense indices, which never
    /// change, against a threshold that falls as the graph grows past a million interactions, and by nothing else: what a later, larger graph
    /// holds out, an earlier one that had it did too, and nothing that was trained on is held out afterwards. Interactions that are removed
    /// change nothing for the others below a million; above, the threshold rises again as they leave, and what was trained on in a larger graph
    /// may be held out in a smaller one. One that is removed and comes again is what it was.
    ///
    /// No rule of the graph alone can also promise every item an interaction to train on: it would have to train on the first one of each item,
    /// whichever that was. Items without any are placed when everything else is trained ([`Tables::place_items`](crate::train::student::Tables::place_items)).
    /// The first user's are never held out: whoever was first, there is something to train on from the beginning.
    pub(crate) fn split(graph: &Bipartite) -> Holdout {
        let limit = threshold(graph.n_edges() as u64);
        let held = |user: u32, item: u32| user > 0 && hash(user, item) < limit;
        Holdout { trained: graph.filtered(|user, item| !held(user, item)), held: graph.users().filtered(held) }
    }

    /// The whole graph, and nothing held out.
    pub(crate) fn none(graph: &Bipartite) -> Holdout {
        Holdout { trained: graph.clone(), held: graph.users().filtered(|_, _| false) }
    }
}

/// Whether a training on a graph of so many interactions holds this one out.
pub(crate) fn is_held_out(user: u32, item: u32, n_edges: u64) -> bool {
    user > 0 && hash(user, item) < threshold(n_edges)
}

/// Hashes below it are held out.
fn threshold(n_edges: u64) -> u64 {
    let share = u64::MAX / 1000 * SHARE;
    if n_edges * SHARE / 1000 <= MOST {
        share
    } else {
        (u128::from(u64::MAX) * u128::from(MOST) / u128::from(n_edges)) as u64
    }
}

/// SplitMix64's finaliser over both indices.
fn hash(user: u32, item: u32) -> u64 {
    let mut x = ((u64::from(user) << 32) | u64::from(item)) ^ SALT;
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn the_two_parts_are_the_whole_and_stay_apart() {
        let edges: Vec<_> = (0..300u32).flat_map(|u| (0..100u32).map(move |i| (u, i, 1.0))).collect();
        let graph = Bipartite::from_edges(300, 100, &edges).unwrap();
        let split = Holdout::split(&graph);
        assert_eq!(split.held.n_edges() + split.trained.n_edges(), 30_000);
        assert!((400..800).contains(&split.held.n_edges()), "{}", split.held.n_edges());
        let twice = |user: usize| split.held.row(user).iter().any(|i| split.trained.users().row(user).contains(i));
        assert!(!(0..300).any(twice));
    }

    #[test]
    fn the_threshold_falls_past_a_million() {
        assert_eq!(threshold(1), threshold(1_000_000));
        assert!((1_000_000..40_000_000).step_by(1_000_000).all(|n| threshold(n + 1_000_000) < threshold(n)));
        let expected = |n: u64| threshold(n) as f64 / u64::MAX as f64 * n as f64;
        assert!((expected(50_000_000) - 20_000.0).abs() < 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_trained_on_is_never_held_out_later(
            edges in prop::collection::vec((0u32..60, 0u32..60), 1..2500), steps in prop::collection::vec(1usize..600, 1..12)
        ) {
            let (mut trained, mut end) = (HashSet::new(), 0);
            for step in steps {
                end = edges.len().min(end + step);
                let edges: Vec<_> = edges[..end].iter().map(|&(user, item)| (user, item, 1.0)).collect();
                let split = Holdout::split(&Bipartite::from_edges(60, 60, &edges).unwrap());
                let of = |part: &Csr| -> HashSet<(usize, u32)> {
                    (0..60).flat_map(|user| part.row(user).iter().map(move |&item| (user, item))).collect()
                };
                let held = of(&split.held);
                prop_assert!(trained.is_disjoint(&held), "{:?}", trained.intersection(&held).next());
                prop_assert!(of(split.trained.users()).is_disjoint(&held));
                prop_assert!(split.held.row(0).is_empty());
                trained.extend(of(split.trained.users()));
            }
        }
    }
}
