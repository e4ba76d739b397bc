//! Building the graph in memory: compressed rows from edges in any order, and the transpose.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kithdb::train::Csr;

const USERS: usize = 100_000;
const ITEMS: usize = 50_000;
const EDGES: u64 = 5_000_000;

fn building(criterion: &mut Criterion) {
    let mixed = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 7)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    // In the order of users, as files and posting lists have them, and in no order at all.
    let by_user: Vec<(u32, u32, f32)> = (0..EDGES)
        .map(|n| ((n * USERS as u64 / EDGES) as u32, ((mixed(n) >> 33) % ITEMS as u64) as u32, 1.0))
        .collect();
    let shuffled: Vec<(u32, u32, f32)> = (0..EDGES)
        .map(|n| (((mixed(n) >> 20) % USERS as u64) as u32, ((mixed(n) >> 40) % ITEMS as u64) as u32, 1.0))
        .collect();
    let csr = Csr::from_edges(USERS, ITEMS, &by_user).unwrap();
    let mut group = criterion.benchmark_group("graph");
    group.sample_size(10).throughput(Throughput::Elements(EDGES));
    group.bench_function("rows from edges by user", |b| b.iter(|| Csr::from_edges(USERS, ITEMS, &by_user).unwrap()));
    group.bench_function("rows from edges in no order", |b| {
        b.iter(|| Csr::from_edges(USERS, ITEMS, &shuffled).unwrap())
    });
    group.bench_function("transpose", |b| b.iter(|| csr.transpose()));
    group.finish();
}

criterion_group!(benches, building);
criterion_main!(benches);
