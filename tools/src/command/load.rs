//! `kithdb load`: files of interactions into a database.

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use kithdb::{Db, IdKind, Interaction, Side};
use serde::Serialize;

use crate::cli::Answer;
use crate::input::{Columns, Format, IdKinds, Reader, ReaderOptions, RejectFile, Rejected, Row, Source};
use crate::output::{self, Output};

/// How many rejected rows are shown; `--reject` has them all.
const SHOWN: usize = 5;

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

/// How the rows of files are laid out.
#[derive(Args, Clone, Debug)]
pub(super) struct Layout {
    /// What the files hold; told by their extension otherwise (.csv, .tsv, .txt for lightgcn)
    #[arg(long)]
    format: Option<Format>,
    /// The column of the user: a name, or a number from 1 where there is no header [default: user, user_id, ...]
    #[arg(long, value_name = "COL")]
    user: Option<String>,
    /// The column of the item [default: item, item_id, ...]
    #[arg(long, value_name = "COL")]
    item: Option<String>,
    /// The column of the time: seconds, or from 10^11 on milliseconds, since 1970 [default: time, timestamp, if there is one]
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    time: Option<String>,
    /// The column of the weight, above 0: how much a row says that the user wants the item; a rating only if asked for
    /// [default: weight, count, if there is one]
    #[arg(long, value_name = "COL")]
    weight: Option<String>,
}

impl Layout {
    pub(super) fn reader(&self, ids: IdKinds) -> ReaderOptions {
        let Self { format, user, item, time, weight } = self.clone();
        ReaderOptions { format, columns: Columns { user, item, time, weight }, ids }
    }
}

/// The kinds of id a file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IdType {
    /// Text.
    Str,
    /// Whole numbers from 0 to 2^64-1.
    U64,
}

/// What a load came to.
#[derive(Debug, Serialize)]
pub(super) struct Loaded {
    files: usize,
    /// Rows stored, those that were there before included.
    pub(super) interactions: u64,
    rejected: u64,
    rejects: Vec<Reject>,
    users: u64,
    items: u64,
    interactions_in_database: u64,
    pub(super) seconds: f64,
    interactions_per_second: f64,
}

/// A rejected row as it is shown.
#[derive(Debug, Serialize)]
struct Reject {
    file: String,
    line: u64,
    reason: String,
}

impl Load {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let sources: Vec<Source> = self.files.iter().cloned().map(Source::from).collect();
        check(&sources, &self.layout)?;
        let rejects = match &self.reject {
            None => None,
            Some(path) => Some(RejectFile::create(path).with_context(|| format!("cannot write {}", path.display()))?),
        };
        let db = Db::open(&self.db)?;
        let ids = IdKinds { user: self.id_kind(&db, Side::User)?, item: self.id_kind(&db, Side::Item)? };
        let intake = Intake::new(sources, self.layout.reader(ids), rejects, self.strict);
        let loaded = intake.load(&db)?;
        for Reject { file, line, reason } in &loaded.rejects {
            output.note(&format!("{file}:{line}: {reason}"));
        }
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

/// The interactions of files, one after another; what is not one is dealt with on the way.
pub(super) struct Intake {
    sources: std::vec::IntoIter<Source>,
    current: Option<(Source, Reader)>,
    options: ReaderOptions,
    strict: bool,
    files: usize,
    rejected: u64,
    shown: Vec<Reject>,
    rejects: Option<RejectFile>,
    /// Why the files ended early.
    failure: Option<anyhow::Error>,
    bar: ProgressBar,
}

impl Intake {
    pub(super) fn new(sources: Vec<Source>, options: ReaderOptions, rejects: Option<RejectFile>, strict: bool) -> Self {
        let bar = output::bytes_bar(sources.iter().map(Source::size).sum());
        bar.set_message("loading");
        Self {
            files: sources.len(),
            sources: sources.into_iter(),
            current: None,
            options,
            strict,
            rejected: 0,
            shown: Vec::new(),
            rejects,
            failure: None,
            bar,
        }
    }

    /// Stores everything.
    pub(super) fn load(mut self, db: &Db) -> anyhow::Result<Loaded> {
        let start = Instant::now();
        let interactions = db.insert_many(&mut self)?;
        let seconds = start.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        if let Some(rejects) = self.rejects.take() {
            rejects.finish().context("cannot write rejected rows")?;
        }
        if let Some(failure) = self.failure {
            let before = output::count(interactions);
            return Err(failure
                .context(format!("stopped after {before} interactions, which are stored; loading again is safe")));
        }
        let stats = db.stats()?;
        Ok(Loaded {
            files: self.files,
            interactions,
            rejected: self.rejected,
            rejects: self.shown,
            users: stats.users,
            items: stats.items,
            interactions_in_database: stats.interactions,
            seconds,
            interactions_per_second: interactions as f64 / seconds.max(f64::MIN_POSITIVE),
        })
    }

    fn open(&self, source: &Source) -> anyhow::Result<Reader> {
        let bar = self.bar.clone();
        let watched = |raw: Box<dyn Read>| -> Box<dyn Read> { Box::new(bar.wrap_read(raw)) };
        Ok(Reader::open_through(source, &self.options, watched)?)
    }

    fn reject(&mut self, source: &Source, rejected: Rejected) -> anyhow::Result<()> {
        self.rejected += 1;
        if let Some(rejects) = &mut self.rejects {
            rejects.add(source, &rejected).context("cannot write rejected rows")?;
        }
        let Rejected { line, reason, .. } = rejected;
        if self.strict {
            anyhow::bail!("{source}:{line}: {reason}");
        }
        if self.shown.len() < SHOWN {
            self.shown.push(Reject { file: source.to_string(), line, reason });
        }
        Ok(())
    }

    fn advance(&mut self) -> anyhow::Result<Option<Interaction>> {
        loop {
            let (source, mut reader) = match self.current.take() {
                Some(current) => current,
                None => match self.sources.next() {
                    None => return Ok(None),
                    Some(source) => {
                        let reader = self.open(&source)?;
                        (source, reader)
                    }
                },
            };
            match reader.next().transpose()? {
                None => continue,
                Some(Row::Interaction(interaction)) => {
                    self.current = Some((source, reader));
                    return Ok(Some(interaction));
                }
                Some(Row::Rejected(rejected)) => {
                    self.reject(&source, rejected)?;
                    self.current = Some((source, reader));
                }
            }
        }
    }
}

impl Iterator for Intake {
    type Item = Interaction;

    fn next(&mut self) -> Option<Interaction> {
        if self.failure.is_some() {
            return None;
        }
        self.advance().unwrap_or_else(|failure| {
            self.failure = Some(failure);
            None
        })
    }
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
