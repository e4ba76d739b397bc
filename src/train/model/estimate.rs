//! What a training will take, before it starts.

use serde::Serialize;

use super::options::TrainOptions;
use super::plan::Plan;
use super::settings::{self, Setting, SettingValue};
use super::size::Size;
use crate::error::{Error, Result};
use crate::train::measure::search::{ENOUGH, Ridges};

/// Neighbours' weights of a node.
const NEIGHBOURS: f64 = 128.0;
/// Bytes of an interaction, from both sides of the graph and of what is not held out of it, and of its recency.
const EDGE: (f64, f64) = (16.0, 16.0);
/// Sweeps of a teacher's refit, as a share of its sweeps; sweeps of a student's.
const REFIT: (f64, f64) = (0.34, 0.5);
/// Fits of a teacher while its regularisation is searched, usually, and where there are more interactions than it is searched for.
const SEARCHED: (f64, f64) = (1.34, 1.0);
/// What every process holds.
const BASE: f64 = 90e6;
/// How many times what is counted a process holds, as measured: what is freed is not all given back.
const HELD: f64 = 1.1;

/// What a training will take, about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Seconds of all processors together, on a processor with AVX-512; several times as many without AVX2.
    pub processor_seconds: f64,
    /// Bytes held at most, beside what the database holds.
    pub bytes: u64,
}

/// The numbers an estimate is made of.
struct Work {
    users: f64,
    items: f64,
    edges: f64,
    bits: f64,
    settings: Vec<(String, SettingValue)>,
}

impl TrainOptions {
    /// What a training on so many users, items and interactions will take, about: bytes within a third of what every model took where it was measured, seconds
    /// within a half of what the recipe took, up to 10 M interactions. Seconds of the models trained by gradients are only the size of things.
    ///
    /// # Errors
    /// `InvalidArgument` for bad options.
    pub fn estimate(&self, users: u64, items: u64, interactions: u64) -> Result<Estimate> {
        self.validate()?;
        let size = Size {
            users: users as usize,
            items: items as usize,
            active: users as usize,
            touched: items as usize,
            edges: interactions as usize,
        };
        self.estimate_of(size)
    }

    fn estimate_of(&self, size: Size) -> Result<Estimate> {
        let plan = Plan::new(self, size)?;
        let edge = EDGE.0 + if self.half_life_ms.is_some() { EDGE.1 } else { 0.0 };
        let bytes = BASE + HELD * (edge * size.edges as f64 + 4.0 * plan.floats(size)?);
        let work = Work {
            users: size.users as f64,
            items: size.items as f64,
            edges: size.edges as f64,
            bits: plan.coding.shape()?.bits() as f64,
            settings: plan.settings,
        };
        Ok(Estimate { processor_seconds: work.seconds(), bytes: bytes as u64 })
    }

    /// Refuses a training that would hold more than it may.
    pub(crate) fn check_memory(&self, size: Size) -> Result<()> {
        let Some(limit) = self.memory_limit else { return Ok(()) };
        let bytes = self.estimate_of(size)?.bytes;
        if bytes <= limit {
            return Ok(());
        }
        let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
        Err(Error::InvalidArgument {
            what: format!(
                "a training that would hold about {} MB, with a limit of {}",
                megabytes(bytes),
                megabytes(limit)
            ),
            remedy: format!(
                "raise the limit, or choose fewer bits, a lower {} or the preset fast",
                settings::TEACHER_FACTORS.name
            ),
        })
    }
}

impl Plan {
    /// Floats where most is held: by the teacher, or while codes are learned, beside its vectors, all its layers side by side, and neighbours, with sums over their
    /// interactions in half as many bytes.
    fn floats(&self, size: Size) -> Result<f64> {
        let bits = self.coding.shape()?.bits() as f64;
        let widths = self.teacher.layers().0;
        let hops = self.hops * widths.last().copied().unwrap_or(0);
        let copies = if widths.len() > 1 { 2 } else { 1 };
        let vectors = (copies * widths.iter().sum::<usize>() + hops) as f64 * size.nodes();
        let Ridges { items, users, .. } = &self.neighbours;
        let predicted = |on: bool, nodes: usize| if on { nodes as f64 } else { 0.0 };
        let predicted = predicted(items.is_some(), size.items) + predicted(users.is_some(), size.users);
        let neighbours = predicted * (2.0 * 2.0 * NEIGHBOURS + 0.5 * bits);
        Ok(self.teacher.floats(size).max(vectors + neighbours + self.student.floats(size, bits)))
    }
}

impl Work {
    fn number(&self, setting: &Setting) -> Option<f64> {
        match self.settings.iter().find(|(name, _)| name == setting.name)?.1 {
            SettingValue::Number(number) => Some(number),
            SettingValue::Switch(switch) => Some(f64::from(u8::from(switch))),
            SettingValue::Word(_) => None,
        }
    }

    fn is_on(&self, setting: &Setting) -> bool {
        self.number(setting).is_some_and(|number| number > 0.0)
    }

    fn nodes(&self) -> f64 {
        self.users + self.items
    }

