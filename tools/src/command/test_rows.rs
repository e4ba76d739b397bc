//! What the rows of a test are to a database: a row that tests nothing lowers every measure without a word.

use std::collections::HashSet;

use kithdb::{Db, Id};
use serde::Serialize;

use super::eval::Truth;
use crate::output::{self, Output};

/// How many rows of a test are not what a test is made of; a row can count several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct TestRows {
    /// All of them.
    #[serde(skip)]
    rows: u64,
    /// Of a user with an item they have in the database: it is left out of what is recommended to them.
    already_loaded: u64,
    /// Of a user and an item of an earlier row.
    repeated_rows: u64,
    /// Of users the database does not know.
    of_unknown_users: u64,
    /// Of items the database does not know.
    of_unknown_items: u64,
}

impl TestRows {
    /// Looks at every row. O(rows + users + the histories of those in the test).
    pub(super) fn of(db: &Db, truth: &Truth) -> kithdb::Result<Self> {
        let mut found = Self::default();
        let items: HashSet<&Id> = truth.iter().flat_map(|(_, items)| items).collect();
        let set = db.item_set(items.iter().copied())?;
        let unknown_items: HashSet<&Id> = set.unknown().iter().collect();
        let users: HashSet<Id> = db.users().into_iter().collect();
        for (user, items) in truth {
            let history: HashSet<Id> = db.history(user)?.into_iter().map(|interaction| interaction.item).collect();
            let mut seen = HashSet::new();
            for item in items {
                found.rows += 1;
                found.already_loaded += u64::from(history.contains(item));
                found.repeated_rows += u64::from(!seen.insert(item));
                found.of_unknown_users += u64::from(!users.contains(user));
                found.of_unknown_items += u64::from(unknown_items.contains(item));
            }
        }
        Ok(found)
    }

    /// Whether some of the rows are of users the database does not know, and others are not.
    pub(super) fn are_partly_of_unknown_users(&self) -> bool {
        self.of_unknown_users > 0 && self.of_unknown_users < self.rows
    }

    /// Warns of what is there.
    pub(super) fn tell(&self, include_seen: bool, output: &Output) {
        self.warnings(include_seen).iter().for_each(|warning| output.note(&format!("warning: {warning}")));
    }

    /// What there is to warn of; that rows are loaded is what there is to find where items that were seen are ranked too.
    pub(super) fn warnings(&self, include_seen: bool) -> Vec<String> {
        let rows = output::count(self.rows);
        let loaded = if include_seen { 0 } else { self.already_loaded };
        let kinds = [
            (
                loaded,
                "are loaded already: no list can hold them, unless with `kithdb eval --include-seen`, and what was trained on them is not tested by them",
            ),
            (self.repeated_rows, "repeat an earlier one"),
            (self.of_unknown_users, "are of users unknown here"),
            (self.of_unknown_items, "are of items unknown here, which no list can hold"),
        ];
        let warned = kinds.into_iter().filter(|&(count, _)| count > 0);
        warned.map(|(count, what)| format!("{} of the {rows} rows of the test {what}", output::count(count))).collect()
    }
}
