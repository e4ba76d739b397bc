//! `kithdb snapshot`: the database as it is now, as a folder for processes that read.

use std::path::PathBuf;

use clap::Args;
use kithdb::{SnapshotOptions, SnapshotOutcome};

use super::database::Database;
use crate::cli::Answer;
use crate::output::{self, Output};

/// Write the database as it is now into a folder that any number of processes read
///
/// The folder gets one of its own for every snapshot, of plain files with their hashes, and a file SNAPSHOT that names the newest. `kithdb query` and
/// Db::open_snapshot read it, and share what is large of it in memory. A copy made by other means has to bring SNAPSHOT last, and no snapshot may be
/// written meanwhile: SNAPSHOT.lock is locked while one is.
#[derive(Args)]
#[command(after_help = "Example:
  kithdb snapshot shop.kith fleet
  flock fleet/SNAPSHOT.lock sh -c 'rsync -a --exclude SNAPSHOT fleet/ host:fleet/ &&
      rsync -a fleet/SNAPSHOT host:fleet/ && rsync -a --delete fleet/ host:fleet/'
  kithdb query fleet --user alice")]
pub(crate) struct Snapshot {
    #[command(flatten)]
    database: Database,
    /// The folder: absent, empty, or of earlier snapshots
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Leave the interactions out: codes and ids alone, so that nothing is known of what users have, nor how many have an item of a basket
    #[arg(long)]
    without_interactions: bool,
    /// How many snapshots stay in the folder, this one among them
    #[arg(long, default_value = "2", value_name = "SNAPSHOTS", value_parser = super::at_least_one)]
    keep: usize,
}

impl Snapshot {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let options = SnapshotOptions::new().interactions(!self.without_interactions).keep(self.keep);
        let outcome = self.database.open_for_long()?.snapshot_to(&self.folder, &options)?;
        if let Some(reason) = &outcome.not_removed {
            output.note(&format!("an older snapshot is still there: {reason}"));
        }
        output.result(&outcome, text)?;
        Ok(Answer::Yes)
    }
}

fn text(outcome: &SnapshotOutcome) -> String {
    let SnapshotOutcome { name, generation, bytes, repeated, .. } = outcome;
    let what = if *repeated { "was there already" } else { "was written" };
    format!("{name} of generation {generation} {what}: {}", output::bytes(*bytes))
}
