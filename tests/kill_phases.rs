//! SIGKILL in every phase of a compaction: nothing acknowledged is lost, the generation is the old or the new, jobs that had come to something are gone on
//! with, and nothing is left lying about.
//!
//! `KITHDB_DRILL_ROUNDS=300 cargo test --release --test kill_phases -- --nocapture` is the long run.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use drill::{Edges, Step, apply, mix, perform, rounds, run_and_kill_after, step, stored, worker};
use kithdb::{Compaction, Db, Error, Id, Interaction, JobOutcome, JobRecord, Preset, TrainOptions};

/// What is waited for, and about how long it takes, in microseconds: a kill falls anywhere in it, or a little after.
const PHASES: [(&str, u64); 8] = [
    ("fold", 4_000),
    ("teacher", 25_000),
    ("student", 25_000),
    ("index", 20_000),
    ("patch", 25_000),
    ("manifest", 1_500),
    ("merge", 60_000),
    ("collect", 3_000),
];
/// Users of the script; others, who are many enough that a generation has patches, stay as they are.
const SCRIPT: u64 = 23;
const OTHERS: u64 = 9_000;
const ITEMS: u64 = 700;

fn acknowledge(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {line}").unwrap();
    out.flush().unwrap();
}

fn open(path: &Path) -> Db {
    Db::options().background(false).checkpoint_after(Duration::ZERO).open(path).unwrap()
}

/// Where kills are aimed at: the phase that fewest fell in for the tries it had, and in it as soon as it takes for most not to fall behind it.
struct Aims(Vec<Aim>);

struct Aim {
    phase: &'static str,
    longest: f64,
    tries: u64,
    fell: u64,
}

impl Aims {
    fn new() -> Self {
        let aim = |(phase, longest)| Aim { phase, longest: longest as f64, tries: 0, fell: 0 };
        Self(PHASES.map(aim).into())
    }

    /// The next phase, and the longest delay.
    fn next(&mut self) -> (&'static str, u64) {
        let aim = self.0.iter_mut().min_by_key(|aim| 4 * aim.fell + aim.tries).unwrap();
        aim.tries += 1;
        (aim.phase, aim.longest as u64)
    }

    /// Learns in which phase a kill fell that was aimed at one.
    fn learn(&mut self, aimed: &str, fell: &str) {
        for aim in &mut self.0 {
            aim.fell += u64::from(aim.phase == fell);
            if aim.phase == aimed {
                aim.longest = (aim.longest * if fell == aimed { 1.2 } else { 0.6 }).max(50.0);
            }
        }
    }
}

/// Has a database that works in the background go on with the job that was broken off; whether there was one.
fn gone_on_with(path: &Path, story: &str) -> bool {
    let checkpoint = path.join("checkpoint.bin");
    if !checkpoint.exists() {
        return false;
    }
    let db = Db::options().checkpoint_after(Duration::ZERO).open(path).unwrap();
    let start = Instant::now();
    let last = || db.jobs().unwrap().pop().unwrap();
    while checkpoint.exists() || last().outcome == JobOutcome::Running {
        assert!(start.elapsed() < Duration::from_secs(60), "{story}: {:?}", last());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(last().outcome, JobOutcome::Done { .. }), "{story}: {:?}", last());
    true
}

/// A trained database to begin with.
fn begun(path: &Path) {
    let db = open(path);
    let touch = |n: u64| (1_000 + n % OTHERS, mix(7, n) % ITEMS / 7 * 7 + n % OTHERS % 7);
    db.insert_many((0..9 * OTHERS).map(touch).map(|(user, item)| Interaction::new(user, item))).unwrap();
    db.train(TrainOptions::new(Preset::Fast).bits(192).set("teacher.sweeps", 2).set("student.sweeps", 1))
        .unwrap()
        .wait()
        .unwrap();
}

/// What the users of the script have, and all prices.
fn scripted(db: &Db) -> Edges {
    let mut edges = stored(db);
    edges.retain(|(user, _), _| *user == Id::from("price") || (0..SCRIPT).any(|scripted| *user == Id::from(scripted)));
    edges
}

/// Everything in the directory that belongs to a generation or is not complete.
fn leavings(path: &Path) -> Vec<String> {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with("gen-") || name.starts_with("state-") || name.ends_with(".tmp")).collect();
    names.sort();
    names
}

