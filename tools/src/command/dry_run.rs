//! What a load would take, without a database to take it.

use kithdb::{Id, Interaction};
use serde::Serialize;

use super::taken::{self, Taken};
use crate::input::{self, Reader, ReaderOptions, RejectFile, Row, Source};
use crate::output::{self, Output, Table};

/// How many rows of a file are shown.
const SHOWN: usize = 10;
/// How many rejected rows of a file are told of.
const TOLD: usize = 5;

/// What a load of files would take.
#[derive(Debug, Serialize)]
pub(super) struct DryRun {
    dry_run: bool,
    files: Vec<Seen>,
    pub(super) interactions: u64,
    pub(super) rejected: u64,
}

/// What a file holds.
#[derive(Debug, Serialize)]
struct Seen {
    #[serde(flatten)]
    taken: Taken,
    interactions: u64,
    rejected: u64,
    rated_too_low: u64,
    /// The first.
    rows: Vec<Shown>,
}

/// An interaction as it is understood.
#[derive(Debug, Serialize)]
struct Shown {
    user: Id,
    item: Id,
    weight: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl From<Interaction> for Shown {
    fn from(Interaction { user, item, weight, time }: Interaction) -> Self {
        Self { user, item, weight, time: time.map(input::shown_time) }
    }
}

/// Reads all of the files.
pub(super) fn read(
    sources: &[Source],
    options: &ReaderOptions,
    mut rejects: Option<RejectFile>,
    strict: bool,
    output: &Output,
) -> anyhow::Result<DryRun> {
    let mut dry_run = DryRun { dry_run: true, files: Vec::new(), interactions: 0, rejected: 0 };
    for source in sources {
        let mut reader = Reader::open(source, options)?;
        taken::warn(output, source, &reader);
        let mut seen = Seen {
            taken: Taken::of(source, &reader),
            interactions: 0,
            rejected: 0,
            rated_too_low: 0,
            rows: Vec::new(),
        };
        for row in reader.by_ref() {
            match row? {
                Row::Interaction(interaction) => {
                    seen.interactions += 1;
                    if seen.rows.len() < SHOWN {
                        seen.rows.push(interaction.into());
                    }
                }
                Row::Rejected(rejected) => {
                    seen.rejected += 1;
                    let text = format!("{source}:{}: {}", rejected.line, rejected.reason);
                    if let Some(rejects) = &mut rejects {
                        rejects.add(source, &rejected)?;
                    }
                    anyhow::ensure!(!strict, text);
                    if seen.rejected <= TOLD as u64 {
                        output.note(&text);
                    }
                }
            }
        }
        taken::remark(output, source, &reader);
        seen.rated_too_low = reader.below();
        dry_run.interactions += seen.interactions;
        dry_run.rejected += seen.rejected;
        dry_run.files.push(seen);
    }
    if let Some(rejects) = rejects {
        rejects.finish()?;
    }
    Ok(dry_run)
}

pub(super) fn text(dry_run: &DryRun) -> String {
    let mut parts: Vec<String> = Vec::new();
    for Seen { taken, interactions, rejected, rated_too_low, rows } in &dry_run.files {
        let mut table = Table::new(&["user", "item", ">weight", "time"]);
        for Shown { user, item, weight, time } in rows {
            table.row([user.to_string(), item.to_string(), weight.to_string(), time.clone().unwrap_or_default()]);
        }
        let low = if *rated_too_low > 0 {
            format!(", {} rated too low", output::count(*rated_too_low))
        } else {
            String::new()
        };
        parts.push(format!(
            "{}\n\n{}\n\n{} interactions, {} rows rejected{low}",
            taken.text(),
            table.text(),
            output::count(*interactions),
            output::count(*rejected)
        ));
    }
    parts.push("nothing was stored (--dry-run)".into());
    parts.join("\n\n")
}
