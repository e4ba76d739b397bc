//! How good recommendations are after interactions came to a trained database, and what it takes to keep them so, beside a training of everything:
//! the tables of upkeep in `benches/RESULTS.md`.
//!
//! ```text
//! cargo bench --bench upkeep -- --data FOLDER [--sets ml-100k,gowalla] [--shares 0.1,0.01] [--preset balanced] [--seed 1]
//! ```
//!
//! A first part is loaded and trained, a second inserted; then copies of that database are asked as they are, after a minor and after a major
//! compaction, and a database of both parts is trained from nothing. All are measured on the same third part. With `--keep FOLDER` what was trained
//! stays there for the next time.
//!
//! With `--stream`, seven tenths are trained, the rest comes in thirty slices of a hundredth, and the database keeps up by itself; after every slice it
//! is measured, and on three days beside a training of all there is. `--figure FILE` draws that.
//!
//! With `--newcomers`, a tenth of the users comes after the training, and is measured beside a training of all.

#![allow(missing_docs)]

mod figure;
mod newcomers;
mod parts;
mod stream;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use kithdb::{Compaction, Db, Id, Preset, TrainOptions};

use parts::{Pair, Parts, SETS};

/// The cut-off of recall.
const K: usize = 20;

/// Measure minor and major compactions beside trainings from nothing
#[derive(Parser)]
struct Arguments {
    /// A folder of data sets, each a folder of its own; without it nothing is done
    #[arg(long)]
    data: Option<PathBuf>,
    /// Data sets [default: all]
    #[arg(long, value_delimiter = ',', value_parser = SETS)]
    sets: Vec<String>,
    /// Shares of all interactions before the test that are inserted after the first training
    #[arg(long, value_delimiter = ',', default_values_t = [0.1, 0.01])]
    shares: Vec<f64>,
    /// What the databases are trained with
    #[arg(long, default_value = "balanced", value_parser = ["fast", "balanced", "best"])]
    preset: String,
    /// Seed of trainings, and of which interactions come later where times do not tell
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compactions measured
    #[arg(long, value_delimiter = ',', default_values = ["minor", "major"], value_parser = ["minor", "major"])]
    compactions: Vec<String>,
    /// A folder for what is trained first, which is used again where it is there
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Measure a stream of slices in place of two parts
    #[arg(long)]
    stream: bool,
    /// Measure users who come after the training in place of two parts
    #[arg(long)]
    newcomers: bool,
    /// Days on which the stream is measured beside a training from nothing
    #[arg(long, value_delimiter = ',', default_values_t = [10, 20, 30])]
    retrains: Vec<usize>,
    /// Where the stream is drawn, as SVG
    #[arg(long, requires = "stream")]
    figure: Option<PathBuf>,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Some(data) = &arguments.data else {
        println!("upkeep: nothing to do; name a folder of data sets with --data");
        return Ok(());
    };
    let sets = SETS.iter().filter(|set| arguments.sets.is_empty() || arguments.sets.iter().any(|name| name == *set));
    if arguments.stream || arguments.newcomers {
        for set in sets {
            let Some(parts) = Parts::of(set, data, 0.0, arguments.seed) else { continue };
            match arguments.stream {
                true => stream::measure(set, parts?, &arguments)?,
                false => newcomers::measure(set, &parts?, &arguments)?,
            }
        }
        return Ok(());
    }
    println!(
        "| set | inserted | | recall@20, 1-bit | all bits | of a retrain's | of new items, all bits | of a retrain's | processor, s | of a retrain's | s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for set in sets {
        for &share in &arguments.shares {
            match Parts::of(set, data, share, arguments.seed) {
                Some(parts) => measure(set, share, &parts?, &arguments)?,
                None => println!("{set}: skipped, {} has no folder of it", data.display()),
            }
        }
    }
    Ok(())
}

/// Recall of a database, and what it took to come to it.
struct Row {
    name: String,
    recall: [f64; 2],
    /// Of items that came later, with all bits.
    of_new: f64,
    processor: f64,
    seconds: f64,
}

