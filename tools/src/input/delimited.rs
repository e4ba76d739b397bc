//! Comma- and tab-separated rows.

use std::collections::VecDeque;
use std::io;

use csv_core::{ReadRecordResult, ReaderBuilder};
use kithdb::Interaction;

use super::columns::Layout;
use super::lines::{Found, Lines, MAX_LINE, without_end};
use super::row::{self, IdKinds, Rejected, Row};

/// How much a quoted cell may add to its row's first line. A quote that never closes would swallow the file otherwise; past this it costs its
/// own line only.
const MAX_QUOTED: usize = 64 << 10;

/// Reads records by the grammar of RFC 4180, as the `csv` crate does, but line by line: a stray quote spoils one line, the raw row is at hand
/// for the report, and memory is bounded.
pub(super) struct Records {
    lines: Lines,
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

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(|at| self.get(at))
    }
}

impl Records {
    pub(super) fn new(lines: Lines, delimiter: u8) -> Self {
        Self {
            lines,
            grammar: ReaderBuilder::new().delimiter(delimiter).build(),
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
            Ok(text) if ends.iter().all(|&end| text.is_char_boundary(end)) => Record::Cells(Cells { text, ends }),
            _ => Record::Broken("the row is not valid UTF-8".into()),
        }))
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
                    ReadRecordResult::Record if matches!(input, b"" | b"\n") => return Fed::Record,
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

/// Reads interactions off records.
pub(super) struct Delimited {
    records: Records,
    layout: Layout,
    ids: IdKinds,
    /// The first row of a file without a header, which had to be read to know its width.
    first: Option<Row>,
}

impl Delimited {
    pub(super) fn new(records: Records, layout: Layout, ids: IdKinds) -> Self {
        Self { records, layout, ids, first: None }
    }

    /// Takes a first row that is no header.
    pub(super) fn with_first(mut self, cells: &[String]) -> Self {
        let cell = |at: usize| cells.get(at).map(String::as_str).unwrap_or_default();
        let parsed = interaction(&self.layout, self.ids, cells.len(), cell);
        self.first = Some(self.row(parsed));
        self
    }

    pub(super) fn line_number(&self) -> u64 {
        self.records.line_number
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        if let Some(row) = self.first.take() {
            return Ok(Some(row));
        }
        let parsed = match self.records.next()? {
            None => return Ok(None),
            Some(Record::Broken(reason)) => Err(reason),
            Some(Record::Cells(cells)) => interaction(&self.layout, self.ids, cells.len(), |at| cells.get(at)),
        };
        Ok(Some(self.row(parsed)))
    }

    fn row(&self, parsed: Result<Interaction, String>) -> Row {
        let reject = |reason| Rejected { line: self.records.line_number, reason, raw: self.records.raw().to_vec() };
        parsed.map_or_else(|reason| Row::Rejected(reject(reason)), Row::Interaction)
    }
}

/// The interaction in a row of `width` cells; the error is a reason.
fn interaction<'a>(
    layout: &Layout,
    ids: IdKinds,
    width: usize,
    cell: impl Fn(usize) -> &'a str,
) -> Result<Interaction, String> {
    if width != layout.width {
        return Err(format!("the row has {width} columns where the first line has {}", layout.width));
    }
    let user = row::id("user", cell(layout.user), ids.user)?;
    let item = row::id("item", cell(layout.item), ids.item)?;
    let weight = layout.weight.map_or(Ok(1.0), |at| row::weight(cell(at)))?;
    let time = layout.time.map_or(Ok(None), |at| row::time(cell(at)))?;
    Ok(Interaction { user, item, weight, time })
}
