use std::collections::HashSet;

use proptest::prelude::*;

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
    assert!((two.map_all - 1.0 / 3.0).abs() < 1e-12 && (four.map_all - four.map).abs() < 1e-12);
    assert!((four.ndcg - (1.0 + 0.5) / (1.0 + 1.0 / 3f64.log2() + 0.5)).abs() < 1e-12);
    // Two hits were retrieved, so two at the top are the best there was.
    assert!((four.ndcg_bigear - (1.0 + 0.5) / (1.0 + 1.0 / 3f64.log2())).abs() < 1e-12);
    assert_eq!(evaluation.users_by_degree, []);
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
    assert!((cut.ndcg - 1.0).abs() < 1e-12 && (cut.ndcg_bigear - 1.0).abs() < 1e-12);
}

#[test]
fn hits_past_the_retrieved_list_are_unknown_to_bigear() {
    let list: Vec<u32> = (0..120).collect();
    let mut tally = Tally::new(&[20]);
    tally.add(&list, &[0, 99, 100, 119]);
    let cut = tally.finish(120).cuts[0];
    assert!((cut.ndcg_bigear - 1.0 / (1.0 + 1.0 / 3f64.log2())).abs() < 1e-12);
}

/// A user: the list, the test items, and the degree.
type User = (Vec<u32>, Vec<u32>, u32);

/// Every measure as its definition reads, a user at a time: recall, NDCG, BiGeaR's NDCG, precision, average precision in two ways, hit, F1.
fn naive((list, test, _): &User, k: usize) -> [f64; 8] {
    let top = &list[..k.min(list.len())];
    let is_hit = |item: &u32| test.contains(item);
    let hits = top.iter().filter(|item| is_hit(item)).count() as f64;
    let dcg = |gains: Vec<bool>| -> f64 {
        gains.iter().enumerate().map(|(i, &gain)| if gain { 1.0 / (i as f64 + 2.0).log2() } else { 0.0 }).sum()
    };
    let gained = dcg(top.iter().map(is_hit).collect());
    let ideal = dcg(vec![true; k.min(test.len())]);
    let retrieved = list[..k.max(100).min(list.len())].iter().filter(|item| is_hit(item)).count();
    let bigear = dcg(vec![true; k.min(retrieved)]);
    let at_hits: f64 = (1..=top.len())
        .filter(|&n| is_hit(&top[n - 1]))
        .map(|n| top[..n].iter().filter(|item| is_hit(item)).count() as f64 / n as f64)
        .sum();
    let (recall, precision) = (hits / test.len() as f64, hits / k as f64);
    [
        recall,
        gained / ideal,
        if bigear == 0.0 { 0.0 } else { gained / bigear },
        precision,
        at_hits / k.min(test.len()) as f64,
        at_hits / test.len() as f64,
        if hits > 0.0 { 1.0 } else { 0.0 },
        if hits > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 },
    ]
}

/// An item's degree.
fn degree(item: u32) -> u32 {
    item / 7
}

/// Gini's index as the mean difference of two of 200 items over twice their mean, and the mean of 0 for the most popular to 1 for the least.
fn naive_spread(users: &[User], k: usize) -> (f64, Option<f64>) {
    let shown: Vec<u32> = users.iter().flat_map(|user| user.0.iter().copied().take(k)).collect();
    let times: Vec<f64> = (0..200).map(|item| shown.iter().filter(|&&other| other == item).count() as f64).collect();
    let differences: f64 = times.iter().flat_map(|a| times.iter().map(move |b| (a - b).abs())).sum();
    let n = shown.len() as f64;
    let rank = |item: u32| -> f64 {
        let above = (0..200).filter(|&other| degree(other) > degree(item)).count();
        let same = (0..200).filter(|&other| degree(other) == degree(item)).count();
        (above as f64 + (same - 1) as f64 / 2.0) / 199.0
    };
    let gini = if n == 0.0 { 0.0 } else { differences / (2.0 * 200.0 * n) };
    (gini, (n > 0.0).then(|| shown.iter().map(|&item| rank(item)).sum::<f64>() / n))
}

