//! `kithdb bench`: how long queries take here.

use std::time::{Duration, Instant};

use clap::Args;
use kithdb::{Db, Engine, Error, Hits, Id};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::{at_least_one, database::Database};
use crate::cli::Answer;
use crate::output::{self, Output};

/// Measure queries: the best items for distinct users drawn at random, leaving out what each has already
#[derive(Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    database: Database,
    /// How many items a query returns
    #[arg(short, long, default_value = "20", value_parser = at_least_one)]
    k: usize,
    /// How many queries to time, each of another user as long as there are more
    #[arg(long, default_value = "5000", value_parser = at_least_one)]
    queries: usize,
    /// How many threads ask at a time
    #[arg(long, default_value = "1", value_parser = at_least_one)]
    threads: usize,
    /// Bits a dimension of the queries [default: all that are stored]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=8))]
    query_bits: Option<u32>,
}

/// What a measurement came to, as printed. Times are of single queries, in microseconds.
#[derive(Debug, Serialize)]
struct Measured {
    items: u64,
    users: usize,
    k: usize,
    queries: usize,
    threads: usize,
    engine: Engine,
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    /// Queries a second of all threads together.
    qps: f64,
    scored_per_query: f64,
    bytes_per_item: u64,
    /// `null` where all stored bits are used.
    query_bits: Option<u32>,
}

impl Bench {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let generation = db.stats()?.generation.ok_or(Error::NotTrained)?;
        let mut users = sample(db.users(), self.queries);
        // Users with neither history nor code have no answer to time. This pass warms caches, too.
        let mut first = None;
        let mut failure = None;
        users.retain(|user| match self.ask(&db, user) {
            Ok(hits) => {
                first.get_or_insert(hits.engine());
                true
            }
            Err(Error::NoHistory { .. }) => false,
            Err(error) => {
                failure.get_or_insert(error);
                false
            }
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        let Some(engine) = first else {
            anyhow::bail!("no user has a history to recommend by; load interactions, then train")
        };

        let start = Instant::now();
        let share = &|thread| self.time(&db, &users, thread);
        let answers = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..self.threads).map(|thread| scope.spawn(move || share(thread))).collect();
            asking.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        let wall = start.elapsed().as_secs_f64();
        let (mut times, mut scored) = (Vec::with_capacity(self.queries), 0);
        for answer in answers {
            let (part, count) = answer.map_err(|_| anyhow::anyhow!("a querying thread panicked"))??;
            times.extend(part);
            scored += count;
        }
        times.sort_unstable();
        let measured = Measured {
            items: generation.items,
            users: users.len(),
            k: self.k,
            queries: times.len(),
            threads: self.threads,
            engine,
            p50_us: percentile(&times, 0.50),
            p95_us: percentile(&times, 0.95),
            p99_us: percentile(&times, 0.99),
            qps: times.len() as f64 / wall.max(f64::MIN_POSITIVE),
            scored_per_query: scored as f64 / times.len().max(1) as f64,
            bytes_per_item: generation.bytes_per_item,
            query_bits: self.query_bits,
        };
        output.result(&measured, text)?;
        Ok(Answer::Yes)
    }

    fn ask(&self, db: &Db, user: &Id) -> kithdb::Result<Hits> {
        let query = db.query().user(user).k(self.k);
        match self.query_bits {
            Some(bits) => query.query_bits(bits).run(),
            None => query.run(),
        }
    }

    /// One thread's share of the queries: the time of each, and the codes scored in all.
    fn time(&self, db: &Db, users: &[Id], thread: usize) -> kithdb::Result<(Vec<Duration>, u64)> {
        let (mut times, mut scored) = (Vec::new(), 0);
        for user in users.iter().cycle().take(self.queries).skip(thread).step_by(self.threads) {
            let start = Instant::now();
            let hits = self.ask(db, user)?;
            times.push(start.elapsed());
            scored += hits.scored();
        }
        Ok((times, scored))
    }
}

/// At most `count` of the users, in random order, the same at every run.
fn sample(mut users: Vec<Id>, count: usize) -> Vec<Id> {
    users.sort_unstable();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for at in 0..count.min(users.len()) {
        let left = (users.len() - at) as u128;
        users.swap(at, at + ((u128::from(random.next_u64()) * left) >> 64) as usize);
    }
    users.truncate(count);
    users
}

/// The time, in microseconds, that this share of the ascending times does not exceed.
fn percentile(times: &[Duration], share: f64) -> f64 {
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_nanos() as f64 / 1000.0)
}

fn text(measured: &Measured) -> String {
    let count = output::count;
    format!(
        "{} queries of {} users, top {} of {} items, {} threads, engine {}\n\
         p50 {:.1} us, p95 {:.1} us, p99 {:.1} us, {} queries a second\n\
         {} codes of {} bytes scored a query",
        count(measured.queries as u64),
        count(measured.users as u64),
        measured.k,
        count(measured.items),
        measured.threads,
        format!("{:?}", measured.engine).to_lowercase(),
        measured.p50_us,
        measured.p95_us,
        measured.p99_us,
        count(measured.qps as u64),
        count(measured.scored_per_query as u64),
        measured.bytes_per_item,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        let at = |share| percentile(&times, share);
        assert_eq!((at(0.5), at(0.95), at(0.99), at(1.0)), (50.0, 95.0, 99.0, 100.0));
        assert_eq!((percentile(&times[..1], 0.5), percentile(&[], 0.5)), (1.0, 0.0));
    }

    #[test]
    fn samples_are_distinct_and_repeatable() {
        let users: Vec<Id> = (0..100u64).map(Id::from).collect();
        let mut drawn = sample(users.clone(), 30);
        assert_eq!(drawn, sample(users.iter().rev().cloned().collect(), 30));
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 30);
        assert_eq!(sample(users, 1000).len(), 100);
    }
}
