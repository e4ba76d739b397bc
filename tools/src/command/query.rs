//! `kithdb query`: the best items for a user or a basket.

use std::path::PathBuf;

use clap::Args;
use kithdb::Error::{NoCodeInBasket, NoDirection, NoHistory, NoItemCodes, NotTrained, UnknownBasket, UnknownUser};
use kithdb::{Db, Hits, Id, ItemSet, Vectors};
use serde::Serialize;

use super::{
    at_least_one,
    database::{self, Database},
    effort::Effort,
    item_list::ItemList,
};
use crate::cli::Answer;
use crate::input;
use crate::output::{self, Output, Table};

/// Recommend items to a user, to go with a basket of items, or near to vectors
#[derive(Args)]
pub(crate) struct Query {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    subject: Subject,
    /// How many items to return
    #[arg(short, long, default_value = "20", value_parser = at_least_one)]
    k: usize,
    /// Consider only the items of this file, an id a line; blanks around an id are none of it, unless it stands in double quotes
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Leave out the items of this file, an id a line
    #[arg(long, value_name = "FILE")]
    deny: Option<PathBuf>,
    /// Fail where a list or the basket has an id of no item known here
    #[arg(long)]
    strict: bool,
    /// Return items the user has already, too
    #[arg(long)]
    include_seen: bool,
    /// Return the most popular items where nothing else is known
    #[arg(long)]
    popular: bool,
    /// Bits a dimension of the query: more are slower and finer [default: all that are stored]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=8))]
    query_bits: Option<u32>,
    #[command(flatten)]
    effort: Effort,
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
        let db = self.database.open()?;
        let set = |file: &Option<PathBuf>| {
            file.as_ref().map(|file| ItemList { file, strict: self.strict }.read(&db, output)).transpose()
        };
        let (allow, deny) = (set(&self.allow)?, set(&self.deny)?);
        if let Some(path) = &self.subject.vector {
            let mut answers = Vec::new();
            let mut vectors = Vectors::open(path)?;
            let row = vectors.layers() * vectors.dims();
            vectors.visit(|rows| {
                for vector in rows.chunks_exact(row) {
                    answers.push(self.shaped(db.query().vector(vector), allow.as_ref(), deny.as_ref()).run()?);
                }
                Ok(())
            })?;
            return print_many(output, answers);
        }
        let mut query = self.shaped(db.query(), allow.as_ref(), deny.as_ref());
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
        print(output, &hits?)
    }

    /// The items of the basket, if it is one that is asked for.
    fn basket(&self, db: &Db) -> anyhow::Result<Option<Vec<Id>>> {
        let kind = database::id_kinds(db).item;
        let basket: Vec<Id> = match (&self.subject.items, &self.subject.item) {
            (Some(list), _) => {
                input::listed_ids(list).iter().map(|item| Id::parse(item, kind)).collect::<Result<_, _>>()?
            }
            (_, Some(items)) => items.iter().map(|item| database::item(db, item)).collect::<Result<_, _>>()?,
            _ => return Ok(None),
        };
        if self.strict {
            let set = db.item_set(&basket)?;
            if let Some(unknown) = set.unknown().first() {
                anyhow::bail!("unknown item {unknown} in the basket (--strict)");
            }
        }
        Ok(Some(basket))
    }

    /// The query with everything but whom it is for.
    fn shaped<'a>(
        &self,
        query: kithdb::Query<'a>,
        allow: Option<&'a ItemSet>,
        deny: Option<&'a ItemSet>,
    ) -> kithdb::Query<'a> {
        let mut query = query.k(self.k);
        if let Some(allow) = allow {
            query = query.allow(allow);
        }
        if let Some(deny) = deny {
            query = query.deny(deny);
        }
        if self.include_seen {
            query = query.include_seen();
        }
        if self.popular {
            query = query.or_popular();
        }
        if let Some(bits) = self.query_bits {
            query = query.query_bits(bits);
        }
        self.effort.of(query)
    }
}

/// Prints hits; none are a no.
pub(super) fn print(output: &Output, hits: &Hits) -> anyhow::Result<Answer> {
    if !hits.unknown_items().is_empty() {
        let names: Vec<String> = hits.unknown_items().iter().map(ToString::to_string).collect();
        output.note(&format!("unknown items were ignored: {}", names.join(", ")));
    }
    output.result(hits, text)?;
    Ok(if hits.is_empty() { Answer::No } else { Answer::Yes })
}

/// Prints the answers to several vectors, in their order; none at all is a no.
fn print_many(output: &Output, answers: Vec<Hits>) -> anyhow::Result<Answer> {
    let found = answers.iter().any(|hits| !hits.is_empty());
    output.result(&Answers { answers }, |all| all.answers.iter().map(text).collect::<Vec<_>>().join("\n\n"))?;
    Ok(if found { Answer::Yes } else { Answer::No })
}

/// Answers to several queries, as printed.
#[derive(Serialize)]
struct Answers {
    answers: Vec<Hits>,
}

pub(super) fn text(hits: &Hits) -> String {
    if hits.is_empty() {
        return "nothing found".into();
    }
    let mut table = Table::new(&[">", "item", ">score"]);
    for (rank, hit) in (1..).zip(hits) {
        table.row([format!("{rank}"), hit.id.to_string(), output::score(hit.score)]);
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
