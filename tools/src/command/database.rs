//! The database a subcommand works on.

use std::path::PathBuf;

use clap::Args;
use kithdb::{Db, Id, IdKind, Side};

use crate::input::IdKinds;

/// A database that has to exist.
#[derive(Args, Clone, Debug)]
pub(super) struct Database {
    /// The database's directory
    #[arg(value_name = "DB")]
    path: PathBuf,
}

impl Database {
    pub(super) fn open(&self) -> kithdb::Result<Db> {
        Db::options().create(false).open(&self.path)
    }
}

/// The kinds of the ids stored; strings on a side that has none yet.
pub(super) fn id_kinds(db: &Db) -> IdKinds {
    let kind = |side| db.id_kind(side).unwrap_or(IdKind::Str);
    IdKinds { user: kind(Side::User), item: kind(Side::Item) }
}

/// An item's id given on the command line.
pub(super) fn item(db: &Db, text: &str) -> kithdb::Result<Id> {
    Id::parse(text, id_kinds(db).item)
}

/// A user's id given on the command line.
pub(super) fn user(db: &Db, text: &str) -> kithdb::Result<Id> {
    Id::parse(text, id_kinds(db).user)
}
