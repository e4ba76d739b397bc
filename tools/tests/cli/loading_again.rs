//! Loading a file again changes nothing; a later row replaces an earlier one.

use crate::program::{Place, run};

#[test]
fn new_updated_and_repeated_rows_are_told_apart() {
    let place = Place::new();
    let (db, file) = (place.path("db"), place.file("a.csv", "user,item,weight\nu,i,1\nu,j,2\nu,i,1\nu,i,3\n"));
    let load = |db: &str, args: &[&str]| {
        let loaded = run([&["load", db, &file, "--json"][..], args].concat()).ok().json();
        ["new", "updated", "repeated"].map(|key| loaded[key].as_u64().unwrap())
    };
    assert_eq!(load(&db, &[]), [2, 1, 1]);
    // The last of them is what is there: the first two change it and change it back.
    assert_eq!(load(&db, &[]), [0, 2, 2]);
    let sums = place.path("sums");
    assert_eq!(load(&sums, &["--repeats", "sum"]), [2, 2, 0]);
    assert_eq!(load(&sums, &[]), [0, 4, 0]);
    let text = run(["load", &sums, &file, "--repeats", "sum"]).ok().stdout;
    assert!(text.contains("0 new, 4 updated, 0 repeated") && text.contains("adds them again"), "{text}");
    let first = place.path("first");
    assert_eq!((load(&first, &["--repeats", "first"]), load(&first, &[])), ([2, 0, 2], [0, 0, 4]));
    let max = place.path("max");
    assert_eq!((load(&max, &["--repeats", "max"]), load(&max, &[])), ([2, 1, 1], [0, 0, 4]));
}

#[test]
fn how_repeats_are_taken_is_settled_when_the_database_is_made() {
    let place = Place::new();
    let (db, file) = (place.path("db"), place.file("a.csv", "user,item\nu,i\n"));
    run(["load", &db, &file]).ok();
    run(["load", &db, &file, "--repeats", "sum"]).fails(2, &["--repeats", "`sum`", "`last`"]);
    run(["load", &db, &file, "--repeats", "last"]).ok();
    run(["load", &place.path("other"), &file, "--repeats", "mean"]).fails(2, &["mean", "last", "sum", "max", "first"]);
}

#[test]
fn loading_twice_changes_nothing() {
    let place = Place::new();
    let (db, file) = (place.path("db"), place.file("a.csv", "user,item,weight\nu,i,1\nu,j,2\nv,i,1\n"));
    let first = run(["load", &db, &file, "--json"]).ok().json();
    let second = run(["load", &db, &file, &file, "--json"]).ok().json();
    assert_eq!((&first["interactions"], &second["interactions"]), (&3.into(), &6.into()));
    for key in ["users", "items", "interactions_in_database"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    let popular = |db: &str| run(["query", db, "--user", "nobody", "--popular", "--json"]).ok().stdout;
    let before = popular(&db);
    run(["load", &db, &file]).ok();
    assert_eq!(popular(&db), before);
}
