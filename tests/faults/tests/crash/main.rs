//! The power goes while a program works on a database. Its calls were recorded with what it acknowledged meanwhile; of every prefix of them the
//! disk may hold any of many images, which are made, opened by a process without a fault, and judged: everything acknowledged is there, nothing
//! is torn, it opens, and it opens a second time with the same content.
//!
//! Two kinds of file system (`disk.rs`): one that keeps changes of names in their order, and one that promises no more than POSIX does. The
//! scripts are those of the sweep, and recoveries: images opened under the recorder, so that the power goes a second time.
//!
//! A sample by default; `KITHDB_DRILL_ROUNDS=1000 cargo test --release -p kithdb-faults --test crash -- --nocapture` makes so many images.
//! With `KITHDB_DRILL_KEEP=DIR` recordings are kept, and those kept there are used; one image alone, which stays in that directory, is
//! `KITHDB_DRILL_ROUND="life strict 1234 5678"`: recording, kind, events, seed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod disk;
#[path = "../sweep/facts.rs"]
mod facts;
#[path = "../../../../storage/tests/drill/files.rs"]
mod files;
#[path = "../sweep/parallel.rs"]
mod parallel;
#[path = "../sweep/process.rs"]
mod process;
mod random;
mod recording;
mod round;
mod tally;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use disk::{Deaf, Disk, Kind};
use parallel::each;
use random::Random;
use recording::{DATABASE, Recording, known, said};
use round::{Cut, PROBLEMS, Room, judge, story};
use tally::Tally;
use trace::Event;

const SAMPLE: usize = 48;
/// Scripts, each with the database it begins with; `-` is none. `KITHDB_DRILL_SCRIPTS=bulk,large` picks some.
const SCRIPTS: [(&str, &str); 6] =
    [("life", "-"), ("train", "trained"), ("forget", "trained"), ("import", "killed"), ("bulk", "log"), ("large", "-")];

fn scripts() -> Vec<(&'static str, &'static str)> {
    let picked = std::env::var("KITHDB_DRILL_SCRIPTS").ok();
    let is_picked = |script: &str| picked.as_ref().is_none_or(|picked| picked.split(',').any(|name| name == script));
    SCRIPTS.into_iter().filter(|(script, _)| is_picked(script)).collect()
}

fn room(directory: &Path) -> Room {
    static ROOMS: AtomicUsize = AtomicUsize::new(0);
    Room(directory.join(format!("room-{}", ROOMS.fetch_add(1, Ordering::Relaxed))))
}

fn seed() -> u64 {
    let seed = match std::env::var("KITHDB_DRILL_SEED") {
        Ok(text) => text.parse().expect("KITHDB_DRILL_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 >> 10,
    };
    println!("crash images: KITHDB_DRILL_SEED={seed}");
    seed
}

/// Runs a script under the recorder. The recording, applied as a whole, makes the very files that the program left.
fn record(directory: &Path, script: &str, base: &str) -> Recording {
    let room = room(directory);
    let below = room.0.join("below");
    fs::create_dir_all(&below).unwrap();
    let (database, mut said) = (below.join(DATABASE), String::new());
    if base != "-" {
        process::make(base, &database);
        said = known(&database, &room.0.join("spare"));
    }
    let recording = Recording::make(script, &room.0, &said, &["run", script, database.to_str().unwrap()]);
    assert_whole(&recording, &below, &room.0.join("whole"));
    recording
}

fn assert_whole(recording: &Recording, files: &Path, image: &Path) {
    Disk::after(&recording.events(), Deaf::ToNothing).whole(image);
    let (mut made, mut left) = (files::read(image), files::read(files));
    // Given its room by a call that the shim does not see.
    for files in [&mut made, &mut left] {
        files.retain(|path, _| !path.ends_with("RESERVE"));
    }
    assert_eq!(files::changed(&left, &made), [""; 0], "{}, applied as a whole", recording.name);
}

/// An image of a script, opened under the recorder.
fn record_recovery(directory: &Path, name: &str, of: &Recording, random: &mut Random) -> Recording {
    let (room, events) = (room(directory), of.events());
    let below = room.0.join("below");
    let kind = if random.happens(2) { Kind::Ordered } else { Kind::Strict };
    let cut = Cut::pick(&events, kind, random);
    let past = &events[..cut.events];
    Disk::after(past, Deaf::ToNothing).image(kind, &mut Random::new(cut.seed), &below);
    let database = below.join(DATABASE);
    let recording = Recording::make(name, &room.0, &said(past), &["look", database.to_str().unwrap()]);
    assert_whole(&recording, &below, &room.0.join("whole"));
    recording
}

/// Makes and judges so many images, most of them of the scripts, which come first among the recordings.
fn drill(directory: &Path, recordings: &[Recording], rounds: usize, deaf: Deaf, random: &mut Random) -> Tally {
    let events: Vec<Vec<Event<'_>>> = recordings.iter().map(Recording::events).collect();
    let cuts: Vec<(usize, Cut)> = (0..rounds)
        .map(|round| {
            let among = if random.happens(3) { scripts().len().min(recordings.len()) } else { recordings.len() };
            let which = random.below(among);
            (which, Cut::pick(&events[which], Kind::ALL[round % 2], random))
        })
        .collect();
    let tally = Mutex::new(Tally::default());
    each(&cuts, |&(which, cut)| {
        let (name, room) = (&recordings[which].name, room(directory));
        let wrong = judge(&events[which], cut, deaf, &room.0);
        for (problem, what) in wrong.iter().filter(|_| deaf == Deaf::ToNothing) {
            let Cut { kind, events: at, seed } = cut;
            println!("{name} {kind} {at} {seed} ({}): {what}\n{}", PROBLEMS[*problem], story(&events[which][..at]));
        }
        tally.lock().unwrap().count(cut.kind, name, &wrong);
    });
    tally.into_inner().unwrap()
}

/// One image of a recording that was kept, left for whoever looks for the reason.
fn one_alone(round: &str, kept: &Path) {
    let words: Vec<&str> = round.split(' ').collect();
    let [name, kind, at, seed] = words[..] else { panic!("KITHDB_DRILL_ROUND is a recording, kind, events and seed") };
    let kind = Kind::ALL.into_iter().find(|known| known.to_string() == kind).expect("a kind of file system");
    let cut = Cut { kind, events: at.parse().unwrap(), seed: seed.parse().unwrap() };
    let (recording, image) = (Recording::read(name, kept), kept.join("image"));
    let events = recording.events();
    drop(Room(image.clone()));
    Disk::after(&events[..cut.events], Deaf::ToNothing).image(kind, &mut Random::new(cut.seed), &image);
    let room = Room(kept.join("judged"));
    let wrong = judge(&events, cut, Deaf::ToNothing, &room.0);
    println!("{}\n{wrong:#?}", story(&events[..cut.events]));
    assert!(wrong.is_empty());
}

fn kept() -> Option<PathBuf> {
    let kept = std::env::var_os("KITHDB_DRILL_KEEP").map(PathBuf::from)?;
    fs::create_dir_all(&kept).unwrap();
    Some(kept)
}

#[test]
fn a_power_cut_costs_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    if let Ok(round) = std::env::var("KITHDB_DRILL_ROUND") {
        return one_alone(&round, &kept().expect("KITHDB_DRILL_KEEP names the directory of the recording"));
    }
    let rounds = std::env::var("KITHDB_DRILL_ROUNDS");
    let rounds = rounds.map_or(SAMPLE, |text| text.parse().expect("KITHDB_DRILL_ROUNDS is a number"));
    let mut random = Random::new(seed());
    let mut recordings: Vec<Recording> =
        scripts().into_iter().map(|(script, base)| record(&directory, script, base)).collect();
    for n in 0..(rounds / 24).max(1) {
        let of = &recordings[random.below(scripts().len())];
        let recovery = record_recovery(&directory, &format!("recovery-{n}"), of, &mut random);
        recordings.push(recovery);
    }
    if let Some(kept) = kept() {
        recordings.iter().for_each(|recording| recording.keep(&kept));
    }
    let tally = drill(&directory, &recordings, rounds, Deaf::ToNothing, &mut random);
    tally.print();
    assert_eq!(tally.problems(), [0; PROBLEMS.len()], "of {rounds} images some are not what was acknowledged");
}

