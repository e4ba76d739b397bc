//! `kithdb train`: embeddings from everything stored.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use kithdb::train::{Loss, SETTINGS, Sampler, StudentKind, TeacherKind};
use kithdb::{Db, Estimate, Job, Model, TrainOptions, TrainOutcome};
use serde::Serialize;

use super::database::Database;
use crate::cli::Answer;
use crate::output::{self, Output, Table};

/// How often the progress bar is drawn.
const GLANCE: Duration = Duration::from_millis(100);

/// Train on everything stored and publish the result
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb train shop.kith
  kithdb train shop.kith --preset best --memory-limit 4G --report report.json
  kithdb train shop.kith --half-life 90d --novelty 0.2
  kithdb train --list-models
  kithdb train shop.kith --model lightgcn --set teacher.epochs=100")]
pub(crate) struct Train {
    /// The database's directory
    #[arg(value_name = "DB", required_unless_present = "list_models")]
    path: Option<PathBuf>,
    /// Print what --model can be, a line each, and train nothing
    #[arg(long, conflicts_with = "path")]
    list_models: bool,
    #[command(flatten)]
    settings: Settings,
    /// Write the whole result as JSON to this file too: options, settings chosen, loss and validation by epoch, seconds by phase
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What a training can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// How much time to take
    #[arg(long, value_enum, default_value_t = Preset::Balanced)]
    preset: Preset,
    /// What to train: recipe, bigear, bigear++, lightgcn, ...; --list-models tells what each is
    #[arg(long, default_value_t)]
    model: Model,
    /// Replace the model's teacher: ials, mf, lightgcn, ngcf, ...
    #[arg(long)]
    teacher: Option<TeacherKind>,
    /// Replace the model's student: signs, discrete, bigear or bincf
    #[arg(long)]
    student: Option<StudentKind>,
    /// Replace the sampler of the teacher's negatives: uniform, popularity, dynamic or synthesised
    #[arg(long)]
    sampler: Option<Sampler>,
    /// Replace the teacher's loss: bpr, k-bpr, infonce or softmax
    #[arg(long)]
    loss: Option<Loss>,
    /// Set a number or switch of the model by name; `--help` lists them
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment, long_help = settings_help())]
    set: Vec<(String, String)>,
    /// Bits of a node's code in all, a multiple of 64 [default: 768; 192 for dgcn-bincf]
    #[arg(long)]
    bits: Option<u32>,
    /// Hops of propagation, of the teacher and of the code, which has one layer more [default: what the model says for the teacher; one layer of the code]
    #[arg(long)]
    layers: Option<u32>,
    /// Threads to use, which changes nothing in the result [default: one a processor]
    #[arg(long)]
    threads: Option<usize>,
    /// Seed of all random numbers [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// How much less popular items are recommended, 0 to 1: scores are divided by an item's interactions to this power [default: 0]
    #[arg(long, value_name = "POWER")]
    novelty: Option<f32>,
    /// How long it takes for an interaction to count half as much, as in 90d, 36h or 20m; ages are counted from the newest time [default: no decay]
    #[arg(long, value_name = "TIME", value_parser = a_duration)]
    half_life: Option<Duration>,
    /// Memory a training may hold, as in 4G or 800M: one that by its estimate would hold more is refused [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = a_size)]
    memory_limit: Option<u64>,
}

/// The library's presets, as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Preset {
    /// Seconds for a million interactions.
    Fast,
    /// A minute or so for a million interactions: better recommendations.
    Balanced,
    /// Some minutes for a million interactions: the best there are.
    Best,
}

impl Settings {
    /// Those of `kithdb train` without options.
    pub(super) fn of_preset(preset: Preset) -> Self {
        Self {
            preset,
            model: Model::default(),
            teacher: None,
            student: None,
            sampler: None,
            loss: None,
            set: Vec::new(),
            bits: None,
            layers: None,
            threads: None,
            seed: None,
            novelty: None,
            half_life: None,
            memory_limit: None,
        }
    }

