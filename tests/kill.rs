//! SIGKILL at random moments: nothing acknowledged is lost, nothing is torn, every open succeeds.
//!
//! `KITHDB_DRILL_ROUNDS=250 cargo test --release --test kill -- --nocapture` is the long run.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::io::Write;
use std::time::Duration;

use drill::{Edges, apply, expected, interaction, mix, perform, rounds, run_and_kill, step, stored, worker};
use kithdb::{Db, Interaction, Preset, TrainOptions};

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
fn assert_prefix(seed: u64, before: &Edges, acknowledged: u64, possible: u64, db: &Db) {
    let (mut model, found) = (before.clone(), stored(db));
    for n in 0..acknowledged {
        apply(&mut model, step(seed, n));
    }
    for n in acknowledged..=possible {
        if model == found {
            return;
        }
        apply(&mut model, step(seed, n));
    }
    panic!("seed {seed}: the content is that of no prefix of {acknowledged} to {possible} steps");
}

#[test]
fn inserts_and_removals() {
    drill("work_inserts_and_removals", 10, 60, |seed, before, lines, db| {
        let acknowledged = number(lines.last().unwrap(), 0);
        assert_prefix(seed, before, acknowledged, acknowledged + 1, db);
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
        let mut model = before.clone();
        for batch in lines {
            for n in number(batch, 0)..number(batch, 1) {
                interaction(step(seed, n)).iter().for_each(|_| apply(&mut model, step(seed, n)));
            }
        }
        // Of the load under way any first part may be there: every stored edge is an acknowledged one or one of its.
        let found = stored(db);
        let end = number(lines.last().unwrap(), 1);
        let mut under_way = Edges::new();
        for n in end..end + BATCH {
            interaction(step(seed, n)).iter().for_each(|_| apply(&mut under_way, step(seed, n)));
        }
        for (ids, edge) in &model {
            let kept = found.get(ids).unwrap_or_else(|| panic!("seed {seed}: {ids:?} was acknowledged and is lost"));
            assert!(
                kept == edge
                    || (end..end + BATCH).any(|n| {
                        let mut one = Edges::new();
                        interaction(step(seed, n)).iter().for_each(|_| apply(&mut one, step(seed, n)));
                        one.get(ids) == Some(kept)
                    }),
                "seed {seed}: {ids:?} is torn"
            );
        }
        assert!(
            found.keys().all(|ids| model.contains_key(ids) || under_way.contains_key(ids)),
            "seed {seed}: an edge from nowhere"
        );
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
    drill("work_publications", 10, 400, |seed, before, lines, db| {
        let steps = |kind: &str| lines.iter().filter(|l| l.contains(kind)).map(|l| number(l, 1)).max();
        let acknowledged = steps("step").unwrap_or(0);
        assert_prefix(seed, before, acknowledged, acknowledged + 1, db);
        if let Some(generation) = steps("generation") {
            let found = db.stats().unwrap().generation.unwrap();
            assert!(
                found.number >= generation,
                "seed {seed}: generation {generation} was published, {} is there",
                found.number
            );
        }
    });
}

#[test]
#[ignore = "the process that is killed"]
fn work_publications() {
    let Some((path, seed)) = worker() else { return };
    let db = Db::open(path).unwrap();
    let trainer = db.clone();
    for n in 0..200 {
        perform(&db, step(seed, n)).unwrap();
        acknowledge(format_args!("step {}", n + 1));
    }
    std::thread::spawn(move || {
        loop {
            let options = TrainOptions::new(Preset::Fast).bits(192).threads(1);
            let generation = trainer.train(options).unwrap().wait().unwrap().generation;
            acknowledge(format_args!("generation {generation}"));
        }
    });
    for n in 200.. {
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
