//! What half-lives of interactions gain where training and test lie apart in time.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::program::{Measured, Program};
use crate::sets::{Files, Variant};

/// Half-lives to choose from, in days; MovieLens 100k spans 215.
const DAYS: [&str; 5] = ["180d", "90d", "45d", "20d", "10d"];
/// What is trained.
const FLAGS: [&str; 2] = ["--preset", "balanced"];
/// The two ways to split by time: what happened last of all users alike, and of every user.
const SPLITS: [(&str, &[&str]); 2] =
    [("last fifth of all", &["--last", "0.2"]), ("last fifth of each user", &["--by-time"])];

/// The columns of the table; the first two name a row.
pub const HEADER: [&str; 6] = [
    "ml-100k, held out",
    "half-life",
    "validation, recall@20, 1-bit",
    "float teacher",
    "test, recall@20, 1-bit",
    "float teacher",
];

/// The rows of the table. Half-lives are measured on the last fifth of what is trained on; the test is read for the one that comes out best there, and
/// for none. Means over `seeds`.
pub fn rows(program: &Program, data: &Path, seeds: u64) -> anyhow::Result<Vec<Vec<String>>> {
    let log = ["u.data", "u.data.zst", "u.data.gz"].map(|name| data.join("ml-100k").join(name));
    let log = log.into_iter().find(|path| path.is_file()).context("no ml-100k/u.data in the folder of data sets")?;
    let mut rows = Vec::new();
    for (name, flags) in SPLITS {
        let scratch = tempfile::tempdir()?;
        let folder = |name: &str| -> anyhow::Result<PathBuf> {
            let path = scratch.path().join(name);
            std::fs::create_dir(&path)?;
            Ok(path)
        };
        let columns = ["--format", "tsv", "--user", "1", "--item", "2", "--time", "4", "--to", "csv"];
        let whole = program.split(&log, &[&columns[..], flags].concat(), &folder("whole")?)?;
        let inner = program.split(&whole.train, &[&["--to", "csv"], flags].concat(), &folder("inner")?)?;
        let measure = |files: &Files, half_life: Option<&'static str>| -> anyhow::Result<[f64; 2]> {
            let decay = half_life.map_or(Vec::new(), |days| vec!["--half-life", days]);
            let flags = [&FLAGS[..], &decay].concat();
            let variant = Variant { model: "balanced", name: "balanced", flags: Some(&flags) };
            print!("{name}, half-life {}: ", half_life.unwrap_or("none"));
            std::io::stdout().flush()?;
            let runs =
                (1..=seeds).map(|seed| program.measure(files, &variant, seed)).collect::<anyhow::Result<Vec<_>>>()?;
            let mean = |figure: fn(&Measured) -> f64| runs.iter().map(figure).sum::<f64>() / runs.len() as f64;
            let recalls = [mean(|run| run.codes[0]), mean(|run| run.teacher[0])];
            println!("{:.4} {:.4}", recalls[0], recalls[1]);
            Ok(recalls)
        };
        let choices: Vec<Option<&'static str>> = std::iter::once(None).chain(DAYS.map(Some)).collect();
        let found = choices.iter().map(|&choice| measure(&inner, choice)).collect::<anyhow::Result<Vec<_>>>()?;
        let best = (0..found.len()).fold(0, |best, at| if found[at][0] > found[best][0] { at } else { best });
        for (at, (choice, recalls)) in choices.iter().zip(&found).enumerate() {
            let tested = if at == 0 || at == best { Some(measure(&whole, *choice)?) } else { None };
            let cells = recalls.iter().map(|recall| format!("{recall:.4}"));
            let tested = [0, 1].map(|at| tested.map_or(String::new(), |tested| format!("{:.4}", tested[at])));
            let names = [name.to_owned(), choice.unwrap_or("none").to_owned()];
            rows.push(names.into_iter().chain(cells).chain(tested).collect());
        }
    }
    Ok(rows)
}
