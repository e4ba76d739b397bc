//! What columns of attributes are taken to be: told, and never at the cost of what a cell says.

use crate::program::{Place, run};

/// Loads a file of items; what was told, and what the items have then.
fn loaded(place: &Place, rows: &str, options: &[&str]) -> (serde_json::Value, Vec<serde_json::Value>) {
    let (db, file) = (place.path("db"), place.file("items.csv", rows));
    let told = run(["load-items", &db, &file, "--json"].iter().chain(options)).ok().json();
    let dumped = run(["dump", &db, "--attributes", "items", "--form", "jsonl", "-o", "-"]).ok().stdout;
    (told, dumped.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_cell_that_says_that_there_is_no_value_makes_no_column_of_texts() {
    let place = Place::new();
    let rows = "item,price,stock\nkettle,10,true\nmug,N/A,none\npot,30,false\npan,NaN,NULL\ncup,-,yes\n";
    let (told, items) = loaded(&place, &rows.replace("yes", "true"), &[]);
    let kinds = serde_json::json!({ "price": "number", "stock": "boolean" });
    assert_eq!((&told["files"][0]["attributes"], &told["rejected"]), (&kinds, &0.into()));
    assert_eq!(items[1], serde_json::json!({ "item": "pot", "price": 30.0, "stock": false }));
    assert_eq!(items.iter().map(|own| own["item"].as_str().unwrap()).collect::<Vec<_>>(), ["kettle", "pot", "cup"]);
    // In a column that is one of numbers already too.
    let (told, items) = loaded(&place, "item,price\nkettle,null\n", &[]);
    assert_eq!((&told["rejected"], &items[0]["price"]), (&0.into(), &serde_json::json!(10.0)));
    run(["set-item", &place.path("db"), "kettle", "price=n/a"]).fails(2, &["price is", "n/a", "price= takes it away"]);
}

#[test]
fn a_column_that_a_few_cells_make_texts_is_told_with_the_first_and_a_remedy() {
    let rows = "item,price\nkettle,10\nmug,N.A.?\npot,30\npan,inf\ncup,5\n";
    let place = Place::new();
    let (told, _) = loaded(&place, rows, &[]);
    let odd = serde_json::json!({ "attribute": "price", "most_are": "number", "line": 3, "cell": "N.A.?", "cells": 2 });
    assert_eq!(told["files"][0]["odd"], serde_json::json!([odd]));
    let text = run(["load-items", &place.path("other"), &place.path("items.csv")]).ok().stdout;
    for words in ["price is text because of line 3: `N.A.?` and 1 more, where most are numbers", "--numbers price"] {
        assert!(text.contains(words), "{text}");
    }
    let numbers = Place::new();
    let (told, items) = loaded(&numbers, rows, &["--numbers", "price"]);
    assert_eq!((&told["rows"], &told["rejected"], items.len()), (&3.into(), &2.into(), 3));
    // What is a text already is not made another by an option.
    run(["load-items", &place.path("db"), &place.path("items.csv"), "--numbers", "price"])
        .fails(2, &["price is text in this database", "--numbers"]);
}

#[test]
fn a_text_of_json_among_numbers_is_one_where_it_looks_so() {
    let place = Place::new();
    let rows = "{\"item\":\"a\",\"price\":5}\n{\"item\":\"b\",\"price\":\"6\"}\n{\"item\":\"c\",\"price\":\"NA\"}\n";
    let (told, items) = loaded(&place, rows, &[]);
    assert_eq!(told["files"][0]["attributes"], serde_json::json!({ "price": "number" }));
    assert_eq!((&items[1]["price"], items.len()), (&serde_json::json!(6.0), 2));
}

#[test]
fn numbers_come_back_as_they_were_written_or_not_at_all() {
    let place = Place::new();
    let rows = "item,ean,big,code,price\na,12345678901234567890,9007199254740993,00789,9.50\nb,5,6,7,0.1\n";
    let (told, items) = loaded(&place, rows, &[]);
    let kinds = serde_json::json!({ "ean": "text", "big": "text", "code": "text", "price": "number" });
    assert_eq!(told["files"][0]["attributes"], kinds);
    assert_eq!(items[0]["ean"], "12345678901234567890");
    assert_eq!((&items[0]["big"], &items[0]["code"]), (&"9007199254740993".into(), &"00789".into()));
    // Where the column is one of numbers already, the row is set aside.
    let other = Place::new();
    loaded(&other, "item,n\na,1\nb,2\nc,3\n", &[]);
    let rows = other.file("more.csv", "item,n\na,00789\nb,9007199254740993\nc,4\n");
    let more = run(["load-items", &other.path("db"), &rows, "--json"]).ok();
    assert_eq!((&more.json()["rows"], &more.json()["rejected"]), (&1.into(), &2.into()));
    for words in ["more.csv:2: n is \"00789\"", "come back as 789", "more.csv:3:", "9007199254740992"] {
        assert!(more.stderr.contains(words), "{words}: {}", more.stderr);
    }
    let json =
        other.file("more.jsonl", "{\"item\":\"a\",\"n\":12345678901234567890123}\n{\"item\":\"b\",\"n\":1e30}\n");
    let more = run(["load-items", &other.path("db"), &json, "--json"]).ok();
    assert_eq!((&more.json()["rows"], &more.json()["rejected"]), (&1.into(), &1.into()));
    assert!(more.stderr.contains("more.jsonl:1: n is a whole number of more digits"), "{}", more.stderr);
    run(["set-item", &other.path("db"), "a", "n=007"]).fails(2, &["007", "come back as 7"]);
}
