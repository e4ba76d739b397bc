//! `kithdb import-codes`: codes made elsewhere, published as they are.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kithdb::{CodeSet, Db, ImportOutcome};
use serde::Serialize;

use super::train::peak_memory;
use crate::cli::Answer;
use crate::interrupt;
use crate::output::{self, Output};

/// Publish packed codes made elsewhere, without a training, in a database that is made if there is none
///
/// The folder holds .npy files: items_codes (uint8, rows of packed bits, layer after layer), items_scalers (floats, one a layer), layer_weights, and for
/// users queries_codes and queries_scalers. Ids are row numbers unless items_ids or queries_ids are there.
#[derive(Args)]
#[command(after_help = "Example:
  kithdb import-codes new.kith --dir codes")]
pub(crate) struct ImportCodes {
    /// The database's directory
    #[arg(value_name = "DB")]
    db: PathBuf,
    /// The folder of .npy files
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

/// What an import came to, as printed.
#[derive(Debug, Serialize)]
struct Imported {
    #[serde(flatten)]
    outcome: ImportOutcome,
    seconds: f64,
    /// Of this process; `null` where the system does not tell.
    peak_memory_bytes: Option<u64>,
}

impl ImportCodes {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let start = Instant::now();
        // Read before the database is opened: a folder that cannot be read leaves no database behind.
        let codes = CodeSet::read_folder(&self.dir)?;
        anyhow::ensure!(!codes.items.is_empty(), "{} has codes of no items: import at least one", self.dir.display());
        let outcome = Db::open(&self.db)?.cancelled_by(&interrupt::token()).import_codes(codes)?;
        print(output, outcome, start)
    }
}

/// Prints what an import begun at `start` came to.
pub(super) fn print(output: &Output, outcome: ImportOutcome, start: Instant) -> anyhow::Result<Answer> {
    let imported = Imported { outcome, seconds: start.elapsed().as_secs_f64(), peak_memory_bytes: peak_memory() };
    output.result(&imported, text)?;
    Ok(Answer::Yes)
}

fn text(imported: &Imported) -> String {
    let Imported { outcome, seconds, peak_memory_bytes } = imported;
    let memory =
        peak_memory_bytes.map(|peak| format!(", at most {} of memory", output::bytes(peak))).unwrap_or_default();
    let zeros = match outcome.without_direction {
        0 => String::new(),
        zeros => format!(
            "\n{} vectors are all zero and have no direction: users among them have no code",
            output::count(zeros)
        ),
    };
    format!(
        "published generation {} in {}{memory}\n{} items and {} users of {} bits in {} layers; users have {} bits a dimension{zeros}\n\
         {} interactions were kept\ncontent {}",
        outcome.generation,
        output::seconds(*seconds),
        output::count(outcome.items),
        output::count(outcome.users),
        output::count(outcome.layer_bits.iter().map(|&bits| u64::from(bits)).sum()),
        outcome.layer_bits.len(),
        outcome.query_bits,
        output::count(outcome.interactions),
        outcome.content_hash,
    )
}
