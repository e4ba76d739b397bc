use super::engines::{choices, chosen_kernel, evened, index, large_and_even, query};
use super::*;
use crate::code::tests::flipped_items;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_budget_is_kept_and_its_answer_labelled(
        shape in shapes(),
        planes in 1..=4u32,
        near: bool,
        rows in prop_oneof![0..70usize, 0..1500usize],
        run in 1..200usize,
        k in prop_oneof![1..30usize, 0..2000usize, Just(usize::MAX)],
        budget in prop_oneof![0..100u64, 0..2000u64],
        allow in prop_oneof![2 => Just(None), 1 => (0..=256u32).prop_map(Some), 1 => (0..=12u32).prop_map(Some)],
        seen in prop_oneof![Just(0u32), 0..=256u32],
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        let items = flipped_items(&shape, rows, run, 5, seed);
        let query = query(&items, planes, near, seed ^ 1);
        let ranks = permutation(rows, seed ^ 2);
        let allow = allow.map(|share| subset(rows, share, seed ^ 3));
        let seen: Vec<u32> = if seen == 0 { Vec::new() } else { subset(rows, seen, seed ^ 4).into_iter().collect() };
        let filter = Filter { allow: allow.as_ref(), deny: Vec::new(), seen: Seen::of(&seen) };
        // Everything that can be returned, best first.
        let all = naive(&items, &query, &ranks, usize::MAX, &filter);
        let index = index(&items, &ranks, chosen_kernel());
        for engine in choices() {
            let found = index.search_with(&query, k, &filter, engine, Effort::Budget(budget)).unwrap();
            let returned = bits(&found);
            prop_assert_eq!(returned.len(), k.min(all.len()), "{:?}", engine);
            // What is returned has its true score, in the true order.
            let places: Vec<usize> =
                returned.iter().map(|hit| all.iter().position(|other| other == hit).unwrap()).collect();
            prop_assert!(places.is_sorted_by(|a, b| a < b), "{:?}", engine);
            if found.exact || budget >= rows as u64 {
                prop_assert!(found.exact);
                prop_assert_eq!(&returned[..], &all[..returned.len()], "{:?}", engine);
            }
            if filter.allow.is_none() && seen.is_empty() {
                // Filling k takes k codes, and codes are scored sixteen at a time.
                let fill = k.min(rows) as u64 + 15;
                prop_assert!(found.work.codes <= budget.max(fill), "{:?} {:?}", engine, found.work);
            }
        }
    }
}

/// The share of the exact best 20 that `budget` codes find.
fn recall(index: &Index, items: &LayeredCodes, engine: Option<EngineKind>, budget: u64) -> f64 {
    let (queries, k) = (60, 20);
    let mut kept = 0;
    for seed in 0..queries {
        let query = query(items, 1, true, seed * 1_663);
        let exact = bits(&index.search(&query, k, &Filter::default(), None).unwrap());
        let found = index.search_with(&query, k, &Filter::default(), engine, Effort::Budget(budget)).unwrap();
        assert!(found.work.codes <= budget);
        kept += bits(&found).iter().filter(|hit| exact.contains(hit)).count();
    }
    kept as f64 / (queries as usize * k) as f64
}

#[test]
fn what_promises_most_is_scored_first() {
    let (items, ranks) = large_and_even();
    found_first(&items, &ranks);
    let rows = 20_000;
    let one_layer = Arc::new(CodeShape::hops(80, 0).unwrap());
    found_first(&evened(&flipped_items(&one_layer, rows, 150, 6, 5)), &permutation(rows, 6));
}

fn found_first(items: &LayeredCodes, ranks: &[u32]) {
    let index = index(items, ranks, chosen_kernel());
    // So many codes drawn at random would hold a five-hundredth and a hundredth of the best.
    for (budget, expected) in [(200, 0.4), (1_000, 0.95)] {
        let found = recall(&index, items, None, budget);
        let in_order = recall(&index, items, Some(EngineKind::Linear), budget);
        assert!(found > expected && found > 5.0 * in_order, "{found} by {budget} codes, {in_order} by the first ones");
    }
}

