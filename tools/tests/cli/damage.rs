//! Bytes that are not what was written, and formats of the future.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Place, run, trained};

/// All files of the generation and the store, largest first.
fn data_files(db: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(db)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|directory| directory.join("db"))
        .filter(|file| file.exists())
        .collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.metadata().unwrap().len()));
    files
}

#[test]
fn a_sound_database_verifies() {
    let place = trained();
    let verified = run(["verify", &place.db(), "--json"]).ok().json();
    assert_eq!((&verified["ok"], &verified["damage"]), (&true.into(), &serde_json::json!([])));
    assert!(verified["parts"].as_u64() > Some(0) && verified["bytes"].as_u64() > Some(0));
    assert!(run(["verify", &place.db()]).ok().stdout.contains("sound"));
}

#[test]
fn a_damaged_record_is_a_no_of_verify_and_an_error_elsewhere() {
    let place = trained();
    // Wreck the middle of the generation: no engine can make up for it.
    let file = data_files(&place.db()).into_iter().find(|file| file.to_str().unwrap().contains("gen-")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let (start, end) = (bytes.len() / 4, bytes.len() * 3 / 4);
    bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(&file, bytes).unwrap();

    let verified = run(["verify", &place.db(), "--json"]).fails(1, &[]).json();
    assert_eq!(verified["ok"], false);
    let damage = verified["damage"][0].as_str().unwrap();
    assert!(damage.contains("damaged") && damage.contains("gen-1"), "{damage}");
    run(["query", &place.db(), "--user", "u"]).fails(2, &["damaged"]);
}

#[test]
fn a_format_of_the_future_is_not_touched() {
    let place = trained();
    let format = Path::new(&place.db()).join("FORMAT");
    assert!(fs::read_to_string(&format).unwrap().starts_with("kithdb 4 "));
    // The line ends with the CRC-32C of what stands before it.
    fs::write(&format, "kithdb 99 c0ff9830\n").unwrap();
    run(["stats", &place.db()]).fails(2, &["format 99", "upgrade kithdb"]);
    run(["load", &place.db(), &place.path("history.csv")]).fails(2, &["format 99"]);
}

#[test]
fn a_database_that_was_never_trained_verifies() {
    let place = Place::new();
    let db = place.path("db");
    run(["load", &db, &place.file("a.lightgcn", "u i j k\n")]).ok();
    assert!(run(["verify", &db, "--json"]).ok().json()["records"].as_u64() >= Some(3));
}
