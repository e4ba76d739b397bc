//! A database whose files are taken away under it acknowledges nothing more, and one that was made deep down is durable all the way.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;

use drill::{append_next, check, open};
use kithdb_storage::Error;

#[test]
fn a_directory_that_is_moved_or_removed_is_missed_by_the_next_append() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["root", "store", "ACKED"] {
        let path = dir.path().join(name);
        let away = dir.path().join("away");
        let store = open(&path).unwrap();
        append_next(&store, 10).unwrap();
        let current = fs::read_to_string(path.join("CURRENT")).unwrap().split(' ').next().unwrap().to_owned();
        let taken = match name {
            "root" => path.clone(),
            "store" => path.join(current),
            name => path.join(name),
        };
        fs::rename(&taken, &away).unwrap();
        let error = append_next(&store, 1).unwrap_err();
        assert!(matches!(&error, Error::Io { action: "find", .. }), "{name}: {error}");
        fs::rename(&away, &taken).unwrap();
        assert!(matches!(append_next(&store, 1), Err(Error::Poisoned { .. })), "{name}: only an opening finds out");
        assert_eq!(store.last_sequence(), 10);
        store.close().unwrap();
        let (last, _) = check(&path).unwrap();
        assert!((10..=11).contains(&last), "{name}: {last}");
    }
}

#[test]
fn a_database_far_below_what_there_is_gets_its_directories() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c/d");
    append_next(&open(&deep).unwrap(), 3).unwrap();
    assert_eq!(check(&deep).unwrap(), (3, 0));
}
