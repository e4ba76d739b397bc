//! Rows of columns with a delimiter between.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::columns::Layout;
use super::delimiter::Delimiter;
use super::id_text;
use super::lines::{Found, Lines, MAX_LINE, without_end};
use super::names::{self, ITEM, USER};
use super::row::{Rejected, Row};
use super::rules::{Made, Rules};

/// How much a quoted cell may add to its row's first line. A quote that never closes would swallow the file otherwise; past this it costs its
/// own line only.
const MAX_QUOTED: usize = 64 << 10;

/// Reads records by the grammar of RFC 4180, as the `csv` crate does, but line by line: a stray quote spoils one line, the raw row is at hand
/// for the report, and memory is bounded.
pub(super) struct Records {
    lines: Lines,
    delimiter: Delimiter,
    grammar: csv_core::Reader,
    /// Lines read in search of a closing quote that was not found.
    returned: VecDeque<(u64, Vec<u8>)>,
    line: Vec<u8>,
    raw: Vec<u8>,
    cells: Vec<u8>,
    ends: Vec<usize>,
    pub(super) line_number: u64,
}

/// One record, borrowed from its reader until the next.
#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    Cells(Cells<'a>),
    Broken(String),
}

/// The cells of a record, side by side: the record is valid UTF-8 as a whole, and so is each cell.
#[derive(Debug, PartialEq)]
pub(super) struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
    raw: &'a [u8],
    /// What stands between cells where cells can be quoted.
    delimiter: Option<u8>,
}

impl<'a> Cells<'a> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell at a position from 0; empty where there is none.
    fn get(&self, at: usize) -> &'a str {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(at).and_then(|&end| self.text.get(start..end)).unwrap_or_default()
    }

    /// The cell at a position as an id: without blanks around it, but for those inside quotes.
    fn id(&self, at: usize) -> Cow<'a, str> {
        let cell = self.get(at);
        // Quotes matter to what begins or ends with a blank or a quote, which is rare.
        let edge = |c: char| c.is_whitespace() || c == '"';
        if !cell.starts_with(edge) && !cell.ends_with(edge) {
            return Cow::Borrowed(cell);
        }
        match self.raw(at).filter(|raw| raw.starts_with('"')) {
            None => id_text::plain(cell),
            Some(raw) => {
                let closed = raw.trim_end();
                let behind = raw.get(closed.len()..).filter(|_| closed.ends_with('"')).unwrap_or_default();
                Cow::Borrowed(cell.strip_suffix(behind).unwrap_or(cell))
            }
        }
    }

    /// The cells as ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = Cow<'a, str>> {
        (0..self.len()).map(|at| self.id(at))
    }

    /// The cell at a position as it stands in the file, where cells can be quoted.
    fn raw(&self, at: usize) -> Option<&'a str> {
        let delimiter = self.delimiter?;
        let row = without_end(self.raw);
        let (mut cell, mut start, mut quoted, mut within) = (0, 0, false, false);
        for (place, &byte) in row.iter().enumerate() {
            if place == start {
                (quoted, within) = (byte == b'"', byte == b'"');
            } else if byte == b'"' {
                // A quote written twice closes and opens again.
                within = quoted && !within;
            }
            if byte == delimiter && !within {
                if cell == at {
                    return std::str::from_utf8(row.get(start..place)?).ok();
                }
                (cell, start) = (cell + 1, place + 1);
            }
        }
        if cell == at { std::str::from_utf8(row.get(start..)?).ok() } else { None }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(|at| self.get(at))
    }
}

impl Records {
    pub(super) fn new(lines: Lines, delimiter: Delimiter) -> Self {
        let byte = if let Delimiter::Byte(byte) = delimiter { byte } else { b',' };
        Self {
            lines,
            grammar: ReaderBuilder::new().delimiter(byte).build(),
            delimiter,
            returned: VecDeque::new(),
            line: Vec::new(),
            raw: Vec::new(),
            cells: vec![0; 256],
            ends: vec![0; 16],
            line_number: 0,
        }
    }

    /// The row [`Records::next`] gave, as it stands in the file.
    pub(super) fn raw(&self) -> &[u8] {
        without_end(&self.raw)
    }

