//! How fast interactions are read off files: `cargo bench -p kithdb-tools --bench parse`.

#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;
use std::io::Write;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kithdb::IdKind;
use kithdb_tools::input::{IdKinds, Reader, ReaderOptions, Source};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const USERS: u32 = 6_000;
const ITEMS_A_USER: u32 = 130;

/// Ids as spread as those of a real file.
fn item(user: u32, n: u32) -> u32 {
    (user.wrapping_mul(2_654_435_761).wrapping_add(n.wrapping_mul(40_503)) >> 7) % 40_000
}

fn lightgcn() -> Vec<u8> {
    let mut text = Vec::new();
    for user in 0..USERS {
        write!(text, "{user}").expect("memory takes all");
        (0..ITEMS_A_USER).for_each(|n| write!(text, " {}", item(user, n)).expect("memory takes all"));
        text.push(b'\n');
    }
    text
}

fn csv() -> Vec<u8> {
    let mut text = b"user,item,rating,timestamp\n".to_vec();
    for user in 0..USERS {
        (0..ITEMS_A_USER)
            .for_each(|n| writeln!(text, "{user},{},4,{}", item(user, n), 978_300_000 + n).expect("memory takes all"));
    }
    text
}

fn parse(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let zst = |text: &[u8]| compress_to_vec(text, CompressionLevel::Fastest);
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(u64::from(USERS * ITEMS_A_USER))).sample_size(10);
    for (name, bytes) in
        [("a.txt", lightgcn()), ("a.txt.zst", zst(&lightgcn())), ("a.csv", csv()), ("a.csv.zst", zst(&csv()))]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("room for the file");
        for kind in [IdKind::Str, IdKind::U64] {
            let options = ReaderOptions::of(IdKinds { user: kind, item: kind });
            group.bench_function(format!("{name} {kind:?}"), |b| {
                b.iter(|| {
                    let reader = Reader::open(&Source::from(path.clone()), &options).expect("a readable file");
                    reader.for_each(|row| drop(black_box(row)));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
