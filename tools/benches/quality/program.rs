//! Runs of the program, and what they measure.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kithdb::{Db, Id, IdKind};
use kithdb_tools::input::{Format, IdKinds, Reader, ReaderOptions, Row, Source};
use serde_json::Value;

use crate::sets::{Files, Variant};

/// The cut-off of all measures.
const K: usize = 20;

/// The program, as it is run.
pub struct Program {
    /// How long a training may take.
    pub limit: Duration,
}

/// What one training of a model came to.
#[derive(Default)]
pub struct Measured {
    /// Recall, NDCG and MAP with 1-bit queries.
    pub codes: [f64; 3],
    /// With as many bits as are stored.
    stored: [f64; 3],
    /// Of the float teacher.
    pub teacher: [f64; 3],
    bits: u64,
    /// Of the teacher and the student.
    pub epochs: [usize; 2],
    /// From the file to codes.
    pub seconds: f64,
    /// Seconds of all processors together.
    pub processor: f64,
    pub memory: f64,
    /// Of the set, those held out included.
    pub interactions: u64,
}

impl Measured {
    /// The columns after the set's and the model's name.
    pub const HEADER: [&str; 14] = [
        "set",
        "model",
        "recall@20, 1-bit",
        "4-bit",
        "float teacher",
        "NDCG@20, 1-bit",
        "4-bit",
        "float teacher",
        "1-bit of teacher",
        "bits",
        "epochs",
        "load + train, s",
        "processor, s",
        "memory, MB",
    ];

    /// The cells of one measurement of popularity.
    pub fn cells(&self) -> Vec<String> {
        let [recall, ndcg, _] = self.codes.map(|figure| format!("{figure:.4}"));
        let mut cells = vec![String::new(); Self::HEADER.len() - 2];
        (cells[0], cells[3]) = (recall, ndcg);
        cells
    }

    /// The cells of a model one of whose trainings gave no codes, after these.
    pub fn failed(error: &anyhow::Error, runs: &[Measured]) -> Vec<String> {
        if !runs.is_empty() {
            let mut cells = Self::summary(runs);
            cells[0] += &format!(" ({} trained, then {error})", runs.len());
            return cells;
        }
        let mut cells = vec![String::new(); Self::HEADER.len() - 2];
        cells[0] = error.to_string();
        cells
    }

    /// The mean of a figure and half its range.
    pub fn quality(runs: &[Measured], figure: &dyn Fn(&Measured) -> f64) -> String {
        let (least, most) = runs.iter().map(figure).fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
        let spread = if runs.len() > 1 { format!(" ± {:.4}", (most - least) / 2.0) } else { String::new() };
        format!("{:.4}{spread}", runs.iter().map(figure).sum::<f64>() / runs.len() as f64)
    }

    /// Means over seeds and, of what is measured on the test, half the range.
    pub fn summary(runs: &[Measured]) -> Vec<String> {
        let mean = |figure: &dyn Fn(&Measured) -> f64| runs.iter().map(figure).sum::<f64>() / runs.len() as f64;
        let quality = |figure: &dyn Fn(&Measured) -> f64| Self::quality(runs, figure);
        let epochs = |of: usize| {
            let (least, most) =
                (runs.iter().map(|run| run.epochs[of]).min(), runs.iter().map(|run| run.epochs[of]).max());
            match (least.unwrap_or(0), most.unwrap_or(0)) {
                (0, 0) => "-".to_owned(),
                (least, most) if least == most => most.to_string(),
                (least, most) => format!("{least}-{most}"),
            }
        };
        vec![
            quality(&|run| run.codes[0]),
            quality(&|run| run.stored[0]),
            quality(&|run| run.teacher[0]),
            quality(&|run| run.codes[1]),
            quality(&|run| run.stored[1]),
            quality(&|run| run.teacher[1]),
            format!("{:.1} %", 100.0 * mean(&|run| run.codes[0] / run.teacher[0])),
            format!("{:.0}", mean(&|run| run.bits as f64)),
            format!("{} + {}", epochs(0), epochs(1)),
            format!("{:.1}", mean(&|run| run.seconds)),
            format!("{:.1}", mean(&|run| run.processor)),
            format!("{:.0}", mean(&|run| run.memory)),
        ]
    }
}

