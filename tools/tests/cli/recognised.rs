//! What a file holds is told from what is in it, said, and refused where it can be read in two ways.

use serde_json::Value;

use crate::program::{Place, run};

/// Loads a file into a new database.
#[track_caller]
fn loaded(name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Value {
    let place = Place::new();
    let file = place.file(name, content);
    run([&["load", &place.path("db"), &file, "--json"], options].concat()).ok().json()
}

/// The interactions a file is taken to hold: user, item and weight.
#[track_caller]
fn rows(name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Vec<(String, String, f64)> {
    let place = Place::new();
    let file = place.file(name, content);
    let dry = run([&["load", &place.path("db"), &file, "--dry-run", "--json"], options].concat()).ok().json();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = dry["files"][0]["rows"].as_array().unwrap();
    rows.iter().map(|row| (text(row, "user"), text(row, "item"), row["weight"].as_f64().unwrap())).collect()
}

fn row(user: &str, item: &str, weight: f64) -> (String, String, f64) {
    (user.into(), item.into(), weight)
}

#[track_caller]
fn refused(name: &str, content: impl AsRef<[u8]>, options: &[&str], texts: &[&str]) {
    let place = Place::new();
    let (db, file) = (place.path("db"), place.file(name, content));
    run([&["load", &db, &file], options].concat()).fails(2, texts);
    assert!(!std::path::Path::new(&db).exists());
}

#[test]
fn rows_of_ratings_are_no_users_with_items() {
    let ways = ["two ways", "--format lightgcn", "--user 1 --item 2"];
    let four = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n";
    for name in ["u.txt", "u.data", "u"] {
        refused(name, four, &[], &[&ways[..], &["tab", "--time 4", "--weight 3", "--min-rating"]].concat());
    }
    refused("a.txt", "1 1193 5\n1 661 3\n2 914 3\n", &[], &[&ways[..], &["blanks"]].concat());
    refused("a.txt", "1 1193 5\n", &[], &ways);
    // Where some ratings are missing, users who come again tell.
    refused("a.txt", "1 1193 5\n1 661\n2 914 3\n", &[], &ways);

    assert_eq!(
        rows("a.txt", "1 1193 5\n1 661 3\n", &["--user", "1", "--item", "2", "--weight", "3"]),
        [row("1", "1193", 5.0), row("1", "661", 3.0)]
    );
    let by_number = ["--user", "1", "--item", "2", "--time", "4", "--rating", "3", "--min-rating", "3"];
    assert_eq!(rows("u.data", four, &by_number), [row("196", "242", 1.0), row("186", "302", 1.0)]);
    assert_eq!(rows("a.txt", "1 1193 5\n", &["--format", "lightgcn"]), [row("1", "1193", 1.0), row("1", "5", 1.0)]);
    assert_eq!(rows("a.lightgcn", "1 1193 5\n", &[]).len(), 2);
    // As many words a line as only users with items have, or a user and an item a line, which is the same either way.
    assert_eq!(rows("a.txt", "1 10 11\n2 10\n3 12 13 14\n", &[]).len(), 6);
    assert_eq!(rows("a.txt", "1 10\n1 11\n2 10\n", &[]).len(), 3);
    assert_eq!(loaded("a", "1 10 11\n2 10\n", &[])["files"][0]["format"], "lightgcn");
}

#[test]
fn a_header_tells_columns_whatever_the_name_of_the_file() {
    for name in ["a.txt", "a.csv", "a.dat", "a"] {
        let file = &loaded(name, "userId,movieId,rating\n1,31,2.5\n", &[])["files"][0];
        assert_eq!(
            (&file["user"], &file["item"], &file["left"][0]),
            (&"userId".into(), &"movieId".into(), &"rating".into())
        );
    }
}

#[test]
fn delimiters_are_recognised_or_named() {
    for (content, delimiter) in [
        ("user;item;weight\nu 1;i,1;2\n", ";"),
        ("user|item|weight\nu 1|i,1|2\n", "|"),
        ("user\titem\tweight\nu 1\ti,1\t2\n", "tab"),
        ("user::item::weight\nu 1::i,1::2\n", "::"),
        ("user,item,weight\nu 1,\"i,1\",2\n", ","),
    ] {
        assert_eq!(rows("a.csv", content, &[]), [row("u 1", "i,1", 2.0)], "{delimiter}");
        assert_eq!(rows("a.txt", content, &["--delimiter", delimiter]), [row("u 1", "i,1", 2.0)], "{delimiter}");
        assert_eq!(loaded("a.csv", content, &[])["files"][0]["delimiter"], delimiter);
    }
    assert_eq!(rows("a.inter", "user_id:token item_id:token\n1  10\n", &[]), [row("1", "10", 1.0)]);
    assert_eq!(rows("a.csv", "user^item\nu^i\n", &["--delimiter", "^"]), [row("u", "i", 1.0)]);
    refused("a.csv", "user^item\nu^i\n", &[], &["--delimiter"]);
    refused("a.csv", "user,item\nu,i\n", &["--delimiter", "x"], &["--delimiter", "\"x\""]);
    // Without a header, too.
    let ratings = "1::1193::5::978300760\n1::661::3::978302109\n";
    refused("ratings.dat", ratings, &[], &["::", "--user 1 --item 2 --time 4", "--weight 3"]);
    let by_number = ["--user", "1", "--item", "2", "--weight", "3"];
    assert_eq!(rows("ratings.dat", ratings, &by_number), [row("1", "1193", 5.0), row("1", "661", 3.0)]);
    // Decimal commas make two readings.
    refused("a.csv", "u;i;2,5\nv;j;1,5\n", &["--user", "1", "--item", "2"], &["two ways", "--delimiter"]);
    let named = ["--user", "1", "--item", "2", "--delimiter", ";"];
    assert_eq!(rows("a.csv", "u;i;2,5\nv;j;1,5\n", &named), [row("u", "i", 1.0), row("v", "j", 1.0)]);
}

#[test]
fn a_header_is_not_loaded_as_a_row() {
    let by_number = ["--user", "1", "--item", "2"];
    refused("a.csv", "user,item\nu,i\n", &by_number, &["header", "--header yes", "--header no"]);
    assert_eq!(
        rows("a.csv", "user,item\nu,i\n", &[&by_number[..], &["--header", "yes"]].concat()),
        [row("u", "i", 1.0)]
    );
    assert_eq!(rows("a.csv", "user,item\nu,i\n", &[&by_number[..], &["--header", "no"]].concat()).len(), 2);
    refused("a.csv", "who,what\nu,i\n", &["--user", "who", "--item", "what", "--header", "no"], &["--user 1 --item 2"]);
    // Headers in any order, quoted, with a byte order mark, with blanks around the names.
    for header in ["\u{feff}item,user", "\"item\",\"user\"", " item , user "] {
        assert_eq!(rows("a.csv", format!("{header}\ni,u\n"), &[]), [row("u", "i", 1.0)], "{header}");
    }
}

#[test]
fn columns_that_could_all_be_it_are_refused() {
    refused("a.csv", "user,artist_id,track_id\nu,a,t\n", &[], &["artist_id", "track_id", "--item"]);
    assert_eq!(rows("a.csv", "user,artist_id,track_id\nu,a,t\n", &["--item", "track_id"]), [row("u", "t", 1.0)]);
    refused("a.csv", "user,user,item\nu,v,i\n", &[], &["--user"]);
}

#[test]
fn a_rating_that_is_ignored_is_told_of_and_can_be_chosen_by() {
    let place = Place::new();
    let file = place.file("a.csv", "user,item,stars\nu,i,5\nu,j,1\nv,i,4\nv,j,\n");
    let told = run(["load", &place.path("a"), &file]).ok();
    assert!(told.stderr.contains("column stars is ignored") && told.stderr.contains("--min-rating"), "{}", told.stderr);
    assert!(told.stdout.contains("left: stars"), "{}", told.stdout);
    let chosen = run(["load", &place.path("b"), &file, "--min-rating", "4", "--json"]).ok();
    let json = chosen.json();
    assert_eq!((&json["new"], &json["rated_too_low"], &json["rejected"]), (&2.into(), &1.into(), &1.into()));
    assert!(!chosen.stderr.contains("ignored") && chosen.stderr.contains("a.csv:5: the rating"), "{}", chosen.stderr);
    let weighed = run(["load", &place.path("c"), &file, "--weight", "stars"]).ok();
    assert!(!weighed.stderr.contains("ignored"), "{}", weighed.stderr);
    run(["load", &place.path("d"), &place.file("b.csv", "user,item\nu,i\n"), "--min-rating", "4"])
        .fails(2, &["rating", "--rating"]);
}

#[test]
fn json_lines_are_objects_with_keys() {
    let lines = "{\"user_id\": 7, \"asin\": \" B0 \", \"overall\": 5.0, \"ts\": \"2024-01-15T10:00:00Z\"}\n\n{\"asin\": \"B1\", \"user_id\": \"u\"}\n";
    for name in ["a.jsonl", "a.json", "a.txt"] {
        assert_eq!(rows(name, lines, &[]), [row("7", " B0 ", 1.0), row("u", "B1", 1.0)], "{name}");
    }
    let file = &loaded("a.jsonl", lines, &[])["files"][0];
    assert_eq!((&file["time"], &file["left"][0], &file["format"]), (&"ts".into(), &"overall".into(), &"jsonl".into()));
    let bad = "{\"user\": \"u\", \"item\": 1}\n{\"user\": \"u\", \"item\": 1.5}\n{\"user\": null, \"item\": 1}\nnothing\n[1]\n{\"user\": \"v\", \"item\": 184467440737095516160}\n";
    let json = loaded("a.jsonl", bad, &[]);
    assert_eq!((&json["new"], &json["rejected"]), (&1.into(), &5.into()));
    assert_eq!(json["rejects"][0]["line"], 2);
    refused("a.jsonl", "{\"who\": 1, \"what\": 2}\n", &[], &["\"what\", \"who\"", "--user"]);
}

#[test]
fn what_is_taken_and_left_is_said() {
    let place = Place::new();
    let file = place.file("a.csv", "when,customer_id,sku,price\n,c,s,1\n");
    let text = run(["load", &place.path("db"), &file]).ok().stdout;
    for part in [
        "user from customer_id",
        "item from sku",
        "no time",
        "no weight",
        "left: when, price",
        "1 new, 0 updated, 0 repeated",
        "rejected 0 rows",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