/// Sample queries with what their users have seen.
fn samples(items: &LayeredCodes, count: u64, seed: u64) -> Vec<(QueryCode, Vec<u32>)> {
    let sample = |i: u64| {
        let query = query(items, 1 + (i % 4) as u32, true, (seed + i) * 1_663);
        (query, subset(items.len(), 1, seed ^ i).into_iter().collect())
    };
    (0..count).map(sample).collect()
}

#[test]
fn a_share_of_the_exact_list_is_found_whatever_the_filter() {
    let one_layer = Arc::new(CodeShape::hops(96, 0).unwrap());
    let two_layers = Arc::new(CodeShape::hops(64, 1).unwrap());
    for shape in [one_layer, two_layers] {
        let rows = 30_000;
        let items = evened(&flipped_items(&shape, rows, 150, 20, 9));
        let mut index = index(&items, &permutation(rows, 6), chosen_kernel());
        let sampled = samples(&items, 300, 1);
        let queries: Vec<(QueryCode, Filter<'_>)> = sampled
            .iter()
            .map(|(query, seen)| (query.clone(), Filter { seen: Seen::of(seen), ..Filter::default() }))
            .collect();
        let calibration = index.measure(&queries).unwrap().unwrap();
        let planned: Vec<QueryCode> = queries.iter().take(16).map(|(query, _)| query.clone()).collect();
        index.set_calibration(calibration, &planned).unwrap();
        // Every fifth row; rows of two thirds of the clusters, which no share of all rows says anything about; and most rows.
        let fifth: RoaringBitmap = (0..rows as u32).filter(|row| row % 5 == 0).collect();
        let clusters: RoaringBitmap = (0..rows as u32).filter(|row| row / 150 % 3 > 0).collect();
        let most: RoaringBitmap = (0..rows as u32).filter(|row| row % 11 == 0).collect();
        let (mut limited, mut asked, mut budgeted) = (0, 0, 0);
        for (name, allow, deny) in [
            ("none", None, None),
            ("fifth", Some(&fifth), None),
            ("clusters", Some(&clusters), None),
            ("most", None, Some(&most)),
        ] {
            for k in [5, 20, 100] {
                let (mut found, mut all, mut by_budget, mut claimed) = (0, 0, 0, 0.0);
                for (query, seen) in &samples(&items, 200, 5_000) {
                    let filter = Filter { allow, deny: deny.into_iter().collect(), seen: Seen::of(seen) };
                    let exact = bits(&index.search(query, k, &filter, None).unwrap());
                    let answer = index.search_with(query, k, &filter, None, Effort::Recall(0.95)).unwrap();
                    if answer.exact {
                        assert_eq!((bits(&answer), answer.recall), (exact.clone(), Some(1.0)));
                    } else {
                        limited += 1;
                        assert!(
                            answer.recall.is_some_and(|recall| recall >= 0.95),
                            "{name} {k} {:?} {:?}",
                            answer.recall,
                            answer.work
                        );
                    }
                    asked += 1;
                    let answer_of = |effort| index.search_with(query, k, &filter, None, effort).unwrap();
                    let limited_to = answer_of(Effort::Budget(400));
                    let hits = bits(&limited_to).iter().filter(|hit| exact.contains(hit)).count();
                    budgeted += usize::from(!limited_to.exact);
                    by_budget += hits;
                    claimed += f64::from(limited_to.recall.unwrap_or(0.0)) * exact.len() as f64;
                    found += bits(&answer).iter().filter(|hit| exact.contains(hit)).count();
                    all += exact.len();
                }
                let recall = found as f64 / all as f64;
                assert!(recall >= 0.94, "{name}, {k}: {recall}");
                let (by_budget, claimed) = (f64::from(by_budget as u32) / all as f64, claimed / all as f64);
                assert!(by_budget >= claimed - 0.05, "{name}, {k}: {by_budget} found, {claimed} claimed");
            }
        }
        assert!(limited > asked / 10, "{limited} of {asked} searches were not exact");
        assert!(budgeted > asked / 10, "{budgeted} of {asked} searches by a budget were not exact");
    }
}
