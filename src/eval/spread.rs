//! Over which items recommendations spread.

use std::collections::HashMap;

/// The Gini index of how often each of `n` items was recommended, those left out never: `sum over i of (2 i - n - 1) x_i / (n sum of x)`, with x in
/// rising order and i from 1. O(items log items).
pub(super) fn gini(n: u64, times: impl Iterator<Item = u64>) -> f64 {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    let total = times.iter().sum::<u64>() as f64;
    let never = (n as f64 - times.len() as f64).max(0.0);
    let n = never + times.len() as f64;
    let weighed = (1..).zip(&times).map(|(at, &x)| (2.0 * (never + f64::from(at)) - n - 1.0) * x as f64);
    if total == 0.0 { 0.0 } else { weighed.sum::<f64>() / (n * total) }
}

/// The mean rank of what was recommended by the falling `degrees` of the catalogue, as a share of it; `None` where nothing was.
pub(super) fn popularity_rank<T>(degrees: &[u32], times: &HashMap<T, u64>, degree: impl Fn(&T) -> u32) -> Option<f64> {
    // Whole numbers add up to the same in any order.
    let (mut ranks, mut total) = (0u128, 0u128);
    for (item, &times) in times {
        let degree = degree(item);
        let above = degrees.partition_point(|&other| other > degree);
        let same = degrees[above..].partition_point(|&other| other == degree);
        // Twice the mean rank, which counts from 0, of those of the same degree.
        ranks += u128::from(times) * (2 * above + same.saturating_sub(1)) as u128;
        total += u128::from(times);
    }
    let last = degrees.len().saturating_sub(1).max(1) as f64;
    (total > 0).then(|| ranks as f64 / (2.0 * total as f64 * last))
}
