//! What a file holds, told from its beginning.

use std::collections::HashSet;
use std::io::Cursor;

use super::columns::{Layout, Understood, shortened};
use super::delimited::{Record, Records};
use super::delimiter::Delimiter;
use super::head::Head;
use super::json_lines;
use super::lines::Lines;
use super::names::{ITEM, RATING, TIME, USER};
use super::time::Times;
use super::{Error, Format, ReaderOptions, Source, foreign};

/// How a file is to be read.
#[derive(Debug)]
pub(super) enum Shape {
    Delimited { delimiter: Delimiter, layout: Layout, header: bool },
    Lightgcn,
    JsonLines { layout: Layout, keys: Vec<String> },
}

/// What was recognised.
#[derive(Debug)]
pub(super) struct Recognised {
    pub(super) shape: Shape,
    pub(super) understood: Understood,
    pub(super) times: Times,
}

/// Recognises a file by its beginning and by what is asked for. Where two readings are possible none is chosen.
///
/// # Errors
/// Where the file is empty, holds no text, lacks a column, or can be read in two ways.
pub(super) fn recognise(source: &Source, head: &Head, options: &ReaderOptions) -> Result<Recognised, Error> {
    let source_name = || source.clone();
    if let Some((what, remedy)) = foreign::recognised(head.bytes()) {
        return Err(Error::Foreign { source_name: source_name(), what, remedy });
    }
    if head.text().iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(Error::Empty { source_name: source_name() });
    }
    let extension = source.extension();
    let extension = extension.as_deref();
    if let Some((what, remedy)) = foreign::above(head.text()).filter(|_| options.header.is_none()) {
        return Err(Error::Foreign { source_name: source_name(), what, remedy });
    }
    let json = matches!(options.format, Some(Format::Jsonl))
        || (options.format.is_none()
            && (matches!(extension, Some("jsonl" | "ndjson" | "json")) || begins_an_object(head)));
    if json {
        return json_objects(source, head, options);
    }
    let lightgcn =
        options.format == Some(Format::Lightgcn) || (options.format.is_none() && extension == Some("lightgcn"));
    if lightgcn {
        return match options.columns.is_default() && options.delimiter.is_none() && options.min_rating.is_none() {
            true => Ok(users_and_items()),
            false => Err(Error::NoColumns { source_name: source_name() }),
        };
    }
    let sample = Sample { source, head: head.text(), options };
    match options.header.unwrap_or(options.columns.expect_header()) {
        false => sample.without_header(),
        true => sample.with_header(extension),
    }
}

/// The LightGCN layout.
fn users_and_items() -> Recognised {
    let understood =
        Understood { format: "lightgcn", delimiter: Some(Delimiter::Blanks.to_string()), ..Understood::default() };
    Recognised { shape: Shape::Lightgcn, understood, times: Times::default() }
}

/// Whether the first line that is not blank is a JSON object, or a JSON array of some.
fn begins_an_object(head: &Head) -> bool {
    let line = head.text().split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    line.is_some_and(|line| {
        (line.starts_with(b"{") && json_lines::object(line).is_ok())
            || line.strip_prefix(b"[").is_some_and(|rest| matches!(rest.trim_ascii(), [] | [b'{', ..]))
    })
}

fn json_objects(source: &Source, head: &Head, options: &ReaderOptions) -> Result<Recognised, Error> {
    let lines: Vec<&[u8]> =
        head.text().split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    let document = |what, filter| Error::JsonDocument { source_name: source.clone(), what, filter };
    let objects: Vec<_> = lines.iter().filter_map(|line| json_lines::object(line).ok()).collect();
    match lines.first().map(|first| first.trim_ascii()) {
        Some([b'[', ..]) => return Err(document("one JSON array", ".[]")),
        _ if objects.is_empty() => {
            return Err(document("no JSON lines: not one of its first lines is an object", "."));
        }
        _ => {}
    }
    let (mut keys, mut seen) = (Vec::new(), HashSet::new());
    for key in objects.iter().flat_map(|object| object.keys()) {
        if seen.insert(key) {
            keys.push(key.clone());
        }
    }
    let columns = &options.columns;
    let layout = columns.find(source, &keys, true, options.min_rating.is_some())?;
    let understood = columns.understood(&layout, &keys, true, None);
    let moments: Vec<String> = match layout.time.and_then(|at| keys.get(at)) {
        Some(key) => objects.iter().filter_map(|object| json_lines::number(object, key).ok()).collect(),
        None => Vec::new(),
    };
    let times = Times::of(options.time_unit, moments.iter().map(String::as_str));
    Ok(Recognised { shape: Shape::JsonLines { layout, keys }, understood, times })
}

/// The beginning of a file that holds columns, or users and their items.
struct Sample<'a> {
    source: &'a Source,
    head: &'a [u8],
    options: &'a ReaderOptions,
}

/// Rows, as far as they can be read.
type Rows = Vec<Option<Vec<String>>>;

