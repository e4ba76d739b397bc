//! Truncation, bit flips and zeroed pages over every file of a database that was closed, and of one that was killed, and files of other
//! databases and older ones of its own in their place: each round ends in an error that names what is damaged, or in content equal to what
//! was acknowledged, on which work goes on. Never a panic, a hang, or silent loss. What is refused leaves every file but the lock as it
//! was, and opens once the damage is undone.
//!
//! Forty rounds; `KITHDB_DRILL_ROUNDS=400` is the long mode.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use drill::files::{changed, copy, read};
use drill::strike::{Sources, strike};
use drill::{
    AFTER_OPENING, Random, Verdict, append_next, check_and_go_on, check_apart, open, publish_next, rounds, seed, work,
};

#[test]
#[ignore = "the child of the drills"]
fn work_child() {
    drill::work_child();
}

#[test]
#[ignore = "the child of the drills"]
fn check_child() {
    drill::check_child();
}

/// A database with a generation, and a log both before and after it. Copies of it as it was on the way lie beside it.
fn closed(dir: &Path) {
    let store = open(dir).unwrap();
    for group in [1, 2_000, 40, 30_000] {
        append_next(&store, group).unwrap();
    }
    copy(dir, &dir.with_extension("log"));
    publish_next(&store, false).unwrap();
    append_next(&store, 7).unwrap();
    copy(dir, &dir.with_extension("generation"));
    for group in [9_000, 1, 1, 300] {
        append_next(&store, group).unwrap();
    }
    store.close().unwrap();
}

/// Another database, with a log so many groups long and no generation, or one with another content.
fn other(dir: &Path, groups: &[u64], published: bool) {
    let store = open(dir).unwrap();
    for &group in groups {
        append_next(&store, group).unwrap();
        if published && group > 10 {
            publish_next(&store, false).unwrap();
        }
    }
    store.close().unwrap();
}

#[test]
fn damage_is_named_or_harmless() {
    let mut random = Random(seed("damage"));
    let rounds = rounds(40);
    let base = tempfile::tempdir().unwrap();
    let bases = [base.path().join("closed"), base.path().join("killed")];
    closed(&bases[0]);
    // Checked in a copy, since opening writes a snapshot, which would shield what came before.
    let whole = base.path().join("whole");
    copy(&bases[0], &whole);
    let whole = match check_apart(&whole, "before") {
        Verdict::Sound(last, generation) => (last, generation),
        Verdict::Refused(error) => panic!("{error}"),
    };
    let others = ["shorter", "longer", "published"].map(|name| base.path().join(name));
    other(&others[0], &[50, 3], false);
    other(&others[1], &[40_000, 10_000, 8], false);
    other(&others[2], &[20_000, 500, 9], true);
    let mut acknowledged = [whole; 2];
    let (mut refused, mut harmless, mut wrong) = (BTreeMap::<String, u64>::new(), 0, Vec::new());
    for round in 0..rounds {
        let killed = round % 2 == 1;
        if killed && round % 20 == 1 {
            for stale in [bases[1].clone(), bases[1].with_extension("log"), bases[1].with_extension("generation")] {
                let _ = fs::remove_dir_all(stale);
            }
            closed(&bases[1]);
            let wait = Duration::from_millis(20 + random.below(400));
            let kind = ["append", "publish", "bulk"][random.below(3) as usize];
            let seen = work(&bases[1], kind, random.next(), |_| thread::sleep(wait));
            let (sequence, generation) = whole;
            acknowledged[1] = (seen.sequence.max(sequence), seen.generation.max(generation));
        }
        let dir = base.path().join("round");
        let original = &bases[usize::from(killed)];
        copy(original, &dir);
        let older = ["log", "generation"].map(|moment| original.with_extension(moment));
        let sources = Sources { older: older.to_vec(), foreign: others.to_vec() };
        // Every way of damage meets both databases.
        let strike = strike(&dir, round / 2, &sources, &mut |below| random.below(below));
        let struck = read(&dir);
        let story = format!("round {round}, {}, {}", if killed { "killed" } else { "closed" }, strike.story);
        let (sequence, generation) = acknowledged[usize::from(killed)];
        let sound = |last: u64, current: u64| {
            assert!(last >= sequence, "{story}: silent loss: {last} of {sequence} records");
            assert!(current >= generation, "{story}: silent loss: generation {current} of {generation}");
            assert!(killed || (last, current) == (sequence, generation), "{story}: out of thin air");
        };
        match check_and_go_on(&dir, &story) {
            Verdict::Sound(last, current) => {
                sound(last, current);
                harmless += 1;
            }
            Verdict::Refused(error) => {
                assert!(error.contains(dir.to_str().unwrap()), "{story}: what is damaged? {error}");
                // An opening that succeeded may write to the store, and removes what was never finished; what was found damaged later may not.
                let late = error.strip_prefix(AFTER_OPENING);
                let mut files = changed(&struck, &read(&dir));
                let is_kept =
                    |name: &str| (name.starts_with("gen-") || name.starts_with("state-")) && !name.contains(".tmp");
                files.retain(|name| late.is_none() || is_kept(name));
                if !files.is_empty() {
                    wrong.push(format!("{story}: refusing changed files: {}; {error}", files.join(", ")));
                }
                strike.undo(&dir);
                match check_apart(&dir, &format!("{story}, undone")) {
                    Verdict::Sound(last, current) => sound(last, current),
                    Verdict::Refused(again) => wrong.push(format!("{story}: undone, it stays refused: {again}")),
                }
                *refused.entry(late.unwrap_or(&error).split(':').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    println!("{rounds} rounds: {refused:?} refused, {harmless} harmless, {} wrong; 0 panics, 0 hangs", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
