//! What the drills share: work whose every byte follows from its position, child processes, and the check of what survived.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod disk;
pub mod files;
pub mod strike;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kithdb_storage::{Draft, Error, IdKind, Record, Side, Store, StoreOptions};

/// A check that takes longer than this hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Rounds of a drill: `KITHDB_DRILL_ROUNDS`, or the number given.
pub fn rounds(short: u64) -> u64 {
    std::env::var("KITHDB_DRILL_ROUNDS").map_or(short, |text| text.parse().expect("KITHDB_DRILL_ROUNDS is a number"))
}

/// The seed of a drill: `KITHDB_DRILL_SEED`, or another one each time. Printed, so that a failure can be had again.
pub fn seed(drill: &str) -> u64 {
    let seed = match std::env::var("KITHDB_DRILL_SEED") {
        Ok(text) => text.parse().expect("KITHDB_DRILL_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
    };
    println!("{drill}: KITHDB_DRILL_SEED={seed}");
    seed
}

/// Splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The record with this sequence: all kinds occur.
pub fn record(sequence: u64) -> Record {
    let h = mix(sequence);
    let (user, item) = ((h >> 40) as u32, (h >> 20) as u32 & 0xffff);
    match h % 16 {
        0 => Record::Remove { user, item },
        1 if h & 0x100 == 0 => Record::ForgetUser { user },
        1 if h & 0x200 == 0 => Record::RetireItem { item },
        1 if h & 0x400 == 0 => Record::UnretireItem { item },
        1 => {
            let bytes = h.to_le_bytes().repeat(1 + (h >> 8) as usize % 90);
            Record::Describe { side: if h & 0x800 == 0 { Side::User } else { Side::Item }, index: item, bytes }
        }
        2 | 3 => {
            let bytes = h.to_le_bytes().repeat(1 + (h >> 8) as usize % 12);
            Record::Define { side: Side::Item, index: item, kind: IdKind::Bytes, bytes }
        }
        4..=7 => Record::Insert { user, item, weight: 1.0 + (h >> 56) as f32, time: Some(h as i64) },
        _ => Record::Insert { user, item, weight: 1.0, time: None },
    }
}

/// The contents of generation `n`.
pub fn words(generation: u64) -> Vec<u64> {
    (0..20_000 + mix(generation) % 20_000).map(|i| mix(generation << 32 | i)).collect()
}

pub fn table(generation: u64) -> Vec<f32> {
    (0..5_000).map(|i| mix(generation << 40 | i) as f32).collect()
}

pub fn open(dir: &Path) -> Result<Store, Error> {
    Store::open(dir, &StoreOptions::default())
}

/// Appends the next `count` records.
pub fn append_next(store: &Store, count: u64) -> Result<u64, Error> {
    let first = store.last_sequence() + 1;
    let records: Vec<Record> = (first..first + count).map(record).collect();
    store.append(&records)
}

/// Publishes the next generation, folded through most of the log.
pub fn publish_next(store: &Store, rewrite: bool) -> Result<u64, Error> {
    let folded = store.manifest().map_or(0, |manifest| manifest.folded_through);
    let through = folded + (store.last_sequence() - folded) * 3 / 4;
    let mut writer = store.begin_generation()?;
    let generation = writer.generation();
    let words = words(generation);
    writer.part("words", &[words.len() as u64], &words)?;
    writer.part("number", &[1], &[generation])?;
    writer.state_part("table", &[5_000], &table(generation))?;
    let attributes = BTreeMap::from([("generation".to_owned(), generation.to_string())]);
    let draft = Draft { folded_through: through, trained_through: through, attributes, rewrite };
    let manifest = writer.publish(draft)?;
    store.tidy()?;
    Ok(manifest.generation)
}

/// Reads everything in a database and compares it with what was written. `Err` is an error of the database; content that differs
/// without an error panics, which no drill forgives.
pub fn check(dir: &Path) -> Result<(u64, u64), Error> {
    check_open(open(dir)?)
}

fn check_open(store: Store) -> Result<(u64, u64), Error> {
    let report = store.verify()?;
    let manifest = store.manifest();
    let folded = manifest.as_ref().map_or(0, |manifest| manifest.folded_through);
    let mut next = folded + 1;
    store.replay(folded, &mut |sequence, found| {
        assert_eq!(sequence, next, "a gap without an error");
        assert_eq!(found, record(sequence), "record {sequence} is torn");
        next += 1;
    })?;
    assert_eq!(next, store.last_sequence() + 1, "a short log without an error");
    let mut generation = 0;
    if let Some(manifest) = manifest {
        generation = manifest.generation;
        assert_eq!(manifest.attributes["generation"], generation.to_string());
        let reader = store.read_generation(Arc::clone(&manifest));
        assert_eq!(reader.part::<u64>("number")?, [generation]);
        assert!(reader.part::<u64>("words")? == words(generation), "a part differs without an error");
        // State may be lost, which verify has to say; it may not be wrong.
        match store.read_state(&manifest).and_then(|state| state.map(|s| s.part::<f32>("table")).transpose()) {
            Ok(Some(Some(found))) => assert!(found == table(generation), "state differs without an error"),
            Ok(Some(None)) => panic!("state lost its part without an error"),
            Ok(None) | Err(_) => assert!(!report.warnings.is_empty(), "verify does not mention the state"),
        }
    }
    if let Some(damage) = report.damage.into_iter().next() {
        panic!("verify finds damage that reading does not: {damage}");
    }
    let last = store.last_sequence();
    store.close()?;
    Ok((last, generation))
}

/// What a checking child found out.
#[derive(Debug)]
pub enum Verdict {
    /// Everything that was read is right: last sequence, generation.
    Sound(u64, u64),
    /// A clear error.
    Refused(String),
}

/// A child of this very test program that runs the ignored test `name` on `dir`.
pub fn child(name: &str, dir: &Path, variables: &[(&str, String)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
        .env("KITHDB_DRILL_DIR", dir)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The directory a child works on, or `None` when an ignored test is run by hand.
pub fn child_directory() -> Option<PathBuf> {
    std::env::var_os("KITHDB_DRILL_DIR").map(PathBuf::from)
}

/// Waits for a child and says how it ended and what it wrote; `None` when it hangs.
pub fn finish(mut child: Child, deadline: Duration) -> Option<(ExitStatus, String, String)> {
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let out = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    let err = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    let until = Instant::now() + deadline;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    Some((status, out.join().unwrap(), err.join().unwrap()))
}

/// What the error of a check begins with where the opening had succeeded.
pub const AFTER_OPENING: &str = "opened, then ";

/// The body of the ignored test `check_child`.
pub fn check_child() {
    let Some(dir) = child_directory() else { return };
    let store = match open(&dir) {
        Ok(store) => store,
        Err(error) => return println!("\nREFUSED {error}"),
    };
    let outcome = check_open(store).and_then(|found| match std::env::var_os("KITHDB_DRILL_GO_ON") {
        Some(_) => go_on(&dir).map(|()| found),
        None => Ok(found),
    });
    match outcome {
        Ok((last, generation)) => println!("\nSOUND {last} {generation}"),
        Err(error) => println!("\nREFUSED {AFTER_OPENING}{error}"),
    }
}

/// Works on in a database that was found sound, and checks that again.
fn go_on(dir: &Path) -> Result<(), Error> {
    let store = open(dir)?;
    let mut generation = store.manifest().map_or(0, |manifest| manifest.generation);
    for count in [1, 1, 700, 20_000, 3] {
        append_next(&store, count)?;
    }
    // Training state may be among what was lost, so that it is written anew.
    generation = generation.max(publish_next(&store, false)?);
    let last = append_next(&store, 10)?;
    store.close()?;
    assert_eq!(check(dir)?, (last, generation), "what was written to a damaged database is lost without an error");
    Ok(())
}

/// Checks a database in a child process: a panic, an abort and a hang there fail the drill here.
pub fn check_apart(dir: &Path, story: &str) -> Verdict {
    judge(child("check_child", dir, &[]), story)
}

/// As [`check_apart`], and works on in a database that is sound.
pub fn check_and_go_on(dir: &Path, story: &str) -> Verdict {
    judge(child("check_child", dir, &[("KITHDB_DRILL_GO_ON", "1".to_owned())]), story)
}

fn judge(child: Child, story: &str) -> Verdict {
    let Some((status, out, err)) = finish(child, DEADLINE) else {
        panic!("{story}: a hang");
    };
    assert!(status.success(), "{story}: {status}\n{out}\n{err}");
    assert!(!err.contains("panicked at"), "{story}: a panic was printed\n{err}");
    for line in out.lines() {
        if let Some(rest) = line.strip_prefix("SOUND ") {
            let numbers: Vec<u64> = rest.split(' ').map(|n| n.parse().unwrap()).collect();
            return Verdict::Sound(numbers[0], numbers[1]);
        }
        if let Some(message) = line.strip_prefix("REFUSED ") {
            return Verdict::Refused(message.to_owned());
        }
    }
    panic!("{story}: the check says nothing\n{out}\n{err}");
}

/// What a working child has acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acknowledged {
    pub sequence: u64,
    pub generation: u64,
}

/// The body of the ignored test `work_child`: works until it is killed, and says so after each acknowledgement.
pub fn work_child() {
    let Some(dir) = child_directory() else { return };
    let kind = std::env::var("KITHDB_DRILL_WORK").unwrap();
    let mut random = Random(std::env::var("KITHDB_DRILL_SEED").unwrap().parse().unwrap());
    let store = open(&dir).unwrap();
    println!("\nREADY");
    loop {
        let worked = match kind.as_str() {
            "append" => append_next(&store, 1 + random.below(40)),
            "bulk" => append_next(&store, 20_000 + random.below(45_000)),
            "publish" => {
                for _ in 0..random.below(4) {
                    match append_next(&store, 1 + random.below(3_000)) {
                        Ok(last) => println!("ACKED {last}"),
                        Err(error) => return println!("STOPPED {error}"),
                    }
                }
                match publish_next(&store, random.below(3) == 0) {
                    Ok(generation) => println!("PUBLISHED {generation}"),
                    Err(error) => return println!("STOPPED {error}"),
                }
                append_next(&store, 1)
            }
            other => panic!("no work of the kind {other}"),
        };
        match worked {
            Ok(last) => println!("ACKED {last}"),
            // Under a failing disk the work stops; only a drill that fails the disk sees this.
            Err(error) => return println!("STOPPED {error}"),
        }
    }
}

/// Starts a working child, lets `strike` end the work at some moment after it is ready, and returns what was acknowledged by then.
pub fn work(dir: &Path, kind: &str, seed: u64, strike: impl FnOnce(&mut Child)) -> Acknowledged {
    let variables = [("KITHDB_DRILL_WORK", kind.to_owned()), ("KITHDB_DRILL_SEED", seed.to_string())];
    let mut child = child("work_child", dir, &variables);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stderr = child.stderr.take().unwrap();
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line == "READY");
    let reader = thread::spawn(move || {
        let mut acknowledged = Acknowledged::default();
        // A line cut short by the kill says nothing.
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("ACKED ") {
                acknowledged.sequence = n.parse().unwrap();
            } else if let Some(n) = line.strip_prefix("PUBLISHED ") {
                acknowledged.generation = n.parse().unwrap();
            }
        }
        acknowledged
    });
    if ready {
        strike(&mut child);
    }
    let _ = child.kill();
    child.wait().unwrap();
    let acknowledged = reader.join().unwrap();
    let errors = errors.join().unwrap();
    assert!(ready, "the work did not begin: {errors}");
    acknowledged
}
