//! Lists of ids that the program writes, and takes.

use crate::program::{Place, run, trained};

#[test]
fn a_listing_is_a_list() {
    let place = Place::new();
    let db = place.db();
    let rows = "user,item\nann,\"a\u{1b}b\"\nann,\"two\nlines\"\nann,\" blanks \"\nbob,\"a,b\"\nbob,\"say \"\"hi\"\"\"\nbob,plain\n";
    run(["load", &db, &place.file("a.csv", rows)]).ok();
    let listed = run(["items", &db]).ok().stdout;
    let all = run(["items", &db, "--json"]).ok().json()["items"].as_array().unwrap().len();
    assert_eq!(all, 6);
    let allow = place.file("items.txt", listed);
    let hits = run(["query", &db, "--user", "nobody", "--popular", "--allow", &allow, "--strict", "--json"]).ok();
    assert_eq!(hits.json()["hits"].as_array().unwrap().len(), 6);
    let deny = run(["query", &db, "--user", "nobody", "--popular", "--deny", &allow, "--strict"]);
    assert_eq!(deny.status, 1, "{}", deny.stdout);
}

#[test]
fn users_that_nobody_knows_are_told_of_as_items_are() {
    let place = trained();
    let db = place.db();
    let known: Vec<String> = run(["users", &db]).ok().stdout.lines().take(2).map(str::to_owned).collect();
    let users = place.file("users.txt", format!("{}\nx\ny\n{}\nz\nw\n", known[0], known[1]));
    let recommend = ["recommend", &db, "--users", &users, "-o", "-"];
    let told = run(recommend).ok().stderr;
    assert!(told.contains("4 of 6 ids are of no user known here, x of line 2, y of line 3, z of line 5"), "{told}");
    run([&recommend[..], &["--strict"]].concat()).fails(2, &["users.txt:2: x is no user", "--strict"]);
    let joined = place.file("joined.txt", format!("{},{}\n", known[0], known[1]));
    run(["recommend", &db, "--users", &joined, "-o", "-"]).fails(2, &["joined.txt:1:", "one id a line"]);
    let sound = place.file("sound.txt", known.join("\n"));
    assert_eq!(run(["recommend", &db, "--users", &sound, "-o", "-", "--strict"]).ok().stderr, "");
}

#[test]
fn listed_ids_are_strings_where_that_is_asked_for() {
    let place = Place::new();
    let db = place.db();
    run(["load", &db, &place.file("a.csv", "user,item\n1,18446744073709551615\n2,7\n"), "--id-type", "u64"]).ok();
    let list = |of: &str| run([of, &db, "--json", "--ids-as-strings"]).ok().json()[of].clone();
    assert_eq!(list("users"), serde_json::json!(["1", "2"]));
    assert_eq!(list("items"), serde_json::json!(["18446744073709551615", "7"]));
    assert_eq!(run(["stats", &db, "--json", "--ids-as-strings"]).ok().json()["users"], 2);
}
