//! SIGKILL at random moments: nothing acknowledged is lost, nothing is torn, every open succeeds.
//!
//! `KITHDB_DRILL_ROUNDS=250 cargo test --release --test kill -- --nocapture` is the long run.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use drill::{Edges, Step, apply, expected, interaction, mix, perform, rounds, run_and_kill, step, stored, worker};
use kithdb::{Compaction, Db, Error, Interaction, JobOutcome, JobRecord, Preset, TrainOptions};

const BATCH: u64 = 2_000;

fn acknowledge(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {line}").unwrap();
    out.flush().unwrap();
}

/// The number at `place` of an acknowledgement's words.
fn number(line: &str, place: usize) -> u64 {
    line.split(' ').nth(place + 1).unwrap().parse().unwrap()
}

/// Runs `rounds` rounds of `name`, each on the database the round before left, killed at a random moment and reopened. `check` gets the
/// round's seed, the edges before it, the acknowledgements and the reopened database.
fn drill(name: &str, default_rounds: u64, longest: u64, check: impl Fn(u64, &Edges, &[String], &Db)) {
    let directory = tempfile::tempdir().unwrap();
    let rounds = rounds(default_rounds);
    let mut acknowledged = 0;
    for round in 0..rounds {
        // A fresh database every ten rounds, so that both young and old ones are killed.
        let path = directory.path().join(format!("{}.kith", round / 10));
        let seed = mix(0xd1, round);
        let before = if path.exists() { stored(&Db::open(&path).unwrap()) } else { Edges::new() };
        let delay = Duration::from_micros(mix(seed, 1) % (longest * 1000));
        let lines = run_and_kill(name, &path, seed, Some(delay));
        acknowledged += lines.len();
        let db = Db::open(&path).unwrap_or_else(|error| panic!("{name}, round {round}, seed {seed}: {error}"));
        check(seed, &before, &lines, &db);
        assert!(db.verify().unwrap().is_sound());
    }
    eprintln!("{name}: {rounds} kills, {acknowledged} acknowledgements, 0 lost, 0 torn, 0 failed opens");
}

/// The content has to be that after some prefix of the script that holds all acknowledged steps.
fn assert_prefix(before: &Edges, script: impl Fn(u64) -> Option<Step>, acknowledged: u64, possible: u64, db: &Db) {
    let (mut model, found) = (before.clone(), stored(db));
    let next = |model: &mut Edges, n| script(n).into_iter().for_each(|step| apply(model, step));
    (0..acknowledged).for_each(|n| next(&mut model, n));
    for n in acknowledged..=possible {
        if model == found {
            return;
        }
        next(&mut model, n);
    }
    panic!("the content is that of no prefix of {acknowledged} to {possible} steps");
}

/// The inserts of a script.
fn inserts(seed: u64) -> impl Fn(u64) -> Option<Step> {
    move |n| Some(step(seed, n)).filter(|&step| interaction(step).is_some())
}

#[test]
fn inserts_and_removals() {
    drill("work_inserts_and_removals", 10, 60, |seed, before, lines, db| {
        let acknowledged = number(lines.last().unwrap(), 0);
        assert_prefix(before, |n| Some(step(seed, n)), acknowledged, acknowledged + 1, db);
    });
}

#[test]
#[ignore = "the process that is killed"]
fn work_inserts_and_removals() {
    let Some((path, seed)) = worker() else { return };
    let db = Db::open(path).unwrap();
    for n in 0.. {
        perform(&db, step(seed, n)).unwrap();
        acknowledge(format_args!("{}", n + 1));
    }
}

#[test]
fn loads() {
    drill("work_loads", 10, 120, |seed, before, lines, db| {
        // Loads are one stream: of the one under way any first part may be there, and nothing else.
        let end = number(lines.last().unwrap(), 1);
        assert_prefix(before, inserts(seed), end, end + BATCH, db);
    });
}

#[test]
#[ignore = "the process that is killed"]
fn work_loads() {
    let Some((path, seed)) = worker() else { return };
    let db = Db::open(path).unwrap();
    for start in (0..).step_by(BATCH as usize) {
        let batch: Vec<Interaction> = (start..start + BATCH).filter_map(|n| interaction(step(seed, n))).collect();
        db.insert_many(batch).unwrap();
        acknowledge(format_args!("{start} {}", start + BATCH));
    }
}

