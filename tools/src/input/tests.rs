//! Whole files through the reader.

use std::path::{Path, PathBuf};

use kithdb::{Id, IdKind, Interaction};
use proptest::prelude::*;

use super::*;

const STRINGS: IdKinds = IdKinds { user: IdKind::Str, item: IdKind::Str };

struct Given {
    _dir: tempfile::TempDir,
    source: Source,
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> Given {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Given { _dir: dir, source: Source::from(path) }
}

fn read_as(given: &Given, columns: Columns, ids: IdKinds) -> Result<Vec<Row>, Error> {
    Reader::open(&given.source, &ReaderOptions { columns, ..ReaderOptions::of(ids) })?.collect()
}

fn read(name: &str, bytes: impl AsRef<[u8]>) -> Vec<Row> {
    read_as(&file(name, bytes), Columns::default(), STRINGS).unwrap()
}

fn edge(user: &str, item: &str) -> Row {
    Row::Interaction(Interaction::new(user, item))
}

/// The line and reason of each rejected row, and how many rows were good.
fn rejects(rows: &[Row]) -> (Vec<(u64, &str)>, usize) {
    let bad: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Rejected(rejected) => Some((rejected.line, rejected.reason.as_str())),
            Row::Interaction(_) => None,
        })
        .collect();
    let good = rows.len() - bad.len();
    (bad, good)
}

#[test]
fn lightgcn_lines_hold_a_user_and_items() {
    let rows = read("train.txt", "u1 a b  c \r\n\nu2\nu3\td\n: e f");
    let first = [edge("u1", "a"), edge("u1", "b"), edge("u1", "c"), edge("u3", "d")];
    assert_eq!(rows, [&first[..], &[edge(":", "e"), edge(":", "f")]].concat());
}

#[test]
fn lightgcn_lines_are_rejected_whole() {
    let text = [b"1 2 3 4 5 6\n1 \xff 4\n1 x 5\n2\n".as_slice(), b"9 18446744073709551616\n"].concat();
    let ids = IdKinds { user: IdKind::U64, item: IdKind::U64 };
    let rows = read_as(&file("train.txt", &text), Columns::default(), ids).unwrap();
    let (bad, good) = rejects(&rows);
    assert_eq!(good, 5);
    assert_eq!(bad.iter().map(|&(line, _)| line).collect::<Vec<_>>(), [2, 3, 5]);
    assert!(bad[0].1.contains("UTF-8") && bad[1].1.contains("\"x\""), "{bad:?}");
    let raw = rows.iter().find_map(|row| if let Row::Rejected(r) = row { Some(r.raw.clone()) } else { None });
    assert_eq!(raw.unwrap(), b"1 \xff 4");
}

#[test]
fn csv_columns_are_found_by_their_header() {
    let rows = read(
        "a.csv",
        "\u{feff}item_id,when,user_id,weight,timestamp\r\n\"a, b\",x,u1,2.5,7\r\n\"say \"\"hi\"\"\",,u2,,\r\n",
    );
    let first = Interaction { weight: 2.5, time: Some(7000), ..Interaction::new("u1", "a, b") };
    assert_eq!(rows, [Row::Interaction(first), edge("u2", "say \"hi\"")]);
}

#[test]
fn csv_without_a_header_goes_by_number() {
    let columns = Columns { user: Some("2".into()), item: Some("1".into()), ..Columns::default() };
    let rows = read_as(&file("a.tsv", "a\tu1\nb\tu2\n"), columns.clone(), STRINGS).unwrap();
    assert_eq!(rows, [edge("u1", "a"), edge("u2", "b")]);
    // The first row can be bad like any other.
    let rows = read_as(&file("a.tsv", "a\t\nb\tu2\n"), columns, STRINGS).unwrap();
    assert_eq!(rejects(&rows), (vec![(1, "the user is empty")], 1));
}

#[test]
fn csv_rows_are_rejected_one_by_one() {
    let long = "x".repeat(513);
    let text = [
        b"user,item,weight,time\nu,i,1,\nu,i\nu,i,1,2,3\nu,i,0,\nu,i,1,noon\n,i,1,\n\xff,i,1,\nu,".as_slice(),
        long.as_bytes(),
        b",1,\nu,j,1,\nu,\rk,1,\n",
    ];
    let rows = read("a.csv", text.concat());
    let (bad, good) = rejects(&rows);
    assert_eq!(good, 2);
    let expected = [
        (3, "2 columns where the first line has 4"),
        (4, "5 columns"),
        (5, "the weight \"0\""),
        (6, "the time \"noon\""),
        (7, "the user is empty"),
        (8, "UTF-8"),
        (9, "513 bytes"),
        (11, "carriage return"),
    ];
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    for (bad, expected) in bad.iter().zip(expected) {
        assert!(bad.0 == expected.0 && bad.1.contains(expected.1), "{bad:?} {expected:?}");
    }
}

#[test]
fn a_quote_that_never_closes_costs_its_own_line() {
    let rest: String = (0..20_000).map(|n| format!("u{n},i\n")).collect();
    let rows = read("a.csv", format!("user,item\nu,\"two\nlines\"\nu,\"5 inch\n{rest}u,\"again\n"));
    let (bad, good) = rejects(&rows);
    assert_eq!(good, 20_001);
    let lines: Vec<u64> = bad.iter().map(|&(line, _)| line).collect();
    assert_eq!(lines, [4, 20_005]);
    assert!(bad.iter().all(|(_, reason)| reason.contains("not closed")), "{bad:?}");
    assert_eq!(rows[0], edge("u", "two\nlines"));
    assert!(matches!(&rows[1], Row::Rejected(r) if r.raw == b"u,\"5 inch"));
}

