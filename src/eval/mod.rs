//! How good a ranking is: recall, NDCG, precision, MAP, hit rate and F1 at k, recall by training degree, and over which items it spreads: coverage,
//! the Gini index, mean popularity.

mod full_precision;
mod quartile;
mod spread;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(crate) use self::full_precision::FullPrecision;
pub use self::quartile::Quartile;
use self::quartile::{Outcome, mean, pooled, quartiles};

/// How many of the best items BiGeaR retrieves before it measures.
pub(crate) const RETRIEVED: usize = 100;

/// Averages over all users with a non-empty test list, at each cut-off asked for.
///
/// Serializes as one flat map with keys like `recall@20`; the quartiles are lists of such maps.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// How many users were averaged over.
    pub users: u64,
    /// One entry a cut-off, in the order asked for.
    pub cuts: Vec<Metrics>,
    /// The users averaged over by quarter of their training degree, ascending; empty where degrees are not known.
    pub users_by_degree: Vec<Quartile>,
    /// The items of the test by quarter of their training degree, ascending; empty where degrees are not known.
    pub items_by_degree: Vec<Quartile>,
}

/// The measures at one cut-off, averaged over users except the last three. All lie in 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The cut-off: how many of the best items count.
    pub k: usize,
    /// Hits among the best k, divided by the number of test items.
    pub recall: f64,
    /// Discounted cumulative gain of the hits, log2(rank + 1), divided by that of min(k, test items) hits at the top (Järvelin and
    /// Kekäläinen 2002).
    pub ndcg: f64,
    /// The measure BiGeaR's evaluation prints as NDCG (KDD 2022, arXiv 2206.02115): the same gain, divided by that of min(k, hits among the
    /// first 100 retrieved) hits at the top instead, so that items the list misses altogether cost nothing. It reads 1.2 to 2.1 times higher
    /// and compares with nothing but itself. The list has to be that long; a user without any hit in it counts 0.
    pub ndcg_bigear: f64,
    /// Hits among the best k, divided by k.
    pub precision: f64,
    /// The sum of the precision at each hit, divided by min(k, test items).
    pub map: f64,
    /// The same sum, divided by the number of test items: less, where there are more of these than k.
    pub map_all: f64,
    /// Share of users with at least one hit.
    pub hit_rate: f64,
    /// Harmonic mean of a user's precision and recall, averaged over users.
    pub f1: f64,
    /// Share of the catalogue that was recommended to somebody.
    pub coverage: f64,
    /// The Gini index of how often the items of the catalogue were recommended: 0 where each was as often, near 1 where a few were always.
    pub gini: f64,
    /// Mean over recommendations of the item's rank by training degree, as a share of the catalogue: 0 for the most popular item, a half where
    /// items are recommended without regard to it. Of items of one degree each has the middle rank. `None` where degrees are not known.
    pub popularity_rank: Option<f64>,
}

impl Evaluation {
    /// The measures at `k`, if that cut-off was asked for.
    pub fn at(&self, k: usize) -> Option<&Metrics> {
        self.cuts.iter().find(|cut| cut.k == k)
    }
}

impl Serialize for Evaluation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("users", &self.users)?;
        for cut in &self.cuts {
            let Metrics { k, recall, ndcg, ndcg_bigear, precision, map: mean_precision, .. } = cut;
            let Metrics { map_all, hit_rate, f1, coverage, gini, popularity_rank, .. } = cut;
            let entries = [
                ("recall", recall),
                ("ndcg", ndcg),
                ("ndcg_bigear", ndcg_bigear),
                ("precision", precision),
                ("map", mean_precision),
                ("map_all", map_all),
                ("hit_rate", hit_rate),
                ("f1", f1),
                ("coverage", coverage),
                ("gini", gini),
            ];
            let ranks = popularity_rank.iter().map(|rank| ("popularity_rank", rank));
            for (name, value) in entries.into_iter().chain(ranks) {
                map.serialize_entry(&format!("{name}@{k}"), value)?;
            }
        }
        if !self.users_by_degree.is_empty() {
            map.serialize_entry("users_by_degree", &self.users_by_degree)?;
            map.serialize_entry("items_by_degree", &self.items_by_degree)?;
        }
        map.end()
    }
}

/// Sums measures over users. Users are added in a fixed order, so that the result does not depend on threads.
#[derive(Clone, Debug)]
pub struct Tally<T> {
    users: u64,
    sums: Vec<Metrics>,
    /// How often each item was recommended, by cut-off.
    recommended: Vec<HashMap<T, u64>>,
    /// What became of every user's test items, and of every test item.
    by_user: Vec<Outcome>,
    by_item: HashMap<T, Outcome>,
}

impl<T: Eq + Hash + Clone> Tally<T> {
    /// An empty tally for the given cut-offs.
    pub fn new(cuts: &[usize]) -> Self {
        let sums = cuts.iter().map(|&k| Metrics { k, ..Metrics::default() }).collect();
        let recommended = vec![HashMap::new(); cuts.len()];
        Self { users: 0, sums, recommended, by_user: Vec::new(), by_item: HashMap::new() }
    }

