//! Options of a training from keywords.

use std::time::Duration;

use kithdb::{Model, Preset, TrainOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};

use crate::error::{OrRaise, invalid};
use crate::given::{Given, optional};
use crate::ids::shown;

/// What the keywords of `train` say.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Keywords<'py> {
    preset: Given<String>,
    model: Option<Given<String>>,
    bits: Option<Given<u32>>,
    layers: Option<Given<u32>>,
    query_bits: Option<Given<u32>>,
    threads: Option<Given<usize>>,
    seed: Option<Given<u64>>,
    novelty: Option<Given<f32>>,
    half_life_days: Option<Given<f64>>,
    memory_limit: Option<Given<u64>>,
    settings: Option<Bound<'py, PyDict>>,
}

impl Keywords<'_> {
    pub(crate) fn options(self) -> PyResult<TrainOptions> {
        let preset = match self.preset.named("preset")?.as_str() {
            "fast" => Preset::Fast,
            "balanced" => Preset::Balanced,
            "best" => Preset::Best,
            other => return Err(invalid(format!("preset {other:?}"), "choose one of fast, balanced, best")),
        };
        let mut options = TrainOptions::new(preset);
        if let Some(model) = optional("model", self.model)? {
            options = options.model(model.parse::<Model>().or_raise()?);
        }
        if let Some(days) = optional("half_life_days", self.half_life_days)? {
            let half_life = Duration::try_from_secs_f64(days * 86_400.0)
                .map_err(|_| invalid(format!("half_life_days = {days}"), "pass a number of days above 0"))?;
            options = options.half_life(half_life);
        }
        options = set(options, optional("bits", self.bits)?, TrainOptions::bits);
        options = set(options, optional("layers", self.layers)?, TrainOptions::layers);
        options = set(options, optional("query_bits", self.query_bits)?, TrainOptions::query_planes);
        options = set(options, optional("threads", self.threads)?, TrainOptions::threads);
        options = set(options, optional("seed", self.seed)?, TrainOptions::seed);
        options = set(options, optional("novelty", self.novelty)?, TrainOptions::novelty);
        options = set(options, optional("memory_limit", self.memory_limit)?, TrainOptions::memory_limit);
        for (name, value) in self.settings.iter().flatten() {
            let value = match value.cast::<PyBool>() {
                Ok(switch) => if switch.is_true() { "on" } else { "off" }.to_owned(),
                Err(_) => value.str()?.to_string(),
            };
            let name = name.extract::<String>().map_err(|_| {
                invalid(format!("a setting called {}", shown(&name)), "settings have names, which are strings")
            })?;
            options = options.set(name, value);
        }
        Ok(options)
    }
}

fn set<T>(options: TrainOptions, value: Option<T>, with: impl Fn(TrainOptions, T) -> TrainOptions) -> TrainOptions {
    match value {
        Some(value) => with(options, value),
        None => options,
    }
}
