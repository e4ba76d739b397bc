//! What a caller asks of a training.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::settings::Settings;
use super::size::Size;
use super::{Loss, Model, Sampler, StudentKind, TeacherKind};
use crate::code::{MAX_LAYERS, MAX_PLANES};
use crate::error::{Error, Result};

/// How much time a training may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Seconds for a million interactions: a short teacher and codes fitted once.
    Fast,
    /// A minute or a few for a million interactions: a longer teacher, averaged with neighbours of items and of users where each gains on held-out interactions,
    /// then all learned anew from all of them.
    Balanced,
    /// Some minutes for a million interactions: more of everything.
    Best,
}

/// Bits of a node at most: the map of fold-in has as many weights as their square, and learning it takes four times its memory in double
/// precision, 3 GiB at this width.
pub(crate) const MAX_BITS: u32 = 8192;
/// More threads than any machine this runs on has processors.
const MAX_THREADS: usize = 1024;

/// Options of [`train`](crate::train::train()). The defaults suit every graph; the recipe looks at size and density itself.
///
/// ```
/// use kithdb::{Preset, TrainOptions};
/// let options = TrainOptions::new(Preset::Fast).bits(512).layers(1).seed(7);
/// assert!(options.validate().is_ok());
/// ```
///
/// Another model, and a setting of it:
/// ```
/// use kithdb::{Model, Preset, TrainOptions};
/// let options = TrainOptions::new(Preset::Balanced).model(Model::Ials).set("teacher.factors", 96);
/// assert!(options.validate().is_ok());
/// assert!(options.set("teacher.rate", 0.01).validate().is_err(), "implicit ALS has no learning rate");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    pub(crate) preset: Preset,
    pub(crate) bits: Option<u32>,
    pub(crate) layers: Option<u32>,
    pub(crate) query_planes: u32,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) novelty: f32,
    pub(crate) half_life_ms: Option<u64>,
    pub(crate) model: Model,
    pub(crate) teacher: Option<TeacherKind>,
    pub(crate) student: Option<StudentKind>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) loss: Option<Loss>,
    pub(crate) settings: Settings,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions::new(Preset::Balanced)
    }
}

impl TrainOptions {
    /// 768 bits a node in one layer, four query planes, all threads, seed 1.
    pub fn new(preset: Preset) -> TrainOptions {
        TrainOptions {
            preset,
            bits: None,
            layers: None,
            query_planes: 4,
            threads: 0,
            seed: 1,
            memory_limit: None,
            novelty: 0.0,
            half_life_ms: None,
            model: Model::Recipe,
            teacher: None,
            student: None,
            sampler: None,
            loss: None,
            settings: Settings::default(),
        }
    }

    /// What is trained. Default [`Model::Recipe`].
    pub fn model(mut self, model: Model) -> TrainOptions {
        self.model = model;
        self
    }

    /// Replaces the model's teacher.
    pub fn teacher(mut self, teacher: TeacherKind) -> TrainOptions {
        self.teacher = Some(teacher);
        self
    }

    /// Replaces the model's student.
    pub fn student(mut self, student: StudentKind) -> TrainOptions {
        self.student = Some(student);
        self
    }

    /// Replaces the teacher's sampler of negatives.
    pub fn sampler(mut self, sampler: Sampler) -> TrainOptions {
        self.sampler = Some(sampler);
        self
    }

    /// Replaces the teacher's loss.
    pub fn loss(mut self, loss: Loss) -> TrainOptions {
        self.loss = Some(loss);
        self
    }

    /// Sets one of [`SETTINGS`](crate::train::SETTINGS) by name; a switch takes `"on"` or `"off"`. [`TrainOptions::validate`] tells whether there is
    /// such a setting, whether the value lies in its range, and whether the model reads it.
    pub fn set(mut self, setting: impl Into<String>, value: impl ToString) -> TrainOptions {
        self.settings.set(setting.into(), value.to_string());
        self
    }

    /// Bits of a node in all its layers together: a multiple of 64, at least 64 per layer and at most 8,192. Default 768, and 192 for
    /// [`Model::DgcnBinCf`].
    pub fn bits(mut self, bits: u32) -> TrainOptions {
        self.bits = Some(bits);
        self
    }

