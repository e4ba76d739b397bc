//! A full disk: a clear error, nothing acknowledged lost, and work goes on after space was freed and the database opened again.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use drill::disk::Tmpfs;
use drill::{append_next, check, open, publish_next};
use kithdb_storage::{Draft, Error, JobOutcome, JobRecord, Store};

/// Appends until the disk is full; returns what was acknowledged.
fn fill(dir: &Path) -> u64 {
    let store = open(dir).unwrap();
    let mut acknowledged = store.last_sequence();
    let error = loop {
        match append_next(&store, 3_000) {
            Ok(last) => acknowledged = last,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    // Refused before anything was written, or, where somebody else took the room, in the middle of it.
    let refused = |error: Error| matches!(error, Error::DiskFull { .. } | Error::Poisoned { .. });
    assert!(append_next(&store, 3_000).is_err_and(refused), "a full disk takes nothing");
    assert_eq!(store.last_sequence(), acknowledged);
    acknowledged
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = Tmpfs::mount(30) else {
        return limited();
    };
    eprintln!("full disk: a tmpfs of 30 MB");
    let dir = disk.path().join("db");
    let filler = disk.path().join("filler");
    let store = open(&dir).unwrap();
    append_next(&store, 5_000).unwrap();
    publish_next(&store, false).unwrap();
    store.close().unwrap();
    fs::write(&filler, vec![7; 14 << 20]).unwrap();
    for round in 0..3 {
        let acknowledged = fill(&dir);
        // Full to the last byte: what the engine needs to recover has to come out of the reserve.
        let mut rest = fs::File::create(disk.path().join("rest")).unwrap();
        while Write::write(&mut rest, &[1; 4096]).is_ok() {}
        // Twice, since an opening gives the room back that it took.
        let (last, generation) = check(&dir).unwrap_or_else(|error| panic!("round {round}: {error}"));
        while Write::write(&mut rest, &[1; 4096]).is_ok() {}
        assert_eq!(check(&dir).unwrap_or_else(|error| panic!("round {round}, again: {error}")), (last, generation));
        assert!(last >= acknowledged, "round {round}: {acknowledged} acknowledged, {last} found");
        assert_eq!(generation, 1);
        fs::remove_file(disk.path().join("rest")).unwrap();
        let room = fs::metadata(&filler).unwrap().len().saturating_sub(5 << 20);
        fs::OpenOptions::new().write(true).open(&filler).unwrap().set_len(room).unwrap();
        let store = open(&dir).unwrap();
        assert!(append_next(&store, 1).unwrap() > acknowledged, "work goes on");
        store.close().unwrap();
    }
}

#[test]
fn a_generation_that_does_not_fit_is_refused_before_it_is_written() {
    let Some(disk) = Tmpfs::mount(40) else {
        return eprintln!("full disk, generation: SKIPPED, no tmpfs can be mounted here");
    };
    let dir = disk.path().join("db");
    let store = open(&dir).unwrap();
    let acknowledged = append_next(&store, 1_000).unwrap();
    let mut writer = store.begin_generation().unwrap();
    let big = vec![1u64; 3 << 20];
    let error = writer.part("big", &[big.len() as u64], &big).unwrap_err();
    assert!(matches!(error, Error::DiskFull { needed: Some(_), free: Some(_), .. }), "{error}");
    drop(writer);
    assert_eq!(append_next(&store, 1).unwrap(), acknowledged + 1, "the log is not concerned");
    let mut writer = store.begin_generation().unwrap();
    writer.part("small", &[2], &[1u64, 2]).unwrap();
    writer.publish(Draft::default()).unwrap();
}

/// Fills a file system but for so many bytes; the file that does.
fn fill_but(disk: &Tmpfs, rest: u64) -> std::path::PathBuf {
    let path = disk.path().join("somebody's");
    let mut filler = fs::File::create(&path).unwrap();
    while filler.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    let length = filler.metadata().unwrap().len();
    filler.set_len(length.saturating_sub(rest)).unwrap();
    path
}

#[test]
fn a_disk_that_is_full_for_a_moment_poisons_nothing() {
    let Some(disk) = Tmpfs::mount(30) else {
        return eprintln!("full disk, for a moment: SKIPPED, no tmpfs can be mounted here");
    };
    let dir = disk.path().join("db");
    let store = open(&dir).unwrap();
    let acknowledged = append_next(&store, 1_000).unwrap();
    let filler = fill_but(&disk, 0);
    // More than the reserve covers: refused before anything is written.
    let error = append_next(&store, 60_000).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    // What jobs tell of themselves is not worth the handle either.
    for number in 1..300 {
        let record = JobRecord {
            number,
            kind: "train".to_owned(),
            why: "asked for".to_owned(),
            begun: 0,
            ended: None,
            phase: "teacher".to_owned(),
            outcome: JobOutcome::Running,
            found: BTreeMap::from([("curve".to_owned(), "0.1 ".repeat(1_000))]),
            step: 0,
            of: 0,
        };
        if let Err(error) = store.note_job(&record) {
            assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        }
    }
    fs::remove_file(filler).unwrap();
    assert_eq!(append_next(&store, 60_000).unwrap(), acknowledged + 60_000, "the room is back");
    store.close().unwrap();
    check(&dir).unwrap();
}

/// Names of stores.
fn stores(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("store-")).collect()
}

fn forget(store: &Store) {
    let mut writer = store.begin_generation().unwrap();
    writer.part("small", &[1], &[1u64]).unwrap();
    let finished = writer.finish().unwrap();
    finished.publish(Draft { rewrite: true, ..Draft::default() }).unwrap();
}

#[test]
fn a_store_that_does_not_fit_beside_the_old_one_is_not_begun() {
    let Some(disk) = Tmpfs::mount(60) else {
        return eprintln!("full disk, copy of the store: SKIPPED, no tmpfs can be mounted here");
    };
    let dir = disk.path().join("db");
    let store = open(&dir).unwrap();
    let acknowledged = append_next(&store, 60_000).unwrap();
    forget(&store);
    let filler = fill_but(&disk, 512 << 10);
    for _ in 0..3 {
        let error = store.tidy().unwrap_err();
        assert!(matches!(error, Error::DiskFull { needed: Some(_), .. }), "{error}");
        assert_eq!(stores(&dir).len(), 1, "{:?}", stores(&dir));
    }
    let report = store.verify().unwrap();
    assert!(report.is_sound() && report.warnings.iter().any(|warning| warning.contains("no space")), "{report:?}");
    let before = stores(&dir);
    fs::remove_file(filler).unwrap();
    store.tidy().unwrap();
    assert!(stores(&dir).len() == 1 && stores(&dir) != before, "copied");
    assert!(store.verify().unwrap().warnings.is_empty());
    assert_eq!(append_next(&store, 1).unwrap(), acknowledged + 1);
}

#[test]
fn an_opening_that_is_refused_gives_the_reserve_its_room_again() {
    let Some(disk) = Tmpfs::mount(30) else {
        return eprintln!("full disk, refused opening: SKIPPED, no tmpfs can be mounted here");
    };
    let dir = disk.path().join("db");
    let store = open(&dir).unwrap();
    append_next(&store, 5_000).unwrap();
    store.close().unwrap();
    // Of what is acknowledged, but of nothing that is looked at before the store is copied.
    let store = dir.join(stores(&dir).remove(0)).join("db");
    let length = fs::metadata(&store).unwrap().len();
    fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(4096).unwrap();
    fs::OpenOptions::new().write(true).open(&store).unwrap().set_len(length).unwrap();
    fill_but(&disk, 0);
    let error = open(&dir).map(drop).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(dir.join("RESERVE").exists(), "the next opening finds the room of this one");
    assert_eq!(stores(&dir).len(), 1);
}

#[test]
#[ignore = "the child of a drill, under a file-size limit"]
fn limited_child() {
    if let Some(dir) = drill::child_directory() {
        println!("\nACKED {}", fill(&dir));
    }
}

/// Where nothing can be mounted: a child whose files may not pass a size.
fn limited() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 16384; exec \"$0\" --exact limited_child --ignored --nocapture";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("KITHDB_DRILL_DIR", dir.path())
        .output();
    let Ok(output) = child else {
        return eprintln!("full disk: SKIPPED, neither a tmpfs nor a file-size limit can be had here");
    };
    eprintln!("full disk: a file-size limit of 8 MB");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged: u64 = out.lines().find_map(|line| line.strip_prefix("ACKED ")).unwrap().parse().unwrap();
    let (last, _) = check(dir.path()).unwrap();
    assert!(acknowledged > 0 && last >= acknowledged, "{acknowledged} acknowledged, {last} found");
    assert!(append_next(&open(dir.path()).unwrap(), 1).unwrap() > acknowledged);
}

#[test]
fn a_file_size_limit_loses_nothing() {
    limited();
}
