//! Files that are something else than lines of UTF-8: what they are, and what to do about it.

/// What a file begins with that is no text, and its name and remedy.
const BEGINNINGS: [(&[u8], &str, &str); 22] = [
    (b"\xff\xfe", "UTF-16 (or UTF-32) text", "convert it to UTF-8: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "convert it to UTF-8: iconv -f UTF-16 -t UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text", "convert it to UTF-8: iconv -f UTF-32 -t UTF-8"),
    (
        b"PK\x03\x04",
        "a zip archive (or an Excel workbook)",
        "unpack it (or save the sheet as csv) and pass the file inside",
    ),
    (b"PK\x05\x06", "an empty zip archive", "pass a file of interactions"),
    (b"BZh", "bzip2", "unpack it: bunzip2 < FILE | kithdb load DB -"),
    (b"\xfd7zXZ\0", "xz", "unpack it: xz -dc FILE | kithdb load DB -"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and pass the file inside"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it and pass the file inside"),
    (b"\x04\x22\x4d\x18", "lz4", "unpack it: lz4 -dc FILE | kithdb load DB -"),
    (b"PAR1", "a Parquet file", "write it as csv or JSON lines"),
    (b"ARROW1", "an Arrow file", "write it as csv or JSON lines"),
    (b"FEA1", "a Feather file", "write it as csv or JSON lines"),
    (b"ORC\0", "an ORC file", "write it as csv or JSON lines"),
    (
        b"%%MatrixMarket",
        "a Matrix Market file",
        "pass what is below its head: grep -v '^%' FILE | tail -n +2 | kithdb load DB - --user 1 --item 2 --weight 3",
    ),
    (b"Obj\x01", "an Avro file", "write it as csv or JSON lines"),
    (b"\x93NUMPY", "a NumPy file", "vectors go in with import-embeddings; write interactions as csv"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write it as csv or JSON lines"),
    (b"SQLite format 3\0", "an SQLite database", "write the table as csv: sqlite3 -csv -header"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", "save the sheet as csv"),
    (b"%PDF-", "a PDF", "pass a file of interactions"),
    (b"\x1f\x8b", "gzip within its compression", "unpack it once: gunzip"),
];

/// What is the matter with a file that begins so, and the remedy; `None` where it may be lines of text.
pub(super) fn recognised(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some(&(_, what, remedy)) = BEGINNINGS.iter().find(|(beginning, ..)| head.starts_with(beginning)) {
        return Some((what, remedy));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", "unpack it and pass the file inside"));
    }
    let start = head.get(..4096.min(head.len())).unwrap_or_default();
    // Text in which every other byte is NUL.
    let nuls = |from: usize| start.iter().skip(from).step_by(2).filter(|&&byte| byte == 0).count();
    let most = start.len() / 2;
    if most >= 2 && (nuls(0) * 10 >= most * 7 || nuls(1) * 10 >= most * 7) {
        return Some(("UTF-16 text (or binary)", "convert it to UTF-8: iconv -f UTF-16LE -t UTF-8"));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"<!doctype") || begins(b"<html") || begins(b"<?xml") {
        return Some(("a web page or XML", "pass the file itself: a download may have ended in an error page"));
    }
    if head.contains(&b'\r') && !head.contains(&b'\n') {
        return Some(("text whose lines end with \\r alone (CR)", "convert its line ends: tr '\\r' '\\n' < FILE"));
    }
    None
}

/// What stands above the rows of a text and is none of them, and the remedy.
pub(super) fn above(text: &[u8]) -> Option<(&'static str, &'static str)> {
    let first = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    let lower = first.to_ascii_lowercase();
    match () {
        () if lower.strip_prefix(b"sep=").is_some_and(|rest| rest.len() <= 1) => Some((
            "a file that begins with a spreadsheet's line on separators",
            "take it out: tail -n +2 FILE | kithdb load DB - (or pass --header yes or no, if it is a row)",
        )),
        () if first.starts_with(b"#") || first.starts_with(b"%") || first.starts_with(b"//") => Some((
            "a file that begins with a comment",
            "take such lines out: grep -v '^[#%/]' FILE | kithdb load DB - (or pass --header yes or no, if it is a row)",
        )),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named() {
        let utf_16: Vec<u8> = "user,item\nu1,i1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "user,item\nu1,i1\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let with_mark: Vec<u8> = [&b"\xff\xfe"[..], &utf_16].concat();
        for (head, name) in [
            (&utf_16[..], "UTF-16"),
            (&big, "UTF-16"),
            (&with_mark, "UTF-16"),
            (b"PK\x03\x04\x14\0", "zip"),
            (b"user,item\ra,x\rb,y\r", "\\r alone"),
            (b"user,item\r", "\\r alone"),
            (b"\xef\xbb\xbf<!DOCTYPE html>", "web page"),
            (b"BZh9", "bzip2"),
        ] {
            assert!(recognised(head).is_some_and(|(what, _)| what.contains(name)), "{name}");
        }
        for text in [&b"user,item\r\na,x\r\n"[..], b"", b"a", b"1 2 3", b"u,\0\n", b"PKs,item\n", b"item,<html>\n"] {
            assert_eq!(recognised(text), None, "{text:?}");
        }
    }
}
