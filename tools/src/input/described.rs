//! Files that say something of items or users: an id a row, and attributes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};

use anyhow::Context;
use kithdb::{Attributes, Id, IdKind, Value, ValueKind};
use serde::Serialize;

use super::cell::{self, Cell, NoNumber, boolean, is_missing, kind_of, number};
use super::columns::shortened;
use super::delimited::{HEADER_AGAIN, OTHER_COLUMNS, Record, Records};
use super::foreign;
use super::lines::Lines;
use super::names::{Role, is_beside_id};
use super::{Delimiter, Source, json_lines, row as rows};

/// How such files are read.
#[derive(Clone, Debug, Default)]
pub struct DescribedOptions {
    /// What stands between columns; `None` tells it from the first line.
    pub delimiter: Option<Delimiter>,
    /// The column of ids: its name, or its number from 1 where there is no header.
    pub id: Option<String>,
    /// The column of titles.
    pub title: Option<String>,
    /// Names of the columns of a file without a header.
    pub names: Vec<String>,
    /// Columns that are sets of tags.
    pub tags: Vec<String>,
    /// Columns that are texts, whatever their cells look like.
    pub texts: Vec<String>,
    /// Columns that are numbers: a row with anything else there is a reject.
    pub numbers: Vec<String>,
    /// What stands between tags.
    pub tag_separator: Option<char>,
    /// The columns taken; all, if there are none.
    pub only: Vec<String>,
}

/// What a file says.
pub struct Described {
    /// Ids with what is said of them.
    pub rows: Vec<(Id, Attributes)>,
    /// Rows that say nothing that can be stored.
    pub rejects: Vec<(u64, String)>,
    /// How it was understood.
    pub read_as: ReadAs,
}

/// How a file was understood.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReadAs {
    /// The column of ids.
    pub id: String,
    /// Attributes, each with its kind.
    pub attributes: BTreeMap<String, &'static str>,
    /// Columns without a value in any row, or not asked for.
    pub left: Vec<String>,
    /// Attributes that are texts because of a few cells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub odd: Vec<OddColumn>,
    /// Whether the file is not UTF-8, and was read as Latin-1.
    pub latin_1: bool,
}

/// A new attribute that is a text because of a few cells, where most are of another kind.
#[derive(Clone, Debug, Serialize)]
pub struct OddColumn {
    /// The attribute.
    pub attribute: String,
    /// What most cells are.
    pub most_are: &'static str,
    /// The line of the first that is not.
    pub line: u64,
    /// What it has there.
    pub cell: String,
    /// How many are not.
    pub cells: u64,
}

/// A row as it stands in the file.
struct Line {
    number: u64,
    /// What each column has; texts of a delimited file are not told apart yet.
    cells: Vec<Option<Cell>>,
}

/// All of a file, as columns.
struct Table {
    names: Vec<String>,
    lines: Vec<Line>,
    rejects: Vec<(u64, String)>,
}

impl Table {
    /// Takes blanks around cells off, but for those of ids, which may be quoted.
    fn trim_but(&mut self, id: usize) {
        for line in &mut self.lines {
            for (_, cell) in line.cells.iter_mut().enumerate().filter(|(at, _)| *at != id) {
                *cell = cell.take().and_then(|cell| match cell {
                    Cell::Plain(text) => {
                        Some(text.trim()).filter(|text| !text.is_empty()).map(|text| Cell::Plain(text.to_owned()))
                    }
                    other => Some(other),
                });
            }
        }
    }
}

impl OddColumn {
    fn of(name: &str, odd: &cell::Odd<'_>) -> Self {
        let cell = odd.cell.chars().take(40).collect();
        Self { attribute: name.to_owned(), most_are: odd.kind.name(), line: odd.line, cell, cells: odd.count }
    }
}

