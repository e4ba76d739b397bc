//! How much every interaction counts in a training.

use std::time::Duration;

use super::bipartite::Bipartite;
use super::csr::Csr;
use super::postings::{Edge, NO_TIME, Postings};

/// The least confidence: what is older than twenty half-lives is not told apart.
const LEAST: f64 = 1e-6;

impl Postings {
    /// The confidence of every interaction: its weight, halved for every `half_life` that lies between it and the newest one, as a share of the mean
    /// of all. What has no time is as new as the newest. `None` where all are alike. O(interactions).
    pub(crate) fn confidences(&self, half_life: Option<Duration>) -> Option<Vec<f32>> {
        let plain = || self.weights().map(|weights| weights.iter().copied().map(f64::from).collect::<Vec<f64>>());
        let decayed = half_life.zip(self.times()).and_then(|(half_life, times)| {
            let newest = newest(times)?;
            let weights = |at: usize| self.weights().map_or(1.0, |weights| f64::from(weights[at]));
            let decay = |(at, &time): (usize, &i64)| weights(at) * decay(newest, time, half_life);
            Some(times.iter().enumerate().map(decay).collect::<Vec<f64>>())
        });
        decayed.or_else(plain).and_then(|confidences| shares_of_mean(&confidences))
    }

    /// How recent every interaction is: 1, halved for every `half_life` that lies between it and the newest one of its user. What has no time is as new
    /// as that. `None` where all are alike. O(interactions).
    pub(crate) fn recencies(&self, half_life: Duration) -> Option<Vec<f32>> {
        let times = self.times()?;
        let rows = self.offsets().windows(2).map(|ends| &times[ends[0] as usize..ends[1] as usize]);
        let recencies = rows.flat_map(|times| {
            let newest = newest(times);
            times.iter().map(move |&time| newest.map_or(1.0, |newest| decay(newest, time, half_life) as f32))
        });
        Some(recencies.collect::<Vec<f32>>()).filter(|recencies| recencies.iter().any(|&recency| recency < 1.0))
    }
}

/// How interactions age that a generation was, or was not, learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aging {
    half_life: Duration,
    newest: Option<i64>,
}

impl Aging {
    /// Of a training on these interactions with this half-life. O(interactions).
    pub(crate) fn of(postings: &Postings, half_life: Duration) -> Self {
        Self { half_life, newest: postings.times().and_then(newest) }
    }

    /// The same, where these interactions have come since. O(history).
    pub(crate) fn with(self, history: &[(u32, Edge)]) -> Self {
        Self { newest: history.iter().filter_map(|(_, edge)| edge.time).chain(self.newest).max(), ..self }
    }

    /// How much each interaction of somebody counts, as a share of the one that counts most: in the proportions of [`Postings::confidences`]. O(history).
    pub(crate) fn shares(self, history: &[(u32, Edge)]) -> Vec<(u32, f32)> {
        let decay = |time: Option<i64>| match (self.newest, time) {
            (Some(newest), Some(time)) => decay(newest, time, self.half_life),
            _ => 1.0,
        };
        let counted: Vec<f64> = history.iter().map(|(_, edge)| f64::from(edge.weight) * decay(edge.time)).collect();
        let most = counted.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let share = |counted: f64| ((counted / most) as f32).max(f32::MIN_POSITIVE);
        history.iter().zip(counted).map(|(&(item, _), counted)| (item, share(counted))).collect()
    }
}

/// The newest of the times that are known.
fn newest(times: &[i64]) -> Option<i64> {
    times.iter().copied().filter(|&time| time != NO_TIME).max()
}

/// One half for every half-life from a time to the newest.
fn decay(newest: i64, time: i64, half_life: Duration) -> f64 {
    let halving = (half_life.as_secs_f64() * 1e3).max(f64::MIN_POSITIVE);
    let halvings = if time == NO_TIME { 0.0 } else { newest.abs_diff(time) as f64 / halving };
    (-halvings).exp2().max(LEAST)
}

impl Bipartite {
    /// The same graph with weights that are shares of their mean, as trainings take them; `None` where it has none.
    pub(crate) fn confident(&self) -> Option<Bipartite> {
        let users = self.users();
        let weights: Vec<f64> = users.values()?.iter().map(|&weight| f64::from(weight)).collect();
        let (offsets, items) = (users.offsets().to_vec(), users.targets().to_vec());
        let shares = shares_of_mean(&weights);
        Csr::from_parts(users.n_cols(), offsets, items, shares).and_then(Bipartite::from_users).ok()
    }
}