impl Program {
    /// Runs a subcommand until it ends or the limit is over; the JSON object it prints.
    fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> anyhow::Result<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kithdb"));
        command.args(args).arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > self.limit {
                child.kill()?;
                child.wait()?;
                bail!("given up after {} minutes", self.limit.as_secs() / 60);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // What it prints is short enough for a pipe to hold.
        let (mut out, mut errors) = (String::new(), String::new());
        child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out)).transpose()?;
        child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut errors)).transpose()?;
        if !status.success() {
            bail!("{}", errors.lines().next().unwrap_or("failed without a word"));
        }
        serde_json::from_str(&out).with_context(|| out.clone())
    }

    fn load(&self, db: &Path, files: &Files) -> anyhow::Result<()> {
        let flags = ["--format", files.format, "--id-type", "u64"].map(OsStr::new);
        self.run([&[OsStr::new("load"), db.as_os_str(), files.train.as_os_str()], &flags[..]].concat()).map(drop)
    }

    /// Trains a model with a seed and measures it.
    pub fn measure(&self, files: &Files, variant: &Variant<'_>, seed: u64) -> anyhow::Result<Measured> {
        self.measure_at(files, variant, seed, K)
    }

    /// The same, with measures cut off at `k`.
    pub fn measure_at(&self, files: &Files, variant: &Variant<'_>, seed: u64, k: usize) -> anyhow::Result<Measured> {
        let directory = tempfile::tempdir()?;
        let db = directory.path().join("db.kith");
        let (start, before) = (Instant::now(), processor_seconds());
        self.load(&db, files)?;
        let seed = seed.to_string();
        let flags = variant.words().chain(["--seed", &seed]).map(OsStr::new);
        let trained = self.run([OsStr::new("train"), db.as_os_str()].into_iter().chain(flags))?;
        let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - before);
        let eval = |flags: &[&str]| -> anyhow::Result<[f64; 3]> {
            let args = [OsStr::new("eval"), db.as_os_str(), OsStr::new("--test"), files.test.as_os_str()];
            let k = k.to_string();
            let flags = ["--format", files.format, "-k", &k].into_iter().chain(flags.iter().copied()).map(OsStr::new);
            let measures = self.run(args.into_iter().chain(flags))?;
            let measure = |name: &str| measures[format!("{name}@{k}")].as_f64().with_context(|| format!("no {name}"));
            Ok([measure("recall")?, measure("ndcg")?, measure("map")?])
        };
        let training = &trained["training"];
        let count = |name: &str| training[name].as_array().map_or(0, Vec::len);
        Ok(Measured {
            codes: eval(&["--query-bits", "1"])?,
            stored: eval(&[])?,
            teacher: eval(&["--full-precision"])?,
            bits: training["widths"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum(),
            epochs: [count("teacher_epochs"), count("epochs")],
            seconds,
            processor,
            interactions: ["trained_edges", "held_out_edges"].iter().filter_map(|&part| training[part].as_u64()).sum(),
            memory: trained["peak_memory_bytes"].as_f64().unwrap_or(f64::NAN) / 1e6,
        })
    }

    /// Measures plain popularity, which needs no training.
    pub fn popularity(&self, files: &Files) -> anyhow::Result<Measured> {
        let directory = tempfile::tempdir()?;
        let db = directory.path().join("db.kith");
        self.load(&db, files)?;
        let mut truth: Vec<(Id, Vec<Id>)> = Vec::new();
        let ids = IdKinds { user: IdKind::U64, item: IdKind::U64 };
        let options = ReaderOptions { format: Some(Format::Lightgcn), ..ReaderOptions::of(ids) };
        for row in Reader::open(&Source::from(files.test.clone()), &options)? {
            let Row::Interaction(row) = row? else { continue };
            match truth.last_mut() {
                Some((user, items)) if *user == row.user => items.push(row.item),
                _ => truth.push((row.user, vec![row.item])),
            }
        }
        let measures = Db::open(&db)?.evaluate_popularity(&truth, &[K])?;
        let cut = measures.at(K).context("no such cut-off")?;
        Ok(Measured { codes: [cut.recall, cut.ndcg, cut.map], ..Measured::default() })
    }

    /// Splits a tenth off every user's training data.
    pub fn hold_out(&self, files: &Files, folder: &Path) -> anyhow::Result<Files> {
        self.split(&files.train, &["--format", files.format, "--test-share", "0.1"], folder)
    }

    /// Splits a file as the flags say, into a folder.
    pub fn split(&self, file: &Path, flags: &[&str], folder: &Path) -> anyhow::Result<Files> {
        let args = [OsStr::new("split"), file.as_os_str(), OsStr::new("--out"), folder.as_os_str()];
        self.run(args.into_iter().chain(flags.iter().map(OsStr::new)))?;
        // By `--to`, where it is among the flags.
        let (format, extension) = if folder.join("train.csv").is_file() { ("csv", "csv") } else { ("lightgcn", "txt") };
        let part = |name: &str| folder.join(name).with_extension(extension);
        Ok(Files { train: part("train"), test: part("test"), format })
    }
}

/// Seconds of processor time of all processes that this one has waited for; 0 where the system keeps no `/proc`.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which ends in the last bracket, come the fields from the third on; ticks are hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(13).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