/// Reads a file. `known` are the kinds that attributes have already; ids are of a kind.
///
/// # Errors
/// Where it cannot be read, and where its column of ids cannot be told.
pub fn read(
    source: &Source,
    options: &DescribedOptions,
    role: &'static Role,
    ids: IdKind,
    known: &BTreeMap<String, ValueKind>,
) -> anyhow::Result<Described> {
    let mut bytes = Vec::new();
    source
        .open()
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| anyhow::anyhow!("{source}: {error}"))?;
    if let Some((what, remedy)) = foreign::recognised(&bytes) {
        anyhow::bail!("{source} is {what}; {remedy}");
    }
    let (text, latin_1) = match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        // Every byte is a character of it.
        Err(error) => (error.into_bytes().iter().map(|&byte| char::from(byte)).collect(), true),
    };
    anyhow::ensure!(!text.contains('\0'), "{source}: it holds bytes that are no text; save it as UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let is_json = text.trim_start().starts_with('{');
    let mut table = if is_json { objects(text) } else { cells(source, text, options, role)? };
    let at = id_column(source, &table.names, options, role)?;
    if !is_json {
        table.trim_but(at);
    }
    let lists = [
        ("--only", &options.only),
        ("--tags", &options.tags),
        ("--texts", &options.texts),
        ("--numbers", &options.numbers),
    ];
    let asked = lists.into_iter().flat_map(|(option, names)| names.iter().map(move |name| (option, name)));
    for (option, name) in asked.chain(options.title.iter().map(|name| ("--title", name))) {
        let list = || table.names.join(", ");
        anyhow::ensure!(
            column(&table.names, name).is_some(),
            "{source}: no column {name:?} of {option}; there are {}",
            list()
        );
    }
    let mut described = understood(table, at, options, role, ids, known).with_context(|| source.to_string())?;
    described.read_as.latin_1 = latin_1;
    Ok(described)
}

/// The column of a name, or of a number.
fn column(names: &[String], asked: &str) -> Option<usize> {
    let named = names.iter().position(|name| name == asked);
    let numbered = || asked.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|&n| n < names.len());
    named.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(asked))).or_else(numbered)
}

fn id_column(source: &Source, names: &[String], options: &DescribedOptions, role: &Role) -> anyhow::Result<usize> {
    let list = || names.join(", ");
    if let Some(asked) = &options.id {
        return column(names, asked)
            .ok_or_else(|| anyhow::anyhow!("{source}: no column {asked:?}; there are {}", list()));
    }
    let called_id = names.iter().position(|name| name.trim().eq_ignore_ascii_case("id"));
    let several = |all: &[String]| {
        anyhow::anyhow!("{source}: {} could have the ids; name one with {}", all.join(" and "), role.option)
    };
    match (role.find(names), called_id) {
        (Ok(Some(at)), Some(id)) => match is_beside_id(&names[at]) {
            Some(true) => Ok(id),
            Some(false) => Ok(at),
            None => Err(several(&[names[id].clone(), names[at].clone()])),
        },
        (Ok(Some(at)), None) | (Ok(None), Some(at)) => Ok(at),
        (Ok(None), None) => anyhow::bail!(
            "{source}: which column has the {}s' ids? name it with {}, by its name or, without a header, its number; there are {}",
            role.role,
            role.option,
            list()
        ),
        (Err(all), Some(id)) if all.iter().all(|name| is_beside_id(name) == Some(true)) => Ok(id),
        (Err(all), _) => Err(several(&all)),
    }
}

/// The columns of JSON lines: all keys there are.
fn objects(text: &str) -> Table {
    let mut table = Table { names: Vec::new(), lines: Vec::new(), rejects: Vec::new() };
    let mut places = BTreeMap::<String, usize>::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let object = match json_lines::object(line.as_bytes()) {
            Ok(object) => object,
            Err(reason) => {
                table.rejects.push((number, reason));
                continue;
            }
        };
        let mut cells = Vec::new();
        for (key, value) in object {
            let at = *places.entry(key.clone()).or_insert_with(|| {
                table.names.push(key);
                table.names.len() - 1
            });
            cells.resize_with(table.names.len().max(cells.len()), || None);
            cells[at] = match value {
                serde_json::Value::Number(number) if is_cut(&number, line) => {
                    Some(Cell::Bad("a whole number of more digits than are kept: write it as a text".into()))
                }
                value => cell_of(value),
            };
        }
        table.lines.push(Line { number, cells });
    }
    table
}

/// Whether a number is a float in place of digits that 64 bits do not hold.
fn is_cut(number: &serde_json::Number, line: &str) -> bool {
    const WHOLE: f64 = 9_223_372_036_854_775_808.0;
    let is_large = number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= WHOLE);
    is_large && has_long_whole(line)
}

