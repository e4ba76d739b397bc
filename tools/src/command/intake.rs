//! Files of interactions on their way into a database.

use std::io::Read;
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use kithdb::{Db, Interaction};
use serde::Serialize;

use crate::input::{Reader, ReaderOptions, RejectFile, Rejected, Row, Source};
use crate::output::{self, Output};

/// How many rejected rows are shown; `--reject` has them all.
const SHOWN: usize = 5;

/// What a load came to.
#[derive(Debug, Serialize)]
pub(super) struct Loaded {
    files: usize,
    /// Rows stored, those that were there before included.
    pub(super) interactions: u64,
    pub(super) rejected: u64,
    pub(super) rejects: Vec<Reject>,
    pub(super) users: u64,
    pub(super) items: u64,
    pub(super) interactions_in_database: u64,
    pub(super) seconds: f64,
    pub(super) interactions_per_second: f64,
}

/// A rejected row as it is shown.
#[derive(Debug, Serialize)]
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
    files: usize,
    rejected: u64,
    shown: Vec<Reject>,
    rejects: Option<RejectFile>,
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

impl Iterator for Intake<'_> {
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
