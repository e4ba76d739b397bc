//! Databases of earlier formats as their versions wrote them: whatever comes later opens them, finds what they hold, and works on in them.
//!
//! `tests/fixtures/format-N/NAME` has the files of a database, each compressed, and `expected.txt`, what was found in it by the version that
//! made it. They are never made anew: a format that changes gets fixtures of its own, made by
//! `cargo test --release --test formats -- --ignored make`, which refuses to overwrite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../storage/tests/drill/files.rs"]
mod files;
mod found;
mod made;
mod packing;

use std::fs;
use std::path::{Path, PathBuf};

use kithdb::{Compaction, Db, Id, IdKind, Preset, Side, TrainOptions};
use made::{FIXTURES, Fixture};

/// The format that this version writes.
const FORMAT: u32 = 4;

fn folder(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

/// Every fixture of a format before this one, in a directory of its own.
fn each(check: impl Fn(&str, &Fixture, &Path, &str)) {
    let directory = tempfile::tempdir().unwrap();
    for (format, fixture) in (1..FORMAT).flat_map(|format| FIXTURES.iter().map(move |fixture| (format, fixture))) {
        let (path, expected) = unpacked(format, fixture, directory.path());
        check(&format!("format {format}, {}", fixture.name), fixture, &path, &expected);
    }
}

/// Unpacks a fixture and returns its path with what it has to hold.
fn unpacked(format: u32, fixture: &Fixture, directory: &Path) -> (PathBuf, String) {
    let packed = folder(format).join(fixture.name);
    let path = directory.join(format!("{format}-{}.kith", fixture.name));
    packing::unpack(&packed, &path);
    (path, fs::read_to_string(packed.join("expected.txt")).unwrap())
}

/// The first line that differs, since the whole texts are long.
fn assert_same(found: &str, expected: &str, story: &str) {
    let differ = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert_eq!(differ, None, "{story}: what is found, what has to be");
    assert_eq!(found.lines().count(), expected.lines().count(), "{story}: lines");
}

#[test]
fn databases_of_earlier_formats_hold_what_they_held() {
    each(|name, fixture, path, expected| {
        for opening in ["first", "second"] {
            let db = Db::open(path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = found::describe(&db, &(fixture.coded)());
            assert_same(&found, &found::without_moved(expected, &db), &format!("{name}, {opening} opening"));
            let report = db.verify().unwrap();
            assert!(report.is_sound(), "{name}: {:?}", report.damage);
        }
    });
}

#[test]
fn work_goes_on_in_databases_of_earlier_formats() {
    each(|name, _, path, _| {
        let db = Db::open(path).unwrap();
        let fresh = |side: Side, name: &str| match db.id_kind(side).unwrap() {
            IdKind::U64 => Id::from(77_777u64),
            IdKind::Str => Id::from(name),
            IdKind::Bytes => Id::Bytes(name.as_bytes().to_vec()),
        };
        let (user, item) = (fresh(Side::User, "new user"), fresh(Side::Item, "new item"));
        let known = db.users().into_iter().max().unwrap();
        for (user, item) in [(&user, &item), (&known, &item)] {
            db.insert(user, item).unwrap();
        }
        let before = found::histories(&db);
        let number = db.stats().unwrap().generation.map_or(0, |generation| generation.number);
        drop(db);

        let db = Db::open(path).unwrap();
        assert_same(&found::histories(&db), &before, &format!("{name}, inserted and reopened"));
        let minor = db.compact(Compaction::Minor).unwrap().wait().unwrap();
        assert_eq!(minor.generation, number + 1, "{name}");
        drop(db);

        let db = Db::open(path).unwrap();
        assert_same(&found::histories(&db), &before, &format!("{name}, compacted and reopened"));
        assert_eq!(db.stats().unwrap().generation.unwrap().content_hash, minor.content_hash, "{name}");
        if let Some(number) = db.stats().unwrap().kept_generations.first().map(|kept| kept.number) {
            // What an earlier version made is kept beside it, and can be gone back to.
            assert_eq!(db.rollback(number).unwrap(), number + 2, "{name}");
            assert_same(&found::histories(&db), &before, &format!("{name}, gone back"));
        }
        let outcome = db.train(TrainOptions::new(Preset::Fast).bits(64).threads(1)).unwrap().wait().unwrap();
        db.insert(&user, &item).unwrap();
        drop(db);

        let db = Db::open(path).unwrap();
        // Retired items stay retired; that is counted over what the generation knows.
        assert_same(&found::histories(&db), &before, &format!("{name}, trained and reopened"));
        assert_eq!(db.stats().unwrap().generation.unwrap().content_hash, outcome.content_hash, "{name}");
        assert!(db.verify().unwrap().is_sound(), "{name}");
        assert!(!db.nearest(&known, 3).unwrap().is_empty(), "{name}");
    });
}

#[test]
#[ignore = "makes the fixtures, once a format"]
fn make() {
    for fixture in &FIXTURES {
        let packed = folder(FORMAT).join(fixture.name);
        assert!(!packed.exists(), "{} is there: fixtures are never made anew", packed.display());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db.kith");
        (fixture.make)(&path);
        packing::pack(&path, &packed);
        // Looked at in the copy, so that what is packed was never opened.
        let copy = directory.path().join("copy.kith");
        packing::unpack(&packed, &copy);
        let text = found::describe(&Db::open(copy).unwrap(), &(fixture.coded)());
        fs::write(packed.join("expected.txt"), text).unwrap();
    }
}
