//! `kithdb verify`: is everything as it was written?

use clap::Args;
use serde::Serialize;

use super::database::Database;
use crate::cli::Answer;
use crate::output::{self, Output};

/// Read everything stored and check every record, count and hash; exit status 1 where something is damaged
#[derive(Args)]
#[command(after_help = "Example:
  kithdb verify shop.kith")]
pub(crate) struct Verify {
    #[command(flatten)]
    database: Database,
}

/// What a verification found, as printed.
#[derive(Debug, Default, Serialize)]
struct Verified {
    ok: bool,
    records: u64,
    parts: u64,
    bytes: u64,
    warnings: Vec<String>,
    damage: Vec<String>,
}

impl Verify {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let verified = match self.database.open_for_long().and_then(|db| Ok(db.verify()?)) {
            Ok(report) => Verified {
                ok: report.is_sound(),
                records: report.records,
                parts: report.parts,
                bytes: report.bytes,
                warnings: report.warnings.clone(),
                damage: report.damage.iter().map(ToString::to_string).collect(),
            },
            // Damage can be such that the database does not open; that is an answer too.
            Err(error) if error.downcast_ref().is_some_and(kithdb::Error::is_damage) => {
                Verified { damage: vec![error.to_string()], ..Verified::default() }
            }
            Err(error) => return Err(error),
        };
        output.result(&verified, text)?;
        Ok(if verified.ok { Answer::Yes } else { Answer::No })
    }
}

fn text(verified: &Verified) -> String {
    let warnings = verified.warnings.iter().map(|warning| format!("warning: {warning}"));
    let damage = verified.damage.iter().map(|damage| format!("damage: {damage}"));
    let summary = format!(
        "{}: {} records of the log and {} parts ({}) were checked",
        if verified.ok { "sound" } else { "damaged" },
        output::count(verified.records),
        output::count(verified.parts),
        output::bytes(verified.bytes),
    );
    warnings.chain(damage).chain([summary]).collect::<Vec<_>>().join("\n")
}
