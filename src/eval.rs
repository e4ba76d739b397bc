//! How good a ranking is: recall, NDCG, precision, MAP, hit rate, F1 and coverage at k.

use std::collections::HashSet;
use std::hash::Hash;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Averages over all users with a non-empty test list, at each cut-off asked for.
///
/// Serializes as one flat map with keys like `recall@20`.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// How many users were averaged over.
    pub users: u64,
    /// One entry a cut-off, in the order asked for.
    pub cuts: Vec<Metrics>,
}

/// The measures at one cut-off, each averaged over users except coverage. All lie in 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The cut-off: how many of the best items count.
    pub k: usize,
    /// Hits among the best k, divided by the number of test items.
    pub recall: f64,
    /// Discounted cumulative gain of the hits, log2(rank + 1), divided by that of min(k, test items) hits at the top (Järvelin and
    /// Kekäläinen 2002).
    pub ndcg: f64,
    /// Hits among the best k, divided by k.
    pub precision: f64,
    /// Mean of the precision at each hit, divided by min(k, test items).
    pub map: f64,
    /// Share of users with at least one hit.
    pub hit_rate: f64,
    /// Harmonic mean of a user's precision and recall, averaged over users.
    pub f1: f64,
    /// Share of the catalogue that was recommended to somebody.
    pub coverage: f64,
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
        for Metrics { k, recall, ndcg, precision, map: mean_precision, hit_rate, f1, coverage } in &self.cuts {
            let entries = [
                ("recall", recall),
                ("ndcg", ndcg),
                ("precision", precision),
                ("map", mean_precision),
                ("hit_rate", hit_rate),
                ("f1", f1),
                ("coverage", coverage),
            ];
            for (name, value) in entries {
                map.serialize_entry(&format!("{name}@{k}"), value)?;
            }
        }
        map.end()
    }
}

/// Sums measures over users. Users are added in a fixed order, so that the result does not depend on threads.
#[derive(Clone, Debug)]
pub struct Tally<T> {
    users: u64,
    sums: Vec<Metrics>,
    recommended: Vec<HashSet<T>>,
}

impl<T: Eq + Hash + Clone> Tally<T> {
    /// An empty tally for the given cut-offs.
    pub fn new(cuts: &[usize]) -> Self {
        let sums = cuts.iter().map(|&k| Metrics { k, ..Metrics::default() }).collect();
        Self { users: 0, sums, recommended: vec![HashSet::new(); cuts.len()] }
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
            let (mut hits, mut gain, mut precisions) = (0.0, 0.0, 0.0);
            for (rank, item) in recommended.iter().take(sum.k).enumerate() {
                if !seen.contains(item) {
                    seen.insert(item.clone());
                }
                if relevant.contains(item) {
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
            sum.ndcg += gain / (0..best).map(discount).sum::<f64>();
            sum.map += precisions / best as f64;
            sum.hit_rate += f64::from(u8::from(hits > 0.0));
        }
    }

    /// The averages; `n_items` is the size of the catalogue.
    pub fn finish(self, n_items: u64) -> Evaluation {
        let mean = |sum: f64| if self.users == 0 { 0.0 } else { sum / self.users as f64 };
        let cuts = self.sums.iter().zip(&self.recommended).map(|(sum, seen)| Metrics {
            k: sum.k,
            recall: mean(sum.recall),
            ndcg: mean(sum.ndcg),
            precision: mean(sum.precision),
            map: mean(sum.map),
            hit_rate: mean(sum.hit_rate),
            f1: mean(sum.f1),
            coverage: seen.len() as f64 / n_items.max(1) as f64,
        });
        Evaluation { users: self.users, cuts: cuts.collect() }
    }
}

/// The gain of a hit at `rank`, which counts from 0.
fn discount(rank: usize) -> f64 {
    1.0 / ((rank + 2) as f64).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worked_example() {
        let mut tally = Tally::new(&[2, 4]);
        // Hits at ranks 1 and 3 of four, three test items, one of which is not recommended.
        tally.add(&[7, 1, 8, 2], &[7, 8, 9]);
        tally.add(&[1, 2, 3, 4], &[]);
        let evaluation = tally.finish(10);
        assert_eq!(evaluation.users, 1);
        let two = evaluation.at(2).unwrap();
        assert_eq!((two.recall, two.precision, two.hit_rate, two.coverage), (1.0 / 3.0, 0.5, 1.0, 0.2));
        assert!((two.ndcg - 1.0 / (1.0 + 1.0 / 3f64.log2())).abs() < 1e-12);
        assert_eq!(two.map, 0.5);
        assert_eq!(two.f1, 2.0 * 0.5 * (1.0 / 3.0) / (0.5 + 1.0 / 3.0));
        let four = evaluation.at(4).unwrap();
        assert_eq!((four.recall, four.precision), (2.0 / 3.0, 0.5));
        assert!((four.map - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((four.ndcg - (1.0 + 0.5) / (1.0 + 1.0 / 3f64.log2() + 0.5)).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_ranking_scores_one() {
        let mut tally = Tally::new(&[3]);
        tally.add(&[3, 1, 2], &[1, 2, 3]);
        tally.add(&[5, 6, 7], &[7, 6, 5]);
        let cut = tally.finish(6).cuts[0];
        assert_eq!(
            (cut.recall, cut.precision, cut.map, cut.hit_rate, cut.f1, cut.coverage),
            (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
        );
        assert!((cut.ndcg - 1.0).abs() < 1e-12);
    }
}
