use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::code::tests::{flipped_items, naive_score, random_items, random_query, shapes};
use crate::code::{CodeShape, LayeredCodes, QueryCode};

/// Every available kernel scores every row to the bits of the definition.
fn check_scores(shape: CodeShape, planes: u32, rows: usize, seed: u64) {
    let shape = Arc::new(shape);
    let items = random_items(&shape, rows, rows, seed);
    let query = random_query(&shape, planes, seed ^ 1);
    let order: Vec<u32> = (0..rows as u32).rev().collect();
    let blocks = Blocks::build(&items.reordered(&order).unwrap());
    let cut = BlockQuery::new(&query);
    let expected: Vec<u32> = order.iter().map(|&row| naive_score(&query, &items, row as usize).to_bits()).collect();
    for kernel in Kernel::available() {
        let scores: Vec<u32> =
            (0..blocks.len()).flat_map(|block| kernel.score(&blocks, &cut, block)).map(f32::to_bits).collect();
        let (rows, padding) = scores.split_at(rows);
        assert_eq!(rows, expected, "{}", kernel.name());
        assert!(padding.iter().all(|&score| score == 0), "{}", kernel.name());
    }
    // The way of other instruction sets.
    assert_eq!(portable_scores::<plain::Plain, Blocks>(&blocks, &cut)[..rows], expected);
}

/// Balls around runs of `size` rows, with the first row of each as centre, and who is in which.
fn balls(items: &LayeredCodes, size: usize) -> Balls {
    let shape = items.shape();
    let (mut words, mut scalers, mut radii) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..items.len()).step_by(size) {
        let rows: Vec<usize> = (first..items.len().min(first + size)).collect();
        let centre = items.row(first).words;
        words.extend_from_slice(centre);
        for layer in 0..shape.layers() {
            let distance = |&row: &usize| {
                let words =
                    shape.layer_words(layer).map(|word| (items.row(row).words[word] ^ centre[word]).count_ones());
                words.sum::<u32>()
            };
            radii.push(rows.iter().map(distance).max().unwrap());
            scalers.push(rows.iter().map(|&row| items.row(row).scalers[layer]).fold(0.0, f32::max));
        }
    }
    Balls::new(&LayeredCodes::from_parts(Arc::clone(shape), words, scalers).unwrap(), &radii).unwrap()
}

/// Some items as centres, with deviations, and what each promises: one operation after another.
fn centres(items: &LayeredCodes, query: &QueryCode) -> (Centres, Vec<f32>) {
    let shape = items.shape();
    let deviations: Vec<f32> = (0..items.len() * shape.layers()).map(|i| (i % 7) as f32 / 3.0).collect();
    let promise = |row: usize| {
        let contributions = query.contributions(items.row(row));
        (0..shape.layers()).rev().fold(0.0, |sum, layer| {
            let width = shape.widths()[layer] as f32;
            let spread = query.factors()[layer] * query.magnitude(layer) as f32 / width.sqrt();
            sum + contributions[layer] + deviations[row * shape.layers() + layer] * spread
        })
    };
    (Centres::new(items, &deviations).unwrap(), (0..items.len()).map(promise).collect())
}

/// Pieces with the first row of every block as its centre.
fn pieces(items: &LayeredCodes) -> Pieces {
    let width = items.shape().widths()[0];
    let (mut words, mut scalers, mut radii) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..items.len()).step_by(LANES) {
        let rows: Vec<usize> = (first..items.len().min(first + LANES)).collect();
        let centre = items.row(first).words;
        words.extend_from_slice(centre);
        scalers.push(rows.iter().map(|&row| items.row(row).scalers[0]).fold(0.0, f32::max));
        for piece in 0..Pieces::count(width) as u32 {
            let differs = |row: usize, bit: u32| {
                (items.row(row).words[bit as usize / 64] ^ centre[bit as usize / 64]) >> (bit % 64) & 1 == 1
            };
            let left = |&row: &usize| (piece * PIECE..width).filter(|&bit| differs(row, bit)).count() as u32;
            radii.push(rows.iter().map(left).max().unwrap());
        }
    }
    Pieces::new(&LayeredCodes::from_parts(Arc::clone(items.shape()), words, scalers).unwrap(), &radii).unwrap()
}

