//! `kithdb split`: files of interactions into one to learn from and one to test with.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use kithdb::{Id, IdKind, Interaction};
use serde::Serialize;

use super::{at_least_one, layout::Layout, taken};
use crate::cli::Answer;
use crate::input::{self, Error, IdKinds, Reader, ReaderOptions, Row, Source};
use crate::output::{self, Output};
use crate::split::{self, By, HeldOut, Moment, Parts};

/// Split interactions into a part to train on and a part to test with, by the protocols of papers
///
/// Repeated rows of a user and an item count once, the last. Of every user the same share is held out, rounded down, and at least one interaction
/// stays; --at and --last hold out what happened last of all users alike, so that nothing is learned from what others did later. Ids are kept as they are; the same rows and seed give the same parts, in whatever order they stand.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb split orders.csv --out parts --to csv --last 0.1
  kithdb split ratings.csv --out parts --core 10 --test-share 0.2 --seed 7
  kithdb split plays.csv --out parts --to csv --at 2024-06-01
  kithdb split orders.csv --out parts --leave-one-out --by-time")]
pub(crate) struct Split {
    /// Files of interactions; - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    layout: Layout,
    /// The directory to write train and test to; made if there is none
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What to write: lightgcn (train.txt, test.txt) has ids only, csv (train.csv, test.csv) weights and times too
    #[arg(long, value_enum, default_value_t = Target::Lightgcn)]
    to: Target,
    /// Keep only users and items with at least so many interactions among themselves
    #[arg(long, value_name = "K", default_value = "1", value_parser = at_least_one)]
    core: usize,
    /// The share of every user's interactions to hold out
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = a_share)]
    test_share: f64,
    /// Hold out one interaction of every user who has two or more: drawn at random, or the latest with --by-time
    #[arg(long, conflicts_with_all = ["test_share", "at", "last"])]
    leave_one_out: bool,
    /// Hold out each user's latest interactions, instead of some drawn at random
    #[arg(long, conflicts_with = "seed")]
    by_time: bool,
    /// Hold out what happened at this moment or later, of all users alike: ISO 8601, or a number since 1970
    #[arg(long, value_name = "TIME", value_parser = a_moment, allow_hyphen_values = true, conflicts_with_all = ["by_time", "seed", "last", "test_share"])]
    at: Option<i64>,
    /// Hold out the latest interactions, this share of those of all users
    #[arg(long, value_name = "SHARE", value_parser = a_share, conflicts_with_all = ["by_time", "seed", "test_share"])]
    last: Option<f64>,
    /// Seed of the draws
    #[arg(long, default_value = "1")]
    seed: u64,
}

/// The formats that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// A user and all their items a line.
    Lightgcn,
    /// A row an interaction: user, item, weight, time.
    Csv,
}

/// What a split came to, as printed.
#[derive(Debug, Serialize)]
struct Written {
    /// Rows read that are interactions.
    interactions: u64,
    rejected: u64,
    /// Rows replaced by a later one of the same user and item.
    repeated: u64,
    /// Interactions outside the core.
    outside_core: u64,
    users: usize,
    items: usize,
    train: usize,
    test: usize,
    test_users: usize,
    #[serde(serialize_with = "output::path")]
    train_file: PathBuf,
    #[serde(serialize_with = "output::path")]
    test_file: PathBuf,
}

