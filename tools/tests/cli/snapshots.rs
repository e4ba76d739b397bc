//! Snapshots, which are asked as a database is, beside whoever owns it.

use crate::program::{Place, run, trained};

#[test]
fn a_snapshot_is_asked_as_the_database_is() {
    let place = trained();
    let (db, fleet) = (place.db(), place.path("fleet"));
    let user = run(["users", &db]).ok().stdout.lines().next().unwrap().to_owned();
    let first = run(["snapshot", &db, &fleet, "--json"]).ok().json();
    assert_eq!((&first["generation"], &first["repeated"]), (&1.into(), &false.into()));
    let of_db = run(["query", &db, "--user", &user, "--json"]).ok().json();
    assert_eq!(run(["query", &fleet, "--user", &user, "--json"]).ok().json(), of_db);
    let folder = format!("{fleet}/{}", first["name"].as_str().unwrap());
    assert_eq!(run(["query", &folder, "--user", &user, "--json"]).ok().json(), of_db);
    assert!(run(["snapshot", &db, &fleet]).ok().stdout.contains("was there already"));
    // Somebody new is in the next one, and not in this.
    run(["load", &db, &place.file("more.csv", "user,item\nnewcomer,tea/classic-teapot\n")]).ok();
    run(["query", &fleet, "--user", "newcomer"]).fails(1, &["unknown user newcomer"]);
    run(["snapshot", &db, &fleet]).ok();
    run(["query", &fleet, "--user", "newcomer"]).ok();
    let items = run(["items", &db]).ok().stdout;
    let other = items.lines().find(|item| *item != "tea/classic-teapot").unwrap();
    let allow = place.file("allow.txt", format!("{other}\nno such thing\n"));
    let few = run(["query", &fleet, "--user", "newcomer", "--allow", &allow]).ok();
    assert!(few.stdout.contains(other) && few.stdout.lines().count() < 8, "{}", few.stdout);
    run(["query", &fleet, "--user", "newcomer", "--allow", &allow, "--strict"]).fails(2, &["no such thing"]);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let place = trained();
    std::fs::create_dir(place.path("mine")).unwrap();
    place.file("mine/notes.txt", "mine");
    run(["snapshot", &place.db(), &place.path("mine")]).fails(2, &["notes.txt", "absent, empty"]);
    // Called nearly as its own are.
    for name in ["moment-holiday-photos", "moment-0000000001", "moment-keep", "SNAPSHOTS"] {
        let folder = format!("mine-{name}");
        std::fs::create_dir_all(place.path(&format!("{folder}/{name}"))).unwrap();
        let photo = place.file(&format!("{folder}/{name}/photo"), "mine");
        run(["snapshot", &place.db(), &place.path(&folder)]).fails(2, &[name, "absent, empty"]);
        assert!(std::path::Path::new(&photo).exists());
    }
    run(["snapshot", &place.db(), &place.path("fleet"), "--keep", "0"]).fails(2, &["at least 1"]);
    let untrained = Place::new();
    run(["load", &untrained.db(), &untrained.file("a.csv", "user,item\nann,cup\n")]).ok();
    run(["snapshot", &untrained.db(), &untrained.path("fleet")]).fails(2, &["train"]);
}

#[test]
fn what_only_reads_reads_snapshots_and_the_rest_says_what_does() {
    let place = trained();
    let (db, folder) = (place.db(), place.path("snapshots"));
    run(["snapshot", &db, &folder]).ok();
    let user = run(["users", &db]).ok().stdout.lines().next().unwrap().to_owned();
    let item = run(["items", &db]).ok().stdout.lines().next().unwrap().to_owned();
    let asked: [&[&str]; 8] = [
        &["query", "--user", &user],
        &["recommend", "--all", "-o", "-"],
        &["similar", &item],
        &["similar-users", &user],
        &["explain", "--user", &user, "--item", &item],
        &["history", &user],
        &["users"],
        &["items"],
    ];
    for args in asked {
        let of = |path: &str| run([&args[..1], &[path], &args[1..]].concat()).ok().stdout;
        assert_eq!(of(&folder), of(&db), "{args:?}");
    }
    for args in [["stats", &folder], ["train", &folder], ["verify", &folder]] {
        run(args).fails(2, &["holds snapshots, which query"]);
    }
}