    fn options(&self) -> TrainOptions {
        let mut options = TrainOptions::new(match self.preset {
            Preset::Fast => kithdb::Preset::Fast,
            Preset::Balanced => kithdb::Preset::Balanced,
            Preset::Best => kithdb::Preset::Best,
        })
        .model(self.model);
        if let Some(teacher) = self.teacher {
            options = options.teacher(teacher);
        }
        if let Some(student) = self.student {
            options = options.student(student);
        }
        if let Some(sampler) = self.sampler {
            options = options.sampler(sampler);
        }
        if let Some(loss) = self.loss {
            options = options.loss(loss);
        }
        for (key, value) in &self.set {
            options = options.set(key, value);
        }
        if let Some(bits) = self.bits {
            options = options.bits(bits);
        }
        if let Some(layers) = self.layers {
            options = options.layers(layers);
        }
        if let Some(threads) = self.threads {
            options = options.threads(threads);
        }
        if let Some(seed) = self.seed {
            options = options.seed(seed);
        }
        if let Some(novelty) = self.novelty {
            options = options.novelty(novelty);
        }
        if let Some(half_life) = self.half_life {
            options = options.half_life(half_life);
        }
        if let Some(bytes) = self.memory_limit {
            options = options.memory_limit(bytes);
        }
        options
    }
}

/// `KEY=VALUE` in two.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in teacher.factors=96")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Bytes, of which K, M and G stand for thousands.
fn a_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number: f64 = digits.parse().map_err(|_| "write a number of bytes, as in 4G or 800M".to_owned())?;
    let bytes = number * unit as f64;
    if (1.0..1e18).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err("pass more than nothing, and less than 1e18".into())
    }
}

/// A time span: a number and its unit, of seconds, minutes, hours, days or weeks.
fn a_duration(text: &str) -> Result<Duration, String> {
    let usage = || "write a number and s, m, h, d or w, as in 90d".to_owned();
    let (at, unit) = text.char_indices().last().ok_or_else(usage)?;
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3_600.0,
        'd' => 86_400.0,
        'w' => 7.0 * 86_400.0,
        _ => return Err(usage()),
    };
    let number: f64 = text[..at].parse().map_err(|_| usage())?;
    match number * seconds {
        span if (1e-3..1e12).contains(&span) => Ok(Duration::from_secs_f64(span)),
        _ => Err("pass from a millisecond to 30,000 years".to_owned()),
    }
}

/// The settings there are.
fn settings_help() -> String {
    let mut help =
        "Set a number or switch of the model by name. Which of these a model reads is told when one is not read:\n"
            .to_owned();
    for setting in SETTINGS {
        help += &format!("\n{}: {}\n    {}", setting.name, setting.domain, setting.about);
    }
    help
}

/// What a training came to, as printed.
#[derive(Debug, Serialize)]
pub(super) struct Trained {
    /// What was asked for.
    options: TrainOptions,
    /// What it was said to take before it started.
    estimate: Estimate,
    #[serde(flatten)]
    outcome: TrainOutcome,
    pub(super) seconds: f64,
    /// Of this process; `null` where the system does not tell.
    peak_memory_bytes: Option<u64>,
}

impl Train {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        // The database is left out only where the models are asked for.
        let Some(path) = self.path else { return list_models(output) };
        let db = Database::of(path).open()?;
        if let Some(path) = &self.report {
            // A report that cannot be written is told before the training, not after; one that is there stays until there is a new one.
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.with_context(|| format!("cannot write {}", path.display()))?;
        }
        let estimate = estimate(&db, &self.settings.options())?;
        let (seconds, bytes) = (output::seconds(estimate.processor_seconds), output::bytes(estimate.bytes));
        output.ahead(&format!("about {seconds} of processor time and {bytes} of memory"));
        let trained = train(&db, &self.settings)?;
        if let Some(path) = &self.report {
            let report = serde_json::to_string_pretty(&trained)? + "\n";
            std::fs::write(path, report).with_context(|| format!("cannot write {}", path.display()))?;
        }
        output.result(&trained, text)?;
        Ok(Answer::Yes)
    }
}

/// The models there are.
#[derive(Serialize)]
struct Models {
    models: Vec<Listed>,
}

/// A model, as programs read it.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: &'static str,
}

fn list_models(output: &Output) -> anyhow::Result<Answer> {
    let models = Model::NAMES.iter().map(|name| name.parse::<Model>());
    let listed = models
        .map(|model| model.map(|model| Listed { name: model.name(), about: model.about() }))
        .collect::<Result<Vec<_>, _>>()?;
    output.result(&Models { models: listed }, |listed| {
        let mut table = Table::new(&["model", "what it is"]);
        listed.models.iter().for_each(|model| table.row([model.name.to_owned(), model.about.to_owned()]));
        table.text()
    })?;
    Ok(Answer::Yes)
}

