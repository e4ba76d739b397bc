//! How much every interaction counts in a training.

use std::time::Duration;

use super::bipartite::Bipartite;
use super::csr::Csr;
use super::postings::{NO_TIME, Postings};

/// The least confidence: what is older than twenty half-lives is not told apart.
const LEAST: f64 = 1e-6;

impl Postings {
    /// The confidence of every interaction: its weight, halved for every `half_life` that lies between it and the newest one, as a share of the mean
    /// of all. What has no time is as new as the newest. `None` where all are alike. O(interactions).
    pub(crate) fn confidences(&self, half_life: Option<Duration>) -> Option<Vec<f32>> {
        let decayed = half_life.zip(self.times()).and_then(|(half_life, times)| {
            let known = || times.iter().filter(|&&time| time != NO_TIME);
            let newest = *known().max()?;
            let halving = (half_life.as_secs_f64() * 1e3).max(f64::MIN_POSITIVE);
            let halvings = |time: i64| if time == NO_TIME { 0.0 } else { newest.abs_diff(time) as f64 / halving };
            let weights = |at: usize| self.weights().map_or(1.0, |weights| f64::from(weights[at]));
            let decay = |(at, &time): (usize, &i64)| weights(at) * (-halvings(time)).exp2().max(LEAST);
            Some(times.iter().enumerate().map(decay).collect::<Vec<f64>>())
        });
        let plain =
            || self.weights().map(|weights| weights.iter().map(|&weight| f64::from(weight)).collect::<Vec<f64>>());
        decayed.or_else(plain).and_then(|confidences| shares_of_mean(&confidences))
    }
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
