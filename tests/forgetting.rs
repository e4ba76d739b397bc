//! What was forgotten is in no file: after at most two more publications, and in a copy.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;
mod shop;

use std::path::Path;

use drill::files::read;
use drill::stored;
use kithdb::{Attributes, Compaction, Db, Error, Id, Interaction, Preset, TrainOptions};
use kithdb_storage::{Store, StoreOptions};

const SECRET: &str = "a-name-that-nobody-may-find-again";
/// What is said of them.
const ADDRESS: &str = "where-they-live";

fn holds(path: &Path, secret: &str) -> Vec<String> {
    let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    let files = read(path).into_iter().filter_map(|(path, bytes)| Some((path, bytes?)));
    files.filter(|(_, bytes)| has(bytes)).map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

fn minor(db: &Db) {
    match db.compact(Compaction::Minor).unwrap().wait() {
        Ok(_) | Err(Error::NothingNew { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The shop, with names for ids.
fn named() -> impl Iterator<Item = Interaction> {
    shop::interactions().map(|x| Interaction::new(format!("user {}", x.user), format!("item {}", x.item)))
}

#[test]
fn two_publications_after_a_forgetting_no_file_names_who_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let options = || Db::options().background(false).kept_generations(5);
    let db = options().open(&path).unwrap();
    db.insert_many(named()).unwrap();
    db.insert_many((0..12).map(|item| (SECRET.to_owned(), format!("item {item}")))).unwrap();
    db.set_user(SECRET, Attributes::new().set("city", ADDRESS)).unwrap();
    db.set_item("item 3", Attributes::new().set("city", "stays")).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    // Trained, compacted over and kept: it is in bases, patches and the log.
    for round in 0..4 {
        db.insert(SECRET, format!("item {}", 20 + round)).unwrap();
        db.insert(format!("later {round}"), "item 3").unwrap();
        minor(&db);
    }
    db.insert(SECRET, "item 40").unwrap();
    db.set_user(SECRET, Attributes::titled(ADDRESS).set("tags", [ADDRESS])).unwrap();
    assert!(!holds(&path, ADDRESS).is_empty());
    assert!(holds(&path, SECRET).len() > 1);
    let taken = db.history("user 7").unwrap()[0].item.clone();
    assert!(db.remove("user 7", taken).unwrap() && db.retire_item("item 9").unwrap());
    assert!(db.forget_user(SECRET).unwrap());
    // A copy of now has what the log has: who it was, and that they are to be forgotten.
    let early = directory.path().join("early.kith");
    db.compact_to(&early).unwrap();
    for _ in 0..2 {
        minor(&db);
        db.insert("user 3", "item 1").unwrap();
    }
    assert_eq!(holds(&path, SECRET), [""; 0]);
    assert_eq!(holds(&path, ADDRESS), [""; 0]);
    assert_eq!(db.item("item 3").unwrap().unwrap().get("city"), Some(&"stays".into()));
    let copy = directory.path().join("copy.kith");
    db.compact_to(&copy).unwrap();
    assert_eq!(holds(&copy, SECRET), [""; 0]);
    assert_eq!(holds(&copy, ADDRESS), [""; 0]);
    let edges = stored(&db);
    assert!(!edges.keys().any(|(user, _)| *user == Id::from(SECRET)));
    drop(db);
    for path in [&path, &copy] {
        let db = options().open(path).unwrap();
        assert_eq!(stored(&db), edges);
        assert!(db.verify().unwrap().warnings.is_empty());
        assert_eq!(holds(path, SECRET), [""; 0]);
    }
    let db = options().open(&early).unwrap();
    assert!(!db.users().contains(&Id::from(SECRET)) && db.stats().unwrap().retired_items == 1);
}

#[test]
fn who_came_after_a_generation_and_was_forgotten_goes_with_a_rollback_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = Db::options().background(false).kept_generations(5).open(&path).unwrap();
    db.insert_many(named()).unwrap();
    let first = db.train(shop::options()).unwrap().wait().unwrap().generation;
    // The generation that is gone back to never knew them; the one that is left behind does.
    db.insert_many((0..12).map(|item| (SECRET.to_owned(), format!("item {item}")))).unwrap();
    minor(&db);
    assert!(db.forget_user(SECRET).unwrap());
    db.rollback(first).unwrap();
    assert!(db.stats().unwrap().kept_generations.is_empty());
    db.insert("user 3", "item 1").unwrap();
    minor(&db);
    assert_eq!(holds(&path, SECRET), [""; 0]);
}

#[test]
fn a_copy_is_the_database_of_its_moment() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("shop.kith"), directory.path().join("below/copy.kith"));
    let db = Db::options().background(false).open(&path).unwrap();
    let empty = directory.path().join("empty.kith");
    db.compact_to(&empty).unwrap();
    assert_eq!(Db::open(&empty).unwrap().users(), []);
    db.insert_many(named()).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    db.insert_many([("user 4", "item 99"), ("new", "item 98"), ("new", "item 97")]).unwrap();
    minor(&db);
    db.insert_many([("user 5", "item 96"), ("newer", "item 95")]).unwrap();
    assert!(db.retire_item("item 11").unwrap());
    db.compact_to(&copy).unwrap();
    assert!(db.compact_to(&copy).is_err(), "there is one");
    let answers = |db: &Db| {
        let of =
            |user: &str| db.nearest(user, 10).unwrap().into_iter().map(|hit| (hit.id, hit.score.to_bits())).collect();
        ["user 4", "user 5", "new", "newer", "user 100"].map(of) as [Vec<(Id, u32)>; 5]
    };
    let before = (stored(&db), answers(&db), db.stats().unwrap().generation.unwrap().content_hash);
    // What comes later is none of it, and work goes on in both.
    db.insert("user 6", "item 94").unwrap();
    let copied = Db::options().background(false).open(&copy).unwrap();
    let found = (stored(&copied), answers(&copied), copied.stats().unwrap().generation.unwrap().content_hash);
    assert_eq!(found, before);
    assert_eq!(copied.jobs().unwrap().len(), 2);
    copied.insert("user 6", "item 94").unwrap();
    assert_eq!((stored(&copied), copied.snapshot().last_sequence()), (stored(&db), db.snapshot().last_sequence()));
    let hash = |db: &Db| db.compact(Compaction::Minor).unwrap().wait().unwrap().content_hash;
    assert_eq!(hash(&copied), hash(&db), "what was learned goes along");
    assert!(copied.verify().unwrap().warnings.is_empty());
}

#[test]
fn nothing_that_was_learned_of_who_was_forgotten_stays_in_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = Db::options().background(false).kept_generations(4).open(&path).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    let options = TrainOptions::new(Preset::Balanced).bits(192);
    db.train(options.set("teacher.neighbours", false).set("teacher.user_neighbours", true)).unwrap().wait().unwrap();
    db.insert(3u64, 500u64).unwrap();
    minor(&db);
    let gone = 5u32;
    // Of whom users are predicted, and who they are predicted from, by number, which is that of the shop.
    let lists = || {
        let copy = directory.path().join("copy.kith");
        drop(std::fs::remove_dir_all(&copy));
        db.compact_to(&copy).unwrap();
        let store = Store::open(&copy, &StoreOptions::default()).unwrap();
        let state = store.read_state(&store.manifest().unwrap()).unwrap().unwrap();
        let part = |name: &str| state.part::<u32>(name).unwrap().unwrap();
        (part("teacher.user_neighbours.counts"), part("teacher.user_neighbours.users"))
    };
    let (counts, users) = lists();
    assert!(counts[gone as usize] > 0 && users.contains(&gone));
    assert!(db.forget_user(u64::from(gone)).unwrap());
    db.rollback(1).unwrap();
    for _ in 0..2 {
        let (counts, users) = lists();
        assert!(counts[gone as usize] == 0 && !users.contains(&gone) && counts.iter().any(|&count| count > 0));
        db.insert(4u64, 501u64).unwrap();
        minor(&db);
    }
}
