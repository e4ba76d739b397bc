//! Files that say something of items or users: an id a row, and attributes.

use std::collections::BTreeMap;
use std::io::{self, Read};

use kithdb::{Attributes, Id, IdKind, Value, ValueKind};
use serde::Serialize;

use super::columns::shortened;
use super::delimited::{Record, Records};
use super::foreign;
use super::lines::Lines;
use super::names::Role;
use super::{Delimiter, Source, id_text, json_lines};

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
    /// Whether the file is not UTF-8, and was read as Latin-1.
    pub latin_1: bool,
}

/// A row as it stands in the file.
struct Line {
    number: u64,
    /// What each column has; texts of a delimited file are not told apart yet.
    cells: Vec<Option<Cell>>,
}

enum Cell {
    /// To be read by what its column is.
    Plain(String),
    Value(Value),
    Bad(String),
}

/// All of a file, as columns.
struct Table {
    names: Vec<String>,
    lines: Vec<Line>,
    rejects: Vec<(u64, String)>,
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
    let table = if is_json { objects(text) } else { cells(source, text, options, role)? };
    let at = id_column(source, &table.names, options, role)?;
    let lists = [("--only", &options.only), ("--tags", &options.tags), ("--texts", &options.texts)];
    let asked = lists.into_iter().flat_map(|(option, names)| names.iter().map(move |name| (option, name)));
    for (option, name) in asked.chain(options.title.iter().map(|name| ("--title", name))) {
        let list = || table.names.join(", ");
        anyhow::ensure!(
            column(&table.names, name).is_some(),
            "{source}: no column {name:?} of {option}; there are {}",
            list()
        );
    }
    let mut described = understood(table, at, options, ids, known);
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
    match role.find(names) {
        Ok(Some(at)) => Ok(at),
        Ok(None) => match names.iter().position(|name| name.eq_ignore_ascii_case("id")) {
            Some(at) => Ok(at),
            None => anyhow::bail!(
                "{source}: which column has the {}s' ids? name it with {}, by its name or, without a header, its number; there are {}",
                role.role,
                role.option,
                list()
            ),
        },
        Err(several) => {
            anyhow::bail!("{source}: {} could have the ids; name one with {}", several.join(" and "), role.option)
        }
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
            cells[at] = cell_of(value);
        }
        table.lines.push(Line { number, cells });
    }
    table
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
    let names = if !options.names.is_empty() {
        options.names.clone()
    } else {
        let head = records.first().map(|(_, cells)| cells.clone()).unwrap_or_default();
        let names_columns = match &options.id {
            Some(id) => column(&head, id).is_some() && !numbered,
            None => role.find(&head) != Ok(None) || head.iter().any(|name| name.eq_ignore_ascii_case("id")),
        };
        if names_columns {
            records.remove(0);
            head.iter().map(|name| name.trim().to_owned()).collect()
        } else {
            (1..=head.len()).map(|n| format!("column_{n}")).collect::<Vec<String>>()
        }
    };
    let mut table = Table { names, lines: Vec::with_capacity(records.len()), rejects };
    for (number, cells) in records {
        if cells.len() > table.names.len() {
            let reason = format!("{} columns, and the file has {}", cells.len(), table.names.len());
            table.rejects.push((number, reason));
            continue;
        }
        let cell = |cell: String| Some(cell.trim().to_owned()).filter(|cell| !cell.is_empty()).map(Cell::Plain);
        table.lines.push(Line { number, cells: cells.into_iter().map(cell).collect() });
    }
    Ok(table)
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
            Some(Record::Cells(cells)) => Ok(cells.iter().map(str::to_owned).collect::<Vec<String>>()),
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
    ids: IdKind,
    known: &BTreeMap<String, ValueKind>,
) -> Described {
    let Table { names, lines, rejects } = table;
    let title = options.title.as_ref().and_then(|title| column(&names, title)).or_else(|| title_of(&names));
    let asked = |list: &[String], at: usize| list.iter().any(|name| column(&names, name) == Some(at));
    let mut described = Described {
        rows: Vec::with_capacity(lines.len()),
        rejects,
        read_as: ReadAs { id: names[id].clone(), ..ReadAs::default() },
    };
    let kept: Vec<Option<Kept>> = (0..names.len())
        .map(|at| {
            let is_title = Some(at) == title;
            let cells = || lines.iter().filter_map(|line| line.cells.get(at)?.as_ref());
            if at == id {
                return None;
            }
            if cells().next().is_none() || !(options.only.is_empty() || is_title || asked(&options.only, at)) {
                described.read_as.left.push(names[at].clone());
                return None;
            }
            let name = if is_title { "title".to_owned() } else { names[at].clone() };
            // JSON has lists: a text there is one, but where tags are asked for.
            let is_plain = || cells().any(|cell| matches!(cell, Cell::Plain(_)));
            let is_tags = asked(&options.tags, at) || (is_of_tags(&name) && !asked(&options.texts, at) && is_plain());
            let separator = if is_tags { options.tag_separator.or_else(|| separator_of(cells())) } else { None };
            let kind = known.get(&name).copied().unwrap_or_else(|| match () {
                () if is_title || asked(&options.texts, at) => ValueKind::Text,
                () if asked(&options.tags, at) || separator.is_some() => ValueKind::Tags,
                () => kind_of(cells()),
            });
            described.read_as.attributes.insert(name.clone(), kind.name());
            Some(Kept { name, kind, separator })
        })
        .collect();
    for Line { number, cells } in lines {
        match row(cells, id, &kept, ids) {
            Ok(row) => described.rows.push(row),
            Err(reason) => described.rejects.push((number, reason)),
        }
    }
    described.rejects.sort();
    described
}

