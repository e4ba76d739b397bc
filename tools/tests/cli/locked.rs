//! One process opens a database at a time.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::program::{Place, command, run};

#[test]
fn a_second_process_is_told_who_has_it() {
    let place = Place::new();
    let db = place.path("db");
    // A load that waits for the rest of its input holds the database.
    let mut holder = command(["load", &db, "-", "--format", "lightgcn"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all("u i\n".repeat(2000).as_bytes()).unwrap();
    input.flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let second = loop {
        let second = run(["stats", &db]);
        if second.stderr.contains("is open in") || Instant::now() > deadline {
            break second;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    second.fails(2, &["is open in", &holder.id().to_string(), "close it there first"]);
    input.write_all(b"u i\n").unwrap();
    drop(input);
    assert!(holder.wait().unwrap().success());
    run(["stats", &db]).ok();
}