#[test]
fn files_that_hold_nothing_or_something_else_are_errors() {
    for name in ["a.txt", "a.csv", "a.csv.gz"] {
        let error = read_as(&file(name, ""), Columns::default(), STRINGS).unwrap_err();
        assert!(matches!(error, Error::Empty { .. }), "{error}");
    }
    assert!(matches!(read_as(&file("a.csv", "\n\r\n"), Columns::default(), STRINGS), Err(Error::Empty { .. })));
    assert_eq!(read("a.csv", "user,item\n"), []);
    assert!(matches!(read_as(&file("a.data", "u,i\n"), Columns::default(), STRINGS), Err(Error::MissingColumn { .. })));
    assert!(matches!(
        read_as(&file("a.csv", b"\xe9,item\n"), Columns::default(), STRINGS),
        Err(Error::HeaderNotText { .. })
    ));
    let named = Columns { user: Some("u".into()), ..Columns::default() };
    assert!(matches!(read_as(&file("a.txt", "0 1\n"), named.clone(), STRINGS), Err(Error::MissingColumn { .. })));
    assert!(matches!(read_as(&file("a.lightgcn", "0 1\n"), named, STRINGS), Err(Error::NoColumns { .. })));
    let nowhere = Given { _dir: tempfile::tempdir().unwrap(), source: PathBuf::from("/nowhere/a.csv").into() };
    assert!(matches!(read_as(&nowhere, Columns::default(), STRINGS), Err(Error::Open { .. })));
}

#[test]
fn damaged_compression_is_an_error_after_the_rows_before_it() {
    use std::io::Write;
    let text: String = (0..200_000).map(|n| format!("u{n} i{}\n", n * 7919 % 1000)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let given = file("a.txt.gz", &whole[..whole.len() / 2]);
    let rows: Vec<_> = Reader::open(&given.source, &ReaderOptions::of(STRINGS)).unwrap().collect();
    let (last, before) = rows.split_last().unwrap();
    assert!(before.len() > 1000 && before.iter().all(Result::is_ok));
    assert!(matches!(last, Err(Error::Read { line, .. }) if *line as usize == before.len()));
}

#[test]
fn id_lists_have_an_id_a_line() {
    let given = file("allow.txt", "\u{feff}a b\r\n\n c\n");
    let listed = |line, id: &str| Listed { line, id: Id::from(id) };
    assert_eq!(read_ids(&given.source, "item", IdKind::Str).unwrap(), [listed(1, "a b"), listed(3, "c")]);
    let quoted = file("allow.txt", "\"i4\"\n\" i5 \"\n");
    assert_eq!(read_ids(&quoted.source, "item", IdKind::Str).unwrap(), [listed(1, "i4"), listed(2, " i5 ")]);
    let error = read_ids(&file("allow.txt", "1\nx\n").source, "item", IdKind::U64).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("\"x\""), "{error}");
}

#[test]
fn reject_files_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejects.csv");
    let mut rejects = RejectFile::create(&path).unwrap();
    let row =
        Rejected { line: 3, reason: "the weight \"0\" is not finite and above 0".into(), raw: b"a,\"b\n\xff".to_vec() };
    rejects.add(&Source::from(Path::new("in.csv").to_owned()), &row).unwrap();
    rejects.finish().unwrap();
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let record = reader.byte_records().next().unwrap().unwrap();
    assert_eq!(record, csv::ByteRecord::from(vec![&b"in.csv"[..], b"3", row.reason.as_bytes(), &row.raw]));
}

proptest! {
    /// Whatever the csv crate writes comes back cell by cell.
    #[test]
    fn written_cells_are_read_back(rows in proptest::collection::vec(("[a,\" \n\t\u{e9}]{1,6}", "[a,\"\r\n ]{1,6}"), 1..20), tabs: bool) {
        let (name, delimiter) = if tabs { ("a.tsv", b'\t') } else { ("a.csv", b',') };
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        writer.write_record(["user", "item"]).unwrap();
        rows.iter().for_each(|(user, item)| writer.write_record([user, item]).unwrap());
        let expected: Vec<Row> = rows.iter().map(|(user, item)| edge(user, item)).collect();
        prop_assert_eq!(read(name, writer.into_inner().unwrap()), expected);
    }

    /// No bytes make a reader panic or loop, and every row is accounted for on a line of the file.
    #[test]
    fn arbitrary_bytes_are_rows_or_errors(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"ui01,\t \"\r\n"[..])], 0..400),
        name in proptest::sample::select(&["a.csv", "a.tsv", "a.txt"][..]),
        header: bool,
    ) {
        let header = if header { &b"user,item,weight,time\n"[..] } else { b"" };
        let bytes = [header, &bytes].concat();
        let lines = bytes.split(|&b| b == b'\n').count() as u64;
        for columns in [Columns::default(), Columns { user: Some("1".into()), item: Some("2".into()), ..Columns::default() }] {
            if let Ok(rows) = read_as(&file(name, &bytes), columns, STRINGS) {
                let (bad, _) = rejects(&rows);
                prop_assert!(bad.windows(2).all(|pair| pair[0].0 < pair[1].0));
                prop_assert!(bad.iter().all(|&(line, _)| (1..=lines).contains(&line)));
            }
        }
    }
}
