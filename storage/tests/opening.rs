//! What opening says about every path and file that is not as it should be.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::Path;

use drill::files::copy;
use drill::{Verdict, append_next, check, check_apart, open, publish_next};
use kithdb_storage::{Error, Store, StoreOptions};

fn refusal(path: &Path) -> Error {
    match open(path) {
        Err(error) => error,
        Ok(_) => panic!("it opened"),
    }
}

fn sample(path: &Path) {
    let store = open(path).unwrap();
    append_next(&store, 500).unwrap();
    publish_next(&store, false).unwrap();
    append_next(&store, 5).unwrap();
    store.close().unwrap();
}

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(&error, Error::Locked { holder, .. } if holder.contains(&std::process::id().to_string())));
    assert!(error.to_string().contains("opening"), "the program is named: {error}");
    drop(store);
    assert!(open(dir.path()).is_ok(), "the lock goes with its owner");
}

#[test]
#[ignore = "the child of a test"]
fn check_child() {
    drill::check_child();
}

#[test]
fn a_second_process_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    match check_apart(dir.path(), "a second process") {
        Verdict::Refused(error) => {
            let holder = format!("is open in process {} (opening", std::process::id());
            assert!(error.contains(&holder), "{error}");
        }
        sound => panic!("it opened: {sound:?}"),
    }
    assert_eq!(append_next(&store, 1).unwrap(), 1, "the first is not disturbed");
}

#[test]
fn what_is_not_a_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    assert!(matches!(refusal(dir.path()), Error::NotADatabase { .. }));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "not even a lock");
    assert!(matches!(refusal(&dir.path().join("notes.txt")), Error::NotADatabase { .. }));
}

#[test]
fn nothing_is_created_unless_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { create: false, ..StoreOptions::default() };
    let absent = dir.path().join("absent");
    assert!(matches!(Store::open(&absent, &options), Err(Error::NotFound { .. })));
    assert!(!absent.exists());
    assert!(matches!(Store::open(dir.path(), &options), Err(Error::NotFound { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    open(dir.path()).unwrap().close().unwrap();
    assert!(Store::open(dir.path(), &options).is_ok());
}

#[test]
fn a_creation_that_died_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    // Before FORMAT there is no database, whatever else is there.
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    fs::remove_dir_all(dir.path().join("gen-1")).unwrap();
    fs::write(dir.path().join("CREATING"), "").unwrap();
    assert_eq!(open(dir.path()).unwrap().last_sequence(), 0);
    assert!(!dir.path().join("CREATING").exists());
}

#[test]
fn a_newer_format_asks_for_a_newer_version() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    let written = fs::read_to_string(dir.path().join("FORMAT")).unwrap();
    let own: u32 = written.split(' ').nth(1).unwrap().parse().unwrap();
    let line = format!("kithdb {}", own + 1);
    fs::write(dir.path().join("FORMAT"), format!("{line} {:08x}\n", crc32c::crc32c(line.as_bytes()))).unwrap();
    let told = refusal(dir.path());
    assert!(matches!(told, Error::NewerFormat { found, known, .. } if (found, known) == (own + 1, own)), "{told}");
}

#[test]
fn every_file_that_is_missing_or_torn_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    sample(&base);
    let store = fs::read_to_string(base.join("CURRENT")).unwrap().split(' ').next().unwrap().to_owned();
    let data = format!("{store}/db");
    for (name, torn) in [
        ("FORMAT", false),
        ("FORMAT", true),
        ("CURRENT", false),
        ("CURRENT", true),
        ("ACKED", false),
        ("ACKED", true),
        (data.as_str(), false),
        (data.as_str(), true),
        (store.as_str(), false),
        ("gen-1", false),
        ("gen-1/db", false),
        ("gen-1/db", true),
    ] {
        let copied = dir.path().join("copied");
        copy(&base, &copied);
        let path = copied.join(name);
        if torn {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(3).unwrap();
        } else if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        let error = match check(&copied) {
            Err(error @ Error::Corrupt { .. }) => error.to_string(),
            other => panic!("{name}, torn {torn}: {other:?}"),
        };
        let place = name.split('/').next().unwrap();
        assert!(error.contains(place), "{name}, torn {torn}: {error}");
        fs::remove_dir_all(&copied).unwrap();
    }
}

#[test]
#[ignore = "the child of a test"]
fn killed_child() {
    if let Some(dir) = drill::child_directory() {
        let killed = Store::open_checked(&dir, &StoreOptions::default(), |_| -> Result<(), Error> {
            std::process::abort();
        });
        assert!(killed.is_ok());
    }
}

