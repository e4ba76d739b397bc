//! The models there are.

use kithdb::Model;

use crate::program::{Place, run};

#[test]
fn models_are_listed_a_line_each() {
    let listed = run(["train", "--list-models"]).ok().stdout;
    for name in Model::NAMES {
        let lines = listed.lines().filter(|line| line.split_whitespace().next() == Some(name));
        assert_eq!(lines.count(), 1, "{name}");
    }
    let json = run(["train", "--list-models", "--json"]).ok().json();
    assert_eq!(json["models"].as_array().unwrap().len(), Model::NAMES.len());
    // Nothing else is left out.
    run(["train"]).fails(2, &["<DB>"]);
    run(["train", &Place::new().db(), "--list-models"]).fails(2, &["--list-models"]);
}
