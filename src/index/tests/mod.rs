mod budget;
mod engines;

use std::sync::Arc;

use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use roaring::RoaringBitmap;

use super::*;
use crate::code::tests::{naive_score, random_items, random_query, shapes};
use crate::code::{CodeError, CodeShape, LayeredCodes, QueryCode};
use crate::kernel::popcount::Kernel;

/// A permutation of `0..n`.
fn permutation(n: usize, seed: u64) -> Vec<u32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut keyed: Vec<(u64, u32)> = (0..n as u32).map(|row| (random.next_u64(), row)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, row)| row).collect()
}

/// About `share` of 256 of the rows, and one that does not exist.
fn subset(n: usize, share: u32, seed: u64) -> RoaringBitmap {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut rows: RoaringBitmap = (0..n as u32).filter(|_| random.next_u32() % 256 < share).collect();
    rows.insert(n as u32 + 7);
    rows
}

/// Scores everything, filters, sorts everything.
fn naive(items: &LayeredCodes, query: &QueryCode, ranks: &[u32], k: usize, filter: &Filter<'_>) -> Vec<(u32, u32)> {
    let mut all: Vec<(f32, u32, u32)> = (0..items.len())
        .filter(|&row| {
            let row = row as u32;
            filter.allow.is_none_or(|allow| allow.contains(row))
                && filter.deny.iter().all(|deny| !deny.contains(row))
                && !filter.seen.rows().contains(&row)
        })
        .map(|row| (naive_score(query, items, row), ranks[row], row as u32))
        .collect();
    all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
    all.truncate(k);
    all.into_iter().map(|(score, _, row)| (row, score.to_bits())).collect()
}

fn bits(found: &Found) -> Vec<(u32, u32)> {
    found.matches.iter().map(|hit| (hit.row, hit.score.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn linear_is_a_full_sort(
        shape in shapes(),
        planes in 1..=4u32,
        rows in 0..200usize,
        distinct in 1..60usize,
        k in prop_oneof![1..10usize, 1..250usize, Just(usize::MAX)],
        allow in prop_oneof![Just(None), (0..=256u32).prop_map(Some), (0..=12u32).prop_map(Some)],
        deny in prop_oneof![Just(None), (0..=256u32).prop_map(Some)],
        seen in 0..=256u32,
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        // Few distinct rows and scalers: ties abound, and the ranks must break them.
        let items = random_items(&shape, rows, distinct, seed);
        let query = random_query(&shape, planes, seed ^ 1);
        let ranks = permutation(rows, seed ^ 2);
        let allow = allow.map(|share| subset(rows, share, seed ^ 3));
        let deny: Vec<RoaringBitmap> = deny
            .map(|share| vec![subset(rows, share, seed ^ 4), subset(rows, 20, seed ^ 5)])
            .unwrap_or_default();
        let seen: Vec<u32> = subset(rows, seen, seed ^ 6).into_iter().collect();
        let filter = Filter { allow: allow.as_ref(), deny: deny.iter().collect(), seen: Seen::of(&seen) };
        let expected = naive(&items, &query, &ranks, k, &filter);
        for kernel in Kernel::available() {
            let in_order = Linear::build(&items, ranks.clone(), kernel).unwrap();
            let found = in_order.search(&query, k, &filter).unwrap();
            prop_assert_eq!(&bits(&found), &expected);
            prop_assert!(found.work.codes <= rows as u64);
            let shuffled = Linear::with_order(&items, permutation(rows, seed ^ 7), ranks.clone(), kernel).unwrap();
            prop_assert_eq!(&bits(&shuffled.search(&query, k, &filter).unwrap()), &expected);
        }
    }

    #[test]
    fn top_k_is_a_sort(scores in prop::collection::vec(-3..3i32, 0..300), k in 0..320usize) {
        let ranks = permutation(scores.len(), k as u64);
        let mut top = TopK::new(k, scores.len());
        let mut expected: Vec<(f32, u32, u32)> = Vec::new();
        for (row, &score) in scores.iter().enumerate() {
            let score = score as f32 * 0.75;
            let before = top.threshold();
            top.push(score, ranks[row], row as u32);
            prop_assert!(top.threshold() >= before);
            expected.push((score, ranks[row], row as u32));
        }
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        expected.truncate(k);
        let expected: Vec<(u32, f32)> = expected.into_iter().map(|(score, _, row)| (row, score)).collect();
        prop_assert_eq!(top.into_sorted(), expected);
    }
}

#[test]
fn short_allow_lists_score_few_codes() {
    let shape = Arc::new(CodeShape::hops(64, 0).unwrap());
    let items = random_items(&shape, 4001, 4001, 1);
    let index = Linear::with_order(&items, permutation(4001, 5), permutation(4001, 2), Kernel::Scalar).unwrap();
    let query = random_query(&shape, 1, 3);
    let all = index.search(&query, 5, &Filter::default()).unwrap();
    assert_eq!(all.work.codes, 4001);
    let allow: RoaringBitmap = [1, 17, 4000].into_iter().collect();
    let filter = Filter { allow: Some(&allow), ..Filter::default() };
    let few = index.search(&query, 5, &filter).unwrap();
    assert_eq!(few.matches.len(), 3);
    assert!(few.work.codes <= 48);
    let none = index.search(&query, 0, &filter).unwrap();
    assert_eq!((none.matches.len(), none.work.codes), (0, 0));
}

#[test]
fn mismatched_parts_are_refused() {
    let shape = Arc::new(CodeShape::hops(64, 0).unwrap());
    let items = random_items(&shape, 20, 20, 1);
    let ranks: Vec<u32> = (0..20).collect();
    let build = |order: Vec<u32>| Linear::with_order(&items, order, ranks.clone(), Kernel::Scalar).map(drop);
    assert_eq!(build((0..20).rev().collect()), Ok(()));
    assert!(matches!(build(vec![3; 20]), Err(CodeError::Row { row: 3, .. })));
    assert!(matches!(build((1..21).collect()), Err(CodeError::Row { row: 20, .. })));
    assert!(matches!(build((0..19).collect()), Err(CodeError::Length { .. })));
    let few_ranks = Linear::build(&items, vec![0; 19], Kernel::Scalar).map(drop);
    assert!(matches!(few_ranks, Err(CodeError::Length { .. })));
    let index = Linear::build(&items, ranks.clone(), Kernel::Scalar).unwrap();
    let other = random_query(&Arc::new(CodeShape::hops(65, 0).unwrap()), 1, 2);
    assert_eq!(index.search(&other, 3, &Filter::default()), Err(CodeError::ShapeMismatch));
}
