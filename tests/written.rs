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
/// Returns whether neighbours are added.
fn writes_what_it_touched(begin: impl FnOnce(&Db), touch: impl FnOnce(&Db)) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    let db = Db::options().background(false).open(&path).unwrap();
    begin(&db);
    let quick = TrainOptions::new(Preset::Balanced).bits(192).set("teacher.sweeps", 2).set("student.sweeps", 1);
    db.train(quick).unwrap().wait().unwrap();
    touch(&db);
    let minor = db.compact(Compaction::Minor).unwrap().wait().unwrap();
    drop(db);
    let own = [format!("gen-{}", minor.generation), format!("state-{}.bin", minor.generation)];
    let written: u64 = own.iter().map(|name| size(&path.join(name))).sum();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let manifest = store.manifest().unwrap();
    let state = store.read_state(&manifest).unwrap().unwrap();
    let touched = minor.touched_users + minor.touched_items;
    assert!((1..120).contains(&touched), "{touched} rows touched");
    let touched = touched * (manifest.bytes() + state.bytes()) / (2 * NODES);
    eprintln!("{written} bytes written, {touched} of touched rows");
    assert!(written <= 3 * touched + (1 << 20), "{written} bytes written, {touched} of touched rows");
    state.shape("teacher.item_neighbours.weights").is_some()
}

fn liked(n: u64) -> Interaction {
    Interaction::new(n % NODES, mix(5, n) % (NODES / 20) * 20 + n % 20)
}

#[test]
fn a_minor_writes_what_it_touched() {
    let more = (0..40).map(|n| Interaction::new(mix(7, n) % NODES, mix(8, n) % NODES));
    let insert = |db: &Db, interactions: &mut dyn Iterator<Item = Interaction>| {
        db.insert_many(interactions).unwrap();
    };
    let added =
        writes_what_it_touched(|db| insert(db, &mut (0..25 * NODES).map(liked)), |db| insert(db, &mut { more }));
    assert!(added, "neighbours are added");
}

/// Items of a catalogue that find their first buyers, and users who take all back: their rows lie among those of others.
#[test]
fn who_begins_or_ends_among_others_moves_no_rows() {
    let (begins, ends) = (|n: u64| 20 * n + 7, |n: u64| 1000 + 50 * n);
    let begin = |db: &Db| {
        db.insert_many((0..NODES).map(|n| Interaction::new(n, n))).unwrap();
        (0..NODES / 20).for_each(|n| assert!(db.remove(begins(n), begins(n)).unwrap()));
        db.insert_many((0..25 * NODES).filter(|n| n % 20 != 7).map(liked)).unwrap();
    };
    let touch = |db: &Db| {
        db.insert_many((0..20).map(|n| Interaction::new(mix(7, n) % 900, begins(n)))).unwrap();
        let theirs = |user: u64| (0..25).map(move |n| liked(n * NODES + user)).chain([Interaction::new(user, user)]);
        for interaction in (0..2).map(ends).flat_map(theirs) {
            db.remove(interaction.user, interaction.item).unwrap();
        }
    };
    writes_what_it_touched(begin, touch);
}
