use std::sync::Arc;

use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// Any shape small enough to try: common widths, odd ones, tails, one to five layers.
pub(crate) fn shapes() -> impl Strategy<Value = CodeShape> {
    let uniform = (prop::sample::select(vec![32u32, 64, 128, 256, 384, 512, 768]), 1..=4usize)
        .prop_map(|(width, layers)| vec![width; layers]);
    let mixed = prop::collection::vec(1..=150u32, 1..=5);
    let long = prop::collection::vec(900..=2100u32, 1..=2);
    prop_oneof![4 => uniform, 4 => mixed, 1 => long].prop_flat_map(|widths| {
        let weights = prop::collection::vec(0.0..2.0f32, widths.len());
        weights.prop_map(move |weights| CodeShape::new(widths.clone(), weights).unwrap())
    })
}

/// Random masked words of `planes` planes per layer, in the layout of both kinds of codes.
fn random_words(shape: &CodeShape, planes: u32, rows: usize, random: &mut impl Rng) -> Vec<u64> {
    let mut words = Vec::new();
    for _ in 0..rows {
        for layer in 0..shape.layers() {
            for _ in 0..planes {
                words.extend(shape.layer_words(layer).map(|_| random.next_u64()));
                *words.last_mut().unwrap() &= shape.tail_mask(layer);
            }
        }
    }
    words
}

/// Scalers from few values, so that equal scores are common.
fn random_scalers(shape: &CodeShape, rows: usize, random: &mut impl Rng) -> Vec<f32> {
    (0..rows * shape.layers()).map(|_| [0.0, 0.1, 0.25, 1.5, 700.0][random.next_u32() as usize % 5]).collect()
}

/// Items with random bits; `distinct` rows, repeated over and over.
pub(crate) fn random_items(shape: &Arc<CodeShape>, rows: usize, distinct: usize, seed: u64) -> LayeredCodes {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let distinct = distinct.max(1);
    let words = random_words(shape, 1, distinct, &mut random);
    let scalers = random_scalers(shape, distinct, &mut random);
    LayeredCodes::from_parts(
        Arc::clone(shape),
        words.iter().copied().cycle().take(rows * shape.words()).collect(),
        scalers.iter().copied().cycle().take(rows * shape.layers()).collect(),
    )
    .unwrap()
}

/// Runs of `run` items that differ from one centre in up to `flips` bits, at random places.
pub(crate) fn flipped_items(shape: &Arc<CodeShape>, rows: usize, run: usize, flips: usize, seed: u64) -> LayeredCodes {
    let centres = random_items(shape, rows.div_ceil(run), rows, seed);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xf11b);
    let mut words = Vec::with_capacity(rows * shape.words());
    for row in 0..rows {
        let mut code = centres.row(row / run).words.to_vec();
        for _ in 0..if flips == 0 { 0 } else { random.next_u32() as usize % (flips + 1) } {
            let layer = random.next_u32() as usize % shape.layers();
            let bit = random.next_u32() % shape.widths()[layer];
            code[shape.layer_words(layer).start + bit as usize / 64] ^= 1 << (bit % 64);
        }
        words.extend(code);
    }
    LayeredCodes::from_parts(Arc::clone(shape), words, random_scalers(shape, rows, &mut random)).unwrap()
}

/// A query of random planes.
pub(crate) fn random_query(shape: &Arc<CodeShape>, planes: u32, seed: u64) -> QueryCode {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let words = random_words(shape, planes, 1, &mut random);
    let scalers = random_scalers(shape, 1, &mut random);
    PlaneCodes::from_parts(Arc::clone(shape), planes, words, scalers).unwrap().query(0, planes).unwrap()
}

/// The integer `q_k` of a query.
fn odd(query: &QueryCode, layer: usize, k: usize) -> i64 {
    let stride = query.shape().layer_words(layer).len();
    let t = query.layer(layer).chunks(stride).fold(0, |t, plane| 2 * t + (plane[k / 64] >> (k % 64) & 1) as i64);
    2 * t - ((1 << query.planes()) - 1)
}