/// Whether a line of JSON has a whole number of 19 digits or more, as it is written, outside its texts.
fn has_long_whole(line: &str) -> bool {
    let (mut in_text, mut is_escaped, mut is_fraction, mut digits) = (false, false, false, 0);
    for byte in line.bytes().chain([b' ']) {
        let was = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was => in_text = !in_text,
            b'\\' if in_text => is_escaped = !was,
            _ => {}
        }
        match byte {
            _ if in_text => digits = 0,
            b'0'..=b'9' => digits += 1,
            b'.' | b'e' | b'E' | b'+' => (digits, is_fraction) = (0, true),
            _ if digits >= 19 && !is_fraction => return true,
            b'-' => digits = 0,
            _ => (digits, is_fraction) = (0, false),
        }
    }
    false
}

fn cell_of(value: serde_json::Value) -> Option<Cell> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::String(text) if text.is_empty() => return None,
        Json::String(text) => Cell::Value(Value::Text(text)),
        Json::Bool(value) => Cell::Value(Value::Bool(value)),
        // With its digits, as an id may need them.
        Json::Number(number) => Cell::Plain(number.to_string()),
        Json::Array(values) => {
            let tags: Option<Vec<String>> =
                values.iter().map(|tag| tag.as_str().filter(|tag| !tag.is_empty()).map(str::to_owned)).collect();
            match tags {
                Some(tags) if tags.is_empty() => return None,
                Some(tags) => Cell::Value(tags.into()),
                None => Cell::Bad("a list of other things than texts".into()),
            }
        }
        Json::Object(_) => Cell::Bad("an object inside another".into()),
    })
}

/// The columns of a file with delimiters.
fn cells(source: &Source, text: &str, options: &DescribedOptions, role: &Role) -> anyhow::Result<Table> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    anyhow::ensure!(!first.is_empty(), "{source}: the file is empty");
    let delimiter = match &options.delimiter {
        Some(delimiter) => delimiter.clone(),
        None => delimiter_of(first),
    };
    let Delimited { mut records, rejects } = records(text, &delimiter)?;
    let numbered = options.id.as_ref().is_some_and(|id| id.parse::<usize>().is_ok());
    let mut header = None;
    let names = if !options.names.is_empty() {
        options.names.clone()
    } else {
        let head = records.first().map(|(_, cells)| cells.clone()).unwrap_or_default();
        let names_columns = match &options.id {
            // A name of a column is one of a header.
            Some(_) => !numbered,
            None => role.find(&head) != Ok(None) || head.iter().any(|name| name.eq_ignore_ascii_case("id")),
        };
        if names_columns {
            records.remove(0);
            header.insert(head).iter().map(|name| name.trim().to_owned()).collect()
        } else {
            (1..=head.len()).map(|n| format!("column_{n}")).collect::<Vec<String>>()
        }
    };
    let mut table = Table { names, lines: Vec::with_capacity(records.len()), rejects };
    for (number, cells) in records {
        if header.as_ref().is_some_and(|header| is_again(&cells, header)) {
            table.rejects.push((number, HEADER_AGAIN.into()));
            continue;
        }
        let is_turned =
            |header: &Vec<String>| cells.len() == header.len() && cells.iter().all(|cell| header.contains(cell));
        // What follows it would be taken for something else than it is.
        anyhow::ensure!(!header.as_ref().is_some_and(is_turned), "{source}:{number}: {OTHER_COLUMNS}");
        if cells.len() > table.names.len() {
            let reason = format!("{} columns, and the file has {}", cells.len(), table.names.len());
            table.rejects.push((number, reason));
            continue;
        }
        let cell = |cell: String| Some(cell).filter(|cell| !cell.is_empty()).map(Cell::Plain);
        table.lines.push(Line { number, cells: cells.into_iter().map(cell).collect() });
    }
    Ok(table)
}

/// Whether a record is the header once more, as where files were put together.
fn is_again(cells: &[String], header: &[String]) -> bool {
    let plain = |cell: &String| cell.trim_start_matches('\u{feff}').trim().to_owned();
    cells.len() == header.len() && cells.iter().map(plain).eq(header.iter().map(plain))
}

/// The delimiter that the first line has most of.
fn delimiter_of(first: &str) -> Delimiter {
    let count = |delimiter: &Delimiter| match delimiter {
        Delimiter::Byte(byte) => first.bytes().filter(|b| b == byte).count(),
        Delimiter::Text(text) => 2 * first.matches(text.as_str()).count(),
        Delimiter::Blanks => 0,
    };
    let usual = Delimiter::usual();
    let most = usual.iter().max_by_key(|delimiter| count(delimiter)).filter(|delimiter| count(delimiter) > 0);
    most.cloned().unwrap_or(Delimiter::Byte(b','))
}

