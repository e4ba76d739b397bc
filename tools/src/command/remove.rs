//! `kithdb remove`: an interaction that is taken back.

use clap::Args;
use kithdb::Id;
use serde::Serialize;

use super::database::{self, Database};
use crate::cli::Answer;
use crate::output::Output;

/// Take interactions of a user back
#[derive(Args)]
#[command(after_help = "Example:
  kithdb remove shop.kith alice kettle grinder")]
pub(crate) struct Remove {
    #[command(flatten)]
    database: Database,
    /// Whose
    #[arg(value_name = "USER", allow_hyphen_values = true)]
    user: String,
    /// With which items; ids that begin with a hyphen and are no numbers come after --
    #[arg(value_name = "ITEM", required = true, allow_negative_numbers = true)]
    items: Vec<String>,
}

/// Which were taken back, and which there were not.
#[derive(Debug, Serialize)]
struct Removed {
    user: Id,
    removed: Vec<Id>,
    absent: Vec<Id>,
}

impl Remove {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let user = database::user(&db, &self.user)?;
        let items = self.items.iter().map(|item| database::item(&db, item)).collect::<Result<Vec<_>, _>>()?;
        let mut outcome = Removed { user, removed: Vec::new(), absent: Vec::new() };
        for item in items {
            if db.remove(&outcome.user, &item)? { outcome.removed.push(item) } else { outcome.absent.push(item) }
        }
        for item in &outcome.absent {
            output.note(&format!("{} has no interaction with {item}", outcome.user));
        }
        output.result(&outcome, |outcome| format!("removed {} interactions", outcome.removed.len()))?;
        Ok(if outcome.absent.is_empty() { Answer::Yes } else { Answer::No })
    }
}