/// The score as the module's documentation writes it, bit by bit.
pub(crate) fn naive_score(query: &QueryCode, items: &LayeredCodes, row: usize) -> f32 {
    let shape = items.shape();
    let item = items.row(row);
    let mut s = 0.0f32;
    for layer in (0..shape.layers()).rev() {
        let words = &item.words[shape.layer_words(layer)];
        let p: i64 = (0..shape.widths()[layer] as usize)
            .map(|k| {
                let sigma = if words[k / 64] >> (k % 64) & 1 == 1 { 1 } else { -1 };
                sigma * odd(query, layer, k)
            })
            .sum();
        let product = query.factors()[layer] * p as f32;
        let term = item.scalers[layer] * product;
        s += term;
    }
    s
}

proptest! {
    #[test]
    fn contributions_add_up_to_the_score(shape in shapes(), planes in 1..=8u32, seed: u64) {
        let shape = Arc::new(shape);
        let items = random_items(&shape, 20, 20, seed);
        let query = random_query(&shape, planes, seed ^ 1);
        for row in 0..items.len() {
            let sum = query.contributions(items.row(row)).into_iter().rev().fold(0.0f32, |sum, part| sum + part);
            prop_assert_eq!(sum.to_bits(), naive_score(&query, &items, row).to_bits());
        }
    }
}

/// Gaussian-like rows with a few exact zeros of both signs.
fn values(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..rows * width)
        .map(|_| match random.next_u32() % 20 {
            0 => 0.0,
            1 => -0.0,
            2 => f32::MIN_POSITIVE / -4.0,
            _ => (0..6).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).sum(),
        })
        .collect()
}