/// The records of a file with delimiters, and what is none, each with the line it begins in.
#[derive(Default)]
struct Delimited {
    records: Vec<(u64, Vec<String>)>,
    rejects: Vec<(u64, String)>,
}

///
/// # Errors
/// None that text in memory gives.
fn records(text: &str, delimiter: &Delimiter) -> io::Result<Delimited> {
    let lines = Lines::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
    let mut reader = Records::new(lines, delimiter.clone());
    let mut found = Delimited::default();
    loop {
        let cells = match reader.next()? {
            None => return Ok(found),
            Some(Record::Cells(cells)) => Ok(cells.ids().map(Cow::into_owned).collect::<Vec<String>>()),
            Some(Record::Broken(reason)) => Err(reason),
        };
        match cells {
            Ok(cells) if cells.iter().all(|cell| cell.trim().is_empty()) => {}
            Ok(cells) => found.records.push((reader.line_number, cells)),
            Err(reason) => found.rejects.push((reader.line_number, reason)),
        }
    }
}

/// What a column is stored as.
struct Kept {
    name: String,
    kind: ValueKind,
    separator: Option<char>,
}

fn understood(
    table: Table,
    id: usize,
    options: &DescribedOptions,
    role: &Role,
    ids: IdKind,
    known: &BTreeMap<String, ValueKind>,
) -> anyhow::Result<Described> {
    let Table { names, lines, rejects } = table;
    let title = options.title.as_ref().and_then(|title| column(&names, title)).or_else(|| title_of(&names));
    let asked = |list: &[String], at: usize| list.iter().any(|name| column(&names, name) == Some(at));
    let mut described = Described {
        rows: Vec::with_capacity(lines.len()),
        rejects,
        read_as: ReadAs { id: names[id].clone(), ..ReadAs::default() },
    };
    let kept: Vec<Option<Kept>> = (0..names.len())
        .map(|at| -> anyhow::Result<Option<Kept>> {
            let is_title = Some(at) == title;
            let cells = || lines.iter().filter_map(|line| line.cells.get(at)?.as_ref());
            if at == id {
                return Ok(None);
            }
            let is_wanted = options.only.is_empty() || is_title || asked(&options.only, at);
            // A column without a name is a program's own, of row numbers.
            if cells().next().is_none() || !is_wanted || names[at].is_empty() {
                let name = if names[at].is_empty() { format!("column {}", at + 1) } else { names[at].clone() };
                described.read_as.left.push(name);
                return Ok(None);
            }
            let name = if is_title { "title".to_owned() } else { names[at].clone() };
            anyhow::ensure!(
                !described.read_as.attributes.contains_key(&name),
                "two columns are {name}: call one something else, in the file or by --names"
            );
            // JSON has lists: a text there is one, but where tags are asked for.
            let is_plain = || cells().any(|cell| matches!(cell, Cell::Plain(_)));
            let is_tags = asked(&options.tags, at) || (is_of_tags(&name) && !asked(&options.texts, at) && is_plain());
            let separator = if is_tags { options.tag_separator.or_else(|| separator_of(cells())) } else { None };
            let wanted = [
                (asked(&options.numbers, at), ValueKind::Number, "--numbers"),
                (asked(&options.texts, at), ValueKind::Text, "--texts"),
                (asked(&options.tags, at), ValueKind::Tags, "--tags"),
            ];
            let wanted = wanted.into_iter().find(|(is_asked, ..)| *is_asked);
            let kind = match (known.get(&name).copied(), wanted) {
                (Some(known), Some((_, kind, option))) if known != kind => anyhow::bail!(
                    "{name} is {} in this database, and {option} asks for {}: leave {option} out, or call the column something else",
                    known.name(),
                    kind.name()
                ),
                (Some(known), _) => known,
                (None, _) if is_title => ValueKind::Text,
                (None, Some((_, kind, _))) => kind,
                (None, None) if separator.is_some() => ValueKind::Tags,
                (None, None) => {
                    let kind = kind_of(cells());
                    let numbered = lines.iter().filter_map(|line| Some((line.number, line.cells.get(at)?.as_ref()?)));
                    if kind == ValueKind::Text
                        && let Some(odd) = cell::odd(numbered)
                    {
                        described.read_as.odd.push(OddColumn::of(&name, &odd));
                    }
                    kind
                }
            };
            described.read_as.attributes.insert(name.clone(), kind.name());
            Ok(Some(Kept { name, kind, separator }))
        })
        .collect::<anyhow::Result<_>>()?;
    for Line { number, cells } in lines {
        match row(cells, id, &kept, role, ids) {
            Ok(row) => described.rows.push(row),
            Err(reason) => described.rejects.push((number, reason)),
        }
    }
    described.rejects.sort();
    Ok(described)
}

