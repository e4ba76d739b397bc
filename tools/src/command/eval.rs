//! `kithdb eval`: how many held-out interactions the recommendations bring back.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kithdb::eval::{Evaluation, Metrics, Quartile};
use kithdb::{Id, Query};
use serde::Serialize;

use super::{
    at_least_one,
    database::{self, Database},
    layout::Layout,
    taken,
    test_rows::TestRows,
};
use crate::cli::Answer;
use crate::input::{Reader, ReaderOptions, Row, Source};
use crate::output::{self, Output, Table};

/// Measure the recommendations against held-out interactions
///
/// For every user of the test file, all items they do not have yet are ranked; the file's items should come out on top. MAP divides by the smaller of k and the
/// test items of a user, "map (all)" by the test items. Measures are averages
/// over users, but for coverage, the share of the catalogue that was recommended to anybody, the Gini index of how often its items were, and the mean
/// rank of what was recommended by its popularity, 0 for the most popular item and 1 for the least. Where some of the users are not known, everything is
/// measured over those who are, too.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb eval shop.kith --test held-out.csv --popularity
  kithdb eval ml.kith --test u1.test --user 1 --item 2 --time 4 -k 10,20
  kithdb eval shop.kith --test repeats.csv --include-seen --json")]
pub(crate) struct Eval {
    #[command(flatten)]
    database: Database,
    /// Interactions that were not loaded
    #[arg(long, value_name = "FILE")]
    test: PathBuf,
    #[command(flatten)]
    layout: Layout,
    /// How many items to recommend: one or more cut-offs, with commas between
    #[arg(short, long, default_value = "5,10,20,50,100", value_delimiter = ',', value_parser = at_least_one)]
    k: Vec<usize>,
    /// Bits a dimension of the queries [default: all that are stored]
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=8))]
    query_bits: Option<u32>,
    /// Rank the items a user has already, too: for repeat purchases, whose test holds what users had before
    #[arg(long)]
    include_seen: bool,
    /// Measure the teacher the codes were learned from, in full precision, in place of the codes
    #[arg(long, conflicts_with_all = ["query_bits", "include_seen"])]
    full_precision: bool,
    /// Measure plain popularity too, which any model has to beat
    #[arg(long)]
    popularity: bool,
}

/// Each user of a test with their items.
pub(super) type Truth = Vec<(Id, Vec<Id>)>;

/// What an evaluation came to, as printed.
#[derive(Debug, Serialize)]
struct Evaluated {
    #[serde(flatten)]
    measures: Evaluation,
    interactions: usize,
    rejected: u64,
    #[serde(flatten)]
    rows: TestRows,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    popularity: Option<Evaluation>,
    /// The same over the users known here, where some are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_users: Option<OfKnown>,
}

/// What the users known here get.
#[derive(Debug, Serialize)]
struct OfKnown {
    #[serde(flatten)]
    measures: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    popularity: Option<Evaluation>,
}

impl Eval {
    pub(crate) fn run(mut self, output: &Output) -> anyhow::Result<Answer> {
        // Each cut-off is a key of the JSON object, which has to be there once.
        self.k.sort_unstable();
        self.k.dedup();
        let db = self.database.open_for_long()?;
        let options = self.layout.reader(database::id_kinds(&db));
        let (truth, rejected) = read(&Source::from(self.test), &options, output)?;
        if rejected > 0 {
            output.note(&format!(
                "{} rows of the test were rejected; try to load it to see why",
                output::count(rejected)
            ));
        }
        let rows = TestRows::of(&db, &truth)?;
        rows.tell(self.include_seen, output);
        let start = Instant::now();
        let include = self.include_seen;
        let measure = |truth: &Truth| match self.full_precision {
            true => db.evaluate_full_precision(truth, &self.k),
            false => db.snapshot().evaluate_with(truth, &self.k, |query| match self.query_bits {
                Some(bits) => seen(query, include).query_bits(bits),
                None => seen(query, include),
            }),
        };
        let popular = |truth: &Truth| match self.popularity {
            true => db.snapshot().evaluate_popularity_with(truth, &self.k, |query| seen(query, include)).map(Some),
            false => Ok(None),
        };
        let measures = measure(&truth)?;
        let seconds = start.elapsed().as_secs_f64();
        let popularity = popular(&truth)?;
        let interactions = truth.iter().map(|(_, items)| items.len()).sum();
        let known_users = match rows.are_partly_of_unknown_users() {
            true => {
                let users: HashSet<Id> = db.users().into_iter().collect();
                let known: Truth = truth.into_iter().filter(|(user, _)| users.contains(user)).collect();
                Some(OfKnown { measures: measure(&known)?, popularity: popular(&known)? })
            }
            false => None,
        };
        let evaluated = Evaluated { measures, interactions, rejected, rows, seconds, popularity, known_users };
        let ours = if self.full_precision { "teacher" } else { "codes" };
        output.result(&evaluated, |evaluated| {
            let users = output::count(evaluated.measures.users);
            let took = output::seconds(evaluated.seconds);
            let known = evaluated.known_users.as_ref().map_or(String::new(), |known| {
                let users = output::count(known.measures.users);
                let table = text(ours, &known.measures, known.popularity.as_ref());
                format!("\n\nof the {users} users known here:\n\n{table}")
            });
            format!(
                "{}{known}\n\n{}\n\n{users} users in {took}",
                text(ours, &evaluated.measures, evaluated.popularity.as_ref()),
                degrees(&evaluated.measures)
            )
        })?;
        Ok(if evaluated.measures.users == 0 { Answer::No } else { Answer::Yes })
    }
}

