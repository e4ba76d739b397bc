//! `kithdb load`: files of interactions into a database.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use kithdb::{Db, IdKind, Side};

use super::intake::{Intake, Loaded};
use super::layout::Layout;
use crate::cli::Answer;
use crate::input::{Format, IdKinds, Reader, RejectFile, Source};
use crate::output::{self, Output};

/// Load interactions from files into a database, which is made if there is none
///
/// Files are csv or tsv with a header, or lightgcn (`user item item ...` a line); `.gz` and `.zst` are read as they are, and `-` is stdin. A row
/// that cannot be stored is counted, and loading goes on. Loading a file again changes nothing.
#[derive(Args)]
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
    /// The kind of ids in a new database; one with ids keeps theirs
    #[arg(long, value_name = "KIND")]
    id_type: Option<IdType>,
}

/// The kinds of id a file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IdType {
    /// Text.
    Str,
    /// Whole numbers from 0 to 2^64-1.
    U64,
}

impl Load {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let sources: Vec<Source> = self.files.iter().cloned().map(Source::from).collect();
        check(&sources, &self.layout)?;
        let rejects = match &self.reject {
            None => None,
            Some(path) => Some(reject_file(path, &self.files)?),
        };
        let db = Db::open(&self.db)?;
        let ids = IdKinds { user: self.id_kind(&db, Side::User)?, item: self.id_kind(&db, Side::Item)? };
        let intake = Intake::new(sources, self.layout.reader(ids), rejects, self.strict, output);
        let loaded = intake.load(&db)?;
        if loaded.rejected > loaded.rejects.len() as u64 {
            output.note(&format!("{} rows were rejected in all", output::count(loaded.rejected)));
        }
        output.result(&loaded, text)?;
        Ok(if loaded.interactions == 0 { Answer::No } else { Answer::Yes })
    }

    fn id_kind(&self, db: &Db, side: Side) -> anyhow::Result<IdKind> {
        let asked = self.id_type.map(|id_type| match id_type {
            IdType::Str => IdKind::Str,
            IdType::U64 => IdKind::U64,
        });
        match (asked, db.id_kind(side)) {
            (Some(asked), Some(stored)) if asked != stored => {
                anyhow::bail!(
                    "the database has {side:?} ids of kind {stored:?}, and --id-type asks for {asked:?}; leave it out"
                )
            }
            (asked, stored) => Ok(stored.or(asked).unwrap_or(IdKind::Str)),
        }
    }
}

/// Creates the file for rejected rows, unless that would empty a file that is to be loaded.
fn reject_file(path: &Path, files: &[PathBuf]) -> anyhow::Result<RejectFile> {
    let place = |path: &Path| path.canonicalize().ok();
    let to_be_loaded = place(path).is_some_and(|reject| files.iter().any(|file| place(file).as_ref() == Some(&reject)));
    anyhow::ensure!(!to_be_loaded, "{} is to be loaded; name another file for --reject", path.display());
    RejectFile::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Finds what is wrong with any file before anything is stored. What can be read only once is looked at when its turn comes.
fn check(sources: &[Source], layout: &Layout) -> anyhow::Result<()> {
    let options = layout.reader(IdKinds { user: IdKind::Str, item: IdKind::Str });
    for source in sources {
        if source.opens_twice() {
            Reader::open(source, &options)?;
        } else if options.format.is_none() {
            Format::detect(source)?;
        }
    }
    Ok(())
}

fn text(loaded: &Loaded) -> String {
    let count = output::count;
    let mut text = format!(
        "loaded {} interactions in {} ({} a second)",
        count(loaded.interactions),
        output::seconds(loaded.seconds),
        count(loaded.interactions_per_second as u64),
    );
    if loaded.rejected > 0 {
        text += &format!("\nrejected {} rows", count(loaded.rejected));
    }
    text + &format!(
        "\nthe database has {} users, {} items, {} interactions",
        count(loaded.users),
        count(loaded.items),
        count(loaded.interactions_in_database),
    )
}
