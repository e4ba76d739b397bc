//! `kithdb load-items` and `kithdb load-users`: files of attributes into a database; `kithdb set-item`: those of one item.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use kithdb::{Attributes, Db, Id, IdKind, MAX_NAMES, Side, Snapshot, Value, ValueKind};
use serde::Serialize;

use super::database::{self, Database};
use super::settled::Settled;
use crate::cli::Answer;
use crate::input::{self, Delimiter, Described, DescribedOptions, OddColumn, ReadAs, Source};
use crate::output::{self, Output};

/// Rejected rows that are told of.
const SHOWN: usize = 5;

/// Load titles and attributes of items from files into a database, which is made if there is none
///
/// Files have columns with a header (commas, tabs, `;`, `|` or `::` between), columns by number, or JSON lines; `.gz` and `.zst` are read as they
/// are, and `-` is stdin. Each column is an attribute: of numbers where all of its cells are, booleans where all are true or false, tags where JSON has
/// lists or its name is tags, genres, categories or keywords, and texts elsewhere. Among numbers and booleans `N/A`, `NaN`, `null`, `none` and `-` are as
/// an empty cell. A number comes back as it is written: columns with others, such as 007 and digits that 64 bits do not hold, are texts. What a row
/// has is set, an empty cell says nothing, and all else stays. A file that is not UTF-8 is read as Latin-1. Filters go by attributes; nothing is
/// learned from them.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb load-items shop.kith items.csv
  kithdb load-items shop.kith items.jsonl.zst --only price,in_stock
  kithdb load-items ml.kith u.item --item 1 --title 2
  kithdb load-items shop.kith items.csv --numbers price,weight
  kithdb query shop.kith --user alice --filter \"price < 50 and in_stock and 'sale' in tags\" --show price")]
pub(crate) struct LoadItems {
    #[command(flatten)]
    what: What,
    /// The column of the items' ids: its name or, without a header, its number [default: item, product, movie, ..., id]
    #[arg(long, value_name = "COL")]
    item: Option<String>,
}

/// Load attributes of users from files into a database, as load-items those of items
#[derive(Args)]
#[command(after_help = "Example:
  kithdb load-users shop.kith customers.csv --only city,since")]
pub(crate) struct LoadUsers {
    #[command(flatten)]
    what: What,
    /// The column of the users' ids: its name or, without a header, its number [default: user, customer, ..., id]
    #[arg(long, value_name = "COL")]
    user: Option<String>,
}

#[derive(Args)]
struct What {
    /// The database's directory
    #[arg(value_name = "DB")]
    db: PathBuf,
    /// Files; - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What stands between columns: a character, a text such as ::, tab, or blanks [default: told from the first line]
    #[arg(long, value_name = "TEXT")]
    delimiter: Option<Delimiter>,
    /// The column of titles [default: title, name, ..., if there is one]
    #[arg(long, value_name = "COL")]
    title: Option<String>,
    /// Names of the columns of a file without a header
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    names: Vec<String>,
    /// Take these columns alone, and the title
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Columns that are sets of tags
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    tags: Vec<String>,
    /// What stands between tags [default: |, ; or a comma, the first that there is]
    #[arg(long, value_name = "CHARACTER")]
    tag_separator: Option<char>,
    /// Columns that are texts, whatever they look like
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    texts: Vec<String>,
    /// Columns that are numbers: a row with anything else there, but for N/A and the like, is rejected, with its line
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    numbers: Vec<String>,
    #[command(flatten)]
    settled: Settled,
}

/// What was loaded.
#[derive(Debug, Serialize)]
struct Loaded {
    files: Vec<File>,
    rows: u64,
    rejected: u64,
    #[serde(flatten)]
    ids: Named,
    seconds: f64,
}

/// Whom the rows of a file name.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Named {
    /// Ids that were not known.
    new: u64,
    /// Ids of whom something else is said now than before.
    updated: u64,
    /// Ids of whom the same is said as before.
    unchanged: u64,
    /// Rows of an id that an earlier one of the file names.
    named_again: u64,
}

impl Named {
    /// Of rows' ids, by what was known before them, and what is known now.
    fn between(side: Side, ids: Vec<Id>, before: &Snapshot, after: &Snapshot) -> kithdb::Result<Self> {
        let said = |snapshot: &Snapshot, id: &Id| match side {
            Side::Item => snapshot.item(id),
            Side::User => snapshot.user(id),
        };
        let rows = ids.len();
        let distinct: HashSet<Id> = ids.into_iter().collect();
        let mut named = Self { named_again: (rows - distinct.len()) as u64, ..Self::default() };
        for id in &distinct {
            *match said(before, id)? {
                None => &mut named.new,
                Some(own) if said(after, id)?.is_some_and(|now| now == own) => &mut named.unchanged,
                Some(_) => &mut named.updated,
            } += 1;
        }
        Ok(named)
    }

