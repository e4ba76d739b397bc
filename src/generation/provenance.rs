//! How a generation was made: from which parent, with which options, and what was chosen.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::train::{SettingValue, TrainOptions};

/// Names of the attributes that hold it.
const ORIGIN: &str = "made.by";
const PARENT: &str = "made.from";
const OPTION: &str = "made.option.";
const CHOICE: &str = "made.choice.";
const UNLEARNED: &str = "made.unlearned";

/// What made a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A training from nothing.
    Full,
    /// A training that went on from its parent.
    Major,
    /// The rows that were touched, fitted again.
    Minor,
    /// The log folded, and nothing learned.
    Fold,
    /// Codes made elsewhere.
    Import,
    /// The codes of an earlier generation over the interactions of now.
    Rollback,
}

impl Origin {
    const ALL: [Self; 6] = [Self::Full, Self::Major, Self::Minor, Self::Fold, Self::Import, Self::Rollback];

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Fold => "fold",
            Self::Import => "import",
            Self::Rollback => "rollback",
        }
    }
}

/// How a generation was made. It is kept in the attributes of the generation, and so counted in its content hash: what the machine decides, as the
/// number of threads or of the generation, is none of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provenance {
    pub(crate) origin: Origin,
    /// The content hash of the generation it was made from, where anything learned was taken over.
    pub(crate) parent: Option<String>,
    /// The options of the training, or of the one it goes back to.
    pub(crate) options: Option<TrainOptions>,
    /// The settings that training came to, by name.
    pub(crate) choices: Vec<(String, SettingValue)>,
    /// Interactions that changed since all rows were learned.
    pub(crate) unlearned: u64,
}

impl Provenance {
    /// That of what no training has a part in.
    pub(crate) fn untrained(origin: Origin) -> Self {
        Self { origin, parent: None, options: None, choices: Vec::new(), unlearned: 0 }
    }

    /// What is made by `origin` of the generation with this content hash, which was made so, with so many interactions changed.
    pub(crate) fn child(&self, origin: Origin, parent: &str, changes: u64) -> Self {
        let unlearned = if origin == Origin::Major { 0 } else { self.unlearned + changes };
        Self { origin, parent: Some(parent.to_owned()), unlearned, ..self.clone() }
    }

    /// The half-life of interactions in the training.
    pub(crate) fn half_life(&self) -> Option<Duration> {
        self.options.as_ref().and_then(TrainOptions::decay)
    }

    /// Whether next to all rows are others than in the generation before.
    pub(crate) fn learns_all(&self) -> bool {
        matches!(self.origin, Origin::Full | Origin::Major | Origin::Import)
    }

    /// As attributes of a generation.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::from([(ORIGIN.to_owned(), self.origin.name().to_owned())]);
        attributes.extend(self.parent.iter().map(|parent| (PARENT.to_owned(), parent.clone())));
        let options = self.options.iter().flat_map(TrainOptions::written);
        attributes.extend(options.map(|(name, value)| (format!("{OPTION}{name}"), value)));
        if self.unlearned > 0 {
            attributes.insert(UNLEARNED.to_owned(), self.unlearned.to_string());
        }
        let choices = self.choices.iter().map(|(name, value)| (format!("{CHOICE}{name}"), value.written()));
        attributes.extend(choices);
        attributes
    }

    /// Reads it back; `None` of a generation that does not say, as those of before it was kept.
    pub(crate) fn read(attributes: &BTreeMap<String, String>) -> Option<Self> {
        let name = attributes.get(ORIGIN)?;
        let origin = Origin::ALL.into_iter().find(|origin| origin.name() == name)?;
        let below = |prefix: &'static str| {
            attributes.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value)))
        };
        let options: BTreeMap<String, String> = below(OPTION).map(|(name, value)| (name, value.clone())).collect();
        Some(Self {
            origin,
            parent: attributes.get(PARENT).cloned(),
            options: TrainOptions::read(&options),
            unlearned: attributes.get(UNLEARNED).and_then(|count| count.parse().ok()).unwrap_or(0),
            choices: below(CHOICE).map(|(name, value)| (name, SettingValue::read(value))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Preset;

    #[test]
    fn it_is_read_as_it_was_written() {
        let choices = vec![
            ("refit".to_owned(), SettingValue::Switch(true)),
            ("teacher.regularisation".to_owned(), SettingValue::Number(f64::from(0.1f32))),
        ];
        let options = Some(TrainOptions::new(Preset::Fast).seed(9));
        let trained = Provenance { origin: Origin::Full, parent: None, options, choices, unlearned: 0 };
        let minor = trained.child(Origin::Minor, "00ff", 7);
        assert_eq!((minor.unlearned, minor.child(Origin::Minor, "01", 5).unlearned), (7, 12));
        assert_eq!(minor.child(Origin::Major, "01", 5).unlearned, 0);
        assert_eq!((minor.parent.as_deref(), &minor.choices), (Some("00ff"), &trained.choices));
        for provenance in [trained, minor, Provenance::untrained(Origin::Import), Provenance::untrained(Origin::Fold)] {
            assert_eq!(Provenance::read(&provenance.attributes()), Some(provenance));
        }
        assert_eq!(Provenance::read(&BTreeMap::from([("users.planes".to_owned(), "4".to_owned())])), None);
    }
}