fn row(cells: Vec<Option<Cell>>, id: usize, kept: &[Option<Kept>], ids: IdKind) -> Result<(Id, Attributes), String> {
    let (mut named, mut attributes) = (None, Attributes::new());
    for (at, cell) in cells.into_iter().enumerate() {
        let Some(cell) = cell else { continue };
        if at == id {
            named = Some(match cell {
                Cell::Plain(text) | Cell::Value(Value::Text(text)) => id_text::plain(&text).into_owned(),
                _ => return Err("the id is neither a text nor a number".into()),
            });
        } else if let Some(Some(kept)) = kept.get(at) {
            attributes.insert(kept.name.as_str(), value(cell, kept)?);
        }
    }
    let named = named.ok_or("there is no id")?;
    let id = Id::parse(&named, ids).map_err(|error| error.to_string())?;
    attributes.check().map_err(|error| error.to_string())?;
    Ok((id, attributes))
}

fn value(cell: Cell, kept: &Kept) -> Result<Value, String> {
    let misfit =
        |shown: &str| format!("{} is {}, and {} here is {}", kept.name, shortened(shown), kept.name, kept.kind.name());
    match cell {
        Cell::Bad(what) => Err(format!("{} is {what}", kept.name)),
        Cell::Value(value) if value.kind() == kept.kind => Ok(value),
        Cell::Value(Value::Text(text)) | Cell::Plain(text) => match kept.kind {
            ValueKind::Text => Ok(Value::Text(text)),
            ValueKind::Number => number(&text).map(Value::Number).ok_or_else(|| misfit(&text)),
            ValueKind::Bool => boolean(&text).map(Value::Bool).ok_or_else(|| misfit(&text)),
            ValueKind::Tags => {
                let tags = match kept.separator {
                    Some(separator) => text.split(separator).map(str::trim).filter(|tag| !tag.is_empty()).collect(),
                    None => vec![text.as_str()],
                };
                Ok(tags.into())
            }
        },
        Cell::Value(value) => Err(misfit(&value.to_string())),
    }
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
    value(cell(), &Kept { name: name.to_owned(), kind, separator })
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether digits are a number, and no code such as 007, which is another than 7.
fn is_count(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leads = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    !leads && number(text).is_some()
}

/// What all cells of a column can be.
fn kind_of<'a>(cells: impl Iterator<Item = &'a Cell>) -> ValueKind {
    let (mut numbers, mut booleans, mut tags) = (true, true, false);
    for cell in cells {
        match cell {
            Cell::Plain(text) => {
                numbers &= is_count(text);
                booleans &= text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
            }
            Cell::Value(Value::Bool(_)) => numbers = false,
            Cell::Value(Value::Tags(_)) => tags = true,
            Cell::Value(_) => (numbers, booleans) = (false, false),
            Cell::Bad(_) => {}
        }
    }
    match () {
        () if tags => ValueKind::Tags,
        () if booleans => ValueKind::Bool,
        () if numbers => ValueKind::Number,
        () => ValueKind::Text,
    }
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
