//! `kithdb export`: the current codes for other programs.

use std::path::PathBuf;

use clap::Args;
use kithdb::ExportOutcome;

use super::database::Database;
use crate::cli::Answer;
use crate::output::{self, Output};

/// Write the current codes, vectors and ids to a folder of .npy files, which `kithdb import-codes` reads
#[derive(Args)]
#[command(after_help = "Example:
  kithdb export shop.kith codes")]
pub(crate) struct Export {
    #[command(flatten)]
    database: Database,
    /// The folder, which is made if there is none; files of an earlier export are replaced
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Write .npy files: the one form there is, which need not be asked for
    #[arg(long, hide = true)]
    npy: bool,
}

impl Export {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let outcome = self.database.open_for_long()?.export_npy(&self.dir)?;
        output.result(&outcome, text)?;
        Ok(Answer::Yes)
    }
}

fn text(outcome: &ExportOutcome) -> String {
    format!(
        "wrote generation {}: {} items and {} users, layers of {:?} bits, users of {} bits a dimension\n\
         vectors of {} dimensions are {}",
        outcome.generation,
        output::count(outcome.items),
        output::count(outcome.users),
        outcome.layer_bits,
        outcome.query_bits,
        outcome.float_dims,
        if outcome.full_precision { "those the codes were learned from" } else { "read back from the codes" },
    )
}
