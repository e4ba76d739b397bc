//! Real bytes damaged, and files swapped for those of another database or for their own former selves: a database either refuses to open,
//! naming what is damaged and leaving every file as it was, or holds exactly what was acknowledged. With the damage undone it opens again.
//!
//! `KITHDB_DRILL_ROUNDS=300 cargo test --release --test damage -- --nocapture` is the long run, of three times as many rounds.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use drill::files::{changed, copy, read};
use drill::strike::{Sources, strike};
use drill::{Edges, expected, mix, perform, rounds, run_and_kill, step, stored, worker};
use kithdb::{Compaction, Db, Preset, TrainOptions};

const SCRIPT: u64 = 77;
const STEPS: u64 = 400;
/// Far longer than any round takes; one that needs it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The script without trainings, whose log is all there is.
const LOG_ALONE: u64 = 78;

/// Steps after which the database is copied as it is at that moment, for its older files.
const COPIED: [u64; 3] = [100, 201, 330];

fn older(path: &Path, steps: u64) -> PathBuf {
    path.with_extension(format!("after-{steps}"))
}

fn work(db: &Db, path: &Path, script: u64, steps: u64) {
    for n in 0..steps {
        perform(db, step(script, n)).unwrap();
        if n == steps / 2 && script != LOG_ALONE {
            db.train(TrainOptions::new(Preset::Fast).bits(192).threads(1)).unwrap().wait().unwrap();
        }
        if COPIED.contains(&n) {
            copy(path, &older(path, n));
        }
    }
}

/// A database, cleanly closed or killed, what it holds, and whose files to put in the place of its own: its own from before, and those of
/// others with longer and shorter logs, with and without a generation.
fn database(directory: &Path, name: &str) -> (PathBuf, Edges, Sources) {
    let path = directory.join(name);
    let script = if name == "log" { LOG_ALONE } else { SCRIPT };
    if name == "killed" {
        let lines = run_and_kill("work_until_killed", &path, script, Some(Duration::from_millis(50)));
        assert_eq!(lines.last().unwrap(), &format!("ack {STEPS}"), "the worker was killed before it was done");
    } else {
        work(&Db::open(&path).unwrap(), &path, script, STEPS);
    }
    let older = COPIED.map(|steps| older(&path, steps));
    let foreign = [("longer", 5, 900), ("shorter", 6, 150), ("longer-log", LOG_ALONE, 1_000)];
    let foreign = foreign.map(|(name, script, steps)| {
        let path = directory.join(name);
        work(&Db::open(&path).unwrap(), &path, script, steps);
        path
    });
    (path, expected(script, STEPS), Sources { older: older.to_vec(), foreign: foreign.to_vec() })
}

#[test]
#[ignore = "the process that is killed"]
fn work_until_killed() {
    let Some((path, script)) = worker() else { return };
    let db = Db::open(&path).unwrap();
    work(&db, &path, script, STEPS);
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {STEPS}").unwrap();
    out.flush().unwrap();
    loop {
        std::thread::sleep(PATIENCE);
    }
}

/// How a database was found.
enum Found {
    Refused(String),
    /// Opened, holding what was acknowledged; `verify` may have more to say.
    Equal(Option<String>),
    Other,
}

/// Opens a database and compares what it holds, reads all it has and queries it.
fn examine(path: &Path, acknowledged: &Edges) -> Found {
    let db = match Db::open(path) {
        Ok(db) => db,
        Err(error) => return Found::Refused(error.to_string()),
    };
    if stored(&db) != *acknowledged {
        return Found::Other;
    }
    let verified = db.verify().unwrap().damage.first().map(ToString::to_string);
    for user in db.users() {
        // Any answer or error will do, but no panic.
        let _ = db.nearest(&user, 5);
    }
    Found::Equal(verified)
}

/// As [`examine`], on a thread of its own; what went wrong where it does not come back.
fn examine_apart(path: &Path, acknowledged: &Edges) -> Result<Found, &'static str> {
    let (sender, receiver) = mpsc::channel();
    let (path, edges) = (path.to_path_buf(), acknowledged.clone());
    std::thread::spawn(move || sender.send(examine(&path, &edges)));
    receiver.recv_timeout(PATIENCE).map_err(|error| match error {
        mpsc::RecvTimeoutError::Disconnected => "panicked",
        mpsc::RecvTimeoutError::Timeout => "hangs",
    })
}

