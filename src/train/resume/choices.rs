//! What a training came to, so that others can go on with it.

use std::time::Duration;

use crate::graph::Bipartite;
use crate::train::checkpoint::Stand;
use crate::train::model::options::TrainOptions;
use crate::train::model::recipe::Recipe;
use crate::train::model::settings::{self, Setting, SettingValue};
use crate::train::model::size::Size;
use crate::train::student::Discrete;
use crate::train::teacher::{ImplicitAls, Weighting};

/// The models of a training whose rows can be fitted again: implicit ALS, neighbours beside it or not, and codes by discrete descent. A child keeps
/// all of it, the width of the factors included, which the recipe would take from the size of the graph: what is chosen on held-out interactions
/// cannot be chosen again by a child of a training that has seen them. Some choices are made again by what nobody has seen (`rechoose.rs`).
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    pub(crate) teacher: ImplicitAls,
    /// The neighbours that are added to the teacher.
    pub(crate) added: Weighting,
    pub(crate) student: Discrete,
    /// Whether codes are the student's, and not those it starts from.
    pub(crate) is_distilled: bool,
    pub(crate) seed: u64,
    /// How much less popular items are recommended.
    pub(crate) novelty: f32,
    /// The half-life of interactions.
    pub(crate) half_life: Option<Duration>,
}

impl Choices {
    /// Those of a training with `options` that came to `settings`; `None` where it had other models.
    pub(crate) fn of(options: &TrainOptions, settings: &[(String, SettingValue)]) -> Option<Choices> {
        let number = |name: &str| {
            settings.iter().find(|(known, _)| known == name).and_then(|(_, value)| match value {
                SettingValue::Number(number) => Some(*number),
                _ => None,
            })
        };
        let float = |setting: &Setting| number(setting.name).map(|number| number as f32);
        let count = |setting: &Setting| number(setting.name).map(|number| number as usize);
        let teacher = ImplicitAls {
            factors: count(&settings::TEACHER_FACTORS)?,
            sweeps: count(&settings::TEACHER_SWEEPS)?,
            steps: count(&settings::TEACHER_STEPS)?,
            unobserved: float(&settings::TEACHER_UNOBSERVED)?,
            regularisation: float(&settings::TEACHER_REGULARISATION)?,
            exponent: float(&settings::TEACHER_EXPONENT)?,
        };
        let student = Discrete {
            sweeps: count(&settings::STUDENT_SWEEPS)?,
            list: count(&settings::STUDENT_LIST)?,
            emphasis: float(&settings::STUDENT_EMPHASIS)?,
        };
        let added = Weighting::of(|name| number(name).map(|number| number as f32));
        Some(Choices {
            teacher,
            added,
            student,
            is_distilled: !settings.contains(&(settings::DISTILLED.to_owned(), SettingValue::Switch(false))),
            seed: options.seed,
            novelty: options.novelty,
            half_life: options.decay(),
        })
    }

    /// With those that are chosen again as a training that stands there chose them.
    pub(super) fn made_so(&self, stand: &Stand) -> Choices {
        let regularisation = stand.chosen.iter().find(|(name, _)| name == settings::TEACHER_REGULARISATION.name);
        let regularisation = regularisation.map_or(self.teacher.regularisation, |(_, value)| *value);
        let teacher = ImplicitAls { regularisation, ..self.teacher.clone() };
        Choices { teacher, added: stand.added, ..self.clone() }
    }

    /// The `known` settings of a training with those that these are in place of its own.
    pub(crate) fn kept(&self, known: &[(String, SettingValue)]) -> Vec<(String, SettingValue)> {
        let own = |name: &str| match name == settings::TEACHER_REGULARISATION.name {
            true => Some(self.teacher.regularisation),
            false => self.added.settings().find(|entry| entry.0 == name).map(|entry| entry.1),
        };
        let kept = |(name, value): &(String, SettingValue)| {
            let value = own(name).map_or_else(|| value.clone(), |own| SettingValue::Number(f64::from(own)));
            (name.clone(), value)
        };
        known.iter().map(kept).collect()
    }

    /// The regularisation that the recipe begins with on such a graph; infinite where the caller has set it, and nothing is above it.
    pub(crate) fn rule(options: &TrainOptions, graph: &Bipartite) -> f32 {
        if options.settings.has(&settings::TEACHER_REGULARISATION) {
            return f32::INFINITY;
        }
        Recipe::new(options, Size::of(graph)).teacher.regularisation
    }
}