impl Split {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let (rows, rejected) = self.read(output)?;
        let interactions = rows.len();
        let edges = split::latest(rows);
        let distinct = edges.len();
        let edges = split::core(edges, self.core);
        let kept = edges.len();
        let by = if self.by_time { By::Time } else { By::Chance(self.seed) };
        let parts = match (self.at, self.last) {
            (Some(time), _) => split::across(edges, Moment::At(time))?,
            (None, Some(share)) => split::across(edges, Moment::Last(share))?,
            (None, None) if self.leave_one_out => split::cut(edges, HeldOut::One, by)?,
            (None, None) => split::cut(edges, HeldOut::Share(self.test_share), by)?,
        };
        let (train_file, test_file) = self.write(&parts)?;
        let all = || parts.train.iter().chain(&parts.test);
        let written = Written {
            interactions: interactions as u64,
            rejected,
            repeated: (interactions - distinct) as u64,
            outside_core: (distinct - kept) as u64,
            users: distinct_ids(all().map(|edge| &edge.user)),
            items: distinct_ids(all().map(|edge| &edge.item)),
            train: parts.train.len(),
            test: parts.test.len(),
            test_users: distinct_ids(parts.test.iter().map(|edge| &edge.user)),
            train_file,
            test_file,
        };
        if rejected > 0 {
            output.note(&format!("{} rows were rejected; try to load them to see why", output::count(rejected)));
        }
        if self.to == Target::Csv && all().filter_map(|edge| edge.time).any(input::is_number_of_time) {
            output.note("times past the calendar are written in milliseconds: load with --time-unit ms");
        }
        for (edges, what) in [(written.train, "train on"), (written.test, "test with")] {
            if edges == 0 {
                output.note(&format!(
                    "warning: there is nothing to {what}: all {} interactions are in the other part",
                    output::count(kept as u64)
                ));
            }
        }
        if self.to == Target::Lightgcn {
            for path in [&written.train_file, &written.test_file] {
                note_readings(path, output);
            }
        }
        output.result(&written, text)?;
        Ok(if written.train == 0 || written.test == 0 { Answer::No } else { Answer::Yes })
    }

    /// The interactions of all files, ids as text; and how many rows are none.
    fn read(&self, output: &Output) -> anyhow::Result<(Vec<Interaction>, u64)> {
        let options = self.layout.reader(IdKinds { user: IdKind::Str, item: IdKind::Str });
        let (mut rows, mut rejected) = (Vec::new(), 0);
        for file in &self.files {
            let source = Source::from(file.clone());
            let mut reader = Reader::open(&source, &options)?;
            taken::warn(output, &source, &reader);
            for row in &mut reader {
                match row? {
                    Row::Interaction(interaction) => rows.push(interaction),
                    Row::Rejected(_) => rejected += 1,
                }
            }
            taken::remark(output, &source, &reader);
        }
        Ok((rows, rejected))
    }

    /// Writes both files; where they are.
    fn write(&self, parts: &Parts) -> anyhow::Result<(PathBuf, PathBuf)> {
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make {}", self.out.display()))?;
        let extension = if self.to == Target::Csv { "csv" } else { "txt" };
        let [train, test] = ["train", "test"].map(|name| self.out.join(name).with_extension(extension));
        for path in [&train, &test] {
            anyhow::ensure!(!path.exists(), "{} exists already; name another directory with --out", path.display());
        }
        if self.to == Target::Lightgcn {
            check_words(parts.train.iter().chain(&parts.test))?;
        }
        let mut times = parts.train.iter().chain(&parts.test).filter_map(|edge| edge.time);
        let shown = if times.any(is_far) { input::shown_time } else { seconds };
        for (path, edges) in [(&train, &parts.train), (&test, &parts.test)] {
            let wrote = match self.to {
                Target::Lightgcn => write_lightgcn(path, edges),
                Target::Csv => write_csv(path, edges, shown),
            };
            wrote.with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok((train, test))
    }
}

/// Tells of a file of lightgcn lines that commands would not take for one by themselves, as where all lines are as long.
fn note_readings(path: &Path, output: &Output) {
    let options = ReaderOptions::of(IdKinds { user: IdKind::Str, item: IdKind::Str });
    if matches!(Reader::open(&Source::from(path.to_owned()), &options), Err(Error::TwoReadings { .. })) {
        output.note(&format!("{} can be read in two ways: pass --format lightgcn beside it", path.display()));
    }
}

