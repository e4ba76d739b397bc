//! A full disk: a clear error, nothing acknowledged lost, and work goes on after space was freed and the database opened again.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::Path;
use std::process::Command;

use drill::{append_next, check, open, publish_next};
use kithdb_storage::{Draft, Error};

/// A small file system in memory, unmounted when dropped. `None` where nothing can be mounted.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(megabytes: u64) -> Option<Tmpfs> {
        let dir = tempfile::tempdir().unwrap();
        let option = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &option, "kithdb-drill"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Tmpfs(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

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
    let dir = disk.0.path().join("db");
    let filler = disk.0.path().join("filler");
    let store = open(&dir).unwrap();
    append_next(&store, 5_000).unwrap();
    publish_next(&store, false).unwrap();
    store.close().unwrap();
    fs::write(&filler, vec![7; 14 << 20]).unwrap();
    for round in 0..3 {
        let acknowledged = fill(&dir);
        // Full to the last byte: what the engine needs to recover has to come out of the reserve.
        let mut rest = fs::File::create(disk.0.path().join("rest")).unwrap();
        while std::io::Write::write(&mut rest, &[1; 4096]).is_ok() {}
        // Twice, since an opening gives the room back that it took.
        let (last, generation) = check(&dir).unwrap_or_else(|error| panic!("round {round}: {error}"));
        while std::io::Write::write(&mut rest, &[1; 4096]).is_ok() {}
        assert_eq!(check(&dir).unwrap_or_else(|error| panic!("round {round}, again: {error}")), (last, generation));
        assert!(last >= acknowledged, "round {round}: {acknowledged} acknowledged, {last} found");
        assert_eq!(generation, 1);
        fs::remove_file(disk.0.path().join("rest")).unwrap();
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
    let dir = disk.0.path().join("db");
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
