//! Loading a file again changes nothing; a later row replaces an earlier one.

use crate::program::{Place, run};

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
