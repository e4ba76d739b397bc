//! Allow and deny lists, and what a user has already.

use crate::program::{run, trained};

fn ids(args: &[&str]) -> Vec<String> {
    let hits = run([args, &["--json"]].concat()).ok().json();
    hits["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn filters_work_before_the_best_are_taken() {
    let place = trained();
    let (db, history) = (place.db(), std::fs::read_to_string(place.path("history.csv")).unwrap());
    let mut row = history.lines().nth(1).unwrap().split(',');
    let (user, has) = (row.next().unwrap(), row.next().unwrap());
    let query = ["query", &db, "--user", user, "-k", "1000000"];
    let all = ids(&query);
    assert!(!all.iter().any(|id| id == has));

    let seen_too = ids(&[&query[..], &["--include-seen"]].concat());
    assert!(seen_too.len() > all.len() && seen_too.iter().any(|id| id == has));

    let deny = place.file("deny.txt", format!("{}\r\n\n{}\n", all[0], all[2]));
    assert_eq!(ids(&["query", &db, "--user", user, "-k", "2", "--deny", &deny]), [all[1].clone(), all[3].clone()]);

    let (late, last) = (&all[all.len() - 2], &all[all.len() - 1]);
    let allow = place.file("allow.txt", format!("{last}\n{late}\nunheard-of\n{has}\n"));
    assert_eq!(ids(&["query", &db, "--user", user, "--allow", &allow]), [late.clone(), last.clone()]);
    // What nobody knows is told: it may be misspelt.
    let told = run(["query", &db, "--user", user, "--allow", &allow]).ok().stderr;
    assert!(told.contains("1 of 4 ids") && told.contains("unheard-of"), "{told}");
    // Nothing left is a no.
    run(["query", &db, "--user", user, "--allow", &allow, "--deny", &allow]).fails(1, &[]);
}

#[test]
fn an_approximate_answer_is_labelled() {
    let place = trained();
    let query = ["query", &place.db(), "--items", "tea/classic-teapot", "-k", "20"];
    let exact = run([&query[..], &["--json"]].concat()).ok().json();
    let found = run([&query[..], &["--approximate", "40", "--json"]].concat()).ok().json();
    assert_eq!((&exact["exact"], &found["exact"]), (&true.into(), &false.into()));
    assert!(found["scored"].as_u64() <= Some(40) && found["hits"].as_array().unwrap().len() == 20, "{found}");
    assert!(run([&query[..], &["--approximate", "40"]].concat()).ok().stdout.contains("approximate"));
    run([&query[..], &["--approximate", "0"]].concat()).fails(2, &["0"]);
}
