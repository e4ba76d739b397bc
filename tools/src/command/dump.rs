//! `kithdb dump`: all interactions, for `kithdb load`.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use kithdb::{Db, Error, Id, IdKind, Interaction, Repeats, Side};
use serde::Serialize;

use super::database::{self, Database};
use super::rows::{Form, Rows, RowsArgs, cell};
use crate::cli::Answer;
use crate::input;
use crate::interrupt;
use crate::output::{self, Output, steps_bar};

/// Write all interactions to a file that `kithdb load` takes back unchanged, or what is said of items and users, for `load-items` and `load-users`
///
/// Users and items come in the order they came into the database, so that a training of what is loaded gives the same codes, unless something was removed or
/// forgotten, or had attributes before interactions: then some ids come in another order, and codes are others, as good. Which items are retired is
/// not part of it: `kithdb items --retired` lists them. Nor are the kind of ids and what an interaction
/// that comes again means: a dump tells the options to load with, `--id-type`, `--repeats` and, where times are past the calendar, `--time-unit`.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb dump shop.kith -o shop.csv.zst
  kithdb dump shop.kith --attributes items -o items.jsonl
  kithdb dump shop.kith -o - --form jsonl | wc -l")]
pub(crate) struct Dump {
    #[command(flatten)]
    database: Database,
    /// Write titles and attributes of items, or of users, instead: JSON lines
    #[arg(long, value_name = "WHOSE")]
    attributes: Option<Whose>,
    #[command(flatten)]
    rows: RowsArgs,
}

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    Items,
    Users,
}

/// A row of JSON.
#[derive(Serialize)]
struct Line<'a> {
    user: &'a Id,
    item: &'a Id,
    weight: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Dumped {
    interactions: u64,
    users: u64,
    items: u64,
    /// What `kithdb load` has to be told, so that ids are read, and repeats mean, what they did.
    load_options: String,
}

impl Dump {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let (db, token) = (self.database.open()?, interrupt::token());
        if let Some(whose) = self.attributes {
            return self.said(&db, whose, output);
        }
        let (snapshot, kinds) = (db.snapshot(), database::id_kinds(&db));
        if kinds.user != kinds.item {
            // One option names the kind of both sides.
            output.note("users and items have ids of different kinds, which a load of both does not restore");
        }
        let numbers: HashMap<Id, u32> = snapshot.items().into_iter().zip(0..).collect();
        let mut edges: Vec<Vec<(u32, Interaction)>> = Vec::new();
        for user in snapshot.users() {
            let number = |edge: Interaction| Some((numbers.get(&edge.item).copied()?, edge));
            let mut row: Vec<(u32, Interaction)> = snapshot.history(&user)?.into_iter().filter_map(number).collect();
            row.sort_unstable_by_key(|&(item, _)| item);
            edges.push(row);
        }
        edges.retain(|row| !row.is_empty());
        let repeats = match db.repeats() {
            Repeats::Sum => " --repeats sum",
            Repeats::Max => " --repeats max",
            Repeats::First => " --repeats first",
            _ => "",
        };
        let id_type = match kinds.item {
            IdKind::U64 => " --id-type u64",
            IdKind::Bytes => " --id-type bytes",
            IdKind::Str => "",
        };
        let mut times = edges.iter().flatten().filter_map(|(_, edge)| edge.time);
        let unit = if times.any(input::is_number_of_time) { " --time-unit ms" } else { "" };
        let load_options = format!("{id_type}{repeats}{unit}");
        let mut outcome = Dumped { interactions: 0, users: edges.len() as u64, items: 0, load_options };
        let mut rows = self.rows.begin("user,item,weight,time", output)?;
        let bar = steps_bar();
        bar.set_length(edges.iter().map(|row| row.len() as u64).sum());
        bar.set_message("dump");
        for (user, at) in introductions(&edges) {
            let (_, edge) = &edges[user][at];
            if token.is_cancelled() {
                return Err(Error::Cancelled.into());
            }
            write(&mut rows, edge)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        outcome.interactions = edges.iter().map(|row| row.len() as u64).sum();
        let mut items: Vec<u32> = edges.iter().flatten().map(|&(item, _)| item).collect();
        items.sort_unstable();
        items.dedup();
        outcome.items = items.len() as u64;
        rows.finish(&outcome, text)?;
        Ok(if outcome.interactions == 0 { Answer::No } else { Answer::Yes })
    }
}

impl Dump {
    /// Writes attributes.
    fn said(&self, db: &Db, whose: Whose, output: &Output) -> anyhow::Result<Answer> {
        let snapshot = db.snapshot();
        let (side, key, ids) = match whose {
            Whose::Items => (Side::Item, "item", snapshot.items()),
            Whose::Users => (Side::User, "user", snapshot.users()),
        };
        let mut rows = self.rows.clone().of_lines().begin("", output)?;
        anyhow::ensure!(
            rows.form() == Form::Jsonl,
            "attributes are written as JSON lines: call the file .jsonl, or pass --form jsonl"
        );
        let mut count = 0u64;
        // Where nothing is called a title, no other column may be taken for one.
        let names: Vec<String> = snapshot.attribute_names(side).into_iter().map(|(name, _)| name).collect();
        let is_mistaken = input::title_of(&names).is_some_and(|at| names[at] != "title");
        for id in ids {
            let own = match whose {
                Whose::Items => snapshot.item(&id)?,
                Whose::Users => snapshot.user(&id)?,
            };
            let Some(own) = own.filter(|own| !own.is_empty()) else { continue };
            let mut line = serde_json::Map::from_iter([(key.to_owned(), serde_json::to_value(&id)?)]);
            for (name, value) in own.iter() {
                anyhow::ensure!(name != key, "an attribute is called {key}, as the key of ids is: rename it");
                line.insert(name.to_owned(), serde_json::to_value(value)?);
            }
            if is_mistaken {
                line.entry("title").or_insert(serde_json::Value::Null);
            }
            rows.json(&line)?;
            count += 1;
        }
        rows.finish(&serde_json::json!({ format!("{key}s"): count }), |_| {
            format!(
                "what is said of {} {key}s; `kithdb load-{key}s NEW FILE --{key} {key}` takes it back",
                output::count(count)
            )
        })?;
        Ok(if count == 0 { Answer::No } else { Answer::Yes })
    }
}

