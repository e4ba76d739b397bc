//! Re-makes the tables of recommendation quality in `benches/RESULTS.md`:
//!
//! ```text
//! cargo bench --bench quality -- --data FOLDER [--sets ml-1m,gowalla] [--models fast,balanced] [--seeds 3] [--minutes 30] [--ablations | --systems | --expand 4 [--kept 0.75] | --costs | --decay]
//! ```
//!
//! Every figure is of a process of its own: `kithdb load`, `kithdb train`, `kithdb eval` on what was not loaded. A part of the table is made
//! where only some sets or models are named, and merged with the rows there are.

#![allow(missing_docs)]

mod costs;
mod decay;
mod expand;
mod plot;
mod program;
mod sets;
mod systems;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use expand::Expansion;
use program::{Measured, Program};
use sets::{ABLATIONS, Files, MODELS, PUBLISHED, SETS, Variant};
use systems::{RATINGS, STUDIES, Study};
use table::Table;

/// The file with the tables.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/RESULTS.md");

/// Train and measure every model on every data set, and put the tables into the results
#[derive(Parser)]
struct Arguments {
    /// A folder of data sets, each a folder with train.txt and test.txt, plain or .zst; without it nothing is done
    #[arg(long)]
    data: Option<PathBuf>,
    /// Data sets [default: all]
    #[arg(long, value_delimiter = ',', value_parser = SETS.map(|set| set.0).into_iter().chain([RATINGS]).collect::<Vec<_>>())]
    sets: Vec<String>,
    /// Models, or of ablations the models varied [default: all]
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Trainings of every model, with seeds from 1
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Minutes after which a training is given up
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=30))]
    minutes: u64,
    /// Vary single parts of the models instead, and measure on a tenth held out of every user's training data
    #[arg(long)]
    ablations: bool,
    /// Measure what the papers claim of their systems instead, each by its own protocol; of `--models` the rows so named
    #[arg(long, conflicts_with = "ablations")]
    systems: bool,
    /// Make sets of so many copies of every user and item first, and measure on interactions held out of them
    #[arg(long, conflicts_with = "ablations", value_parser = clap::value_parser!(u64).range(2..=64))]
    expand: Option<u64>,
    /// The share of the copies' interactions that such sets have
    #[arg(long, default_value_t = Expansion::KEPT)]
    kept: f64,
    /// Measure what an interaction costs in sets of one, two and four copies of every user and item instead
    #[arg(long, conflicts_with_all = ["ablations", "expand"])]
    costs: bool,
    /// Measure half-lives of interactions on MovieLens 100k split by time instead
    #[arg(long, conflicts_with_all = ["ablations", "expand", "costs", "sets", "models"])]
    decay: bool,
    /// The file whose tables are replaced
    #[arg(long, default_value = RESULTS)]
    results: PathBuf,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Some(data) = &arguments.data else {
        println!("quality: nothing to do; name a folder of data sets with --data");
        return Ok(());
    };
    let wanted = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let program = Program { limit: Duration::from_secs(60 * arguments.minutes) };
    if arguments.systems {
        for study in STUDIES.iter().filter(|study| wanted(&arguments.sets, study.set)) {
            study.run(
                &program,
                data,
                arguments.seeds,
                |name| wanted(&arguments.models, name),
                |row| {
                    let mut table = Table::read(&arguments.results, "systems", &systems::HEADER)?;
                    table.put(row);
                    table.sort_by_key(Study::rank);
                    table.write(&arguments.results)
                },
            )?;
        }
        return Ok(());
    }
    let variants = || if arguments.ablations { ABLATIONS } else { MODELS }.iter();
    if let Some(unknown) = arguments.models.iter().find(|&name| !variants().any(|variant| variant.model == name)) {
        let mut known: Vec<&str> = variants().map(|variant| variant.model).collect();
        known.dedup();
        anyhow::bail!("no model {unknown}: choose of {}", known.join(", "));
    }
    if arguments.decay {
        let rows = decay::rows(&program, data, arguments.seeds)?;
        let mut table = Table::read(&arguments.results, "decay", &decay::HEADER)?;
        rows.into_iter().for_each(|row| table.put(row));
        return table.write(&arguments.results);
    }
    for (set, folders) in SETS.iter().filter(|(set, _)| wanted(&arguments.sets, set)) {
        let Some(files) = Files::find(data, folders) else {
            println!("{set}: skipped, {} has no folder {} of it", data.display(), folders.join(" or "));
            continue;
        };
        let scratch = tempfile::tempdir()?;
        if arguments.costs {
            for variant in variants().filter(|variant| wanted(&arguments.models, variant.model)) {
                let rows = costs::rows(&program, set, &files, variant)?;
                let mut table = Table::read(&arguments.results, "costs", &costs::HEADER)?;
                rows.into_iter().for_each(|row| table.put(row));
                table.write(&arguments.results)?;
            }
            continue;
        }
        let expansion = arguments.expand.map(|copies| Expansion { copies, kept: arguments.kept });
        let (set, files) = match expansion {
            Some(expansion) => (expansion.name(set), expand::expand(&files, expansion, scratch.path())?),
            None if arguments.ablations => ((*set).to_owned(), program.hold_out(&files, scratch.path())?),
            None => ((*set).to_owned(), files),
        };
        for variant in variants().filter(|variant| wanted(&arguments.models, variant.model)) {
            if let Some(cells) = measure(&program, &files, variant, arguments.seeds)? {
                put(&arguments, &set, variant, cells).with_context(|| arguments.results.display().to_string())?;
            }
        }
    }
    Ok(())
}

/// The cells of a row; `None` where the program has no such model.
fn measure(program: &Program, files: &Files, variant: &Variant<'_>, seeds: u64) -> anyhow::Result<Option<Vec<String>>> {
    if variant.flags.is_none() {
        return Ok(Some(program.popularity(files)?.cells()));
    }
    let mut runs = Vec::new();
    for seed in 1..=seeds {
        print!("{} {}, seed {seed}: ", files.train.display(), variant.name);
        std::io::stdout().flush()?;
        match program.measure(files, variant, seed) {
            Ok(measured) => {
                println!("{:.4} in {:.1} s", measured.codes[0], measured.seconds);
                runs.push(measured);
            }
            Err(error) => {
                println!("{error:#}");
                // Of seeds that take as long, the others would not end either.
                let unknown = error.to_string().contains("invalid value");
                return Ok((!unknown).then(|| Measured::failed(&error, &runs)));
            }
        }
    }
    Ok(Some(Measured::summary(&runs)))
}

/// Puts a row into its table.
fn put(arguments: &Arguments, set: &str, variant: &Variant<'_>, cells: Vec<String>) -> anyhow::Result<()> {
    let known = if arguments.ablations { ABLATIONS } else { MODELS };
    let rank = |row: &[String]| {
        let set = SETS.iter().position(|set| set.0 == row[0]);
        let name = known.iter().position(|variant| variant.name == row[1]);
        (set.unwrap_or(usize::MAX), name.unwrap_or(usize::MAX))
    };
    let marker = if arguments.ablations { "ablations" } else { "quality" };
    let mut table = Table::read(&arguments.results, marker, &Measured::HEADER)?;
    table.put([vec![set.to_owned(), variant.name.to_owned()], cells].concat());
    if !arguments.ablations {
        for published in PUBLISHED.iter().filter(|published| published.set == set) {
            table.put(published.row());
        }
    }
    table.sort_by_key(rank);
    if !arguments.ablations {
        plot::write(&arguments.results.with_file_name("quality.svg"), table.rows())?;
    }
    table.write(&arguments.results)
}
