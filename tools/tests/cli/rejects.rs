//! Rows that cannot be stored are named, counted and set aside, and loading goes on.

use crate::program::{Place, run};

const ROWS: &[u8] = b"user,item,weight\nu,i,1\nu,i\nv,\xffj,1\nv,k,-1\nw,i,2\n";

#[test]
fn bad_rows_are_set_aside_and_the_rest_is_loaded() {
    let place = Place::new();
    let (file, rejects) = (place.file("a.csv", ROWS), place.path("rejects.csv"));
    let run = run(["load", &place.path("db"), &file, "--reject", &rejects, "--json"]).ok();
    let loaded = run.json();
    assert_eq!((&loaded["interactions"], &loaded["rejected"]), (&2.into(), &3.into()));
    assert_eq!(loaded["rejects"][2]["line"], 5);
    for line in [
        "a.csv:3: the row has 2 columns where the first line has 3",
        "a.csv:4: the row is not valid UTF-8",
        "a.csv:5: the weight \"-1\"",
    ] {
        assert!(run.stderr.contains(line), "{}", run.stderr);
    }
    let mut rows = csv::Reader::from_path(rejects).unwrap();
    assert_eq!(rows.byte_headers().unwrap(), &csv::ByteRecord::from(vec!["file", "line", "reason", "row"]));
    let rows: Vec<csv::ByteRecord> = rows.byte_records().map(Result::unwrap).collect();
    let raw: Vec<&[u8]> = rows.iter().map(|row| &row[3]).collect();
    assert_eq!(raw, [&b"u,i"[..], b"v,\xffj,1", b"v,k,-1"]);
    assert!(rows.iter().all(|row| &row[0] == file.as_bytes()));
}

#[test]
fn strict_stops_at_the_first() {
    let place = Place::new();
    let file = place.file("a.csv", ROWS);
    run(["load", &place.path("db"), &file, "--strict"])
        .fails(2, &["a.csv:3:", "2 columns", "stopped after 1 interactions"]);
    assert_eq!(run(["stats", &place.path("db"), "--json"]).ok().json()["interactions"], 1);
}

#[test]
fn a_load_that_stores_nothing_makes_no_database() {
    let place = Place::new();
    let db = place.path("db");
    let bad = place.file("bad.csv", "user,item,weight\nu,i,0\nu,j,1\n");
    run(["load", &db, &bad, "--strict"]).fails(2, &["bad.csv:2:", "\"0\""]);
    run(["load", &db, &place.file("none.csv", "user,item\nu\n")]).fails(1, &["none.csv:2:", "no database was made"]);
    assert!(!std::path::Path::new(&db).exists());
    // An empty directory stays one.
    std::fs::create_dir(&db).unwrap();
    run(["load", &db, &bad, "--strict"]).fails(2, &[]);
    assert_eq!(std::fs::read_dir(&db).unwrap().count(), 0);
    run(["load", &db, &bad]).ok();
    // One that was there stays as it was.
    run(["load", &db, &bad, "--strict"]).fails(2, &["bad.csv:2:"]);
    assert_eq!(run(["stats", &db, "--json"]).ok().json()["interactions"], 1);
}

#[test]
fn what_the_library_would_not_store_is_a_reject_like_any_other() {
    let place = Place::new();
    let rows = "user,item,weight,time\na,x,1,5\nb,x,1e30,5\nc,x,0.0000001,5\nd,x,1,-9223372036854775808\ne,x,1,1e300\nf,x,-1,5\ng,x,1000000,5\n";
    let (file, rejects) = (place.file("a.csv", rows), place.path("rejects.csv"));
    let run = run(["load", &place.path("db"), &file, "--reject", &rejects, "--json"]).ok();
    let loaded = run.json();
    assert_eq!((&loaded["new"], &loaded["rejected"]), (&2.into(), &5.into()));
    let lines: Vec<u64> =
        loaded["rejects"].as_array().unwrap().iter().map(|reject| reject["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    assert!(run.stderr.contains("a.csv:5: the time -9223372036854775808"), "{}", run.stderr);
    assert_eq!(csv::Reader::from_path(rejects).unwrap().records().count(), 5);
}

#[test]
fn many_rejects_are_counted_and_few_are_shown() {
    let place = Place::new();
    let file = place.file("a.csv", format!("user,item\nu,i\n{}", "u\n".repeat(1000)));
    let run = run(["load", &place.path("db"), &file]).ok();
    assert!(run.stderr.lines().count() < 10 && run.stderr.contains("1,000 rows"), "{}", run.stderr);
}

#[test]
fn a_file_with_nothing_to_load_is_a_no() {
    let place = Place::new();
    run(["load", &place.path("db"), &place.file("a.csv", "user,item\nu\n")]).fails(1, &["a.csv:2:"]);
}

#[test]
fn the_reject_file_is_none_of_the_files() {
    let place = Place::new();
    let file = place.file("a.csv", ROWS);
    run(["load", &place.path("db"), &file, "--reject", &file]).fails(2, &["a.csv", "--reject"]);
    assert_eq!(std::fs::read(&file).unwrap(), ROWS);
}

#[test]
fn a_header_that_comes_again_is_a_reject() {
    let place = Place::new();
    let twice = "user,item\nann,kettle\n\u{feff}user,item\r\nbob,mug\nuser,item\n";
    let loaded = run(["load", &place.path("db"), &place.file("a.csv", twice), "--json"]).ok();
    assert_eq!((&loaded.json()["interactions"], &loaded.json()["rejected"]), (&2.into(), &2.into()));
    assert!(loaded.stderr.contains("a.csv:3: the header again"), "{}", loaded.stderr);
    let items = "item,\"price\"\nkettle,5\nitem,price\nmug,3\n";
    let loaded = run(["load-items", &place.path("db"), &place.file("items.csv", items), "--json"]).ok();
    let kinds = loaded.json()["files"][0]["attributes"].clone();
    assert_eq!((&loaded.json()["rejected"], kinds), (&1.into(), serde_json::json!({"price": "number"})));
    assert!(loaded.stderr.contains("items.csv:3: the header again"), "{}", loaded.stderr);
    // Without a header there is none that could come again.
    let plain = place.file("b.csv", "user,item\nuser,item\n");
    let loaded =
        run(["load", &place.path("plain"), &plain, "--user", "1", "--item", "2", "--header", "no", "--json"]).ok();
    assert_eq!(loaded.json()["rejected"], 0);
}

#[test]
fn no_file_that_is_to_be_read_is_emptied() {
    let place = Place::new();
    let (rows, items) = (place.file("a.csv", "user,item\nu,i\n"), place.file("items.csv", "item,title\ni,cup\n"));
    for reject in [&rows, &items] {
        let args = ["load", &place.path("db"), &rows, "--items", &items, "--reject", reject];
        run(args).fails(2, &["is to be loaded", "--reject"]);
    }
    assert_eq!(std::fs::read_to_string(&rows).unwrap(), "user,item\nu,i\n");
    assert_eq!(std::fs::read_to_string(&items).unwrap(), "item,title\ni,cup\n");
}
