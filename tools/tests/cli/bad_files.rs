//! Files that cannot be read at all: exit status 2, a message that names the file and the remedy, and nothing stored of any file.

use std::path::Path;

use crate::program::{Place, run};

#[track_caller]
fn refused(name: &str, content: impl AsRef<[u8]>, options: &[&str], texts: &[&str]) {
    let place = Place::new();
    let (db, good, bad) =
        (place.path("db"), place.file("good.csv", "user,item,a,b,c\nu,i,,,\n"), place.file(name, content));
    run([&["load", &db, &good, &bad], options].concat()).fails(2, &[&[name], texts].concat());
    assert!(!Path::new(&db).exists(), "files are checked before the database is made");
}

#[test]
fn a_missing_column() {
    refused("bad.csv", "client,item\nu,i\n", &[], &["no column", "user", "\"client\", \"item\"", "--user"]);
    refused("bad.csv", "user,item,b\nu,i,1\n", &["--weight", "c"], &["\"c\"", "weight", "--weight"]);
    refused("bad.csv", "u,i\n", &["--user", "1", "--item", "3"], &["\"3\"", "2 columns"]);
}

#[test]
fn an_empty_file() {
    for name in ["bad.csv", "bad.tsv", "bad.txt", "bad.csv.gz", "bad.txt.zst"] {
        refused(name, "", &[], &["is empty"]);
    }
    refused("bad.csv", "\n\n", &[], &["is empty"]);
}

#[test]
fn a_file_of_another_encoding() {
    refused("bad.csv", b"\xff\xfeu\0s\0e\0r\0", &[], &["UTF-16", "UTF-8"]);
    refused("bad.csv", b"utilisateur,\xe9l\xe9ment\n", &[], &["first line", "UTF-8"]);
}

#[test]
fn a_format_nobody_named() {
    refused("bad.data", "u,i\n", &[], &["--format"]);
}

#[test]
fn columns_of_a_format_without_columns() {
    refused("bad.txt", "0 1 2\n", &["--user", "user"], &["lightgcn", "no columns"]);
}

#[test]
fn a_file_that_is_not_there_or_a_directory() {
    let place = Place::new();
    run(["load", &place.path("db"), &place.path("nowhere.csv")]).fails(2, &["nowhere.csv", "cannot open"]);
    std::fs::create_dir(place.path("folder.csv")).unwrap();
    run(["load", &place.path("db"), &place.path("folder.csv"), "--format", "csv"]).fails(2, &["folder.csv"]);
    assert!(!Path::new(&place.path("db")).exists());
}
