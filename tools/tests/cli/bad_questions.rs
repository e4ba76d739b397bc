//! Questions that make no sense are wrong usage, status 2; questions about what is not there are a no, status 1.

use crate::program::{Place, run, trained};

#[test]
fn a_count_of_zero() {
    let place = trained();
    run(["query", &place.db(), "--user", "u", "-k", "0"]).fails(2, &["at least 1"]);
    run(["similar", &place.db(), "i", "-k", "0"]).fails(2, &["at least 1"]);
    run(["eval", &place.db(), "--test", &place.path("held-out.csv"), "-k", "5,0"]).fails(2, &["at least 1"]);
    run(["bench", &place.db(), "--threads", "0"]).fails(2, &["at least 1"]);
    run(["query", &place.db(), "--user", "u", "--query-bits", "9"]).fails(2, &["9"]);
}

#[test]
fn somebody_or_something_unknown() {
    let place = trained();
    run(["query", &place.db(), "--user", "nobody"]).fails(1, &["unknown user nobody"]);
    run(["similar", &place.db(), "no-such-thing"]).fails(1, &["unknown item no-such-thing"]);
    run(["query", &place.db(), "--items", "a,b"]).fails(1, &["none of the 2 items"]);
    let popular = run(["query", &place.db(), "--user", "nobody", "--popular", "-k", "4", "--json"]).ok().json();
    assert_eq!((popular["hits"].as_array().unwrap().len(), &popular["engine"]), (4, &"popularity".into()));
}

#[test]
fn a_query_before_any_training() {
    let place = Place::new();
    let db = place.path("db");
    run(["load", &db, &place.file("a.txt", "u i\nv j\n")]).ok();
    run(["query", &db, "--user", "u"]).fails(2, &["nothing has been trained", "kithdb train"]);
    run(["eval", &db, "--test", &place.file("test.txt", "u j\n")]).fails(2, &["nothing has been trained"]);
    run(["bench", &db]).fails(2, &["nothing has been trained"]);
    run(["query", &db, "--user", "u", "--popular"]).ok();
}

#[test]
fn training_settings_out_of_range() {
    let place = trained();
    run(["train", &place.db(), "--bits", "100"]).fails(2, &["bits", "100", "64"]);
    run(["train", &place.db(), "--preset", "quick"]).fails(2, &["quick", "balanced", "best"]);
    run(["train", &place.db(), "--model", "bigear+"]).fails(2, &["bigear+", "bigear++"]);
    run(["train", &place.db(), "--set", "teacher.lr=1"]).fails(2, &["teacher.lr", "teacher.rate"]);
    run(["train", &place.db(), "--set", "student.mixture=2"]).fails(2, &["student.mixture", "from 0 to 1"]);
    run(["train", &place.db(), "--set", "student.mixture"]).fails(2, &["KEY=VALUE"]);
}

#[test]
fn a_database_that_is_not_there_or_no_database() {
    let place = Place::new();
    let absent = place.path("absent");
    for command in ["stats", "verify", "train", "bench"] {
        run([command, &absent]).fails(2, &["absent", "no database"]);
    }
    assert!(!std::path::Path::new(&absent).exists(), "asking makes nothing");
    std::fs::create_dir(place.path("folder")).unwrap();
    place.file("folder/letter.txt", "dear");
    let file = place.file("a.txt", "u i\n");
    run(["load", &place.path("folder"), &file]).fails(2, &["folder", "not a kithdb database"]);
    run(["stats", &file]).fails(2, &["a.txt", "not a kithdb database"]);
}

#[test]
fn neither_user_nor_basket_or_both() {
    run(["query", "db"]).fails(2, &["--user", "--items"]);
    run(["query", "db", "--user", "u", "--items", "i"]).fails(2, &["--items"]);
}
