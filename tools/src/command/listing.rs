//! `kithdb users` and `kithdb items`: who and what is known.

use clap::Args;
use serde::Serialize;

use super::database::Database;
use crate::cli::Answer;
use crate::input::quoted_id;
use crate::output::Output;

/// List the users, an id a line, in the order they came
#[derive(Args)]
#[command(after_help = "Example:
  kithdb users shop.kith > users.txt")]
pub(crate) struct Users {
    #[command(flatten)]
    database: Database,
}

/// List the items, an id a line, in the order they came
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb items shop.kith > items.txt
  kithdb items shop.kith --retired")]
pub(crate) struct Items {
    #[command(flatten)]
    database: Database,
    /// Only those that are retired
    #[arg(long)]
    retired: bool,
}

/// Ids, under what they are ids of.
#[derive(Debug, Serialize)]
struct Ids<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<&'a [kithdb::Id]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<&'a [kithdb::Id]>,
}

impl Users {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let users = self.database.open()?.users();
        print(output, &users, Ids { users: Some(&users), items: None })
    }
}

impl Items {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let items = if self.retired { db.retired_items() } else { db.items() };
        print(output, &items, Ids { users: None, items: Some(&items) })
    }
}

/// Prints ids as a list that other subcommands read; none is a no.
fn print(output: &Output, ids: &[kithdb::Id], shown: Ids<'_>) -> anyhow::Result<Answer> {
    let line = |id: &kithdb::Id| quoted_id(&id.to_string()).into_owned();
    output.result(&shown, |_| ids.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(if ids.is_empty() { Answer::No } else { Answer::Yes })
}
