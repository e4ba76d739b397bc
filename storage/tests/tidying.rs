//! What is no longer needed goes, whatever else cannot, and what somebody holds stays.
#![allow(clippy::unwrap_used)]

mod drill;

use std::fs;
use std::path::Path;

use drill::disk::Stuck;
use drill::{append_next, check, open, publish_next};

fn names(dir: &Path, of: &str) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(of)).collect()
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    append_next(&store, 100).unwrap();
    publish_next(&store, false).unwrap();
    store.close().unwrap();
    let Some(stuck) = Stuck::at(dir.path().join("gen-0")) else {
        return eprintln!("tidying: SKIPPED, everything can be removed here");
    };
    let store = open(dir.path()).unwrap();
    assert_eq!(names(dir.path(), "store-").len(), 1, "the store before");
    append_next(&store, 100).unwrap();
    assert!(publish_next(&store, true).is_err(), "it is told");
    assert_eq!(names(dir.path(), "store-").len(), 1, "the store that has what was forgotten");
    assert!(!dir.path().join("gen-1").exists() && dir.path().join("gen-2").exists());
    let report = store.verify().unwrap();
    assert!(report.is_sound() && report.warnings.iter().any(|warning| warning.contains("gen-0")), "{report:?}");
    drop(stuck);
    store.tidy().unwrap();
    assert!(!dir.path().join("gen-0").exists());
    assert!(store.verify().unwrap().warnings.is_empty());
    store.close().unwrap();
    assert_eq!(check(dir.path()).unwrap(), (200, 2));
}

#[test]
fn a_generation_kept_since_the_opening_stays_while_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for _ in 0..2 {
        append_next(&store, 100).unwrap();
        publish_next(&store, false).unwrap();
    }
    store.close().unwrap();
    let store = open(dir.path()).unwrap();
    let kept = store.kept().remove(0);
    append_next(&store, 100).unwrap();
    publish_next(&store, true).unwrap();
    assert!(store.kept().is_empty());
    assert_eq!(store.read_part::<u64>(&kept, "number").unwrap(), [1]);
    drop(kept);
    store.tidy().unwrap();
    assert!(!dir.path().join("gen-1").exists());
}

#[test]
fn what_was_finished_and_never_published_gives_its_room_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    append_next(&store, 100).unwrap();
    let mut writer = store.begin_generation().unwrap();
    writer.part("words", &[20_000], &[3u64; 20_000]).unwrap();
    writer.state_part("table", &[2], &[1f32, 2.0]).unwrap();
    drop(writer.finish().unwrap());
    assert!(dir.path().join("gen-1").exists() && dir.path().join("state-1.bin").exists());
    let writer = store.begin_generation().unwrap();
    assert!(!dir.path().join("gen-1").exists() && !dir.path().join("state-1.bin").exists());
    drop(writer);
    publish_next(&store, false).unwrap();
    store.close().unwrap();
    assert_eq!(check(dir.path()).unwrap(), (100, 1));
}
