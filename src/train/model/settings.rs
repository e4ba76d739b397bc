//! Numbers and switches of models, by name: the table of all there are, and what a caller has set.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a setting may be set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// `on` or `off`.
    Switch,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Domain::Switch => f.write_str("on or off"),
            Domain::Count(least, most) => write!(f, "a whole number from {least} to {most}"),
            Domain::Number(least, most) => write!(f, "a number from {least} to {most}"),
            Domain::Choice(words) => f.write_str(&words.join(", ")),
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// Its name, `part.what`.
    pub name: &'static str,
    /// What it may be.
    pub domain: Domain,
    /// What it does.
    pub about: &'static str,
}

/// A value as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Of a switch.
    Switch(bool),
    /// Of a number.
    Number(f64),
    /// Of a choice.
    Word(String),
}

/// The choice that is off where the codes are those that the student started from, since it found no more; no setting, since no caller makes it.
pub(crate) const DISTILLED: &str = "student.distilled";

/// Defines settings as constants, and the table of them all.
macro_rules! settings {
    ($($constant:ident = $name:literal, $domain:expr, $about:literal;)*) => {
        $(pub(crate) const $constant: Setting = Setting { name: $name, domain: $domain, about: $about };)*

        /// Every setting [`TrainOptions::set`](crate::TrainOptions::set) knows. Which of them a training reads depends on its model; setting
        /// one that it does not read is an error.
        pub const SETTINGS: &[Setting] = &[$($constant),*];
    };
}

