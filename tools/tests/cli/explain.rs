//! Why an item has its score.

use crate::program::{run, trained};

#[test]
fn an_explanation_adds_up_to_the_score_of_a_query() {
    let place = trained();
    let (db, history) = (place.db(), std::fs::read_to_string(place.path("history.csv")).unwrap());
    let user = history.lines().nth(1).unwrap().split(',').next().unwrap();
    let hits = run(["query", &db, "--user", user, "-k", "3", "--json"]).ok().json();
    let (item, score) = (hits["hits"][1]["id"].as_str().unwrap(), hits["hits"][1]["score"].as_f64().unwrap());
    let args = ["explain", &db, "--user", user, "--item", item];
    let explanation = run([&args[..], &["--json"]].concat()).ok().json();
    assert_eq!((explanation["score"].as_f64(), explanation["user"].as_str()), (Some(score), Some(user)));
    let layers = explanation["layers"].as_array().unwrap();
    let sum = layers.iter().fold(0.0f32, |sum, share| sum + share["contribution"].as_f64().unwrap() as f32);
    assert_eq!(sum, score as f32);
    let pulls = explanation["pulls"].as_array().unwrap();
    let own = history.lines().filter(|line| line.starts_with(&format!("{user},"))).count();
    assert_eq!(pulls.len(), own);
    let pulled: f64 = pulls.iter().map(|pull| pull["pull"].as_f64().unwrap()).sum();
    assert!((pulled - explanation["folded_score"].as_f64().unwrap()).abs() < 1e-4 * score.abs(), "{explanation}");

    let text = run(args).ok().stdout;
    assert!(text.contains(item) && text.contains(pulls[0]["item"].as_str().unwrap()), "{text}");
    run(["explain", &db, "--user", user, "--item", "no-such-thing"]).fails(1, &["unknown item no-such-thing"]);
    run(["explain", &db, "--user", "nobody", "--item", item]).fails(1, &["unknown user nobody"]);
    run(["explain", &db, "--user", user]).fails(2, &["--item"]);
}
