//! Going back to the codes of an earlier generation undoes nothing that was acknowledged.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;
mod shop;

use std::collections::BTreeSet;
use std::path::Path;

use drill::stored;
use kithdb::{Compaction, Db, Error, Id, Preset, TrainOptions};

fn open(path: &Path, kept: usize) -> Db {
    Db::options().background(false).kept_generations(kept).open(path).unwrap()
}

fn kept(db: &Db) -> Vec<u64> {
    db.stats().unwrap().kept_generations.iter().map(|kept| kept.number).collect()
}

fn minor(db: &Db) -> u64 {
    db.compact(Compaction::Minor).unwrap().wait().unwrap().generation
}

/// Scores of a user with every item but those `without`, whatever they have.
fn scores(db: &Db, user: u64, without: &BTreeSet<Id>) -> Vec<(Id, u32)> {
    let hits = db.query().user(user).k(shop::ITEMS as usize + 9).include_seen().run().unwrap();
    let mut scores: Vec<(Id, u32)> =
        hits.into_iter().filter(|hit| !without.contains(&hit.id)).map(|hit| (hit.id, hit.score.to_bits())).collect();
    scores.sort();
    scores
}

#[test]
fn codes_go_back_and_nothing_else_does() {
    let (directory, db) = shop::trained();
    drop(db);
    let path = directory.path().join("shop.kith");
    let mut db = open(&path, 4);
    let none = BTreeSet::new();
    let before: Vec<_> = (0..shop::USERS).map(|user| scores(&db, user, &none)).collect();
    // Other codes, of another shape; then more of everything, folded and not.
    db.train(TrainOptions::new(Preset::Fast).bits(320).seed(7)).unwrap().wait().unwrap();
    let second = db.stats().unwrap().generation.unwrap().layer_bits;
    db.insert_many([(3u64, 500u64), (900, 2), (900, 3), (4, 500)]).unwrap();
    assert!(db.remove(5u64, db.history(5u64).unwrap()[0].item.clone()).unwrap());
    assert_eq!(minor(&db), 3);
    db.insert_many([(6u64, 501u64), (901, 9), (7, 500)]).unwrap();
    let taken = db.history(8u64).unwrap()[0].item.clone();
    assert!(db.remove(8u64, taken.clone()).unwrap());
    assert!(db.retire_item(11u64).unwrap());
    // One has taken everything back.
    for interaction in db.history(9u64).unwrap() {
        assert!(db.remove(9u64, interaction.item).unwrap());
    }
    let held = stored(&db);
    assert_eq!(kept(&db), [2, 1]);

    assert_eq!(db.rollback(1).unwrap(), 4);
    assert_eq!(kept(&db), [3, 2, 1]);
    // Who has nothing left is answered with the code they had.
    let touched: BTreeSet<u64> = [3, 4, 5, 6, 7, 8].into();
    let late: BTreeSet<Id> = [500u64, 501, 11].map(Id::from).into();
    for opening in 0..2 {
        if opening > 0 {
            drop(db);
            db = open(&path, 4);
        }
        assert_eq!((stored(&db), db.stats().unwrap().tail_changes), (held.clone(), 0));
        for user in (0..shop::USERS).filter(|user| !touched.contains(user)) {
            let mut before = before[user as usize].clone();
            before.retain(|(item, _)| !late.contains(item));
            assert_eq!(scores(&db, user, &late), before, "user {user}");
        }
        // Who came since is placed, and what they have is not recommended.
        for user in [900u64, 901, 3, 8] {
            let own: BTreeSet<Id> = db.history(user).unwrap().into_iter().map(|x| x.item).collect();
            let hits = db.nearest(user, 10).unwrap();
            assert_eq!(hits.len(), 10);
            assert!(hits.into_iter().all(|hit| !own.contains(&hit.id) && hit.id != 11u64.into()));
        }
        assert_eq!(db.similar_items(500u64, 3).unwrap().len(), 3);
        assert!(db.verify().unwrap().is_sound());
    }
    // It can be gone on from, and taken back.
    db.insert(900u64, 4u64).unwrap();
    assert_eq!(minor(&db), 5);
    db.insert(901u64, 4u64).unwrap();
    assert_eq!(db.compact(Compaction::Major).unwrap().wait().unwrap().generation, 6);
    let job = db.jobs().unwrap().into_iter().find(|job| job.kind == "rollback").unwrap();
    assert!(job.why.contains("generation 1"), "{job:?}");
    assert_eq!((db.rollback(3).unwrap(), kept(&db)), (7, vec![6, 5, 4]));
    assert_eq!(db.stats().unwrap().generation.unwrap().layer_bits, second);
}

#[test]
fn as_many_are_kept_as_the_options_say_and_none_from_before_a_forgetting() {
    let (directory, db) = shop::trained();
    let path = directory.path().join("shop.kith");
    let mut user = 1_000u64;
    let mut publish = |db: &Db| {
        user += 1;
        db.insert(user, 3u64).unwrap();
        minor(db)
    };
    for generation in 2..=4 {
        assert_eq!(publish(&db), generation);
        assert_eq!(kept(&db), [generation - 1]);
    }
    drop(db);
    let db = open(&path, 3);
    assert_eq!(kept(&db), [3], "an opening drops none and finds none again");
    publish(&db);
    publish(&db);
    assert_eq!(kept(&db), [5, 4]);
    assert!(matches!(db.rollback(6), Err(Error::InvalidArgument { .. })), "the current one");
    let refused = db.rollback(2).unwrap_err().to_string();
    assert!(refused.contains("5, 4"), "{refused}");
    drop(db);
    let db = open(&path, 1);
    assert_eq!(kept(&db), [5, 4], "an opening drops none");
    publish(&db);
    assert_eq!(kept(&db), [0; 0]);
    drop(db);

    let db = open(&path, 5);
    publish(&db);
    assert_eq!(kept(&db), [7]);
    let held = db.snapshot();
    assert!(db.forget_user(user_of(&db)).unwrap());
    // Of who is forgotten and not yet off the disk a rollback brings nothing back.
    let edges = stored(&db);
    assert_eq!(db.rollback(7).unwrap(), 9);
    assert_eq!((stored(&db), kept(&db)), (edges.clone(), vec![]));
    drop(held);
    drop(db);
    let db = open(&path, 5);
    assert_eq!((stored(&db), kept(&db)), (edges, vec![]));
    let refused = db.rollback(7).unwrap_err().to_string();
    assert!(refused.contains("none is kept"), "{refused}");
    assert!(db.verify().unwrap().is_sound());
}

fn user_of(db: &Db) -> Id {
    db.users().into_iter().min().unwrap()
}
