//! Every mistake a caller can make has its own message, and leaves the database as it was.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use std::fs;

use kithdb::{Db, Error, Interaction, Preset, TrainOptions};

fn message<T>(result: kithdb::Result<T>) -> String {
    match result {
        Ok(_) => panic!("this should have been refused"),
        Err(error) => error.to_string(),
    }
}

fn empty() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db.kith")).unwrap();
    (directory, db)
}

#[test]
fn a_query_before_any_training_names_training() {
    let (_directory, db) = empty();
    db.insert("alice", "grinder").unwrap();
    db.insert("bob", "kettle").unwrap();
    let error = db.nearest("alice", 5);
    assert!(matches!(error, Err(Error::NotTrained)));
    assert!(message(error).contains("train()"));
    let popular = db.query().user("alice").k(5).or_popular().run().unwrap();
    assert_eq!(popular.iter().map(|hit| hit.id.to_string()).collect::<Vec<_>>(), ["kettle"]);
}

#[test]
fn k_of_zero() {
    let (_directory, db) = shop::trained();
    assert!(message(db.nearest(1u64, 0)).contains("k = 0"));
    assert!(message(db.similar_users(1u64, 0)).contains("k = 0"));
}

#[test]
fn users_and_items_nobody_knows() {
    let (_directory, db) = shop::trained();
    assert!(message(db.nearest(9_999u64, 5)).contains("unknown user 9999"));
    assert!(message(db.similar_items(9_999u64, 5)).contains("unknown item 9999"));
    assert!(message(db.query().items([9_999u64]).run()).contains("none of the 1 items"));
    let basket = db.query().items([9_999u64, 4]).k(3).run().unwrap();
    assert_eq!((basket.unknown_items(), basket.len()), (&[9_999u64.into()][..], 3));
    assert_eq!(db.query().user(9_999u64).k(5).or_popular().run().unwrap().len(), 5);
}

#[test]
fn ids_of_another_kind_or_length() {
    let (_directory, db) = empty();
    db.insert("alice", 7u64).unwrap();
    let error = message(db.insert(1u64, 7u64));
    assert!(error.contains("u64") && error.contains("string") && error.contains("user"), "{error}");
    assert!(message(db.insert("alice", "seven")).contains("item"));
    assert!(message(db.nearest(1u64, 3)).contains("string"));
    assert!(message(db.insert("", 7u64)).contains("1 to 512 bytes"));
    assert!(message(db.insert("x".repeat(513), 7u64)).contains("513 bytes"));
    db.insert("x".repeat(512), 7u64).unwrap();
    assert_eq!(db.stats().unwrap().interactions, 2);
}

#[test]
fn weights_that_are_no_weights() {
    let (_directory, db) = empty();
    for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(message(db.insert_interaction(Interaction::new("a", "b").weight(weight))).contains("above 0"));
    }
    // The faulty one of many is named, and the database goes on.
    let many = [Interaction::new("a", "b"), Interaction::new("c", "d").weight(-2.0)];
    assert!(message(db.insert_many(many)).contains("(c, d)"));
    db.insert("a", "b").unwrap();
    assert_eq!(db.stats().unwrap().interactions, 1);
}

#[test]
fn queries_that_ask_for_nothing_or_the_impossible() {
    let (_directory, db) = shop::trained();
    assert!(message(db.query().run()).contains("nobody"));
    for bits in [0, 9] {
        assert!(message(db.query().user(1u64).query_bits(bits).run()).contains("1 to 8"));
    }
    assert!(message(db.query().items([4u64]).k(0).run()).contains("k = 0"));
    assert!(message(db.similar_items(4u64, 0)).contains("k = 0"));
    let (_other_directory, other) = shop::trained();
    let set = other.item_set([1u64, 2]).unwrap();
    assert!(message(db.query().user(1u64).deny(&set).run()).contains("another database"));
    let truth = [(1u64.into(), vec![2u64.into()])];
    for cuts in [&[][..], &[0, 5]] {
        assert!(message(db.evaluate(&truth, cuts, None)).contains("cut-offs"));
    }
}

#[test]
fn times_that_are_no_times_and_faults_late_in_a_load() {
    let (_directory, db) = empty();
    assert!(message(db.insert_interaction(Interaction::new("a", "b").time(i64::MIN))).contains("milliseconds"));
    // The fault is past the first batch: what is before it is stored, nothing goes on after the error.
    let many =
        (0..40_000).map(|n| Interaction::new(n.to_string(), "item").weight(if n == 35_000 { -1.0 } else { 1.0 }));
    assert!(message(db.insert_many(many)).contains("(35000, item)"));
    let stored = db.stats().unwrap().interactions;
    assert_eq!(stored, 2 * 16_384);
    let mixed = [Interaction::new("x", "y"), Interaction::new("x", 7u64)];
    assert!(message(db.insert_many(mixed)).contains("u64"));
    assert_eq!(db.stats().unwrap().interactions, stored);
}