/// Numbers above zero as shares of their mean; `None` where all are alike.
fn shares_of_mean(values: &[f64]) -> Option<Vec<f32>> {
    let first = *values.first()?;
    if values.iter().all(|&value| value == first) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Some(values.iter().map(|value| (value / mean).max(LEAST) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Terms;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;

    fn postings(weights: Option<Vec<f32>>, times: Option<Vec<i64>>, n: usize) -> Postings {
        Postings::from_parts(vec![0, n as u64], (0..n as u32).collect(), weights, times, n as u32).unwrap()
    }

    #[test]
    fn a_half_life_halves() {
        let days = Duration::from_secs(90 * 86_400);
        let times = Some(vec![1000 * DAY, 910 * DAY, 820 * DAY, NO_TIME]);
        let confidences = postings(Some(vec![1.0, 2.0, 4.0, 0.5]), times, 4).confidences(Some(days)).unwrap();
        let mean = (1.0 + 1.0 + 1.0 + 0.5) / 4.0;
        for (got, want) in confidences.iter().zip([1.0, 1.0, 1.0, 0.5]) {
            assert!((got - want / mean).abs() < 1e-6, "{confidences:?}");
        }
    }

    /// Beside the newest of the same user, whatever others have and whatever weights are.
    #[test]
    fn recencies_halve_from_the_newest_of_a_user() {
        let times = Some(vec![500 * DAY, 410 * DAY, 1000 * DAY, 820 * DAY, NO_TIME, 7 * DAY]);
        let weights = Some(vec![1.0, 2.0, 4.0, 0.5, 1.0, 3.0]);
        let postings = Postings::from_parts(vec![0, 2, 5, 6], vec![0, 1, 0, 1, 2, 0], weights, times, 3).unwrap();
        let days = Duration::from_secs(90 * 86_400);
        assert_eq!(postings.recencies(days), Some(vec![1.0, 0.5, 1.0, 0.25, 1.0, 1.0]));
        let graph = Bipartite::from_postings(&postings, 3, Some(days)).unwrap();
        let entries = |graph: &Bipartite| {
            let of = |side: Terms<'_>| (0..3).map(|row| side.row(row).collect()).collect::<Vec<Vec<_>>>();
            (of(graph.recent_users()), of(graph.recent_items()))
        };
        let users = vec![vec![(0, 1.0), (1, 0.5)], vec![(0, 1.0), (1, 0.25), (2, 1.0)], vec![(0, 1.0)]];
        let items = vec![vec![(0, 1.0), (1, 1.0), (2, 1.0)], vec![(0, 0.5), (1, 0.25)], vec![(1, 1.0)]];
        assert_eq!(entries(&graph), (users, items));
        let (users, items) = entries(&graph.filtered(|user, item| (user, item) != (1, 0)));
        assert_eq!((&users[1], &items[0]), (&vec![(1, 0.25), (2, 1.0)], &vec![(0, 1.0), (2, 1.0)]));
        // Weights alone are no recencies.
        let (users, _) = entries(&Bipartite::from_postings(&postings, 3, None).unwrap());
        assert_eq!(users[0], [(0, 1.0), (1, 1.0)]);
        assert_eq!(postings.recencies(Duration::from_secs(1 << 40)).map(|all| all[1] < 1.0), Some(true));
        assert_eq!(self::postings(None, Some(vec![7 * DAY, NO_TIME]), 2).recencies(days), None);
    }

    #[test]
    fn nothing_to_weigh_by_is_nothing() {
        let days = Some(Duration::from_secs(86_400));
        assert_eq!(postings(None, None, 3).confidences(days), None);
        assert_eq!(postings(None, Some(vec![NO_TIME; 3]), 3).confidences(days), None);
        assert_eq!(postings(None, Some(vec![7 * DAY; 3]), 3).confidences(days), None);
        assert_eq!(postings(None, Some(vec![1, 2, 3]), 3).confidences(None), None);
        assert_eq!(postings(Some(vec![3.0; 3]), None, 3).confidences(None), None);
        assert_eq!(postings(None, None, 0).confidences(days), None);
    }

    proptest! {
        /// Of anybody's history as of the training's own, whatever is asked about of it: in the proportions of the confidences.
        #[test]
        fn shares_are_in_the_proportions_of_confidences(
            edges in prop::collection::vec((0.1f32..10.0, prop::option::of(0i64..12 * 90)), 1..40),
            from in 0usize..40,
        ) {
            let (from, half_life) = (from % edges.len(), Duration::from_secs(90 * 86_400));
            let (weights, days): (Vec<f32>, Vec<Option<i64>>) = edges.iter().copied().unzip();
            let times: Vec<i64> = days.iter().map(|day| day.map_or(NO_TIME, |day| day * DAY)).collect();
            let all = postings(Some(weights.clone()), Some(times), edges.len());
            let history: Vec<(u32, Edge)> = all.row(0).edges().collect();
            let shares = Aging::of(&all, half_life).shares(&history[from..]);
            // Of a generation that knows none of them, too.
            let unknown = Aging { half_life, newest: None }.with(&history);
            prop_assert_eq!(&shares, &unknown.shares(&history[from..]));
            let plain = vec![1.0; edges.len()];
            let confidences = all.confidences(Some(half_life)).unwrap_or(plain);
            let most = confidences[from..].iter().copied().fold(0.0, f32::max);
            for ((at, (item, share)), confidence) in (from..).zip(shares).zip(&confidences[from..]) {
                prop_assert_eq!(item as usize, at);
                prop_assert!((share - confidence / most).abs() < 1e-4, "{} {}", share, confidence / most);
            }
        }

        /// Any weights and times, the ends of their ranges included: finite, above zero, about 1 in the mean, and the newer of two alike counts no less.
        #[test]
        fn confidences_are_shares_of_their_mean(
            edges in prop::collection::vec((1e-6f32..1e6, prop_oneof![Just(NO_TIME), Just(i64::MAX), any::<i64>()]), 2..60),
            seconds in 1u64..1 << 40,
        ) {
            let (weights, times): (Vec<f32>, Vec<i64>) = edges.iter().copied().unzip();
            let n = edges.len();
            let half_life = Some(Duration::from_secs(seconds));
            let Some(found) = postings(Some(weights.clone()), Some(times.clone()), n).confidences(half_life) else {
                return Ok(());
            };
            prop_assert!(found.iter().all(|x| x.is_finite() && *x > 0.0));
            let mean = found.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            prop_assert!((mean - 1.0).abs() < 1e-3, "{}", mean);
            for (a, b) in (0..n).flat_map(|a| (0..n).map(move |b| (a, b))) {
                if weights[a] == weights[b] && times[a] >= times[b] && times[b] != NO_TIME {
                    prop_assert!(found[a] >= found[b]);
                }
            }
        }
    }
}
