//! `kithdb history`: what a user has.

use clap::Args;
use kithdb::{Id, Interaction};
use serde::Serialize;

use super::database::{self, Database};
use crate::cli::Answer;
use crate::input;
use crate::output::{self, Output, Table};

/// Show the interactions of a user, the latest first
#[derive(Args)]
#[command(after_help = "Example:
  kithdb history shop.kith alice")]
pub(crate) struct History {
    #[command(flatten)]
    database: Database,
    /// Whose
    #[arg(value_name = "USER", allow_hyphen_values = true)]
    user: String,
}

/// The interactions of a user.
#[derive(Debug, Serialize)]
struct Shown {
    user: Id,
    known: bool,
    interactions: Vec<Row>,
}

/// One of them.
#[derive(Debug, Serialize)]
struct Row {
    item: Id,
    weight: f32,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
}

impl History {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?;
        let user = database::user(&db, &self.user)?;
        let mut interactions: Vec<Row> = db
            .history(&user)?
            .into_iter()
            .map(|Interaction { item, weight, time, .. }| Row { item, weight, time })
            .collect();
        interactions.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.item.cmp(&b.item)));
        let known = db.user(&user)?.is_some();
        let shown = Shown { user, known, interactions };
        output.result(&shown, text)?;
        Ok(if shown.interactions.is_empty() { Answer::No } else { Answer::Yes })
    }
}

fn text(shown: &Shown) -> String {
    if !shown.known {
        return format!("unknown user {}", output::escaped(&shown.user.to_string()));
    }
    if shown.interactions.is_empty() {
        return "no interactions".into();
    }
    let mut table = Table::new(&["item", ">weight", "time"]);
    for Row { item, weight, time } in &shown.interactions {
        table.row([item.to_string(), weight.to_string(), time.map(input::shown_time).unwrap_or_default()]);
    }
    format!("{}\n\n{} interactions", table.text(), output::count(shown.interactions.len() as u64))
}