    /// The next record that is not a blank line.
    pub(super) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            match self.next_line()? {
                Found::End => return Ok(None),
                Found::TooLong(number) => {
                    self.line_number = number;
                    std::mem::swap(&mut self.raw, &mut self.line);
                    return Ok(Some(Record::Broken(format!("the line is longer than {} MiB", MAX_LINE >> 20))));
                }
                Found::Line(number) => {
                    self.line_number = number;
                    if !self.line.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                        break;
                    }
                }
            }
        }
        std::mem::swap(&mut self.raw, &mut self.line);
        let delimiter = match self.delimiter {
            Delimiter::Byte(delimiter) => Some(delimiter),
            _ => return Ok(Some(self.plain())),
        };
        let (mut cells, mut ends) = (0, 0);
        self.grammar.reset();
        let mut closed = self.feed(0, &mut cells, &mut ends);
        let first = self.raw.len();
        let mut added = Vec::new();
        while closed == Fed::QuoteOpen {
            match self.next_line()? {
                Found::Line(number) if self.raw.len() - first + self.line.len() <= MAX_QUOTED => {
                    let from = self.raw.len();
                    self.raw.extend_from_slice(&self.line);
                    added.push((number, std::mem::take(&mut self.line)));
                    closed = self.feed(from, &mut cells, &mut ends);
                }
                found => {
                    if let Found::Line(number) | Found::TooLong(number) = found {
                        added.push((number, std::mem::take(&mut self.line)));
                    }
                    for line in added.into_iter().rev() {
                        self.returned.push_front(line);
                    }
                    self.raw.truncate(first);
                    return Ok(Some(Record::Broken("a quote is opened and not closed".into())));
                }
            }
        }
        if closed == Fed::CarriageReturn {
            return Ok(Some(Record::Broken(
                "a carriage return stands inside the row; lines end with \\n or \\r\\n".into(),
            )));
        }
        let (cells, ends) = (self.cells.get(..cells).unwrap_or_default(), self.ends.get(..ends).unwrap_or_default());
        Ok(Some(match std::str::from_utf8(cells) {
            Ok(text) if ends.iter().all(|&end| text.is_char_boundary(end)) => {
                Record::Cells(Cells { text, ends, raw: &self.raw, delimiter })
            }
            _ => Record::Broken(NOT_UTF_8.into()),
        }))
    }

    /// The row in which nothing is quoted.
    fn plain(&mut self) -> Record<'_> {
        let Ok(text) = std::str::from_utf8(without_end(&self.raw)) else {
            return Record::Broken(NOT_UTF_8.into());
        };
        if text.contains('\r') {
            return Record::Broken("a carriage return stands inside the row; lines end with \\n or \\r\\n".into());
        }
        self.cells.clear();
        self.ends.clear();
        let mut add = |cell: &str| {
            self.cells.extend_from_slice(cell.as_bytes());
            self.ends.push(self.cells.len());
        };
        match &self.delimiter {
            Delimiter::Text(between) => text.split(between.as_str()).for_each(&mut add),
            _ => text.split_ascii_whitespace().for_each(&mut add),
        }
        match std::str::from_utf8(&self.cells) {
            Ok(text) => Record::Cells(Cells { text, ends: &self.ends, raw: &self.raw, delimiter: None }),
            Err(_) => Record::Broken(NOT_UTF_8.into()),
        }
    }

    fn next_line(&mut self) -> io::Result<Found> {
        match self.returned.pop_front() {
            // A line over the limit that was read in search of a quote is too long for any purpose.
            Some((number, line)) if line.len() >= MAX_LINE => {
                self.line = line;
                Ok(Found::TooLong(number))
            }
            Some((number, line)) => {
                self.line = line;
                Ok(Found::Line(number))
            }
            None => self.lines.read(&mut self.line),
        }
    }

    /// Runs the grammar over the raw row from `from` on.
    fn feed(&mut self, from: usize, cells: &mut usize, ends: &mut usize) -> Fed {
        // The end of the file ends a row as a line end does.
        let unended = if self.raw.ends_with(b"\n") { &b""[..] } else { b"\n" };
        for mut input in [self.raw.get(from..).unwrap_or_default(), unended] {
            while !input.is_empty() {
                let (cell_room, end_room) = (self.cells.get_mut(*cells..), self.ends.get_mut(*ends..));
                let (result, read, wrote, ended) =
                    self.grammar.read_record(input, cell_room.unwrap_or_default(), end_room.unwrap_or_default());
                (*cells, *ends) = (*cells + wrote, *ends + ended);
                input = input.get(read..).unwrap_or_default();
                match result {
                    ReadRecordResult::InputEmpty => {}
                    ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                    ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                    ReadRecordResult::Record if without_end(input).is_empty() => return Fed::Record,
                    ReadRecordResult::Record | ReadRecordResult::End => return Fed::CarriageReturn,
                }
            }
        }
        Fed::QuoteOpen
    }
}

