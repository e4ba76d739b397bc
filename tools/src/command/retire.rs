//! `kithdb retire` and `kithdb unretire`: items that queries are not to return, and those that they are to return again.

use clap::Args;
use kithdb::{Db, Id};
use serde::Serialize;

use super::database::{self, Database};
use crate::cli::Answer;
use crate::output::Output;

/// Retire items: no query returns them until they are unretired
#[derive(Args)]
#[command(after_help = "Example:
  kithdb retire shop.kith kettle \"tea pot\"")]
pub(crate) struct Retire {
    #[command(flatten)]
    items: Items,
}

/// Let queries return retired items again
#[derive(Args)]
#[command(after_help = "Example:
  kithdb unretire shop.kith kettle")]
pub(crate) struct Unretire {
    #[command(flatten)]
    items: Items,
}

#[derive(Args)]
struct Items {
    #[command(flatten)]
    database: Database,
    /// The items; ids that begin with a hyphen and are no numbers come after --
    #[arg(value_name = "ITEM", required = true, allow_negative_numbers = true)]
    items: Vec<String>,
}

/// What became of items.
#[derive(Debug, Serialize)]
struct Outcome {
    changed: Vec<Id>,
    /// Those that were as asked for before.
    unchanged: Vec<Id>,
    unknown: Vec<Id>,
}

impl Retire {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        self.items.run(output, "retired", |db, item| db.retire_item(item))
    }
}

impl Unretire {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        self.items.run(output, "unretired", |db, item| db.unretire_item(item))
    }
}

impl Items {
    fn run(
        self,
        output: &Output,
        done: &str,
        change: impl Fn(&Db, &Id) -> kithdb::Result<bool>,
    ) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let items = self.items.iter().map(|item| database::item(&db, item)).collect::<Result<Vec<_>, _>>()?;
        let known = db.item_set(&items)?;
        let mut outcome = Outcome { changed: Vec::new(), unchanged: Vec::new(), unknown: Vec::new() };
        for item in items {
            if known.unknown().contains(&item) {
                output.note(&format!("unknown item {item}"));
                outcome.unknown.push(item);
            } else if change(&db, &item)? {
                outcome.changed.push(item);
            } else {
                outcome.unchanged.push(item);
            }
        }
        output.result(&outcome, |outcome| {
            format!("{done} {} items, {} were so before", outcome.changed.len(), outcome.unchanged.len())
        })?;
        Ok(if outcome.unknown.is_empty() { Answer::Yes } else { Answer::No })
    }
}