settings! {
    REFIT = "refit", Domain::Switch, "once everything is chosen, learn again from all interactions, those held out included";
    ROTATION = "codes.rotation", Domain::Choice(&["random", "none"]), "signs student: rotate vectors at random to the bits asked for, or take the signs of their elements";

    TEACHER_FACTORS = "teacher.factors", Domain::Count(1, 4096), "width of a vector";
    TEACHER_SWEEPS = "teacher.sweeps", Domain::Count(1, 1000), "ials: sweeps over users and items";
    TEACHER_STEPS = "teacher.steps", Domain::Count(1, 100), "ials: steps of conjugate gradients a solve";
    TEACHER_UNOBSERVED = "teacher.unobserved", Domain::Number(0.0, 1e6), "ials: weight of a pair that was not observed";
    TEACHER_REGULARISATION = "teacher.regularisation", Domain::Number(0.0, 1e6), "ials: penalty of a vector's length; unless set, chosen on held-out interactions";
    TEACHER_EXPONENT = "teacher.exponent", Domain::Number(0.0, 2.0), "ials: 0 penalises all nodes alike, 1 in proportion to their terms";
    TEACHER_EPOCHS = "teacher.epochs", Domain::Count(1, 100_000), "gradient teachers, onebp: most passes over the interactions";
    TEACHER_PATIENCE = "teacher.patience", Domain::Count(1, 100_000), "gradient teachers, onebp: validations without a gain before stopping";
    TEACHER_RATE = "teacher.rate", Domain::Number(1e-7, 10.0), "gradient teachers, onebp: Adam's learning rate";
    TEACHER_L2 = "teacher.l2", Domain::Number(0.0, 1e3), "gradient teachers, onebp: penalty of the squared length of the rows of a batch, before propagation, times the square of their layer's weight in the score";
    TEACHER_L2_OF = "teacher.l2_of", Domain::Choice(&["table", "layers"]), "gcn-cf, spectralcf: rows that are penalised, of the table alone or of all layers that are scored, as the paper has it";
    TEACHER_BATCH = "teacher.batch", Domain::Count(1, 1 << 24), "gradient teachers: users a step; onebp: pairs a step";
    TEACHER_DRAWS = "teacher.draws", Domain::Count(1, 1 << 16), "bpr, k-bpr and infonce losses: positives drawn of every user in an epoch";
    TEACHER_NEGATIVES = "teacher.negatives", Domain::Count(1, 1 << 20), "k-bpr and infonce losses, onebp: negatives of a pair";
    TEACHER_POOL = "teacher.pool", Domain::Count(1, 1 << 18), "gradient teachers: items a block of 512 users shares: its negatives with the softmax loss, else what they are drawn from";
    TEACHER_CANDIDATES = "teacher.candidates", Domain::Count(1, 4096), "dynamic and synthesised samplers: candidates a negative is chosen from";
    TEACHER_MIXING = "teacher.mixing", Domain::Choice(&["hop", "element", "off"]), "synthesised sampler: mix candidates with the positive by a share for every hop (MixGCF), for every element (BiGeaR++), or not at all";
    TEACHER_HOP_MIXING = "teacher.hop_mixing", Domain::Switch, "synthesised sampler, unless it mixes by element: every hop chooses a candidate of its own, or all the same";
    TEACHER_POPULARITY = "teacher.popularity", Domain::Number(0.0, 2.0), "popularity sampler: power of an item's degree";
    TEACHER_SIMILARITY = "teacher.similarity", Domain::Choice(&["dot", "cosine"]), "gradient teachers: how a pair is scored";
    TEACHER_LENGTH = "teacher.length", Domain::Number(0.0, 2.0), "cosines: power of an item's length that its trained vector keeps; unless set, chosen on held-out interactions";
    TEACHER_TEMPERATURE = "teacher.temperature", Domain::Number(1e-3, 1e3), "infonce and softmax losses: what scores are divided by";
    TEACHER_USERS = "teacher.users", Domain::Choice(&["equal", "pairs"]), "softmax loss: weigh users alike, as recall does, or by their interactions";
    TEACHER_POOLING = "teacher.pooling", Domain::Choice(&["mean", "weighted"]), "lightgcn: average the hops, or keep each with BiGeaR's weight (l + 1) / (L + 1)";
    TEACHER_MASKS = "teacher.masks", Domain::Switch, "lightgcn and ngcf: learn which edges every hop keeps, as SGCN does";
    TEACHER_MASK_GRADIENT = "teacher.mask_gradient", Domain::Choice(&["arm", "pathwise"]), "masks: learn by two losses against each other, or by the derivative of one";
    TEACHER_MASK_START = "teacher.mask_start", Domain::Number(-20.0, 20.0), "masks: logit of an edge at the start; it stays while that is above 0";
    TEACHER_MASK_SPARSITY = "teacher.mask_sparsity", Domain::Number(0.0, 1e3), "masks: beta, the penalty of an edge that is kept";
    TEACHER_MASK_NUCLEAR = "teacher.mask_nuclear", Domain::Number(0.0, 1e3), "masks: gamma, the penalty of the nuclear norm of every hop's adjacency";
    TEACHER_MASK_RANK = "teacher.mask_rank", Domain::Count(1, 64), "masks: singular values that norm is taken of";
    TEACHER_SCALED = "teacher.scaled", Domain::Switch, "l2q-gcn: a segment is as large as the mean magnitude of what it is the signs of, or all are of one size";
    TEACHER_ANNEALING = "teacher.annealing", Domain::Switch, "l2q-gcn: gradients of a hyperbolic tangent that grows steeper, at a teacher.rate of 0.1 where none is set, or straight through the signs, at 0.03";
    TEACHER_STEEPNESS = "teacher.steepness", Domain::Number(1e-3, 1e3), "l2q-gcn_anl: how steep it is at the first step";
    TEACHER_LAST_STEEPNESS = "teacher.last_steepness", Domain::Number(1e-3, 1e3), "l2q-gcn_anl: how steep it is at the last step";
    TEACHER_QUANTISED = "teacher.quantised", Domain::Switch, "l2q-gcn: take signs inside the convolution, or train its model of full precision";
    TEACHER_INSIDE = "teacher.inside", Domain::Switch, "l2q-gcn: propagate the codes, or what they are the signs of";
    TEACHER_ACTIVATION = "teacher.activation", Domain::Choice(&["sigmoid", "tanh", "relu", "identity"]), "gcn-cf, spectralcf: what a convolution ends with";
    TEACHER_CROSSES = "teacher.crosses", Domain::Switch, "gcn-cf: cross every node with itself between the convolutions";
    TEACHER_NORMALISE = "teacher.normalise", Domain::Switch, "gcn-cf: normalise the inputs of the convolutions, by column";

    TEACHER_FANOUT = "teacher.fanout", Domain::Count(1, 128), "pinsage: neighbours of a node, those that random walks visit most: they make 128 visits";
    TEACHER_MOMENTUM = "teacher.momentum", Domain::Number(0.0, 1.0), "onebp: beta, what a user's vector keeps of itself where it follows an item's";
    TEACHER_FLIPPED = "teacher.flipped", Domain::Switch, "onebp: users take gradients and items follow them";
    TEACHER_START = "teacher.start", Domain::Choice(&["normal", "onebp"]), "gradient teachers: start tables from normal numbers, or from what OneBP learns first";
    TEACHER_START_EPOCHS = "teacher.start_epochs", Domain::Count(1, 100_000), "start onebp: most passes over the interactions";

    TEACHER_NEIGHBOURS = "teacher.neighbours", Domain::Switch, "discrete student: add to the teacher's scores those of a linear model of items on items, weighed on held-out interactions";
    TEACHER_NEIGHBOUR_REGULARISATION = "teacher.neighbour_regularisation", Domain::Number(1e-3, 1e6), "penalty of that model's weights, in interactions; unless set, chosen on held-out interactions";
    TEACHER_NEIGHBOUR_DAMPING = "teacher.neighbour_damping", Domain::Number(0.0, 1.0), "power of an item's degree that what its neighbours say of it is divided by";
    TEACHER_USER_NEIGHBOURS = "teacher.user_neighbours", Domain::Switch, "discrete student: add those of a linear model of users on users, where that gains on held-out interactions";
    TEACHER_USER_NEIGHBOUR_REGULARISATION = "teacher.user_neighbour_regularisation", Domain::Number(1e-3, 1e6), "penalty of that model's weights, in interactions; unless set, chosen on held-out interactions";

    STUDENT_EPOCHS = "student.epochs", Domain::Count(1, 100_000), "bigear, bincf: passes over the training data";
    STUDENT_PATIENCE = "student.patience", Domain::Count(1, 100_000), "bigear, bincf: validations without a gain before stopping";
    STUDENT_RATE = "student.rate", Domain::Number(1e-7, 10.0), "bigear, bincf: learning rate";
    STUDENT_DRAWS = "student.draws", Domain::Count(1, 1 << 16), "bigear, bincf: positives drawn for every user and step, with bincf distinct ones";
    STUDENT_L2 = "student.l2", Domain::Number(0.0, 1e3), "bigear: penalty of the squared length of the rows of a batch";
    STUDENT_BATCH = "student.batch", Domain::Count(1, 1 << 24), "bincf: users a step";
    STUDENT_CENTRE = "student.centre", Domain::Switch, "bincf: start from the teacher's vectors less their means, so that bits are balanced, or from the vectors as they are";
    STUDENT_RANK_WEIGHT = "student.rank_weight", Domain::Number(0.0, 1e6), "bincf: alpha, the weight of the teacher's order of a user's items, 50 unless set, where the paper has 10; 0 leaves it out";
    STUDENT_RANK_LISTS = "student.rank_lists", Domain::Choice(&["both", "positives", "negatives"]), "bincf: which of a user's items are ordered, each list by itself";
    STUDENT_TEMPERATURE = "student.temperature", Domain::Number(1e-3, 1e3), "bincf: T, what the scores of a list are divided by";
    STUDENT_NOISE_WEIGHT = "student.noise_weight", Domain::Number(0.0, 1e3), "bincf: nu, the weight of the noise of bits drawn at random; 0 leaves it out";
    STUDENT_NOISE_TEMPERATURE = "student.noise_temperature", Domain::Number(1e-3, 1e3), "bincf: tau, how near to 0 a soft code has to be for its bit to be drawn";
    STUDENT_BOX_WEIGHT = "student.box_weight", Domain::Number(0.0, 1e3), "bincf: beta, the weight of how far soft codes are from 1 and -1; 0 leaves it out";
    STUDENT_SWEEPS = "student.sweeps", Domain::Count(1, 1000), "discrete: times users and items are fitted";
    STUDENT_LIST = "student.list", Domain::Count(1, 1 << 16), "discrete: how many of the teacher's best items that a user has not had the codes are fitted to above others";
    STUDENT_EMPHASIS = "student.emphasis", Domain::Number(0.0, 1e3), "discrete: weight of these, as a share of the weight of all items";
    STUDENT_SYNTHESIS = "student.synthesis", Domain::Switch, "bigear: mix candidates with the positive, in the space of codes";
    STUDENT_CANDIDATES = "student.candidates", Domain::Count(1, 4096), "bigear: candidates a synthesised negative is chosen from";
    STUDENT_MIXTURE = "student.mixture", Domain::Number(0.0, 1.0), "bigear: the largest share c of the positive in a synthesised negative";
    STUDENT_GRADIENT = "student.gradient", Domain::Choice(&["dirac", "clipped", "tanh", "sigmoid"]), "bigear: what stands in for the derivative of the sign";
    STUDENT_SHARPNESS = "student.sharpness", Domain::Number(1e-3, 1e3), "bigear: how narrow that derivative is, g or b";
    STUDENT_DISTILLATION = "student.distillation", Domain::Choice(&["lists", "kl", "mse", "none"]), "bigear: how the teacher is followed";
    STUDENT_BEST = "student.best", Domain::Switch, "bigear: the first list of L_ID, the teacher's best items";
    STUDENT_PSEUDO = "student.pseudo", Domain::Switch, "bigear: the second list of L_ID, its best items among those not interacted with";
    STUDENT_BEST_OF = "student.best_of", Domain::Choice(&["all", "interacted"]), "bigear: what the first list is taken from";
    STUDENT_BEST_LENGTH = "student.best_length", Domain::Count(1, 1 << 16), "bigear: length R1 of the first list";
    STUDENT_PSEUDO_LENGTH = "student.pseudo_length", Domain::Count(1, 1 << 16), "bigear: length R2 of the second list";
    STUDENT_LIST_WEIGHT = "student.list_weight", Domain::Number(0.0, 1e6), "bigear: lambda1, the weight of a list's first item";
    STUDENT_LIST_DECAY = "student.list_decay", Domain::Number(0.0, 1e3), "bigear: lambda2, how fast weights fall along a list";
    STUDENT_NOISE = "student.noise", Domain::Number(0.0, 1.0), "bigear: share of the second list replaced by random items";
    STUDENT_LAYERWISE = "student.layerwise", Domain::Switch, "bigear: a code a layer, or one code of all layers' weighted sum";
    STUDENT_WEIGHTS = "student.weights", Domain::Choice(&["rising", "equal", "falling"]), "bigear: weights of the layers, w_l = (l + 1) / (L + 1) rising";
}

