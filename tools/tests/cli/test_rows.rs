//! Rows of a test that test nothing are counted and warned of.

use crate::program::{run, trained};

#[test]
fn rows_that_are_loaded_repeated_or_unknown_are_told() {
    let place = trained();
    let history = std::fs::read_to_string(place.path("history.csv")).unwrap();
    let held_out = std::fs::read_to_string(place.path("held-out.csv")).unwrap();
    let test = |name: &str, rows: &[&str]| {
        let file = place.file(name, format!("{}\n{}\n", held_out.lines().next().unwrap(), rows.join("\n")));
        let run = run(["eval", &place.db(), "--test", &file, "-k", "10", "--json"]).ok();
        let json = run.json();
        let keys = ["already_loaded", "repeated_rows", "of_unknown_users", "of_unknown_items"];
        (keys.map(|key| json[key].as_u64().unwrap()), run.stderr)
    };
    let (loaded, fresh) = (history.lines().nth(1).unwrap(), held_out.lines().nth(1).unwrap());
    let cell = |row: &str, at: usize| row.split(',').nth(at).unwrap().to_owned();
    let stranger = fresh.replacen(&cell(fresh, 0), "stranger", 1);
    let unheard_of = fresh.replacen(&cell(fresh, 1), "unheard-of", 1);
    let (counts, told) = test("odd.csv", &[fresh, loaded, fresh, &stranger, &unheard_of]);
    assert_eq!(counts, [1, 1, 1, 1]);
    for text in ["1 of the 5 rows", "loaded already", "repeat an earlier", "users unknown", "items unknown"] {
        assert!(told.contains(text), "{text}: {told}");
    }
    assert_eq!(test("sound.csv", &[fresh]), ([0; 4], String::new()));
    let (counts, told) = test("overlap.csv", &history.lines().skip(1).collect::<Vec<_>>());
    assert_eq!(counts[0] as usize, history.lines().count() - 1);
    assert!(told.contains("warning"), "{told}");
}

#[test]
fn what_users_have_already_is_found_where_it_is_ranked_too() {
    let place = trained();
    let history = place.path("history.csv");
    let eval = |extra: &[&str]| {
        let run = run([&["eval", &place.db(), "--test", &history, "-k", "20", "--json"], extra].concat()).ok();
        (run.json()["recall@20"].as_f64().unwrap(), run.stderr)
    };
    let ((without, warned), (with, silent)) = (eval(&[]), eval(&["--include-seen"]));
    assert!(without == 0.0 && warned.contains("--include-seen"), "{without} {warned}");
    assert!(with > 0.3 && silent.is_empty(), "{with} {silent}");
    // What it is compared with has them as well.
    let args = ["eval", &place.db(), "--test", &history, "-k", "20", "--json", "--popularity", "--include-seen"];
    let popular = run(args).ok().json()["popularity"]["recall@20"].as_f64().unwrap();
    assert!(popular > 0.0 && popular < with, "{popular} {with}");
}
