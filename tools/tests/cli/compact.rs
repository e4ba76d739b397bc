//! Compactions, and what is remembered of jobs.

use crate::program::{Place, run, trained};

#[test]
fn what_has_come_is_folded_and_remembered() {
    let place = trained();
    let db = place.db();
    run(["compact", &db]).fails(2, &["nothing has come since generation 1"]);
    let more = place.file("more.csv", "user,item\nnewcomer,tea/classic-teapot\nnewcomer,a new tea\n");
    run(["load", &db, &more]).ok();
    let json = run(["compact", &db, "--json"]).ok().json();
    assert_eq!((&json["kind"], &json["generation"]), (&"minor".into(), &2.into()));
    assert_eq!((&json["touched_users"], json["touched_items"].as_u64()), (&1.into(), Some(2)));
    run(["load", &db, &place.file("most.csv", "user,item\nnewcomer,tea/loose-leaf\n")]).ok();
    let text = run(["compact", &db, "--major"]).ok().stdout;
    assert!(text.contains("generation 3 (major)") && text.contains("held-out"), "{text}");
    assert_eq!(run(["stats", &db, "--json"]).ok().json()["tail_changes"], 0);
    let jobs = run(["jobs", &db, "--json"]).ok().json();
    let kinds: Vec<&str> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["train", "minor", "major"]);
    let text = run(["jobs", &db]).ok().stdout;
    assert!(text.contains("generation 3") && text.contains("asked for") && text.contains("recall_after"), "{text}");
}

#[test]
fn one_kind_is_asked_for() {
    let place = Place::new();
    run(["load", &place.db(), &place.file("a.csv", "user,item\nann,cup\n")]).ok();
    run(["compact", &place.db(), "--minor", "--major"]).fails(2, &["--minor"]);
    run(["jobs", &place.db()]).fails(1, &[]);
    let json = run(["compact", &place.db(), "--json"]).ok().json();
    assert_eq!(json["generation"], 1);
    run(["query", &place.db(), "--user", "ann"]).fails(2, &["train"]);
}
