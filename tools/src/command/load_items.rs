//! `kithdb load-items` and `kithdb load-users`: files of attributes into a database; `kithdb set-item`: those of one item.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kithdb::{Attributes, Db, IdKind, Side, Value, ValueKind};
use serde::Serialize;

use super::database::{self, Database};
use crate::cli::Answer;
use crate::input::{self, Delimiter, Described, DescribedOptions, ReadAs, Source};
use crate::output::{self, Output};

/// Rejected rows that are told of.
const SHOWN: usize = 5;

/// Load titles and attributes of items from files into a database, which is made if there is none
///
/// Files have columns with a header (commas, tabs, `;`, `|` or `::` between), columns by number, or JSON lines; `.gz` and `.zst` are read as they
/// are, and `-` is stdin. Each column is an attribute: of numbers where all of its cells are, booleans where all are true or false, tags where JSON has
/// lists or its name is tags, genres, categories or keywords, and texts elsewhere. What a row has is set, an empty cell says nothing, and all
/// else stays. A file that is not UTF-8 is read as Latin-1. Filters go by attributes; nothing is learned from them.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb load-items shop.kith items.csv
  kithdb load-items shop.kith items.jsonl.zst --only price,in_stock
  kithdb load-items ml.kith u.item --item 1 --title 2
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
}

/// What was loaded.
#[derive(Debug, Serialize)]
struct Loaded {
    files: Vec<File>,
    rows: u64,
    rejected: u64,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct File {
    file: String,
    #[serde(flatten)]
    read_as: ReadAs,
    rows: u64,
    rejected: u64,
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
        let Self { db, files, delimiter, title, names, only, tags, tag_separator, texts } = self;
        let options = DescribedOptions { delimiter, id, title, names, tags, texts, tag_separator, only };
        let there = if database::is_there(&db) { Some(Db::options().background(false).open(&db)?) } else { None };
        let sources: Vec<Source> = files.into_iter().map(Source::from).collect();
        let start = Instant::now();
        let mut loaded = Loaded { files: Vec::new(), rows: 0, rejected: 0, seconds: 0.0 };
        let mut open = there;
        for source in sources {
            // The first file is read before a database is made for it.
            let described = read(open.as_ref(), side, &source, &options, output)?;
            let file = File {
                file: source.to_string(),
                read_as: described.read_as,
                rows: described.rows.len() as u64,
                rejected: described.rejects.len() as u64,
            };
            if !described.rows.is_empty() {
                let db = match open.take() {
                    Some(db) => db,
                    None => Db::options().background(false).open(&db)?,
                };
                match side {
                    Side::Item => db.set_items(described.rows)?,
                    Side::User => db.set_users(described.rows)?,
                };
                open = Some(db);
            }
            (loaded.rows, loaded.rejected) = (loaded.rows + file.rows, loaded.rejected + file.rejected);
            loaded.files.push(file);
        }
        loaded.seconds = start.elapsed().as_secs_f64();
        output.result(&loaded, text)?;
        Ok(if loaded.rows == 0 { Answer::No } else { Answer::Yes })
    }
}

/// Reads a file as what is known of a database, if there is one, has it; tells of rows that were rejected.
fn read(
    db: Option<&Db>,
    side: Side,
    source: &Source,
    options: &DescribedOptions,
    output: &Output,
) -> anyhow::Result<Described> {
    let role = match side {
        Side::Item => &input::ITEM,
        Side::User => &input::USER,
    };
    let ids = db.and_then(|db| db.id_kind(side)).unwrap_or(IdKind::Str);
    let known: BTreeMap<String, ValueKind> =
        db.map(|db| db.attribute_names(side)).unwrap_or_default().into_iter().collect();
    let described = input::read_described(source, options, role, ids, &known)?;
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
    let described = read(Some(db), Side::Item, &source, &DescribedOptions::default(), output).or_else(|error| {
        // A file without a header has ids first, titles second: it begins with an item that is known, and not with a header.
        let places = DescribedOptions { id: Some("1".into()), title: Some("2".into()), ..DescribedOptions::default() };
        let is_known = |described: &Described| {
            let first = described.rows.first().and_then(|(id, _)| db.item(id.clone()).ok().flatten());
            first.is_some() && described.rejects.iter().all(|&(line, _)| line > 1)
        };
        read(Some(db), Side::Item, &source, &places, output).ok().filter(is_known).ok_or(error)
    })?;
    let (names, rejected) = (shown(&described.read_as), described.rejects.len());
    let rows = db.set_items(described.rows)?;
    Ok(format!(
        "{source}: {} items with {names}, {} rows rejected",
        output::count(rows),
        output::count(rejected as u64)
    ))
}

fn shown(read_as: &ReadAs) -> String {
    let names: Vec<String> = read_as.attributes.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    if names.is_empty() { "nothing but ids".into() } else { names.join(", ") }
}

fn text(loaded: &Loaded) -> String {
    let mut text = String::new();
    for File { file, read_as, rows, rejected } in &loaded.files {
        text += &format!("{file}: ids from {}, {}", read_as.id, shown(read_as));
        if !read_as.left.is_empty() {
            text += &format!("; left out {}", read_as.left.join(", "));
        }
        text += &format!("\n{} rows, {} rejected\n", output::count(*rows), output::count(*rejected));
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
        db.set_item(&item, attributes)?;
        let own = db.item(&item)?.unwrap_or_default();
        output.result(&serde_json::json!({ "item": item, "attributes": own }), |_| {
            let line = |(name, value): (&str, &Value)| format!("{name} = {value}");
            own.iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
        Ok(Answer::Yes)
    }
}
