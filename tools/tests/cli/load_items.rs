//! What a load of attributes tells, what it settles, and what is left of one that fails.

use crate::program::{Place, run};

#[test]
fn ids_that_are_new_changed_and_the_same_are_told_apart() {
    let place = Place::new();
    let db = place.db();
    run(["load", &db, &place.file("a.csv", "user,item\nann,kettle\nann,mug\nbob,pot\n")]).ok();
    run(["set-item", &db, "pot", "price=3"]).ok();
    let items = place.file("items.csv", "item,price\nkettle,10\nkettel,11\npot,3\nkettle,12\nmug,\n");
    let told = run(["load-items", &db, &items]).ok().stdout;
    assert!(told.contains("1 new ids, 1 updated, 2 as before, 1 row names an id again"), "{told}");
    let told = run(["load-items", &db, &items, "--json"]).ok().json();
    let counts = ["new", "updated", "unchanged", "named_again"].map(|name| told[name].as_u64().unwrap());
    assert_eq!((counts, &told["files"][0]["new"]), ([0, 0, 4, 1], &0.into()));
    let users = place.file("users.csv", "user,city\nann,Oslo\nzoe,Rome\n");
    let told = run(["load-users", &db, &users, "--json"]).ok().json();
    assert_eq!((&told["new"], &told["updated"]), (&1.into(), &1.into()));
    let beside = run(["load", &db, &place.path("a.csv"), "--items", &items]).ok().stdout;
    assert!(beside.contains("0 new ids"), "{beside}");
}

#[test]
fn an_item_that_is_set_for_the_first_time_is_told_of() {
    let place = Place::new();
    let db = place.db();
    run(["load", &db, &place.file("a.csv", "user,item\nann,kettle\n")]).ok();
    let new = run(["set-item", &db, "kettel", "price=5", "--json"]).ok();
    assert!(new.stderr.contains("a new item: kettel") && new.json()["new"] == true, "{}", new.stderr);
    let known = run(["set-item", &db, "kettle", "price=5"]).ok();
    assert!(!known.stderr.contains("new item"), "{}", known.stderr);
}

#[test]
fn a_load_that_fails_makes_no_database() {
    let place = Place::new();
    let db = place.path("new.kith");
    let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
    let cells: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let wide = place.file("wide.csv", format!("item,{}\na,{}\n", names.join(","), cells.join(",")));
    run(["load-items", &db, &wide]).fails(2, &["wide.csv", "300 attributes", "256", "--only"]);
    assert!(!std::path::Path::new(&db).exists());
    // An id that cannot be stored is a reject, not the end.
    let long = place.file("long.csv", format!("item,price\n{},1\n", "x".repeat(600)));
    run(["load-items", &db, &long]).fails(1, &["long.csv:2:", "600 bytes"]);
    assert!(!std::path::Path::new(&db).exists());
    let orders = place.file("a.csv", "user,item\nann,kettle\n");
    run(["load", &db, &orders, "--items", &place.path("nosuch.csv")]).fails(2, &["nosuch.csv", "--items"]);
    assert!(!std::path::Path::new(&db).exists());
    run(["load-items", &db, &orders, &place.path("nosuch.csv")]).fails(2, &["cannot open", "nosuch.csv"]);
    assert!(!std::path::Path::new(&db).exists());
    run(["load-items", &db, &wide, "--only", "c1,c2"]).ok();
}

#[test]
fn a_database_made_by_items_is_settled_as_one_made_by_interactions() {
    let place = Place::new();
    let db = place.db();
    let items = place.file("items.csv", "item,price\n7,1\n8,2\nmug,3\n");
    let told = run(["load-items", &db, &items, "--id-type", "u64", "--repeats", "sum", "--json"]).ok().json();
    assert_eq!((&told["rows"], &told["rejected"]), (&2.into(), &1.into()));
    assert_eq!(run(["items", &db, "--json"]).ok().json()["items"], serde_json::json!([7, 8]));
    let plays = place.file("plays.csv", "user,item,weight\nann,7,2\nann,7,3\n");
    assert_eq!(run(["load", &db, &plays, "--json"]).ok().json()["repeats"], "sum");
    run(["load-items", &db, &items, "--id-type", "str"]).fails(2, &["item ids", "whole numbers", "--id-type"]);
    run(["load-items", &db, &items, "--repeats", "max"]).fails(2, &["--repeats is settled"]);
}

#[test]
fn a_column_that_is_not_there_is_told_by_those_that_are() {
    let place = Place::new();
    let items = place.file("z1.csv", "item,code\na,007\n");
    run(["load-items", &place.db(), &items, "--item", "nosuch"]).fails(2, &["\"nosuch\"", "item, code"]);
}

#[test]
fn a_column_called_id_has_the_ids_whatever_else_things_are_called() {
    for (option, header, expected) in [
        ("load-items", "id,title,price,stock", Ok("id")),
        ("load-items", "brand,category,id", Ok("id")),
        ("load-items", "id,product_id,category", Ok("product_id")),
        ("load-items", "id,sku", Err("id and sku could have the ids")),
        ("load-users", "id,name,device", Ok("id")),
        ("load-users", "id,user,device", Ok("user")),
    ] {
        let place = Place::new();
        let cells: Vec<String> = (0..header.split(',').count()).map(|n| format!("c{n}")).collect();
        let file = place.file("a.csv", format!("{header}\n{}\n", cells.join(",")));
        let run = run([option, &place.db(), &file]);
        match expected {
            Ok(name) => assert!(run.ok().stdout.contains(&format!("ids from {name},")), "{header}"),
            Err(told) => drop(run.fails(2, &[told, "--item"])),
        }
    }
}
