//! Measures beside those of popularity, and of known users apart.

use crate::program::{Place, run, trained};

#[test]
fn popularity_has_a_row_of_all_measures_below_each_of_ours() {
    let place = trained();
    let eval = ["eval", &place.db(), "--test", &place.path("held-out.csv"), "-k", "5,20", "--popularity"];
    let text = run(eval).ok().stdout;
    let json = run([&eval[..], &["--json"]].concat()).ok().json();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.contains(" popularity ") && !line.contains("recall")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    for (row, k) in rows.iter().zip([5, 20]) {
        for measure in ["recall", "ndcg", "map", "coverage", "gini"] {
            let figure = format!("{:.4}", json["popularity"][format!("{measure}@{k}")].as_f64().unwrap());
            assert!(row.contains(&figure), "{measure}@{k} {figure}: {row}");
        }
    }
}

#[test]
fn known_users_are_measured_apart_where_some_are_not_known() {
    let place = trained();
    let held_out = std::fs::read_to_string(place.path("held-out.csv")).unwrap();
    let (header, rows) = held_out.split_once('\n').unwrap();
    let strangers: String = rows.lines().map(|row| format!("stranger-{row}\n")).collect();
    let measured = |name: &str, rows: &str| {
        let file = place.file(name, format!("{header}\n{rows}"));
        let eval = ["eval", &place.db(), "--test", &file, "-k", "20", "--popularity"];
        (run([&eval[..], &["--json"]].concat()).json(), run(eval).stdout)
    };
    let (all_known, _) = measured("known.csv", rows);
    assert!(all_known.get("known_users").is_none());
    let (mixed, text) = measured("mixed.csv", &format!("{rows}{strangers}"));
    assert_eq!(mixed["known_users"]["recall@20"], all_known["recall@20"]);
    assert_eq!(mixed["known_users"]["popularity"]["recall@20"], all_known["popularity"]["recall@20"]);
    assert!(
        mixed["recall@20"].as_f64() < all_known["recall@20"].as_f64() && text.contains("users known here"),
        "{text}"
    );
    let (none, text) = measured("strangers.csv", &strangers);
    assert!(none.get("known_users").is_none() && !text.contains("NaN"), "{text}");
}

#[test]
fn the_page_warns_of_what_the_terminal_does() {
    let place = trained();
    let page = run(["report", &place.db(), "--test", &place.path("history.csv"), "-o", "-"]).ok();
    assert!(page.stderr.contains("loaded already") && page.stdout.contains("loaded already"));
    let place = Place::new();
    run(["load", &place.db(), &place.file("a.csv", "user,item\nann,cup\n")]).ok();
    let html = run(["report", &place.db(), "-o", "-"]).ok().stdout;
    assert!(html.contains("Gets nothing") && !html.contains("or_popular") && !html.contains("train()"));
}
