//! Changes by hand: interactions taken back, users forgotten, items retired.

use crate::program::{Place, run};

fn shop() -> Place {
    let place = Place::new();
    let rows = "user,item,weight,time\nann,tea pot,2,1705312800\nann,cup,1,1705312900\nbob,cup,1,\n-5,jug,1,\n";
    run(["load", &place.db(), &place.file("a.csv", rows)]).ok();
    place
}

fn popular(place: &Place) -> Vec<String> {
    let json = run(["query", &place.db(), "--user", "nobody", "--popular", "--json"]).json();
    json["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_history_is_shown_the_latest_first() {
    let place = shop();
    let json = run(["history", &place.db(), "ann", "--json"]).ok().json();
    let rows = serde_json::json!([
        {"item": "cup", "weight": 1.0, "time": 1_705_312_900_000i64},
        {"item": "tea pot", "weight": 2.0, "time": 1_705_312_800_000i64}
    ]);
    assert_eq!((&json["user"], &json["interactions"]), (&"ann".into(), &rows));
    let text = run(["history", &place.db(), " ann "]).ok().stdout;
    assert!(text.contains("2024-01-15T10:00:00Z") && text.contains("2 interactions"), "{text}");
    assert!(run(["history", &place.db(), "-5"]).ok().stdout.contains("jug"));
    run(["history", &place.db(), "nobody"]).fails(1, &[]);
}

#[test]
fn interactions_are_taken_back() {
    let place = shop();
    let json = run(["remove", &place.db(), "ann", "cup", "jug", "--json"])
        .fails(1, &["ann has no interaction with jug"])
        .json();
    assert_eq!((&json["removed"], &json["absent"]), (&serde_json::json!(["cup"]), &serde_json::json!(["jug"])));
    run(["remove", &place.db(), "ann", "tea pot"]).ok();
    run(["history", &place.db(), "ann"]).fails(1, &[]);
    assert_eq!(run(["stats", &place.db(), "--json"]).ok().json()["interactions"], 2);
}

#[test]
fn users_are_forgotten() {
    let place = shop();
    run(["forget", &place.db(), "ann", "-5"]).ok();
    run(["history", &place.db(), "ann"]).fails(1, &[]);
    run(["history", &place.db(), "-5"]).fails(1, &[]);
    assert_eq!(run(["stats", &place.db(), "--json"]).ok().json()["interactions"], 1);
    let json = run(["forget", &place.db(), "ann", "bob", "--json"]).fails(1, &["unknown user ann"]).json();
    assert_eq!((&json["forgotten"][0], &json["unknown"][0]), (&"bob".into(), &"ann".into()));
}

#[test]
fn items_are_retired_and_come_back() {
    let place = shop();
    assert_eq!(popular(&place), ["cup", "jug", "tea pot"]);
    run(["retire", &place.db(), "cup", "tea pot"]).ok();
    assert_eq!(popular(&place), ["jug"]);
    let json = run(["retire", &place.db(), "cup", "jug", "spoon", "--json"]).fails(1, &["unknown item spoon"]).json();
    assert_eq!(json, serde_json::json!({"changed": ["jug"], "unchanged": ["cup"], "unknown": ["spoon"]}));
    assert!(popular(&place).is_empty());
    run(["unretire", &place.db(), "cup", "jug"]).ok();
    // An id is no option, and an option no id.
    run(["retire", &place.db(), "--", "-x"]).fails(1, &["unknown item -x"]);
    run(["retire", &place.db(), "-x"]).fails(2, &["-x"]);
    assert_eq!(popular(&place), ["cup", "jug"]);
    for command in ["history", "remove", "forget", "retire", "unretire"] {
        run([command, &place.path("nowhere"), "a", "b"].into_iter().take(if command == "history" { 3 } else { 4 }))
            .fails(2, &["no database"]);
    }
}
