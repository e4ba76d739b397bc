//! A log that lost its tail, its middle or its front recovers without an error of the engine: the witness and the sequences tell.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::fs;
use std::path::Path;

use drill::files::copy;
use drill::{append_next, open, publish_next};
use kithdb_storage::{Draft, Error};

/// The engine's data file of the live store.
fn data(dir: &Path) -> std::path::PathBuf {
    let current = fs::read_to_string(dir.join("CURRENT")).unwrap();
    dir.join(current.split(' ').next().unwrap()).join("db")
}

fn corrupt(dir: &Path) -> String {
    let outcome = open(dir).and_then(|store| {
        let folded = store.manifest().map_or(0, |manifest| manifest.folded_through);
        store.replay(folded, &mut |_, _| ())
    });
    match outcome {
        Err(error @ Error::Corrupt { .. }) => error.to_string(),
        other => panic!("damage went unnoticed: {other:?}"),
    }
}

#[test]
fn a_log_without_its_tail_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = open(&path).unwrap();
    append_next(&store, 10).unwrap();
    let short = dir.path().join("short");
    store.close().unwrap();
    copy(&path, &short);
    let store = open(&path).unwrap();
    append_next(&store, 10).unwrap();
    store.close().unwrap();

    // The engine finds nothing wrong with its older self; only the newer witness knows better.
    assert_eq!(open(&short).unwrap().last_sequence(), 10);
    fs::copy(path.join("ACKED"), short.join("ACKED")).unwrap();
    let message = corrupt(&short);
    assert!(message.contains("record 20 was acknowledged, but the log ends with 10"), "{message}");
}

#[test]
fn a_publication_that_vanished_is_refused_and_its_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = open(&path).unwrap();
    append_next(&store, 10).unwrap();
    store.close().unwrap();
    let before = dir.path().join("before");
    copy(&path, &before);
    let store = open(&path).unwrap();
    publish_next(&store, false).unwrap();
    store.close().unwrap();

    for dir in [&path, &before] {
        let store = data(dir).parent().unwrap().to_path_buf();
        if dir == &path {
            fs::remove_dir_all(store).unwrap();
        } else {
            copy(&store, &path.join(store.file_name().unwrap()));
        }
    }
    fs::copy(before.join("CURRENT"), path.join("CURRENT")).unwrap();
    let message = corrupt(&path);
    assert!(message.contains("generation 1 was published"), "{message}");
    assert!(path.join("gen-1").is_dir(), "what could still be rescued was deleted");
}

#[test]
fn a_file_cut_at_any_place_is_never_a_shorter_log() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    let store = open(&base).unwrap();
    for group in [1, 900, 3, 4_000, 1, 1, 60] {
        append_next(&store, group).unwrap();
    }
    let last = store.last_sequence();
    store.close().unwrap();
    let length = fs::metadata(data(&base)).unwrap().len();
    for cut in (1..=24).map(|part| length * part / 25) {
        let copied = dir.path().join("cut");
        copy(&base, &copied);
        fs::OpenOptions::new().write(true).open(data(&copied)).unwrap().set_len(cut).unwrap();
        match drill::check(&copied) {
            // Past the last record the file is padding.
            Ok((found, _)) => assert_eq!(found, last, "cut at {cut} of {length}"),
            Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
        }
        fs::remove_dir_all(&copied).unwrap();
    }
}

#[test]
fn a_missing_witness_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    fs::remove_file(dir.path().join("ACKED")).unwrap();
    assert!(corrupt(dir.path()).contains("ACKED"));
}

#[test]
fn chunks_that_are_sound_but_not_those_of_the_manifest_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let publish = |name: &str, words: &[u64]| {
        let path = dir.path().join(name);
        let store = open(&path).unwrap();
        let mut writer = store.begin_generation().unwrap();
        writer.part("words", &[words.len() as u64], words).unwrap();
        writer.publish(Draft::default()).unwrap();
        store.close().unwrap();
        path
    };
    let words: Vec<u64> = (0..20_000).collect();
    let ours = publish("ours", &words);
    let mut other = words.clone();
    other[19_999] += 1;
    let longer: Vec<u64> = (0..30_000).collect();
    for (name, content) in [("shorter", &words[..9_000]), ("longer", &longer[..]), ("other", &other[..])] {
        let theirs = publish(name, content);
        fs::remove_dir_all(ours.join("gen-1")).unwrap();
        copy(&theirs.join("gen-1"), &ours.join("gen-1"));
        match open(&ours) {
            Err(Error::Corrupt { path, .. }) => assert!(path.ends_with("gen-1"), "{}", path.display()),
            Err(error) => panic!("{name}: {error}"),
            Ok(_) => panic!("{name} was opened"),
        }
    }
}
