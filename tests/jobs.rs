//! Jobs of a database: one after another, given up at once where they wait, each alone in its failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod shop;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{CodeSet, Db, Error, Id, Preset, RowIds, TrainOptions};
use kithdb_storage::{Store, StoreOptions};

#[test]
fn a_queued_job_is_cancelled_while_another_runs() {
    let (_directory, db) = shop::trained();
    let long = || TrainOptions::new(Preset::Best).set("student.sweeps", 1000).set("teacher.sweeps", 1000);
    let running = db.train(long()).unwrap();
    while running.progress().phase == "queued" {
        std::thread::yield_now();
    }
    let (queued, after) = (db.train(shop::options()).unwrap(), db.train(shop::options().seed(2)).unwrap());
    queued.cancel();
    assert!(queued.is_finished() && !running.is_finished());
    queued.cancel();
    assert!(matches!(queued.wait(), Err(Error::Cancelled)));
    assert!(!running.is_finished());
    running.cancel();
    assert!(matches!(running.wait(), Err(Error::Cancelled)));
    // The worker passed over the one that was given up.
    assert_eq!(after.wait().unwrap().generation, 2);
}

#[test]
fn a_job_that_is_dropped_or_outlives_its_database_ends() {
    let (_directory, db) = shop::trained();
    drop(db.train(shop::options()).unwrap());
    let (first, second) = (db.train(shop::options()).unwrap(), db.train(shop::options()).unwrap());
    drop(db);
    for job in [first, second] {
        assert!(job.wait_timeout(std::time::Duration::from_secs(60)));
        assert!(matches!(job.wait(), Ok(_) | Err(Error::Cancelled)));
    }
}

#[test]
fn an_import_claims_no_training() {
    let (directory, db) = shop::trained();
    db.insert(9_001u64, 3u64).unwrap();
    let shape = CodeShape::new(vec![64], vec![1.0]).unwrap();
    let items = LayeredCodes::from_parts(shape.clone(), vec![5, 9], vec![1.0, 1.0]).unwrap();
    let users = PlaneCodes::from_parts(shape, 1, Vec::new(), Vec::new()).unwrap();
    let item_ids = vec![Id::from(1u64), Id::from(70_000u64)].into();
    db.import_codes(CodeSet { items, item_ids, users, user_ids: RowIds::RowNumbers }).unwrap();
    drop(db);
    let path = directory.path().join("shop.kith");
    {
        let store = Store::open(&path, &StoreOptions::default()).unwrap();
        let manifest = store.manifest().unwrap();
        assert!(0 < manifest.trained_through && manifest.trained_through < manifest.folded_through);
    }
    // No user has a code any more, and the database opens all the same.
    let db = Db::open(&path).unwrap();
    assert_eq!(db.similar_items(1u64, 5).unwrap().len(), 1);
    db.train(shop::options()).unwrap().wait().unwrap();
    drop(db);
    let manifest = Store::open(&path, &StoreOptions::default()).unwrap().manifest().unwrap();
    assert_eq!(manifest.trained_through, manifest.folded_through);
}

#[test]
fn a_job_is_polled_and_tells_of_its_progress() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    let job = db.train(shop::options()).unwrap();
    let phases = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&phases);
    job.on_progress(move |progress| told.lock().unwrap().push(progress.phase.clone()));
    let outcome = loop {
        match job.try_wait() {
            Some(outcome) => break outcome.unwrap(),
            None => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    };
    assert_eq!(outcome.generation, 1);
    let phases = phases.lock().unwrap();
    assert_eq!(phases.iter().rev().take(2).collect::<Vec<_>>(), ["done", "collect"]);
    assert!(
        phases.iter().any(|phase| phase == "student") && phases.iter().any(|phase| phase == "manifest"),
        "{phases:?}"
    );
    assert!(matches!(job.try_wait(), Some(Err(Error::Stopped { .. }))), "the outcome is given once");
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&job);
}

#[test]
fn a_listener_that_panics_is_told_no_more_and_ends_nothing() {
    let (_directory, db) = shop::trained();
    for phase in ["teacher", "index", "collect", "done"] {
        let job = db.train(shop::options()).unwrap();
        job.on_progress(move |progress| assert!(progress.phase != phase, "a listener's own fault"));
        let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let told = std::sync::Arc::clone(&heard);
        job.on_progress(move |progress| *told.lock().unwrap() = progress.phase.clone());
        job.wait().unwrap();
        assert_eq!(*heard.lock().unwrap(), "done");
    }
    let job = db.train(shop::options()).unwrap();
    assert!(job.wait_timeout(std::time::Duration::from_secs(60)));
    job.wait().unwrap();
}

#[test]
fn a_training_of_many_epochs_ends_in_its_record() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    let few = shop::interactions().filter(|x| x.user < Id::from(30u64));
    db.insert_many(few).unwrap();
    let options = TrainOptions::new(Preset::Balanced).bits(64).set("student.sweeps", 900);
    let outcome = db.train(options).unwrap().wait().unwrap();
    let record = db.jobs().unwrap().pop().unwrap();
    assert_eq!(record.outcome, kithdb::JobOutcome::Done { generation: outcome.generation });
    // A point of every so many, the last among them.
    let curve = record.found["student_recalls"].split(' ').collect::<Vec<_>>();
    assert!(curve.len() <= 200 && curve[curve.len() - 2] == outcome.training.epochs.len().to_string(), "{curve:?}");
}
