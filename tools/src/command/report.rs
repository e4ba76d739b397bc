//! `kithdb report`: a page to look at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kithdb::eval::Quartile;
use kithdb::{Attributes, Db, Engine, Id, Interaction, JobRecord, Snapshot};
use serde::Serialize;

use super::database::{self, Database};
use super::eval;
use super::jobs::CURVES;
use super::layout::Layout;
use super::test_rows::TestRows;
use crate::cli::Answer;
use crate::input::{self, Source};
use crate::output::{self, Output, ResultFile};
use crate::report::{Chart, Page, Series};

/// Users whose lists are shown.
const SHOWN: usize = 12;

/// Items shown of a list and of a history.
const ITEMS: usize = 8;

/// Users who are asked for when queries are timed.
const TIMED: usize = 1000;

/// Make a page about a database: what is in it, how good and how fast its recommendations are, what some users get and why
///
/// One file of HTML that needs no network. With --test, held-out interactions, it says how many of them are brought back.
#[derive(Args)]
#[command(after_help = "Example:
  kithdb report shop.kith --test held-out.csv -o report.html")]
pub(crate) struct Report {
    #[command(flatten)]
    database: Database,
    /// Interactions that were not loaded, to measure with
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    #[command(flatten)]
    layout: Layout,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    #[serde(serialize_with = "output::path")]
    file: PathBuf,
    bytes: usize,
}

impl Report {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        anyhow::ensure!(
            !output.is_json() || !output::is_stdout(&self.out),
            "--json prints an object on stdout, which a page is not: name another file with -o"
        );
        let db = self.database.open()?;
        let snapshot = db.snapshot();
        let mut page = Page::new(&format!("kithdb: {}", self.database.name()));
        inventory(&mut page, &db)?;
        interactions(&mut page, &snapshot)?;
        match &self.test {
            Some(test) => {
                let options = self.layout.reader(database::id_kinds(&db));
                let (truth, _) = eval::read(&Source::from(test.clone()), &options, output)?;
                let rows = TestRows::of(&db, &truth)?;
                rows.tell(false, output);
                quality(&mut page, &db, &truth)?;
                rows.warnings(false).iter().for_each(|warning| page.remark(&format!("Warning: {warning}.")));
            }
            None => {
                page.section("Quality");
                page.remark(
                    "Not measured: give interactions that were not loaded with --test; kithdb split holds some out.",
                );
            }
        }
        if snapshot.generation().is_some() {
            latency(&mut page, &snapshot);
        }
        jobs(&mut page, &db.jobs()?);
        people(&mut page, &snapshot)?;
        let html = page.html();
        let mut file = ResultFile::create(&self.out)?;
        file.put(format_args!("{html}"))?;
        let is_stdout = file.is_stdout();
        file.finish()?;
        if !is_stdout {
            let written = Written { file: self.out, bytes: html.len() };
            output.result(&written, |written| {
                format!("wrote {} ({})", written.file.display(), output::bytes(written.bytes as u64))
            })?;
        }
        Ok(Answer::Yes)
    }
}

/// What is in the database, and the space it takes.
fn inventory(page: &mut Page, db: &Db) -> anyhow::Result<()> {
    let stats = db.stats()?;
    page.tiles(&[
        ("interactions", output::count(stats.interactions)),
        ("users", output::count(stats.users)),
        ("items", output::count(stats.items)),
        ("changes since the generation", output::count(stats.tail_changes)),
        ("on the disk", output::bytes(stats.disk.total)),
        ("retired items", output::count(stats.retired_items)),
    ]);
    match &stats.generation {
        None => page.text("Nothing is trained yet: queries are answered by popularity where that is asked for."),
        Some(generation) => page.text(&format!(
            "Generation {} answers: {} users and {} items; {} bits an item, {} bits a dimension of a user; {} bytes an item and {} a user.",
            generation.number,
            output::count(generation.users),
            output::count(generation.items),
            generation.layer_bits.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + "),
            generation.query_bits,
            generation.bytes_per_item,
            generation.bytes_per_user
        )),
    }
    page.section("Space");
    let disk = stats.disk;
    let rows = [
        ("log and manifests", disk.store),
        ("generations", disk.generations),
        ("training state", disk.training_state),
        ("of all that, in use", disk.live),
    ];
    let rows: Vec<Vec<String>> = rows.map(|(name, bytes)| vec![name.to_owned(), output::bytes(bytes)]).to_vec();
    page.table("Bytes on the disk", &["", ">bytes"], &rows);
    if !stats.kept_generations.is_empty() {
        let row = |kept: &kithdb::KeptGeneration| {
            vec![kept.number.to_string(), kept.made_by.unwrap_or("").to_owned(), kept.content_hash.clone()]
        };
        let rows: Vec<Vec<String>> = stats.kept_generations.iter().map(row).collect();
        page.table("Generations that can be gone back to", &[">generation", "made by", "content"], &rows);
    }
    Ok(())
}