/// What a training on all there is will take.
fn estimate(db: &Db, options: &TrainOptions) -> anyhow::Result<Estimate> {
    let stats = db.stats()?;
    Ok(options.estimate(stats.users, stats.items, stats.interactions)?)
}

/// Trains, with a progress bar.
pub(super) fn train(db: &Db, settings: &Settings) -> anyhow::Result<Trained> {
    let start = Instant::now();
    let options = settings.options();
    let estimate = estimate(db, &options)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = settings.threads.unwrap_or(threads).min(threads).max(1);
    let outcome = foretold(db.train(options.clone())?, estimate.processor_seconds / threads as f64)?;
    Ok(Trained { options, estimate, outcome, seconds: start.elapsed().as_secs_f64(), peak_memory_bytes: peak_memory() })
}

/// What a training comes to, with one bar for all of it, which goes by the time that it was estimated to take.
fn foretold(job: Job, seconds: f64) -> anyhow::Result<TrainOutcome> {
    let (bar, start) = (output::time_bar(seconds), Instant::now());
    while !job.wait_timeout(GLANCE) {
        let progress = job.progress();
        bar.set_message(format!("{} {}/{}", progress.phase, progress.step, progress.of));
        // The last hundredth is left to what takes longer than it should.
        let elapsed = start.elapsed().as_millis() as u64;
        bar.set_position(elapsed.min(bar.length().map_or(0, |length| length - length / 100)));
    }
    bar.finish_and_clear();
    Ok(job.wait()?)
}

/// What a job comes to, with a progress bar meanwhile; with a line for each phase that has ended too, where they are to be `told`. On a terminal only.
pub(super) fn followed(job: Job, told: bool) -> anyhow::Result<TrainOutcome> {
    let bar = output::steps_bar();
    let (mut phase, mut since) = (String::new(), Instant::now());
    while !job.wait_timeout(GLANCE) {
        let progress = job.progress();
        if told && progress.phase != phase {
            if !phase.is_empty() {
                bar.println(format!("{phase:12} {}", output::seconds(since.elapsed().as_secs_f64())));
            }
            (phase, since) = (progress.phase.clone(), Instant::now());
        }
        bar.set_message(progress.phase);
        bar.set_length(progress.of);
        bar.set_position(progress.step);
    }
    bar.finish_and_clear();
    Ok(job.wait()?)
}

/// The most memory this process has had resident, in bytes, where the system keeps a `/proc`.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

pub(super) fn text(trained: &Trained) -> String {
    let Trained { outcome, seconds, peak_memory_bytes, .. } = trained;
    let mut phases = Table::new(&["phase", ">seconds"]);
    for phase in &outcome.phases {
        phases.row([phase.phase.to_owned(), format!("{:.2}", phase.seconds)]);
    }
    let memory =
        peak_memory_bytes.map(|peak| format!(", at most {} of memory", output::bytes(peak))).unwrap_or_default();
    let recall = |recall: Option<f64>| recall.map_or("not measured".to_owned(), |recall| format!("{recall:.4}"));
    let report = &outcome.training;
    let held_out = match report.held_out_edges {
        0 => String::new(),
        edges => format!(
            "\nrecall@20 on {} interactions held out: {}, of its teacher in full precision {}, of the most popular items {}",
            output::count(edges),
            recall(report.recall),
            recall(report.teacher_recall),
            recall(report.popularity_recall)
        ),
    };
    format!(
        "published generation {} in {}{memory}\n{} interactions of {} users with {} items{held_out}\ncontent {}\n\n{}",
        outcome.generation,
        output::seconds(*seconds),
        output::count(outcome.interactions),
        output::count(outcome.users),
        output::count(outcome.items),
        outcome.content_hash,
        phases.text(),
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn sizes_have_units() {
        assert_eq!(super::a_size("1.5G"), Ok(1_500_000_000));
        assert_eq!(super::a_size("800M"), Ok(800_000_000));
        assert_eq!(super::a_size("4096"), Ok(4096));
        for bad in ["", "G", "-1G", "0", "four", "1e30"] {
            assert!(super::a_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_have_units() {
        let seconds = |text| super::a_duration(text).map(|span| span.as_secs());
        assert_eq!(seconds("90d"), Ok(90 * 86_400));
        assert_eq!(seconds("1.5h"), Ok(5_400));
        assert_eq!(seconds("2w"), Ok(14 * 86_400));
        for bad in ["", "d", "90", "-1d", "0s", "1e30d", "NaNs", "3y"] {
            assert!(super::a_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn peak_memory_is_told() {
        assert!(super::peak_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
