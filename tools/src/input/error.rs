//! Why a file cannot be read at all; single bad rows are [`Rejected`](super::Rejected) instead.

use std::io;

use super::Source;

/// Each names the file and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not open.
    #[error("cannot open {source_name}: {error}")]
    Open {
        /// Which one.
        source_name: Source,
        /// The system's error.
        error: io::Error,
    },
    /// It stopped giving bytes, or its compression is damaged.
    #[error("cannot read {source_name} beyond line {line}: {error}")]
    Read {
        /// Which one.
        source_name: Source,
        /// The last line that was read.
        line: u64,
        /// The system's or the decompressor's error.
        error: io::Error,
    },
    /// There is not one line in it.
    #[error("{source_name} is empty")]
    Empty {
        /// Which one.
        source_name: Source,
    },
    /// It is something else than lines of text.
    #[error("{source_name} is {what}: {remedy}")]
    Foreign {
        /// Which one.
        source_name: Source,
        /// What it is.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// It can be read in more than one way.
    #[error("{source_name} can be read in two ways: {readings}")]
    TwoReadings {
        /// Which one.
        source_name: Source,
        /// The ways, and the option for each.
        readings: String,
    },
    /// Several columns could be the one that is looked for.
    #[error("{source_name} has several columns that could be the {role}'s: {columns}; name one with {option}{none}")]
    SeveralColumns {
        /// Which one.
        source_name: Source,
        /// What the column would hold.
        role: &'static str,
        /// The columns.
        columns: String,
        /// What names one.
        option: &'static str,
        /// What else can be said.
        none: &'static str,
    },
    /// Columns of a file without a header were asked for by name.
    #[error("{source_name} is to be read without a header, where columns are numbers: pass --user 1 --item 2")]
    NamesWithoutHeader {
        /// Which one.
        source_name: Source,
    },
    /// It is JSON, but no JSON lines.
    #[error("{source_name} is {what}; write JSON lines, an object a line: jq -c '{filter}' FILE")]
    JsonDocument {
        /// Which one.
        source_name: Source,
        /// What it is.
        what: &'static str,
        /// What turns it into lines.
        filter: &'static str,
    },
    /// A column is not there.
    #[error("{source_name} has no column {wanted} for the {role}; its first line has {there}. {remedy}")]
    MissingColumn {
        /// Which file.
        source_name: Source,
        /// What the column would hold.
        role: &'static str,
        /// The names that were looked for.
        wanted: String,
        /// The columns there are.
        there: String,
        /// What to pass instead.
        remedy: String,
    },
    /// The first line is not text.
    #[error("the first line of {source_name} is not valid UTF-8; convert the file to UTF-8")]
    HeaderNotText {
        /// Which one.
        source_name: Source,
    },
    /// Columns were named for a format without columns.
    #[error(
        "{source_name} is read as lightgcn (`user item item ...`), which has no columns to choose; pass --format csv or tsv, or no columns"
    )]
    NoColumns {
        /// Which one.
        source_name: Source,
    },
}