/// When they happened, and how many users and items have.
fn interactions(page: &mut Page, snapshot: &Snapshot) -> anyhow::Result<()> {
    page.section("Interactions");
    let (mut months, mut untimed) = (BTreeMap::<String, u64>::new(), 0u64);
    let (mut of_users, mut of_items) = (Vec::new(), BTreeMap::<Id, u64>::new());
    for user in snapshot.users() {
        let history = snapshot.history(user)?;
        of_users.push(history.len() as u64);
        for Interaction { item, time, .. } in history {
            *of_items.entry(item).or_default() += 1;
            match time {
                // A year and a month, or all of a number that no calendar has.
                Some(time) => *months.entry(input::shown_time(time).chars().take(7).collect()).or_default() += 1,
                None => untimed += 1,
            }
        }
    }
    if months.is_empty() {
        page.remark("They have no times.");
    } else {
        let years: BTreeMap<String, u64> = months.iter().fold(BTreeMap::new(), |mut years, (month, count)| {
            *years.entry(month.chars().take(4).collect()).or_default() += count;
            years
        });
        let (title, shown) = if months.len() > 60 { ("A year", years) } else { ("A month", months) };
        let (labels, values) = shown.into_iter().map(|(label, count)| (label, count as f64)).unzip();
        let series = [Series { name: "interactions", values }];
        page.chart(&Chart { title, labels, series: &series, digits: 0 });
        if untimed > 0 {
            page.remark(&format!("{} have no time.", output::count(untimed)));
        }
    }
    let of_items: Vec<u64> = of_items.into_values().collect();
    let most = of_users.iter().chain(&of_items).copied().max().unwrap_or(1).max(1);
    let classes = most.ilog2() as usize + 1;
    let counts = |degrees: &[u64]| {
        let mut counts = vec![0.0; classes];
        for &degree in degrees.iter().filter(|&&degree| degree > 0) {
            counts[degree.ilog2() as usize] += 1.0;
        }
        counts
    };
    let label = |class: usize| match class {
        0 => "1".to_owned(),
        class => format!("{} to {}", 1u64 << class, (2u64 << class) - 1),
    };
    let series =
        [Series { name: "users", values: counts(&of_users) }, Series { name: "items", values: counts(&of_items) }];
    let labels = (0..classes).map(label).collect();
    page.chart(&Chart { title: "How many have so many interactions", labels, series: &series, digits: 0 });
    Ok(())
}

