//! Syncs that really fail: ext4 on a loop device over a file system in memory that is full, so that what the page cache holds never gets
//! to the disk. Space is freed, and work goes on in four ways. Nothing acknowledged may be lost, and nothing be damaged, once the pages
//! that were never written are gone from the cache.
//!
//! Needs root, loop devices and Linux; says so where it cannot run, which shows nothing. Not run by default:
//! `KITHDB_DRILL_ROUNDS=5 cargo test --release -p kithdb-storage --test failed_sync -- --ignored --exact what_a_failed_sync_left_is_not_believed --nocapture`
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod drill;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use drill::{DEADLINE, Random, Verdict, append_next, check_apart, child, child_directory, finish, open, rounds, seed};

#[test]
#[ignore = "the child of the drill"]
fn check_child() {
    drill::check_child();
}

/// Appends twenty records in a process of its own.
#[test]
#[ignore = "the child of the drill"]
fn append_child() {
    let Some(dir) = child_directory() else { return };
    match open(&dir) {
        Ok(store) => println!("\nACKED {}", twenty(&store)),
        Err(error) => println!("\nREFUSED {error}"),
    }
}

fn twenty(store: &kithdb_storage::Store) -> u64 {
    (0..20).map(|_| append_next(store, 1).unwrap()).max().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// A file system in a sparse file in a small file system in memory.
struct Disk {
    memory: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None` where it cannot be had.
    fn make(dir: &Path) -> Option<Disk> {
        let disk = Disk { memory: dir.join("memory"), mount: dir.join("mount") };
        fs::create_dir(&disk.memory).unwrap();
        fs::create_dir(&disk.mount).unwrap();
        let memory = disk.memory.to_str()?;
        if !run("mount", &["-t", "tmpfs", "-o", "size=40m", "kithdb-drill", memory]) {
            return None;
        }
        File::create(disk.image()).and_then(|file| file.set_len(200 << 20)).unwrap();
        // A small journal, so that it is soon written all over and takes no more room.
        let made = run("mkfs.ext4", &["-q", "-J", "size=4", "-E", "lazy_itable_init=0", disk.image().to_str()?]);
        if !made || !disk.mount() {
            return None;
        }
        for n in 0..600 {
            let path = disk.mount.join(format!("journal-{}", n % 40));
            File::create(&path).and_then(|file| file.sync_all()).unwrap();
            fs::remove_file(path).unwrap();
        }
        Some(disk)
    }

    fn image(&self) -> PathBuf {
        self.memory.join("image")
    }

    fn mount(&self) -> bool {
        run("mount", &["-o", "loop", self.image().to_str().unwrap(), self.mount.to_str().unwrap()])
    }

    fn unmount(&self) -> bool {
        (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            run("umount", &[self.mount.to_str().unwrap()])
        })
    }

    /// Leaves no room in memory, so that blocks the image does not have yet cannot be written.
    fn fill(&self) {
        let mut filler = File::create(self.memory.join("filler")).unwrap();
        for size in [1 << 20, 1 << 12] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.memory.join("filler")).unwrap();
    }

    /// Forgets every page that is clean.
    fn drop_caches(&self) {
        assert!(run("sh", &["-c", "echo 3 > /proc/sys/vm/drop_caches"]), "the page cache cannot be dropped");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
        run("umount", &[self.memory.to_str().unwrap()]);
    }
}

/// How work goes on after the failed sync.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Reopened in the same process and appended to; then the cache is dropped.
    SameProcess,
    /// Reopened and closed without a write; unmounted and mounted.
    WithoutWrites,
    /// Opened and appended to by another process; the cache is dropped.
    AnotherProcess,
    /// Reopened and appended to; unmounted and mounted.
    Unmounted,
}

const WAYS: [Way; 4] = [Way::SameProcess, Way::WithoutWrites, Way::AnotherProcess, Way::Unmounted];

/// One round on a fresh disk; `Err` says what is wrong.
fn round(way: Way, random: &mut Random) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::make(dir.path()).expect("the first disk could be made");
    let database = disk.mount.join("db");
    let store = open(&database).unwrap();
    append_next(&store, 3_000).unwrap();
    store.close().unwrap();
    // Now the blocks of the file system's own tables are in memory: only data is to fail.
    assert!(disk.unmount() && disk.mount(), "the file system did not come back");
    let store = open(&database).unwrap();
    let mut acknowledged = store.last_sequence();
    for _ in 0..5 + random.below(40) {
        acknowledged = append_next(&store, 1 + random.below(60)).unwrap();
    }
    disk.fill();
    let refused = (0..4_000).find_map(|_| match append_next(&store, 1 + random.below(60)) {
        Ok(last) => {
            acknowledged = last;
            None
        }
        Err(error) => Some(error.to_string()),
    });
    let refused = refused.ok_or("no append failed on the full disk")?;
    disk.free();
    let before = acknowledged;
    let story = |what: &str| format!("{way:?}, {before} acknowledged, then refused ({refused}): {what}");
    drop(store);
    let again = |database: &Path| open(database).map_err(|error| story(&format!("it does not reopen: {error}")));
    match way {
        Way::SameProcess | Way::Unmounted => {
            let store = again(&database)?;
            acknowledged = twenty(&store);
            store.close().map_err(|error| story(&error.to_string()))?;
        }
        Way::WithoutWrites => drop(again(&database)?),
        Way::AnotherProcess => {
            let (status, out, err) = finish(child("append_child", &database, &[]), DEADLINE).ok_or("a hang")?;
            let last = out.lines().find_map(|line| line.strip_prefix("ACKED ")).filter(|_| status.success());
            let last = last.ok_or_else(|| story(&format!("another process: {out} {err}")))?;
            acknowledged = last.parse().unwrap();
        }
    }
    match way {
        Way::SameProcess | Way::AnotherProcess => disk.drop_caches(),
        Way::WithoutWrites | Way::Unmounted => {
            assert!(disk.unmount() && disk.mount(), "the file system did not come back");
        }
    }
    let verdict = check_apart(&database, &format!("{way:?}"));
    assert!(disk.unmount(), "the file system is held");
    assert!(run("e2fsck", &["-f", "-n", disk.image().to_str().unwrap()]), "{way:?}: the file system itself is damaged");
    match verdict {
        Verdict::Sound(last, _) if last >= acknowledged => Ok(()),
        Verdict::Sound(last, _) => Err(format!("{way:?}: {acknowledged} were acknowledged, the log ends with {last}")),
        Verdict::Refused(error) => {
            Err(format!("{way:?}, refused with ({refused}), {acknowledged} in the end: {error}"))
        }
    }
}

#[test]
#[ignore = "needs root and loop devices"]
fn what_a_failed_sync_left_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    if Disk::make(dir.path()).is_none() {
        return eprintln!("failed sync: SKIPPED, no ext4 over a file system in memory can be mounted here");
    }
    let mut random = Random(seed("failed sync"));
    let rounds = rounds(5);
    let mut bad = Vec::new();
    for way in WAYS {
        let failed: Vec<String> = (0..rounds).filter_map(|_| round(way, &mut random).err()).collect();
        println!("{way:?}: {rounds} rounds, {} damaged", failed.len());
        bad.extend(failed);
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
