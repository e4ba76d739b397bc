//! Truncation, bit flips and zeroed pages over every file of a database that was closed, and of one that was killed: each round ends
//! in an error that names what is damaged, or in content equal to what was acknowledged, on which work goes on. Never a panic, a hang, or
//! silent loss.
//!
//! Forty rounds; `KITHDB_DRILL_ROUNDS=400` is the long mode.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use drill::{
    Random, Verdict, append_next, check_and_go_on, check_apart, copy, files, open, publish_next, rounds, seed, work,
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

/// A database with a generation, and a log both before and after it.
fn closed(dir: &Path) {
    let store = open(dir).unwrap();
    for group in [1, 2_000, 40, 30_000] {
        append_next(&store, group).unwrap();
    }
    publish_next(&store, false).unwrap();
    for group in [7, 9_000, 1, 1, 300] {
        append_next(&store, group).unwrap();
    }
    store.close().unwrap();
}

/// Damages one file and says how.
fn strike(root: &Path, random: &mut Random) -> String {
    let files: Vec<_> = files(root).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    // Half of the strikes go to the engine's data files, where nearly all of the bytes are.
    let data: Vec<_> = files.iter().filter(|path| path.ends_with("db")).collect();
    let path = if random.below(2) == 0 {
        data[random.below(data.len() as u64) as usize]
    } else {
        &files[random.below(files.len() as u64) as usize]
    };
    let length = fs::metadata(path).unwrap().len();
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let how = match random.below(3) {
        0 => {
            // Half of the cuts are close to the end, where the newest records are.
            let to = if random.below(2) == 0 {
                random.below(length)
            } else {
                length - 1 - random.below(length.min(200_000))
            };
            file.set_len(to).unwrap();
            format!("cut to {to}")
        }
        1 => {
            let (at, bit) = (random.below(length), random.below(8));
            let mut byte = [0];
            file.seek(SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut byte).unwrap();
            byte[0] ^= 1 << bit;
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&byte).unwrap();
            format!("bit {bit} flipped at {at}")
        }
        _ => {
            let at = random.below(length.div_ceil(4096)) * 4096;
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&vec![0; 4096.min(length - at) as usize]).unwrap();
            format!("page zeroed at {at}")
        }
    };
    format!("{} of {length} bytes: {how}", path.strip_prefix(root).unwrap().display())
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
    let mut acknowledged = [whole; 2];
    let (mut refused, mut harmless) = (BTreeMap::<String, u64>::new(), 0);
    for round in 0..rounds {
        let killed = round % 2 == 1;
        if killed && round % 20 == 1 {
            let _ = fs::remove_dir_all(&bases[1]);
            closed(&bases[1]);
            let wait = Duration::from_millis(20 + random.below(400));
            let kind = ["append", "publish", "bulk"][random.below(3) as usize];
            let seen = work(&bases[1], kind, random.next(), |_| thread::sleep(wait));
            let (sequence, generation) = whole;
            acknowledged[1] = (seen.sequence.max(sequence), seen.generation.max(generation));
        }
        let dir = base.path().join("round");
        copy(&bases[usize::from(killed)], &dir);
        let how = strike(&dir, &mut random);
        let story = format!("round {round}, {}, {how}", if killed { "killed" } else { "closed" });
        let (sequence, generation) = acknowledged[usize::from(killed)];
        match check_and_go_on(&dir, &story) {
            Verdict::Sound(last, current) => {
                assert!(last >= sequence, "{story}: silent loss: {last} of {sequence} records");
                assert!(current >= generation, "{story}: silent loss: generation {current} of {generation}");
                assert!(killed || (last, current) == (sequence, generation), "{story}: out of thin air");
                harmless += 1;
            }
            Verdict::Refused(error) => {
                assert!(error.contains(dir.to_str().unwrap()), "{story}: what is damaged? {error}");
                *refused.entry(error.split(':').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    println!("{rounds} rounds: {refused:?} refused, {harmless} harmless; 0 panics, 0 hangs, 0 silent losses");
}
