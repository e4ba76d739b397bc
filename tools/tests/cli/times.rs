//! Times are numbers of any unit or dates, and told of where they are implausible.

use crate::program::{Place, Run, run};

fn load(content: &str, options: &[&str]) -> (Run, Vec<Option<String>>) {
    let place = Place::new();
    let file = place.file("a.csv", content);
    let run = run([&["load", &place.path("db"), &file, "--dry-run", "--json"], options].concat()).ok();
    let rows = run.json()["files"][0]["rows"].as_array().unwrap().clone();
    (run, rows.iter().map(|row| row["time"].as_str().map(str::to_owned)).collect())
}

fn some(times: &[&str]) -> Vec<Option<String>> {
    times.iter().map(|&time| Some(time.to_owned())).collect()
}

#[test]
fn every_unit_and_iso_8601() {
    let rows = "user,item,time\na,x,20240115\nb,x,1705312800\nc,y,1705312800000\nd,y,1705312800000000\ne,y,1705312800000000000\nf,y,2024-01-15T10:00:00Z\ng,y,2024-01-15 11:00:00+01:00\nh,y,2024-01-15\n";
    let ten = "2024-01-15T10:00:00Z";
    let (run, times) = load(rows, &[]);
    assert_eq!(times, some(&["2024-01-15T00:00:00Z", ten, ten, ten, ten, ten, ten, "2024-01-15T00:00:00Z"]));
    assert!(run.stderr.contains("read as dates") && run.stderr.contains("microseconds"), "{}", run.stderr);
    let (run, times) = load("user,item,time\na,x,1705312800\n", &[]);
    assert_eq!((times, run.stderr.as_str()), (some(&[ten]), ""));
}

#[test]
fn implausible_times_are_told_of() {
    let (run, times) = load("user,item,time\na,x,1705312800\nb,x,20240115\nc,x,7\n", &[]);
    assert_eq!(times[1].as_deref(), Some("1970-08-23T06:15:15Z"));
    assert!(
        run.stderr.contains("2 times") && run.stderr.contains("line 3") && run.stderr.contains("1970-08-23"),
        "{}",
        run.stderr
    );
    let (_, times) = load("user,item,time\na,x,7\n", &["--time-unit", "ms"]);
    assert_eq!(times, some(&["1970-01-01T00:00:00.007Z"]));
}

#[test]
fn times_can_be_left_out() {
    let rows = "user,item,time\na,x,29-01-2021 07:01\nb,x,soon\n";
    let (run, times) = load(rows, &["--time", "none"]);
    assert_eq!((times, run.stderr.as_str()), (vec![None, None], ""));
    let place = Place::new();
    let told = run_load(&place, rows).fails(1, &["a.csv:2:", "29-01-2021 07:01", "ISO 8601"]);
    assert!(told.stderr.contains("no database was made"), "{}", told.stderr);
}

fn run_load(place: &Place, rows: &str) -> Run {
    run(["load", &place.path("db"), &place.file("a.csv", rows)])
}