fn matrices(shape: &CodeShape, rows: usize, seed: u64) -> Vec<Vec<f32>> {
    shape.widths().iter().enumerate().map(|(layer, &width)| values(rows, width as usize, seed + layer as u64)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sign_plane_is_the_one_bit_code(shape in shapes(), planes in 1..=8u32, seed: u64) {
        let shape = Arc::new(shape);
        let matrices = matrices(&shape, 3, seed >> 8);
        let layers: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
        let items = LayeredCodes::encode(Arc::clone(&shape), &layers).unwrap();
        let users = PlaneCodes::encode(Arc::clone(&shape), &layers, planes).unwrap();
        prop_assert_eq!(users.scalers(), items.scalers());
        for row in 0..3 {
            let one = users.query(row, 1).unwrap();
            prop_assert_eq!(&one, &QueryCode::from_item(&items, row).unwrap());
            for (layer, values) in matrices.iter().enumerate() {
                let width = shape.widths()[layer] as usize;
                for k in 0..width {
                    let x = values[row * width + k];
                    prop_assert_eq!(odd(&one, layer, k) > 0, x >= 0.0);
                }
            }
        }
    }

    #[test]
    fn dropping_planes_shifts_the_code(shape in shapes(), planes in 1..=8u32, seed: u64) {
        let shape = Arc::new(shape);
        let matrices = matrices(&shape, 1, seed >> 8);
        let layers: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
        let users = PlaneCodes::encode(Arc::clone(&shape), &layers, planes).unwrap();
        let whole = users.query(0, planes).unwrap();
        prop_assert_eq!(&whole, &QueryCode::encode(Arc::clone(&shape), &layers, planes).unwrap());
        for fewer in 1..=planes {
            let query = users.query(0, fewer).unwrap();
            for layer in 0..shape.layers() {
                for k in 0..shape.widths()[layer] as usize {
                    let t = (odd(&whole, layer, k) + (1 << planes) - 1) / 2;
                    let shifted = 2 * (t >> (planes - fewer)) - ((1 << fewer) - 1);
                    prop_assert_eq!(odd(&query, layer, k), shifted);
                }
            }
        }
    }

    #[test]
    fn factors_follow_their_definition(shape in shapes(), planes in 1..=8u32, seed: u64) {
        let shape = Arc::new(shape);
        let matrices = matrices(&shape, 1, seed >> 8);
        let layers: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
        let users = PlaneCodes::encode(Arc::clone(&shape), &layers, planes).unwrap();
        let query = users.query(0, planes).unwrap();
        for layer in 0..shape.layers() {
            let width = shape.widths()[layer];
            let total: i64 = (0..width as usize).map(|k| odd(&query, layer, k).abs()).sum();
            let w = shape.weights()[layer];
            let c = w * w * (users.scalers()[layer] * (width as f32 / total as f32));
            prop_assert_eq!(query.factors()[layer].to_bits(), c.to_bits());
        }
    }

    #[test]
    fn decoding_gives_back_the_grid(shape in shapes(), planes in 1..=8u32, seed: u64) {
        let shape = Arc::new(shape);
        let matrices = matrices(&shape, 2, seed >> 8);
        let layers: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
        let items = LayeredCodes::encode(Arc::clone(&shape), &layers).unwrap();
        let users = PlaneCodes::encode(Arc::clone(&shape), &layers, planes).unwrap();
        for (layer, values) in matrices.iter().enumerate() {
            let width = shape.widths()[layer] as usize;
            let values = &values[width..];
            let (mut one_bit, mut all) = (vec![f32::NAN; width], vec![f32::NAN; width]);
            items.decode_into(1, layer, &mut one_bit);
            users.decode_into(1, layer, &mut all).unwrap();
            let alpha = items.row(1).scalers[layer];
            for (x, y) in values.iter().zip(&one_bit) {
                prop_assert_eq!(*y, if *x >= 0.0 { alpha } else { -alpha });
            }
            let mean: f64 = all.iter().map(|y| f64::from(y.abs())).sum::<f64>() / width as f64;
            prop_assert!((mean - f64::from(alpha)).abs() <= 1e-4 * f64::from(alpha));
            let error = |decoded: &[f32]| -> f64 {
                values.iter().zip(decoded).map(|(x, y)| f64::from(x - y).powi(2)).sum()
            };
            // A little slack: the scaler fits the mean magnitude, not the squared error.
            if width >= 64 && planes >= 2 {
                prop_assert!(error(&all) < 0.75 * error(&one_bit));
            }
            // Adding up is decoding, twice over.
            items.add_decoded(1, layer, 1.0, &mut one_bit);
            prop_assert!(one_bit.iter().all(|y| y.abs() == 2.0 * alpha));
        }
    }

    #[test]
    fn parts_survive_storage(shape in shapes(), planes in 1..=8u32, rows in 0..5usize, seed: u64) {
        let shape = Arc::new(shape);
        let matrices = matrices(&shape, rows, seed >> 8);
        let layers: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
        let items = LayeredCodes::encode(Arc::clone(&shape), &layers).unwrap();
        let users = PlaneCodes::encode(Arc::clone(&shape), &layers, planes).unwrap();
        let (words, scalers) = (items.words().to_vec(), items.scalers().to_vec());
        prop_assert_eq!(LayeredCodes::from_parts(Arc::clone(&shape), words, scalers).unwrap(), items);
        let (words, scalers) = (users.words().to_vec(), users.scalers().to_vec());
        prop_assert_eq!(PlaneCodes::from_parts(Arc::clone(&shape), planes, words, scalers).unwrap(), users);
    }
}

#[test]
fn damaged_parts_are_refused() {
    let shape = Arc::new(CodeShape::new(vec![64, 70], vec![1.0, 0.5]).unwrap());
    let items = |words, scalers| LayeredCodes::from_parts(Arc::clone(&shape), words, scalers).map(drop);
    let users = |planes, words, scalers| PlaneCodes::from_parts(Arc::clone(&shape), planes, words, scalers).map(drop);
    assert_eq!(items(vec![0; 6], vec![0.5; 4]), Ok(()));
    let short = items(vec![0; 5], vec![0.5; 4]);
    assert!(matches!(short, Err(CodeError::Length { part: "words", expected: 6, found: 5 })));
    let odd = items(vec![0; 6], vec![0.5; 3]);
    assert!(matches!(odd, Err(CodeError::Length { part: "scalers", .. })));
    let tail = items(vec![0, 0, 0, 0, 0, 1 << 6], vec![0.5; 4]);
    assert_eq!(tail, Err(CodeError::Tail { row: 1, layer: 1 }));
    for bad in [f32::NAN, f32::INFINITY, -1.0, 1e13] {
        let scaler = items(vec![0; 6], vec![0.5, 0.5, bad, 0.5]);
        assert!(matches!(scaler, Err(CodeError::Scaler { row: 1, layer: 0, .. })));
        let scaler = users(2, vec![0; 12], vec![0.5, bad, 0.5, 0.5]);
        assert!(matches!(scaler, Err(CodeError::Scaler { row: 0, layer: 1, .. })));
    }
    assert_eq!(users(2, vec![0; 12], vec![0.5; 4]), Ok(()));
    // Row 0, layer 1, plane 0 ends at word 3.
    let mut words = vec![0; 12];
    words[3] = 1 << 63;
    assert_eq!(users(2, words, vec![0.5; 4]), Err(CodeError::Tail { row: 0, layer: 1 }));
    assert!(matches!(users(0, vec![], vec![]), Err(CodeError::Planes { planes: 0, most: 8 })));
    assert!(matches!(users(9, vec![], vec![]), Err(CodeError::Planes { planes: 9, most: 8 })));
}

#[test]
fn impossible_shapes_are_refused() {
    assert!(matches!(CodeShape::new(vec![], vec![]), Err(CodeError::Layers { layers: 0 })));
    assert!(matches!(CodeShape::hops(1, 32), Err(CodeError::Layers { layers: 33 })));
    assert!(matches!(CodeShape::hops(1, usize::MAX), Err(CodeError::Layers { .. })));
    assert!(matches!(CodeShape::new(vec![8], vec![]), Err(CodeError::Weights { .. })));
    assert!(matches!(CodeShape::new(vec![8, 0], vec![1.0; 2]), Err(CodeError::Width { layer: 1, .. })));
    assert!(matches!(CodeShape::new(vec![MAX_WIDTH + 1], vec![1.0]), Err(CodeError::Width { .. })));
    assert!(matches!(CodeShape::new(vec![8], vec![f32::NAN]), Err(CodeError::Weight { .. })));
    assert_eq!(CodeShape::hops(256, 2).unwrap().weights(), [1.0 / 3.0, 2.0 / 3.0, 1.0]);
}

#[test]
fn impossible_values_are_refused() {
    let shape = Arc::new(CodeShape::hops(3, 1).unwrap());
    let good = [1.0; 6];
    let bad = [1.0, 1.0, 1.0, 1.0, f32::NAN, 1.0];
    let huge = [3e38; 6];
    let encode = |a: &[f32], b: &[f32]| LayeredCodes::encode(Arc::clone(&shape), &[a, b]).map(drop);
    assert_eq!(encode(&good, &good), Ok(()));
    assert_eq!(encode(&good, &bad), Err(CodeError::NotFinite { row: 1, layer: 1 }));
    assert!(matches!(encode(&good, &huge), Err(CodeError::Scaler { layer: 1, .. })));
    assert!(matches!(encode(&good, &good[..3]), Err(CodeError::Length { .. })));
    assert!(matches!(encode(&good[..4], &good), Err(CodeError::Length { .. })));
    let query = QueryCode::encode(Arc::clone(&shape), &[&good, &good], 1);
    assert!(matches!(query, Err(CodeError::Length { expected: 1, found: 2, .. })));
}

#[test]
fn the_largest_scores_stay_finite() {
    let shape = Arc::new(CodeShape::new(vec![MAX_WIDTH; MAX_LAYERS], vec![MAX_WEIGHT; MAX_LAYERS]).unwrap());
    let words = vec![u64::MAX; shape.words()];
    let scalers = vec![MAX_SCALER; MAX_LAYERS];
    let items = LayeredCodes::from_parts(Arc::clone(&shape), words.clone(), scalers.clone()).unwrap();
    let planes = words.iter().copied().cycle().take(8 * shape.words()).collect();
    let users = PlaneCodes::from_parts(Arc::clone(&shape), 8, planes, scalers).unwrap();
    for planes in [1, 8] {
        let score = naive_score(&users.query(0, planes).unwrap(), &items, 0);
        assert!(score.is_finite() && score > 1e35, "{score}");
    }
}
