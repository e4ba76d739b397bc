//! The reader of one file.

use std::io::Read;

use super::columns::Understood;
use super::delimited::{Delimited, Records};
use super::delimiter::Delimiter;
use super::head::Head;
use super::json_lines::JsonLines;
use super::lightgcn::Lightgcn;
use super::lines::Lines;
use super::recognise::{Recognised, Shape, recognise};
use super::row::{IdKinds, Row};
use super::rules::{Made, Rules};
use super::time::TimeUnit;
use super::{Columns, Error, Format, Source};

/// How files are read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderOptions {
    /// The layout; `None` tells it from what each file holds.
    pub format: Option<Format>,
    /// What stands between columns; `None` tells it from what each file holds.
    pub delimiter: Option<Delimiter>,
    /// Whether the first line is a header; `None` goes by the columns asked for.
    pub header: Option<bool>,
    /// The columns.
    pub columns: Columns,
    /// What times that are numbers count; `None` goes by their size.
    pub time_unit: Option<TimeUnit>,
    /// The rating below which rows are left out.
    pub min_rating: Option<f64>,
    /// The kinds of id to read text as.
    pub ids: IdKinds,
}

impl ReaderOptions {
    /// Options that leave everything to be told from the files.
    pub fn of(ids: IdKinds) -> Self {
        Self {
            format: None,
            delimiter: None,
            header: None,
            columns: Columns::default(),
            time_unit: None,
            min_rating: None,
            ids,
        }
    }
}

/// Reads the rows of one file, in order: an iterator that ends at the file's end or its first [`Error`].
pub struct Reader {
    source: Source,
    content: Content,
    rules: Rules,
    understood: Understood,
    failed: bool,
}

enum Content {
    Lightgcn(Lightgcn),
    Delimited(Box<Delimited>),
    JsonLines(Box<JsonLines>),
}

impl Reader {
    /// Opens a file, recognises what it holds, and finds its columns.
    ///
    /// # Errors
    /// Where the file does not open, is empty, holds no text, lacks a column, or can be read in two ways.
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
        let cannot_open = |error| Error::Open { source_name: source.clone(), error };
        let (head, bytes) = source.open_through(wrap).and_then(Head::of).map_err(cannot_open)?;
        let Recognised { shape, understood, times } = recognise(source, &head, options)?;
        let lines = Lines::new(bytes);
        let content = match shape {
            Shape::Lightgcn => Content::Lightgcn(Lightgcn::new(lines, options.ids)),
            Shape::Delimited { delimiter, layout, header } => {
                let records = Records::new(lines, delimiter);
                Content::Delimited(Box::new(Delimited::new(records, layout, header).map_err(cannot_open)?))
            }
            Shape::JsonLines { layout, keys } => Content::JsonLines(Box::new(JsonLines::new(lines, &layout, &keys))),
        };
        let rules = Rules::new(options.ids, times, options.min_rating);
        Ok(Self { source: source.clone(), content, rules, understood, failed: false })
    }

    /// How the file is read.
    pub fn understood(&self) -> &Understood {
        &self.understood
    }

    /// How many rows were left out so far because they are rated too low.
    pub fn below(&self) -> u64 {
        self.rules.below()
    }

    /// What is worth a look in what was read so far.
    pub fn remarks(&self) -> Vec<String> {
        self.rules.remarks()
    }

    /// The line read last, from 1.
    fn line(&self) -> u64 {
        match &self.content {
            Content::Lightgcn(reader) => reader.line_number,
            Content::Delimited(reader) => reader.line_number(),
            Content::JsonLines(reader) => reader.line_number,
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            let made = match &mut self.content {
                Content::Lightgcn(reader) => reader.next().map(|row| row.map(Made::Row)),
                Content::Delimited(reader) => reader.next(&mut self.rules),
                Content::JsonLines(reader) => reader.next(&mut self.rules),
            };
            return match made {
                Ok(None) => None,
                Ok(Some(Made::Below)) => continue,
                Ok(Some(Made::Row(row))) => Some(Ok(row)),
                Err(error) => {
                    self.failed = true;
                    Some(Err(Error::Read { source_name: self.source.clone(), line: self.line(), error }))
                }
            };
        }
    }
}
