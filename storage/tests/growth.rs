//! The directory does not outgrow its content, and what was forgotten is gone from the disk.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::Path;

use drill::files::read;
use drill::{append_next, open, record};
use kithdb_storage::{Draft, IdKind, Record, Side};

/// Bytes of all files together, the lock's with them.
fn bytes(dir: &Path) -> u64 {
    fs::metadata(dir.join("LOCK")).unwrap().len()
        + read(dir).values().flatten().map(|bytes| bytes.len() as u64).sum::<u64>()
}

fn holds(dir: &Path, secret: &[u8]) -> bool {
    read(dir).values().flatten().any(|bytes| bytes.windows(secret.len()).any(|w| w == secret))
}

#[test]
fn ten_generations_take_at_most_three_times_their_content() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for generation in 1..=10u64 {
        for _ in 0..4 {
            append_next(&store, 65_536).unwrap();
        }
        let through = store.last_sequence();
        for _ in 0..50 {
            append_next(&store, 20).unwrap();
        }
        let mut writer = store.begin_generation().unwrap();
        let words: Vec<u64> = (0..1_000_000).map(|i| i * generation).collect();
        writer.part("words", &[words.len() as u64], &words).unwrap();
        writer.state_part("table", &[1_000_000], &vec![generation as f32; 1_000_000]).unwrap();
        writer.publish(Draft { folded_through: through, ..Draft::default() }).unwrap();
        store.tidy().unwrap();
    }
    let usage = store.disk_usage().unwrap();
    let on_disk = bytes(dir.path());
    println!("{usage:?}: {:.2} times the content", on_disk as f64 / usage.live as f64);
    assert_eq!(usage.total(), on_disk);
    assert!(on_disk <= 3 * usage.live, "{usage:?}");
    assert!(usage.live > 12_000_000, "{usage:?}");
    for path in read(dir.path()).keys() {
        assert!(!path.parent().unwrap().ends_with("blobs"), "a value left the log: {}", path.display());
    }
}

#[test]
fn what_was_forgotten_is_on_no_page() {
    let secret = b"a-name-that-must-not-stay";
    let dir = tempfile::tempdir().unwrap();
    let holds = || holds(dir.path(), secret);
    let store = open(dir.path()).unwrap();
    store
        .append(&[
            Record::Insert { user: 0, item: 1, weight: 1.0, time: None },
            Record::Define { side: Side::User, index: 4, kind: IdKind::Str, bytes: secret.to_vec() },
            Record::ForgetUser { user: 4 },
            Record::Insert { user: 0, item: 2, weight: 1.0, time: None },
        ])
        .unwrap();
    assert!(holds());
    // The name and the last record share a value, which has to be cut.
    let mut writer = store.begin_generation().unwrap();
    writer.part("edges", &[2], &[0u32, 1]).unwrap();
    writer.publish(Draft { folded_through: 3, rewrite: true, ..Draft::default() }).unwrap();
    store.tidy().unwrap();
    assert!(!holds());
    let mut rest = Vec::new();
    store.replay(3, &mut |sequence, record| rest.push((sequence, record))).unwrap();
    assert_eq!(rest, [(4, Record::Insert { user: 0, item: 2, weight: 1.0, time: None })]);
    store.close().unwrap();
    assert!(!holds());
    assert_eq!(open(dir.path()).unwrap().last_sequence(), 4);
}

/// What the engine stepped over, dead or damaged, has to stay behind: a flipped bit among it once cost records that came later.
#[test]
fn an_opening_takes_along_what_is_live_and_nothing_else() {
    let dead = b"a-name-that-a-generation-holds";
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let name = Record::Define { side: Side::User, index: 4, kind: IdKind::Str, bytes: dead.to_vec() };
    store.append(&[name, Record::Insert { user: 0, item: 1, weight: 1.0, time: None }]).unwrap();
    append_next(&store, 2_000).unwrap();
    let mut writer = store.begin_generation().unwrap();
    writer.part("edges", &[2], &[0u32, 1]).unwrap();
    writer.publish(Draft { folded_through: 2, ..Draft::default() }).unwrap();
    store.close().unwrap();
    assert!(holds(dir.path(), dead), "nobody has tidied");
    let before = bytes(dir.path());
    let mut kept = Vec::new();
    let store = open(dir.path()).unwrap();
    store.replay(2, &mut |sequence, found| kept.push((sequence, found))).unwrap();
    store.close().unwrap();
    assert!(!holds(dir.path(), dead));
    assert_eq!(kept, (3..=2_002).map(|sequence| (sequence, record(sequence))).collect::<Vec<_>>());
    let after = bytes(dir.path());
    assert!(after <= before, "{before} bytes became {after}");
}

/// The engine rewrites what it splits: with values in their leaves a part took 3.4 times its bytes, and a log after an opening three times.
#[test]
fn each_value_of_a_part_and_of_a_log_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let length = |start: &str| -> u64 {
        let directories = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let found = directories.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
        found.map(|path| fs::metadata(path.join("db")).unwrap().len()).sum()
    };
    let store = open(dir.path()).unwrap();
    let words: Vec<u64> = (0..1 << 20).collect();
    let mut writer = store.begin_generation().unwrap();
    writer.part("words", &[1 << 20], &words).unwrap();
    writer.publish(Draft::default()).unwrap();
    let content = size_of_val(&words[..]) as u64;
    assert!(length("gen-1") < content + content / 10, "{} bytes for a part of {content}", length("gen-1"));
    let name = |n: u32| Record::Define { side: Side::User, index: n, kind: IdKind::Bytes, bytes: vec![7; 92] };
    store.append(&(0..100_000).map(name).collect::<Vec<_>>()).unwrap();
    store.close().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    // A record of these takes 99 to 103 bytes.
    let content = 100_000 * 103;
    assert!(length("store-") < content + content / 10, "{} bytes for a log of {content}", length("store-"));
}
