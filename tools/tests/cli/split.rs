//! Files split into a part to learn from and a part to test with.

use std::collections::BTreeSet;
use std::fs::read_to_string;

use crate::program::{Place, run, trained};

/// The (user, item) pairs of a lightgcn file.
fn pairs(path: &str) -> BTreeSet<(String, String)> {
    let text = read_to_string(path).unwrap();
    let pairs = text.lines().flat_map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let user = words.next().unwrap();
        words.map(move |item| (user.clone(), item))
    });
    pairs.collect()
}

#[test]
fn the_parts_are_the_whole_and_the_same_again() {
    let place = trained();
    let history = place.path("history.csv");
    let split = |out: &str, seed: &str| {
        let out = place.path(out);
        let written = run(["split", &history, "--out", &out, "--core", "3", "--seed", seed, "--json"]).ok().json();
        (written, pairs(&format!("{out}/train.txt")), pairs(&format!("{out}/test.txt")))
    };
    let (written, train, test) = split("a", "7");
    let number = |key: &str| written[key].as_u64().unwrap() as usize;
    assert_eq!((number("train"), number("test")), (train.len(), test.len()));
    assert!(train.is_disjoint(&test) && test.len() * 5 <= train.len() + test.len() && test.len() * 7 > train.len());
    assert_eq!(number("interactions") - number("repeated") - number("outside_core"), train.len() + test.len());
    assert_eq!((train.clone(), test.clone()), {
        let (_, train, test) = split("b", "7");
        (train, test)
    });
    assert_ne!(test, split("c", "8").2);
    // What was written can be loaded, trained on and tested with.
    let db = place.path("split.kith");
    run(["load", &db, &place.path("a/train.txt")]).ok();
    run(["train", &db, "--preset", "fast"]).ok();
    let measures = run(["eval", &db, "--test", &place.path("a/test.txt"), "--json"]).ok().json();
    assert_eq!(measures["interactions"].as_u64(), Some(test.len() as u64));
}

#[test]
fn the_latest_are_held_out_with_their_weights_and_times() {
    let place = Place::new();
    let rows = "user,item,weight,time\nann,tea pot,2,30\nann,cup,1,10\nann,jug,0.5,20\nann,cup,1,40\nbob,cup,1,5\n";
    let file = place.file("rows.csv", rows);
    let out = place.path("parts");
    let by_time = ["split", &file, "--by-time", "--test-share", "0.5", "--out", &out];
    run(by_time).fails(2, &["tea pot", "--to csv"]);
    run([&by_time[..], &["--to", "csv"]].concat()).ok();
    let read = |name: &str| read_to_string(format!("{out}/{name}.csv")).unwrap();
    assert_eq!(read("train"), "user,item,weight,time\nann,tea pot,2,30\nann,jug,0.5,20\nbob,cup,1,5\n");
    assert_eq!(read("test"), "user,item,weight,time\nann,cup,1,40\n");
    // Nothing is overwritten.
    run([&by_time[..], &["--to", "csv"]].concat()).fails(2, &["exists already", "--out"]);
}

