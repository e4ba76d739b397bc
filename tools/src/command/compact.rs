//! `kithdb compact`: what has come since, taken into the next generation.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use indicatif::ProgressBar;
use kithdb::{Compaction, Db, TrainOutcome};
use serde::Serialize;

use super::database::Database;
use super::train::followed;
use crate::cli::Answer;
use crate::interrupt;
use crate::output::{self, Output, Table};

/// Fold what has come since the last generation into the next one, and learn as much again as is asked for
///
/// Minor and major ones go on from what `kithdb train` learned, with its options and what it chose, where it was the default model; major ones choose anew
/// how much neighbours weigh and how much is regularised. After other models, and after an import, both fold what has come and give new items the
/// codes they were answered by.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb compact shop.kith --minor
  kithdb compact shop.kith --major --follow
  kithdb compact shop.kith --copy small.kith")]
pub(crate) struct Compact {
    #[command(flatten)]
    database: Database,
    /// Learn again only what was touched: seconds [default]
    #[arg(long, conflicts_with_all = ["major", "full"])]
    minor: bool,
    /// Learn all rows again from where they are: a fraction of a training
    #[arg(long, conflicts_with = "full")]
    major: bool,
    /// Learn everything from nothing, with the options of the last training
    #[arg(long)]
    full: bool,
    /// Learn nothing: write what is live, and nothing else, as a database of its own
    #[arg(long, value_name = "DIR", conflicts_with_all = ["minor", "major", "full"])]
    copy: Option<PathBuf>,
    /// Tell of each phase as it ends, and show how far the one under way has come; on a terminal
    #[arg(long)]
    follow: bool,
}

/// What a copy came to, as printed.
#[derive(Serialize)]
struct Copied {
    #[serde(serialize_with = "output::path")]
    copy: PathBuf,
    bytes_before: u64,
    bytes: u64,
    seconds: f64,
}

/// What a compaction came to, as printed.
#[derive(Serialize)]
struct Compacted {
    #[serde(flatten)]
    outcome: TrainOutcome,
    seconds: f64,
}

impl Compact {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        if let Some(folder) = self.copy {
            return copy(&db, folder, self.follow, output);
        }
        let kind = match (self.full, self.major) {
            (true, _) => Compaction::Full,
            (_, true) => Compaction::Major,
            _ => Compaction::Minor,
        };
        let start = Instant::now();
        let job = db.compact(kind)?;
        let outcome = if self.follow { followed(job, true)? } else { job.wait()? };
        output.result(&Compacted { outcome, seconds: start.elapsed().as_secs_f64() }, text)?;
        Ok(Answer::Yes)
    }
}

fn copy(db: &Db, folder: PathBuf, follow: bool, output: &Output) -> anyhow::Result<Answer> {
    let start = Instant::now();
    let spinner = follow.then(output::spinner);
    let copied = db.cancelled_by(&interrupt::token()).compact_to(&folder);
    spinner.iter().for_each(ProgressBar::finish_and_clear);
    copied?;
    let bytes_before = db.stats()?.disk.total;
    let bytes = Db::options().create(false).background(false).open(&folder)?.stats()?.disk.total;
    let copied = Copied { copy: folder, bytes_before, bytes, seconds: start.elapsed().as_secs_f64() };
    output.result(&copied, |copied| {
        let (before, after) = (output::bytes(copied.bytes_before), output::bytes(copied.bytes));
        format!("{} has {after}, of {before}, in {}", copied.copy.display(), output::seconds(copied.seconds))
    })?;
    Ok(Answer::Yes)
}

fn text(compacted: &Compacted) -> String {
    let Compacted { outcome, seconds } = compacted;
    let mut phases = Table::new(&["phase", ">seconds"]);
    for phase in &outcome.phases {
        phases.row([phase.phase.to_owned(), format!("{:.2}", phase.seconds)]);
    }
    let refused = outcome.refused.as_ref().map_or_else(String::new, |refused| {
        format!("\nwhat it learned was refused, and the interactions were folded under the codes there are: {refused}")
    });
    let drift = outcome.drift.as_ref().map_or_else(String::new, |drift| format!("\n{}", output::drift(drift)));
    format!(
        "published generation {} ({}) in {}\n{} interactions; of {} users and {} items they had changed{refused}{drift}\ncontent {}\n\n{}",
        outcome.generation,
        outcome.kind.name(),
        output::seconds(*seconds),
        output::count(outcome.interactions),
        output::count(outcome.touched_users),
        output::count(outcome.touched_items),
        outcome.content_hash,
        phases.text(),
    )
}
