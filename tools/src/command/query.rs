//! `kithdb query`: the best items for a user or a basket.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kithdb::Error::{NoCodeInBasket, NoDirection, NoHistory, NoItemCodes, NotTrained, UnknownBasket, UnknownUser};
use kithdb::{Hits, Id, Side, Snapshot, Vectors};
use serde::Serialize;

use super::database::{self, Database};
use super::list_shape::UserListShape;
use super::show::Shown;
use crate::cli::Answer;
use crate::input;
use crate::output::{self, Output, Table};

/// Recommend items to a user, to go with a basket of items, or near to vectors
///
/// DB is a database, or a folder that `kithdb snapshot` wrote into, which any number of processes read.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb query shop.kith --user alice -k 10 --popular
  kithdb query shop.kith --items kettle,mug --filter \"price < 50\" --show price
  kithdb query shop.kith --user alice --diversify 0.3 --at-most 2:category
  kithdb query shop.kith --vector vectors.npy --json")]
pub(crate) struct Query {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    shape: UserListShape,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// Whom to recommend to
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    user: Option<String>,
    /// What is in the basket, with commas between; an id with commas stands in double quotes, or is given with --item
    #[arg(long, value_name = "ITEM,...", allow_hyphen_values = true)]
    items: Option<String>,
    /// An item of the basket; can be given several times
    #[arg(long, value_name = "ITEM", allow_hyphen_values = true)]
    item: Option<Vec<String>>,
    /// Vectors, a row a query: a .npy file of floats like those imported, or of one float a bit of the codes
    #[arg(long, value_name = "FILE")]
    vector: Option<PathBuf>,
}

impl Query {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?;
        let show = self.shape.list.show.of(&db, Side::Item)?;
        let sets = self.shape.list.sets(&db, output)?;
        if let Some(path) = &self.subject.vector {
            let mut answers = Vec::new();
            let mut vectors = Vectors::open(path)?;
            let row = vectors.layers() * vectors.dims();
            let mut has_no_answer = false;
            let visited = vectors.visit(|rows| {
                for vector in rows.chunks_exact(row) {
                    let answer = self.shape.of(db.query().vector(vector), &sets).run();
                    answers.push(answer.inspect_err(|_| has_no_answer = true)?);
                }
                Ok(())
            });
            if has_no_answer {
                visited.with_context(|| format!("row {} of {}", answers.len(), path.display()))?;
            } else {
                visited?;
            }
            return print_many(output, answers, &show);
        }
        let mut query = self.shape.of(db.query(), &sets);
        if let Some(user) = &self.subject.user {
            query = query.user(database::user(&db, user)?);
        }
        if let Some(basket) = self.basket(&db)? {
            query = query.items(basket);
        }
        let hits = query.run().inspect_err(|error| {
            if matches!(
                error,
                NotTrained
                    | NoItemCodes
                    | NoHistory { .. }
                    | NoCodeInBasket { .. }
                    | NoDirection { .. }
                    | UnknownUser { .. }
                    | UnknownBasket { .. }
            ) {
                output.note("--popular would answer with what most users have");
            }
        });
        print(output, "item", &hits?, &show)
    }

    /// The items of the basket, if it is one that is asked for.
    fn basket(&self, db: &Snapshot) -> anyhow::Result<Option<Vec<Id>>> {
        let kind = database::id_kinds(db).item;
        let basket: Vec<Id> = match (&self.subject.items, &self.subject.item) {
            (Some(list), _) => {
                input::listed_ids(list).iter().map(|item| Id::parse(item, kind)).collect::<Result<_, _>>()?
            }
            (_, Some(items)) => items.iter().map(|item| database::item(db, item)).collect::<Result<_, _>>()?,
            _ => return Ok(None),
        };
        if self.shape.list.strict {
            let set = db.item_set(&basket)?;
            if let Some(unknown) = set.unknown().first() {
                anyhow::bail!("unknown item {unknown} in the basket (--strict)");
            }
        }
        Ok(Some(basket))
    }
}

/// Prints hits, each of which is a `what`; none are a no.
pub(super) fn print(output: &Output, what: &str, hits: &Hits, show: &Shown<'_>) -> anyhow::Result<Answer> {
    if !hits.unknown_items().is_empty() {
        let names: Vec<String> = hits.unknown_items().iter().map(ToString::to_string).collect();
        output.note(&format!("unknown items were ignored: {}", names.join(", ")));
    }
    output.result(&with_attributes(hits, show)?, |_| text(what, hits, show))?;
    Ok(if hits.is_empty() { Answer::No } else { Answer::Yes })
}

/// Prints the answers to several vectors, in their order; none at all is a no.
fn print_many(output: &Output, answers: Vec<Hits>, show: &Shown<'_>) -> anyhow::Result<Answer> {
    let found = answers.iter().any(|hits| !hits.is_empty());
    let shown = answers.iter().map(|hits| with_attributes(hits, show)).collect::<anyhow::Result<_>>()?;
    output.result(&Answers { answers: shown }, |_| {
        answers.iter().map(|hits| text("item", hits, show)).collect::<Vec<_>>().join("\n\n")
    })?;
    Ok(if found { Answer::Yes } else { Answer::No })
}

/// Answers to several queries, as printed.
#[derive(Serialize)]
struct Answers {
    answers: Vec<serde_json::Value>,
}

/// An answer as JSON, with titles and attributes where there are any.
fn with_attributes(hits: &Hits, show: &Shown<'_>) -> anyhow::Result<serde_json::Value> {
    // By way of the text, in which an f32 has no more digits than it needs.
    let mut answer: serde_json::Value = serde_json::from_str(&serde_json::to_string(hits)?)?;
    if let Some(list) = answer.get_mut("hits").and_then(serde_json::Value::as_array_mut) {
        for (object, hit) in list.iter_mut().zip(hits) {
            if let Some(object) = object.as_object_mut() {
                object.extend(show.json(&hit.id));
            }
        }
    }
    Ok(answer)
}

pub(super) fn text(what: &str, hits: &Hits, show: &Shown<'_>) -> String {
    if hits.is_empty() {
        return "nothing found".into();
    }
    let beside = show.header(hits.iter().map(|hit| &hit.id));
    let header: Vec<&str> =
        [">", what].into_iter().chain(beside.iter().map(String::as_str)).chain([">score", ">relevance"]).collect();
    let mut table = Table::new(&header);
    for (rank, hit) in (1..).zip(hits) {
        let cells = [format!("{rank}"), hit.id.to_string()].into_iter().chain(show.cells(&hit.id, &beside));
        table.row(cells.chain([output::score(hit.score), output::score(hits.relevance(hit))]));
    }
    let source = match hits.generation() {
        Some(generation) if hits.scored() > 0 => {
            let how = match hits.recall() {
                _ if hits.exact() => "exact".to_owned(),
                Some(recall) => format!("approximate: a recall of {recall} is expected"),
                None => "approximate".to_owned(),
            };
            format!("generation {generation}, {} codes scored, {how}", output::count(hits.scored()))
        }
        _ => "by popularity: the score is the number of users".into(),
    };
    format!("{}\n\n{source}", table.text())
}
