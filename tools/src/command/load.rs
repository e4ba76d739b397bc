//! `kithdb load`: files of interactions into a database.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use kithdb::{Db, IdKind, Side};

use super::intake::{self, Intake};
use super::layout::Layout;
use super::settled::Settled;
use super::{database, dry_run, load_items};
use crate::cli::Answer;
use crate::input::{IdKinds, Reader, RejectFile, Source};
use crate::output::{self, Output};

/// Load interactions from files into a database, which is made if there is none
///
/// Files have columns with a header (commas, tabs, `;`, `|`, `::` or blanks between), columns by number, JSON lines, or `user item item ...` a
/// line (lightgcn): told from what they hold; where two readings are possible, the options to choose by are named. `.gz` and `.zst` are read as
/// they are, and `-` is stdin. Blanks around an id are none of it, unless it stands in double quotes. A row that cannot be stored is counted, and
/// loading goes on. There is one interaction a user and item: of those that come again the last counts, unless the database was made with another
/// `--repeats`.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb load shop.kith orders.csv
  kithdb load shop.kith orders.csv --dry-run
  kithdb load ml.kith u.data --user 1 --item 2 --time 4 --rating 3 --min-rating 4
  kithdb load plays.kith plays.jsonl.zst --repeats sum
  zcat log.gz | kithdb load shop.kith - --user visitor --item sku --time none")]
pub(crate) struct Load {
    /// The database's directory
    #[arg(value_name = "DB")]
    db: PathBuf,
    /// Files of interactions; - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    layout: Layout,
    /// Write rejected rows to this csv file: file, line, reason, row
    #[arg(long, value_name = "FILE")]
    reject: Option<PathBuf>,
    /// Stop at the first row that cannot be stored
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    settled: Settled,
    /// Load titles and attributes of the items from this file too, as load-items does; without a header, ids are in its first column and titles in its
    /// second
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Show the first rows as they are understood, and count all of them; store nothing
    #[arg(long)]
    dry_run: bool,
}

impl Load {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let sources: Vec<Source> = self.files.iter().cloned().map(Source::from).collect();
        check(&sources, &self.layout)?;
        if let Some(items) = self.items.clone().map(Source::from).filter(Source::opens_twice) {
            items.open().with_context(|| format!("cannot open {items} of --items"))?;
        }
        let rejects = match &self.reject {
            None => None,
            Some(path) => Some(reject_file(path, self.files.iter().chain(&self.items))?),
        };
        let there = if database::is_there(&self.db) { Some(self.settled.open(&self.db, Db::options())?) } else { None };
        let kind = |side| self.settled.id_kind(there.as_ref(), side);
        let options = self.layout.reader(IdKinds { user: kind(Side::User)?, item: kind(Side::Item)? });
        if self.dry_run {
            let dry_run = dry_run::read(&sources, &options, rejects, self.strict, output)?;
            output.result(&dry_run, dry_run::text)?;
            return Ok(if dry_run.interactions == 0 { Answer::No } else { Answer::Yes });
        }
        let mut intake = Intake::new(sources, options, rejects, self.strict, output);
        // A load that fails on its way to the first interaction makes no database.
        if !intake.begin()? && there.is_none() {
            intake.end()?;
            let rejected = output::count(intake.rejected());
            output.note(&format!("there is nothing to load: {rejected} rows were rejected, and no database was made"));
            output.result(&serde_json::json!({ "interactions": 0, "rejected": intake.rejected() }), |_| {
                "loaded nothing".into()
            })?;
            return Ok(Answer::No);
        }
        let db = match there {
            Some(db) => db,
            None => self.settled.open(&self.db, Db::options())?,
        };
        let loaded = intake.load(&db)?;
        if loaded.rejected > loaded.rejects.len() as u64 {
            output.note(&format!("{} rows were rejected in all", output::count(loaded.rejected)));
        }
        // What was loaded is told, whatever becomes of what is said of items.
        let described = self.items.clone().map(|path| load_items::load_beside(&db, path, output)).transpose();
        let told = described.as_ref().ok().and_then(Option::as_ref);
        output
            .result(&loaded, |loaded| intake::text(loaded) + &told.map_or(String::new(), |told| format!("\n{told}")))?;
        described?;
        Ok(if loaded.interactions == 0 { Answer::No } else { Answer::Yes })
    }
}

/// Creates the file for rejected rows, unless that would empty a file that is to be loaded.
fn reject_file<'a>(path: &Path, mut files: impl Iterator<Item = &'a PathBuf>) -> anyhow::Result<RejectFile> {
    let place = |path: &Path| path.canonicalize().ok();
    let to_be_loaded = place(path).is_some_and(|reject| files.any(|file| place(file).as_ref() == Some(&reject)));
    anyhow::ensure!(!to_be_loaded, "{} is to be loaded; name another file for --reject", path.display());
    RejectFile::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Finds what is wrong with any file before anything is stored. What can be read only once is looked at when its turn comes.
fn check(sources: &[Source], layout: &Layout) -> anyhow::Result<()> {
    let options = layout.reader(IdKinds { user: IdKind::Str, item: IdKind::Str });
    for source in sources {
        if source.opens_twice() {
            Reader::open(source, &options)?;
        }
    }
    Ok(())
}
