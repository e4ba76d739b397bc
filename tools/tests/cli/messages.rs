//! What is wrong is told in the words of the program, with what to do about it.

use crate::program::{Place, run, trained};

#[test]
fn a_database_that_is_not_there_is_told_how_to_make() {
    let place = Place::new();
    let db = place.path("nodb");
    let told = run(["stats", &db]).fails(2, &["there is no database at", &format!("kithdb load {db} FILE")]).stderr;
    assert!(!told.contains("creating"), "{told}");
}

#[test]
fn options_are_named_as_they_are_written() {
    let place = trained();
    let db = place.db();
    let query = |option: &[&str]| run([&["query", &db, "--user", "nobody", "--popular"], option].concat());
    query(&["--at-most", "1:nosuch"]).fails(2, &["--at-most 1:nosuch: no item has this attribute"]);
    query(&["--min-relevance", "NaN"]).fails(2, &["--min-relevance", "NaN"]);
    query(&["--min-score", "nan"]).fails(2, &["--min-score", "NaN"]);
    for (option, range) in [
        ("--diversify", "from 0 to 1"),
        ("--recall", "above 0"),
        ("--approximate", "invalid value"),
        ("-k", "invalid digit"),
    ] {
        let told = query(&[option, "-0.5"]).fails(2, &[]).stderr;
        assert!(!told.contains("unexpected argument"), "{option}: {told}");
        let whole = query(&[option, "-1"]).fails(2, &[]).stderr;
        assert!(told.contains(range) || whole.contains(range), "{option}: {told} {whole}");
    }
    run(["train", &db, "--novelty", "-1"]).fails(2, &["novelty"]);
}

#[test]
fn a_cause_is_told_once() {
    let place = Place::new();
    let told = run(["import-codes", &place.path("new"), "--dir", &place.path("none")]).fails(2, &["none"]).stderr;
    assert_eq!(told.matches("os error 2").count(), 1, "{told}");
}

#[test]
fn users_that_nobody_knows_are_told_from_those_without_anything() {
    let place = trained();
    let unknown = run(["history", &place.db(), "nosuch"]).fails(1, &[]).stdout;
    assert!(unknown.contains("unknown user nosuch"), "{unknown}");
    let users = place.file("users.csv", "user,city\nnewcomer,Oslo\n");
    run(["load-users", &place.db(), &users]).ok();
    let known = run(["history", &place.db(), "newcomer"]).fails(1, &[]).stdout;
    assert!(known.contains("no interactions"), "{known}");
}

#[test]
fn an_empty_part_of_a_split_is_told() {
    let place = Place::new();
    let file = place.file("a.csv", "user,item,time\nann,cup,2024-01-01\nann,jug,2024-01-02\n");
    let split = |at: &str| run(["split", &file, "--to", "csv", "--at", at, "--out", &place.path(at)]);
    split("2050-01-01").fails(1, &["nothing to test with"]);
    split("1999-01-01").fails(1, &["nothing to train on"]);
    split("2024-01-02").ok();
}

#[test]
fn a_load_that_rejects_everything_is_a_no_in_any_database() {
    let place = Place::new();
    let bad = place.file("bad.csv", "user,item\n,\nann\n");
    run(["load", &place.db(), &bad]).fails(1, &["no database was made"]);
    run(["load", &place.db(), &place.file("a.csv", "user,item\nann,cup\n")]).ok();
    let again = run(["load", &place.db(), &bad, "--json"]).fails(1, &["bad.csv:2:"]);
    assert_eq!(again.json()["rejected"], 2);
}

#[test]
fn attributes_are_dumped_as_lines_on_stdout_too() {
    let place = Place::new();
    run(["load-items", &place.db(), &place.file("items.csv", "item,price\nmug,3\n")]).ok();
    let dumped = run(["dump", &place.db(), "--attributes", "items", "-o", "-"]).ok().stdout;
    assert_eq!(dumped, "{\"item\":\"mug\",\"price\":3.0}\n");
    run(["dump", &place.db(), "--attributes", "items", "-o", "-", "--form", "csv"]).fails(2, &["JSON lines"]);
}
