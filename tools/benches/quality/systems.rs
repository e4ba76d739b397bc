//! The claims of the papers whose systems are there to be tried, each by its own protocol.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::expand;
use crate::program::{Measured, Program};
use crate::sets::{ALL_EPOCHS, CUTS, Files, SETS, SIGNS, UNIFORM, Variant};

/// What is claimed, on which data, by which measures, and what is trained to see.
pub struct Study {
    pub name: &'static str,
    pub set: &'static str,
    split: Split,
    /// The cut-off of all measures.
    k: usize,
    /// Of all its models, beside their own.
    flags: &'static [&'static str],
    variants: &'static [Variant<'static>],
}

/// How the data are split.
#[derive(Clone, Copy)]
enum Split {
    /// As they come.
    Given,
    /// At random, so many times over, by these flags of `kithdb split`.
    Random(u64, &'static [&'static str]),
    /// As they come, with a share of random edges more in what is learned from.
    Noise(f64),
}

const fn study(
    name: &'static str,
    set: &'static str,
    split: Split,
    k: usize,
    variants: &'static [Variant<'static>],
) -> Study {
    Study { name, set, split, k, flags: &[], variants }
}

impl Study {
    const fn with(self, flags: &'static [&'static str]) -> Study {
        Study { flags, ..self }
    }
}

