//! `kithdb rollback`: the codes of an earlier generation answer again.

use clap::Args;
use serde::Serialize;

use super::database::Database;
use crate::cli::Answer;
use crate::output::Output;

/// Go back to the codes of an earlier generation, over the interactions of now
///
/// `kithdb stats` tells which are kept. No insert, removal, retirement or forgetting is undone.
#[derive(Args)]
#[command(after_help = "Example:
  kithdb rollback shop.kith 7")]
pub(crate) struct Rollback {
    #[command(flatten)]
    database: Database,
    /// The generation to go back to
    generation: u64,
}

/// What answers now, as printed.
#[derive(Serialize)]
struct RolledBack {
    to: u64,
    generation: u64,
}

impl Rollback {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let generation = self.database.open()?.rollback(self.generation)?;
        output.result(&RolledBack { to: self.generation, generation }, |rolled| {
            format!("the codes of generation {} answer again, as generation {}", rolled.to, rolled.generation)
        })?;
        Ok(Answer::Yes)
    }
}