#[test]
fn publications() {
    let (before_the_first, after_one) = (Cell::new(0), Cell::new(0));
    drill("work_publications", 10, 150, |seed, before, lines, db| {
        let last = |kind: &str| lines.iter().filter(|l| l.contains(kind)).map(|l| number(l, 1)).max();
        let acknowledged = last("step").unwrap();
        assert_prefix(before, |n| Some(step(seed, n)), acknowledged, acknowledged + 1, db);
        match last("generation") {
            Some(generation) => {
                after_one.set(after_one.get() + 1);
                let found = db.stats().unwrap().generation.unwrap().number;
                assert!(found >= generation, "seed {seed}: generation {generation} was published, {found} is there");
            }
            None => before_the_first.set(before_the_first.get() + 1),
        }
    });
    let kills = (before_the_first.get(), after_one.get());
    eprintln!("publications: {} killed before the first was acknowledged, {} after one", kills.0, kills.1);
    assert!(kills.0 > 0 && kills.1 > 0, "kills have to fall on both sides of a publication: {kills:?}");
}

#[test]
#[ignore = "the process that is killed"]
fn work_publications() {
    let Some((path, seed)) = worker() else { return };
    let db = Db::open(path).unwrap();
    // The kill is timed from the first acknowledgement: training is under way by then.
    (0..100).for_each(|n| perform(&db, step(seed, n)).unwrap());
    let trainer = db.clone();
    std::thread::spawn(move || {
        loop {
            let options = TrainOptions::new(Preset::Fast).bits(192).threads(1);
            let generation = trainer.train(options).unwrap().wait().unwrap().generation;
            acknowledge(format_args!("generation {generation}"));
        }
    });
    acknowledge(format_args!("step 100"));
    for n in 100.. {
        perform(&db, step(seed, n)).unwrap();
        acknowledge(format_args!("step {}", n + 1));
    }
}

#[test]
fn compactions() {
    let phases = std::cell::RefCell::new(BTreeMap::<String, u64>::new());
    drill("work_compactions", 10, 150, |seed, before, lines, db| {
        let last = |kind: &str| lines.iter().filter(|l| l.contains(kind)).map(|l| number(l, 1)).max();
        let acknowledged = last("step").unwrap();
        assert_prefix(before, |n| Some(step(seed, n)), acknowledged, acknowledged + 1, db);
        let found = db.stats().unwrap().generation.unwrap().number;
        assert!(last("generation").is_none_or(|generation| found >= generation), "seed {seed}: {found} is there");
        let jobs = db.jobs().unwrap();
        // But for what goes on by itself with a job that was killed.
        let is_left = |job: &&JobRecord| job.outcome == JobOutcome::Running && !job.why.contains("was broken off");
        assert!(!jobs.iter().any(|job| is_left(&job)), "seed {seed}: {jobs:?}");
        if let Some(job) = jobs.iter().rev().find(|job| job.outcome == JobOutcome::Interrupted) {
            *phases.borrow_mut().entry(job.kind.clone()).or_default() += 1;
        }
        // What was interrupted can be done now, and takes nothing with it.
        let held = stored(db);
        for kind in [Compaction::Minor, Compaction::Major] {
            match db.compact(kind).unwrap().wait() {
                Ok(_) | Err(Error::NothingNew { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert_eq!((stored(db), db.stats().unwrap().tail_changes), (held, 0));
    });
    eprintln!("compactions: interrupted {:?}", phases.borrow());
}

#[test]
#[ignore = "the process that is killed"]
fn work_compactions() {
    let Some((path, seed)) = worker() else { return };
    let db = Db::options().background(false).open(path).unwrap();
    (0..100).for_each(|n| perform(&db, step(seed, n)).unwrap());
    if db.stats().unwrap().generation.is_none() {
        db.train(TrainOptions::new(Preset::Balanced).bits(192).threads(1)).unwrap().wait().unwrap();
    }
    let compacting = db.clone();
    std::thread::spawn(move || {
        for round in seed.. {
            if round % 5 == 4
                && let Some(kept) = compacting.stats().unwrap().kept_generations.first()
            {
                match compacting.rollback(kept.number) {
                    Ok(generation) => acknowledge(format_args!("generation {generation}")),
                    Err(error) => panic!("{error}"),
                }
            }
            let kind = if round % 3 == 0 { Compaction::Major } else { Compaction::Minor };
            match compacting.compact(kind).unwrap().wait() {
                Ok(outcome) => acknowledge(format_args!("generation {}", outcome.generation)),
                Err(Error::NothingNew { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    });
    acknowledge(format_args!("step 100"));
    for n in 100.. {
        perform(&db, step(seed, n)).unwrap();
        acknowledge(format_args!("step {}", n + 1));
    }
}

#[test]
fn a_worker_that_is_not_killed_leaves_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    run_and_kill("work_and_close", &path, 5, None);
    assert_eq!(stored(&Db::open(&path).unwrap()), expected(5, 300));
}

#[test]
#[ignore = "a process of its own"]
fn work_and_close() {
    let Some((path, seed)) = worker() else { return };
    let db = Db::open(path).unwrap();
    (0..300).for_each(|n| perform(&db, step(seed, n)).unwrap());
    acknowledge(format_args!("300"));
}
