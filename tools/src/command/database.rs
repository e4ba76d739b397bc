//! The database a subcommand works on.

use std::path::{Path, PathBuf};

use clap::Args;
use kithdb::{Db, Id, IdKind, ItemSet, Side, Snapshot};

use crate::input::{self, IdKinds};

/// A database that has to exist.
#[derive(Args, Clone, Debug)]
pub(super) struct Database {
    /// The database's directory
    #[arg(value_name = "DB")]
    path: PathBuf,
}

impl Database {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn open(&self) -> kithdb::Result<Db> {
        // Who opens it for a moment gets no job that was not asked for.
        Db::options().create(false).background(false).open(&self.path)
    }

    /// What it knows now, to read only: where the path is of snapshots, the newest of them, beside whoever owns the database.
    pub(super) fn read(&self) -> kithdb::Result<Snapshot> {
        let is_of_snapshots = ["SNAPSHOT", "MANIFEST"].iter().any(|name| self.path.join(name).is_file());
        if is_of_snapshots { Db::open_snapshot(&self.path) } else { Ok(self.open()?.snapshot()) }
    }

    /// What its directory is called.
    pub(super) fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }
}

/// Whether there is something at a path that a database would be opened from, not made in.
pub(super) fn is_there(path: &Path) -> bool {
    match path.read_dir() {
        Ok(mut entries) => entries.next().is_some(),
        // What is no directory is refused when it is opened.
        Err(_) => path.exists(),
    }
}

/// What knows ids: a database, or a moment of one.
pub(super) trait Known {
    fn id_kind(&self, side: Side) -> Option<IdKind>;
    fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> kithdb::Result<ItemSet>;
}

impl Known for Db {
    fn id_kind(&self, side: Side) -> Option<IdKind> {
        Db::id_kind(self, side)
    }

    fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> kithdb::Result<ItemSet> {
        Db::item_set(self, items)
    }
}

impl Known for Snapshot {
    fn id_kind(&self, side: Side) -> Option<IdKind> {
        Snapshot::id_kind(self, side)
    }

    fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> kithdb::Result<ItemSet> {
        Snapshot::item_set(self, items)
    }
}

/// The kinds of the ids stored; strings on a side that has none yet.
pub(super) fn id_kinds(db: &impl Known) -> IdKinds {
    let kind = |side| db.id_kind(side).unwrap_or(IdKind::Str);
    IdKinds { user: kind(Side::User), item: kind(Side::Item) }
}

/// An item's id given on the command line.
pub(super) fn item(db: &impl Known, text: &str) -> kithdb::Result<Id> {
    Id::parse(&input::plain_id(text), id_kinds(db).item)
}

/// A user's id given on the command line.
pub(super) fn user(db: &impl Known, text: &str) -> kithdb::Result<Id> {
    Id::parse(&input::plain_id(text), id_kinds(db).user)
}
