//! Closing a database.
#![allow(clippy::unwrap_used, clippy::panic)]

use kithdb::{Db, Error, Interaction};

#[test]
fn a_closed_database_can_be_opened_at_once_and_one_that_is_held_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = Db::open(&path).unwrap();
    db.insert("alice", "kettle").unwrap();
    let snapshot = db.snapshot();
    db.close().unwrap();
    assert_eq!(snapshot.history("alice").unwrap().len(), 1, "a snapshot holds nothing open");
    let db = Db::open(&path).unwrap();
    let other = db.clone();
    let error = db.close().unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }) && error.to_string().contains("drop its clones"), "{error}");
    assert_eq!(other.history("alice").unwrap().len(), 1);
    let late = other.clone();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(late);
    });
    other.close().unwrap();
}

#[test]
fn of_many_the_row_that_cannot_be_stored_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    let good = |n: u64| Interaction::new(n, n);
    let error = db.insert_many([good(1), good(2), good(3).weight(-1.0), good(4)]).unwrap_err().to_string();
    assert!(error.contains("row 3") && error.contains("weight -1"), "{error}");
}
