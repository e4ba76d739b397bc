//! A list of ids, one a line.

use std::io::BufRead;

use kithdb::{Id, IdKind};

use super::{Error, Source, row};

/// Reads a list of item ids, one a line; blank lines are passed over. A list is a filter: unlike a file of interactions, one bad line makes all of
/// it useless.
///
/// # Errors
/// Where the file does not open, or a line is no id; the line is named.
pub fn read_ids(source: &Source, kind: IdKind) -> Result<Vec<Id>, Error> {
    let open = |error| Error::Open { source_name: source.clone(), error };
    let mut ids = Vec::new();
    for (number, line) in (1..).zip(source.open().map_err(open)?.lines()) {
        let read = |error| Error::Read { source_name: source.clone(), line: number, error };
        let line = line.map_err(read)?;
        let text = line.strip_prefix('\u{feff}').filter(|_| number == 1).unwrap_or(&line).trim();
        if !text.is_empty() {
            let invalid = |reason| read(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
            ids.push(row::id("item", text, kind).map_err(invalid)?);
        }
    }
    Ok(ids)
}
