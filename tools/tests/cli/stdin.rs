//! `-` is stdin.

use crate::program::{Place, run, run_with_stdin};

#[test]
fn rows_come_from_stdin_among_files() {
    let place = Place::new();
    let (db, file) = (place.path("db"), place.file("a.csv", "user,item\nu,i\n"));
    let loaded =
        run_with_stdin(["load", &db, &file, "-", "--format", "csv", "--json"], b"item,user\nj,v\nk,v\n").ok().json();
    assert_eq!((&loaded["interactions"], &loaded["users"]), (&3.into(), &2.into()));
}

#[test]
fn stdin_is_recognised_like_a_file() {
    let place = Place::new();
    run_with_stdin(["load", &place.path("db"), "-"], b"").fails(2, &["stdin is empty"]);
    run_with_stdin(["load", &place.path("db"), "-"], b"1 10 5\n2 20 3\n").fails(2, &["two ways", "--format lightgcn"]);
    assert!(!std::path::Path::new(&place.path("db")).exists(), "nothing was made");
    let loaded = run_with_stdin(["load", &place.path("db"), "-", "--json"], b"item;user\nj;v\n").ok().json();
    assert_eq!((&loaded["interactions"], &loaded["files"][0]["delimiter"]), (&1.into(), &";".into()));
}

#[test]
fn an_empty_stdin_is_an_error() {
    let place = Place::new();
    run_with_stdin(["load", &place.path("db"), "-", "--format", "csv"], b"").fails(2, &["stdin is empty"]);
}

#[test]
fn a_test_can_come_from_stdin() {
    let place = crate::program::trained();
    let test = std::fs::read(place.path("held-out.csv")).unwrap();
    let piped =
        run_with_stdin(["eval", &place.db(), "--test", "-", "--format", "csv", "-k", "10", "--json"], &test).ok();
    let read = run(["eval", &place.db(), "--test", &place.path("held-out.csv"), "-k", "10", "--json"]).ok();
    assert_eq!(piped.json()["recall@10"], read.json()["recall@10"]);
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_once() {
    let place = Place::new();
    let (db, pipe) = (place.path("db"), place.path("pipe.txt"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "u i j\n").unwrap()
    });
    assert_eq!(run(["load", &db, &pipe, "--format", "lightgcn", "--json"]).ok().json()["interactions"], 2);
    writer.join().unwrap();
}
