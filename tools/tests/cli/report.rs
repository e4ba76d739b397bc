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

/// A training with epochs has its curve, by the figures it reports, and the table of jobs none of its points.
#[test]
fn trainings_with_epochs_have_curves() {
    let place = trained();
    let (db, set) = (place.db(), |setting| ["--set", setting]);
    let flags = [set("teacher.epochs=6"), set("teacher.factors=8")].concat();
    let trained = run([vec!["train", &db, "--model", "mf", "--json"], flags].concat()).ok().json();
    let html = run(["report", &db, "-o", "-"]).ok().stdout;
    assert!(html.contains("Recall@20 of the teacher on the hold-out by epoch, job 2") && !html.contains("_recalls"));
    let epochs = trained["training"]["teacher_epochs"].as_array().unwrap();
    let recalls: Vec<f64> = epochs.iter().filter_map(|epoch| epoch["recall"].as_f64()).collect();
    assert!(recalls.len() > 3);
    for recall in recalls {
        assert!(html.contains(&format!("<td class=\"number\">{recall:.4}</td>")), "{recall}");
    }
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

/// Paths are bytes, and JSON is text.
#[test]
fn a_path_that_is_no_text_is_written_to_and_told() {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let place = trained();
    for (command, flag) in [("report", "-o"), ("compact", "--copy")] {
        let mut out = place.path("bad").into_bytes();
        out.extend([0xff, command.as_bytes()[0]]);
        let out = std::ffi::OsString::from_vec(out);
        let db = place.db();
        let args = [command, &db, "--json", flag].map(|arg| std::ffi::OsStr::from_bytes(arg.as_bytes()));
        assert!(run(args.into_iter().chain([out.as_os_str()])).ok().json().is_object());
        assert!(std::path::Path::new(&out).exists());
    }
}
