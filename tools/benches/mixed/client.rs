//! The client: operations begun at their times, whatever became of those before.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use kithdb::Db;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::seen::Seen;

/// Items asked for.
const K: usize = 20;
/// Threads that ask. One of them would be late for the next query while it waits for a processor.
const ASKING: u64 = 2;
/// Threads that wait for writes. Those of one user come one after another.
const WRITING: u64 = 32;
/// Of a hundred operations, those that ask and, of the rest, those that insert.
const QUERIES: f64 = 0.9;
const INSERTS: f64 = 0.9;

/// What is done, and how often.
pub struct Load {
    pub operations: u64,
    /// In a second.
    pub rate: f64,
    pub seed: u64,
}

/// One operation that has ended.
#[derive(Clone, Copy)]
pub struct Done {
    pub kind: Kind,
    /// Milliseconds since the Unix epoch at which it was due.
    pub at: f64,
    /// Seconds from when it was due until it was answered.
    pub latency: f32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Query,
    Insert,
    Remove,
}

/// What all operations came to.
#[derive(Default)]
pub struct Outcome {
    pub done: Vec<Done>,
    /// Items among the hits that their user had.
    pub wrong: usize,
}

/// When an operation is due.
#[derive(Clone, Copy)]
struct Due {
    instant: Instant,
    at: f64,
}

impl Due {
    fn done(self, kind: Kind) -> Done {
        Done { kind, at: self.at, latency: self.instant.elapsed().as_secs_f32() }
    }
}

struct Write {
    user: u64,
    inserts: bool,
    due: Due,
}

/// Times at random, so many a second on average (a Poisson process), from now on.
struct Schedule {
    random: Xoshiro256PlusPlus,
    mean: f64,
    begin: Due,
    after: f64,
}

impl Schedule {
    fn new(seed: u64, rate: f64) -> Schedule {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3);
        let begin = Due { instant: Instant::now(), at };
        Schedule { random: Xoshiro256PlusPlus::seed_from_u64(seed), mean: 1.0 / rate, begin, after: 0.0 }
    }

    /// Waits for the next one, unless it is over already.
    fn wait(&mut self) -> Due {
        self.after -= self.mean * (1.0 - share(&mut self.random)).ln();
        let instant = self.begin.instant + Duration::from_secs_f64(self.after);
        if let Some(left) = instant.checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
        Due { instant, at: self.begin.at + 1e3 * self.after }
    }

    fn user(&mut self, seen: &Seen) -> u64 {
        self.random.next_u64() % seen.n_users()
    }
}

/// Uniform in [0, 1).
fn share(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

impl Load {
    /// Does all of it.
    ///
    /// # Errors
    /// The first one that any operation gives.
    pub fn run(&self, db: &Db, seen: &Seen) -> anyhow::Result<Outcome> {
        std::thread::scope(|scope| {
            let (mut workers, mut inboxes) = (Vec::new(), Vec::new());
            for writer in 0..WRITING {
                let (inbox, writes) = channel();
                inboxes.push(inbox);
                let seed = self.seed ^ (1 + writer) << 32;
                workers.push(scope.spawn(move || write(db, seen, seed, &writes)));
            }
            workers.push(scope.spawn(move || self.dispatch(seen, &inboxes)));
            workers.extend((0..ASKING).map(|asker| scope.spawn(move || self.ask(db, seen, asker))));
            let mut all = Outcome::default();
            for worker in workers {
                let Ok(outcome) = worker.join() else { bail!("a thread of the client panicked") };
                let outcome = outcome?;
                all.done.extend(outcome.done);
                all.wrong += outcome.wrong;
            }
            Ok(all)
        })
    }

    /// Asks one thread's share of the queries, and checks the answers.
    fn ask(&self, db: &Db, seen: &Seen, asker: u64) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut schedule = Schedule::new(self.seed ^ (100 + asker), self.rate * QUERIES / ASKING as f64);
        for _ in 0..(self.operations as f64 * QUERIES) as u64 / ASKING {
            let due = schedule.wait();
            let user = schedule.user(seen);
            let since = seen.now();
            let hits = db.query().user(user).k(K).or_popular().run().context("a query")?;
            outcome.done.push(due.done(Kind::Query));
            let items = hits.iter().filter_map(|hit| hit.id.to_string().parse().ok());
            outcome.wrong += seen.wrong(user, items, since);
            if hits.len() < K {
                bail!("{} hits of {K}", hits.len());
            }
        }
        Ok(outcome)
    }

    /// Hands writes at their times to those that wait for them.
    fn dispatch(&self, seen: &Seen, inboxes: &[Sender<Write>]) -> anyhow::Result<Outcome> {
        let mut schedule = Schedule::new(self.seed, self.rate * (1.0 - QUERIES));
        for _ in 0..(self.operations as f64 * (1.0 - QUERIES)) as u64 {
            let due = schedule.wait();
            let user = schedule.user(seen);
            let write = Write { user, inserts: share(&mut schedule.random) < INSERTS, due };
            inboxes[(user % WRITING) as usize].send(write).context("a writer has ended")?;
        }
        Ok(Outcome::default())
    }
}

/// Does the writes that come. Of a user who has nothing to remove nothing is removed.
fn write(db: &Db, seen: &Seen, seed: u64, writes: &Receiver<Write>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    for Write { user, inserts, due } in writes {
        if inserts {
            let Some(item) = seen.fresh(user, &mut random) else { continue };
            db.insert(user, item).context("an insert")?;
            outcome.done.push(due.done(Kind::Insert));
            seen.inserted(user, item);
        } else if let Some(item) = seen.take(user, &mut random) {
            if !db.remove(user, item).context("a removal")? {
                bail!("what user {user} had of item {item} was not there to be removed");
            }
            outcome.done.push(due.done(Kind::Remove));
        }
    }
    Ok(outcome)
}
