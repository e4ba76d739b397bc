//! Files of interactions: whatever is in them, a reader ends, every row it gives can be stored, and how the bytes come changes nothing.

use std::io::{Cursor, Read, Write};

use kithdb::{Id, IdKind};
use kithdb_fuzz::{corpus, fuzz};
use kithdb_tools::input::{Columns, Format, IdKinds, Reader, ReaderOptions, Row, Source};

const TOKENS: &[&[u8]] = &[
    b",",
    b"\t",
    b"\n",
    b"\r\n",
    b"\"",
    b"\"\"",
    b"\xef\xbb\xbf",
    b"\0",
    b" ",
    b"user",
    b"item",
    b"weight",
    b"timestamp",
    b"1e39",
    b"-0",
    b"NaN",
    b"inf",
    b"18446744073709551616",
    b"9223372036854775808",
    b"\xff\xfe",
    b"\xc3",
    b";",
    b"'",
    b"0x10",
    b"+5",
];

/// Gives few bytes at a time.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = out.len().min(1 + self.1 % 5);
        self.1 += 1;
        self.0.read(&mut out[..length])
    }
}

/// What a reader makes of bytes: rows, then the error it ends with, if any.
fn read(source: &Source, options: &ReaderOptions, bytes: Box<dyn Read>) -> Vec<String> {
    let reader = match Reader::open_through(source, options, |_| bytes) {
        Ok(reader) => reader,
        Err(error) => return vec![format!("cannot open: {error}")],
    };
    reader
        .map(|row| match row {
            Ok(Row::Interaction(interaction)) => {
                for id in [&interaction.user, &interaction.item] {
                    let length = match id {
                        Id::Int(_) => 8,
                        Id::Negative(_) => 0,
                        Id::Str(text) => text.len(),
                        Id::Bytes(bytes) => bytes.len(),
                    };
                    assert!((1..=kithdb::MAX_ID_BYTES).contains(&length), "{id:?} cannot be stored");
                }
                assert!(interaction.weight.is_finite() && interaction.weight > 0.0, "{interaction:?}");
                format!("{interaction:?}")
            }
            Ok(Row::Rejected(rejected)) => format!("{rejected:?}"),
            Err(error) => format!("cannot read: {error}"),
        })
        .collect()
}

/// Two readings of the same bytes give the same rows. Where they end in an error, how many rows came before it may differ.
fn agree(one: &[String], other: &[String], how: &str) {
    let failed = |rows: &[String]| rows.last().is_some_and(|row| row.starts_with("cannot"));
    assert_eq!(failed(one), failed(other), "{how}: {one:?}, {other:?}");
    if failed(one) {
        let rows = (one.len() - 1).min(other.len() - 1);
        assert_eq!(one[..rows], other[..rows], "{how}");
    } else {
        assert_eq!(one, other, "{how}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tables(format: Format, folder: &'static str, by_number: bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows");
    std::fs::write(&path, "").unwrap();
    let number = |n: &str| by_number.then(|| n.to_owned());
    let columns = Columns { user: number("1"), item: number("2"), weight: number("3"), ..Columns::default() };
    let name = format!("{folder}{}", if by_number { "-by-number" } else { "" });
    fuzz(&name, corpus(folder), TOKENS, 6_000, move |bytes| {
        let _keep = &directory;
        let source = Source::from(path.clone());
        let mut outcome = "nothing";
        for kind in [IdKind::Str, IdKind::U64] {
            let options = ReaderOptions {
                format: Some(format),
                columns: columns.clone(),
                ..ReaderOptions::of(IdKinds { user: kind, item: kind })
            };
            let rows = read(&source, &options, Box::new(Cursor::new(bytes.to_vec())));
            let trickled = read(&source, &options, Box::new(Trickle(Cursor::new(bytes.to_vec()), 0)));
            agree(&trickled, &rows, "in small pieces");
            // Bytes that are compressed themselves are taken apart once only; nothing compressed is nothing.
            let compressed = bytes.starts_with(&[0x1f, 0x8b])
                || bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
                || bytes.get(1..4) == Some(&[0x2a, 0x4d, 0x18]);
            if !compressed {
                agree(&read(&source, &options, Box::new(Cursor::new(gzip(bytes)))), &rows, "compressed");
            }
            outcome = match rows.last() {
                None => outcome,
                Some(row) if row.starts_with("cannot") => "refused",
                Some(_) => "rows",
            };
        }
        outcome
    });
}

#[test]
fn csv() {
    tables(Format::Csv, "csv", false);
}

#[test]
fn csv_by_number() {
    tables(Format::Csv, "csv", true);
}

#[test]
fn tsv() {
    tables(Format::Tsv, "tsv", false);
}

#[test]
fn lightgcn() {
    tables(Format::Lightgcn, "lightgcn", false);
}

#[test]
fn compressed_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows");
    std::fs::write(&path, "").unwrap();
    let mut seeds = corpus("compressed");
    seeds.extend(corpus("lightgcn").iter().map(|bytes| gzip(bytes)));
    fuzz("compressed", seeds, &[b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"], 6_000, move |bytes| {
        let _keep = &directory;
        let kinds = IdKinds { user: IdKind::Str, item: IdKind::Str };
        let options = ReaderOptions { format: Some(Format::Lightgcn), ..ReaderOptions::of(kinds) };
        let source = Source::from(path.clone());
        let rows = read(&source, &options, Box::new(Cursor::new(bytes.to_vec())));
        let trickled = read(&source, &options, Box::new(Trickle(Cursor::new(bytes.to_vec()), 3)));
        agree(&trickled, &rows, "in small pieces");
        if rows.last().is_some_and(|row| row.starts_with("cannot")) { "refused" } else { "rows" }
    });
}