/// Every kernel, and the portable loop, give the reference's bits; returns them.
fn checked<S: Source>(source: &S, query: &S::Query) -> Vec<f32> {
    let bits = |all: Vec<[f32; LANES]>| all.concat().into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    let reference: Vec<[f32; LANES]> = (0..source.blocks()).map(|block| source.reference(query, block)).collect();
    for kernel in Kernel::available() {
        let scores = (0..source.blocks()).map(|block| kernel.score(source, query, block)).collect();
        assert_eq!(bits(scores), bits(reference.clone()), "{}", kernel.name());
    }
    assert_eq!(portable_scores::<plain::Plain, S>(source, query), bits(reference.clone()));
    reference.concat()
}

/// The scores of the portable loop without any instruction set.
fn portable_scores<L: portable::Lanes<Proof = ()>, S: Source>(source: &S, query: &S::Query) -> Vec<u32> {
    let mut all = Vec::new();
    let mut sink = |_: usize, _: usize, lanes: u16, scores: &[f32; LANES]| {
        assert_eq!(lanes, u16::MAX);
        all.extend(scores.map(f32::to_bits));
        f32::NEG_INFINITY
    };
    let (range, mut threshold) = (0..source.blocks(), [f32::NEG_INFINITY]);
    portable::scan::<L, S>(
        (),
        Pass { source, queries: &[query], blocks: Which::Range(range), thresholds: &mut threshold, sink: &mut sink },
    );
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
        let blocks = Blocks::build(&items.reordered(&order).unwrap());
        let query = BlockQuery::new(&random_query(&shape, planes, seed ^ 1));
        let scores: Vec<[f32; LANES]> = (0..blocks.len()).map(|block| blocks.reference(&query, block)).collect();
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn many_queries_get_what_each_gets_alone(
        shape in shapes(),
        planes in 1..=8u32,
        rows in 0..2600usize,
        queries in 0..11usize,
        cut in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        let items = random_items(&shape, rows, rows / 2, seed);
        let order: Vec<u32> = (0..rows as u32).collect();
        let blocks = Blocks::build(&items.reordered(&order).unwrap());
        let queries: Vec<BlockQuery> =
            (0..queries as u64).map(|i| BlockQuery::new(&random_query(&shape, planes, seed ^ i))).collect();
        let start = if blocks.is_empty() { 0 } else { cut.index(blocks.len()) };
        let most = |scores: &[f32; LANES], before: f32| scores.iter().copied().fold(before, f32::max);
        for kernel in Kernel::available() {
            let mut alone: Vec<Vec<(usize, u16, [u32; LANES])>> = Vec::new();
            for query in &queries {
                let (mut told, mut threshold) = (Vec::new(), 0.0);
                let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
                    told.push((block, lanes, scores.map(f32::to_bits)));
                    threshold = most(scores, threshold);
                    threshold
                };
                kernel.scan(&blocks, query, start..blocks.len(), 0.0, &mut sink);
                alone.push(told);
            }
            let mut together = vec![Vec::new(); queries.len()];
            let (mut thresholds, mut raised) = (vec![0.0; queries.len()], vec![0.0; queries.len()]);
            let mut sink = |query: usize, block: usize, lanes: u16, scores: &[f32; LANES]| {
                together[query].push((block, lanes, scores.map(f32::to_bits)));
                raised[query] = most(scores, raised[query]);
                raised[query]
            };
            let queries: Vec<&BlockQuery> = queries.iter().collect();
            kernel.scan_many(&blocks, &queries, start..blocks.len(), &mut thresholds, &mut sink);
            prop_assert_eq!(&together, &alone, "{}", kernel.name());
            prop_assert_eq!(&thresholds, &raised, "{}", kernel.name());
        }
    }

    #[test]
    fn listed_blocks_are_scored_in_their_order(
        shape in shapes(),
        planes in 1..=8u32,
        rows in 1..200usize,
        list in prop::collection::vec(any::<prop::sample::Index>(), 0..90),
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        let blocks = Blocks::build(&random_items(&shape, rows, rows, seed));
        let query = BlockQuery::new(&random_query(&shape, planes, seed ^ 1));
        let list: Vec<u32> = list.iter().map(|at| at.index(blocks.len()) as u32).collect();
        // Raised to just below the best of every block, as a top-k does, so that later ones reach it or do not.
        let raised = |scores: &[f32; LANES], before: f32| scores.iter().map(|score| score - 0.5).fold(before, f32::max);
        let (mut expected, mut threshold) = (Vec::new(), 0.0);
        for &block in &list {
            let scores = blocks.reference(&query, block as usize);
            let lanes = (0..LANES).fold(0u16, |lanes, lane| lanes | u16::from(scores[lane] >= threshold) << lane);
            if lanes != 0 {
                expected.push((block as usize, lanes, scores.map(f32::to_bits)));
                threshold = raised(&scores, threshold);
            }
        }
        for kernel in Kernel::available() {
            let (mut told, mut threshold) = (Vec::new(), 0.0);
            let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
                told.push((block, lanes, scores.map(f32::to_bits)));
                threshold = raised(scores, threshold);
                threshold
            };
            kernel.scan_list(&blocks, &query, &list, 0.0, &mut sink);
            prop_assert_eq!(&told, &expected, "{}", kernel.name());
        }
    }

    #[test]
    fn pieces_give_what_a_scan_gives(
        width in prop_oneof![1..200u32, Just(256u32), Just(512), Just(768), 200..1700u32],
        planes in 1..=8u32,
        rows in 1..3000usize,
        flips in prop::sample::select(vec![0usize, 3, 40, 400]),
        cut in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let shape = Arc::new(CodeShape::hops(width, 0).unwrap());
        let items = flipped_items(&shape, rows, LANES, flips, seed);
        let (blocks, pieces) = (Blocks::build(&items), pieces(&items));
        let query = BallQuery::new(&match seed % 3 {
            0 => random_query(&shape, planes, seed ^ 1),
            _ => QueryCode::from_item(&items, cut.index(rows)).unwrap(),
        });
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let done: Vec<u64> = (0..blocks.len().div_ceil(64)).map(|_| random.next_u64() & random.next_u64()).collect();
        let is_done = |block: usize| done[block / 64] >> (block % 64) & 1 == 1;
        let scores: Vec<[f32; LANES]> = (0..blocks.len()).map(|block| blocks.reference(query.codes(), block)).collect();
        // One that some score equals.
        let threshold = scores[cut.index(scores.len())][cut.index(LANES)];
        let lanes = |scores: &[f32; LANES]| (0..LANES).fold(0u16, |lanes, lane| lanes | u16::from(scores[lane] >= threshold) << lane);
        let expected: Vec<(usize, u16, [u32; LANES])> = (scores.iter().enumerate())
            .filter(|&(block, scores)| !is_done(block) && lanes(scores) != 0)
            .map(|(block, scores)| (block, lanes(scores), scores.map(f32::to_bits)))
            .collect();
        let cut = PieceQuery::new(&query);
        let mut counts = Vec::new();
        for kernel in Kernel::available() {
            let mut told = Vec::new();
            let mut sink = |block: usize, lanes: u16, scores: &[f32; LANES]| {
                told.push((block, lanes, scores.map(f32::to_bits)));
                threshold
            };
            counts.push(kernel.scan_pieces(&pieces, &blocks, &cut, &done, threshold, &mut sink));
            prop_assert_eq!(&told, &expected, "{}", kernel.name());
        }
        let all = (blocks.len() * Pieces::count(width)) as u64;
        prop_assert!(counts.iter().all(|&read| read == counts[0] && read <= all), "{:?}", counts);
        // Raised while the scan runs, as a top-k does: the best is among what is told.
        let best = scores.iter().enumerate().filter(|&(block, _)| !is_done(block)).flat_map(|(_, scores)| scores).copied().fold(f32::MIN, f32::max);
        for kernel in Kernel::available() {
            let mut most = f32::MIN;
            let mut sink = |_: usize, _: u16, scores: &[f32; LANES]| {
                most = scores.iter().copied().fold(most, f32::max);
                most
            };
            kernel.scan_pieces(&pieces, &blocks, &cut, &done, f32::NEG_INFINITY, &mut sink);
            prop_assert_eq!(most, best);
        }
    }

    #[test]
    fn promises_are_scores_and_deviations(shape in shapes(), planes in 1..=8u32, rows in 1..70usize, seed: u64) {
        let shape = Arc::new(shape);
        let items = random_items(&shape, rows, rows, seed);
        let query = random_query(&shape, planes, seed ^ 1);
        let (centres, expected) = centres(&items, &query);
        let promises = checked(&centres, &BallQuery::new(&query));
        let bits = |promises: &[f32]| promises.iter().map(|promise| promise.to_bits()).collect::<Vec<u32>>();
        prop_assert_eq!(bits(&promises[..rows]), bits(&expected));
    }

    #[test]
    fn no_score_is_above_the_bound_of_its_ball_or_head(
        shape in shapes(),
        planes in 1..=8u32,
        rows in 1..70usize,
        size in 1..40usize,
        flips in prop::sample::select(vec![0usize, 1, 4, 30, 500]),
        layer in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        let items = flipped_items(&shape, rows, size, flips, seed);
        let query = random_query(&shape, planes, seed ^ 1);
        let prepared = BallQuery::new(&query);
        let order: Vec<u32> = (0..rows as u32).rev().collect();
        let heads = Heads::build(&items.reordered(&order).unwrap(), layer.index(shape.layers())).unwrap();
        let ball_bounds = checked(&balls(&items, size), &prepared);
        let head_bounds = checked(&heads, &prepared);
        for row in 0..rows {
            let score = naive_score(&query, &items, row);
            prop_assert!(score <= ball_bounds[row / size], "{score} in a ball of at most {}", ball_bounds[row / size]);
            prop_assert!(score <= head_bounds[rows - 1 - row], "{score} with a head of at most {}", head_bounds[rows - 1 - row]);
        }
        // The bound of a ball of one item with the largest bound possible is its score.
        for row in 0..if size == 1 { rows } else { 0 } {
            prop_assert!(ball_bounds[row] >= 0.0);
            let own = QueryCode::from_item(&items, row).unwrap();
            let bounds = checked(&balls(&items, 1), &BallQuery::new(&own));
            prop_assert_eq!(bounds[row].to_bits(), naive_score(&own, &items, row).to_bits());
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
        let items = LayeredCodes::encode(Arc::clone(&shape), &[&negative]).unwrap();
        let blocks = Blocks::build(&items);
        for planes in 1..=8 {
            let ones = vec![1.0; width as usize];
            let query = QueryCode::encode(Arc::clone(&shape), &[&ones], planes).unwrap();
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

/// The one test of time here: the preferred kernel may not be far behind another one. Wide enough that noise passes, and narrow enough that a kernel
/// compiled without its instructions does not. A kernel that seems slow is given more rounds: on a busy machine its best may be long in coming.
#[test]
fn no_kernel_is_much_faster_than_the_preferred_one() {
    const ROWS: usize = 2048;
    const ROUNDS: Range<usize> = 9..300;
    let kernels: Vec<Kernel> = Kernel::available().filter(|kernel| *kernel != Kernel::Scalar).collect();
    if kernels.is_empty() {
        return;
    }
    let is_near =
        |best: &[std::time::Duration]| best.iter().all(|other| best[0].as_secs_f64() <= 1.5 * other.as_secs_f64());
    for (width, layers) in [(64, 4), (256, 3), (768, 1)] {
        let shape = Arc::new(CodeShape::hops(width, layers - 1).unwrap());
        let blocks = Blocks::build(&random_items(&shape, ROWS, ROWS, 1));
        for planes in [1, 4] {
            let query = BlockQuery::new(&random_query(&shape, planes, 2));
            let scan = |kernel: Kernel| {
                let start = std::time::Instant::now();
                let mut seen = 0;
                let mut sink = |block: usize, _: u16, _: &[f32; LANES]| {
                    seen = block;
                    f32::MAX
                };
                // A millisecond or a few.
                for _ in 0..500 {
                    kernel.scan(std::hint::black_box(&blocks), &query, 0..blocks.len(), f32::MAX, &mut sink);
                }
                (start.elapsed(), seen).0
            };
            let mut best = vec![std::time::Duration::MAX; kernels.len()];
            for round in 0..ROUNDS.end {
                for (best, &kernel) in best.iter_mut().zip(&kernels) {
                    *best = scan(kernel).min(*best);
                }
                if round >= ROUNDS.start && is_near(&best) {
                    break;
                }
            }
            let times = kernels.iter().map(|kernel| kernel.name()).zip(&best);
            let story = format!("{layers}x{width}, {planes} planes: {:?}", times.collect::<Vec<_>>());
            println!("{story}");
            assert!(is_near(&best), "{story}");
        }
    }
}
