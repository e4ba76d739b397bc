//! `kithdb bench`: how long queries take here.

mod questions;
mod regret;
mod timed;

use std::collections::BTreeMap;
use std::time::Instant;

use clap::{Args, ValueEnum};
use kithdb::{Engine, Error};
use serde::Serialize;

use self::questions::{Filters, Questions};
use self::timed::Timed;
use super::{at_least_one, database::Database, effort::Effort};
use crate::cli::Answer;
use crate::output::{self, Output};

/// Measure queries: the best items for distinct users drawn at random, leaving out what each has already
///
/// Every answer is checked to have as many hits as the filters leave, up to k; the exit status is 1 where one has not.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb bench shop.kith
  kithdb bench shop.kith -k 100 --threads 2 --recall 0.99")]
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
    /// The engine that searches; auto is the planner's choice, query by query
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    engine: Choice,
    #[command(flatten)]
    effort: Effort,
    /// Time auto and every engine in turn on the same queries, so many rounds, and tell by how much the best one beats auto
    #[arg(long, value_name = "ROUNDS", value_parser = at_least_one, conflicts_with_all = ["engine", "approximate", "recall"])]
    regret: Option<usize>,
    #[command(flatten)]
    filters: Filters,
}

/// Who picks the engine, or which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// The planner.
    Auto,
    /// Every code is scored.
    Linear,
    /// Heads of codes are looked at first.
    Head,
    /// Nodes are opened best bound first.
    Tree,
    /// Multi-index hashing.
    Mih,
}

impl Choice {
    fn engine(self) -> Option<Engine> {
        match self {
            Choice::Auto => None,
            Choice::Linear => Some(Engine::Linear),
            Choice::Head => Some(Engine::Head),
            Choice::Tree => Some(Engine::Tree),
            Choice::Mih => Some(Engine::Mih),
        }
    }

    fn name(self) -> &'static str {
        self.engine().map_or("auto", Engine::name)
    }
}

/// What was asked, as printed.
#[derive(Debug, Serialize)]
struct Asked {
    items: u64,
    users: usize,
    k: usize,
    queries: usize,
    /// `null` where all stored bits are used.
    query_bits: Option<u32>,
    #[serde(flatten)]
    filters: Filters,
}

/// What a measurement came to, as printed. Times are of single queries, in microseconds.
#[derive(Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    asked: Asked,
    threads: usize,
    /// The one that answered most queries.
    engine: &'static str,
    /// How many queries each engine answered.
    engines: BTreeMap<&'static str, u64>,
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    /// Queries a second of all threads together.
    qps: f64,
    nodes_per_query: f64,
    buckets_per_query: f64,
    heads_per_query: f64,
    scored_per_query: f64,
    bytes_per_item: u64,
    /// Answers without min(k, allowed) hits.
    short_answers: u64,
    #[serde(flatten)]
    approximation: Option<Approximation>,
}

/// What less effort costs the answers.
#[derive(Debug, Serialize)]
struct Approximation {
    #[serde(flatten)]
    effort: Effort,
    /// The share of the exact answers' hits that are found.
    recall: f64,
    /// That of the tenth of the questions with the lowest one.
    recall_of_lowest_tenth: f64,
    /// The mean of what the answers say is expected; `None` where one of them does not.
    expected: Option<f64>,
    /// The share of queries whose answer is proved exact.
    exact: f64,
}

impl Bench {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let generation = db.stats()?.generation.ok_or(Error::NotTrained)?;
        let questions = Questions::draw(&db, &self)?;
        let asked = Asked {
            items: generation.items,
            users: questions.len(),
            k: self.k,
            queries: self.queries,
            query_bits: self.query_bits,
            filters: self.filters,
        };
        let short_answers = match self.regret {
            Some(rounds) => {
                let measured = regret::measure(&questions, asked, rounds, self.threads)?;
                output.result(&measured, regret::text)?;
                measured.short_answers
            }
            None => {
                let measured = self.measure(&questions, asked, generation.bytes_per_item)?;
                output.result(&measured, text)?;
                measured.short_answers
            }
        };
        if short_answers > 0 {
            output.note(&format!("{} answers were not as long as they should be", output::count(short_answers)));
        }
        Ok(if short_answers > 0 { Answer::No } else { Answer::Yes })
    }

    fn measure(&self, questions: &Questions<'_>, asked: Asked, bytes_per_item: u64) -> anyhow::Result<Measured> {
        let start = Instant::now();
        let timed = Timed::by_threads(questions, self.engine.engine(), self.queries, self.threads)?;
        let wall = start.elapsed().as_secs_f64();
        let approximation = self.effort.is_limited().then(|| questions.approximation()).transpose()?;
        Ok(Measured {
            approximation,
            asked,
            threads: self.threads,
            engine: timed.engine(),
            p50_us: timed.percentile(0.50),
            p95_us: timed.percentile(0.95),
            p99_us: timed.percentile(0.99),
            qps: timed.count() as f64 / wall.max(f64::MIN_POSITIVE),
            nodes_per_query: timed.mean(timed.nodes),
            buckets_per_query: timed.mean(timed.buckets),
            heads_per_query: timed.mean(timed.heads),
            scored_per_query: timed.mean(timed.scored),
            bytes_per_item,
            short_answers: timed.short,
            engines: timed.engines,
        })
    }
}

impl Asked {
    fn text(&self) -> String {
        format!(
            "{} queries of {} users, top {} of {} items{}",
            output::count(self.queries as u64),
            output::count(self.users as u64),
            self.k,
            output::count(self.items),
            self.filters.text(),
        )
    }
}

fn text(measured: &Measured) -> String {
    let count = output::count;
    let engines: Vec<String> =
        measured.engines.iter().map(|(name, &queries)| format!("{name} {}", count(queries))).collect();
    let approximation = measured.approximation.as_ref().map_or_else(String::new, |found| {
        let Approximation { effort, recall, recall_of_lowest_tenth: lowest, expected, exact } = found;
        let expected = expected.map_or_else(String::new, |expected| format!(" of {expected:.4} expected"));
        let effort = effort.text();
        format!("\n{effort}: recall {recall:.4}{expected}, {lowest:.4} in the lowest tenth, {exact:.4} of the answers proved exact")
    });
    format!(
        "{}, {} threads; answered by {}\n\
         p50 {:.1} us, p95 {:.1} us, p99 {:.1} us, {} queries a second\n\
         a query: {} nodes, {} buckets, {} heads, {} codes of {} bytes{approximation}",
        measured.asked.text(),
        measured.threads,
        engines.join(", "),
        measured.p50_us,
        measured.p95_us,
        measured.p99_us,
        count(measured.qps as u64),
        count(measured.nodes_per_query as u64),
        count(measured.buckets_per_query as u64),
        count(measured.heads_per_query as u64),
        count(measured.scored_per_query as u64),
        measured.bytes_per_item,
    )
}
