//! What an interaction that comes again means is settled when a database is created, and holds over trainings and openings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::{Db, Interaction, Preset, Repeats, TrainOptions};

fn edge(db: &Db) -> (f32, Option<i64>) {
    let history = db.history("ann").unwrap();
    let of = history.iter().find(|interaction| interaction.item == "pan".into()).unwrap();
    (of.weight, of.time)
}

#[test]
fn every_way_survives_trainings_and_openings() {
    for (repeats, expected) in [
        (Repeats::Last, (0.1, None)),
        (Repeats::First, (0.3, Some(20))),
        (Repeats::Max, (0.7, Some(30))),
        // Added up one after another, in this order, whatever was folded in between.
        (Repeats::Sum, (0.3f32 + 0.7 + 0.1, Some(30))),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.kith");
        let open = || Db::options().repeats(repeats).open(&path).unwrap();
        let db = open();
        assert_eq!(db.repeats(), repeats);
        let pan = |weight, time: Option<i64>| {
            let interaction = Interaction::new("ann", "pan").weight(weight);
            time.map_or(interaction.clone(), |time| interaction.time(time))
        };
        db.insert_many((0..40u32).map(|at| (format!("user {}", at % 8), format!("item {}", at * 7 % 11)))).unwrap();
        db.insert_interaction(pan(0.3, Some(20))).unwrap();
        db.train(TrainOptions::new(Preset::Fast).bits(64)).unwrap().wait().unwrap();
        db.insert_interaction(pan(0.7, Some(30))).unwrap();
        let middle = edge(&db);
        drop(db);
        let db = Db::open(&path).unwrap();
        assert_eq!(edge(&db), middle, "{repeats:?} replayed");
        db.insert_interaction(pan(0.1, None)).unwrap();
        assert_eq!(edge(&db), expected, "{repeats:?}");
        db.train(TrainOptions::new(Preset::Fast).bits(64)).unwrap().wait().unwrap();
        assert_eq!(edge(&db), expected, "{repeats:?} folded");
        // Taken back, nothing of it is left to add to.
        assert!(db.remove("ann", "pan").unwrap());
        db.insert_interaction(pan(0.2, None)).unwrap();
        assert_eq!(edge(&db), (0.2, None), "{repeats:?} after a removal");
        drop(db);
        assert_eq!(edge(&open()), (0.2, None));
        let others = Repeats::ALL.into_iter().filter(|other| *other != repeats);
        for other in others {
            let error = Db::options().repeats(other).open(&path).unwrap_err().to_string();
            assert!(error.contains(other.name()) && error.contains(repeats.name()), "{error}");
        }
    }
}

#[test]
fn what_an_insert_of_many_came_to_is_told_apart() {
    for (repeats, expected) in
        [(Repeats::Last, [2, 2, 1]), (Repeats::First, [2, 0, 3]), (Repeats::Max, [2, 1, 2]), (Repeats::Sum, [2, 3, 0])]
    {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::options().repeats(repeats).open(directory.path().join("shop.kith")).unwrap();
        let rows =
            [("ann", "pan", 1.0), ("ann", "pot", 2.0), ("ann", "pan", 3.0), ("ann", "pan", 3.0), ("ann", "pan", 1.0)];
        let rows = rows.map(|(user, item, weight)| Interaction::new(user, item).weight(weight));
        let inserted = db.insert_counted(rows).unwrap();
        assert_eq!([inserted.new, inserted.updated, inserted.repeated], expected, "{repeats:?}");
        assert_eq!(inserted.interactions(), 5);
    }
}

#[test]
fn negative_integers_are_refused_and_nobody_is_found_by_them() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert(1, 2).unwrap();
    db.insert(1i64, 3usize).unwrap();
    assert_eq!(db.history(1u64).unwrap().len(), 2);
    for error in [db.insert(-1, 2).unwrap_err(), db.insert_many([(1, -2)]).unwrap_err()] {
        assert!(error.to_string().contains("0 to 2^64-1"), "{error}");
    }
    assert!(!db.forget_user(-1).unwrap() && !db.retire_item(-2).unwrap() && !db.remove(-1, 2).unwrap());
    assert_eq!(db.item_set([2, -2]).unwrap().unknown().len(), 1);
    assert!(db.history(-1).unwrap().is_empty());
    assert!(db.query().user(-1).run().unwrap_err().to_string().contains("unknown user -1"));
    assert_eq!(db.stats().unwrap().interactions, 2);
}

#[test]
fn an_item_that_is_retired_comes_back_when_it_is_unretired() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = Db::open(&path).unwrap();
    db.insert_many((0..60u32).map(|at| (format!("user {}", at % 12), format!("item {}", at * 7 % 11)))).unwrap();
    let offered = |db: &Db| {
        let hits = db.query().user("user 1").k(20).include_seen().or_popular().run().unwrap();
        hits.into_iter().any(|hit| hit.id == "item 3".into())
    };
    assert!(!db.unretire_item("item 3").unwrap(), "it was not retired");
    assert!(!db.unretire_item("nothing").unwrap());
    assert!(db.retire_item("item 3").unwrap() && !offered(&db));
    db.train(TrainOptions::new(Preset::Fast).bits(64)).unwrap().wait().unwrap();
    assert!(!offered(&db), "retired in the generation");
    assert!(db.unretire_item("item 3").unwrap() && offered(&db));
    drop(db);
    let db = Db::open(&path).unwrap();
    assert!(offered(&db), "unretired in the log");
    db.train(TrainOptions::new(Preset::Fast).bits(64)).unwrap().wait().unwrap();
    assert!(offered(&db) && db.stats().unwrap().retired_items == 0);
}
