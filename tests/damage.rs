//! Real bytes damaged: a database either refuses to open, naming what is damaged, or holds exactly what was acknowledged.
//!
//! `KITHDB_DRILL_ROUNDS=400 cargo test --release --test damage -- --nocapture` is the long run.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use drill::{Edges, expected, mix, perform, rounds, run_and_kill, step, stored, worker};
use kithdb::{Db, Preset, TrainOptions};

const SCRIPT: u64 = 77;
const STEPS: u64 = 400;
/// Far longer than any round takes; one that needs it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database with a generation and a tail, cleanly closed or killed, and what it holds.
fn database(directory: &Path, killed: bool) -> (PathBuf, Edges) {
    let path = directory.join(if killed { "killed.kith" } else { "closed.kith" });
    if killed {
        let lines = run_and_kill("work_until_killed", &path, SCRIPT, Some(Duration::from_millis(50)));
        assert_eq!(lines.last().unwrap(), &format!("ack {STEPS}"), "the worker was killed before it was done");
    } else {
        work(&Db::open(&path).unwrap());
    }
    (path, expected(SCRIPT, STEPS))
}

fn work(db: &Db) {
    for n in 0..STEPS {
        perform(db, step(SCRIPT, n)).unwrap();
        if n == STEPS / 2 {
            db.train(TrainOptions::new(Preset::Fast).bits(192).threads(1)).unwrap().wait().unwrap();
        }
    }
}

#[test]
#[ignore = "the process that is killed"]
fn work_until_killed() {
    let Some((path, _)) = worker() else { return };
    let db = Db::open(path).unwrap();
    work(&db);
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {STEPS}").unwrap();
    out.flush().unwrap();
    loop {
        std::thread::sleep(PATIENCE);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a directory that has bytes to damage, in a fixed order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false if entry.metadata().unwrap().len() > 0 => found.push(entry.path()),
            false => {}
        }
    }
    found.sort();
    found
}

/// Damages one file of a database; says what was done.
fn damage(path: &Path, seed: u64) -> String {
    let files = files(path);
    let file = &files[(mix(seed, 1) % files.len() as u64) as usize];
    let mut handle = OpenOptions::new().read(true).write(true).open(file).unwrap();
    // sled allocates its files ahead; damage what has been written.
    let mut bytes = Vec::new();
    handle.read_to_end(&mut bytes).unwrap();
    let written = (bytes.iter().rposition(|&b| b != 0).unwrap_or(0) + 1) as u64;
    let at = mix(seed, 2) % written;
    let name = file.strip_prefix(path).unwrap().display().to_string();
    match mix(seed, 3) % 3 {
        0 => {
            handle.set_len(at).unwrap();
            format!("{name} truncated to {at}")
        }
        1 => {
            let bit = mix(seed, 4) % 8;
            handle.seek(SeekFrom::Start(at)).unwrap();
            handle.write_all(&[bytes[at as usize] ^ (1 << bit)]).unwrap();
            format!("{name} bit {bit} of byte {at} flipped")
        }
        _ => {
            let start = at / 4096 * 4096;
            let page = vec![0; (bytes.len() as u64 - start).min(4096) as usize];
            handle.seek(SeekFrom::Start(start)).unwrap();
            handle.write_all(&page).unwrap();
            format!("{name} page at {start} zeroed")
        }
    }
}

/// Opens a damaged database and compares what it holds, reads all it has and queries it. The error, if it ends in one.
fn examine(path: &Path, acknowledged: &Edges) -> Option<String> {
    let db = match Db::open(path) {
        Ok(db) => db,
        Err(error) => return Some(error.to_string()),
    };
    assert!(stored(&db) == *acknowledged, "opened, but holds something else than was acknowledged");
    let verified = db.verify().unwrap().damage.first().map(ToString::to_string);
    for user in db.users() {
        // Any answer or error will do, but no panic.
        let _ = db.nearest(&user, 5);
    }
    verified
}

fn drill(killed: bool, default_rounds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (original, acknowledged) = database(directory.path(), killed);
    assert_eq!(examine(&original, &acknowledged), None, "undamaged, it opens");
    let (rounds, mut refused) = (rounds(default_rounds), 0);
    for round in 0..rounds {
        let path = directory.path().join(format!("round-{round}.kith"));
        copy(&original, &path);
        let what = damage(&path, mix(u64::from(killed) + 9, round));
        let (sender, receiver) = mpsc::channel();
        let (inner, edges) = (path.clone(), acknowledged.clone());
        std::thread::spawn(move || sender.send(examine(&inner, &edges)));
        match receiver.recv_timeout(PATIENCE) {
            Ok(Some(error)) => {
                refused += 1;
                assert!(
                    error.contains(path.file_name().unwrap().to_str().unwrap()) || error.contains("generation"),
                    "{what}: {error}"
                );
            }
            Ok(None) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("round {round}, {what}: panicked"),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("round {round}, {what}: hangs"),
        }
        fs::remove_dir_all(&path).unwrap();
    }
    let kind = if killed { "killed" } else { "closed" };
    eprintln!(
        "damage of {kind} databases: {rounds} rounds, {refused} refused by name, {} whole, 0 silent",
        rounds - refused
    );
}

#[test]
fn of_a_closed_database() {
    drill(false, 20);
}

#[test]
fn of_a_killed_database() {
    drill(true, 20);
}
