//! Jobs where storage takes nothing more, and listeners that hold the database.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../storage/tests/drill/disk.rs"]
mod disk;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use disk::Tmpfs;
use kithdb::{Compaction, Db, Error, Interaction, Job, Preset, StorageError, TrainOptions};

fn begun(path: &Path) -> Db {
    let db = Db::options().background(false).checkpoint_after(Duration::ZERO).open(path).unwrap();
    db.insert_many((0..9_000u64).map(|n| Interaction::new(n % 400, n * n % 149))).unwrap();
    db
}

fn train(db: &Db) -> Job {
    db.train(TrainOptions::new(Preset::Balanced).bits(64).seed(9)).unwrap()
}

/// Takes the log away, so that the next write fails.
fn poison(db: &Db, path: &Path) {
    let current = fs::read_to_string(path.join("CURRENT")).unwrap();
    let log = path.join(current.split(' ').next().unwrap()).join("db");
    fs::rename(&log, path.join("away")).unwrap();
    assert!(db.insert(1u64, 1u64).is_err());
    fs::rename(path.join("away"), &log).unwrap();
}

fn is_poisoned(error: &Error) -> bool {
    matches!(error, Error::Storage(StorageError::Poisoned { .. }))
}

#[test]
fn nothing_is_learned_that_could_not_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = begun(&path);
    poison(&db, &path);
    let job = train(&db);
    assert!(job.wait_timeout(Duration::from_secs(100)));
    assert_eq!(job.progress().phase, "queued");
    let error = job.wait().unwrap_err();
    assert!(is_poisoned(&error), "{error}");
}

/// Where a new base has no room beside the old one nothing is learned for it; a few rows fit, and are published.
#[test]
fn nothing_is_learned_that_would_not_fit() {
    let Some(disk) = Tmpfs::mount(64) else {
        return eprintln!("no room for a base: SKIPPED, no tmpfs can be mounted here");
    };
    let path = disk.path().join("shop.kith");
    let db = begun(&path);
    db.train(TrainOptions::new(Preset::Fast)).unwrap().wait().unwrap();
    db.insert_many((0..30u64).map(|n| Interaction::new(n % 3, 130 + n % 10))).unwrap();
    let stats = db.stats().unwrap();
    let base = stats.generation.unwrap().bytes + stats.disk.training_state;
    // All but what is left free beside a generation, and three quarters of one.
    let mut filler = fs::File::create(disk.path().join("somebody's")).unwrap();
    while filler.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    let filled = filler.metadata().unwrap().len();
    filler.set_len(filled - (8 << 20) - 3 * base / 4).unwrap();
    for job in [db.compact(Compaction::Major), db.compact(Compaction::Full), db.train(TrainOptions::default())] {
        let job = job.unwrap();
        let learned = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&learned);
        job.on_progress(move |progress| {
            count.fetch_add(usize::from(!["queued", "fold"].contains(&progress.phase.as_str())), Ordering::SeqCst);
        });
        let error = job.wait().unwrap_err();
        assert!(matches!(error, Error::Storage(StorageError::DiskFull { needed: Some(_), .. })), "{error}");
        assert_eq!(learned.load(Ordering::SeqCst), 0);
    }
    db.compact(Compaction::Minor).unwrap().wait().unwrap();
    drop(filler);
    fs::remove_file(disk.path().join("somebody's")).unwrap();
    db.insert(1u64, 1u64).unwrap();
    db.compact(Compaction::Major).unwrap().wait().unwrap();
}

#[test]
fn a_training_ends_once_storage_takes_nothing_more_and_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = begun(&path);
    // While one trains the next is listened to from its beginning.
    let (first, second) = (train(&db), train(&db));
    let phases = Arc::new(Mutex::new(Vec::new()));
    let (seen, handle, place) = (Arc::clone(&phases), db.clone(), path.clone());
    second.on_progress(move |progress| {
        let mut seen = seen.lock().unwrap();
        if seen.last() != Some(&progress.phase) {
            seen.push(progress.phase.clone());
            if progress.phase == "student" {
                poison(&handle, &place);
            }
        }
    });
    first.wait().unwrap();
    let error = second.wait().unwrap_err();
    assert!(is_poisoned(&error), "{error}");
    let phases = phases.lock().unwrap().clone();
    assert_eq!(phases.last().unwrap(), "student", "{phases:?}");
    assert!(path.join("checkpoint.bin").exists());
    db.close().unwrap();
    let db = begun_again(&path);
    let jobs = db.jobs().unwrap();
    assert_eq!(jobs.last().unwrap().found["resumed"], "2", "{jobs:?}");
}

/// Trains again in a database that is opened again.
fn begun_again(path: &Path) -> Db {
    let db = Db::options().background(false).open(path).unwrap();
    train(&db).wait().unwrap();
    db
}

#[test]
fn a_listener_may_hold_the_last_handle() {
    let faults = Arc::new(AtomicUsize::new(0));
    let (count, before) = (Arc::clone(&faults), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |fault| {
        if thread::current().name() == Some("kithdb-compaction") {
            count.fetch_add(1, Ordering::SeqCst);
        }
        before(fault);
    }));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = begun(&path);
    let (first, second) = (train(&db), train(&db));
    let handle = db.clone();
    second.on_progress(move |_| assert!(handle.id_kind(kithdb::Side::User).is_some()));
    drop((db, first, second));
    let db = opened_again(&path);
    assert_eq!(db.stats().unwrap().generation.unwrap().number, 2, "both have come to their end");
    assert_eq!(faults.load(Ordering::SeqCst), 0);
}

#[test]
fn a_listener_may_drop_the_last_handle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = begun(&path);
    let (first, second) = (train(&db), train(&db));
    let mut handle = Some(db.clone());
    second.on_progress(move |_| drop(handle.take()));
    drop(db);
    first.wait().unwrap();
    drop(second);
    opened_again(&path).close().unwrap();
}

/// Opens a database once its last handle, which somebody else holds, is gone.
fn opened_again(path: &Path) -> Db {
    let since = Instant::now();
    loop {
        match Db::options().background(false).open(path) {
            Err(Error::Storage(StorageError::Locked { .. })) if since.elapsed() < Duration::from_secs(100) => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
}