    /// Adds a user: the items recommended, best first and without those of the training data, and the items held out for the test. A user
    /// without test items is passed over. O(recommended + relevant).
    pub fn add(&mut self, recommended: &[T], relevant: &[T]) {
        let relevant: HashSet<&T> = relevant.iter().collect();
        if relevant.is_empty() {
            return;
        }
        self.users += 1;
        for (sum, seen) in self.sums.iter_mut().zip(&mut self.recommended) {
            let (mut hits, mut gain, mut precisions, mut retrieved) = (0.0, 0.0, 0.0, 0);
            for (rank, item) in recommended.iter().take(sum.k.max(RETRIEVED)).enumerate() {
                if rank < sum.k {
                    match seen.get_mut(item) {
                        Some(times) => *times += 1,
                        None => drop(seen.insert(item.clone(), 1)),
                    }
                }
                if !relevant.contains(item) {
                    continue;
                }
                retrieved += 1;
                if rank < sum.k {
                    hits += 1.0;
                    gain += discount(rank);
                    precisions += hits / (rank + 1) as f64;
                }
            }
            let (k, total) = (sum.k as f64, relevant.len() as f64);
            let best = relevant.len().min(sum.k);
            sum.recall += hits / total;
            sum.precision += hits / k;
            sum.f1 += 2.0 * hits / (k + total);
            sum.ndcg += gain / ideal(best);
            if retrieved > 0 {
                sum.ndcg_bigear += gain / ideal(retrieved.min(sum.k));
            }
            sum.map += precisions / best as f64;
            sum.map_all += precisions / total;
            sum.hit_rate += f64::from(u8::from(hits > 0.0));
        }
    }

    /// [`Tally::add`] of a user with `degree` interactions in the training data, `item_degree` telling how many an item has there. All users
    /// are added this way, or none.
    pub fn add_with_degrees(
        &mut self,
        recommended: &[T],
        relevant: &[T],
        degree: u32,
        item_degree: impl Fn(&T) -> u32,
    ) {
        self.add(recommended, relevant);
        let relevant: HashSet<&T> = relevant.iter().collect();
        if relevant.is_empty() {
            return;
        }
        let ranks: HashMap<&T, usize> = recommended.iter().enumerate().map(|(rank, item)| (item, rank)).collect();
        let mut of_user = Outcome::new(degree, self.sums.len());
        for item in relevant {
            let of_item =
                self.by_item.entry(item.clone()).or_insert_with(|| Outcome::new(item_degree(item), self.sums.len()));
            let rank = ranks.get(item).copied().unwrap_or(usize::MAX);
            for outcome in [&mut of_user, of_item] {
                outcome.tests += 1;
                for (hits, sum) in outcome.hits.iter_mut().zip(&self.sums) {
                    *hits += u64::from(rank < sum.k);
                }
            }
        }
        self.by_user.push(of_user);
    }

    /// The averages; `n_items` is the size of the catalogue.
    pub fn finish(self, n_items: u64) -> Evaluation {
        self.finish_with(n_items, |_| None)
    }

    /// [`Tally::finish`], with the training degrees of all items of the catalogue, in any order, and that of one.
    pub fn finish_with_degrees(self, mut degrees: Vec<u32>, item_degree: impl Fn(&T) -> u32) -> Evaluation {
        degrees.sort_unstable_by(|a, b| b.cmp(a));
        self.finish_with(degrees.len() as u64, |seen| spread::popularity_rank(&degrees, seen, &item_degree))
    }

    fn finish_with(self, n_items: u64, rank: impl Fn(&HashMap<T, u64>) -> Option<f64>) -> Evaluation {
        let average = |sum: f64| if self.users == 0 { 0.0 } else { sum / self.users as f64 };
        let cuts = self.sums.iter().zip(&self.recommended).map(|(sum, seen)| Metrics {
            k: sum.k,
            recall: average(sum.recall),
            ndcg: average(sum.ndcg),
            ndcg_bigear: average(sum.ndcg_bigear),
            precision: average(sum.precision),
            map: average(sum.map),
            map_all: average(sum.map_all),
            hit_rate: average(sum.hit_rate),
            f1: average(sum.f1),
            coverage: seen.len() as f64 / n_items.max(1) as f64,
            gini: spread::gini(n_items, seen.values().copied()),
            popularity_rank: rank(seen),
        });
        let ks: Vec<usize> = self.sums.iter().map(|sum| sum.k).collect();
        Evaluation {
            users: self.users,
            cuts: cuts.collect(),
            users_by_degree: quartiles(self.by_user, &ks, mean),
            items_by_degree: quartiles(self.by_item.into_values().collect(), &ks, pooled),
        }
    }
}

/// The gain of this many hits at the top.
fn ideal(hits: usize) -> f64 {
    (0..hits).map(discount).sum()
}

/// The gain of a hit at `rank`, which counts from 0.
fn discount(rank: usize) -> f64 {
    1.0 / ((rank + 2) as f64).log2()
}

#[cfg(test)]
mod tests;
