//! The LightGCN layout: `user item item ...`, a user a line.

use std::io;

use kithdb::{Id, Interaction};

use super::delimited::NOT_UTF_8;
use super::id_text;
use super::lines::{Found, Lines, MAX_LINE, without_end};
use super::row::{self, IdKinds, Rejected, Row};

/// Reads interactions off lines. A line is taken whole or rejected whole; a user without items gives nothing.
pub(super) struct Lightgcn {
    lines: Lines,
    ids: IdKinds,
    line: Vec<u8>,
    user: Option<Id>,
    items: std::vec::IntoIter<Id>,
    pub(super) line_number: u64,
}

impl Lightgcn {
    pub(super) fn new(lines: Lines, ids: IdKinds) -> Self {
        Self { lines, ids, line: Vec::new(), user: None, items: Vec::new().into_iter(), line_number: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        loop {
            if let (Some(user), Some(item)) = (&self.user, self.items.next()) {
                return Ok(Some(Row::Interaction(Interaction::new(user, item))));
            }
            let outcome = match self.lines.read(&mut self.line)? {
                Found::End => return Ok(None),
                Found::TooLong(number) => {
                    self.line_number = number;
                    Err(format!("the line is longer than {} MiB", MAX_LINE >> 20))
                }
                Found::Line(number) => {
                    self.line_number = number;
                    parse(without_end(&self.line), self.ids)
                }
            };
            match outcome {
                Ok(Some((user, items))) => (self.user, self.items) = (Some(user), items.into_iter()),
                Ok(None) => {}
                Err(reason) => {
                    let raw = without_end(&self.line).to_vec();
                    return Ok(Some(Row::Rejected(Rejected { line: self.line_number, reason, raw })));
                }
            }
        }
    }
}

/// The user and items of a line, `None` for an empty one; the error is a reason.
fn parse(line: &[u8], ids: IdKinds) -> Result<Option<(Id, Vec<Id>)>, String> {
    let text = std::str::from_utf8(line).map_err(|_| NOT_UTF_8.to_owned())?;
    if text.contains('\r') {
        return Err("a carriage return stands inside the line; lines end with \\n or \\r\\n".into());
    }
    let mut words = text.split_ascii_whitespace();
    let Some(user) = words.next() else { return Ok(None) };
    let number = user.strip_suffix(':').filter(|number| !number.is_empty());
    if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(format!("a colon stands behind the user, {user:?}: leave it out, as sed 's/:/ /' does"));
    }
    let user = row::id("user", &id_text::plain(user), ids.user)?;
    let items = words.map(|item| row::id("item", &id_text::plain(item), ids.item)).collect::<Result<_, _>>()?;
    Ok(Some((user, items)))
}
