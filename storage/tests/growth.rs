//! The directory does not outgrow its content, and what was forgotten is gone from the disk.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::Path;

use drill::{append_next, files, open, record};
use kithdb_storage::{Draft, IdKind, Record, Side};

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
    let on_disk: u64 = files(dir.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    println!("{usage:?}: {:.2} times the content", on_disk as f64 / usage.live as f64);
    assert_eq!(usage.total(), on_disk);
    assert!(on_disk <= 3 * usage.live, "{usage:?}");
    assert!(usage.live > 12_000_000, "{usage:?}");
    for path in files(dir.path()) {
        assert!(path.parent().unwrap().file_name().unwrap() != "blobs", "a value left the log: {}", path.display());
    }
}

#[test]
fn what_was_forgotten_is_on_no_page() {
    let secret = b"a-name-that-must-not-stay";
    let dir = tempfile::tempdir().unwrap();
    let holds =
        || files(dir.path()).iter().any(|path| fs::read(path).unwrap().windows(secret.len()).any(|w| w == secret));
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
    let holds =
        |dir: &Path| files(dir).iter().any(|path| fs::read(path).unwrap().windows(dead.len()).any(|w| w == dead));
    let store = open(dir.path()).unwrap();
    let name = Record::Define { side: Side::User, index: 4, kind: IdKind::Str, bytes: dead.to_vec() };
    store.append(&[name, Record::Insert { user: 0, item: 1, weight: 1.0, time: None }]).unwrap();
    append_next(&store, 2_000).unwrap();
    let mut writer = store.begin_generation().unwrap();
    writer.part("edges", &[2], &[0u32, 1]).unwrap();
    writer.publish(Draft { folded_through: 2, ..Draft::default() }).unwrap();
    store.close().unwrap();
    assert!(holds(dir.path()), "nobody has tidied");
    let before: u64 = files(dir.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let mut kept = Vec::new();
    let store = open(dir.path()).unwrap();
    store.replay(2, &mut |sequence, found| kept.push((sequence, found))).unwrap();
    store.close().unwrap();
    assert!(!holds(dir.path()));
    assert_eq!(kept, (3..=2_002).map(|sequence| (sequence, record(sequence))).collect::<Vec<_>>());
    let after: u64 = files(dir.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(after <= before, "{before} bytes became {after}");
}
