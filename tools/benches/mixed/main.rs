//! How long queries and inserts take while a database keeps up by itself, and that every answer is right: the figures of a mixed load in
//! `benches/RESULTS.md`.
//!
//! ```text
//! cargo bench --bench mixed -- --file FOLDER/train.txt [--operations 2000000] [--rate 4000]
//! ```
//!
//! A database of the file's interactions is trained; then a client begins operations at random times, whatever has become of those before:
//! nine in ten are queries, nine in a hundred durable inserts, one in a hundred a removal. Meanwhile the database begins compactions by itself, on one
//! thread. A latency runs from when an operation was due. No item that a user had before a query began may be among its hits, and at the
//! end every history has to be what was acknowledged, the database reopened too.

#![allow(missing_docs)]

mod client;
mod seen;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use kithdb::{Db, JobOutcome, JobRecord, Policy, Preset, TrainOptions};
use kithdb_tools::input::{Format, IdKinds, Reader, ReaderOptions, Row, Source};

use client::{Done, Kind, Load};
use seen::Seen;

/// Users and items that come later, a share of those of the file.
const NEW: f64 = 0.02;

/// Queries, durable inserts and removals beside compactions
#[derive(Parser)]
struct Arguments {
    /// Interactions in LightGCN's format; without them nothing is done
    #[arg(long)]
    file: Option<PathBuf>,
    #[arg(long, default_value_t = 2_000_000)]
    operations: u64,
    /// Operations a second
    #[arg(long, default_value_t = 4000.0)]
    rate: f64,
    /// The share of changed interactions at which a minor compaction is begun
    #[arg(long, default_value_t = 0.01)]
    minor_share: f64,
    /// The same, of a major one
    #[arg(long, default_value_t = 0.05)]
    major_share: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Some(file) = &arguments.file else {
        println!("mixed: nothing to do; name a file of interactions with --file");
        return Ok(());
    };
    let pairs = read(file)?;
    let most = |side: fn(&(u64, u64)) -> u64| pairs.iter().map(side).max().map_or(0, |most| most + 1);
    let larger = |n: u64| n + (NEW * n as f64) as u64;
    let seen = Seen::new(larger(most(|pair| pair.0)), larger(most(|pair| pair.1)));
    pairs.iter().for_each(|&(user, item)| seen.inserted(user, item));
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("mixed.kith");
    let policy = Policy::default()
        .minor_share(arguments.minor_share)
        .major_share(arguments.major_share)
        .pause(Duration::from_secs(1));
    let db = Db::options().policy(policy).open(&path)?;
    db.insert_many(pairs)?;
    db.train(TrainOptions::new(Preset::Balanced).seed(arguments.seed))?.wait()?;
    let load = Load { operations: arguments.operations, rate: arguments.rate, seed: arguments.seed };
    let (start, before) = (Instant::now(), processor_seconds());
    let outcome = load.run(&db, &seen)?;
    let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - before);
    let jobs: Vec<JobRecord> = db.jobs()?.into_iter().filter(|job| job.kind != "train").collect();
    report(&outcome.done, &jobs, seconds, processor);
    println!("{} wrong exclusions", outcome.wrong);
    check(&db, &seen).context("before it was closed")?;
    drop(db);
    check(&Db::options().background(false).open(&path)?, &seen).context("reopened")?;
    println!("every history is what was acknowledged, reopened too");
    if outcome.wrong > 0 || jobs.iter().any(|job| matches!(job.outcome, JobOutcome::Failed { .. })) {
        bail!("something went wrong");
    }
    Ok(())
}

fn read(file: &std::path::Path) -> anyhow::Result<Vec<(u64, u64)>> {
    let kinds = IdKinds { user: kithdb::IdKind::U64, item: kithdb::IdKind::U64 };
    let options = ReaderOptions { format: Some(Format::Lightgcn), ..ReaderOptions::of(kinds) };
    let mut pairs = Vec::new();
    for row in Reader::open(&Source::from(file.to_owned()), &options)? {
        if let Row::Interaction(row) = row? {
            pairs.push((row.user.to_string().parse()?, row.item.to_string().parse()?));
        }
    }
    Ok(pairs)
}

/// Prints latencies apart by kind and by whether a job was running, and what the jobs were.
fn report(done: &[Done], jobs: &[JobRecord], seconds: f64, processor: f64) {
    let mut counts: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for job in jobs {
        let entry = counts.entry(&job.kind).or_default();
        entry.0 += u64::from(matches!(job.outcome, JobOutcome::Done { .. }));
        entry.1 += (job.ended.unwrap_or(job.begun) - job.begun) as f64 / 1e3;
        if let JobOutcome::Failed { reason, .. } = &job.outcome {
            println!("{} failed: {reason}", job.kind);
        }
    }
    let busy: f64 = counts.values().map(|(_, seconds)| seconds).sum();
    println!("{} operations in {seconds:.0} s; {processor:.0} s of processor time, jobs for {busy:.0} s", done.len());
    for (kind, (count, seconds)) in counts {
        println!("{count} {kind}, {:.1} s each", seconds / count.max(1) as f64);
    }
    let running =
        |at: f64| jobs.iter().any(|job| at >= job.begun as f64 && job.ended.is_none_or(|end| at <= end as f64));
    println!("| | a job running | operations | p50, ms | p99, ms | p99.9, ms | most, ms |");
    println!("|---|---|---|---|---|---|---|");
    for (kind, name) in [(Kind::Query, "query"), (Kind::Insert, "insert"), (Kind::Remove, "removal")] {
        for beside in [false, true] {
            let own = done.iter().filter(|done| done.kind == kind && running(done.at) == beside);
            let mut latencies: Vec<f32> = own.map(|done| 1e3 * done.latency).collect();
            latencies.sort_unstable_by(f32::total_cmp);
            let at = |share: f64| latencies.get((share * latencies.len() as f64) as usize).copied().unwrap_or(0.0);
            let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
            let most = latencies.last().copied().unwrap_or(0.0);
            let beside = if beside { "yes" } else { "no" };
            println!("| {name} | {beside} | {} | {p50:.3} | {p99:.3} | {p999:.3} | {most:.3} |", latencies.len());
        }
    }
}

/// That every history is what the model says.
fn check(db: &Db, seen: &Seen) -> anyhow::Result<()> {
    let snapshot = db.snapshot();
    for user in 0..seen.n_users() {
        let want = seen.items(user);
        let mut has = Vec::new();
        for interaction in snapshot.history(user).unwrap_or_default() {
            has.push(interaction.item.to_string().parse::<u64>()?);
        }
        has.sort_unstable();
        if has != want {
            bail!("user {user} has {} items in place of {}", has.len(), want.len());
        }
    }
    Ok(())
}

/// Seconds of all processors that this process has used, where the system keeps a `/proc`.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before it may hold anything; user and system time are the 14th and 15th field, in hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