#[test]
fn what_happened_later_is_held_out_of_all_users_alike() {
    let place = Place::new();
    let rows = "user,item,time\nann,cup,2024-01-01\nbob,cup,2024-01-02\nann,jug,2024-01-03\nbob,pot,2024-01-04\ncarl,pot,2024-01-05\n";
    let file = place.file("rows.csv", rows);
    let test = |args: &[&str]| {
        let out = place.path(&args.concat());
        run([&["split", &file, "--to", "csv", "--out", &out], args].concat()).ok();
        let text = read_to_string(format!("{out}/test.csv")).unwrap();
        text.lines().skip(1).map(|row| row.split(',').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    for at in ["2024-01-04", "20240104", "1704326400", "2024-01-03T00:00:01Z"] {
        assert_eq!(test(&["--at", at]), ["bob pot", "carl pot"], "{at}");
    }
    assert_eq!(test(&["--last", "0.6"]), ["ann jug", "bob pot", "carl pot"]);
    run(["split", &file, "--out", &place.path("x"), "--at", "soon"]).fails(2, &["soon", "ISO 8601"]);
    run(["split", &file, "--out", &place.path("x"), "--last", "0.2", "--by-time"]).fails(2, &["--by-time"]);
    run(["split", &file, "--time", "none", "--out", &place.path("x"), "--last", "0.2"])
        .fails(2, &["no time", "--last"]);
}

#[test]
fn what_cannot_be_split_says_why() {
    let place = Place::new();
    let (file, out) = (place.file("rows.txt", "u a b c\nv a b\nw c\n"), place.path("parts"));
    run(["split", &file, "--out", &out, "--by-time"]).fails(2, &["no time", "--time"]);
    run(["split", &file, "--out", &out, "--test-share", "1"]).fails(2, &["less than 1"]);
    run(["split", &file, "--out", &out, "--core", "0"]).fails(2, &["at least 1"]);
    run(["split", &file, "--out", &out, "--by-time", "--seed", "3"]).fails(2, &["--seed"]);
    // A core that nobody is in is a no.
    run(["split", &file, "--out", &out, "--core", "3"]).fails(1, &[]);
}

#[test]
fn ids_that_lightgcn_lines_would_be_misread_by_are_refused() {
    let place = Place::new();
    for (at, rows) in ["user,item\n17:,x\n17:,y\n", "user,item\nu1,\"a,b\"\nu1,\"c,d\"\n", "user,item\nu1,a|b\nu1,c\n"]
        .iter()
        .enumerate()
    {
        let (file, out) = (place.file(&format!("{at}.csv"), rows), place.path(&format!("parts {at}")));
        run(["split", &file, "--test-share", "0.5", "--out", &out]).fails(2, &["--to csv"]);
        run(["split", &file, "--test-share", "0.5", "--out", &out, "--to", "csv"]).ok();
        run(["load", &place.path(&format!("{at}.kith")), &format!("{out}/train.csv")]).ok();
    }
}

#[test]
fn far_times_come_back_as_they_were() {
    let place = Place::new();
    let rows = "user,item,time\na,b,5200-01-01\na,c,9999-12-30\na,d,2611-04-26T20:31:43Z\na,e,1970-01-01T00:00:05Z\na,f,20240115\n";
    let (file, out) = (place.file("a.csv", rows), place.path("parts"));
    run(["split", &file, "--out", &out, "--to", "csv", "--test-share", "0.4"]).ok();
    run(["load", &place.path("one.kith"), &file]).ok();
    let [train, test] = ["train.csv", "test.csv"].map(|name| format!("{out}/{name}"));
    run(["load", &place.path("other.kith"), &train, &test]).ok();
    let told = |db: &str| {
        let history = run(["history", &place.path(db), "a", "--json"]).ok().json();
        let mut rows: Vec<String> = history["interactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{} {}", row["item"], row["time"]))
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(told("one.kith"), told("other.kith"));
    assert_eq!(told("one.kith").len(), 5);
}

#[test]
fn a_part_that_can_be_read_in_two_ways_is_told() {
    let place = Place::new();
    let rows: String = (0..300).map(|at| format!("u{},i{}\n", at / 10, at * 7 % 40)).collect();
    let (history, out) = (place.file("h.csv", format!("user,item\n{rows}")), place.path("parts"));
    let split = run(["split", &history, "--out", &out]).ok();
    // Two of ten are held out of every user: three words on every line.
    assert!(split.stderr.contains("test.txt can be read in two ways: pass --format lightgcn"), "{}", split.stderr);
    assert!(!split.stderr.contains("train.txt can"), "{}", split.stderr);
    let db = place.db();
    run(["load", &db, &format!("{out}/train.txt")]).ok();
    run(["train", &db, "--preset", "fast"]).ok();
    run(["eval", &db, "--test", &format!("{out}/test.txt")]).fails(2, &["--format lightgcn"]);
    run(["eval", &db, "--test", &format!("{out}/test.txt"), "--format", "lightgcn"]).ok();
}
