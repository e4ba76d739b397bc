//! Exact top-20 by engine, interleaved query by query so that ratios hold on a busy machine: median and mean time, and what was touched.
//!
//! `cargo bench --bench engines` runs on codes made here: `clustered` and `uniform`; `kithdb bench --regret` does the same on a database, with codes of
//! any origin. `-- --rounds N` repeats every query, `--engines a,b` runs only some, `--filters` adds the planned search under filters.

#![allow(missing_docs, clippy::expect_used)]

use std::sync::Arc;
use std::time::Instant;

use kithdb::bench_support::{EngineKind, Filter, Index, Kernel, Seen, Work};
use kithdb::code::{CodeShape, LayeredCodes, QueryCode};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use roaring::RoaringBitmap;

const K: usize = 20;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut rounds, mut engines) = (3, EngineKind::ALL.to_vec());
    let (mut test, mut filters) = (false, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--test" => test = true,
            "--filters" => filters = true,
            "--rounds" => {
                rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).expect("a number after --rounds");
            }
            "--engines" => {
                let names = arguments.next().expect("names after --engines");
                engines.retain(|engine| names.split(',').any(|name| name == engine.name()));
            }
            other => eprintln!("{other} means nothing here: --rounds N, --engines a,b or --filters"),
        }
    }
    if test {
        let (items, queries) = made(2_000, 0.1);
        return report("test", &items, &queries[..5], 1, &engines, true);
    }
    for (name, noise) in [("clustered", 0.08), ("uniform", 0.5)] {
        let (items, queries) = made(40_981, noise);
        report(name, &items, &queries, rounds, &engines, filters);
    }
}

fn report(
    name: &str,
    items: &LayeredCodes,
    queries: &[QueryCode],
    rounds: usize,
    engines: &[EngineKind],
    filters: bool,
) {
    let kernel = Kernel::from_env().expect("an available kernel");
    let ranks: Vec<u32> = (0..items.len() as u32).collect();
    let start = Instant::now();
    let mut index = Index::build(items, ranks, kernel).expect("as many ranks as rows");
    let built = start.elapsed();
    let start = Instant::now();
    let step = queries.len().div_ceil(16).max(1);
    let samples: Vec<QueryCode> = queries.iter().step_by(step).cloned().collect();
    index.calibrate(&samples).expect("one shape");
    println!(
        "\n{name}: {} items, {}, built in {:.0} ms + {:.0} ms, {:.1} bytes an item",
        items.len(),
        kernel.name(),
        1e3 * built.as_secs_f64(),
        1e3 * start.elapsed().as_secs_f64(),
        index.bytes() as f64 / items.len() as f64,
    );
    let choices: Vec<Option<EngineKind>> = engines.iter().copied().map(Some).chain([None]).collect();
    let mut runs = vec![Run::default(); choices.len()];
    for _ in 0..rounds {
        for query in queries {
            let mut first = None;
            for (choice, run) in choices.iter().zip(&mut runs) {
                let start = Instant::now();
                let found = index.search(query, K, &Filter::default(), *choice).expect("one shape");
                run.add(1e6 * start.elapsed().as_secs_f64(), &found.work, found.engine);
                assert_eq!(first.get_or_insert_with(|| found.matches.clone()), &found.matches, "{choice:?}");
            }
        }
    }
    for (choice, run) in choices.iter().zip(&mut runs) {
        run.print(choice.map_or("planned", EngineKind::name));
    }
    if filters {
        report_filters(&index, queries);
    }
}

/// The planned search under allow, deny and seen sets of very different sizes.
fn report_filters(index: &Index, queries: &[QueryCode]) {
    let rows = index.len() as u32;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut draw = |size: u32| {
        let mut set = RoaringBitmap::new();
        while set.len() < u64::from(size) {
            set.insert(random.next_u32() % rows);
        }
        set
    };
    let none = Filter::default();
    let sizes = [10, 1_000, rows / 10, rows / 2, rows - rows / 100];
    let sets: Vec<RoaringBitmap> = sizes.iter().map(|&size| draw(size)).collect();
    let few: Vec<u32> = draw(10).into_iter().collect();
    let many: Vec<u32> = draw(1_000).into_iter().collect();
    for kind in ["allow", "deny"] {
        for set in &sets {
            let filter = match kind {
                "allow" => Filter { allow: Some(set), ..none.clone() },
                _ => Filter { deny: vec![set], ..none.clone() },
            };
            filtered(index, queries, &format!("{kind} {}", set.len()), |_| filter.clone());
        }
    }
    filtered(index, queries, "seen 10", |_| Filter { seen: Seen::of(&few), ..none.clone() });
    filtered(index, queries, "seen 1000", |_| Filter { seen: Seen::of(&many), ..none.clone() });
    let best: Vec<Vec<u32>> = (queries.iter())
        .map(|query| {
            let found = index.search(query, 1_000, &none, None).expect("one shape");
            let mut rows: Vec<u32> = found.matches.iter().map(|hit| hit.row).collect();
            rows.sort_unstable();
            rows
        })
        .collect();
    filtered(index, queries, "seen best 1000", |i| Filter { seen: Seen::of(&best[i]), ..none.clone() });
}

