//! SIGKILL at random moments of real work: every open succeeds, nothing acknowledged is lost, nothing is torn.
//!
//! Twenty rounds a kind of work; `KITHDB_DRILL_ROUNDS=250` is the long mode.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::thread;
use std::time::Duration;

use drill::{DEADLINE, Random, Verdict, check_and_go_on, check_apart, child, finish, rounds, seed, work};

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

fn kill(kind: &str, patience: u64) {
    let mut random = Random(seed(kind));
    let rounds = rounds(20);
    let mut dir = tempfile::tempdir().unwrap();
    let (mut records, mut generations) = (0, 0);
    for round in 0..rounds {
        // Recovered databases are killed again, up to ten times.
        if round % 10 == 0 {
            records += drill::check(dir.path()).unwrap().0;
            dir = tempfile::tempdir().unwrap();
        }
        let wait = Duration::from_micros(random.below(patience * 1000));
        let acknowledged = work(dir.path(), kind, random.next(), |_| thread::sleep(wait));
        let story = format!("{kind} round {round}: {acknowledged:?}");
        match check_apart(dir.path(), &story) {
            Verdict::Sound(last, generation) => {
                assert!(last >= acknowledged.sequence, "{story}: the log ends with {last}");
                assert!(generation >= acknowledged.generation, "{story}: generation {generation} is current");
                generations = generations.max(generation);
            }
            Verdict::Refused(error) => panic!("{story}: {error}"),
        }
    }
    records += drill::check(dir.path()).unwrap().0;
    println!(
        "{kind}: {rounds} rounds, {records} records, up to {generations} generations; 0 lost, 0 torn, 0 failed opens"
    );
    assert!(records > 0, "the drill never got to work");
}

#[test]
fn appends_survive_being_killed() {
    kill("append", 150);
}

#[test]
fn bulk_appends_survive_being_killed() {
    kill("bulk", 300);
}

#[test]
fn publications_survive_being_killed() {
    kill("publish", 700);
}

#[test]
fn creations_survive_being_killed() {
    let mut random = Random(seed("creation"));
    let rounds = rounds(20);
    let mut unborn = 0;
    for round in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("db");
        let variables = [("KITHDB_DRILL_WORK", "append".to_owned()), ("KITHDB_DRILL_SEED", random.next().to_string())];
        let mut child = child("work_child", &root, &variables);
        thread::sleep(Duration::from_micros(random.below(60_000)));
        child.kill().unwrap();
        let (_, out, _) = finish(child, DEADLINE).unwrap();
        let acknowledged = out.lines().filter_map(|line| line.strip_prefix("ACKED ")).next_back();
        let acknowledged: u64 = acknowledged.map_or(0, |n| n.parse().unwrap_or(0));
        unborn += u64::from(!root.join("FORMAT").exists());
        let story = format!("creation round {round}, {acknowledged} acknowledged");
        match check_and_go_on(&root, &story) {
            Verdict::Sound(last, _) => assert!(last >= acknowledged, "{story}: the log ends with {last}"),
            Verdict::Refused(error) => panic!("{story}: {error}"),
        }
    }
    println!("creation: {rounds} rounds, {unborn} of them before there was a database; every open succeeded");
}
