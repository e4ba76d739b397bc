//! A small shop whose right answers are known: each user belongs to one of a few tastes and touches items of that taste, mostly.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::{Db, Interaction, Preset, TrainOptions};

pub const TASTES: u64 = 4;
pub const USERS: u64 = 240;
pub const ITEMS: u64 = 160;

/// A number that depends on its argument alone.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The taste of a user or an item.
pub fn taste(n: u64) -> u64 {
    n % TASTES
}

/// Whether the user has the item: half the items of their taste, one in thirty of the others.
pub fn touches(user: u64, item: u64) -> bool {
    let x = mix(user * 1_000_003 + item);
    if taste(user) == taste(item) { x.is_multiple_of(2) } else { x.is_multiple_of(30) }
}

/// All interactions of the shop.
pub fn interactions() -> impl Iterator<Item = Interaction> {
    (0..USERS).flat_map(|user| {
        (0..ITEMS).filter(move |&item| touches(user, item)).map(move |item| Interaction::new(user, item))
    })
}

/// Quick training that any test can afford.
pub fn options() -> TrainOptions {
    TrainOptions::new(Preset::Fast).bits(192)
}

/// A trained shop in a directory of its own.
pub fn trained() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(interactions()).unwrap();
    db.train(options()).unwrap().wait().unwrap();
    (directory, db)
}