impl Row {
    /// Runs `work` on a database and measures both.
    fn of(name: &str, db: &Db, parts: &Parts, work: impl FnOnce(&Db) -> kithdb::Result<()>) -> anyhow::Result<Row> {
        let (start, before) = (Instant::now(), processor_seconds());
        work(db).with_context(|| name.to_owned())?;
        let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - before);
        let recall = |truth: &[(Id, Vec<Id>)], bits| -> anyhow::Result<f64> {
            Ok(db.evaluate(truth, &[K], bits)?.at(K).context("no such cut-off")?.recall)
        };
        let of_new = if parts.truth_of_new.is_empty() { 0.0 } else { recall(&parts.truth_of_new, None)? };
        let recall = [recall(&parts.truth, Some(1))?, recall(&parts.truth, None)?];
        Ok(Row { name: name.to_owned(), recall, of_new, processor, seconds })
    }
}

impl Arguments {
    fn options(&self) -> TrainOptions {
        let preset = match self.preset.as_str() {
            "fast" => Preset::Fast,
            "best" => Preset::Best,
            _ => Preset::Balanced,
        };
        TrainOptions::new(preset).seed(self.seed)
    }

    /// A database of these interactions, trained: one that was kept under `name`, or a new one that is. What training took, where it was.
    fn trained(&self, name: &str, path: &Path, pairs: impl Iterator<Item = Pair>) -> anyhow::Result<f64> {
        let name = format!("{name}-{}-{}", self.preset, self.seed);
        let kept = self.keep.as_ref().map(|folder| (folder.join(&name), folder.join(format!("{name}.seconds"))));
        if let Some((kept, seconds)) = kept.as_ref().filter(|(kept, _)| kept.is_dir()) {
            copy(kept, path)?;
            return Ok(std::fs::read_to_string(seconds)?.parse()?);
        }
        let db = quiet(path)?;
        db.insert_many(pairs)?;
        let before = processor_seconds();
        train(&db, self.options())?;
        let processor = processor_seconds() - before;
        drop(db);
        if let Some((kept, seconds)) = kept {
            copy(path, &kept)?;
            std::fs::write(seconds, processor.to_string())?;
        }
        Ok(processor)
    }
}

/// A database that does nothing by itself.
fn quiet(path: &Path) -> kithdb::Result<Db> {
    Db::options().background(false).open(path)
}

fn measure(set: &str, share: f64, parts: &Parts, arguments: &Arguments) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = |name: &str| scratch.path().join(name);
    let processor = arguments.trained(&format!("{set}-{share}"), &path("first"), parts.first.iter().copied())?;
    let first = quiet(&path("first"))?;
    let mut rows = vec![Row { processor, ..Row::of("as trained", &first, parts, |_| Ok(()))? }];
    first.insert_many(parts.inserted.iter().copied())?;
    rows.push(Row::of("stale", &first, parts, |_| Ok(()))?);
    drop(first);
    for name in &arguments.compactions {
        copy(&path("first"), &path(name))?;
        let db = quiet(&path(name))?;
        let kind = if name == "minor" { Compaction::Minor } else { Compaction::Major };
        let mut phases = Vec::new();
        rows.push(Row::of(name, &db, parts, |db| {
            phases = db.compact(kind)?.wait()?.phases;
            Ok(())
        })?);
        eprintln!("{name}: {phases:?}");
    }
    let both = parts.first.iter().chain(&parts.inserted).copied();
    let processor = arguments.trained(&format!("{set}-{share}-all"), &path("all"), both)?;
    rows.push(Row { processor, ..Row::of("retrained", &quiet(&path("all"))?, parts, |_| Ok(()))? });
    let Some(whole) = rows.last() else { return Ok(()) };
    for row in &rows {
        let of = |own: f64, whole: f64| format!("{:.1} %", 100.0 * own / whole);
        println!(
            "| {set} | {} % | {} | {:.4} | {:.4} | {}, {} | {:.4} | {} | {:.1} | {} | {:.1} |",
            100.0 * share,
            row.name,
            row.recall[0],
            row.recall[1],
            of(row.recall[0], whole.recall[0]),
            of(row.recall[1], whole.recall[1]),
            row.of_new,
            of(row.of_new, whole.of_new),
            row.processor,
            of(row.processor, whole.processor),
            row.seconds
        );
    }
    Ok(())
}

/// Trains from nothing, and tells what that chose.
fn train(db: &Db, options: TrainOptions) -> kithdb::Result<()> {
    let outcome = db.train(options)?.wait()?;
    eprintln!("trained: {:?}; {:?}", outcome.training.settings, outcome.phases);
    Ok(())
}

/// Copies a folder and all below it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
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
