//! A list of ids, one a line.

use std::io::BufRead;

use kithdb::{Id, IdKind};

use super::{Error, Source, foreign, id_text, row};

/// An id of a list, and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// From 1.
    pub line: u64,
    /// The id.
    pub id: Id,
}

/// Reads a list of item ids, one a line, written as in any file; blank lines are passed over. A list is a filter: unlike a file of interactions,
/// one bad line makes all of it useless.
///
/// # Errors
/// Where the file does not open or holds no text, or a line is no id; the line is named.
pub fn read_ids(source: &Source, kind: IdKind) -> Result<Vec<Listed>, Error> {
    let open = |error| Error::Open { source_name: source.clone(), error };
    let mut reader = source.open().map_err(open)?;
    if let Some((what, remedy)) = foreign::recognised(reader.fill_buf().map_err(open)?) {
        return Err(Error::Foreign { source_name: source.clone(), what, remedy });
    }
    let mut ids = Vec::new();
    for (number, line) in (1..).zip(reader.lines()) {
        let read = |error| Error::Read { source_name: source.clone(), line: number, error };
        let line = line.map_err(read)?;
        let text = line.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(&line);
        if !text.trim().is_empty() {
            let invalid = |reason| read(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
            let id = row::id("item", &id_text::plain(text), kind).map_err(invalid)?;
            ids.push(Listed { line: number, id });
        }
    }
    Ok(ids)
}
