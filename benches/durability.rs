//! What durability costs: one insert against a plain append and fdatasync, and a bulk load, in one run.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::OpenOptions;
use std::io::Write;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kithdb::{Db, Interaction};

/// Bytes of a plain append: about what a record and its header take.
const RECORD: usize = 32;

fn single_writes(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("one durable write");
    let mut file = OpenOptions::new().create(true).append(true).open(directory.path().join("plain")).unwrap();
    group.bench_function("plain append + fdatasync", |bencher| {
        bencher.iter(|| {
            file.write_all(&[7; RECORD]).unwrap();
            file.sync_data().unwrap();
        });
    });
    let db = Db::open(directory.path().join("db.kith")).unwrap();
    let mut n = 0u64;
    group.bench_function("insert", |bencher| {
        bencher.iter(|| {
            n += 1;
            db.insert(n % 1_000, n % 977).unwrap();
        });
    });
    group.finish();
}

fn bulk(criterion: &mut Criterion) {
    const EDGES: u64 = 300_000;
    let mut group = criterion.benchmark_group("bulk load");
    group.sample_size(10).throughput(Throughput::Elements(EDGES));
    group.bench_function("insert_many", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir().unwrap(),
            |directory| {
                let db = Db::open(directory.path().join("db.kith")).unwrap();
                let edges = (0..EDGES).map(|n| Interaction::new(n / 100, n.wrapping_mul(2_654_435_761) % 40_000));
                db.insert_many(edges).unwrap();
                directory
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, single_writes, bulk);
criterion_main!(benches);