fn number(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_kill_in_any_phase_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let first = directory.path().join("begun.kith");
    begun(&first);
    let (mut waited, mut fell) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
    let (mut acknowledged, mut lost_jobs, mut resumed, mut most) = (0, 0, 0, 0f64);
    let mut aims = Aims::new();
    let path = directory.path().join("db.kith");
    for round in 0..rounds(8) {
        if round % 16 == 0 {
            let _ = std::fs::remove_dir_all(&path);
            drill::files::copy(&first, &path);
        }
        let (phase, longest) = aims.next();
        let seed = mix(0xf5, round);
        let (before, known) = {
            let db = open(&path);
            (scripted(&db), db.stats().unwrap().generation.unwrap().number)
        };
        let delay = Duration::from_micros(mix(seed, 1) % longest);
        let line = format!("ack phase {phase} ");
        let lines = run_and_kill_after("work_in_phases", &path, seed, Some(delay), |said| said.starts_with(&line));
        *waited.entry(phase).or_default() += 1;
        let last = |kind: &str| lines.iter().rev().find(|line| line.starts_with(&format!("ack {kind} ")));
        let in_phase = last("phase").unwrap().split(' ').nth(2).unwrap().to_owned();
        aims.learn(phase, &in_phase);
        *fell.entry(in_phase).or_default() += 1;
        acknowledged += lines.len();

        let story = format!("round {round}, seed {seed}, in {phase}");
        let db = Db::options().background(false).open(&path).unwrap_or_else(|error| panic!("{story}: {error}"));
        let (held, done) = (scripted(&db), last("step").map_or(0, |line| number(line)));
        assert!((done..=done + 1).any(|steps| held == after(&before, seed, steps)), "{story}: lost or torn");
        let stats = db.stats().unwrap();
        let generation = stats.generation.as_ref().unwrap().number;
        let published = last("generation").map_or(known, |line| number(line));
        assert!((published..=published + 1).contains(&generation), "{story}: {generation} after {published}");
        let jobs = db.jobs().unwrap();
        assert!(jobs.iter().all(|job| job.outcome != JobOutcome::Running), "{story}: {jobs:?}");
        lost_jobs += u64::from(jobs.last().is_some_and(|job| job.outcome == JobOutcome::Interrupted));
        assert!(db.verify().unwrap().is_sound() && db.verify().unwrap().warnings.is_empty(), "{story}");

        // What was interrupted left nothing behind, and can be done now.
        let left = leavings(&path);
        assert!(!left.iter().any(|name| name.ends_with(".tmp")), "{story}: {left:?}");
        drop(db);
        if gone_on_with(&path, &story) {
            resumed += 1;
            let db = open(&path);
            let last = jobs.last().map_or(0, |job| job.number);
            let is_new = |job: &JobRecord| matches!(job.outcome, JobOutcome::Resumed { by } if by > last);
            assert!(db.jobs().unwrap().iter().any(is_new), "{story}: {:?}", db.jobs());
            assert_eq!((scripted(&db), db.verify().unwrap().is_sound()), (held.clone(), true), "{story}");
        }
        let left = leavings(&path);
        let db = open(&path);
        assert_eq!(leavings(&path), left, "{story}: an opening finds more to remove");
        assert!(!path.join("checkpoint.bin").exists(), "{story}");
        match db.compact(Compaction::Minor).unwrap().wait() {
            Ok(_) | Err(Error::NothingNew { .. }) => {}
            Err(error) => panic!("{story}: {error}"),
        }
        assert_eq!((scripted(&db), db.stats().unwrap().tail_changes), (held, 0), "{story}");
        let stats = db.stats().unwrap();
        most = most.max(stats.disk.total as f64 / stats.disk.live as f64);
    }
    eprintln!(
        "waited for {waited:?}; killed in {fell:?}; {lost_jobs} jobs interrupted, {resumed} gone on with, {acknowledged} acknowledgements"
    );
    eprintln!("0 lost, 0 torn, 0 failed opens; the directory had at most {most:.2} times what is live");
    assert!(most < 4.0, "{most}");
    let of = |phase: &str| fell.get(phase).copied().unwrap_or(0);
    assert!(rounds(8) < 300 || PHASES.iter().all(|(phase, _)| of(phase) >= 20), "{fell:?}");
}

/// The edges after so many steps of a round.
fn after(before: &Edges, seed: u64, steps: u64) -> Edges {
    let mut edges = before.clone();
    (0..steps).for_each(|n| apply(&mut edges, scripted_step(seed, n)));
    edges
}

/// A step of the script; forgetting has everything merged, and is rare.
fn scripted_step(seed: u64, n: u64) -> Step {
    match step(seed, n) {
        Step::Forget { user } if n % 64 != 63 => Step::Remove { user, item: n % 41 },
        step => step,
    }
}

#[test]
#[ignore = "the process that is killed"]
fn work_in_phases() {
    let Some((path, seed)) = worker() else { return };
    let db = open(&path);
    let compacting = db.clone();
    std::thread::spawn(move || {
        let mut round = 0;
        while round < 60 {
            let kind = if round % 2 == seed % 2 { Compaction::Major } else { Compaction::Minor };
            let job = compacting.compact(kind).unwrap();
            let mut phase = String::new();
            loop {
                // The end is seen before the last phase is, so that none is missed.
                let ended = job.is_finished();
                let now = job.progress().phase;
                if now != phase {
                    acknowledge(format_args!("phase {now} {round}"));
                    phase = now;
                }
                if ended {
                    break;
                }
                std::thread::sleep(Duration::from_micros(20));
            }
            match job.wait() {
                Ok(outcome) => {
                    acknowledge(format_args!("generation {}", outcome.generation));
                    round += 1;
                }
                Err(Error::NothingNew { .. }) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        }
        // What was waited for has not come.
        std::process::exit(3);
    });
    for n in 0.. {
        perform(&db, scripted_step(seed, n)).unwrap();
        acknowledge(format_args!("step {}", n + 1));
        // Few enough that the rows touched are few.
        std::thread::sleep(Duration::from_millis(2));
    }
}
