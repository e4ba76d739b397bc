//! A file that lists items or users, which are to be known.

use std::path::Path;

use kithdb::{Id, ItemSet, Side};

use super::database::Known;
use crate::input::{self, Listed, Source};
use crate::output::{self, Output};

/// Ids that are named of those that nobody knows.
const NAMED: usize = 3;

/// A list of ids, and what becomes of those that nobody knows.
pub(super) struct KnownList<'a> {
    pub(super) file: &'a Path,
    /// Whether they are an error.
    pub(super) strict: bool,
}

impl KnownList<'_> {
    /// The set of the items listed.
    ///
    /// # Errors
    /// As [`KnownList::ids`].
    pub(super) fn items(&self, db: &impl Known, output: &Output) -> anyhow::Result<ItemSet> {
        Ok(db.item_set(self.ids(db, Side::Item, output)?)?)
    }

    /// The ids listed; those that nobody knows here are told of.
    ///
    /// # Errors
    /// Where the list cannot be read, where a line seems to hold several ids, and for unknown ids if it is strict.
    pub(super) fn ids(&self, db: &impl Known, side: Side, output: &Output) -> anyhow::Result<Vec<Id>> {
        let (name, what) = (self.file.display(), if side == Side::Item { "item" } else { "user" });
        let kind = db.id_kind(side).unwrap_or(kithdb::IdKind::Str);
        let listed = input::read_ids(&Source::from(self.file.to_owned()), what, kind)?;
        let mut unknown = Vec::new();
        for line in &listed {
            if !db.knows(side, &line.id)? {
                unknown.push(line);
            }
        }
        for Listed { line, id } in unknown.iter().take(1000) {
            // A filter that silently holds none of what it lists lets everything through.
            if holds_several(db, side, &id.to_string())? {
                anyhow::bail!("{name}:{line}: {id} is no {what} known here, and its parts are: write one id a line");
            }
        }
        if let Some(Listed { line, id }) = unknown.first() {
            anyhow::ensure!(!self.strict, "{name}:{line}: {id} is no {what} known here (--strict)");
            let named = unknown.iter().take(NAMED).map(|Listed { line, id }| format!("{id} of line {line}"));
            output.note(&format!(
                "{name}: {} of {} ids are of no {what} known here, {} for {}; --strict makes that an error",
                output::count(unknown.len() as u64),
                output::count(listed.len() as u64),
                named.collect::<Vec<_>>().join(", "),
                if unknown.len() == 1 { "one" } else { "some" }
            ));
        }
        Ok(listed.into_iter().map(|listed| listed.id).collect())
    }
}

/// Whether a text is a list of ids: all of its parts are known, or most of several.
fn holds_several(db: &impl Known, side: Side, text: &str) -> kithdb::Result<bool> {
    let kind = db.id_kind(side).unwrap_or(kithdb::IdKind::Str);
    for between in [',', ';', '|', '\t', ' '] {
        let (mut parts, mut known) = (0, 0);
        for part in text.split(between) {
            parts += 1;
            known += match Id::parse(&input::plain_id(part), kind) {
                Ok(id) => usize::from(db.knows(side, &id)?),
                Err(_) => 0,
            };
        }
        if known >= 2 && (known == parts || (between != ' ' && known * 2 > parts)) {
            return Ok(true);
        }
    }
    Ok(false)
}
