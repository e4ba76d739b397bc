//! Nanoseconds a block scan takes, by kernel, shape and planes: throughput is items and bytes a second.
//!
//! `cargo bench --bench kernels`. The codes fit a second-level cache, so this is the kernel and not the memory.

#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kithdb::bench_support::{BlockQuery, Blocks, Kernel};
use kithdb::code::{CodeShape, LayeredCodes, QueryCode};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Bytes of codes to scan.
const BYTES: usize = 256 << 10;

fn matrices(shape: &CodeShape, rows: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    shape
        .widths()
        .iter()
        .map(|&width| (0..rows * width as usize).map(|_| random.next_u32() as i32 as f32 / 2e9).collect())
        .collect()
}

fn kernels(criterion: &mut Criterion) {
    for (width, layers) in [(64, 4), (256, 3), (768, 1)] {
        let shape = Arc::new(CodeShape::hops(width, layers - 1).expect("a valid shape"));
        let rows = BYTES / (8 * shape.words());
        let items = matrices(&shape, rows, 1);
        let items: Vec<&[f32]> = items.iter().map(Vec::as_slice).collect();
        let items = LayeredCodes::encode(Arc::clone(&shape), &items).expect("finite values");
        let blocks = Blocks::build(&items);
        let user = matrices(&shape, 1, 2);
        let user: Vec<&[f32]> = user.iter().map(Vec::as_slice).collect();
        for planes in [1, 4] {
            let query = QueryCode::encode(Arc::clone(&shape), &user, planes).expect("finite values");
            let query = BlockQuery::new(&query);
            for (unit, throughput) in
                [("items", Throughput::Elements(rows as u64)), ("bytes", Throughput::Bytes(blocks.bytes() as u64))]
            {
                let mut group = criterion.benchmark_group(format!("{layers}x{width} {planes}-plane {unit}"));
                group.throughput(throughput);
                for kernel in Kernel::available() {
                    group.bench_function(BenchmarkId::from_parameter(kernel.name()), |bencher| {
                        bencher.iter(|| {
                            let mut best = f32::MAX;
                            let mut sink = |_: usize, _: u16, scores: &[f32; 16]| {
                                best = scores[0];
                                best
                            };
                            kernel.scan(black_box(&blocks), &query, 0..blocks.len(), f32::MAX, &mut sink);
                            best
                        });
                    });
                }
                group.finish();
            }
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
