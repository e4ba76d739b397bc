//! Files that cannot be read at all: exit status 2, a message that names the file and the remedy, and nothing stored of any file.

use std::path::Path;

use crate::program::{Place, run};

#[track_caller]
fn refused(name: &str, content: impl AsRef<[u8]>, options: &[&str], texts: &[&str]) {
    let place = Place::new();
    let (db, good, bad) =
        (place.path("db"), place.file("good.csv", "user,item,a,b,c\nu,i,,,\n"), place.file(name, content));
    let files = if options.is_empty() { vec![&good, &bad] } else { vec![&bad] };
    let files: Vec<&str> = files.into_iter().map(String::as_str).collect();
    run([&["load", &db], &files[..], options].concat()).fails(2, &[&[name], texts].concat());
    assert!(!Path::new(&db).exists(), "files are checked before the database is made");
}

#[test]
fn a_missing_column() {
    refused("bad.csv", "patron,item\nu,i\n", &[], &["no column", "user", "\"patron\", \"item\"", "--user"]);
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
    let bare: Vec<u8> = "user,item\nu,i\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    refused("bad.txt", bare, &[], &["UTF-16", "iconv"]);
    refused("bad.csv", b"utilisateur,\xe9l\xe9ment\n", &[], &["first line", "UTF-8"]);
}

#[test]
fn a_file_that_is_no_text() {
    refused("bad.csv", b"PK\x03\x04\x14\0\0\0rows.csv", &[], &["zip", "unpack"]);
    refused("bad.txt", "user,item\ra,x\rb,y\r", &[], &["\\r alone", "tr "]);
    refused("bad.csv", b"PAR1\x15\x04", &["--user", "1", "--item", "2"], &["Parquet"]);
    refused("bad.csv", "<!DOCTYPE html>\n<html>\n", &[], &["web page"]);
    refused("bad.json", "[\n{\"user\": 1, \"item\": 2}\n]\n", &[], &["JSON array", "jq"]);
}

#[test]
fn a_format_nobody_named() {
    refused("bad.data", "u,i\n", &[], &["\"u\", \"i\"", "--user 1 --item 2"]);
    refused("bad.data", "u:i\n", &["--header", "yes"], &["--delimiter", "--format lightgcn"]);
}

#[test]
fn columns_of_a_format_without_columns() {
    refused("bad.txt", "0 1 2\n", &["--format", "lightgcn", "--user", "user"], &["lightgcn", "no columns"]);
}

#[test]
fn a_file_that_is_not_there_or_a_directory() {
    let place = Place::new();
    run(["load", &place.path("db"), &place.path("nowhere.csv")]).fails(2, &["nowhere.csv", "cannot open"]);
    std::fs::create_dir(place.path("folder.csv")).unwrap();
    run(["load", &place.path("db"), &place.path("folder.csv"), "--format", "csv"]).fails(2, &["folder.csv"]);
    assert!(!Path::new(&place.path("db")).exists());
}