    /// Nodes that are predicted from neighbours.
    fn predicted(&self) -> f64 {
        let on = |setting, nodes| if self.is_on(setting) { nodes } else { 0.0 };
        on(&settings::TEACHER_NEIGHBOURS, self.items) + on(&settings::TEACHER_USER_NEIGHBOURS, self.users)
    }

    fn factors(&self) -> f64 {
        self.number(&settings::TEACHER_FACTORS).unwrap_or(64.0)
    }

    /// Seconds: operations of every part over what was measured of them a second.
    fn seconds(&self) -> f64 {
        let refits = f64::from(u8::from(self.is_on(&settings::REFIT)));
        let (d, bits) = (self.factors(), self.bits);
        let teacher = match (self.number(&settings::TEACHER_SWEEPS), self.number(&settings::TEACHER_EPOCHS)) {
            (Some(sweeps), _) => {
                let applied = 1.0 + self.number(&settings::TEACHER_STEPS).unwrap_or(3.0);
                let sweep = applied * (8.0 * self.edges * d / 15e9 + 2.0 * self.nodes() * d * d / 100e9);
                let searched = if self.edges < ENOUGH as f64 { SEARCHED.0 } else { SEARCHED.1 };
                sweeps * (searched + REFIT.0 * refits) * sweep
            }
            (None, Some(epochs)) => epochs * (self.edges + self.nodes()) * d * 1e-8,
            (None, None) => 0.0,
        };
        let shared = 4e-6 * self.edges * self.predicted() / self.nodes().max(1.0);
        let neighbours = (1.0 + refits) * (2e-4 * self.predicted() + shared);
        let list = self.number(&settings::STUDENT_LIST).unwrap_or(0.0).min(self.items);
        let student = match self.number(&settings::STUDENT_SWEEPS) {
            Some(sweeps) => {
                let lists = self.users * (self.items * bits * 2e-12 + list * (3e-7 + d * 5e-9));
                let sweep = self.nodes() * bits * (bits + 3.0 * list) * 3.2e-10;
                let relaxed = self.users * bits * (bits + 2.0 * list) * 2.4e-10;
                (1.0 + refits) * lists + (1.0 + REFIT.1 * refits) * sweeps * sweep + relaxed
            }
            None => self.number(&settings::STUDENT_EPOCHS).unwrap_or(0.0) * self.edges * bits * 1e-8,
        };
        teacher + neighbours + student
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::model::Model;
    use crate::train::model::options::Preset;

    #[test]
    fn more_of_anything_takes_more() {
        for model in Model::NAMES {
            let options = TrainOptions::new(Preset::Balanced).model(model.parse().unwrap());
            let estimate = |users, items, edges| options.estimate(users, items, edges).unwrap();
            let base = estimate(20_000, 20_000, 500_000);
            for more in [
                estimate(40_000, 20_000, 500_000),
                estimate(20_000, 40_000, 500_000),
                estimate(20_000, 20_000, 900_000),
            ] {
                assert!(more.bytes > base.bytes, "{model}: {base:?} {more:?}");
                assert!(more.processor_seconds > base.processor_seconds, "{model}: {base:?} {more:?}");
            }
        }
    }

    /// Most held by `kithdb train`, MB, of Gowalla and of ML-1M, in full or with an epoch and a sweep (2026-11-30, two threads).
    #[test]
    fn bytes_are_within_a_third_of_what_was_measured() {
        let gowalla = (29_858, 40_981, 810_128);
        let ml = (6_040, 3_952, 797_758);
        for (model, measured) in [
            (Model::Ials, [657, 148]),
            (Model::Ngcf, [1248, 218]),
            (Model::PinSage, [989, 177]),
            (Model::SpectralCf, [518, 150]),
            (Model::GcnCf, [631, 155]),
            (Model::OneBp, [278, 145]),
            (Model::MixGcf, [784, 187]),
            (Model::Sgcn, [667, 248]),
            (Model::L2q, [1207, 274]),
            (Model::L2qAnl, [1211, 288]),
            (Model::DgcnBinCf, [540, 162]),
            (Model::Bigear, [1761, 365]),
            (Model::BigearPlus, [1935, 340]),
            (Model::Recipe, [718, 163]),
            (Model::Mf, [537, 141]),
            (Model::LightGcn, [576, 141]),
        ] {
            for ((users, items, edges), measured) in [gowalla, ml].into_iter().zip(measured) {
                let options = TrainOptions::new(Preset::Balanced).model(model);
                let share = options.estimate(users, items, edges).unwrap().bytes as f64 / (f64::from(measured) * 1e6);
                assert!((0.75..1.34).contains(&share), "{model}: {share} of {measured} MB");
            }
        }
    }

    #[test]
    fn a_training_above_its_limit_is_refused() {
        let size = Size { users: 1000, items: 1000, active: 1000, touched: 1000, edges: 10_000 };
        let options = TrainOptions::new(Preset::Fast);
        let needed = options.estimate_of(size).unwrap().bytes;
        options.clone().memory_limit(needed).check_memory(size).unwrap();
        let error = options.memory_limit(needed - 1).check_memory(size).unwrap_err().to_string();
        assert!(error.contains("MB") && error.contains("teacher.factors"), "{error}");
    }
}
