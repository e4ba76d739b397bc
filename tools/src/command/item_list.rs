//! A file that lists items to filter with.

use std::collections::HashSet;
use std::path::Path;

use kithdb::{Id, ItemSet};

use super::database::{self, Known};
use crate::input::{self, Listed, Source};
use crate::output::{self, Output};

/// A list of items, and what becomes of ids that nobody knows.
pub(super) struct ItemList<'a> {
    pub(super) file: &'a Path,
    /// Whether they are an error.
    pub(super) strict: bool,
}

impl ItemList<'_> {
    /// The set of the items listed; ids of no item known here are told of.
    ///
    /// # Errors
    /// Where the list cannot be read, where a line seems to hold several ids, and for unknown ids if it is strict.
    pub(super) fn read(&self, db: &impl Known, output: &Output) -> anyhow::Result<ItemSet> {
        let kind = database::id_kinds(db).item;
        let name = self.file.display();
        let listed = input::read_ids(&Source::from(self.file.to_owned()), kind)?;
        let set = db.item_set(listed.iter().map(|listed| &listed.id))?;
        let Some(first) = set.unknown().first() else { return Ok(set) };
        let line_of = |id: &Id| listed.iter().find(|listed| listed.id == *id).map_or(0, |listed| listed.line);
        let unknown: HashSet<&Id> = set.unknown().iter().collect();
        for Listed { line, id } in listed.iter().filter(|listed| unknown.contains(&listed.id)).take(1000) {
            // A filter that silently holds none of what it lists lets everything through.
            if holds_several(db, &id.to_string())? {
                anyhow::bail!("{name}:{line}: {id} is no item known here, and its parts are: write one id a line");
            }
        }
        let line = line_of(first);
        if self.strict {
            anyhow::bail!("{name}:{line}: {first} is no item known here (--strict)");
        }
        let unknown = output::count(set.unknown().len() as u64);
        output.note(&format!(
            "{name}: {unknown} of {} ids are of no item known here, {first} of line {line} for one; --strict makes that an error",
            output::count(set.len())
        ));
        Ok(set)
    }
}

/// Whether a text is a list of items: all of its parts are known, or most of several.
fn holds_several(db: &impl Known, text: &str) -> kithdb::Result<bool> {
    let kind = database::id_kinds(db).item;
    for between in [',', ';', '|', '\t', ' '] {
        let parts: Vec<Option<Id>> =
            text.split(between).map(|part| Id::parse(&input::plain_id(part), kind).ok()).collect();
        let set = db.item_set(parts.iter().flatten())?;
        let known = parts.iter().flatten().filter(|id| !set.unknown().contains(id)).count();
        if known >= 2 && (known == parts.len() || (between != ' ' && known * 2 > parts.len())) {
            return Ok(true);
        }
    }
    Ok(false)
}
