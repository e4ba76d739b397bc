//! With `--json`, stdout holds one object and nothing else, whatever happens.

use crate::program::{Place, run, trained};

#[test]
fn every_subcommand_prints_one_object() {
    let place = trained();
    let (db, test) = (place.db(), place.path("held-out.csv"));
    let history = place.path("history.csv");
    let runs: &[&[&str]] = &[
        &["load", &db, &history],
        &["train", &db, "--preset", "fast"],
        &["query", &db, "--items", "tea/classic-teapot"],
        &["similar", &db, "tea/classic-teapot"],
        &["eval", &db, "--test", &test],
        &["stats", &db],
        &["verify", &db],
        &["bench", &db, "--queries", "10"],
    ];
    for args in runs {
        // Before the subcommand or after it.
        run([args, &["--json"][..]].concat()).ok().json();
        if args[0] != "train" {
            run([&["--json"][..], args].concat()).ok().json();
        }
    }
}

#[test]
fn a_cut_off_asked_for_twice_is_one_key() {
    let place = trained();
    let run = run(["eval", &place.db(), "--test", &place.path("held-out.csv"), "-k", "20,5,20", "--json"]).ok();
    assert_eq!(run.stdout.matches("\"ndcg@20\"").count(), 1, "{}", run.stdout);
}

#[test]
fn failures_are_objects_too() {
    let place = Place::new();
    let error = run(["stats", &place.path("absent"), "--json"]).fails(2, &["no database"]).json();
    assert!(error["error"].as_str().unwrap().contains("no database"));
    // What is wrong with the command line itself, too.
    for (args, told) in [
        (&["query", "absent", "--user", "u", "--filter", "x <"][..], "--filter"),
        (&["query", "absent"], "required"),
        (&["nonsense"], "nonsense"),
        (&["query", "absent", "--user", "u", "-k", "many"], "many"),
    ] {
        let error = run([args, &["--json"]].concat()).fails(2, &[told]).json();
        assert!(error["error"].as_str().unwrap().contains(told), "{error}");
        assert_eq!(run(args).fails(2, &[told]).stdout, "");
    }
    let place = trained();
    let error = run(["query", &place.db(), "--user", "nobody", "--json"]).fails(1, &[]).json();
    assert!(error["error"].as_str().unwrap().contains("nobody"));
}

#[test]
fn progress_is_for_terminals_only() {
    let place = trained();
    let run = run(["train", &place.db(), "--preset", "fast"]).ok();
    assert_eq!(run.stderr, "");
    assert!(!run.stdout.contains('\u{1b}'));
}