/// Refuses ids that lightgcn lines, where blanks stand between ids, cannot hold, or that would have the lines taken for something else.
fn check_words<'a>(edges: impl Iterator<Item = &'a Interaction>) -> anyhow::Result<()> {
    for edge in edges {
        for id in [&edge.user, &edge.item] {
            let text = id.to_string();
            anyhow::ensure!(
                !text.contains(|c: char| c.is_ascii_whitespace()) && input::plain_id(&text) == text,
                "the id {text:?} has blanks or quotes in it, which lightgcn files cannot hold; write csv with --to csv"
            );
            anyhow::ensure!(
                !text.contains([',', ';', '|']) && !text.contains("::") && !text.ends_with(':'),
                "the id {text:?} has in it what stands between columns, or a colon at its end: lightgcn lines of it would be read as something else; write csv with --to csv"
            );
        }
    }
    Ok(())
}

/// A line a user, in the order of their first interactions.
fn write_lightgcn(path: &Path, edges: &[Interaction]) -> anyhow::Result<()> {
    let mut lines: Vec<String> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for edge in edges {
        let place = *places.entry(&edge.user).or_insert(lines.len());
        if place == lines.len() {
            lines.push(edge.user.to_string());
        }
        if let Some(line) = lines.get_mut(place) {
            line.push(' ');
            line.push_str(&edge.item.to_string());
        }
    }
    let mut file = BufWriter::new(File::create_new(path)?);
    for line in &lines {
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

fn write_csv(path: &Path, edges: &[Interaction], shown: fn(i64) -> String) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    writeln!(file, "user,item,weight,time")?;
    for edge in edges {
        let (user, item) = (edge.user.to_string(), edge.item.to_string());
        let time = edge.time.map_or_else(String::new, shown);
        writeln!(file, "{},{},{},{time}", input::quoted_id(&user), input::quoted_id(&item), edge.weight)?;
    }
    Ok(file.flush()?)
}

/// Whether a time in milliseconds would be read as a date of fourteen digits, or as microseconds.
fn is_far(milliseconds: i64) -> bool {
    milliseconds.unsigned_abs() >= 10_000_000_000_000
}

/// Milliseconds since 1970, none of them far, as readers take them: numbers near zero are seconds.
fn seconds(milliseconds: i64) -> String {
    const FIRST_MILLISECOND: u64 = 100_000_000_000;
    if milliseconds.unsigned_abs() >= FIRST_MILLISECOND {
        milliseconds.to_string()
    } else if milliseconds % 1000 == 0 {
        (milliseconds / 1000).to_string()
    } else {
        format!("{:.3}", milliseconds as f64 / 1000.0)
    }
}

fn distinct_ids<'a>(ids: impl Iterator<Item = &'a Id>) -> usize {
    ids.collect::<HashSet<_>>().len()
}

/// Reads a time as files have them.
fn a_moment(text: &str) -> Result<i64, String> {
    input::read_time(text)?.ok_or_else(|| "pass a time, such as 2024-01-15".into())
}

/// Reads a share of something to hold out.
fn a_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        Ok(_) => Err("hold out more than 0 and less than 1, 0.2 for a fifth".into()),
        Err(error) => Err(format!("{error}")),
    }
}

fn text(written: &Written) -> String {
    let count = |n: usize| output::count(n as u64);
    format!(
        "{} interactions of {} users with {} items: {} to train on, {} to test with, of {} users\n\
         left out: {} repeated, {} outside the core\n{}\n{}",
        count(written.train + written.test),
        count(written.users),
        count(written.items),
        count(written.train),
        count(written.test),
        count(written.test_users),
        output::count(written.repeated),
        output::count(written.outside_core),
        written.train_file.display(),
        written.test_file.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        let cases = [
            (874_965_758_000, "874965758000"),
            (5_000, "5"),
            (-5_250, "-5.250"),
            (99_999_999_999, "99999999.999"),
            (100_000_000_000, "100000000000"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(seconds(milliseconds), text);
        }
    }
}