fn filtered<'a>(index: &Index, queries: &[QueryCode], name: &str, filter: impl Fn(usize) -> Filter<'a>) {
    let mut run = Run::default();
    for (i, query) in queries.iter().enumerate() {
        let filter = filter(i);
        let start = Instant::now();
        let found = index.search(query, K, &filter, None).expect("one shape");
        run.add(1e6 * start.elapsed().as_secs_f64(), &found.work, found.engine);
        let admitted =
            filter.allow.map_or(index.len() as u64 - filter.deny.iter().map(|d| d.len()).sum::<u64>(), |a| a.len());
        assert_eq!(found.matches.len() as u64, admitted.min(K as u64), "{name}");
    }
    run.print(name);
}

#[derive(Clone, Default)]
struct Run {
    micros: Vec<f64>,
    work: Work,
    engines: Vec<&'static str>,
}

impl Run {
    fn add(&mut self, micros: f64, work: &Work, engine: EngineKind) {
        self.micros.push(micros);
        self.work.nodes += work.nodes;
        self.work.buckets += work.buckets;
        self.work.heads += work.heads;
        self.work.codes += work.codes;
        if !self.engines.contains(&engine.name()) {
            self.engines.push(engine.name());
        }
    }

    fn print(&mut self, name: &str) {
        self.micros.sort_by(f64::total_cmp);
        let n = self.micros.len();
        let mean = |count: u64| count as f64 / n as f64;
        println!(
            "{name:>14}  p50 {:9.1} us  p95 {:9.1}  mean {:9.1}  nodes {:8.0} buckets {:7.0} heads {:8.0} codes {:8.0}  {}",
            self.micros[n / 2],
            self.micros[n * 95 / 100],
            self.micros.iter().sum::<f64>() / n as f64,
            mean(self.work.nodes),
            mean(self.work.buckets),
            mean(self.work.heads),
            mean(self.work.codes),
            self.engines.join("+"),
        );
    }
}

/// Four layers of 64 bits in clusters of very different sizes: every bit differs from its cluster's with probability `noise`.
fn made(rows: usize, noise: f64) -> (LayeredCodes, Vec<QueryCode>) {
    let shape = Arc::new(CodeShape::hops(64, 3).expect("a valid shape"));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let clusters: Vec<Vec<u64>> = (0..rows / 100).map(|_| (0..4).map(|_| random.next_u64()).collect()).collect();
    let cut = (noise * u32::MAX as f64) as u32;
    let mut codes = |count: usize| {
        let (mut words, mut scalers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let share = random.next_u32() as f64 / u32::MAX as f64;
            let cluster = &clusters[(share * share * (clusters.len() - 1) as f64) as usize];
            for word in cluster {
                let flips = (0..64).fold(0, |flips, bit| flips | u64::from(random.next_u32() < cut) << bit);
                words.push(word ^ flips);
            }
            let norm = (0..8).map(|_| random.next_u32() as f32 / u32::MAX as f32).sum::<f32>() / 4.0;
            scalers.extend((0..4).map(|_| norm * (0.9 + 0.2 * random.next_u32() as f32 / u32::MAX as f32)));
        }
        LayeredCodes::from_parts(Arc::clone(&shape), words, scalers).expect("valid parts")
    };
    let items = codes(rows);
    let queries = queries_of(&codes(300));
    (items, queries)
}

fn queries_of(codes: &LayeredCodes) -> Vec<QueryCode> {
    (0..codes.len()).map(|row| QueryCode::from_item(codes, row).expect("a row")).collect()
}