fn drill(name: &str, default_rounds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (original, acknowledged, sources) = database(directory.path(), name);
    let whole = directory.path().join("whole");
    copy(&original, &whole);
    assert!(matches!(examine(&whole, &acknowledged), Found::Equal(None)), "undamaged, it opens");
    let (rounds, mut counts, mut wrong) = (rounds(default_rounds), BTreeMap::<&str, u64>::new(), Vec::new());
    for round in 0..rounds {
        let path = directory.path().join(format!("round-{round}"));
        copy(&original, &path);
        let (seed, mut drawn) = (mix(name.bytes().map(u64::from).sum(), round), 0);
        let strike = strike(&path, round, &sources, &mut |below| {
            drawn += 1;
            mix(seed, drawn) % below
        });
        let struck = read(&path);
        let mut bad = |what: String| wrong.push(format!("round {round}, {}: {what}", strike.story));
        let outcome = match examine_apart(&path, &acknowledged) {
            Err(what) => {
                bad(what.to_owned());
                what
            }
            Ok(Found::Other) => {
                bad("opened, holding something else than was acknowledged".to_owned());
                "silent"
            }
            Ok(Found::Equal(None)) => "equal",
            Ok(Found::Equal(Some(_))) => "equal, and named by verify",
            Ok(Found::Refused(error)) => {
                if !error.contains(path.file_name().unwrap().to_str().unwrap()) && !error.contains("generation") {
                    bad(format!("refused, but what is damaged? {error}"));
                }
                let changed = changed(&struck, &read(&path));
                if !changed.is_empty() {
                    bad(format!("the refused opening changed files: {}; {error}", changed.join(", ")));
                }
                strike.undo(&path);
                match examine_apart(&path, &acknowledged) {
                    Ok(Found::Equal(None)) => {}
                    Ok(Found::Refused(again)) => bad(format!("undone, it stays refused: {again}")),
                    Ok(Found::Equal(Some(what))) => bad(format!("undone, verify says {what}")),
                    Ok(Found::Other) => bad("undone, it holds something else".to_owned()),
                    Err(what) => bad(format!("undone, it {what}")),
                }
                "refused"
            }
        };
        *counts.entry(outcome).or_default() += 1;
        fs::remove_dir_all(&path).unwrap();
    }
    eprintln!("damage of a database, {name}: {rounds} rounds, {counts:?}, {} bad", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_a_closed_database() {
    drill("closed", 30);
}

#[test]
fn of_a_killed_database() {
    drill("killed", 30);
}

#[test]
fn of_a_log_alone() {
    drill("log", 30);
}

#[test]
fn a_training_state_that_is_damaged_costs_no_more_than_its_absence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Db::options().background(false).open(&path).unwrap();
    db.insert_many((0..120u64).flat_map(|user| (0..8).map(move |n| (user, (user * 7 + n * n) % 60)))).unwrap();
    db.train(TrainOptions::new(Preset::Fast).bits(192).threads(1)).unwrap().wait().unwrap();
    drop(db);
    let state = fs::read(path.join("state-1.bin")).unwrap();
    let flipped = |at: usize| {
        let mut bytes = state.clone();
        bytes[at] ^= 1;
        Some(bytes)
    };
    let cases = [
        None,
        flipped(1),
        flipped(100),
        flipped(state.len() / 2),
        flipped(state.len() - 20),
        Some(state[..state.len() - 8].to_vec()),
        Some(Vec::new()),
    ];
    let mut answers = Vec::new();
    for (at, bytes) in cases.into_iter().enumerate() {
        let (own, copied) = (directory.path().join(format!("own-{at}")), directory.path().join(format!("copy-{at}")));
        copy(&path, &own);
        match bytes {
            Some(bytes) => fs::write(own.join("state-1.bin"), bytes).unwrap(),
            None => fs::remove_file(own.join("state-1.bin")).unwrap(),
        }
        let db = Db::options().background(false).open(&own).unwrap();
        db.stats().unwrap();
        db.compact_to(&copied).unwrap();
        db.insert_many([(3u64, 59u64), (500, 3)]).unwrap();
        assert!(db.forget_user(7u64).unwrap());
        for kind in [Compaction::Minor, Compaction::Major] {
            db.compact(kind).unwrap().wait().unwrap();
            db.insert(4u64, 58u64 + u64::from(kind == Compaction::Minor)).unwrap();
        }
        let answer = |db: &Db| -> Vec<String> {
            (0..20u64)
                .filter(|&user| user != 7)
                .map(|user| format!("{:?}", db.nearest(user, 5).unwrap().as_slice()))
                .collect()
        };
        answers.push((answer(&db), answer(&Db::open(&copied).unwrap())));
    }
    answers.iter().for_each(|answer| assert_eq!(answer, &answers[0]));
}
