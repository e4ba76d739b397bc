//! Queries filtered by attributes: `cargo bench -p kithdb --bench attributes` makes a database of a million items with ten attributes each, and
//! measures exact queries by how much a filter leaves, what attributes take, and what setting one costs. Run as a test it does so with few.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{Attributes, CodeSet, Db, Id};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const WIDTHS: [u32; 4] = [64; 4];
const USERS: usize = 200;
/// Items to a cluster of codes.
const CLUSTER: usize = 250;

/// Codes in clusters of some hundreds, as learned ones are.
fn codes(items: usize, random: &mut Xoshiro256PlusPlus) -> CodeSet {
    let shape = CodeShape::new(WIDTHS.to_vec(), vec![1.0, 0.7, 0.5, 0.4]).unwrap();
    let centres: Vec<u64> = (0..(items / CLUSTER + 1) * WIDTHS.len()).map(|_| random.next_u64()).collect();
    let mut rows = |n: usize| -> Vec<u64> {
        let mut words = Vec::with_capacity(n * WIDTHS.len());
        for row in 0..n {
            let centre = row % (items / CLUSTER + 1) * WIDTHS.len();
            // An eighth of the bits are others than the centre's.
            words.extend(
                (0..WIDTHS.len())
                    .map(|word| centres[centre + word] ^ (random.next_u64() & random.next_u64() & random.next_u64())),
            );
        }
        words
    };
    let (item_words, user_words) = (rows(items), rows(USERS));
    let mut scalers =
        |n: usize| (0..n * WIDTHS.len()).map(|_| 0.5 + (random.next_u32() >> 8) as f32 / (1 << 24) as f32).collect();
    let (item_scalers, user_scalers) = (scalers(items), scalers(USERS));
    CodeSet {
        items: LayeredCodes::from_parts(shape.clone(), item_words, item_scalers).unwrap(),
        item_ids: (0..items as u64).collect::<Vec<_>>().into(),
        users: PlaneCodes::from_parts(shape, 1, user_words, user_scalers).unwrap(),
        user_ids: (0..USERS as u64).collect::<Vec<_>>().into(),
    }
}

/// Ten attributes: numbers, booleans, texts of few and of many values, tags.
fn said(random: &mut Xoshiro256PlusPlus) -> Attributes {
    let mut below = |n: u32| random.next_u32() % n;
    Attributes::new()
        .set("permille", below(1000))
        .set("price", f64::from(below(1 << 20)) / 100.0)
        .set("rating", f64::from(below(41)) / 10.0)
        .set("year", 1950 + below(75))
        .set("in_stock", below(10) > 0)
        .set("new", below(20) == 0)
        .set("category", format!("category {}", below(300)))
        .set("brand", format!("brand {}", below(20_000)))
        .set("colour", ["red", "green", "blue", "black", "white"][below(5) as usize])
        .set("tags", [format!("tag {}", below(100)), format!("tag {}", below(100))])
}

fn p50(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let items = if measured { 1_000_000 } else { 5_000 };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bench.kith");
    let db = Db::options().background(false).open(&path).unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    db.import_codes(codes(items, &mut random)).unwrap();
    let start = Instant::now();
    db.set_items((0..items as u64).map(|item| (item, said(&mut random)))).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let bytes = db.stats().unwrap().memory.attributes as f64 / items as f64 / 10.0;
    println!("{items} items with 10 attributes: loaded in {seconds:.1} s, {bytes:.1} bytes an item and attribute");
    for (share, filter) in [
        ("all", ""),
        ("0.1 %", "permille < 1"),
        ("1 %", "permille < 10"),
        ("10 %", "permille < 100"),
        ("50 %", "permille < 500"),
        ("90 %", "in_stock"),
        ("0.3 %", "category = 'category 7'"),
        (
            "6 %",
            "in_stock and price < 8000 and ('tag 5' in tags or 'tag 7' in tags or rating >= 3.8) and colour != 'red'",
        ),
    ] {
        let ask = |user: usize| {
            let query = db.query().user(user as u64).k(20);
            if filter.is_empty() { query.run() } else { query.filter(filter).run() }
        };
        let allowed = if filter.is_empty() { items } else { db.items_where(filter).unwrap().len() };
        let times = (0..USERS).map(|user| {
            let start = Instant::now();
            let hits = ask(user).unwrap();
            assert!(hits.exact() && hits.len() == allowed.min(20), "{filter}: {} of {allowed}", hits.len());
            start.elapsed().as_secs_f64() * 1e6
        });
        let whole = p50(times.collect());
        // Of clones of a query that has run: the same lists, without the filter by itself.
        let known = db.query().k(20);
        let known = if filter.is_empty() { known } else { known.filter(filter) };
        known.clone().user(0u64).run().unwrap();
        let compiled = (0..USERS).map(|user| {
            let start = Instant::now();
            let hits = known.clone().user(user as u64).run().unwrap();
            assert_eq!(hits.len(), allowed.min(20), "{filter}");
            start.elapsed().as_secs_f64() * 1e6
        });
        println!(
            "{share:>6} {filter:?}: {allowed} items, p50 {whole:.0} us, {:.0} us with the filter known",
            p50(compiled.collect())
        );
    }
    let changes: Vec<f64> = (0..500u64)
        .map(|n| {
            let (item, stock) = (n * 7919 % items as u64, n % 2 == 0);
            let start = Instant::now();
            db.set_item(item, Attributes::new().set("in_stock", stock)).unwrap();
            let micros = start.elapsed().as_secs_f64() * 1e6;
            let only = db.item_set([Id::from(item)]).unwrap();
            let found = db.query().user(1u64).k(1).allow(&only).filter("in_stock").run().unwrap();
            assert_eq!(found.len() == 1, stock, "seen at once");
            micros
        })
        .collect();
    println!("setting an attribute, durable and seen: p50 {:.0} us", p50(changes));
    drop(db);
    let start = Instant::now();
    let db = Db::options().background(false).open(&path).unwrap();
    println!("opened from the log in {:.1} s", start.elapsed().as_secs_f64());
    db.compact(kithdb::Compaction::Minor).unwrap().wait().unwrap();
    drop(db);
    let start = Instant::now();
    let db = Db::options().background(false).open(&path).unwrap();
    println!("opened from the generation in {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(db.items().len(), items);
}
