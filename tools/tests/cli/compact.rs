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

#[test]
fn stderr_is_silent_where_nobody_watches_and_jobs_tell_where_they_ended() {
    let place = trained();
    let db = place.db();
    run(["load", &db, &place.file("more.csv", "user,item\nnewcomer,tea/classic-teapot\n")]).ok();
    let followed = run(["compact", &db, "--follow"]).ok();
    assert_eq!(followed.stderr, "");
    run(["compact", &db, "--copy", &place.path("copy.kith"), "--follow"]).ok();
    let jobs = run(["jobs", &db, "--json"]).ok().json();
    let last = jobs["jobs"].as_array().unwrap().last().unwrap();
    assert!(last["step"].is_u64() && last["of"].is_u64() && last["phase"].is_string(), "{last}");
    let memory = &run(["stats", &db, "--json"]).ok().json()["memory"];
    let of = |part: &str| memory[part].as_u64().unwrap();
    assert!(of("graph") > 0 && of("training_state") > of("graph") && of("generation") > 0, "{memory}");
    assert_eq!(of("storage_cache"), 64 << 20);
    let text = run(["stats", &db]).ok().stdout;
    assert!(
        ["graph", "state", "answers by", "attributes", "storage cache"].iter().all(|part| text.contains(part)),
        "{text}"
    );
}