    fn add(&mut self, other: Self) {
        self.new += other.new;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.named_again += other.named_again;
    }

    fn text(self) -> String {
        let Self { new, updated, unchanged, named_again } = self;
        let again = match named_again {
            0 => String::new(),
            1 => ", 1 row names an id again".to_owned(),
            rows => format!(", {} rows name an id again", output::count(rows)),
        };
        let [new, updated, unchanged] = [new, updated, unchanged].map(output::count);
        format!("{new} new ids, {updated} updated, {unchanged} as before{again}")
    }
}

#[derive(Debug, Serialize)]
struct File {
    file: String,
    #[serde(flatten)]
    read_as: ReadAs,
    rows: u64,
    rejected: u64,
    #[serde(flatten)]
    ids: Named,
}

impl LoadItems {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        self.what.load(Side::Item, self.item, output)
    }
}

impl LoadUsers {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        self.what.load(Side::User, self.user, output)
    }
}

impl What {
    fn load(self, side: Side, id: Option<String>, output: &Output) -> anyhow::Result<Answer> {
        let Self { db: path, files, delimiter, title, names, only, tags, tag_separator, texts, numbers, settled } =
            self;
        let options = DescribedOptions { delimiter, id, title, names, tags, texts, numbers, tag_separator, only };
        let open = || settled.open(&path, Db::options().background(false));
        let mut db = if database::is_there(&path) { Some(open()?) } else { None };
        let kind = settled.id_kind(db.as_ref(), side)?;
        let sources: Vec<Source> = files.into_iter().map(Source::from).collect();
        // One that is not there is told before another is stored.
        for source in sources.iter().filter(|source| source.opens_twice()) {
            source.open().with_context(|| format!("cannot open {source}"))?;
        }
        let start = Instant::now();
        let mut loaded = Loaded { files: Vec::new(), rows: 0, rejected: 0, ids: Named::default(), seconds: 0.0 };
        for source in sources {
            // The first file is read before a database is made for it.
            let described = read(db.as_ref(), side, &source, &options, kind, output)?;
            let mut file = File {
                file: source.to_string(),
                read_as: described.read_as,
                rows: described.rows.len() as u64,
                rejected: described.rejects.len() as u64,
                ids: Named::default(),
            };
            if !described.rows.is_empty() {
                let there = match db.take() {
                    Some(there) => there,
                    None => open()?,
                };
                file.ids = store(&there, side, described.rows)?;
                db = Some(there);
            }
            (loaded.rows, loaded.rejected) = (loaded.rows + file.rows, loaded.rejected + file.rejected);
            loaded.ids.add(file.ids);
            loaded.files.push(file);
        }
        loaded.seconds = start.elapsed().as_secs_f64();
        output.result(&loaded, text)?;
        Ok(if loaded.rows == 0 { Answer::No } else { Answer::Yes })
    }
}

/// Stores rows; whom they name.
fn store(db: &Db, side: Side, rows: Vec<(Id, Attributes)>) -> kithdb::Result<Named> {
    let ids = rows.iter().map(|(id, _)| id.clone()).collect();
    let before = db.snapshot();
    match side {
        Side::Item => db.set_items(rows)?,
        Side::User => db.set_users(rows)?,
    };
    Named::between(side, ids, &before, &db.snapshot())
}

/// Reads a file as what is known of a database, if there is one, has it; tells of rows that were rejected.
fn read(
    db: Option<&Db>,
    side: Side,
    source: &Source,
    options: &DescribedOptions,
    ids: IdKind,
    output: &Output,
) -> anyhow::Result<Described> {
    let role = match side {
        Side::Item => &input::ITEM,
        Side::User => &input::USER,
    };
    let known: BTreeMap<String, ValueKind> =
        db.map(|db| db.attribute_names(side)).unwrap_or_default().into_iter().collect();
    let described = input::read_described(source, options, role, ids, &known)?;
    let names: HashSet<&String> = known.keys().chain(described.read_as.attributes.keys()).collect();
    anyhow::ensure!(
        names.len() <= MAX_NAMES,
        "{source}: with its columns there would be {} attributes, and at most {MAX_NAMES} are stored: take some with --only, or put what is alike under one name, as tags",
        output::count(names.len() as u64)
    );
    for (line, reason) in described.rejects.iter().take(SHOWN) {
        output.note(&format!("{source}:{line}: {reason}"));
    }
    if described.rejects.len() > SHOWN {
        output.note(&format!("{source}: {} rows were rejected in all", output::count(described.rejects.len() as u64)));
    }
    if described.read_as.latin_1 {
        output.note(&format!("{source} is not UTF-8 and was read as Latin-1"));
    }
    Ok(described)
}