/// The recall of test interactions by quarter of degree, counted one by one.
fn naive_items(users: &[User], k: usize) -> Vec<(u32, u32, u64, u64, f64)> {
    let tests: Vec<(&User, u32)> = users.iter().flat_map(|user| user.1.iter().map(move |&item| (user, item))).collect();
    let distinct: HashSet<u32> = tests.iter().map(|&(_, item)| item).collect();
    let quarter =
        |item: u32| 4 * distinct.iter().filter(|&&other| degree(other) < degree(item)).count() / distinct.len();
    (0..4)
        .filter_map(|number| {
            let items: HashSet<u32> = distinct.iter().copied().filter(|&item| quarter(item) == number).collect();
            let of: Vec<_> = tests.iter().filter(|(_, item)| items.contains(item)).collect();
            let found = of.iter().filter(|(user, item)| user.0.iter().take(k).any(|other| other == item)).count();
            let degrees = || items.iter().map(|&item| degree(item));
            Some((
                degrees().min()?,
                degrees().max()?,
                items.len() as u64,
                of.len() as u64,
                found as f64 / of.len() as f64,
            ))
        })
        .collect()
}

fn user() -> impl Strategy<Value = User> {
    let list = prop::collection::vec(0..150u32, 0..140);
    let test = prop::collection::hash_set(0..150u32, 0..30);
    (list, test, 0..20u32).prop_map(|(mut list, test, degree)| {
        let mut seen = HashSet::new();
        list.retain(|&item| seen.insert(item));
        (list, test.into_iter().collect(), degree)
    })
}

proptest! {
    #[test]
    fn measures_are_their_definitions(users in prop::collection::vec(user(), 0..30)) {
        let cuts = [1, 5, 20, 100, 130];
        let mut tally = Tally::new(&cuts);
        users.iter().for_each(|(list, test, has)| tally.add_with_degrees(list, test, *has, |&item| degree(item)));
        let degrees: Vec<u32> = (0..200).map(degree).collect();
        let evaluation = tally.finish_with_degrees(degrees, |&item| degree(item));
        let tested: Vec<User> = users.iter().filter(|user| !user.1.is_empty()).cloned().collect();
        let n = tested.len().max(1) as f64;
        prop_assert_eq!(evaluation.users, tested.len() as u64);
        for (at, &k) in cuts.iter().enumerate() {
            let mut sums = [0.0; 8];
            let mut shown: HashSet<u32> = HashSet::new();
            for user in &tested {
                sums.iter_mut().zip(naive(user, k)).for_each(|(sum, value)| *sum += value);
                shown.extend(user.0.iter().copied().take(k));
            }
            let cut = evaluation.at(k).unwrap();
            let found = [cut.recall, cut.ndcg, cut.ndcg_bigear, cut.precision, cut.map, cut.map_all, cut.hit_rate, cut.f1];
            for (found, sum) in found.into_iter().zip(sums) {
                prop_assert!((found - sum / n).abs() < 1e-12 && (0.0..=1.0 + 1e-12).contains(&found), "{cut:?} {sums:?}");
            }
            prop_assert_eq!(cut.coverage, shown.len() as f64 / 200.0);
            let (gini, rank) = naive_spread(&tested, k);
            prop_assert!((cut.gini - gini).abs() < 1e-12, "{} {gini}", cut.gini);
            match (cut.popularity_rank, rank) {
                (Some(found), Some(rank)) => prop_assert!((found - rank).abs() < 1e-12, "{found} {rank}"),
                (found, rank) => prop_assert_eq!(found, rank),
            }

            let mut covered = 0;
            for quartile in &evaluation.users_by_degree {
                let within = |user: &&User| (quartile.least_degree..=quartile.most_degree).contains(&user.2);
                let of: Vec<&User> = tested.iter().filter(within).collect();
                let recall = of.iter().map(|user| naive(user, k)[0]).sum::<f64>() / of.len() as f64;
                prop_assert_eq!((quartile.count, quartile.recall[at].0), (of.len() as u64, k));
                prop_assert!((quartile.recall[at].1 - recall).abs() < 1e-12);
                // The first of it in the order of degrees has its quarter, a number of 0 to 3, of the others below.
                let below = |degree: u32| tested.iter().filter(|user| user.2 < degree).count();
                let number = 4 * below(quartile.least_degree) / tested.len();
                prop_assert_eq!(number, 4 * below(quartile.most_degree) / tested.len());
                covered += of.len();
            }
            prop_assert_eq!(covered, tested.len());

            let items = &evaluation.items_by_degree;
            let found: Vec<_> = items
                .iter()
                .map(|q| (q.least_degree, q.most_degree, q.count, q.interactions, q.recall[at].1))
                .collect();
            prop_assert_eq!(found, naive_items(&tested, k));
        }
    }
}
