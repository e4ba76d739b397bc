//! Exact top-20 of one query over a catalogue of Gowalla's size, top-k and filters included.
//!
//! `cargo bench --bench scan`.

#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kithdb::bench_support::{Filter, Kernel, Linear};
use kithdb::code::{CodeShape, LayeredCodes, QueryCode};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use roaring::RoaringBitmap;

/// Items of Gowalla.
const ROWS: usize = 40_981;

fn matrices(shape: &CodeShape, rows: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    shape
        .widths()
        .iter()
        .map(|&width| (0..rows * width as usize).map(|_| random.next_u32() as i32 as f32 / 2e9).collect())
        .collect()
}

fn index(shape: &Arc<CodeShape>) -> Linear {
    let items = matrices(shape, ROWS, 1);
    let items: Vec<&[f32]> = items.iter().map(Vec::as_slice).collect();
    let items = LayeredCodes::encode(Arc::clone(shape), &items).expect("finite values");
    let kernel = Kernel::from_env().expect("an available kernel");
    Linear::build(&items, (0..ROWS as u32).collect::<Vec<u32>>(), kernel).expect("as many ranks as rows")
}

fn query(shape: &Arc<CodeShape>, planes: u32) -> QueryCode {
    let user = matrices(shape, 1, 2);
    let user: Vec<&[f32]> = user.iter().map(Vec::as_slice).collect();
    QueryCode::encode(Arc::clone(shape), &user, planes).expect("finite values")
}

fn shapes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("top-20");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (width, layers) in [(64, 4), (256, 3), (768, 1)] {
        let shape = Arc::new(CodeShape::hops(width, layers - 1).expect("a valid shape"));
        let index = index(&shape);
        for planes in [1, 4] {
            let query = query(&shape, planes);
            let id = BenchmarkId::new(format!("{layers}x{width}"), format!("{planes}-plane"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| index.search(black_box(&query), 20, &Filter::default()).expect("one shape"));
            });
        }
    }
    group.finish();
}

fn filters(criterion: &mut Criterion) {
    let shape = Arc::new(CodeShape::hops(256, 2).expect("a valid shape"));
    let index = index(&shape);
    let query = query(&shape, 1);
    let mut group = criterion.benchmark_group("top-20 3x256 of an allow list");
    for size in [10, 100, 1_000, 2_000, 5_000, 20_000, ROWS] {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut allow = RoaringBitmap::new();
        while allow.len() < size as u64 {
            allow.insert(random.next_u32() % ROWS as u32);
        }
        let filter = Filter { allow: Some(&allow), ..Filter::default() };
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| index.search(black_box(&query), 20, &filter).expect("one shape"));
        });
    }
    group.finish();
}

criterion_group!(benches, shapes, filters);
criterion_main!(benches);
