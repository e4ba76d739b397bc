//! `kithdb recommend`: lists for many users at once.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use kithdb::{Error, Hit, Hits, Id, Side};
use serde::Serialize;

use super::database::Database;
use super::known_list::KnownList;
use super::list_shape::UserListShape;
use super::rows::{Form, RowsArgs, cell};
use super::show::Shown;
use crate::cli::Answer;
use crate::input::quoted_id;
use crate::interrupt;
use crate::output::{self, Output, steps_bar};

/// Users that are answered between two looks at the progress bar.
const TOGETHER: usize = 4096;

/// Recommend items to all users, or to many
///
/// A row an item of csv (`user,rank,item,score`, and the attributes of --show), an object a user of JSON lines. Users for whom nothing is known get no rows, and are counted.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb recommend shop.kith --all -o recs.csv
  kithdb recommend shop.kith --users vip.txt -k 5 --deny sold-out.txt -o vip.jsonl
  kithdb recommend shop.kith --all --recall 0.99 -o recs.csv.zst")]
pub(crate) struct Recommend {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    shape: UserListShape,
    #[command(flatten)]
    rows: RowsArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// Every user
    #[arg(long)]
    all: bool,
    /// The users of this file, an id a line; - is stdin
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
}

/// One user's list.
#[derive(Serialize)]
struct List<'a> {
    user: &'a Id,
    items: Vec<Listed<'a>>,
}

/// An item of it, with its title and the attributes asked for.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    hit: &'a Hit,
    #[serde(flatten)]
    said: serde_json::Map<String, serde_json::Value>,
}

/// What was written.
#[derive(Debug, Default, Serialize)]
struct Recommended {
    users: u64,
    items: u64,
    /// Users of whom nothing is known that codes could go by.
    without: u64,
    seconds: f64,
}

impl Recommend {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.read()?.cancelled_by(&interrupt::token());
        let show = self.shape.list.show.of(&db, Side::Item)?;
        let sets = self.shape.list.sets(&db, output)?;
        let users = match &self.whom.users {
            Some(file) => KnownList { file, strict: self.shape.list.strict }.ids(&db, Side::User, output)?,
            None => db.users(),
        };
        let query = self.shape.of(db.query(), &sets);
        let beside = show.asked();
        let shown = beside.iter().map(|name| quoted_id(name));
        let header: Vec<_> = [Cow::from("user,rank,item,score")].into_iter().chain(shown).collect();
        let mut rows = self.rows.begin(&header.join(","), output)?;
        let bar = steps_bar();
        bar.set_length(users.len() as u64);
        bar.set_message("recommend");
        let (mut outcome, start) = (Recommended::default(), std::time::Instant::now());
        for users in users.chunks(TOGETHER) {
            for (user, hits) in users.iter().zip(query.run_for(users)) {
                let hits = match hits {
                    Ok(hits) => hits,
                    Err(Error::UnknownUser { .. } | Error::NoHistory { .. } | Error::NoDirection { .. }) => {
                        outcome.without += 1;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                outcome.users += 1;
                outcome.items += hits.len() as u64;
                write(&mut rows, user, &hits, &show, &beside)?;
            }
            bar.inc(users.len() as u64);
        }
        bar.finish_and_clear();
        outcome.seconds = start.elapsed().as_secs_f64();
        rows.finish(&outcome, text)?;
        Ok(if outcome.items == 0 { Answer::No } else { Answer::Yes })
    }
}

fn write(
    rows: &mut super::rows::Rows<'_>,
    user: &Id,
    hits: &Hits,
    show: &Shown<'_>,
    beside: &[String],
) -> anyhow::Result<()> {
    if rows.form() == Form::Jsonl {
        let items = hits.iter().map(|hit| Listed { hit, said: show.json(&hit.id) }).collect();
        return rows.json(&List { user, items });
    }
    let user = cell(user);
    for (rank, Hit { id, score }) in (1..).zip(hits) {
        let said: String = show.cells(id, beside).iter().map(|text| format!(",{}", quoted_id(text))).collect();
        rows.csv(format_args!("{user},{rank},{},{score}{said}", cell(id)))?;
    }
    Ok(())
}

fn text(outcome: &Recommended) -> String {
    let Recommended { users, items, without, seconds } = outcome;
    let without = match without {
        0 => String::new(),
        some => {
            format!("\n{} users have nothing to go by; --popular gives them what most users have", output::count(*some))
        }
    };
    format!(
        "{} items for {} users in {}{without}",
        output::count(*items),
        output::count(*users),
        output::seconds(*seconds)
    )
}
