//! One rule for ids in files, in lists and on the command line; what nobody knows is told; nothing an id holds reaches the terminal.

use crate::program::{Place, Run, run};

const ROWS: &str = "user,item\nu4,\"salt, fine\"\nu4,i4\nu5, i4 \nu5,\" i5 \"\nu6,i6\n-5,-x\n-6,-y\n-6,-x\n";

fn shop() -> Place {
    let place = Place::new();
    run(["load", &place.db(), &place.file("rows.csv", ROWS)]).ok();
    place
}

fn ids(run: Run) -> Vec<String> {
    let json = run.ok().json();
    let mut ids: Vec<String> =
        json["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// The popular items that the user has not, of these only.
fn allowed(place: &Place, list: &str) -> Vec<String> {
    let list = place.file("list.txt", list);
    ids(run(["query", &place.db(), "--user", "u6", "--popular", "--allow", &list, "--strict", "--json"]))
}

#[test]
fn blanks_around_an_id_are_none_of_it_unless_quoted() {
    let place = shop();
    // The same item, with and without blanks in the file.
    let stats = run(["stats", &place.db(), "--json"]).ok().json();
    assert_eq!(stats["items"], 6);
    assert_eq!(allowed(&place, "\u{feff} i4 \r\n"), ["i4"]);
    assert_eq!(allowed(&place, "\"i4\"\n\" i5 \"\n\"salt, fine\"\nsalt, fine\n"), [" i5 ", "i4", "salt, fine"]);
    let seen = |args: &[&str]| ids(run([&["query", &place.db(), "--popular", "--json"], args].concat()));
    for basket in [&["--items", "\"salt, fine\", i4"][..], &["--item", "salt, fine", "--item", " i4 "]] {
        assert_eq!(seen(basket), [" i5 ", "-x", "-y", "i6"], "{basket:?}");
    }
    assert_eq!(seen(&["--user", " u4 "]), [" i5 ", "-x", "-y", "i6"]);
    assert!(seen(&["--item", "\" i5 \""]).iter().all(|id| id != " i5 "));
}

#[test]
fn ids_that_look_like_options_are_ids() {
    let place = shop();
    for args in [&["--user", "-5"][..], &["--items", "-x"], &["--item", "-x"]] {
        let found = ids(run([&["query", &place.db(), "--popular", "--json"], args].concat()));
        assert!(found.contains(&"-y".to_owned()) && !found.contains(&"-x".to_owned()), "{args:?} {found:?}");
    }
    // Options after them are options still.
    run(["similar", &place.db(), "-x", "-k", "3"]).fails(2, &["nothing has been trained"]);
    run(["explain", &place.db(), "--user", "-5", "--item", "-x"]).fails(2, &["nothing has been trained"]);
}

#[test]
fn unknown_ids_of_a_list_are_told_with_their_line() {
    let place = shop();
    let query = |option: &str, list: &str, strict: &[&str]| {
        let list = place.file("list.txt", list);
        run([&["query", &place.db(), "--user", "u6", "--popular", option, &list], strict].concat())
    };
    for option in ["--allow", "--deny"] {
        let told = query(option, "item_id\ni4\n", &[]).ok().stderr;
        assert!(
            told.contains("1 of 2 ids") && told.contains("item_id of line 1") && told.contains("--strict"),
            "{told}"
        );
        query(option, "item_id\ni4\n", &["--strict"]).fails(2, &["list.txt:1:", "item_id"]);
        query(option, "i4\n\n\"i5\"\n", &["--strict"]).fails(2, &["list.txt:3:", "i5"]);
        // Several ids on a line would let everything through.
        for list in ["i4,i6,-x\n", "i4;i6\n", "i4\ti6\n", "i4 i6\n"] {
            query(option, list, &[]).fails(2, &["list.txt:1:", "one id a line"]);
        }
        query(option, "i4\n", &["--strict"]).ok();
    }
    run(["query", &place.db(), "--items", "i4,i0", "--popular", "--strict"]).fails(2, &["i0", "--strict"]);
    let told = run(["query", &place.db(), "--items", "i4,i0", "--popular"]).ok().stderr;
    assert!(told.contains("unknown items were ignored: i0"), "{told}");
}

#[test]
fn control_characters_are_printed_escaped() {
    let place = Place::new();
    let rows = "user,item\nother,\"esc\u{1b}]0;title\u{7}\"\nother,\"line\nbreak\"\nother,nul\0nul\nother,\u{9b}31mred\nplain,ok\n";
    run(["load", &place.db(), &place.file("rows.csv", rows)]).ok();
    let query = ["query", &place.db(), "--user", "plain", "--popular"];
    let text = run(query).ok().stdout;
    for escaped in ["esc\\u{1b}]0;title\\u{7}", "line\\nbreak", "nul\\u{0}nul", "\\u{9b}31mred"] {
        assert!(text.contains(escaped), "{escaped}: {text}");
    }
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    // JSON has them as they are.
    assert!(ids(run([&query[..], &["--json"]].concat())).contains(&"line\nbreak".to_owned()));
    // So do messages.
    let told = run(["query", &place.db(), "--user", "no\u{1b}body"]).fails(1, &["no\\u{1b}body"]).stderr;
    assert!(!told.contains('\u{1b}'));
}

#[test]
fn ids_that_are_numbers_can_be_strings_in_json() {
    let place = Place::new();
    run(["load", &place.db(), &place.file("a.csv", "user,item\n1,18446744073709551615\n2,3\n"), "--id-type", "u64"])
        .ok();
    let query = ["query", &place.db(), "--items", "3,9", "--popular", "--json"];
    let numbers = run(query).ok().json();
    assert_eq!((&numbers["hits"][0]["id"], &numbers["unknown_items"][0]), (&u64::MAX.into(), &9.into()));
    let strings = run([&query[..], &["--ids-as-strings"]].concat()).ok().json();
    assert_eq!(strings["hits"][0]["id"], "18446744073709551615");
    assert_eq!(
        (&strings["unknown_items"][0], &strings["hits"][0]["score"]),
        (&"9".into(), &numbers["hits"][0]["score"])
    );
}

#[test]
fn blanks_behind_a_closing_quote_are_none_of_an_id() {
    let place = Place::new();
    let db = place.db();
    let rows = "user,item\na,\"x, y\" \n\"b\" , \"z\"\nc,\" z \"\n\" c\"\t,plain \n";
    run(["load", &db, &place.file("a.csv", rows)]).ok();
    let ids = |of: &str| run([of, &db, "--json"]).ok().json()[of].clone();
    assert_eq!(ids("items"), serde_json::json!(["x, y", "z", " z ", "plain"]));
    assert_eq!(ids("users"), serde_json::json!(["a", "b", "c", " c"]));
    // The same ids in a file of attributes.
    let items = "item,price\n\"x, y\" ,1\n\" z \",2\n\"\"\"q\"\"\",3\n";
    let loaded = run(["load-items", &db, &place.file("items.csv", items), "--json"]).ok().json();
    assert_eq!((&loaded["new"], &loaded["updated"]), (&1.into(), &2.into()), "{loaded}");
    assert_eq!(ids("items")[4], "\"q\"");
    let json = place.file("items.jsonl", "{\"item\":\" z \",\"price\":5}\n");
    assert_eq!(run(["load-items", &db, &json, "--json"]).ok().json()["new"], 0);
}

#[test]
fn ids_that_differ_by_blanks_differ_in_tables() {
    let place = Place::new();
    let db = place.db();
    run(["load", &db, &place.file("a.csv", "user,item\nu,\"x \"\nu,x\n")]).ok();
    let table = run(["history", &db, "u"]).ok().stdout;
    assert!(table.contains("\"x \"") && table.contains("\nx "), "{table}");
}