/// Loads what a file says of the items of a database, and tells what.
pub(super) fn load_beside(db: &Db, path: PathBuf, output: &Output) -> anyhow::Result<String> {
    let source = Source::from(path);
    let kind = db.id_kind(Side::Item).unwrap_or(IdKind::Str);
    let described =
        read(Some(db), Side::Item, &source, &DescribedOptions::default(), kind, output).or_else(|error| {
            // A file without a header has ids first, titles second: it begins with an item that is known, and not with a header.
            let places =
                DescribedOptions { id: Some("1".into()), title: Some("2".into()), ..DescribedOptions::default() };
            let is_known = |described: &Described| {
                let first = described.rows.first().and_then(|(id, _)| db.item(id.clone()).ok().flatten());
                first.is_some() && described.rejects.iter().all(|&(line, _)| line > 1)
            };
            read(Some(db), Side::Item, &source, &places, kind, output).ok().filter(is_known).ok_or(error)
        })?;
    let (names, odd, rejected) = (shown(&described.read_as), odd(&described.read_as), described.rejects.len());
    let rows = described.rows.len();
    let ids = store(db, Side::Item, described.rows)?;
    Ok(format!(
        "{source}: {} rows with {names}, {} rejected\n{}{odd}",
        output::count(rows as u64),
        output::count(rejected as u64),
        ids.text()
    ))
}

fn shown(read_as: &ReadAs) -> String {
    let names: Vec<String> = read_as.attributes.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    if names.is_empty() { "nothing but ids".into() } else { names.join(", ") }
}

/// A line for each attribute that is a text because of a few cells.
fn odd(read_as: &ReadAs) -> String {
    let line = |odd: &OddColumn| {
        let OddColumn { attribute, most_are, line, cell, cells } = odd;
        let more = match cells {
            1 => String::new(),
            cells => format!(" and {} more", output::count(cells - 1)),
        };
        let to_be = format!("load the file into a database without {attribute}");
        let (others, remedy) = match *most_are {
            "number" => {
                ("numbers", format!("{to_be} with --numbers {attribute}, which rejects such rows, or mend them before"))
            }
            _ => ("true or false", format!("mend such rows and {to_be}")),
        };
        format!("\n{attribute} is text because of line {line}: `{cell}`{more}, where most are {others}: {remedy}")
    };
    read_as.odd.iter().map(line).collect()
}

fn text(loaded: &Loaded) -> String {
    let mut text = String::new();
    for File { file, read_as, rows, rejected, ids } in &loaded.files {
        text += &format!("{file}: ids from {}, {}", read_as.id, shown(read_as));
        if !read_as.left.is_empty() {
            text += &format!("; left out {}", read_as.left.join(", "));
        }
        text += &odd(read_as);
        let (rows, rejected) = (output::count(*rows), output::count(*rejected));
        text += &format!("\n{rows} rows, {rejected} rejected: {}\n", ids.text());
    }
    text + &format!("loaded {} rows in {}", output::count(loaded.rows), output::seconds(loaded.seconds))
}

/// Set attributes of one item
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb set-item shop.kith kettle \"title=Kettle, 1 l\" price=49.5 in_stock=true tags=sale,steel
  kithdb set-item shop.kith kettle in_stock=false tags=")]
pub(crate) struct SetItem {
    #[command(flatten)]
    database: Database,
    /// The item
    #[arg(value_name = "ITEM", allow_hyphen_values = true)]
    item: String,
    /// Attributes; one of nothing is taken away. A new one is a number, or true or false, where it looks like one, and a set of tags where it is called so
    #[arg(value_name = "NAME=VALUE", required = true)]
    values: Vec<String>,
}

impl SetItem {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let known: BTreeMap<String, ValueKind> = db.attribute_names(Side::Item).into_iter().collect();
        let mut attributes = Attributes::new();
        for pair in &self.values {
            let Some((name, text)) = pair.split_once('=') else {
                anyhow::bail!("{pair} is no attribute; write NAME=VALUE");
            };
            attributes = match input::read_value(name, text, known.get(name).copied()) {
                _ if text.is_empty() => attributes.unset(name),
                Ok(value) => attributes.set(name, value),
                Err(reason) => anyhow::bail!("{reason}"),
            };
        }
        let item = database::item(&db, &self.item)?;
        let is_new = db.item(&item)?.is_none();
        db.set_item(&item, attributes)?;
        if is_new {
            output.note(&format!("a new item: {item}"));
        }
        let own = db.item(&item)?.unwrap_or_default();
        output.result(&serde_json::json!({ "item": item, "new": is_new, "attributes": own }), |_| {
            let line = |(name, value): (&str, &Value)| format!("{name} = {value}");
            own.iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
        Ok(Answer::Yes)
    }
}
