//! A database that is kept up by itself while slices of interactions come.

use std::time::{Duration, Instant};

use anyhow::Context;
use kithdb::{Db, Id, JobOutcome, JobRecord, Policy};

use crate::figure::{Curve, draw};
use crate::parts::Parts;
use crate::{Arguments, K, processor_seconds};

/// Slices that come, and the share of all interactions of each.
const DAYS: usize = 30;
const SHARE: f64 = 0.01;
/// How long nothing has to be running until the database has had its time with a slice.
const QUIET: Duration = Duration::from_secs(2);

type Truth = [(Id, Vec<Id>)];

/// Recall at 20 with 1-bit queries and with all bits.
fn recall(db: &Db, truth: &Truth) -> anyhow::Result<[f64; 2]> {
    let of =
        |bits| -> anyhow::Result<f64> { Ok(db.evaluate(truth, &[K], bits)?.at(K).context("no such cut-off")?.recall) };
    Ok([of(Some(1))?, of(None)?])
}

/// Measures one set.
pub fn measure(set: &str, parts: Parts, arguments: &Arguments) -> anyhow::Result<()> {
    let (first, slices, truth) = parts.days(DAYS, SHARE, arguments.seed);
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("stream");
    arguments.trained(&format!("{set}-stream"), &path, first.iter().copied())?;
    // As it is, but for the pauses: the days are short.
    let db = Db::options().policy(Policy::default().pause(Duration::from_millis(200))).open(&path)?;
    println!("| set | day | compactions | recall@20, 1-bit | all bits | of a retrain's | processor, s | a retrain's |");
    println!("|---|---|---|---|---|---|---|---|");
    let start = recall(&db, &truth)?;
    println!("| {set} | 0 | | {:.4} | {:.4} | | | |", start[0], start[1]);
    let mut kept = Curve { name: "kept up by itself".into(), points: vec![(0.0, start[0])] };
    let mut retrained = Curve { name: "trained from nothing".into(), points: vec![(0.0, start[0])] };
    let (mut total, mut retrains, mut known) = (0.0, Vec::new(), 0);
    for (at, slice) in slices.iter().enumerate() {
        let (day, before) = (at + 1, processor_seconds());
        db.insert_many(slice.iter().copied())?;
        let jobs = settled(&db, &mut known)?;
        total += processor_seconds() - before;
        let [one, all] = recall(&db, &truth)?;
        kept.points.push((day as f64, one));
        let (mut share, mut cost) = (String::new(), String::new());
        if arguments.retrains.contains(&day) {
            let path = scratch.path().join("all");
            let pairs = first.iter().chain(slices[..day].iter().flatten()).copied();
            let processor = arguments.trained(&format!("{set}-stream-{day}"), &path, pairs)?;
            let whole = recall(&crate::quiet(&path)?, &truth)?;
            std::fs::remove_dir_all(&path)?;
            retrained.points.push((day as f64, whole[0]));
            retrains.push(processor);
            share = format!("{:.1} %, {:.1} %", 100.0 * one / whole[0], 100.0 * all / whole[1]);
            cost = format!("{processor:.0}");
        }
        println!("| {set} | {day} | {jobs} | {one:.4} | {all:.4} | {share} | {total:.0} | {cost} |");
    }
    if !retrains.is_empty() {
        let mean = retrains.iter().sum::<f64>() / retrains.len() as f64;
        println!("{total:.0} s of processor time; 30 retrains of {mean:.0} s each are {:.0} s", 30.0 * mean);
    }
    if let Some(file) = &arguments.figure {
        let title = format!("{set}: recall@20, 1-bit queries, as a hundredth of the interactions comes a day");
        std::fs::write(file, draw(&title, "day", &[kept, retrained]))?;
    }
    Ok(())
}

/// Waits until the database has done by itself what there is to do; the jobs since `known`.
fn settled(db: &Db, known: &mut u64) -> anyhow::Result<String> {
    let mut since = Instant::now();
    let mut jobs: Vec<JobRecord> = Vec::new();
    let before = *known;
    while since.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(100));
        jobs = db.jobs()?.into_iter().filter(|job| job.number > before && job.kind != "train").collect();
        let last = jobs.last().map_or(before, |job| job.number);
        if last > *known || jobs.iter().any(|job| job.outcome == JobOutcome::Running) {
            (since, *known) = (Instant::now(), last);
        }
    }
    let name = |job: &JobRecord| match &job.outcome {
        JobOutcome::Done { .. } => job.kind.clone(),
        other => format!("{}: {other:?}", job.kind),
    };
    Ok(jobs.iter().map(name).collect::<Vec<_>>().join(", "))
}
