//! A list of ids, one a line.

use std::io::{self, BufRead, ErrorKind};

use kithdb::{Id, IdKind, MAX_ID_BYTES};

use super::head::Head;
use super::{Error, Source, foreign, id_text, row};

/// An id of a list, and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// From 1.
    pub line: u64,
    /// The id.
    pub id: Id,
}

/// Reads a list of ids of a `what`, one a line, written as in any file; blank lines are passed over, and an id in quotes may have line ends. A list is a filter: unlike a file of interactions,
/// one bad line makes all of it useless.
///
/// # Errors
/// Where the file does not open or holds no text, or a line is no id; the line is named.
pub fn read_ids(source: &Source, what: &str, kind: IdKind) -> Result<Vec<Listed>, Error> {
    let open = |error| Error::Open { source_name: source.clone(), error };
    let (head, mut reader) = source.open().and_then(Head::of).map_err(open)?;
    if let Some((what, remedy)) = foreign::recognised(head.bytes()) {
        return Err(Error::Foreign { source_name: source.clone(), what, remedy });
    }
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    for number in 1.. {
        let read = |error| Error::Read { source_name: source.clone(), line: number, error };
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(read)? == 0 {
            break;
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| read(io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8")))?;
        lines.push(text.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(text).to_owned());
    }
    let (mut ids, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let taken = lines_of(&lines[at..]);
        let (number, text) = (at as u64 + 1, lines[at..at + taken].concat());
        if !text.trim().is_empty() {
            let invalid = |reason| Error::Read {
                source_name: source.clone(),
                line: number,
                error: io::Error::new(ErrorKind::InvalidData, reason),
            };
            let id = row::id(what, &id_text::plain(&text), kind).map_err(invalid)?;
            ids.push(Listed { line: number, id });
        }
        at += taken;
    }
    Ok(ids)
}

/// How many of these lines the first id takes: more than one where a quote that it begins with is closed in a later one.
fn lines_of(lines: &[String]) -> usize {
    let mut text = String::new();
    for (taken, line) in (1..).zip(lines) {
        text += line;
        let (bare, quotes) = (text.trim(), text.matches('"').count());
        if !bare.starts_with('"') || text.len() > 4 * MAX_ID_BYTES {
            break;
        }
        if quotes % 2 == 0 {
            return if bare.ends_with('"') { taken } else { 1 };
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::quoted_id;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(u64, String)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let ids = read_ids(&Source::from(file.path().to_owned()), "item", IdKind::Str).unwrap();
        ids.into_iter().map(|listed| (listed.line, listed.id.to_string())).collect()
    }

    #[test]
    fn an_id_in_quotes_may_have_line_ends_and_a_stray_quote_is_one_of_its_line() {
        let text = "\u{feff}a\r\n\"b\nc\"\n\n5\" \n\"f\"\n\"d\ne\n";
        let ids = [(1, "a"), (2, "b\nc"), (5, "5\""), (6, "f"), (7, "\"d"), (8, "e")];
        assert_eq!(read("abc\r\nd\r\n"), [(1, "abc".to_owned()), (2, "d".to_owned())]);
        assert_eq!(read(text), ids.map(|(line, id)| (line, id.to_owned())));
    }

    proptest! {
        #[test]
        fn a_list_that_is_written_is_read_back(ids in prop::collection::vec("[a\", \t\r\n\u{1b}\u{feff}\u{e9}]{1,6}", 1..8)) {
            let text: String = ids.iter().map(|id| quoted_id(id).into_owned() + "\n").collect();
            let back: Vec<String> = read(&text).into_iter().map(|(_, id)| id).collect();
            prop_assert_eq!(back, ids);
        }
    }
}