/// How a line left the grammar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fed {
    Record,
    QuoteOpen,
    CarriageReturn,
}

/// Why bytes that are no text are no row.
pub(super) const NOT_UTF_8: &str =
    "the row is not valid UTF-8: convert the file, by iconv -f LATIN1 -t UTF-8 if it is of western Europe";

/// Why a row that is the header of its file once more, as where files were put together, is none.
pub(super) const HEADER_AGAIN: &str = "the header again";

/// Why a file ends at a header that has the user and the item elsewhere.
pub(super) const OTHER_COLUMNS: &str =
    "a header with its columns in another order follows: split the file there, and load its parts one by one";

/// Reads interactions off records.
pub(super) struct Delimited {
    records: Records,
    layout: Layout,
    /// The header, if there is one.
    header: Option<Header>,
}

/// The header of a file.
struct Header {
    /// As it stands in the file.
    raw: Vec<u8>,
    names: Vec<String>,
}

impl Header {
    /// Whether a row is one as well, as where files were put together: of names alone, that columns have here or anywhere, the user's and the item's among them.
    /// Whether it has these two where this one has them, then. What those are called there can be nothing else: a guest who touched wine is a row.
    fn another(&self, layout: &Layout, cells: &Cells<'_>) -> Option<bool> {
        let is_here = |cell: &str| self.names.iter().any(|name| name == cell.trim());
        let is_name = |cell: &str| is_here(cell) || names::is_one(cell);
        if !is_name(cells.get(layout.user)) || !cells.iter().all(is_name) {
            return None;
        }
        let places = [layout.user, layout.item];
        if cells.iter().all(is_here) {
            return Some(places.iter().all(|&at| self.names.get(at).is_some_and(|name| name == cells.get(at).trim())));
        }
        let cells: Vec<String> = cells.iter().map(str::to_owned).collect();
        let there = [&USER, &ITEM].map(|role| role.find(&cells));
        let is_sure = |name: &String| is_here(name) || names::is_one_for_sure(name);
        let are_sure = there.iter().all(|found| match found {
            Ok(found) => found.and_then(|at| cells.get(at)).is_some_and(is_sure),
            Err(several) => several.iter().all(is_sure),
        });
        are_sure.then(|| there == places.map(|at| Ok(Some(at))))
    }
}

impl Delimited {
    /// Of records, the first of which is passed over where it is a header.
    ///
    /// # Errors
    /// Where the header cannot be read.
    pub(super) fn new(mut records: Records, layout: Layout, header: bool) -> io::Result<Self> {
        let first = if header { records.next()? } else { None };
        let names = first.map(|first| match first {
            Record::Cells(cells) => cells.iter().map(|name| name.trim().to_owned()).collect(),
            Record::Broken(_) => Vec::new(),
        });
        let header = names.map(|names| Header { raw: bare(records.raw()).to_vec(), names });
        Ok(Self { records, layout, header })
    }

    pub(super) fn line_number(&self) -> u64 {
        self.records.line_number
    }

    pub(super) fn next(&mut self, rules: &mut Rules) -> io::Result<Option<Made>> {
        let made = match self.records.next()? {
            None => return Ok(None),
            Some(Record::Broken(reason)) => Err(reason),
            Some(Record::Cells(cells)) => match self.header.as_ref() {
                Some(header) if bare(cells.raw) == header.raw => Err(HEADER_AGAIN.into()),
                header => match header.and_then(|header| header.another(&self.layout, &cells)) {
                    None => made(&self.layout, &cells, rules),
                    Some(true) => Err("another header".into()),
                    // What follows it would be taken for something else than it is.
                    Some(false) => return Err(io::Error::other(OTHER_COLUMNS)),
                },
            },
        };
        let line = self.records.line_number;
        rules.judge(line, &made);
        Ok(Some(made.unwrap_or_else(|reason| {
            Made::Row(Row::Rejected(Rejected { line, reason, raw: self.records.raw().to_vec() }))
        })))
    }
}

/// A line without what stands around it by accident.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

/// What a row comes to; the error is a reason.
fn made(layout: &Layout, cells: &Cells<'_>, rules: &mut Rules) -> Result<Made, String> {
    if cells.len() != layout.width {
        return Err(format!("the row has {} columns where the first line has {}", cells.len(), layout.width));
    }
    let cell = |at: Option<usize>| at.map(|at| cells.get(at));
    rules.make(
        &cells.id(layout.user),
        &cells.id(layout.item),
        cell(layout.weight),
        cell(layout.time),
        cell(layout.rating),
    )
}
