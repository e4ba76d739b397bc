//! What is settled when a database is made.

use std::path::Path;

use clap::{Args, ValueEnum};
use kithdb::{Db, IdKind, Options, Repeats, Side};

/// The kind of its ids, and what repeats mean.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Settled {
    /// The kind of ids in a new database; one with ids keeps theirs
    #[arg(long, value_name = "KIND")]
    id_type: Option<IdType>,
    /// What an interaction that comes again means, in a new database [default: last]; one that is there keeps to what it was made with. With sum,
    /// loading a file again adds its weights again
    #[arg(long, value_name = "WHICH")]
    repeats: Option<Again>,
}

/// What an interaction that comes again means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Again {
    /// The last one counts.
    Last,
    /// Weights are added up.
    Sum,
    /// The largest weight and the latest time count.
    Max,
    /// The first one counts.
    First,
}

impl From<Again> for Repeats {
    fn from(again: Again) -> Self {
        match again {
            Again::Last => Repeats::Last,
            Again::Sum => Repeats::Sum,
            Again::Max => Repeats::Max,
            Again::First => Repeats::First,
        }
    }
}

/// The kinds of id a file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IdType {
    /// Text.
    Str,
    /// Whole numbers from 0 to 2^64-1.
    U64,
    /// Bytes, of two hexadecimal digits each.
    Bytes,
}

impl Settled {
    /// Opens a database, which is made if there is none.
    ///
    /// # Errors
    /// As [`Options::open`]; where one that is there was made with other repeats, that says so.
    pub(super) fn open(&self, path: &Path, options: Options) -> anyhow::Result<Db> {
        let options = match self.repeats {
            Some(again) => options.repeats(again.into()),
            None => options,
        };
        options.open(path).map_err(|error| match (self.repeats, &error) {
            (Some(_), kithdb::Error::InvalidArgument { .. }) => {
                anyhow::Error::from(error).context("--repeats is settled when a database is made; leave it out")
            }
            _ => error.into(),
        })
    }

    /// The kind of a side's ids: that of a database, or what is asked for.
    ///
    /// # Errors
    /// Where they are not the same.
    pub(super) fn id_kind(&self, db: Option<&Db>, side: Side) -> anyhow::Result<IdKind> {
        let asked = self.id_type.map(|id_type| match id_type {
            IdType::Str => IdKind::Str,
            IdType::U64 => IdKind::U64,
            IdType::Bytes => IdKind::Bytes,
        });
        match (asked, db.and_then(|db| db.id_kind(side))) {
            (Some(asked), Some(stored)) if asked != stored => {
                let side = match side {
                    Side::User => "user",
                    Side::Item => "item",
                };
                let called = |kind| match kind {
                    IdKind::U64 => "whole numbers",
                    IdKind::Str => "texts",
                    IdKind::Bytes => "bytes",
                };
                anyhow::bail!(
                    "the {side} ids of the database are {}, and --id-type asks for {}; leave it out",
                    called(stored),
                    called(asked)
                )
            }
            (asked, stored) => Ok(stored.or(asked).unwrap_or(IdKind::Str)),
        }
    }
}