    /// Hops of propagation, of a teacher that propagates and of the code, which has one layer more; where the code is signs of a teacher whose hops are
    /// averaged, it has one layer. By default a teacher has 3 hops (LightGCN and its kin, NGCF, SpectralCF) or 2 (BiGeaR, PinSage, L2Q-GCN), GCN-CF always
    /// two, and codes that are fitted to a teacher's scores have one layer.
    pub fn layers(mut self, hops: u32) -> TrainOptions {
        self.layers = Some(hops);
        self
    }

    /// Bit planes kept of every user, 1 to 8; a query may use fewer. Default 4.
    pub fn query_planes(mut self, planes: u32) -> TrainOptions {
        self.query_planes = planes;
        self
    }

    /// Worker threads; 0, the default, takes one a processor. The result does not depend on it.
    pub fn threads(mut self, threads: usize) -> TrainOptions {
        self.threads = threads;
        self
    }

    /// Seed of all random numbers. Default 1.
    pub fn seed(mut self, seed: u64) -> TrainOptions {
        self.seed = seed;
        self
    }

    /// How much less popular items are recommended, 0 to 1: every score is divided by the item's number of interactions to this power. Default 0.
    /// What it gives in coverage and takes in recall is in `benches/RESULTS.md`; from about 0.3 on items with one or two interactions come up in lists of
    /// similar items, which at 0.5 they head. The recall a training reports is without it.
    pub fn novelty(mut self, novelty: f32) -> TrainOptions {
        self.novelty = novelty;
        self
    }

