//! What a minor compaction writes is in proportion to what it touched.
#![allow(clippy::unwrap_used)]

mod drill;

use std::path::Path;

use drill::mix;
use kithdb::{Compaction, Db, Interaction, Preset, TrainOptions};
use kithdb_storage::{Store, StoreOptions};

const NODES: u64 = 3_000;

fn size(path: &Path) -> u64 {
    let metadata = std::fs::metadata(path).unwrap();
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).unwrap().map(|entry| size(&entry.unwrap().path())).sum()
}

/// At most three times the bytes of the rows it touched, and a mebibyte: a hundredth of the rows here, of which those of neighbours are the widest.
#[test]
fn a_minor_writes_what_it_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    let db = Db::options().background(false).open(&path).unwrap();
    let liked = |n: u64| Interaction::new(n % NODES, mix(5, n) % (NODES / 20) * 20 + n % 20);
    db.insert_many((0..25 * NODES).map(liked)).unwrap();
    let quick = TrainOptions::new(Preset::Balanced).bits(192).set("teacher.sweeps", 2).set("student.sweeps", 1);
    db.train(quick).unwrap().wait().unwrap();
    db.insert_many((0..40).map(|n| Interaction::new(mix(7, n) % NODES, mix(8, n) % NODES))).unwrap();
    let minor = db.compact(Compaction::Minor).unwrap().wait().unwrap();
    drop(db);
    let own = [format!("gen-{}", minor.generation), format!("state-{}.bin", minor.generation)];
    let written: u64 = own.iter().map(|name| size(&path.join(name))).sum();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let manifest = store.manifest().unwrap();
    let state = store.read_state(&manifest).unwrap().unwrap();
    assert!(state.shape("teacher.item_neighbours.weights").is_some(), "neighbours are added");
    let touched = 80 * (manifest.bytes() + state.bytes()) / (2 * NODES);
    eprintln!("{written} bytes written, {touched} of touched rows");
    assert!(written <= 3 * touched + (1 << 20), "{written} bytes written, {touched} of touched rows");
}
