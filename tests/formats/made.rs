//! How the databases kept as fixtures were made.

use std::fs;
use std::path::Path;

use crate::files;
use kithdb::{Db, Embeddings, EncodeOptions, Id, Interaction, Metric, Preset, RowIds, TrainOptions, Vectors};

/// A fixture: its name, what makes it in an empty directory, and the items that have a stored code.
pub struct Fixture {
    pub name: &'static str,
    pub make: fn(&Path),
    pub coded: fn() -> Vec<Id>,
}

pub const FIXTURES: [Fixture; 5] = [
    Fixture { name: "log", make: log, coded: Vec::new },
    Fixture { name: "trained", make: trained, coded: numbers },
    Fixture { name: "torn", make: torn, coded: Vec::new },
    Fixture { name: "embeddings", make: embeddings, coded: names },
    Fixture { name: "bytes", make: bytes, coded: byte_ids },
];

const USERS: u64 = 30;
const ITEMS: u64 = 20;

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn numbers() -> Vec<Id> {
    (0..ITEMS).map(|item| Id::from(1_000_000_007 * item)).collect()
}

fn names() -> Vec<Id> {
    (0..ITEMS).map(|item| Id::from(format!("Stück {item}"))).collect()
}

fn byte_ids() -> Vec<Id> {
    (0..ITEMS).map(|item| Id::Bytes(vec![0xff - item as u8, 0, b'i', item as u8])).collect()
}

/// Two tastes: everybody touches most items of their own, with weights and times on some.
fn interactions(user_id: impl Fn(u64) -> Id, items: &[Id]) -> Vec<Interaction> {
    let pairs = (0..USERS).flat_map(|user| (0..ITEMS).map(move |item| (user, item)));
    let touched = pairs.filter(|&(user, item)| {
        let x = mix(user * ITEMS + item) % 16;
        if user % 2 == item % 2 { x < 10 } else { x < 1 }
    });
    touched
        .map(|(user, item)| {
            let x = mix(user << 32 | item);
            let interaction = Interaction::new(user_id(user), items[item as usize].clone());
            let interaction =
                if x.is_multiple_of(3) { interaction.weight(0.5 + (x >> 8 & 3) as f32) } else { interaction };
            if x.is_multiple_of(5) { interaction.time((x >> 16) as i64 >> 8) } else { interaction }
        })
        .collect()
}

fn options() -> TrainOptions {
    TrainOptions::new(Preset::Fast).bits(64).threads(1)
}

fn log(path: &Path) {
    let db = Db::open(path).unwrap();
    db.insert_many(interactions(Id::from, &numbers())).unwrap();
    for (user, item) in [(u64::MAX, 0u64), (3, u64::MAX), (0, 0)] {
        db.insert(user, item).unwrap();
    }
    db.insert_interaction(Interaction::new(3u64, u64::MAX).weight(2.25).time(-1)).unwrap();
    assert!(db.remove(0u64, 0u64).unwrap() && db.forget_user(7u64).unwrap());
    db.insert(7u64, 1_000_000_007u64).unwrap();
    assert!(db.retire_item(2_000_000_014u64).unwrap());
}

fn trained(path: &Path) {
    let db = Db::open(path).unwrap();
    let items = numbers();
    db.insert_many(interactions(Id::from, &items)).unwrap();
    // Forgotten and retired before the training: the store is copied, and the generation knows.
    assert!(db.forget_user(4u64).unwrap() && db.retire_item(items[6].clone()).unwrap());
    db.train(options()).unwrap().wait().unwrap();
    // The tail: changes of all kinds over what the generation holds, and what it does not know.
    for (user, item) in [(1u64, items[2].clone()), (1, items[4].clone()), (900, items[3].clone()), (2, Id::from(5u64))]
    {
        db.insert_interaction(Interaction::new(user, item).weight(4.0).time(1_700_000_000_000)).unwrap();
    }
    let first = |user: u64| db.history(user).unwrap().into_iter().map(|edge| edge.item).min().unwrap();
    assert!(db.remove(5u64, first(5)).unwrap());
    let known = first(8);
    db.insert_interaction(Interaction::new(8u64, known).weight(0.125)).unwrap();
    assert!(db.forget_user(11u64).unwrap() && db.retire_item(items[9].clone()).unwrap());
    db.insert(11u64, items[0].clone()).unwrap();
}

/// A process that died while the last append was being written: of that append's bytes, the front half is on the disk, and it was never
/// acknowledged. What a kill leaves is what another reads of the open database.
fn torn(path: &Path) {
    let open = path.with_extension("open");
    let db = Db::open(&open).unwrap();
    db.insert_many(interactions(Id::from, &numbers())).unwrap();
    (0..40u64).for_each(|n| db.insert(500 + n % 3, 90 + n).unwrap());
    files::copy(&open, path);
    let current = fs::read_to_string(open.join("CURRENT")).unwrap();
    let data = Path::new(current.split_whitespace().next().unwrap()).join("db");
    let before = fs::read(open.join(&data)).unwrap();
    db.insert_many((0..60u64).map(|n| (700 + n, 90 + n))).unwrap();
    let mut after = fs::read(open.join(&data)).unwrap();
    let before = [before.clone(), vec![0; after.len().saturating_sub(before.len())]].concat();
    let changed: Vec<usize> = (0..after.len()).filter(|&at| after[at] != before[at]).collect();
    let half = changed[changed.len() / 2];
    assert!(changed.len() > 200, "the last append is not in the file");
    after[half..].copy_from_slice(&before[half..]);
    fs::write(path.join(&data), after).unwrap();
}

fn embeddings(path: &Path) {
    let db = Db::open(path).unwrap();
    let (layers, dims) = (2, 12);
    let table = |rows: u64, seed: u64| {
        let values = (0..rows * layers * dims).map(|n| (mix(seed << 32 | n) % 2001) as f32 / 1000.0 - 1.0).collect();
        Vectors::new(values, layers as usize, dims as usize).unwrap()
    };
    let user = |n: u64| Id::from(format!("Käufer {n}"));
    let embeddings = Embeddings {
        items: table(ITEMS, 1),
        item_ids: names().into(),
        users: Some(table(USERS, 2)),
        user_ids: RowIds::Listed((0..USERS).map(user).collect()),
    };
    db.insert_many(interactions(user, &names())).unwrap();
    db.import_embeddings(embeddings, &EncodeOptions::new(Metric::Cosine).bits(128).query_planes(2)).unwrap();
    db.insert("neu", "Stück 3").unwrap();
}

fn bytes(path: &Path) {
    let db = Db::open(path).unwrap();
    let user = |n: u64| Id::Bytes(n.to_le_bytes()[..1 + n as usize % 8].to_vec().repeat(1 + n as usize));
    db.insert_many(interactions(user, &byte_ids())).unwrap();
    db.train(options()).unwrap().wait().unwrap();
    db.insert(Id::Bytes(vec![0; 512]), byte_ids()[1].clone()).unwrap();
}
