//! What a training will take, before it starts.

use serde::Serialize;

use super::options::TrainOptions;
use super::plan::Plan;
use super::settings::{self, Setting, SettingValue};
use super::size::Size;
use crate::error::{Error, Result};
use crate::train::measure::search::ENOUGH;

/// Neighbours' weights of a node.
const NEIGHBOURS: f64 = 128.0;
/// Sweeps of a teacher's refit, as a share of its sweeps; sweeps of a student's.
const REFIT: (f64, f64) = (0.34, 0.5);
/// Fits of a teacher while its regularisation is searched, usually, and where there are more interactions than it is searched for.
const SEARCHED: (f64, f64) = (1.34, 1.0);
/// What every process holds.
const BASE: f64 = 100e6;
/// How many times what is in use a process holds, as measured: what is freed is not all given back, and parts overlap while they are made.
const HELD: f64 = 1.6;

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
    /// Whether interactions age.
    ages: bool,
    settings: Vec<(String, SettingValue)>,
}

impl TrainOptions {
    /// What a training on so many users, items and interactions will take, about: bytes within a third, seconds within a half of what the recipe took where it was
    /// measured, up to 10 M interactions. Of the models trained by gradients it is only the size of things.
    ///
    /// # Errors
    /// `InvalidArgument` for bad options.
    pub fn estimate(&self, users: u64, items: u64, interactions: u64) -> Result<Estimate> {
        self.validate()?;
        let size = Size {
            users: users as usize,
            items: items as usize,
            touched: items as usize,
            edges: interactions as usize,
        };
        self.estimate_of(size)
    }

    fn estimate_of(&self, size: Size) -> Result<Estimate> {
        let plan = Plan::new(self, size)?;
        let work = Work {
            users: size.users as f64,
            items: size.items as f64,
            edges: size.edges as f64,
            bits: plan.coding.shape()?.bits() as f64,
            ages: self.half_life_ms.is_some(),
            settings: plan.settings,
        };
        Ok(Estimate { processor_seconds: work.seconds(), bytes: work.bytes() as u64 })
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

    /// Bytes where most is held, while codes are fitted: edges of both graphs from both sides, vectors of the teacher, neighbours twice with sums over their
    /// interactions in half the bytes, codes and what is fitted to make them, lists as they are drawn, kept and held by items.
    fn bytes(&self) -> f64 {
        // The recency of an interaction beside each.
        let edges = 2.0 * if self.ages { 16.0 } else { 8.0 } * self.edges;
        let neighbours = self.predicted() * (2.0 * 8.0 * NEIGHBOURS + 2.0 * self.bits);
        // Those trained by gradients hold two moments and a gradient of every weight.
        let copies = if self.number(&settings::TEACHER_EPOCHS).is_some() { 6.0 } else { 1.0 };
        // Crosses are two tables more of the same size.
        let copies = if self.is_on(&settings::TEACHER_CROSSES) { 3.0 * copies } else { copies };
        let codes = if self.number(&settings::STUDENT_SWEEPS).is_some() {
            // Signs alone until users have magnitudes.
            4.0 * self.users * self.bits + 2.0 / 8.0 * self.nodes() * self.bits
        } else {
            // So does a student that is trained by them.
            let student = if self.number(&settings::STUDENT_RANK_WEIGHT).is_some() { 6.0 } else { 1.0 };
            4.0 * student * self.nodes() * self.bits
        };
        // Three hops' logits of every edge, held as often, and what they are drawn by.
        let masks = if self.is_on(&settings::TEACHER_MASKS) { 3.0 * 4.0 * (copies + 3.0) * self.edges } else { 0.0 };
        let vectors = 4.0 * copies * self.nodes() * self.factors() + masks;
        let lists =
            (8.0 + 8.0 + 4.0) * self.users * self.number(&settings::STUDENT_LIST).unwrap_or(0.0).min(self.items);
        BASE + HELD * (edges + vectors + neighbours + codes + lists)
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

    #[test]
    fn a_training_above_its_limit_is_refused() {
        let size = Size { users: 1000, items: 1000, touched: 1000, edges: 10_000 };
        let options = TrainOptions::new(Preset::Fast);
        let needed = options.estimate_of(size).unwrap().bytes;
        options.clone().memory_limit(needed).check_memory(size).unwrap();
        let error = options.memory_limit(needed - 1).check_memory(size).unwrap_err().to_string();
        assert!(error.contains("MB") && error.contains("teacher.factors"), "{error}");
    }
}