/// What a caller has set, by name, as written. Serialised as a map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(crate) fn set(&mut self, name: String, value: String) {
        self.0.insert(name, value);
    }

    /// Whether it was set.
    pub(crate) fn has(&self, setting: &Setting) -> bool {
        self.0.contains_key(setting.name)
    }

    /// What was set, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Checks names and values.
    ///
    /// # Errors
    /// `InvalidArgument`, which lists the names there are, or what the value may be.
    pub(crate) fn validate(&self) -> Result<()> {
        for (name, value) in &self.0 {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
                let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
                return Err(Error::InvalidArgument {
                    what: format!("unknown setting {name:?}"),
                    remedy: format!("choose one of {}", known.join(", ")),
                });
            };
            if setting.domain.parse(value).is_none() {
                return Err(Error::InvalidArgument {
                    what: format!("{name} = {value:?}"),
                    remedy: format!("choose {}", setting.domain),
                });
            }
        }
        Ok(())
    }
}

impl Domain {
    /// The value, if it is one of the domain.
    fn parse(&self, value: &str) -> Option<SettingValue> {
        let number = |least: f64, most: f64| value.parse().ok().filter(|x: &f64| (least..=most).contains(x));
        match *self {
            Domain::Switch => match value {
                "on" | "true" => Some(SettingValue::Switch(true)),
                "off" | "false" => Some(SettingValue::Switch(false)),
                _ => None,
            },
            Domain::Count(least, most) => {
                number(least as f64, most as f64).filter(|x| x.fract() == 0.0).map(SettingValue::Number)
            }
            Domain::Number(least, most) => number(least, most).map(SettingValue::Number),
            Domain::Choice(words) => {
                words.iter().find(|word| **word == value).map(|word| SettingValue::Word((*word).to_owned()))
            }
        }
    }
}