/// What the drill stands on: a program that did not sync its log, a small file before its renaming, or the names in its directories, would
/// be caught.
#[test]
fn a_missing_sync_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    let recordings = [record(&directory, "life", "-")];
    let mut random = Random::new(1);
    for deaf in [Deaf::To("db"), Deaf::To("CURRENT.tmp"), Deaf::ToDirectories] {
        let tally = drill(&directory, &recordings, 24, deaf, &mut random);
        println!("deaf {deaf:?}");
        tally.print();
        let [lost, _, unopenable, _] = tally.problems();
        assert!(lost + unopenable >= 3, "{deaf:?}: {lost} lost, {unopenable} unopenable");
    }
    let tally = drill(&directory, &recordings, 48, Deaf::To(".bin.tmp"), &mut random);
    tally.print();
    // Small as it is, most of what is not there of it is its end, by which an opening knows it.
    let [_, torn, unopenable, _] = tally.problems();
    assert!(torn + unopenable >= 3, "state that was not synced: {torn} torn, {unopenable} unopenable");
}

/// Leaves out each sync of a script in turn, and prints which of them cost something: what the images can tell, and what a script syncs for
/// nothing that they know of.
#[test]
#[ignore = "a survey: it takes minutes and has no verdict"]
fn what_each_sync_is_for() {
    const IMAGES: usize = 24;
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    let recording = record(&directory, "life", "-");
    let (events, mut random) = (recording.events(), Random::new(seed()));
    let syncs = (0..events.len()).filter(|&at| matches!(events[at], Event::Synced { .. }));
    let cuts: Vec<(usize, Vec<Cut>)> = syncs
        .map(|at| {
            // Until the same is synced again it is missed, but soon is when most stands on it.
            let again = (at + 1..events.len()).find(|&next| same(&events[at], &events[next])).unwrap_or(events.len());
            let kind = |n: usize| Kind::ALL[n % 2];
            let reach = |n: usize| if n % 4 < 2 { again - at } else { 16.min(again - at) };
            let cut = |n| Cut { kind: kind(n), events: at + 1 + random.below(reach(n)), seed: random.next() };
            (at, (0..IMAGES).map(cut).collect())
        })
        .collect();
    each(&cuts, |(at, cuts)| {
        let wrong = |cut: &&Cut| !judge(&events, **cut, Deaf::ToOne(*at), &room(&directory).0).is_empty();
        let bad: Vec<Kind> = cuts.iter().filter(wrong).map(|cut| cut.kind).collect();
        let strict = bad.iter().filter(|kind| **kind == Kind::Strict).count();
        let story = story(&events[..=*at]);
        println!("{:>3} ordered {strict:>3} strict of {IMAGES}: {}", bad.len() - strict, story.lines().last().unwrap());
    });
}

/// Whether two events sync the same.
fn same(one: &Event<'_>, other: &Event<'_>) -> bool {
    matches!((one, other), (Event::Synced { inode, .. }, Event::Synced { inode: another, .. }) if inode == another)
}
