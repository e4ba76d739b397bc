//! Queries that were asked, with the time of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use kithdb::Engine;

use super::questions::Questions;

/// Times and totals of some queries.
#[derive(Debug, Default)]
pub(super) struct Timed {
    times: Vec<Duration>,
    pub(super) engines: BTreeMap<&'static str, u64>,
    pub(super) nodes: u64,
    pub(super) buckets: u64,
    pub(super) heads: u64,
    pub(super) scored: u64,
    /// Answers without as many hits as they should have.
    pub(super) short: u64,
}

impl Timed {
    /// Asks the questions of these `numbers`, which begin again where there are no more.
    pub(super) fn of(
        questions: &Questions<'_>,
        engine: Option<Engine>,
        numbers: impl Iterator<Item = usize>,
    ) -> kithdb::Result<Self> {
        let mut timed = Self::default();
        for question in numbers.filter_map(|number| questions.get(number)) {
            let start = Instant::now();
            let hits = questions.ask(question, engine)?;
            timed.times.push(start.elapsed());
            *timed.engines.entry(hits.engine().name()).or_default() += 1;
            timed.nodes += hits.nodes();
            timed.buckets += hits.buckets();
            timed.heads += hits.heads();
            timed.scored += hits.scored();
            timed.short += u64::from(hits.len() != question.hits);
        }
        Ok(timed)
    }

    /// Asks so many questions from so many threads, each those of its own numbers, and sorts the times.
    pub(super) fn by_threads(
        questions: &Questions<'_>,
        engine: Option<Engine>,
        queries: usize,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let share = &|thread| Timed::of(questions, engine, (thread..queries).step_by(threads));
        let answers = std::thread::scope(|scope| {
            let spawn = |thread| std::thread::Builder::new().spawn_scoped(scope, move || share(thread));
            let asking = (0..threads).map(spawn).collect::<Result<Vec<_>, _>>();
            asking.map(|asking| asking.into_iter().map(|thread| thread.join()).collect::<Vec<_>>())
        });
        let answers =
            answers.with_context(|| format!("cannot start {threads} threads; ask for fewer with --threads"))?;
        let mut timed = Self::default();
        for answer in answers {
            timed.add(answer.map_err(|_| anyhow::anyhow!("a querying thread panicked"))??);
        }
        timed.times.sort_unstable();
        Ok(timed)
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        other.engines.into_iter().for_each(|(name, queries)| *self.engines.entry(name).or_default() += queries);
        self.nodes += other.nodes;
        self.buckets += other.buckets;
        self.heads += other.heads;
        self.scored += other.scored;
        self.short += other.short;
    }

    pub(super) fn count(&self) -> usize {
        self.times.len()
    }

    /// A total, a query.
    pub(super) fn mean(&self, total: u64) -> f64 {
        total as f64 / self.count().max(1) as f64
    }

    /// The name of the engine that answered most queries.
    pub(super) fn engine(&self) -> &'static str {
        self.engines.iter().max_by_key(|(_, queries)| **queries).map_or("none", |(name, _)| name)
    }

    /// The time, in microseconds, that this share of the sorted times does not exceed.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.times.len() as f64).ceil() as usize;
        self.times.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_nanos() as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let timed = |n| Timed { times: (1..=n).map(Duration::from_micros).collect(), ..Timed::default() };
        let hundred = timed(100);
        let at = |share| hundred.percentile(share);
        assert_eq!((at(0.5), at(0.95), at(0.99), at(1.0)), (50.0, 95.0, 99.0, 100.0));
        assert_eq!((timed(1).percentile(0.5), timed(0).percentile(0.5)), (1.0, 0.0));
    }

    #[test]
    fn the_engine_named_answered_most() {
        let engines = [("head", 3), ("linear", 9), ("tree", 4)].into();
        assert_eq!(Timed { engines, ..Timed::default() }.engine(), "linear");
    }
}
