//! The reader of one file.

use std::io::{self, Read};

use super::delimited::{Delimited, Record, Records};
use super::lightgcn::Lightgcn;
use super::lines::Lines;
use super::row::{IdKinds, Row};
use super::{Columns, Error, Format, Source};

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderOptions {
    /// The layout; `None` goes by each file's extension.
    pub format: Option<Format>,
    /// The columns of csv and tsv.
    pub columns: Columns,
    /// The kinds of id to read text as.
    pub ids: IdKinds,
}

/// Reads the rows of one file, in order: an iterator that ends at the file's end or its first [`Error`].
pub struct Reader {
    source: Source,
    layout: Layout,
    failed: bool,
}

enum Layout {
    Lightgcn(Lightgcn),
    Delimited(Box<Delimited>),
}

impl Reader {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// Where the file does not open, is empty, is of an unknown format, or lacks a column.
    pub fn open(source: &Source, options: &ReaderOptions) -> Result<Self, Error> {
        Self::open_through(source, options, |raw| raw)
    }

    /// [`Reader::open`] with something of the caller's around the bytes as they are on disk, such as a progress bar.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_through(
        source: &Source,
        options: &ReaderOptions,
        wrap: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>,
    ) -> Result<Self, Error> {
        let format = options.format.map_or_else(|| Format::detect(source), Ok)?;
        if format == Format::Lightgcn && !options.columns.is_default() {
            return Err(Error::NoColumns { source_name: source.clone() });
        }
        let cannot_open = |error| Error::Open { source_name: source.clone(), error };
        let mut bytes = source.open_through(wrap).map_err(cannot_open)?;
        if bytes.fill_buf().map_err(cannot_open)?.is_empty() {
            return Err(Error::Empty { source_name: source.clone() });
        }
        let lines = Lines::new(bytes);
        let layout = match format {
            Format::Lightgcn => Layout::Lightgcn(Lightgcn::new(lines, options.ids)),
            Format::Csv | Format::Tsv => Layout::Delimited(Box::new(delimited(
                source,
                Records::new(lines, format.delimiter()),
                options,
                cannot_open,
            )?)),
        };
        Ok(Self { source: source.clone(), layout, failed: false })
    }

    /// The line read last, from 1.
    fn line(&self) -> u64 {
        match &self.layout {
            Layout::Lightgcn(reader) => reader.line_number,
            Layout::Delimited(reader) => reader.line_number(),
        }
    }
}

/// Finds the columns in the first record.
fn delimited(
    source: &Source,
    mut records: Records,
    options: &ReaderOptions,
    cannot_open: impl Fn(io::Error) -> Error,
) -> Result<Delimited, Error> {
    let first: Vec<String> = match records.next().map_err(cannot_open)? {
        None => return Err(Error::Empty { source_name: source.clone() }),
        Some(Record::Broken(_)) => return Err(Error::HeaderNotText { source_name: source.clone() }),
        Some(Record::Cells(cells)) => cells.iter().map(str::to_owned).collect(),
    };
    if !options.columns.expect_header() {
        let layout = options.columns.find(source, &first)?;
        return Ok(Delimited::new(records, layout, options.ids).with_first(&first));
    }
    let names: Vec<String> = first.iter().map(|name| name.trim().to_owned()).collect();
    Ok(Delimited::new(records, options.columns.find(source, &names)?, options.ids))
}

impl Iterator for Reader {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = match &mut self.layout {
            Layout::Lightgcn(reader) => reader.next(),
            Layout::Delimited(reader) => reader.next(),
        };
        self.failed = row.is_err();
        let error = |error| Error::Read { source_name: self.source.clone(), line: self.line(), error };
        row.map_err(error).transpose()
    }
}
