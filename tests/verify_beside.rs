//! Verifying, and measuring the float teacher, beside publications: what they read stays on the disk until they are done, and no sound database is
//! called damaged.
//!
//! `KITHDB_DRILL_ROUNDS=200 cargo test --release --test verify_beside -- --nocapture` is the long run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kithdb::{Db, Id, Preset, TrainOptions};

#[test]
fn a_sound_database_is_never_called_damaged() {
    let rounds: u64 = std::env::var("KITHDB_DRILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert_many((0..900u32).map(|at| (format!("user {}", at % 90), format!("item {}", at * 7919 % 61)))).unwrap();
    let options = |round: u64| TrainOptions::new(Preset::Fast).bits(64).seed(round);
    db.train(options(0)).unwrap().wait().unwrap();
    let truth: Vec<(Id, Vec<Id>)> = vec![("user 3".into(), vec!["item 5".into()])];
    let (done, verified, measured) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let report = db.verify().unwrap();
                assert!(report.is_sound() && report.warnings.is_empty(), "{report:?}");
                verified.fetch_add(1, Ordering::Relaxed);
            }
        });
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                db.evaluate_full_precision(&truth, &[5]).unwrap();
                measured.fetch_add(1, Ordering::Relaxed);
            }
        });
        let published = (1..=rounds).try_for_each(|round| {
            db.insert(format!("user {round}"), format!("item {}", round % 61))?;
            // Forgetting has the store copied, too.
            if round % 7 == 0 {
                db.forget_user(format!("user {round}"))?;
            }
            db.train(options(round))?.wait().map(drop)
        });
        done.store(true, Ordering::Relaxed);
        published.unwrap();
    });
    println!("{rounds} publications, {verified:?} verifications, {measured:?} measurements: no false alarm");
    assert!(verified.into_inner() > 0 && measured.into_inner() > 0);
    // What was held for readers goes with the next publication: the last two are kept.
    db.train(options(rounds + 1)).unwrap().wait().unwrap();
    let generations = std::fs::read_dir(directory.path().join("shop.kith"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("gen-"));
    assert_eq!(generations.count(), 2);
}