const fn of(name: &'static str, flags: &'static [&'static str]) -> Variant<'static> {
    Variant { model: name, name, flags: Some(flags) }
}

const ONEBP: &[Variant<'static>] = &[
    of("MF by BPR", &["--model", "mf", "--loss", "bpr"]),
    of("MF by softmax", &["--model", "mf"]),
    of("OneBP", &["--model", "onebp"]),
    of("OneBP flipped", &["--model", "onebp", "--set", "teacher.flipped=on"]),
    of("LightGCN by BPR", &["--model", "lightgcn", "--loss", "bpr"]),
    of("LightGCN from OneBP", &["--model", "lightgcn", "--loss", "bpr", "--set", "teacher.start=onebp"]),
    of("NGCF", &["--model", "ngcf"]),
    of("NGCF from OneBP", &["--model", "ngcf", "--set", "teacher.start=onebp"]),
];

/// Both sides by K-pair BPR with one negative, which is BPR, and the same penalty; an epoch of LightGCN's takes some two thirds of the time without
/// mixing, and it has twice as many, so that it is not behind for want of time.
const MIXGCF: &[Variant<'static>] = &[
    of("LightGCN by uniform negatives", &["--model lightgcn --set teacher.epochs=80", UNIFORM]),
    of("MixGCF on LightGCN", &["--model", "mixgcf"]),
    of("MixGCF without positive mixing", &["--model", "mixgcf", "--set", "teacher.mixing=off"]),
    of("NGCF by uniform negatives", &["--model ngcf", UNIFORM]),
    of("MixGCF on NGCF", &["--model", "mixgcf", "--teacher", "ngcf"]),
];

/// SpectralCF of the same convolutions as GCN-CF's, and as many epochs, columns, and layers of codes.
const BINCF: &[Variant<'static>] = &[
    of("SpectralCF", &["--model", "spectralcf", "--student", "signs", "--bits", "192", "--layers", "2"]),
    of("GCN-CF", &["--model", "gcn-cf", "--student", "signs", "--bits", "192", "--set", "teacher.epochs=120"]),
    of("DGCN-BinCF", &["--model", "dgcn-bincf"]),
    of("DGCN-BinCF with alpha = 0", &["--model", "dgcn-bincf", "--set", "student.rank_weight=0"]),
];

const SGCN: &[Variant<'static>] = &[
    of("LightGCN by BPR", &["--model", "lightgcn", "--loss", "bpr"]),
    of("SGCN on LightGCN", &["--model", "sgcn"]),
    of("SGCN on LightGCN by derivative", &["--model", "sgcn", "--set", "teacher.mask_gradient=pathwise"]),
    of("SGCN on LightGCN that cuts", &[CUTS]),
    of("NGCF", &["--model", "ngcf"]),
    of("SGCN on NGCF", &["--model", "sgcn", "--teacher", "ngcf"]),
    of(
        "SGCN on NGCF by derivative",
        &["--model", "sgcn", "--teacher", "ngcf", "--set", "teacher.mask_gradient=pathwise"],
    ),
];

const L2Q: &[Variant<'static>] = &[
    of("L2Q-GCN in full precision", &["--model", "l2q-gcn", "--set", "teacher.quantised=off"]),
    of("L2Q-GCN", &["--model", "l2q-gcn"]),
    of("L2Q-GCN_anl", &["--model", "l2q-gcn_anl"]),
];

/// Where an epoch takes seconds.
const SHORT: &[&str] = &["--set", "teacher.epochs=40"];
/// Five splits of 80 to 20.
const FIFTHS: Split =
    Split::Random(5, &["--format", "tsv", "--user", "1", "--item", "2", "--time", "4", "--test-share", "0.2"]);
/// Five splits of 50 to 50 of each user, where every user and item has 20 ratings.
const HALVES: Split = Split::Random(
    5,
    &["--format", "csv", "--delimiter", "blanks", "--user", "1", "--item", "2", "--core", "20", "--test-share", "0.5"],
);

/// The set with ratings, of which studies split their own; it has no split of its own.
pub const RATINGS: &str = "ml-1m-ratings";

/// All there are.
pub const STUDIES: &[Study] = &[
    study("onebp", "ml-100k", FIFTHS, 20, ONEBP),
    study("onebp", "ml-1m", Split::Given, 20, ONEBP),
    study("mixgcf", "gowalla", Split::Given, 20, MIXGCF).with(SHORT),
    study("dgcn-bincf", RATINGS, HALVES, 100, BINCF),
    study("sgcn", "ml-1m", Split::Given, 50, SGCN),
    study("sgcn", "ml-1m", Split::Noise(0.05), 50, SGCN),
    study("sgcn", "ml-1m", Split::Noise(0.1), 50, SGCN),
    study("sgcn", "ml-1m", Split::Noise(0.2), 50, SGCN),
    study("l2q-gcn", "ml-1m", Split::Given, 20, L2Q),
    study("l2q-gcn", "gowalla", Split::Given, 20, L2Q).with(SHORT),
];

/// The columns of the table; the first two name a row.
pub const HEADER: [&str; 10] = [
    "study",
    "model",
    "k",
    "recall, float",
    "NDCG, float",
    "recall, 1-bit codes",
    "NDCG, 1-bit codes",
    "MAP, 1-bit codes",
    "epochs",
    "load + train, processor s",
];

impl Study {
    /// What names it in the table.
    fn title(&self) -> String {
        match self.split {
            Split::Given => format!("{}, {}", self.name, self.set),
            Split::Random(splits, _) => format!("{}, {}, {splits} splits", self.name, self.set),
            Split::Noise(share) => format!("{}, {}, {:.0} % random edges more", self.name, self.set, 100.0 * share),
        }
    }

    /// The place of a row in the table.
    pub fn rank(row: &[String]) -> (usize, usize) {
        let at = STUDIES.iter().position(|study| study.title() == row[0]);
        let variant = |study: &Study| study.variants.iter().position(|variant| variant.name == row[1]);
        (at.unwrap_or(usize::MAX), at.and_then(|at| variant(&STUDIES[at])).unwrap_or(usize::MAX))
    }

    /// The rows of the table, each given to `put` as soon as it is there: means over splits, or where there is one over seeds. Only models whose name
    /// is `wanted`.
    pub fn run(
        &self,
        program: &Program,
        data: &Path,
        seeds: u64,
        wanted: impl Fn(&str) -> bool,
        mut put: impl FnMut(Vec<String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let scratch = tempfile::tempdir()?;
        let Some(parts) = self.parts(program, data, scratch.path())? else {
            println!("{}: skipped, {} has no such set", self.title(), data.display());
            return Ok(());
        };
        for variant in self.variants.iter().filter(|variant| wanted(variant.name)) {
            let student = (self.name != "dgcn-bincf").then_some(SIGNS);
            let own = self.flags.iter().chain(variant.flags.into_iter().flatten());
            let flags: Vec<&str> = own.copied().chain([ALL_EPOCHS]).chain(student).collect();
            let trained = Variant { flags: Some(&flags), ..*variant };
            let mut runs = Vec::new();
            // Random splits differ by themselves.
            let seeds = if parts.len() > 1 { 1 } else { seeds };
            for (at, files) in parts.iter().enumerate() {
                for seed in 1..=seeds {
                    print!("{}, {}, {}: ", self.title(), variant.name, at as u64 + seed);
                    std::io::stdout().flush()?;
                    match program.measure_at(files, &trained, seed, self.k) {
                        Ok(measured) => {
                            println!("{:.4} {:.4}", measured.teacher[0], measured.codes[0]);
                            runs.push(measured);
                        }
                        Err(error) => println!("{error:#}"),
                    }
                }
            }
            if !runs.is_empty() {
                put(self.row(variant, &runs))?;
            }
        }
        Ok(())
    }

    fn row(&self, variant: &Variant<'_>, runs: &[Measured]) -> Vec<String> {
        let epochs = |run: &Measured| run.epochs[0] + run.epochs[1];
        let mean = |figure: &dyn Fn(&Measured) -> f64| runs.iter().map(figure).sum::<f64>() / runs.len() as f64;
        let mut row = vec![self.title(), variant.name.to_owned(), self.k.to_string()];
        let figures: [&dyn Fn(&Measured) -> f64; 5] =
            [&|run| run.teacher[0], &|run| run.teacher[1], &|run| run.codes[0], &|run| run.codes[1], &|run| {
                run.codes[2]
            }];
        row.extend(figures.map(|figure| Measured::quality(runs, figure)));
        row.push(format!("{:.0}", mean(&|run| epochs(run) as f64)));
        row.push(format!("{:.1}", mean(&|run| run.processor)));
        row
    }

    /// The files of every split; `None` where the set is not there.
    fn parts(&self, program: &Program, data: &Path, scratch: &Path) -> anyhow::Result<Option<Vec<Files>>> {
        let folders = SETS.iter().find(|(set, _)| *set == self.set).map_or(&[] as &[&str], |(_, folders)| folders);
        match self.split {
            Split::Given => Ok(Files::find(data, folders).map(|files| vec![files])),
            Split::Random(splits, flags) => {
                let names = ["u.data", "u.data.zst", "ratings.txt", "ratings.txt.zst"];
                let log = names.map(|name| data.join(self.set).join(name)).into_iter().find(|path| path.is_file());
                let Some(log) = log else { return Ok(None) };
                let parts = (1..=splits).map(|seed| {
                    let folder = scratch.join(seed.to_string());
                    let seed = seed.to_string();
                    program.split(&log, &[flags, &["--seed", &seed]].concat(), &folder)
                });
                parts.collect::<anyhow::Result<Vec<_>>>().map(Some)
            }
            Split::Noise(share) => {
                let Some(files) = Files::find(data, folders) else { return Ok(None) };
                let train = scratch.join("train.txt");
                add_noise(&files.train, share, &train).with_context(|| files.train.display().to_string())?;
                Ok(Some(vec![Files { train, ..files }]))
            }
        }
    }
}

/// Writes the interactions of a LightGCN file and a share more, of users and items drawn alike, that are not among them.
fn add_noise(from: &Path, share: f64, to: &Path) -> anyhow::Result<()> {
    let mut edges: BTreeSet<(u64, u64)> = BTreeSet::new();
    expand::each_interaction(from, |user, item| {
        edges.insert((user, item));
        Ok(())
    })?;
    let distinct = |side: fn(&(u64, u64)) -> u64| -> Vec<u64> {
        edges.iter().map(side).collect::<BTreeSet<u64>>().into_iter().collect()
    };
    let (users, items) = (distinct(|edge| edge.0), distinct(|edge| edge.1));
    let wanted = edges.len() + (edges.len() as f64 * share) as usize;
    let mut state = 1u64;
    let mut draw = |from: &[u64]| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from[((x ^ (x >> 31)) % from.len() as u64) as usize]
    };
    while edges.len() < wanted {
        edges.insert((draw(&users), draw(&items)));
    }
    let mut out = std::io::BufWriter::new(std::fs::File::create(to)?);
    let mut last = None;
    for (user, item) in edges {
        if last != Some(user) {
            if last.is_some() {
                writeln!(out)?;
            }
            write!(out, "{user}")?;
            last = Some(user);
        }
        write!(out, " {item}")?;
    }
    writeln!(out)?;
    Ok(out.flush()?)
}
