//! What is trained on what, and what others have published for it.

use std::path::{Path, PathBuf};

/// A data set's name in the tables, and the folders it may be in.
pub const SETS: [(&str, &[&str]); 4] = [
    ("ml-100k", &["ml-100k"]),
    ("ml-1m", &["ml-1m-bigear", "ml-1m"]),
    ("gowalla", &["gowalla"]),
    ("douban-music", &["douban-music"]),
];

/// A model as trained: `kithdb train` with these flags, or plain popularity.
pub struct Variant<'a> {
    pub model: &'a str,
    /// In the table.
    pub name: &'a str,
    /// Each of one word or more.
    pub flags: Option<&'a [&'a str]>,
}

impl<'a> Variant<'a> {
    /// Its flags, word by word.
    pub fn words(&self) -> impl Iterator<Item = &'a str> {
        self.flags.into_iter().flatten().flat_map(|flags| flags.split_whitespace())
    }
}

const fn model(name: &'static str, flags: &'static [&'static str]) -> Variant<'static> {
    Variant { model: name, name, flags: Some(flags) }
}

/// The rows of the table, in order.
pub const MODELS: &[Variant<'static>] = &[
    Variant { model: "popularity", name: "popularity", flags: None },
    model("ials", &["--model", "ials"]),
    model("mf", &["--model", "mf"]),
    model("lightgcn", &["--model", "lightgcn"]),
    model("ngcf", &["--model", "ngcf"]),
    model("pinsage", &["--model", "pinsage"]),
    model("spectralcf", &["--model", "spectralcf"]),
    model("gcn-cf", &["--model", "gcn-cf"]),
    model("onebp", &["--model", "onebp"]),
    model("mixgcf", &["--model", "mixgcf"]),
    model("sgcn", &["--model", "sgcn"]),
    model("l2q-gcn", &["--model", "l2q-gcn"]),
    model("l2q-gcn_anl", &["--model", "l2q-gcn_anl"]),
    model("dgcn-bincf", &["--model", "dgcn-bincf"]),
    model("bigear", &["--model", "bigear"]),
    model("bigear++", &["--model", "bigear++"]),
    model("fast", &["--preset", "fast"]),
    model("balanced", &["--preset", "balanced"]),
    model("best", &["--preset", "best"]),
    Variant {
        model: "parts",
        name: "balanced, ALS alone",
        flags: Some(&["--set", "teacher.neighbours=off", "--set", "teacher.user_neighbours=off"]),
    },
    Variant {
        model: "parts",
        name: "balanced, ALS and items' neighbours",
        flags: Some(&["--set", "teacher.user_neighbours=off"]),
    },
    Variant {
        model: "parts",
        name: "balanced, ALS and users' neighbours",
        flags: Some(&["--set", "teacher.neighbours=off"]),
    },
    Variant {
        model: "parts",
        name: "balanced, neighbours of both and one factor",
        flags: Some(&["--set", "teacher.factors=1"]),
    },
];

const fn recipe(name: &'static str, flags: &'static [&'static str]) -> Variant<'static> {
    Variant { model: "recipe", name, flags: Some(flags) }
}

const fn bigear(name: &'static str, flags: &'static [&'static str]) -> Variant<'static> {
    Variant { model: "bigear", name, flags: Some(flags) }
}

/// All epochs are run, and the tables that found most of the hold-out on the way are kept. On small sets recall rises in leaps, and five validations
/// without a gain are no end.
pub const ALL_EPOCHS: &str = "--set teacher.patience=25";
/// Where no student is part of what is claimed: what is compared are the teachers, by floats and by their signs.
pub const SIGNS: &str = "--student signs";
/// Pairs with one uniform negative each, which is BPR.
pub const UNIFORM: &str = "--loss k-bpr --set teacher.negatives=1";
/// By their defaults masks cut no edge: these do.
pub const CUTS: &str =
    "--model sgcn --set teacher.mask_gradient=pathwise --set teacher.mask_start=1 --set teacher.mask_sparsity=1e-4";

/// A part of one of the other systems.
macro_rules! part {
    ($model:literal, $name:literal, $($flags:expr),*) => {
        Variant { model: $model, name: $name, flags: Some(&[$($flags,)* ALL_EPOCHS]) }
    };
}

/// The rows of the table of ablations, in order.
pub const ABLATIONS: &[Variant<'static>] = &[
    recipe("recipe", &[]),
    recipe("without neighbours", &["--set", "teacher.neighbours=off"]),
    recipe("signs of iALS, no student", &["--student", "signs"]),
    recipe("codes fitted once", &["--set", "student.sweeps=1"]),
    recipe("codes fitted four times", &["--set", "student.sweeps=4"]),
    recipe("all pairs weighed alike", &["--set", "student.emphasis=0"]),
    recipe("lists twice as heavy", &["--set", "student.emphasis=0.8"]),
    recipe("lists of 50", &["--set", "student.list=50"]),
    recipe("layers of 512 + 128 + 128", &["--layers", "2"]),
    recipe("256 bits", &["--bits", "256"]),
    bigear("bigear++", &["--model", "bigear++"]),
    bigear("bigear", &["--model", "bigear"]),
    bigear(
        "bigear++, signs of its teacher",
        &[
            "--model",
            "bigear++",
            "--student",
            "signs",
            "--set",
            "teacher.pooling=weighted",
            "--set",
            "codes.rotation=none",
        ],
    ),
    bigear("bigear++ without synthesis", &["--model", "bigear++", "--set", "student.synthesis=off"]),
    bigear("bigear++ without synthesis in its teacher", &["--model", "bigear++", "--sampler", "uniform"]),
    bigear("bigear++ without the first term of L_ID", &["--model", "bigear++", "--set", "student.best=off"]),
    bigear("bigear++ without the second term of L_ID", &["--model", "bigear++", "--set", "student.pseudo=off"]),
    bigear("bigear++ without L_ID", &["--model", "bigear++", "--set", "student.distillation=none"]),
    bigear("bigear++, KL in place of L_ID", &["--model", "bigear++", "--set", "student.distillation=kl"]),
    bigear("bigear++, MSE in place of L_ID", &["--model", "bigear++", "--set", "student.distillation=mse"]),
    bigear("bigear++, tanh gradient", &["--model", "bigear++", "--set", "student.gradient=tanh"]),
    bigear("bigear++, sigmoid gradient", &["--model", "bigear++", "--set", "student.gradient=sigmoid"]),
    bigear("bigear++, clipped gradient", &["--model", "bigear++", "--set", "student.gradient=clipped"]),
    bigear("bigear++, a gradient as wide as g = 1", &["--model", "bigear++", "--set", "student.sharpness=1"]),
    bigear("bigear++, layers weighed alike", &["--model", "bigear++", "--set", "student.weights=equal"]),
    bigear("bigear++, falling weights of layers", &["--model", "bigear++", "--set", "student.weights=falling"]),
    bigear("bigear++, half of the second list random", &["--model", "bigear++", "--set", "student.noise=0.5"]),
    bigear("bigear++, one final sign", &["--model", "bigear++", "--set", "student.layerwise=off"]),
    part!("mixgcf", "LightGCN by uniform negatives", "--model lightgcn", UNIFORM, SIGNS),
    part!("mixgcf", "mixgcf", "--model mixgcf", SIGNS),
    part!("mixgcf", "mixgcf without positive mixing", "--model mixgcf --set teacher.mixing=off", SIGNS),
    part!("mixgcf", "mixgcf without hop mixing", "--model mixgcf --set teacher.hop_mixing=off", SIGNS),
    part!("mixgcf", "mixgcf of one hop", "--model mixgcf --layers 1", SIGNS),
    part!("mixgcf", "mixgcf of two hops", "--model mixgcf --layers 2", SIGNS),
    part!("mixgcf", "mixgcf, four negatives", "--model mixgcf --set teacher.negatives=4", SIGNS),
    part!("mixgcf", "NGCF by uniform negatives", "--model ngcf", UNIFORM, SIGNS),
    part!("mixgcf", "mixgcf on NGCF", "--model mixgcf --teacher ngcf", SIGNS),
    part!("mixgcf", "PinSage by uniform negatives", "--model pinsage", UNIFORM, SIGNS),
    part!("mixgcf", "mixgcf on PinSage", "--model mixgcf --teacher pinsage", SIGNS),
    part!("sgcn", "LightGCN by BPR", "--model lightgcn --loss bpr", SIGNS),
    part!("sgcn", "sgcn", "--model sgcn", SIGNS),
    part!("sgcn", "sgcn by derivative", "--model sgcn --set teacher.mask_gradient=pathwise", SIGNS),
    part!("sgcn", "sgcn without sparsity", "--model sgcn --set teacher.mask_sparsity=0", SIGNS),
    part!("sgcn", "sgcn without nuclear norm", "--model sgcn --set teacher.mask_nuclear=0", SIGNS),
    part!("sgcn", "sgcn that cuts", CUTS, SIGNS),
    part!("l2q-gcn", "l2q-gcn in full precision", "--model l2q-gcn --set teacher.quantised=off", SIGNS),
    part!("l2q-gcn", "l2q-gcn", "--model l2q-gcn"),
    part!("l2q-gcn", "l2q-gcn_anl", "--model l2q-gcn_anl"),
    part!("l2q-gcn", "l2q-gcn_anl without scalers", "--model l2q-gcn_anl --set teacher.scaled=off"),
    part!(
        "l2q-gcn",
        "l2q-gcn_anl without annealing",
        "--model l2q-gcn_anl --set teacher.annealing=off --set teacher.rate=0.1"
    ),
    part!(
        "l2q-gcn",
        "l2q-gcn_anl without annealing, a rate of 0.03",
        "--model l2q-gcn_anl --set teacher.annealing=off"
    ),
    part!("l2q-gcn", "l2q-gcn_anl, values propagated", "--model l2q-gcn_anl --set teacher.inside=off"),
    part!("dgcn-bincf", "dgcn-bincf", "--model dgcn-bincf"),
    part!("dgcn-bincf", "dgcn-bincf, alpha 10", "--model dgcn-bincf --set student.rank_weight=10"),
    part!("dgcn-bincf", "dgcn-bincf, alpha 0", "--model dgcn-bincf --set student.rank_weight=0"),
    part!("dgcn-bincf", "dgcn-bincf, order of positives", "--model dgcn-bincf --set student.rank_lists=positives"),
    part!("dgcn-bincf", "dgcn-bincf, order of negatives", "--model dgcn-bincf --set student.rank_lists=negatives"),
    part!("dgcn-bincf", "dgcn-bincf without noise", "--model dgcn-bincf --set student.noise_weight=0"),
    part!("dgcn-bincf", "dgcn-bincf without box", "--model dgcn-bincf --set student.box_weight=0"),
    part!("dgcn-bincf", "dgcn-bincf without crosses", "--model dgcn-bincf --set teacher.crosses=off"),
    part!("dgcn-bincf", "dgcn-bincf, inputs as they are", "--model dgcn-bincf --set teacher.normalise=off"),
    part!(
        "dgcn-bincf",
        "dgcn-bincf, all layers penalised, 0.01",
        "--model dgcn-bincf --set teacher.l2_of=layers --set teacher.l2=0.01"
    ),
    part!("dgcn-bincf", "dgcn-bincf from vectors as they are", "--model dgcn-bincf --set student.centre=off"),
];

/// A figure others give for the same files.
pub struct Published {
    pub set: &'static str,
    name: &'static str,
    recall: &'static str,
    /// The standard measure; other definitions are left out.
    ndcg: &'static str,
    /// Of full precision, not of binary codes.
    full: bool,
}

const fn full(set: &'static str, name: &'static str, recall: &'static str, ndcg: &'static str) -> Published {
    Published { set, name, recall, ndcg, full: true }
}

pub const PUBLISHED: &[Published] = &[
    Published { set: "ml-1m", name: "BiGeaR (as in arXiv 2506.02750)", recall: "0.2557", ndcg: "", full: false },
    full("gowalla", "LightGCN (arXiv 2002.02126)", "0.1830", "0.1554"),
    full("gowalla", "UltraGCN (arXiv 2110.15114)", "0.1862", "0.1580"),
    full("gowalla", "LightGCN + BSL (ICDE 2024)", "0.1892", "0.1590"),
    full("gowalla", "BSPM (arXiv 2211.09708)", "0.1920", "0.1597"),
    full("gowalla", "ChebyCF (SIGIR 2025)", "0.1941", "0.1616"),
];

impl Published {
    /// Its name and recall.
    pub fn line(&self) -> (&'static str, f64) {
        (self.name, self.recall.parse().unwrap_or(f64::NAN))
    }

    /// As a row of the table.
    pub fn row(&self) -> Vec<String> {
        let (codes, teacher) =
            if self.full { (["", ""], [self.recall, self.ndcg]) } else { ([self.recall, self.ndcg], ["", ""]) };
        let cells = [self.set, self.name, codes[0], "", teacher[0], codes[1], "", teacher[1], "", "", "", "", "", ""];
        cells.map(str::to_owned).to_vec()
    }
}

/// The files of a data set.
pub struct Files {
    pub train: PathBuf,
    pub test: PathBuf,
    /// What both are written in.
    pub format: &'static str,
}

impl Files {
    /// Those in one of these folders of `data`.
    pub fn find(data: &Path, folders: &[&str]) -> Option<Files> {
        let file = |folder: &str, name: &str| {
            let at = |end: &str| data.join(folder).join(format!("{name}.txt{end}"));
            ["", ".zst", ".gz"].map(at).into_iter().find(|path| path.is_file())
        };
        folders.iter().find_map(|folder| {
            Some(Files { train: file(folder, "train")?, test: file(folder, "test")?, format: "lightgcn" })
        })
    }
}