fn row(
    cells: Vec<Option<Cell>>,
    id: usize,
    kept: &[Option<Kept>],
    role: &Role,
    ids: IdKind,
) -> Result<(Id, Attributes), String> {
    let (mut named, mut attributes) = (None, Attributes::new());
    for (at, cell) in cells.into_iter().enumerate() {
        let Some(cell) = cell else { continue };
        if at == id {
            named = Some(match cell {
                Cell::Plain(text) | Cell::Value(Value::Text(text)) => text,
                _ => return Err("the id is neither a text nor a number".into()),
            });
        } else if let Some(Some(kept)) = kept.get(at)
            && let Some(value) = value(cell, kept)?
        {
            attributes.insert(kept.name.as_str(), value);
        }
    }
    let named = named.ok_or("there is no id")?;
    let id = rows::id(role.role, &named, ids)?;
    attributes.check().map_err(|error| error.to_string())?;
    Ok((id, attributes))
}

/// What a cell is in its column; `None` where it says that there is no value.
fn value(cell: Cell, kept: &Kept) -> Result<Option<Value>, String> {
    let Kept { name, kind, separator } = kept;
    let misfit = |shown: &str| format!("{name} is {}, and {name} here is {}", shortened(shown), kind.name());
    let value = match cell {
        Cell::Bad(what) => return Err(format!("{name} is {what}")),
        Cell::Value(value) if value.kind() == *kind => value,
        Cell::Value(Value::Text(text)) | Cell::Plain(text) => match kind {
            ValueKind::Text => Value::Text(text),
            ValueKind::Number | ValueKind::Bool if is_missing(&text) => return Ok(None),
            ValueKind::Number => Value::Number(number(&text).map_err(|reason| match reason {
                NoNumber::Other => misfit(&text),
                NoNumber::Changed(number) => {
                    format!("{name} is {}, and {name} here is number: it would come back as {number}", shortened(&text))
                }
            })?),
            ValueKind::Bool => boolean(&text).map(Value::Bool).ok_or_else(|| misfit(&text))?,
            ValueKind::Tags => {
                let tags = match separator {
                    Some(separator) => text.split(*separator).map(str::trim).filter(|tag| !tag.is_empty()).collect(),
                    None => vec![text.as_str()],
                };
                tags.into()
            }
        },
        Cell::Value(value) => return Err(misfit(&value.to_string())),
    };
    Ok(Some(value))
}

/// What a text given for an attribute is: as the kind it has, or, where it has none, as a column of that one cell would be.
///
/// # Errors
/// Where it is none of its kind.
pub fn read_value(name: &str, text: &str, known: Option<ValueKind>) -> Result<Value, String> {
    let is_tags = known == Some(ValueKind::Tags) || (known.is_none() && is_of_tags(name));
    let cell = || Cell::Plain(text.to_owned());
    let kind = known.unwrap_or_else(|| if is_tags { ValueKind::Tags } else { kind_of([cell()].iter()) });
    let separator = if is_tags { separator_of([cell()].iter()) } else { None };
    value(cell(), &Kept { name: name.to_owned(), kind, separator })?
        .ok_or_else(|| format!("{name} is {}, which is no {}; {name}= takes it away", shortened(text), kind.name()))
}

/// The column of titles, by its name.
pub fn title_of(names: &[String]) -> Option<usize> {
    let usual =
        ["title", "name", "product_title", "item_title", "movie_title", "product_name", "item_name", "prod_name"];
    usual.iter().find_map(|usual| names.iter().position(|name| name.eq_ignore_ascii_case(usual)))
}

/// Whether a column of this name is one of tags where something separates them.
fn is_of_tags(name: &str) -> bool {
    let usual = ["tags", "tag", "genres", "genre", "categories", "keywords", "labels"];
    usual.iter().any(|usual| name.eq_ignore_ascii_case(usual))
}

fn separator_of<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> Option<char> {
    ['|', ';', ','].into_iter().find(|&separator| {
        cells
            .clone()
            .any(|cell| matches!(cell, Cell::Plain(text) | Cell::Value(Value::Text(text)) if text.contains(separator)))
    })
}
