use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::code::CodeShape;
use crate::code::tests::{naive_score, random_items, random_query, shapes};

/// Every available kernel scores every row to the bits of the definition.
fn check_scores(shape: CodeShape, planes: u32, rows: usize, seed: u64) {
    let shape = Arc::new(shape);
    let items = random_items(&shape, rows, rows, seed);
    let query = random_query(&shape, planes, seed ^ 1);
    let order: Vec<u32> = (0..rows as u32).rev().collect();
    let blocks = Blocks::build(&items, &order).unwrap();
    let cut = BlockQuery::new(&query);
    let expected: Vec<u32> = order.iter().map(|&row| naive_score(&query, &items, row as usize).to_bits()).collect();
    for kernel in Kernel::available() {
        let scores: Vec<u32> =
            (0..blocks.len()).flat_map(|block| kernel.score(&blocks, &cut, block)).map(f32::to_bits).collect();
        let (rows, padding) = scores.split_at(rows);
        assert_eq!(rows, expected, "{}", kernel.name());
        assert!(padding.iter().all(|&score| score == 0), "{}", kernel.name());
    }
    // Both ways to count, wherever the instruction sets they are meant for are missing.
    assert_eq!(portable_scores::<portable::Words>(&blocks, &cut)[..rows], expected);
    assert_eq!(portable_scores::<portable::Bytes>(&blocks, &cut)[..rows], expected);
}

/// The scores of the portable loop without any instruction set.
fn portable_scores<L: portable::Lanes<Proof = ()>>(blocks: &Blocks, query: &BlockQuery) -> Vec<u32> {
    let mut all = Vec::new();
    let mut sink = |_: usize, lanes: u16, scores: &[f32; LANES]| {
        assert_eq!(lanes, u16::MAX);
        all.extend(scores.map(f32::to_bits));
        f32::NEG_INFINITY
    };
    portable::scan::<L>((), blocks, query, 0..blocks.len(), f32::NEG_INFINITY, &mut sink);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn scores_are_the_definition(shape in shapes(), planes in 1..=8u32, rows in 0..40usize, seed: u64) {
        check_scores(shape, planes, rows, seed);
    }

    #[test]
    fn scans_give_what_reaches_the_threshold(
        shape in shapes(),
        planes in 1..=8u32,
        rows in 1..100usize,
        cut in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        let items = random_items(&shape, rows, rows / 2, seed);
        let order: Vec<u32> = (0..rows as u32).collect();
        let blocks = Blocks::build(&items, &order).unwrap();
        let query = BlockQuery::new(&random_query(&shape, planes, seed ^ 1));
        let scores: Vec<[f32; LANES]> = (0..blocks.len()).map(|block| scalar::score(&blocks, &query, block)).collect();
        // A threshold that some score equals.
        let threshold = scores[cut.index(scores.len())][cut.index(LANES)];
        let start = cut.index(blocks.len());
        for kernel in Kernel::available() {
            let (initial, mut threshold, mut expected_from) = (threshold, threshold, start);
            let mut sink = |block: usize, lanes: u16, got: &[f32; LANES]| {
                for skipped in &scores[expected_from..block] {
                    assert!(skipped.iter().all(|score| *score < threshold));
                }
                expected_from = block + 1;
                assert_eq!(got.map(f32::to_bits), scores[block].map(f32::to_bits));
                for (lane, score) in got.iter().enumerate() {
                    assert_eq!(lanes >> lane & 1 == 1, *score >= threshold);
                }
                // Raised while the scan runs, as a top-k does.
                threshold = got.iter().copied().fold(threshold, f32::max);
                threshold
            };
            kernel.scan(&blocks, &query, start..blocks.len(), initial, &mut sink);
            for skipped in &scores[expected_from..] {
                prop_assert!(skipped.iter().all(|score| *score < threshold));
            }
        }
    }
}

#[test]
fn every_width_and_plane_count() {
    for width in (1..=130).chain([255, 256, 257, 991, 992, 993, 1984, 1985]) {
        for planes in [1, 2, 3, 8] {
            check_scores(CodeShape::hops(width, 1).unwrap(), planes, 17, u64::from(width));
        }
    }
}

#[test]
fn full_bytes_do_not_overflow() {
    // Every bit differs: each byte of a lane counts 8 a word.
    for width in [24 * 32, 31 * 32, 32 * 32, 4096] {
        let shape = Arc::new(CodeShape::hops(width, 0).unwrap());
        let negative = vec![-1.0; width as usize];
        let items = crate::code::LayeredCodes::encode(Arc::clone(&shape), &[&negative]).unwrap();
        let blocks = Blocks::build(&items, &[0]).unwrap();
        for planes in 1..=8 {
            let ones = vec![1.0; width as usize];
            let query = crate::code::QueryCode::encode(Arc::clone(&shape), &[&ones], planes).unwrap();
            for kernel in Kernel::available() {
                let score = kernel.score(&blocks, &BlockQuery::new(&query), 0)[0];
                assert_eq!(score, naive_score(&query, &items, 0), "{}", kernel.name());
                assert!((score / width as f32 + 1.0).abs() < 1e-6, "{}", kernel.name());
            }
        }
    }
}

#[test]
fn kernels_are_found_by_name() {
    for kernel in Kernel::available() {
        assert_eq!(Kernel::named(kernel.name()), Ok(kernel));
    }
    assert_eq!(Kernel::available().last(), Some(Kernel::Scalar));
    let unknown = Kernel::named("mmx").unwrap_err();
    assert!(unknown.to_string().contains("mmx"));
    for kernel in Kernel::ALL.into_iter().filter(|kernel| !kernel.is_available()) {
        assert_eq!(Kernel::named(kernel.name()), Err(KernelError::Unavailable { name: kernel.name() }));
    }
}
