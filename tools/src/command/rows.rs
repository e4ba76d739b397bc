//! Rows for other programs: csv or JSON lines, in a file or on stdout.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kithdb::Id;
use serde::Serialize;

use crate::input::quoted_id;
use crate::output::{self, Output, ResultFile};

/// Where rows go, and how they are written.
#[derive(Args, Clone, Debug)]
pub(super) struct RowsArgs {
    /// The file to write, whole or not at all: .csv or .jsonl, with .gz or .zst behind for less of it; - is stdout
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// How rows are written [default: as the file is called; on stdout csv, and JSON lines of attributes and with --json]
    #[arg(long, value_name = "FORM")]
    form: Option<Form>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Columns with commas between, under a header.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Form {
    /// That of a file of this name.
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit_once('.') {
            Some((_, "csv")) => Some(Self::Csv),
            Some((_, "jsonl" | "ndjson")) => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// Rows on their way to a file.
pub(super) struct Rows<'a> {
    file: ResultFile,
    form: Form,
    output: &'a Output,
}

impl RowsArgs {
    /// The same, but for JSON lines on stdout unless another form is asked for.
    pub(super) fn of_lines(mut self) -> Self {
        if output::is_stdout(&self.out) {
            self.form = self.form.or(Some(Form::Jsonl));
        }
        self
    }

    /// Begins the file, with a header where it has one.
    ///
    /// # Errors
    /// Where its name tells no form and none was given, where csv would be among JSON, and where it cannot be written.
    pub(super) fn begin<'a>(&self, header: &str, output: &'a Output) -> anyhow::Result<Rows<'a>> {
        let name = self.out.display();
        let by_place = match output::is_stdout(&self.out) {
            true if output.is_json() => Some(Form::Jsonl),
            true => Some(Form::Csv),
            false => Form::of(&self.out),
        };
        let Some(form) = self.form.or(by_place) else {
            anyhow::bail!("{name} is called neither .csv nor .jsonl; choose with --form csv or --form jsonl");
        };
        anyhow::ensure!(
            form == Form::Jsonl || !output.is_json() || !output::is_stdout(&self.out),
            "--json prints objects on stdout, which csv is not: choose --form jsonl, or another file with -o"
        );
        let mut rows = Rows { file: ResultFile::create(&self.out)?, form, output };
        if form == Form::Csv {
            rows.file.put(format_args!("{header}\n"))?;
        }
        Ok(rows)
    }
}

impl Rows<'_> {
    /// How rows are written.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Writes a row of csv.
    pub(super) fn csv(&mut self, cells: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        self.file.put(format_args!("{cells}\n"))
    }

    /// Writes a row of JSON.
    pub(super) fn json<T: Serialize>(&mut self, row: &T) -> anyhow::Result<()> {
        let line = self.output.line(row)?;
        self.file.put(format_args!("{line}\n"))
    }

    /// Ends the file, and prints what was done unless rows are on stdout.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn finish<T: Serialize>(self, outcome: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let Self { file, output, .. } = self;
        let is_stdout = file.is_stdout();
        file.finish()?;
        if is_stdout { Ok(()) } else { output.result(outcome, text) }
    }
}

/// An id as a cell of csv.
pub(super) fn cell(id: &Id) -> String {
    quoted_id(&id.to_string()).into_owned()
}
