//! The n-th call of a kind fails, once or from then on, under a program that works on a database and goes on after errors. Nothing that was
//! acknowledged may be lost, nothing acknowledged after an error, and with the fault gone every database opens.
//!
//! A sample by default. `KITHDB_DRILL_ROUNDS=all` fails every n of every kind, until a round in which nothing is left to fail; with
//! `KITHDB_DRILL_LOG=FILE` its rounds are written down and not run again, and `KITHDB_DRILL_KINDS=read,sync` picks kinds:
//! `KITHDB_DRILL_ROUNDS=all cargo test --release -p kithdb-faults -- --nocapture`. One round alone, with what it said:
//! `KITHDB_DRILL_ROUND="life/sync EIO once lose 17"`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cell;
mod facts;
#[path = "../../../../storage/tests/drill/files.rs"]
mod files;
mod parallel;
mod process;
mod round;
mod tally;

use std::path::Path;
use std::sync::Mutex;

use cell::{Cell, KINDS};
use parallel::each;
use process::make;
use round::{Outcome, run};
use tally::Tally;

const SAMPLE: usize = 80;

fn bases(directory: &Path) {
    for base in cell::BASES {
        make(base, &directory.join(base));
    }
}

/// Without a fault every script runs to its end and is judged to be right, and every kind of call is seen: what the sweep stands on.
fn unfaulted(directory: &Path) -> Vec<(Cell, Vec<u64>)> {
    let counted = Mutex::new(Vec::new());
    each(&Cell::scripts(), |cell| {
        let outcome = run(directory, cell, 0);
        assert!(outcome.problems.is_empty() && outcome.done, "{cell}, without a fault: {outcome:?}");
        counted.lock().unwrap().push((cell.clone(), outcome.counts));
    });
    let counted = counted.into_inner().unwrap();
    for (at, kind) in KINDS.iter().enumerate() {
        assert!(counted.iter().any(|(_, counts)| counts[at] > 0), "no {kind} was seen in any script");
    }
    counted
}

/// Rounds in which the engine fails a write on behalf of a batch while somebody waits for it, and wakes nobody.
#[test]
fn nobody_sleeps_through_a_failed_write() {
    let directory = tempfile::tempdir().unwrap();
    let directory = std::fs::canonicalize(directory.path()).unwrap();
    make("trained", &directory.join("trained"));
    let rounds: Vec<u64> = (1..=40).collect();
    each(&rounds, |n| {
        let (cell, n) = Cell::parse(&format!("read/trained/write EIO once - {n}")).unwrap();
        let outcome = run(&directory, &cell, n);
        assert!(outcome.problems.is_empty(), "{cell} {n}: {outcome:?}");
    });
}

#[test]
fn one_failed_call_costs_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let directory = std::fs::canonicalize(directory.path()).unwrap();
    bases(&directory);
    if let Ok(round) = std::env::var("KITHDB_DRILL_ROUND") {
        let (cell, n) = Cell::parse(&round).expect("SCRIPT/KIND ERRNO MODE SYNC N");
        let outcome = run(&directory, &cell, n);
        println!("{}\n{outcome:#?}", outcome.said);
        assert!(outcome.problems.is_empty());
        return;
    }
    let counted = unfaulted(&directory);
    let tally = Tally::begin();
    match std::env::var("KITHDB_DRILL_ROUNDS").as_deref() {
        Ok("all") => {
            let cells: Vec<Cell> = counted.iter().flat_map(|(script, _)| script.faults()).collect();
            each(&cells, |cell| {
                let mut n = 1;
                while tally.known(cell, n).unwrap_or_else(|| tally.note(cell, n, run(&directory, cell, n))) {
                    n += 1;
                }
            });
        }
        rounds => {
            let rounds = rounds.map_or(SAMPLE, |text| text.parse().expect("KITHDB_DRILL_ROUNDS is a number, or `all`"));
            each(&cell::sample(&counted, rounds), |(cell, n)| {
                let outcome: Outcome = run(&directory, cell, *n);
                tally.note(cell, *n, outcome);
            });
        }
    }
    tally.end();
}