/// What of a test is brought back, beside popularity.
fn quality(page: &mut Page, db: &Db, truth: &eval::Truth) -> anyhow::Result<()> {
    page.section("Quality");
    let popular = db.evaluate_popularity(truth, &[20])?;
    let measured = match db.evaluate(truth, &[20], None) {
        Ok(measured) => measured,
        Err(kithdb::Error::NotTrained) => {
            page.remark("Nothing is trained yet.");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let (Some(cut), Some(base)) = (measured.at(20), popular.at(20)) else { return Ok(()) };
    page.text(&format!("Lists of 20 for the {} users of the test.", output::count(measured.users)));
    let row = |name: &str, ours: f64, popularity: f64| {
        vec![name.to_owned(), eval::figure(Some(ours)), eval::figure(Some(popularity))]
    };
    let rank = |rank: Option<f64>| rank.unwrap_or(f64::NAN);
    page.table(
        "Measures, beside those of plain popularity",
        &["", ">codes", ">popularity"],
        &[
            row("recall", cut.recall, base.recall),
            row("NDCG", cut.ndcg, base.ndcg),
            row("precision", cut.precision, base.precision),
            row("hit rate", cut.hit_rate, base.hit_rate),
            row("coverage: share of the items that were recommended to anybody", cut.coverage, base.coverage),
            row("Gini index of how often: 0 for all alike, 1 for a few alone", cut.gini, base.gini),
            row(
                "mean rank by popularity: 0 for the most popular",
                rank(cut.popularity_rank),
                rank(base.popularity_rank),
            ),
        ],
    );
    for (title, ours, popularity) in [
        (
            "Recall by how many interactions users have, a quarter each",
            &measured.users_by_degree,
            &popular.users_by_degree,
        ),
        (
            "Recall by how many interactions items have, a quarter each",
            &measured.items_by_degree,
            &popular.items_by_degree,
        ),
    ] {
        let recall = |quartiles: &[Quartile]| {
            quartiles.iter().map(|quartile| quartile.recall.first().map_or(f64::NAN, |&(_, recall)| recall)).collect()
        };
        let label = |quartile: &Quartile| format!("{} to {}", quartile.least_degree, quartile.most_degree);
        let series =
            [Series { name: "codes", values: recall(ours) }, Series { name: "popularity", values: recall(popularity) }];
        page.chart(&Chart { title, labels: ours.iter().map(label).collect(), series: &series, digits: 3 });
    }
    Ok(())
}

/// How long queries take here, and which engines answer them.
fn latency(page: &mut Page, snapshot: &Snapshot) {
    page.section("Queries");
    let users = snapshot.users();
    let every = users.len().div_ceil(TIMED).max(1);
    let (mut times, mut engines) = (Vec::new(), BTreeMap::<&str, u64>::new());
    for user in users.iter().step_by(every) {
        let start = Instant::now();
        // Of whom nothing is known nothing is searched.
        if let Ok(hits) = snapshot.nearest(user.clone(), 20) {
            times.push(1e6 * start.elapsed().as_secs_f64());
            *engines.entry(Engine::name(hits.engine())).or_default() += 1;
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    let Some(last) = times.len().checked_sub(1) else {
        page.remark("There is nobody to ask for.");
        return;
    };
    let at = |share: f64| format!("{:.0} us", times.get((share * last as f64) as usize).copied().unwrap_or(f64::NAN));
    page.tiles(&[
        ("median", at(0.5)),
        ("95 %", at(0.95)),
        ("99 %", at(0.99)),
        ("users asked for", output::count(times.len() as u64)),
    ]);
    let engines: Vec<String> =
        engines.iter().map(|(engine, times)| format!("{engine} {}", output::count(*times))).collect();
    page.remark(&format!(
        "Twenty best items a user, one thread, on the machine that made this page. Engines the planner chose: {}.",
        engines.join(", ")
    ));
}

/// Jobs and drift.
fn jobs(page: &mut Page, jobs: &[JobRecord]) {
    page.section("Trainings and compactions");
    if jobs.is_empty() {
        page.remark("There was none.");
        return;
    }
    let rows: Vec<Vec<String>> = jobs.iter().rev().take(32).map(|job| super::jobs::cells(job).to_vec()).collect();
    page.table("The last ones, newest first", &super::jobs::HEADER, &rows);
    let trained = jobs.iter().rev().find(|job| CURVES.iter().any(|curve| job.found.contains_key(*curve)));
    let Some(job) = trained else {
        page.remark("No training with epochs: the presets learn in a few sweeps, whose recall is measured once.");
        return;
    };
    for (name, curve) in ["teacher", "codes"].into_iter().zip(CURVES) {
        let Some(points) = job.found.get(curve) else { continue };
        let words: Vec<&str> = points.split_whitespace().collect();
        let (labels, values): (Vec<String>, Vec<f64>) =
            words.chunks_exact(2).map(|point| (point[0].to_owned(), point[1].parse().unwrap_or(f64::NAN))).unzip();
        let title = format!("Recall@20 of the {name} on the hold-out by epoch, job {}", job.number);
        page.chart(&Chart { title: &title, labels, series: &[Series { name, values }], digits: 4 });
    }
}

/// What some users had, what they would get, and why.
fn people(page: &mut Page, snapshot: &Snapshot) -> anyhow::Result<()> {
    page.section("Some users");
    let users = snapshot.users();
    let every = users.len().div_ceil(SHOWN).max(1);
    let titled = |id: &Id| match snapshot.item(id).ok().flatten().as_ref().and_then(Attributes::title) {
        Some(title) => format!("{title} ({id})"),
        None => id.to_string(),
    };
    for user in users.iter().step_by(every) {
        let mut history = snapshot.history(user.clone())?;
        history.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.item.cmp(&b.item)));
        page.part(&format!("User {user}"));
        let had: Vec<String> = history.iter().take(ITEMS).map(|edge| titled(&edge.item)).collect();
        let more = history.len().saturating_sub(ITEMS);
        let more = if more > 0 { format!(" and {} more", output::count(more as u64)) } else { String::new() };
        page.text(&format!("Has {}{more}.", if had.is_empty() { "nothing".to_owned() } else { had.join(", ") }));
        match snapshot.query().user(user.clone()).k(ITEMS).run() {
            Err(error) => page.remark(&format!("Gets nothing: {}.", output::in_flags(&error.to_string()))),
            Ok(hits) => {
                let mut rows = Vec::new();
                for hit in &hits {
                    // What has no explanation has a place in the list all the same.
                    let pulls = snapshot.explain(user.clone(), hit.id.clone()).map(|explained| explained.pulls);
                    let why: Vec<String> = pulls
                        .iter()
                        .flatten()
                        .take(3)
                        .filter(|pull| pull.pull > 0.0)
                        .map(|pull| titled(&pull.item))
                        .collect();
                    rows.push(vec![titled(&hit.id), output::score(hit.score), why.join(", ")]);
                }
                page.table("Would get", &["item", ">score", "because of"], &rows);
            }
        }
    }
    Ok(())
}
