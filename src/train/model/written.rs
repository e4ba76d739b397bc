//! Options and choices as text: how a generation keeps what it was trained with.

use std::collections::BTreeMap;

use super::options::{Preset, TrainOptions};
use super::settings::SettingValue;

/// What precedes the name of a setting that the caller set.
const SET: &str = "set.";

impl TrainOptions {
    /// All options by name, but for the threads, on which nothing depends.
    pub(crate) fn written(&self) -> BTreeMap<String, String> {
        let mut written = BTreeMap::new();
        let mut write = |name: &str, value: String| drop(written.insert(name.to_owned(), value));
        let preset = match self.preset {
            Preset::Fast => "fast",
            Preset::Balanced => "balanced",
            Preset::Best => "best",
        };
        write("preset", preset.to_owned());
        write("query_planes", self.query_planes.to_string());
        write("seed", self.seed.to_string());
        write("model", self.model.to_string());
        let optional = [
            ("bits", self.bits.map(|bits| bits.to_string())),
            ("novelty", (self.novelty > 0.0).then(|| self.novelty.to_string())),
            ("half_life_ms", self.half_life_ms.map(|half_life| half_life.to_string())),
            ("layers", self.layers.map(|layers| layers.to_string())),
            ("teacher", self.teacher.map(|teacher| teacher.to_string())),
            ("student", self.student.map(|student| student.to_string())),
            ("sampler", self.sampler.map(|sampler| sampler.to_string())),
            ("loss", self.loss.map(|loss| loss.to_string())),
        ];
        for (name, value) in optional {
            value.into_iter().for_each(|value| write(name, value));
        }
        self.settings.iter().for_each(|(name, value)| write(&format!("{SET}{name}"), value.to_owned()));
        written
    }

    /// Reads them back; `None` where a value is none of this version.
    pub(crate) fn read(written: &BTreeMap<String, String>) -> Option<TrainOptions> {
        let preset = match written.get("preset")?.as_str() {
            "fast" => Preset::Fast,
            "balanced" => Preset::Balanced,
            "best" => Preset::Best,
            _ => return None,
        };
        let mut options = TrainOptions::new(preset);
        for (name, value) in written {
            match name.as_str() {
                "preset" => {}
                "bits" => options.bits = Some(value.parse().ok()?),
                "query_planes" => options.query_planes = value.parse().ok()?,
                "seed" => options.seed = value.parse().ok()?,
                "model" => options.model = value.parse().ok()?,
                "novelty" => options.novelty = value.parse().ok()?,
                "half_life_ms" => options.half_life_ms = Some(value.parse().ok()?),
                "layers" => options.layers = Some(value.parse().ok()?),
                "teacher" => options.teacher = Some(value.parse().ok()?),
                "student" => options.student = Some(value.parse().ok()?),
                "sampler" => options.sampler = Some(value.parse().ok()?),
                "loss" => options.loss = Some(value.parse().ok()?),
                name => options = options.set(name.strip_prefix(SET)?, value),
            }
        }
        options.validate().ok().map(|()| options)
    }
}

impl SettingValue {
    /// The value as a caller would set it.
    pub(crate) fn written(&self) -> String {
        match self {
            SettingValue::Switch(on) => if *on { "on" } else { "off" }.to_owned(),
            SettingValue::Number(number) => number.to_string(),
            SettingValue::Word(word) => word.clone(),
        }
    }

    /// Reads one back.
    pub(crate) fn read(written: &str) -> SettingValue {
        match (written, written.parse()) {
            ("on", _) => SettingValue::Switch(true),
            ("off", _) => SettingValue::Switch(false),
            (_, Ok(number)) => SettingValue::Number(number),
            (word, _) => SettingValue::Word(word.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Loss, Model, Sampler, TeacherKind};

    #[test]
    fn options_are_read_as_they_were_written_but_for_the_threads() {
        let plain = TrainOptions::new(Preset::Fast).bits(192).seed(u64::MAX);
        let rich = TrainOptions::new(Preset::Best)
            .model(Model::Mf)
            .teacher(TeacherKind::LightGcn)
            .loss(Loss::Bpr)
            .sampler(Sampler::Dynamic)
            .set("teacher.rate", 0.1 + 0.2)
            .set("refit", "on");
        let aged = TrainOptions::default().novelty(0.1).half_life(std::time::Duration::from_secs(7));
        for options in [TrainOptions::default(), plain, rich, aged] {
            let read = TrainOptions::read(&options.clone().threads(3).written());
            assert_eq!(read, Some(options));
        }
        let mut unknown = TrainOptions::default().written();
        unknown.insert("depth".to_owned(), "3".to_owned());
        assert_eq!(TrainOptions::read(&unknown), None);
    }

    #[test]
    fn values_are_read_to_the_last_bit() {
        for value in [f64::from(0.1f32), 1.0 / 3.0, 128.0] {
            let value = SettingValue::Number(value);
            assert_eq!(SettingValue::read(&value.written()), value);
        }
        assert_eq!(SettingValue::read("off"), SettingValue::Switch(false));
        assert_eq!(SettingValue::read("cosine"), SettingValue::Word("cosine".to_owned()));
    }
}
