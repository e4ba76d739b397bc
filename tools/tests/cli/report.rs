//! A page about a database.

use crate::program::{Place, run, trained};

#[test]
fn a_page_stands_by_itself_and_shows_what_there_is() {
    let place = trained();
    let (db, out) = (place.db(), place.path("report.html"));
    let json = run(["report", &db, "--test", &place.path("held-out.csv"), "-o", &out, "--json"]).ok().json();
    let html = std::fs::read_to_string(&out).unwrap();
    assert_eq!(json["bytes"].as_u64().unwrap() as usize, html.len());
    assert!(html.len() < 1 << 20);
    for outside in ["http:", "https:", "<script", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    for section in ["Space", "Interactions", "Quality", "Queries", "Trainings and compactions", "Some users"] {
        assert!(html.contains(&format!("<h2>{section}</h2>")), "{section}");
    }
    // Every element that is opened is closed.
    for element in
        ["ul", "li", "table", "tr", "td", "th", "svg", "text", "rect", "figure", "details", "p", "main", "div"]
    {
        let opened = html.matches(&format!("<{element}>")).count() + html.matches(&format!("<{element} ")).count();
        let closed = html.matches(&format!("</{element}>")).count();
        assert_eq!(opened, closed, "{element}");
    }
    let recall = run(["eval", &db, "--test", &place.path("held-out.csv"), "-k", "20", "--json"]).ok().json();
    let recall = format!("<td class=\"number\">{:.4}</td>", recall["recall@20"].as_f64().unwrap());
    assert!(html.contains(&recall), "{recall}");
}

#[test]
fn a_database_with_nothing_in_it_has_a_page_too() {
    let place = Place::new();
    let rows = "user,item\n<b>ann</b>,\"a & b\"\n";
    run(["load", &place.db(), &place.file("a.csv", rows)]).ok();
    let html = run(["report", &place.db(), "-o", "-"]).ok().stdout;
    assert!(
        html.contains("Nothing is trained yet") && html.contains("&lt;b&gt;ann&lt;/b&gt;") && !html.contains("<b>ann")
    );
    run(["report", &place.db(), "-o", &place.path("no/where.html")]).fails(2, &["where.html"]);
}
