//! `kithdb backup` and `kithdb restore`: a copy of a database, and back.

use std::path::{Path, PathBuf};

use clap::Args;
use kithdb::Db;

use super::database::Database;
use crate::cli::Answer;
use crate::output::Output;

/// Write a copy of a database into a new directory: what is live, and nothing else
///
/// It is a database of its own, as of now, and is checked when it is written. A program that has the database open makes one with `Db::compact_to`, while it
/// reads and writes. Do not copy the directory of a database in use with `cp`: its files change one after another, and copies of some moments do
/// not open.
#[derive(Args)]
#[command(after_help = "Example:
  kithdb backup shop.kith /backups/shop-2026-11-28.kith")]
pub(crate) struct Backup {
    #[command(flatten)]
    database: Database,
    /// The directory to write, absent or empty
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Make a database of a backup, which holds afterwards what it held
///
/// The backup is opened as every database is, and so written to: its log is written anew, and one of an earlier format is brought up to that of this program. One that
/// cannot be written to is copied first, with `cp -r`, to where it can be.
#[derive(Args)]
#[command(after_help = "Example:
  kithdb restore /backups/shop-2026-11-28.kith shop.kith")]
pub(crate) struct Restore {
    /// The backup
    #[command(flatten)]
    backup: Database,
    /// The database's directory, absent or empty
    #[arg(value_name = "NEW")]
    to: PathBuf,
}

impl Backup {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        copy(&self.database.open_for_long()?, &self.to, "backed up", output)
    }
}

impl Restore {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        copy(&self.backup.open_for_long()?, &self.to, "restored", output)
    }
}

/// Copies a database, and checks the copy.
fn copy(db: &Db, to: &Path, what: &str, output: &Output) -> anyhow::Result<Answer> {
    db.compact_to(to)?;
    let copy = Db::options().create(false).background(false).open(to)?;
    let report = copy.verify()?;
    anyhow::ensure!(report.is_sound(), "{} was written and is damaged: {:?}", to.display(), report.damage);
    let stats = copy.stats()?;
    let counts = serde_json::json!({
        "to": to.display().to_string(),
        "users": stats.users,
        "items": stats.items,
        "interactions": stats.interactions,
        "generation": stats.generation.map(|generation| generation.content_hash),
    });
    output.result(&counts, |_| {
        format!(
            "{what} {} interactions of {} users and {} items to {}; the copy was read back and is sound",
            crate::output::count(stats.interactions),
            crate::output::count(stats.users),
            crate::output::count(stats.items),
            to.display()
        )
    })?;
    Ok(Answer::Yes)
}
