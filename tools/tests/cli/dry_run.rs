//! A dry run shows the first rows as they are understood, counts all of them, and stores nothing.

use crate::program::{Place, run};

#[test]
fn rows_are_shown_and_counted_and_nothing_is_stored() {
    let place = Place::new();
    let many: String = (0..40).map(|n| format!("u{n},\"tea, green\",2,1705312800\n")).collect();
    let file = place.file("a.csv", format!("user,item,weight,time\nu,,1,\n{many}"));
    let dry = run(["load", &place.path("db"), &file, "--dry-run", "--json"]).ok().json();
    assert_eq!((&dry["interactions"], &dry["rejected"], &dry["dry_run"]), (&40.into(), &1.into(), &true.into()));
    let rows = dry["files"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 10);
    assert_eq!(
        rows[0],
        serde_json::json!({"user": "u0", "item": "tea, green", "weight": 2.0, "time": "2024-01-15T10:00:00Z"})
    );
    let text = run(["load", &place.path("db"), &file, "--dry-run"]).ok();
    assert!(
        text.stdout.contains("tea, green") && text.stdout.contains("40 interactions, 1 rows rejected"),
        "{}",
        text.stdout
    );
    assert!(text.stderr.contains("a.csv:2: the item is empty"), "{}", text.stderr);
    run(["load", &place.path("db"), &file, "--dry-run", "--strict"]).fails(2, &["a.csv:2:"]);
    assert!(!std::path::Path::new(&place.path("db")).exists());
    // Ids are read as the database that is there has them.
    run(["load", &place.path("db"), &place.file("b.csv", "user,item\n1,2\n"), "--id-type", "u64"]).ok();
    run(["load", &place.path("db"), &file, "--dry-run"]).fails(1, &["not a whole number"]);
    assert_eq!(run(["stats", &place.path("db"), "--json"]).ok().json()["interactions"], 1);
}
