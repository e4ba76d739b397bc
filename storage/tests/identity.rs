//! Files of another database are refused, however well they fit, and what a database was told at its creation it keeps.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use drill::files::copy;
use drill::{append_next, check, open, publish_next};
use kithdb_storage::{Error, Store, StoreOptions};

fn current(dir: &Path) -> String {
    fs::read_to_string(dir.join("CURRENT")).unwrap().split(' ').next().unwrap().to_owned()
}

/// A database with a log of `records`, and a generation in front of it where asked for.
fn database(dir: &Path, records: u64, generation: bool) -> PathBuf {
    let store = open(dir).unwrap();
    append_next(&store, 100).unwrap();
    if generation {
        publish_next(&store, false).unwrap();
    }
    append_next(&store, records).unwrap();
    store.close().unwrap();
    dir.to_path_buf()
}

#[test]
fn a_store_witness_or_format_of_another_database_is_refused_though_its_log_is_longer() {
    let dir = tempfile::tempdir().unwrap();
    for generation in [false, true] {
        let ours = database(&dir.path().join("ours"), 50, generation);
        let theirs = database(&dir.path().join("theirs"), 500, generation);
        for name in ["store", "ACKED", "FORMAT", "gen-1"] {
            if name == "gen-1" && !generation {
                continue;
            }
            let mixed = dir.path().join("mixed");
            copy(&ours, &mixed);
            let (from, to) = match name {
                "store" => (theirs.join(current(&theirs)), mixed.join(current(&mixed))),
                name => (theirs.join(name), mixed.join(name)),
            };
            if from.is_dir() {
                fs::remove_dir_all(&to).unwrap();
                copy(&from, &to);
            } else {
                fs::copy(&from, &to).unwrap();
            }
            match check(&mixed) {
                Err(Error::Corrupt { what, .. }) => {
                    assert!(what.contains("of the database") || what.contains("to the database"), "{name}: {what}")
                }
                other => panic!("{name} of another database: {other:?}"),
            }
            fs::remove_dir_all(&mixed).unwrap();
        }
        fs::remove_dir_all(&ours).unwrap();
        fs::remove_dir_all(&theirs).unwrap();
    }
}

#[test]
fn properties_are_those_of_the_creation() {
    let dir = tempfile::tempdir().unwrap();
    let told = |value: &str| StoreOptions {
        properties: BTreeMap::from([("colour".to_owned(), value.to_owned())]),
        ..StoreOptions::default()
    };
    let store = Store::open(dir.path(), &told("blue")).unwrap();
    assert_eq!(store.properties()["colour"], "blue");
    append_next(&store, 10).unwrap();
    publish_next(&store, true).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path(), &told("red")).unwrap();
    assert_eq!(store.properties()["colour"], "blue");
}
