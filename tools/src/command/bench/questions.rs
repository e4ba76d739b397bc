//! What a measurement asks: users drawn at random, each with filters and the number of hits the answer has to have.

use std::collections::HashSet;

use clap::Args;
use kithdb::{Db, Engine, Error, Hits, Id, ItemSet, Query};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::{Approximation, Bench, Effort};
use crate::output;

/// Sets of items that are drawn; the questions use them in turn.
const DRAWN: usize = 4;

/// Filters of random items.
#[derive(Args, Clone, Copy, Debug, Serialize)]
pub(super) struct Filters {
    /// Allow only so many items, drawn at random
    #[arg(long, value_name = "ITEMS")]
    allow_size: Option<usize>,
    /// Deny so many items, drawn at random
    #[arg(long, value_name = "ITEMS")]
    deny_size: Option<usize>,
    /// Take so many items, drawn at random, as seen, beside what each user has
    #[arg(long, value_name = "ITEMS")]
    seen_size: Option<usize>,
    /// Deny each user their own best so many items
    #[arg(long, value_name = "ITEMS")]
    deny_top: Option<usize>,
}

impl Filters {
    fn are_drawn(&self) -> bool {
        self.allow_size.is_some() || self.deny_size.is_some() || self.seen_size.is_some()
    }

    /// What follows the number of items in a sentence.
    pub(super) fn text(&self) -> String {
        let parts = [
            (self.allow_size, "allowed"),
            (self.deny_size, "denied"),
            (self.seen_size, "taken as seen"),
            (self.deny_top, "best denied"),
        ];
        let named =
            parts.iter().filter_map(|(size, name)| size.map(|n| format!(", {} {name}", output::count(n as u64))));
        named.collect()
    }
}

/// The questions of a measurement.
pub(super) struct Questions<'a> {
    db: &'a Db,
    k: usize,
    query_bits: Option<u32>,
    effort: Effort,
    sets: Vec<Sets>,
    asked: Vec<Question>,
}

/// One of them.
pub(super) struct Question {
    user: Id,
    /// Which of the drawn sets apply.
    sets: usize,
    top: Option<ItemSet>,
    /// min(k, items the filters leave).
    pub(super) hits: usize,
}

/// Items drawn at random.
#[derive(Default)]
struct Sets {
    allow: Option<ItemSet>,
    deny: Option<ItemSet>,
    seen: Option<ItemSet>,
    /// What these sets leave of all items that can be returned.
    left: Vec<Id>,
}

impl<'a> Questions<'a> {
    /// Draws users and filters, the same at every run, and asks each question once, which warms caches too. Users with neither history nor
    /// code have no answer and are left out.
    pub(super) fn draw(db: &'a Db, bench: &Bench) -> anyhow::Result<Self> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut users = db.users();
        users.sort_unstable();
        if bench.effort.is_limited() {
            // What is measured on those it was calibrated on flatters, where there are others.
            let calibrated: HashSet<Id> = db.calibration_users().into_iter().collect();
            let others: Vec<Id> = users.iter().filter(|user| !calibrated.contains(user)).cloned().collect();
            users = if others.is_empty() { users } else { others };
        }
        draw(&mut users, bench.queries, &mut random);
        let Bench { k, query_bits, effort, .. } = *bench;
        let mut drawn = Self { db, k, query_bits, effort, sets: Vec::new(), asked: Vec::new() };
        if bench.filters.are_drawn()
            && let Some(items) = drawn.returnable(&users)?
        {
            for _ in 0..DRAWN {
                drawn.sets.push(Sets::draw(db, &bench.filters, &items, &mut random)?);
            }
        }
        let mut short = Vec::new();
        for user in users {
            let best = bench.filters.deny_top.map(|top| drawn.best(&user, top)).transpose();
            let top = match best {
                Err(Error::NoHistory { .. } | Error::NoDirection { .. }) => continue,
                best => best?.map(|hits| db.item_set(hits.into_iter().map(|hit| hit.id))).transpose()?,
            };
            let question = Question { user, sets: drawn.asked.len() % DRAWN, top, hits: bench.k };
            match drawn.ask(&question, bench.engine.engine()) {
                Err(Error::NoHistory { .. } | Error::NoDirection { .. }) => continue,
                Err(error) => return Err(error.into()),
                Ok(hits) if hits.len() < bench.k => short.push(drawn.asked.len()),
                Ok(_) => {}
            }
            drawn.asked.push(question);
        }
        anyhow::ensure!(
            !drawn.asked.is_empty(),
            "no user has a history to recommend by; load interactions, then train"
        );
        drawn.expect(&short)?;
        Ok(drawn)
    }

    /// How many there are, each of another user.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// A question; they begin again after the last.
    pub(super) fn get(&self, number: usize) -> Option<&Question> {
        self.asked.get(number.checked_rem(self.asked.len())?)
    }

    /// Asks one.
    pub(super) fn ask(&self, question: &Question, engine: Option<Engine>) -> kithdb::Result<Hits> {
        let mut query = self.query(question);
        if let Some(engine) = engine {
            query = query.engine(engine);
        }
        self.effort.of(query).run()
    }

