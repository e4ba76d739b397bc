//! Compaction after compaction, the directory stays in proportion to what it holds, and the process to what it had open.
//!
//! `KITHDB_DRILL_ROUNDS=105 cargo test --release --test space -- --nocapture` is the long run: 100 minor compactions and 5 major ones.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::path::Path;
use std::sync::Arc;

use drill::{mix, rounds};
use kithdb::{Compaction, Db, Interaction, Preset, TrainOptions};
use kithdb_storage::{Manifest, Store, StoreOptions};

const USERS: u64 = 12_000;
const ITEMS: u64 = 900;
/// What the engine may add to small directories, for each of the generations that are kept.
const ADDED: u64 = 5 << 20;

fn touch(n: u64) -> Interaction {
    let user = n % USERS;
    Interaction::new(user, mix(3, n) % ITEMS / 6 * 6 + user % 6)
}

fn open(path: &Path) -> Db {
    Db::options().background(false).open(path).unwrap()
}

fn entries(path: &str) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// Bytes of the parts of all kept generations, and of their training state, however they share it.
fn content(path: &Path) -> (u64, u64) {
    let store = Store::open(path, &StoreOptions::default()).unwrap();
    let state = |manifest: &Manifest| -> u64 {
        let state = store.read_state(manifest).unwrap().unwrap();
        state.names().map(|name| 4 * state.shape(name).unwrap().iter().product::<u64>()).sum()
    };
    let kept: Vec<Arc<Manifest>> = store.manifest().into_iter().chain(store.kept()).collect();
    (kept.iter().map(|manifest| manifest.bytes()).sum(), kept.iter().map(|manifest| state(manifest)).sum())
}

#[test]
fn the_directory_stays_in_proportion() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    let db = open(&path);
    db.insert_many((0..10 * USERS).map(touch)).unwrap();
    let quick = TrainOptions::new(Preset::Fast).bits(192).set("teacher.sweeps", 2).set("student.sweeps", 1).threads(1);
    db.train(quick).unwrap().wait().unwrap();
    let compact = |kind, n: u64| {
        db.insert_many((0..60).map(|at| touch(10 * USERS + 60 * n + at))).unwrap();
        db.compact(kind).unwrap().wait().unwrap()
    };
    compact(Compaction::Minor, 0);
    let open_at_first = (entries("/proc/self/fd"), entries("/proc/self/task"));
    let rounds = rounds(8);
    let mut written = Vec::new();
    for n in 1..=rounds {
        let kind = if n % 21 == 4 { Compaction::Major } else { Compaction::Minor };
        let outcome = compact(kind, n);
        let own = [format!("gen-{}", outcome.generation), format!("state-{}.bin", outcome.generation)];
        let bytes: u64 = own.iter().map(|name| size(&path.join(name))).sum();
        written.extend((kind == Compaction::Minor).then_some(bytes));
    }
    assert_eq!((entries("/proc/self/fd"), entries("/proc/self/task")), open_at_first, "descriptors and threads");
    let disk = db.stats().unwrap().disk;
    drop(db);
    let (parts, state) = content(&path);
    let bound = (6 * state + 11 * parts) / 5;
    let taken = disk.generations + disk.training_state;
    written.sort_unstable();
    eprintln!(
        "{rounds} compactions: generations {} and state {} on the disk, of {parts} and {state} bytes: {:.2} of the bound; a minor wrote {} bytes at the median, {} at most",
        disk.generations,
        disk.training_state,
        taken as f64 / bound as f64,
        written[written.len() / 2],
        written[written.len() - 1],
    );
    assert!(taken <= bound + 2 * ADDED, "{taken} of {bound}");
}

fn size(path: &Path) -> u64 {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            std::fs::read_dir(path).unwrap().map(|entry| size(&entry.unwrap().path())).sum()
        }
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    }
}