/// With what users have already, where that is asked for.
fn seen(query: Query<'_>, include: bool) -> Query<'_> {
    if include { query.include_seen() } else { query }
}

/// Reads a test file; how many of its rows are no interactions.
pub(super) fn read(source: &Source, options: &ReaderOptions, output: &Output) -> anyhow::Result<(Truth, u64)> {
    let (mut truth, mut rejected) = (Truth::new(), 0);
    let mut places: HashMap<Id, usize> = HashMap::new();
    let mut reader = Reader::open(source, options)?;
    taken::warn(output, source, &reader);
    for row in &mut reader {
        match row? {
            Row::Rejected(_) => rejected += 1,
            Row::Interaction(interaction) => {
                let place = *places.entry(interaction.user).or_insert_with_key(|user| {
                    truth.push((user.clone(), Vec::new()));
                    truth.len() - 1
                });
                if let Some((_, items)) = truth.get_mut(place) {
                    items.push(interaction.item);
                }
            }
        }
    }
    taken::remark(output, source, &reader);
    Ok((truth, rejected))
}

/// The measures of what is called `ours`, a cut-off a line, and below each those of popularity.
fn text(ours: &str, measures: &Evaluation, popularity: Option<&Evaluation>) -> String {
    let header = [
        ">k",
        "of",
        ">recall",
        ">ndcg",
        ">ndcg (bigear)",
        ">precision",
        ">map",
        ">map (all)",
        ">hit rate",
        ">f1",
        ">coverage",
        ">gini",
        ">popularity rank",
    ];
    let mut table = Table::new(&header);
    for cut in &measures.cuts {
        table.row(cells(ours, cut));
        if let Some(popular) = popularity.and_then(|popular| popular.at(cut.k)) {
            table.row(cells("popularity", popular));
        }
    }
    table.text()
}

/// A row of measures.
fn cells(of: &str, cut: &Metrics) -> Vec<String> {
    let Metrics { k, recall, ndcg, ndcg_bigear, precision, map, map_all, hit_rate, f1, coverage, gini, .. } = *cut;
    let figures = [recall, ndcg, ndcg_bigear, precision, map, map_all, hit_rate, f1, coverage, gini];
    let figures = figures.into_iter().map(Some).chain([cut.popularity_rank]).map(figure);
    [k.to_string(), of.to_owned()].into_iter().chain(figures).collect()
}

/// A measure as it is printed: a dash where there is nothing to measure.
pub(super) fn figure(value: Option<f64>) -> String {
    value.filter(|value| !value.is_nan()).map_or("-".to_owned(), |value| format!("{value:.4}"))
}

/// Recall by training degree, a quarter of the users or items a line.
fn degrees(measures: &Evaluation) -> String {
    let names: Vec<String> = measures.cuts.iter().map(|cut| format!(">recall@{}", cut.k)).collect();
    let header =
        ["training degree", ">count", ">test interactions"].into_iter().chain(names.iter().map(String::as_str));
    let mut table = Table::new(&header.collect::<Vec<_>>());
    let sides = [("users", &measures.users_by_degree), ("items", &measures.items_by_degree)];
    for (side, Quartile { least_degree, most_degree, count, interactions, recall }) in
        sides.into_iter().flat_map(|(side, quartiles)| quartiles.iter().map(move |quartile| (side, quartile)))
    {
        let first =
            [format!("{side} of {least_degree} to {most_degree}"), output::count(*count), output::count(*interactions)];
        table.row(first.into_iter().chain(recall.iter().map(|&(_, recall)| figure(Some(recall)))));
    }
    table.text()
}