    /// Asks every question with the effort that was asked for and exactly.
    pub(super) fn approximation(&self) -> kithdb::Result<Approximation> {
        let (mut shares, mut proved, mut expected) = (Vec::with_capacity(self.asked.len()), 0, Some(0.0));
        for question in &self.asked {
            let exact: HashSet<Id> = self.query(question).run()?.into_iter().map(|hit| hit.id).collect();
            let hits = self.effort.of(self.query(question)).run()?;
            proved += usize::from(hits.exact());
            expected = expected.zip(hits.recall()).map(|(sum, recall)| sum + f64::from(recall));
            if !exact.is_empty() {
                let found = hits.iter().filter(|hit| exact.contains(&hit.id)).count();
                shares.push(found as f64 / exact.len() as f64);
            }
        }
        shares.sort_by(f64::total_cmp);
        let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        Ok(Approximation {
            effort: self.effort,
            recall: mean(&shares),
            recall_of_lowest_tenth: mean(&shares[..shares.len().div_ceil(10)]),
            expected: expected.map(|sum| sum / self.asked.len().max(1) as f64),
            exact: proved as f64 / self.asked.len().max(1) as f64,
        })
    }

    /// The exact query of a question, by the engine the planner chooses.
    fn query<'q>(&'q self, question: &'q Question) -> Query<'q> {
        let mut query = self.db.query().user(&question.user).k(self.k);
        if let Some(sets) = self.sets.get(question.sets) {
            if let Some(allow) = &sets.allow {
                query = query.allow(allow);
            }
            if let Some(deny) = &sets.deny {
                query = query.deny(deny);
            }
            if let Some(seen) = &sets.seen {
                query = query.also_seen(seen);
            }
        }
        if let Some(top) = &question.top {
            query = query.deny(top);
        }
        if let Some(bits) = self.query_bits {
            query = query.query_bits(bits);
        }
        query
    }

    /// A user's best items without any filter.
    fn best(&self, user: &Id, k: usize) -> kithdb::Result<Hits> {
        let query = self.db.query().user(user).k(k);
        match self.query_bits {
            Some(bits) => query.query_bits(bits).run(),
            None => query.run(),
        }
    }

    /// All items a query can return: what the first user who has an answer gets when asking for everything.
    fn returnable(&self, users: &[Id]) -> anyhow::Result<Option<Vec<Id>>> {
        let everything = usize::try_from(self.db.stats()?.items)?.max(1);
        for user in users {
            match self.db.query().user(user).k(everything).include_seen().run() {
                Err(Error::NoHistory { .. } | Error::NoDirection { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(hits) => return Ok(Some(hits.into_iter().map(|hit| hit.id).collect())),
            }
        }
        Ok(None)
    }

    /// Counts what the filters leave, item by item, wherever that can be less than k: for the `short` answers, and for all where sets were
    /// drawn.
    fn expect(&mut self, short: &[usize]) -> anyhow::Result<()> {
        let numbers: Vec<usize> = if self.sets.is_empty() { short.to_vec() } else { (0..self.asked.len()).collect() };
        let users: Vec<Id> = numbers.iter().filter_map(|&at| Some(self.asked.get(at)?.user.clone())).collect();
        let whole = match self.sets.is_empty() {
            true => self.returnable(&users)?.unwrap_or_default(),
            false => Vec::new(),
        };
        for (at, user) in numbers.into_iter().zip(users) {
            let Some(question) = self.asked.get(at) else { continue };
            let left = self.sets.get(question.sets).map_or(&whole, |sets| &sets.left);
            let history = self.db.history(user.clone())?;
            let top = question.top.as_ref().map_or(0, ItemSet::len) as usize;
            let hits = if left.len() >= self.k.saturating_add(history.len() + top) {
                self.k
            } else {
                let mut barred: HashSet<Id> = history.into_iter().map(|interaction| interaction.item).collect();
                if top > 0 {
                    barred.extend(self.best(&user, top)?.into_iter().map(|hit| hit.id));
                }
                left.iter().filter(|item| !barred.contains(item)).count().min(self.k)
            };
            if let Some(question) = self.asked.get_mut(at) {
                question.hits = hits;
            }
        }
        Ok(())
    }
}

impl Sets {
    fn draw(db: &Db, filters: &Filters, items: &[Id], random: &mut Xoshiro256PlusPlus) -> kithdb::Result<Self> {
        let mut pick = |size: Option<usize>| {
            let mut numbers: Vec<usize> = (0..items.len()).collect();
            draw(&mut numbers, size?, random);
            Some(numbers)
        };
        let (allow, deny, seen) = (pick(filters.allow_size), pick(filters.deny_size), pick(filters.seen_size));
        let mut stays = vec![allow.is_none(); items.len()];
        allow.iter().flatten().for_each(|&at| stays[at] = true);
        deny.iter().chain(&seen).flatten().for_each(|&at| stays[at] = false);
        let left = items.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(id, _)| id.clone()).collect();
        let set = |numbers: Option<Vec<usize>>| {
            numbers.map(|numbers| db.item_set(numbers.iter().filter_map(|&at| items.get(at).cloned()))).transpose()
        };
        Ok(Self { allow: set(allow)?, deny: set(deny)?, seen: set(seen)?, left })
    }
}

/// Keeps `count` of the values at most, drawn at random, in random order.
fn draw<T>(values: &mut Vec<T>, count: usize, random: &mut Xoshiro256PlusPlus) {
    for at in 0..count.min(values.len()) {
        let left = (values.len() - at) as u128;
        values.swap(at, at + ((u128::from(random.next_u64()) * left) >> 64) as usize);
    }
    values.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_distinct_and_repeatable() {
        let drawn = |count| {
            let mut values: Vec<u32> = (0..100).collect();
            draw(&mut values, count, &mut Xoshiro256PlusPlus::seed_from_u64(1));
            values
        };
        let mut thirty = drawn(30);
        assert_eq!(thirty, drawn(30));
        thirty.sort_unstable();
        thirty.dedup();
        assert_eq!((thirty.len(), drawn(1000).len(), drawn(0).len()), (30, 100, 0));
    }
}
