//! Attributes beside ids: those there are, and no others.

use crate::program::{run, trained};

#[test]
fn an_attribute_that_is_not_there_is_refused_by_those_that_are() {
    let place = trained();
    let db = place.db();
    let user = run(["users", &db]).ok().stdout.lines().next().unwrap().to_owned();
    let item = run(["items", &db]).ok().stdout.lines().next().unwrap().to_owned();
    run(["query", &db, "--user", &user, "--show", "price"]).fails(2, &["nothing is said of items", "load-items"]);
    run(["load-items", &db, &place.file("items.csv", format!("item,price\n{item},5\n"))]).ok();
    run(["load-users", &db, &place.file("users.csv", format!("user,city\n{user},Oslo\n"))]).ok();
    let asked: [&[&str]; 6] = [
        &["query", &db, "--user", &user],
        &["recommend", &db, "--all", "-o", "-"],
        &["similar", &db, &item],
        &["similar-users", &db, &user],
        &["items", &db],
        &["explain", &db, "--user", &user, "--item", &item],
    ];
    for args in asked {
        let there = if args[0] == "similar-users" { "city" } else { "price" };
        run([args, &["--show", "nosuch"]].concat()).fails(2, &["no attribute `nosuch`", there]);
        run([args, &["--show", &format!("title,{there}")]].concat()).ok();
    }
}

#[test]
fn an_explanation_shows_what_is_asked_for() {
    let place = trained();
    let db = place.db();
    let user = run(["users", &db]).ok().stdout.lines().next().unwrap().to_owned();
    let items = run(["items", &db]).ok().stdout;
    let rows: String = items.lines().map(|item| format!("{item},5,T-{item}\n")).collect();
    run(["load-items", &db, &place.file("items.csv", format!("item,price,title\n{rows}"))]).ok();
    let explain = ["explain", &db, "--user", &user, "--item", items.lines().next().unwrap()];
    let text = run([&explain[..], &["--show", "price"]].concat()).ok().stdout;
    assert!(text.contains("price = 5") && text.contains("own item") && text.contains("  price"), "{text}");
    let json = run([&explain[..], &["--show", "price", "--json"]].concat()).ok().json();
    assert_eq!(json["attributes"]["price"], 5.0);
    assert_eq!(json["pulls"][0]["attributes"]["price"], 5.0);
    assert!(json["pulls"][0]["title"].as_str().unwrap().starts_with("T-"));
}
