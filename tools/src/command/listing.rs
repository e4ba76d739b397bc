//! `kithdb users` and `kithdb items`: who and what is known.

use clap::Args;
use kithdb::Side;
use serde::Serialize;

use super::database::Database;
use super::show::Show;
use crate::cli::Answer;
use crate::input::quoted_id;
use crate::output::{Output, Table};

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
    /// Only those whose attributes fulfil a condition
    #[arg(long, value_name = "CONDITION")]
    filter: Option<kithdb::Condition>,
    #[command(flatten)]
    show: Show,
    /// Print titles beside ids, in a table
    #[arg(long)]
    titles: bool,
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
        let users = self.database.read()?.users();
        print(output, &users, Ids { users: Some(&users), items: None })
    }
}

impl Items {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?;
        let mut items = if self.retired { db.retired_items() } else { db.items() };
        if let Some(condition) = self.filter.clone() {
            let fulfilling: std::collections::HashSet<kithdb::Id> = db.items_where(condition)?.into_iter().collect();
            items.retain(|item| fulfilling.contains(item));
        }
        if self.titles || self.show.is_asked() {
            let show = self.show.of(&db, Side::Item)?;
            let header = show.header(items.iter());
            let lines = || items.iter().map(|id| (id, show.cells(id, &header)));
            let objects: anyhow::Result<Vec<_>> = items
                .iter()
                .map(|id| {
                    let mut object = show.json(id);
                    object.insert("item".into(), serde_json::to_value(id)?);
                    Ok(object)
                })
                .collect();
            output.result(&serde_json::json!({ "items": objects? }), |_| {
                let names: Vec<&str> = ["item"].into_iter().chain(header.iter().map(String::as_str)).collect();
                let mut table = Table::new(&names);
                lines().for_each(|(id, cells)| table.row([id.to_string()].into_iter().chain(cells)));
                table.text()
            })?;
            return Ok(if items.is_empty() { Answer::No } else { Answer::Yes });
        }
        print(output, &items, Ids { users: None, items: Some(&items) })
    }
}

/// Prints ids as a list that other subcommands read; none is a no.
fn print(output: &Output, ids: &[kithdb::Id], shown: Ids<'_>) -> anyhow::Result<Answer> {
    let line = |id: &kithdb::Id| quoted_id(&id.to_string()).into_owned();
    output.listing(&shown, |_| ids.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(if ids.is_empty() { Answer::No } else { Answer::Yes })
}