#[test]
fn known_users_and_items_without_anything_to_go_by() {
    let (_directory, db) = shop::trained();
    db.insert(5_000u64, 1u64).unwrap();
    db.remove(5_000u64, 1u64).unwrap();
    assert!(message(db.nearest(5_000u64, 3)).contains("no interactions to go by"));
    db.insert(5_001u64, 6_000u64).unwrap();
    assert!(message(db.similar_items(6_000u64, 3)).contains("no code yet"));
    // Who has items is not told to insert one.
    let error = message(db.nearest(5_001u64, 3));
    assert!(error.contains("one item") && error.contains("until the next training"), "{error}");
    db.insert(5_001u64, 6_001u64).unwrap();
    assert!(message(db.nearest(5_001u64, 3)).contains("2 items, none of which has a code"));
    let error = message(db.query().items([6_000u64, 6_001]).run());
    assert!(error.contains("none of the 2 known items") && error.contains("train"), "{error}");
    // Somebody new with items that have codes is placed by them; other users are not compared with them before a training.
    db.insert(5_002u64, 1u64).unwrap();
    db.nearest(5_002u64, 3).unwrap();
    assert!(message(db.similar_users(5_002u64, 3)).contains("no code to compare users by"));
    for query in [db.query().user(5_001u64), db.query().items([6_000u64])] {
        assert_eq!(query.or_popular().k(3).run().unwrap().len(), 3);
    }
}

#[test]
fn a_database_of_one_item() {
    let (_directory, db) = empty();
    db.insert_many([("alice", "only"), ("bob", "only")]).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    db.insert("carol", "only").unwrap();
    let refused = |query: kithdb::Query<'_>| {
        let error = message(query.run());
        assert!(error.contains("no two items to tell apart") && error.contains("other items"), "{error}");
    };
    refused(db.query().user("alice"));
    refused(db.query().user("carol"));
    refused(db.query().items(["only"]));
    refused(db.query().similar_to("only"));
    assert!(message(db.explain("alice", "only")).contains("no two items"));
    assert!(message(db.nearest("dave", 1)).contains("unknown user dave"));
    let popular = db.query().user("dave").or_popular().run().unwrap();
    assert_eq!((popular.len(), popular.as_slice()[0].score), (1, 3.0));
    assert!(db.query().user("alice").or_popular().run().unwrap().is_empty());
    assert_eq!(db.similar_users("alice", 3).unwrap().len(), 1);
    // With a second item there is something to learn.
    db.insert_many([("bob", "other"), ("dave", "other")]).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    assert_eq!(db.nearest("alice", 3).unwrap().as_slice()[0].id, "other".into());
}

#[test]
fn training_on_nothing() {
    let (_directory, db) = empty();
    assert!(message(db.train(shop::options()).unwrap().wait()).contains("nothing to train on"));
    db.insert("a", "b").unwrap();
    db.remove("a", "b").unwrap();
    assert!(message(db.train(shop::options()).unwrap().wait()).contains("nothing to train on"));
}

#[test]
fn training_options_out_of_range() {
    let (_directory, db) = empty();
    let error = message(db.train(TrainOptions::new(Preset::Fast).bits(0)));
    assert!(error.contains("bits"), "{error}");
}

#[test]
fn a_second_opening_is_told_who_holds_the_database() {
    let (directory, db) = empty();
    let error = message(Db::open(directory.path().join("db.kith")));
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(db);
    Db::open(directory.path().join("db.kith")).unwrap();
}

#[test]
fn a_directory_that_is_no_database_and_a_file_that_is_no_directory() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("holiday.jpg"), "not a database").unwrap();
    let error = message(Db::open(directory.path()));
    assert!(error.contains(&directory.path().display().to_string()), "{error}");
    assert!(directory.path().join("holiday.jpg").exists());
    assert!(message(Db::open(directory.path().join("holiday.jpg"))).contains("holiday.jpg"));
    let missing = Db::options().create(false).open(directory.path().join("missing"));
    assert!(message(missing).contains("missing"));
}

#[test]
fn a_newer_format() {
    let (directory, db) = empty();
    db.insert("a", "b").unwrap();
    drop(db);
    let path = directory.path().join("db.kith");
    let format = fs::read_to_string(path.join("FORMAT")).unwrap();
    let next = format.split(' ').nth(1).unwrap().parse::<u32>().unwrap() + 1;
    let newer = format!("kithdb {next}");
    fs::write(path.join("FORMAT"), format!("{newer} {:08x}\n", crc32c::crc32c(newer.as_bytes()))).unwrap();
    let error = message(Db::open(&path));
    assert!(error.contains(&format!("format {next}")) && error.contains("upgrade"), "{error}");
    fs::write(path.join("FORMAT"), format).unwrap();
    assert_eq!(Db::open(&path).unwrap().stats().unwrap().interactions, 1);
}