impl Sample<'_> {
    /// The rows there are with a delimiter.
    fn rows(&self, delimiter: &Delimiter) -> Rows {
        let mut records = Records::new(Lines::new(Box::new(Cursor::new(self.head.to_vec()))), delimiter.clone());
        let mut rows = Vec::new();
        // Reading from memory does not fail; if it did, there would be no more rows.
        while let Ok(Some(record)) = records.next() {
            rows.push(match record {
                Record::Cells(cells) => Some(cells.iter().map(str::to_owned).collect()),
                Record::Broken(_) => None,
            });
        }
        rows
    }

    /// What may stand between columns, the likeliest first.
    fn candidates(&self) -> Vec<Delimiter> {
        if let Some(delimiter) = &self.options.delimiter {
            return vec![delimiter.clone()];
        }
        let mut candidates = Delimiter::usual().to_vec();
        if self.prefers_tabs() {
            candidates.swap(0, 1);
        }
        candidates
    }

    fn prefers_tabs(&self) -> bool {
        match self.options.format {
            Some(format) => format == Format::Tsv,
            None => matches!(self.source.extension().as_deref(), Some("tsv" | "tab" | "inter")),
        }
    }

    fn with_header(&self, extension: Option<&str>) -> Result<Recognised, Error> {
        let (columns, rated) = (&self.options.columns, self.options.min_rating.is_some());
        let source_name = || self.source.clone();
        if self.options.header == Some(true) && !columns.expect_header() {
            return self.without_header();
        }
        let mut missing: Option<(usize, Error, Delimiter, Rows)> = None;
        for delimiter in self.candidates() {
            let rows = self.rows(&delimiter);
            let Some(Some(first)) = rows.first() else { continue };
            let names: Vec<String> = first.iter().map(|name| name.trim().trim_matches('"').to_owned()).collect();
            match columns.find(self.source, &names, true, rated) {
                Ok(layout) => return Ok(self.delimited(delimiter, layout, &names, true, &rows)),
                Err(error @ Error::SeveralColumns { .. }) => return Err(error),
                // What is closest to a row of columns says best what is missing.
                Err(error) => {
                    if missing.as_ref().is_none_or(|&(width, ..)| width < names.len().min(2)) {
                        missing = Some((names.len().min(2), error, delimiter, rows));
                    }
                }
            }
        }
        let Some((width, error, delimiter, rows)) = missing else {
            return Err(Error::HeaderNotText { source_name: source_name() });
        };
        let may_be_lightgcn = self.options.format.is_none()
            && columns.is_default()
            && self.options.delimiter.is_none()
            && self.options.header.is_none()
            && !rated
            && !matches!(extension, Some("csv" | "tsv" | "tab" | "inter"))
            && (width < 2 || matches!(delimiter, Delimiter::Blanks | Delimiter::Byte(b'\t')));
        if may_be_lightgcn {
            return self.lightgcn_or_columns();
        }
        Err(self.hinted(error, &delimiter, &rows))
    }

    /// A file without names for its columns: of users and all their items, unless each line could be one interaction.
    fn lightgcn_or_columns(&self) -> Result<Recognised, Error> {
        let lines: Vec<Vec<&[u8]>> = self
            .head
            .split(|&byte| byte == b'\n')
            .map(|line| line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect())
            .filter(|words: &Vec<&[u8]>| !words.is_empty())
            .collect();
        let widths: HashSet<usize> = lines.iter().map(Vec::len).collect();
        let most = widths.iter().copied().max().unwrap_or(0);
        let users: HashSet<&[u8]> = lines.iter().filter_map(|words| words.first().copied()).collect();
        let tabs =
            self.head.split(|&byte| byte == b'\n').all(|line| line.trim_ascii().is_empty() || line.contains(&b'\t'));
        // A user and an item a line are the same interactions either way. More words a line, always as many, can be the user, the item and what
        // else there is; and users who come again on another line make that likely even where lines differ.
        let rows = most > 2 && widths.len() == 1 && (most <= 8 || tabs);
        let again = most > 2 && most <= 5 && users.len() < lines.len();
        if !rows && !again {
            return Ok(users_and_items());
        }
        let between = if tabs { Delimiter::Byte(b'\t') } else { Delimiter::Blanks };
        Err(Error::TwoReadings {
            source_name: self.source.clone(),
            readings: format!(
                "a user and all their items a line (pass --format lightgcn), or an interaction a line, {most} columns with {between} between{}",
                flags(&self.rows(&between))
            ),
        })
    }

    fn without_header(&self) -> Result<Recognised, Error> {
        let (columns, rated) = (&self.options.columns, self.options.min_rating.is_some());
        if columns.expect_header() {
            return Err(Error::NamesWithoutHeader { source_name: self.source.clone() });
        }
        let mut fitting = Vec::new();
        let mut likeliest: Option<(usize, Delimiter, Rows)> = None;
        for delimiter in self.candidates() {
            let rows = self.rows(&delimiter);
            let Some(width) = rows.iter().flatten().map(Vec::len).next() else { continue };
            let alike = rows.iter().filter(|row| row.as_ref().is_some_and(|row| row.len() == width)).count();
            if width >= 2 && width >= columns.last() && alike * 5 >= rows.len() * 4 {
                // Blanks stand within cells, too; tabs that were asked for are what is meant.
                if delimiter != Delimiter::Blanks || fitting.is_empty() {
                    fitting.push((delimiter, rows));
                }
                if self.prefers_tabs() && fitting.len() == 1 {
                    break;
                }
            } else if likeliest.as_ref().is_none_or(|&(least, ..)| least < width.min(2)) {
                likeliest = Some((width.min(2), delimiter, rows));
            }
        }
        if let [(first, _), (second, _), ..] = &fitting[..] {
            return Err(Error::TwoReadings {
                source_name: self.source.clone(),
                readings: format!(
                    "columns with {first} or with {second} between; pass --delimiter \"{first}\" or --delimiter \"{second}\""
                ),
            });
        }
        let Some((delimiter, rows)) = fitting.pop().or(likeliest.map(|(_, delimiter, rows)| (delimiter, rows))) else {
            return Err(Error::HeaderNotText { source_name: self.source.clone() });
        };
        let first: Vec<String> = rows.iter().flatten().next().cloned().unwrap_or_default();
        let layout = columns.find(self.source, &first, false, rated)?;
        let name = |at: usize| first.get(at).map(|name| name.trim().trim_matches('"')).unwrap_or_default();
        let named = [USER.is(name(layout.user)), ITEM.is(name(layout.item))].into_iter().any(|named| named)
            || layout.time.is_some_and(|at| TIME.is(name(at)))
            || layout.rating.is_some_and(|at| RATING.is(name(at)));
        match self.options.header {
            None if named => Err(Error::TwoReadings {
                source_name: self.source.clone(),
                readings: format!(
                    "its first line ({}) looks like a header, and columns by number mean that there is none; pass --header yes to pass over it, or --header no to load it",
                    first.iter().map(|cell| shortened(cell)).collect::<Vec<_>>().join(", ")
                ),
            }),
            header => {
                let header = header.unwrap_or(false);
                let names: Vec<String> = first.iter().map(|name| name.trim().to_owned()).collect();
                Ok(self.delimited(delimiter, layout, &names, header, &rows))
            }
        }
    }

    fn delimited(
        &self,
        delimiter: Delimiter,
        layout: Layout,
        names: &[String],
        header: bool,
        rows: &Rows,
    ) -> Recognised {
        let understood = self.options.columns.understood(&layout, names, header, Some(&delimiter));
        let moments = rows.iter().skip(usize::from(header)).flatten();
        let moments = moments.filter_map(|row| row.get(layout.time?)).map(String::as_str);
        let times = Times::of(self.options.time_unit, moments);
        Recognised { shape: Shape::Delimited { delimiter, layout, header }, understood, times }
    }

    /// A missing column, with what the first lines tell of the others.
    fn hinted(&self, error: Error, delimiter: &Delimiter, rows: &Rows) -> Error {
        let Error::MissingColumn { source_name, role, wanted, there, remedy } = error else { return error };
        let several = rows.first().and_then(Option::as_ref).is_some_and(|first| first.len() > 1);
        let remedy = match (several, self.options.columns.is_default() && role != RATING.role) {
            (true, true) => format!(
                "Columns seem to have {delimiter} between: name them with --user and --item; if the first line is no header, give numbers{}",
                flags(rows)
            ),
            (true, false) => format!("{remedy} (columns seem to have {delimiter} between)"),
            (false, _) => format!(
                "{remedy}; pass --delimiter if something else than , ; | :: tabs or blanks stands between columns, and --format lightgcn for a user and all their items a line"
            ),
        };
        Error::MissingColumn { source_name, role, wanted, there, remedy }
    }
}

/// The options that say what these columns are likely to hold.
fn flags(rows: &Rows) -> String {
    let widest = rows.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let some = || rows.iter().flatten().take(20);
    let number = |at: usize| some().filter_map(|row| row.get(at)).all(|cell| cell.trim().parse::<f64>().is_ok());
    let moment = |at: usize| {
        number(at)
            && some()
                .filter_map(|row| row.get(at))
                .all(|cell| matches!(Times::default().read(cell), Ok(Some(time)) if super::time::is_plausible(time)))
    };
    let time = (2..widest).find(|&at| moment(at));
    let rating = (2..widest).find(|&at| Some(at) != time && number(at));
    let mut flags = " (pass --user 1 --item 2".to_owned();
    if let Some(at) = time {
        flags += &format!(" --time {}", at + 1);
    }
    if let Some(at) = rating {
        flags += &format!(", and --weight {0} or --rating {0} --min-rating X for column {0}", at + 1);
    }
    flags + ")"
}