/// Names of what there is of stores.
fn stores(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("store-")).collect()
}

#[test]
fn openings_that_are_killed_leave_one_store_at_most() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let current = stores(dir.path());
    assert_eq!(current.len(), 1);
    for _ in 0..3 {
        let child = drill::child("killed_child", dir.path(), &[]);
        assert!(!drill::finish(child, drill::DEADLINE).unwrap().0.success());
        let left = stores(dir.path()).into_iter().filter(|name| !name.ends_with(".tmp"));
        assert!(left.count() <= 2, "{:?}", stores(dir.path()));
        assert!(dir.path().join(&current[0]).exists());
    }
    assert_eq!(check(dir.path()).unwrap(), (505, 1));
    assert_eq!(stores(dir.path()).len(), 1);
}

#[test]
fn a_store_that_no_opening_has_left_stays_where_the_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let current = dir.path().join(&stores(dir.path())[0]);
    copy(&current, &dir.path().join("store-90"));
    // As of a copy that was made while the database was in use.
    fs::write(current.join("db"), "").unwrap();
    let before = drill::files::read(dir.path());
    assert!(matches!(refusal(dir.path()), Error::Corrupt { .. }));
    assert_eq!(drill::files::changed(&before, &drill::files::read(dir.path())), [""; 0]);
}

#[test]
fn a_store_that_none_can_follow_is_named() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    for last in [u64::MAX, u64::MAX - 1] {
        let stray = format!("store-{last}");
        fs::create_dir(dir.path().join(&stray)).unwrap();
        let before = drill::files::read(dir.path());
        let error = refusal(dir.path());
        assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains(&stray), "{error}");
        assert_eq!(drill::files::changed(&before, &drill::files::read(dir.path())), [""; 0]);
        fs::remove_dir(dir.path().join(&stray)).unwrap();
    }
    assert_eq!(check(dir.path()).unwrap(), (505, 1));
}

#[test]
fn where_nothing_can_be_written_the_way_out_is_told() {
    let Some(disk) = drill::disk::Tmpfs::mount(30) else {
        return eprintln!("opening, read only: SKIPPED, no tmpfs can be mounted here");
    };
    let dir = disk.path().join("db");
    sample(&dir);
    disk.seal();
    let error = refusal(&dir).to_string();
    assert!(error.contains(dir.to_str().unwrap()) && error.contains("copy"), "{error}");
}

#[test]
fn lost_training_state_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("state-1.bin");
    let good = fs::read(&path).unwrap();

    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&path, bad).unwrap();
    assert_eq!(check(dir.path()).unwrap(), (505, 1), "every answer is still there");
    let store = open(dir.path()).unwrap();
    let report = store.verify().unwrap();
    assert!(report.is_sound() && report.warnings[0].contains("state-1.bin"), "{report:?}");
    let manifest = store.manifest().unwrap();
    let state = store.read_state(&manifest).unwrap().unwrap();
    assert!(matches!(state.part::<f32>("table"), Err(Error::Corrupt { .. })));
    fs::remove_file(&path).unwrap();
    assert!(store.read_state(&manifest).unwrap().is_none());
    assert!(store.verify().unwrap().warnings[0].contains("missing"));
}

#[test]
fn what_no_manifest_names_is_removed_and_the_rest_is_not() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    for leftover in ["gen-2", "gen-7.tmp", "store-9"] {
        fs::create_dir(dir.path().join(leftover)).unwrap();
        fs::write(dir.path().join(leftover).join("db"), "x").unwrap();
    }
    fs::write(dir.path().join("state-2.bin"), "x").unwrap();
    fs::write(dir.path().join("state-3.bin.tmp"), "x").unwrap();
    fs::write(dir.path().join("README"), "somebody's").unwrap();
    let current = fs::read_to_string(dir.path().join("CURRENT")).unwrap().split(' ').next().unwrap().to_owned();
    let torn = dir.path().join(&current).join("snap.00000000000000FF.generating");
    fs::write(&torn, "torn").unwrap();
    assert_eq!(check(dir.path()).unwrap(), (505, 1));
    for gone in ["gen-2", "gen-7.tmp", "store-9", "state-2.bin", "state-3.bin.tmp"] {
        assert!(!dir.path().join(gone).exists(), "{gone}");
    }
    assert!(!dir.path().join(&current).exists(), "an opening moves on to a copy, which has no torn snapshot");
    assert!(dir.path().join("README").exists() && dir.path().join("gen-1").exists());
}