fn write(rows: &mut Rows<'_>, edge: &Interaction) -> anyhow::Result<()> {
    let Interaction { user, item, weight, time, .. } = edge;
    let time = time.map(input::shown_time);
    if rows.form() == Form::Jsonl {
        return rows.json(&Line { user, item, weight: *weight, time });
    }
    rows.csv(format_args!("{},{},{weight},{}", cell(user), cell(item), time.unwrap_or_default()))
}

fn text(outcome: &Dumped) -> String {
    let Dumped { interactions, users, items, load_options } = outcome;
    format!(
        "{} interactions of {} users and {} items; `kithdb load NEW FILE{load_options}` takes them back",
        output::count(*interactions),
        output::count(*users),
        output::count(*items),
    )
}

/// An order of all edges, as user and place in their row, in which users and items are met in ascending order, as they were when they came: those that are
/// met with an edge first, then the others by user. Where interactions were taken back there may be no such order; users are then met as they came, and
/// items nearly so. Rows hold items, ascending. O(edges log).
fn introductions<T>(rows: &[Vec<(u32, T)>]) -> Vec<(usize, usize)> {
    let mut present: Vec<u32> = rows.iter().flatten().map(|&(item, _)| item).collect();
    present.sort_unstable();
    present.dedup();
    let rank = |item: u32| present.partition_point(|&other| other < item);
    let mut holder = vec![None; present.len()];
    for (user, row) in rows.iter().enumerate() {
        for (at, &(item, _)) in row.iter().enumerate() {
            holder[rank(item)].get_or_insert((user, at));
        }
    }
    let (mut order, mut met) = (Vec::new(), vec![false; present.len()]);
    let (mut users, mut items) = (0, 0);
    while users < rows.len() || items < present.len() {
        let of_item = holder.get(items).copied().flatten().filter(|&(user, _)| user < users);
        let of_user = rows.get(users).and_then(|row| row.first()).map(|&(item, _)| rank(item));
        let (user, at) = match (of_user, of_item) {
            (Some(item), _) if item < items => (users, 0),
            (_, Some(edge)) => edge,
            // Both are new, or there is no order.
            _ => (users, 0),
        };
        let Some(&(item, _)) = rows.get(user).and_then(|row| row.get(at)) else { break };
        met[rank(item)] = true;
        users += usize::from(user == users);
        items += met[items..].iter().take_while(|&&met| met).count();
        order.push((user, at));
    }
    let mut first: Vec<(usize, usize)> = order.clone();
    first.sort_unstable();
    let all = rows.iter().enumerate().flat_map(|(user, row)| (0..row.len()).map(move |at| (user, at)));
    order.extend(all.filter(|edge| first.binary_search(edge).is_err()));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn users_and_items_are_met_as_they_came(log in proptest::collection::vec((0..12u32, 0..15u32), 0..80)) {
            // Numbers by first appearance.
            let number = |seen: &mut Vec<u32>, id: u32| {
                seen.iter().position(|&other| other == id).unwrap_or_else(|| {
                    seen.push(id);
                    seen.len() - 1
                })
            };
            let (mut users, mut items) = (Vec::new(), Vec::new());
            let mut rows: Vec<Vec<(u32, ())>> = Vec::new();
            for (user, item) in log {
                let (user, item) = (number(&mut users, user), number(&mut items, item) as u32);
                rows.resize_with(rows.len().max(user + 1), Vec::new);
                rows[user].push((item, ()));
            }
            for row in &mut rows {
                row.sort_unstable();
                row.dedup();
            }
            let order = introductions(&rows);
            let (mut users, mut items) = (0, 0);
            for &(user, at) in &order {
                let item = rows[user][at].0;
                prop_assert!(user <= users && item <= items, "{user} {item}");
                (users, items) = (users.max(user + 1), items.max(item + 1));
            }
            let mut all = order.clone();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!((all.len(), order.len()), (order.len(), rows.iter().map(Vec::len).sum()));
        }

        #[test]
        fn every_edge_is_there_whatever_was_taken_back(rows in proptest::collection::vec(proptest::collection::btree_set(0..20u32, 1..6), 0..12)) {
            let rows: Vec<Vec<(u32, ())>> = rows.iter().map(|row| row.iter().map(|&item| (item, ())).collect()).collect();
            let mut all = introductions(&rows);
            all.sort_unstable();
            let edges = rows.iter().enumerate().flat_map(|(user, row)| (0..row.len()).map(move |at| (user, at)));
            prop_assert!(edges.eq(all));
        }
    }
}
