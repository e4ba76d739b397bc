//! The database a subcommand works on.

use std::path::{Path, PathBuf};

use clap::Args;
use kithdb::{Attributes, Db, Id, IdKind, ItemSet, Side, Snapshot};

use crate::input::{self, IdKinds};
use crate::interrupt;

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

    /// Opens it.
    ///
    /// # Errors
    /// As [`kithdb::Options::open`]; of a folder of snapshots, that it is one.
    pub(super) fn open(&self) -> anyhow::Result<Db> {
        let path = self.path.display();
        anyhow::ensure!(
            !self.is_of_snapshots(),
            "{path} holds snapshots, which query, recommend, similar, similar-users, explain, history, users and items read: give the database itself"
        );
        // Who opens it for a moment gets no job that was not asked for.
        Ok(Db::options().create(false).background(false).open(&self.path)?)
    }

    /// [`Database::open`] for a long call that Ctrl-C ends, with nothing half written.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub(super) fn open_for_long(&self) -> anyhow::Result<Db> {
        Ok(self.open()?.cancelled_by(&interrupt::token()))
    }

    fn is_of_snapshots(&self) -> bool {
        self.path.join("SNAPSHOT").is_file()
    }

    /// What it knows now, to read only: where the path is of snapshots, the newest of them, beside whoever owns the database.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub(super) fn read(&self) -> anyhow::Result<Snapshot> {
        let is_one = self.is_of_snapshots() || self.path.join("MANIFEST").is_file();
        if is_one { Ok(Db::open_snapshot(&self.path)?) } else { Ok(self.open()?.snapshot()) }
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
    /// What is said of somebody; `None` where nobody knows them.
    fn said(&self, side: Side, id: &Id) -> kithdb::Result<Option<Attributes>>;
    /// The names of attributes, ascending.
    fn names(&self, side: Side) -> Vec<String>;

    /// Whether an id is known.
    fn knows(&self, side: Side, id: &Id) -> kithdb::Result<bool> {
        Ok(self.said(side, id)?.is_some())
    }
}

impl Known for Db {
    fn id_kind(&self, side: Side) -> Option<IdKind> {
        Db::id_kind(self, side)
    }

    fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> kithdb::Result<ItemSet> {
        Db::item_set(self, items)
    }

    fn said(&self, side: Side, id: &Id) -> kithdb::Result<Option<Attributes>> {
        match side {
            Side::Item => self.item(id),
            Side::User => self.user(id),
        }
    }

    fn names(&self, side: Side) -> Vec<String> {
        self.attribute_names(side).into_iter().map(|(name, _)| name).collect()
    }
}

impl Known for Snapshot {
    fn id_kind(&self, side: Side) -> Option<IdKind> {
        Snapshot::id_kind(self, side)
    }

    fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> kithdb::Result<ItemSet> {
        Snapshot::item_set(self, items)
    }

    fn said(&self, side: Side, id: &Id) -> kithdb::Result<Option<Attributes>> {
        match side {
            Side::Item => self.item(id),
            Side::User => self.user(id),
        }
    }

    fn names(&self, side: Side) -> Vec<String> {
        self.attribute_names(side).into_iter().map(|(name, _)| name).collect()
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