    /// How long it takes for an interaction to count half as much, to the millisecond; an age is counted from the newest time that is stored, and what has no time
    /// is as new as that. Weights, decayed or not, are confidences (Hu, Koren, Volinsky 2008): how much it costs a teacher to miss an interaction, in
    /// shares of the mean of all. They steer implicit ALS and neighbours, and through their scores the codes; neighbours also predict by less from what is older
    /// than the same user's newest. Teachers trained by gradients know none of it. Default: no decay.
    pub fn half_life(mut self, half_life: Duration) -> TrainOptions {
        self.half_life_ms = Some(u64::try_from(half_life.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Bytes that a training may hold. One that by its [estimate](TrainOptions::estimate) would hold more is refused before it starts. Default: what
    /// the [database](crate::Options::memory_limit) says, which is no limit unless it is given one.
    pub fn memory_limit(mut self, bytes: u64) -> TrainOptions {
        self.memory_limit = Some(bytes);
        self
    }

    /// Checks every option, and all of them together.
    ///
    /// # Errors
    /// `InvalidArgument`, which names the option and its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |what: String, remedy: String| Err(Error::InvalidArgument { what, remedy });
        let hops = self.hops();
        if hops as usize >= MAX_LAYERS {
            return refuse(format!("layers = {hops}"), format!("choose 0 to {} hops", MAX_LAYERS - 1));
        }
        let bits = self.code_bits();
        if !bits.is_multiple_of(64) || bits == 0 || bits > MAX_BITS {
            let limit = "memory for the map of fold-in grows with their square";
            return refuse(format!("bits = {bits}"), format!("choose a multiple of 64 from 64 to {MAX_BITS}: {limit}"));
        }
        if self.threads > MAX_THREADS {
            return refuse(
                format!("threads = {}", self.threads),
                format!("choose at most {MAX_THREADS}, or 0 for all"),
            );
        }
        if !(1..=MAX_PLANES).contains(&self.query_planes) {
            return refuse(format!("query_planes = {}", self.query_planes), format!("choose 1 to {MAX_PLANES}"));
        }
        if !(0.0..=1.0).contains(&self.novelty) {
            return refuse(format!("novelty = {}", self.novelty), "choose a number from 0 to 1".to_owned());
        }
        if self.half_life_ms == Some(0) {
            return refuse("half_life = 0".to_owned(), "choose at least a millisecond, or no half-life".to_owned());
        }
        self.settings.validate()?;
        // Of a graph a plan takes only defaults: what fits one of any size fits one without interactions.
        Plan::new(self, Size::default()).map(drop)
    }

    /// The half-life of interactions, if they have one.
    pub(crate) fn decay(&self) -> Option<Duration> {
        self.half_life_ms.map(Duration::from_millis)
    }

    /// Bits of a node.
    pub(crate) fn code_bits(&self) -> u32 {
        self.bits.unwrap_or(match self.model {
            Model::DgcnBinCf => 192,
            _ => 768,
        })
    }

    /// Hops of propagation.
    pub(crate) fn hops(&self) -> u32 {
        let hops = match self.model {
            Model::Bigear | Model::BigearPlus => 2,
            _ => 0,
        };
        self.layers.unwrap_or(hops)
    }

    /// Width of every layer: each hop gets a sixth of the bits, in whole words and at least one, and layer 0 the rest.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let bits = self.code_bits() as usize;
        let hops = self.hops() as usize;
        let hop = (bits / 6 / 64 * 64).max(64);
        let mut widths = vec![hop; hops + 1];
        widths[0] = bits.saturating_sub(hop * hops);
        if widths[0] < hop {
            let words = bits / 64;
            widths =
                (0..=hops).map(|layer| 64 * (words / (hops + 1) + usize::from(layer < words % (hops + 1)))).collect();
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_words_that_add_up() {
        for layers in 0..6 {
            for bits in (64 * (layers + 1)..2048).step_by(64) {
                let options = TrainOptions::new(Preset::Fast).bits(bits).layers(layers);
                options.validate().unwrap();
                let widths = options.widths();
                assert_eq!(widths.len(), layers as usize + 1);
                assert_eq!(widths.iter().sum::<usize>(), bits as usize, "{bits} {layers} {widths:?}");
                assert!(widths.iter().all(|width| *width > 0 && width % 64 == 0), "{bits} {layers} {widths:?}");
            }
        }
        assert_eq!(TrainOptions::default().layers(2).widths(), [512, 128, 128]);
    }

    #[test]
    fn options_written_before_an_option_came_are_read_with_its_default() {
        let written = [("query_planes", 2u32), ("seed", 9)].into_iter();
        let read = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(written);
        let options = TrainOptions::deserialize(read).unwrap();
        assert_eq!(options, TrainOptions::default().query_planes(2).seed(9));
    }

    #[test]
    fn every_model_takes_its_defaults() {
        for name in Model::NAMES {
            TrainOptions::default().model(name.parse().unwrap()).validate().unwrap();
        }
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let base = || TrainOptions::new(Preset::Balanced);
        for bad in [
            base().bits(0),
            base().bits(100),
            base().bits(128).layers(2),
            base().bits(1 << 30),
            base().bits(65_536),
            base().bits(8256),
        ] {
            let text = bad.validate().unwrap_err().to_string();
            assert!(text.contains("bits") && text.contains("8192"), "{text}");
        }
        let error = base().set("teacher.rate", 0.1).validate().unwrap_err().to_string();
        assert!(error.contains("teacher.rate") && error.contains("teacher.factors"), "{error}");
        let many = base().model(Model::OneBp).set("teacher.negatives", 1 << 20);
        assert!(many.validate().unwrap_err().to_string().contains("teacher.batch"));
        assert!(base().model(Model::OneBp).set("teacher.negatives", 1 << 12).validate().is_ok());
        assert!(base().loss(Loss::Bpr).validate().unwrap_err().to_string().contains("loss"));
        assert!(base().layers(1000).validate().unwrap_err().to_string().contains("layers"));
        assert!(base().novelty(-0.1).validate().is_err() && base().novelty(f32::NAN).validate().is_err());
        assert!(base().half_life(Duration::ZERO).validate().unwrap_err().to_string().contains("half_life"));
        let day = Duration::from_secs(86_400);
        assert!(base().half_life(day).validate().is_ok() && base().model(Model::Mf).half_life(day).validate().is_err());
        assert!(base().query_planes(0).validate().is_err() && base().query_planes(9).validate().is_err());
    }
}
