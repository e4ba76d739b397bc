//! Files of interactions on their way into a database.

use std::io::Read;
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use kithdb::{Db, Interaction, Repeats};
use serde::Serialize;

use super::taken::{self, Taken};
use crate::input::{Reader, ReaderOptions, RejectFile, Rejected, Row, Source};
use crate::output::{self, Output};

/// How many rejected rows are shown; `--reject` has them all.
const SHOWN: usize = 5;

/// What a load came to.
#[derive(Debug, Serialize)]
pub(super) struct Loaded {
    files: Vec<Taken>,
    /// Rows stored, those that were there before included.
    pub(super) interactions: u64,
    /// Of a user and an item that were not there.
    new: u64,
    /// Of a user and an item that were there and are changed.
    updated: u64,
    /// Of a user and an item that were there and stay as they were.
    repeated: u64,
    pub(super) rejected: u64,
    pub(super) rejects: Vec<Reject>,
    /// Rows rated below --min-rating.
    rated_too_low: u64,
    repeats: Repeats,
    users: u64,
    items: u64,
    interactions_in_database: u64,
    pub(super) seconds: f64,
    interactions_per_second: f64,
}

/// A rejected row as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reject {
    file: String,
    line: u64,
    reason: String,
}

/// The interactions of files, one after another; what is not one is dealt with on the way.
pub(super) struct Intake<'a> {
    output: &'a Output,
    sources: std::vec::IntoIter<Source>,
    current: Option<(Source, Reader)>,
    options: ReaderOptions,
    strict: bool,
    files: Vec<Taken>,
    rejected: u64,
    rated_too_low: u64,
    shown: Vec<Reject>,
    rejects: Option<RejectFile>,
    /// Read ahead of the rest, to see whether there is anything to load.
    first: Option<Interaction>,
    /// Why the files ended early.
    failure: Option<anyhow::Error>,
    bar: ProgressBar,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        sources: Vec<Source>,
        options: ReaderOptions,
        rejects: Option<RejectFile>,
        strict: bool,
        output: &'a Output,
    ) -> Self {
        let bar = output::bytes_bar(sources.iter().map(Source::size).sum());
        bar.set_message("loading");
        Self {
            output,
            files: Vec::new(),
            sources: sources.into_iter(),
            current: None,
            options,
            strict,
            rejected: 0,
            rated_too_low: 0,
            shown: Vec::new(),
            rejects,
            first: None,
            failure: None,
            bar,
        }
    }

    /// Reads up to the first interaction; whether there is one. A database made before that would be made for nothing.
    ///
    /// # Errors
    /// What ends the files before it.
    pub(super) fn begin(&mut self) -> anyhow::Result<bool> {
        if self.first.is_none() {
            self.first = self.next();
        }
        match self.failure.take() {
            Some(failure) => {
                self.end()?;
                Err(failure)
            }
            None => Ok(self.first.is_some()),
        }
    }

    /// Writes out what is left when nothing more is read.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        match self.rejects.take() {
            Some(rejects) => rejects.finish().context("cannot write rejected rows"),
            None => Ok(()),
        }
    }

    /// How many rows were rejected so far.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Stores everything.
    pub(super) fn load(mut self, db: &Db) -> anyhow::Result<Loaded> {
        let start = Instant::now();
        let inserted = db.insert_counted(&mut self)?;
        let interactions = inserted.interactions();
        let seconds = start.elapsed().as_secs_f64();
        self.end()?;
        if let Some(failure) = self.failure {
            let before = output::count(interactions);
            let again = match db.repeats() {
                Repeats::Sum => "loading these rows again would add their weights again",
                _ => "loading again is safe",
            };
            return Err(failure.context(format!("stopped after {before} interactions, which are stored; {again}")));
        }
        let stats = db.stats()?;
        Ok(Loaded {
            files: self.files,
            interactions,
            new: inserted.new,
            updated: inserted.updated,
            repeated: inserted.repeated,
            rejected: self.rejected,
            rejects: self.shown,
            rated_too_low: self.rated_too_low,
            repeats: db.repeats(),
            users: stats.users,
            items: stats.items,
            interactions_in_database: stats.interactions,
            seconds,
            interactions_per_second: interactions as f64 / seconds.max(f64::MIN_POSITIVE),
        })
    }

    fn open(&mut self, source: &Source) -> anyhow::Result<Reader> {
        let bar = self.bar.clone();
        let watched = |raw: Box<dyn Read>| -> Box<dyn Read> { Box::new(bar.wrap_read(raw)) };
        let reader = Reader::open_through(source, &self.options, watched)?;
        self.bar.suspend(|| taken::warn(self.output, source, &reader));
        self.files.push(Taken::of(source, &reader));
        Ok(reader)
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
            self.bar.suspend(|| self.output.note(&format!("{source}:{line}: {reason}")));
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
                None => {
                    self.rated_too_low += reader.below();
                    self.bar.suspend(|| taken::remark(self.output, &source, &reader));
                }
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

impl Iterator for Intake<'_> {
    type Item = Interaction;

    fn next(&mut self) -> Option<Interaction> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.failure.is_some() {
            return None;
        }
        self.advance().unwrap_or_else(|failure| {
            self.failure = Some(failure);
            None
        })
    }
}

/// What a load came to, for people.
pub(super) fn text(loaded: &Loaded) -> String {
    let count = output::count;
    let mut text = format!(
        "{}\nloaded {} interactions in {} ({} a second): {} new, {} updated, {} repeated",
        taken::text(&loaded.files),
        count(loaded.interactions),
        output::seconds(loaded.seconds),
        count(loaded.interactions_per_second as u64),
        count(loaded.new),
        count(loaded.updated),
        count(loaded.repeated),
    );
    text += &format!("\nrejected {} rows", count(loaded.rejected));
    if loaded.rated_too_low > 0 {
        text += &format!(", left out {} rated too low", count(loaded.rated_too_low));
    }
    let repeats = match loaded.repeats {
        Repeats::Last => "the last of a user and an item counts",
        Repeats::Sum => "weights of a user and an item are added up: loading a file again adds them again",
        Repeats::Max => "the largest weight of a user and an item counts",
        Repeats::First => "the first of a user and an item counts",
        _ => "",
    };
    text + &format!(
        "\nthe database has {} users, {} items, {} interactions; {repeats}",
        count(loaded.users),
        count(loaded.items),
        count(loaded.interactions_in_database),
    )
}