/// Reads settings while the parts of a training are made, and keeps account: of what was read and of the value it had.
pub(crate) struct Reader<'a> {
    settings: &'a Settings,
    read: RefCell<Vec<(&'static str, SettingValue)>>,
}

impl<'a> Reader<'a> {
    /// A reader of valid settings.
    pub(crate) fn new(settings: &'a Settings) -> Reader<'a> {
        Reader { settings, read: RefCell::default() }
    }

    fn value(&self, setting: &Setting, default: SettingValue) -> SettingValue {
        let set = self.settings.0.get(setting.name).and_then(|value| setting.domain.parse(value));
        let value = set.unwrap_or(default);
        let mut read = self.read.borrow_mut();
        match read.iter_mut().find(|(name, _)| *name == setting.name) {
            Some(entry) => entry.1 = value.clone(),
            None => read.push((setting.name, value.clone())),
        }
        value
    }

    /// Whether the caller has set it.
    pub(crate) fn is_set(&self, setting: &Setting) -> bool {
        self.settings.has(setting)
    }

    /// A [`Domain::Count`].
    pub(crate) fn count(&self, setting: &Setting, default: usize) -> usize {
        match self.value(setting, SettingValue::Number(default as f64)) {
            SettingValue::Number(number) => number as usize,
            _ => default,
        }
    }

    /// A [`Domain::Number`].
    pub(crate) fn number(&self, setting: &Setting, default: f32) -> f32 {
        match self.value(setting, SettingValue::Number(f64::from(default))) {
            SettingValue::Number(number) => number as f32,
            _ => default,
        }
    }

    /// A [`Domain::Switch`].
    pub(crate) fn switch(&self, setting: &Setting, default: bool) -> bool {
        match self.value(setting, SettingValue::Switch(default)) {
            SettingValue::Switch(switch) => switch,
            _ => default,
        }
    }

    /// A [`Domain::Choice`]: what the word chosen stands for.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &self,
        setting: &Setting,
        choices: &[(&'static str, T)],
        default: T,
    ) -> T {
        let word = choices.iter().find(|choice| choice.1 == default).map_or("", |choice| choice.0);
        match self.value(setting, SettingValue::Word(word.to_owned())) {
            SettingValue::Word(word) => {
                choices.iter().find(|choice| choice.0 == word).map_or(default, |choice| choice.1)
            }
            _ => default,
        }
    }

    /// What was read, with its values.
    ///
    /// # Errors
    /// `InvalidArgument` when something was set and not read, which lists what can be set.
    pub(crate) fn finish(self, model: &str) -> Result<Vec<(String, SettingValue)>> {
        let read = self.read.into_inner();
        match self.settings.0.keys().find(|name| !read.iter().any(|(known, _)| known == name)) {
            Some(name) => {
                let known: Vec<&str> = read.iter().map(|(name, _)| *name).collect();
                Err(Error::InvalidArgument {
                    what: format!("{name} is no setting of {model}"),
                    remedy: format!("it takes {}", known.join(", ")),
                })
            }
            None => Ok(read.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Settings {
        let mut settings = Settings::default();
        settings.set(name.to_owned(), value.to_owned());
        settings
    }

    #[test]
    fn an_unknown_setting_lists_the_known_ones() {
        let error = set("teacher.lr", "1").validate().unwrap_err().to_string();
        assert!(error.contains("teacher.lr") && error.contains("teacher.rate"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_tells_the_range() {
        for (name, value) in [
            ("teacher.rate", "0"),
            ("teacher.rate", "NaN"),
            ("teacher.epochs", "1.5"),
            ("teacher.epochs", "0"),
            ("student.pseudo", "yes"),
            ("student.gradient", "relu"),
        ] {
            let error = set(name, value).validate().unwrap_err().to_string();
            let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
            assert!(error.contains(name) && error.contains(&setting.domain.to_string()), "{error}");
        }
        set("teacher.epochs", "3").validate().unwrap();
    }

    #[test]
    fn a_reader_knows_what_was_set_and_not_read() {
        let settings = set("teacher.epochs", "3");
        let reader = Reader::new(&settings);
        assert_eq!(reader.count(&TEACHER_EPOCHS, 1), 3);
        assert_eq!(reader.number(&TEACHER_RATE, 0.5), 0.5);
        let read = reader.finish("a model").unwrap();
        assert_eq!(read[0], ("teacher.epochs".to_owned(), SettingValue::Number(3.0)));
        let reader = Reader::new(&settings);
        reader.switch(&REFIT, true);
        let error = reader.finish("a model").unwrap_err().to_string();
        assert!(error.contains("teacher.epochs") && error.contains("refit"), "{error}");
    }

    #[test]
    fn names_are_unique() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..at].iter().all(|other| other.name != setting.name), "{}", setting.name);
        }
    }
}
