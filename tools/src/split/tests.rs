use std::collections::{BTreeMap, BTreeSet};

use kithdb::Interaction;
use proptest::prelude::*;

use super::*;

/// Interactions of few users and items, with times, some pairs more than once.
fn rows() -> impl Strategy<Value = Vec<Interaction>> {
    let row = (0..12u64, 0..15u64, 1..5u32, 0..50i64).prop_map(|(user, item, weight, time)| Interaction {
        time: Some(time),
        ..Interaction::new(user, item).weight(weight as f32)
    });
    prop::collection::vec(row, 0..160)
}

fn pairs(edges: &[Interaction]) -> BTreeSet<(String, String)> {
    edges.iter().map(|edge| (edge.user.to_string(), edge.item.to_string())).collect()
}

/// Takes away whoever has too few, and looks again, until nobody has.
fn naive_core(edges: &[Interaction], k: usize) -> BTreeSet<(String, String)> {
    let mut left = pairs(edges);
    loop {
        let before = left.clone();
        left.retain(|(user, item)| {
            before.iter().filter(|edge| edge.0 == *user).count() >= k
                && before.iter().filter(|edge| edge.1 == *item).count() >= k
        });
        if left == before {
            return left;
        }
    }
}

fn by_user(edges: &[Interaction]) -> BTreeMap<String, Vec<&Interaction>> {
    let mut users: BTreeMap<String, Vec<&Interaction>> = BTreeMap::new();
    edges.iter().for_each(|edge| users.entry(edge.user.to_string()).or_default().push(edge));
    users
}

proptest! {
    #[test]
    fn the_last_row_of_a_pair_is_kept(rows in rows()) {
        let edges = latest(rows.clone());
        prop_assert_eq!(pairs(&edges).len(), edges.len());
        prop_assert_eq!(pairs(&edges), pairs(&rows));
        for edge in &edges {
            let last = rows.iter().rfind(|row| (&row.user, &row.item) == (&edge.user, &edge.item));
            prop_assert_eq!(last, Some(edge));
        }
    }

    #[test]
    fn a_core_is_what_is_left_of_repeated_filtering(rows in rows(), k in 0..8usize) {
        let edges = latest(rows);
        let left = core(edges.clone(), k);
        prop_assert_eq!(pairs(&left), naive_core(&edges, k));
        let mut rest = edges.iter();
        prop_assert!(left.iter().all(|edge| rest.any(|other| other == edge)), "in the order they came");
    }

    #[test]
    fn parts_hold_a_share_of_every_user(rows in rows(), percent in 1..100u32, seed: u64, by_time: bool) {
        let edges = latest(rows);
        let by = if by_time { By::Time } else { By::Chance(seed) };
        let parts = cut(edges.clone(), HeldOut::Share(f64::from(percent) / 100.0), by).unwrap();
        let (train, test) = (by_user(&parts.train), by_user(&parts.test));
        prop_assert_eq!(parts.train.len() + parts.test.len(), edges.len());
        prop_assert_eq!(pairs(&parts.train).union(&pairs(&parts.test)).count(), edges.len());
        for (user, all) in by_user(&edges) {
            let held = test.get(&user).map_or(0, Vec::len);
            prop_assert_eq!(held, (all.len() * percent as usize / 100).min(all.len() - 1));
            if by_time {
                let latest_kept = train[&user].iter().map(|edge| (edge.time, &edge.item)).max();
                let first_held = test.get(&user).into_iter().flatten().map(|edge| (edge.time, &edge.item)).min();
                prop_assert!(first_held.is_none() || latest_kept < first_held);
            }
        }
        let one = cut(edges.clone(), HeldOut::One, by).unwrap();
        for (user, all) in by_user(&edges) {
            let held = by_user(&one.test).remove(&user).unwrap_or_default();
            prop_assert_eq!(held.len(), usize::from(all.len() > 1));
            if let (Some(held), true) = (held.first(), by_time) {
                prop_assert!(all.iter().all(|edge| (edge.time, &edge.item) <= (held.time, &held.item)));
            }
        }
        // Rows in another order give the same parts.
        let turned: Vec<Interaction> = edges.into_iter().rev().collect();
        let again = cut(turned, HeldOut::Share(f64::from(percent) / 100.0), by).unwrap();
        prop_assert_eq!(pairs(&again.test), pairs(&parts.test));
    }
}

proptest! {
    #[test]
    fn nothing_is_learned_from_what_happened_after_the_first_held_out(rows in rows(), percent in 1..100usize, at in 0..50i64) {
        let edges = latest(rows);
        let last = across(edges.clone(), Moment::Last(percent as f64 / 100.0)).unwrap();
        let fixed = across(edges.clone(), Moment::At(at)).unwrap();
        for parts in [&last, &fixed] {
            prop_assert_eq!(pairs(&parts.train).union(&pairs(&parts.test)).count(), edges.len());
            prop_assert_eq!(parts.train.len() + parts.test.len(), edges.len());
            let (latest, first) = (parts.train.iter().map(|edge| edge.time).max(), parts.test.iter().map(|edge| edge.time).min());
            prop_assert!(latest.is_none() || first.is_none() || latest < first);
        }
        prop_assert!(fixed.test.iter().all(|edge| edge.time >= Some(at)) && fixed.train.iter().all(|edge| edge.time < Some(at)));
        let held = (edges.len() * percent / 100).min(edges.len().saturating_sub(1));
        prop_assert!(last.test.len() >= held);
        // No moment later would do.
        let first = last.test.iter().filter_map(|edge| edge.time).min();
        prop_assert!(held == 0 || last.test.iter().filter(|edge| edge.time > first).count() < held);
    }
}

#[test]
fn every_interaction_is_held_out_by_some_seed() {
    let edges: Vec<Interaction> = (0..10u64).map(|item| Interaction::new("u", item)).collect();
    let mut counts = BTreeMap::new();
    for seed in 0..400 {
        for edge in cut(edges.clone(), HeldOut::Share(0.5), By::Chance(seed)).unwrap().test {
            *counts.entry(edge.item.to_string()).or_insert(0) += 1;
        }
    }
    // 200 are expected of each, give or take 10.
    assert!(counts.len() == 10 && counts.values().all(|count| (150..250).contains(count)), "{counts:?}");
}

#[test]
fn a_time_is_needed_to_split_by_it() {
    let mut edges = vec![Interaction::new("u", "a"), Interaction::new("u", "b")];
    edges[0].time = Some(5);
    let error = cut(edges, HeldOut::Share(0.5), By::Time).unwrap_err();
    assert_eq!(error, Untimed { user: "u".into(), item: "b".into() });
}
