//! Settings of students.

use super::Parts;
use crate::error::{Error, Result};
use crate::train::model::options::{Preset, TrainOptions};
use crate::train::model::settings::{self, Reader};
use crate::train::model::{Model, TeacherKind};
use crate::train::optim::estimator::Estimator;
use crate::train::optim::synthesis::Synthesis;
use crate::train::student::{Among, BiGear, BinCf, Discrete, Distillation, Listed, Penalty, Ranking, Ranks};

pub(super) fn discrete(reader: &Reader<'_>, base: Discrete) -> Discrete {
    Discrete {
        sweeps: reader.count(&settings::STUDENT_SWEEPS, base.sweeps),
        list: reader.count(&settings::STUDENT_LIST, base.list),
        emphasis: reader.number(&settings::STUDENT_EMPHASIS, base.emphasis),
    }
}

/// BiGeaR++, or with its model BiGeaR: a uniform negative and only the first list.
pub(super) fn bigear(reader: &Reader<'_>, options: &TrainOptions) -> Result<BiGear> {
    let is_plus = options.model != Model::Bigear;
    let hops = options.layers.unwrap_or(2) as usize;
    let pooled = !reader.switch(&settings::STUDENT_LAYERWISE, true);
    let segments = if pooled { 1 } else { hops + 1 };
    let width = options.code_bits() as usize / segments;
    if width * segments != options.code_bits() as usize || !width.is_multiple_of(64) {
        return Err(Error::InvalidArgument {
            what: format!("bits = {} in {segments} layers of equal width", options.code_bits()),
            remedy: format!("choose a multiple of {}", 64 * segments),
        });
    }
    let layer = |layer: usize| match reader.choice(
        &settings::STUDENT_WEIGHTS,
        &[("rising", 1), ("equal", 0), ("falling", -1)],
        1,
    ) {
        1 => (layer + 1) as f32 / (hops + 1) as f32,
        0 => 1.0,
        _ => (hops + 1 - layer) as f32 / (hops + 1) as f32,
    };
    let weights = (0..=hops).map(layer).collect();
    // Propagated layers are some hundredths large: to a much wider bell they are all alike, and the sign passes every gradient.
    let sharpness = reader.number(&settings::STUDENT_SHARPNESS, 8.0);
    let estimators = [
        ("dirac", Estimator::Dirac { sharpness }),
        ("clipped", Estimator::Clipped { range: 1.0 / sharpness }),
        ("tanh", Estimator::Tanh { sharpness }),
        ("sigmoid", Estimator::Sigmoid { sharpness }),
    ];
    let estimator = reader.choice(&settings::STUDENT_GRADIENT, &estimators, Estimator::Dirac { sharpness });
    let synthesis = match reader.switch(&settings::STUDENT_SYNTHESIS, is_plus) {
        true => Synthesis {
            candidates: reader.count(&settings::STUDENT_CANDIDATES, 8),
            most: reader.number(&settings::STUDENT_MIXTURE, 1.0),
        },
        false => Synthesis::NONE,
    };
    let distillations = [
        ("lists", Some(Distillation::Ranks)),
        ("kl", Some(Distillation::Divergence)),
        ("mse", Some(Distillation::Squares)),
        ("none", None),
    ];
    let distillation = reader.choice(&settings::STUDENT_DISTILLATION, &distillations, Some(Distillation::Ranks));
    let length = |switch, setting, on, default| match reader.switch(switch, on) {
        true => reader.count(setting, default),
        false => 0,
    };
    let ranking = distillation.map(|_| Ranking {
        first: length(&settings::STUDENT_BEST, &settings::STUDENT_BEST_LENGTH, true, 100),
        among: reader.choice(
            &settings::STUDENT_BEST_OF,
            &[("all", Among::All), ("interacted", Among::Interacted)],
            Among::All,
        ),
        second: length(&settings::STUDENT_PSEUDO, &settings::STUDENT_PSEUDO_LENGTH, is_plus, 50),
        lambda1: reader.number(&settings::STUDENT_LIST_WEIGHT, 1.0),
        lambda2: reader.number(&settings::STUDENT_LIST_DECAY, 0.1),
        noise: reader.number(&settings::STUDENT_NOISE, 0.0),
    });
    let epochs = match (options.preset, is_plus) {
        (Preset::Fast, _) => 2,
        (_, true) => 6,
        // A uniform negative tells less than one chosen from candidates, at a fraction of the time.
        (_, false) => 14,
    };
    Ok(BiGear {
        epochs: reader.count(&settings::STUDENT_EPOCHS, epochs),
        patience: reader.count(&settings::STUDENT_PATIENCE, 5),
        draws: reader.count(&settings::STUDENT_DRAWS, 4),
        rate: reader.number(&settings::STUDENT_RATE, 0.06),
        decay: reader.number(&settings::STUDENT_L2, 1e-4),
        weights,
        hops,
        width,
        pooled,
        estimator,
        synthesis,
        ranking,
        distillation: distillation.unwrap_or(Distillation::Ranks),
    })
}

/// The student of DGCN-BinCF with the paper's weights, but that the teacher's order weighs five times as much: a user's loss is a mean over the pairs of a step.
pub(super) fn bincf(reader: &Reader<'_>, options: &TrainOptions, parts: Parts) -> Result<BinCf> {
    let bits = options.code_bits();
    if parts.teacher == TeacherKind::GcnCf && !bits.is_multiple_of(3) && !reader.is_set(&settings::TEACHER_FACTORS) {
        return Err(Error::InvalidArgument {
            what: format!("bits = {bits} of the three layers of the teacher {}", parts.teacher),
            remedy: "choose a multiple of 192".to_owned(),
        });
    }
    let (count, number) = (|s, default| reader.count(s, default), |s, default| reader.number(s, default));
    let (weight, noise) = (number(&settings::STUDENT_RANK_WEIGHT, 50.0), number(&settings::STUDENT_NOISE_WEIGHT, 1e-3));
    let lists = [("both", Listed::Both), ("positives", Listed::Positives), ("negatives", Listed::Negatives)];
    Ok(BinCf {
        epochs: count(&settings::STUDENT_EPOCHS, if options.preset == Preset::Fast { 20 } else { 60 }),
        patience: count(&settings::STUDENT_PATIENCE, 10),
        batch: count(&settings::STUDENT_BATCH, 512),
        draws: count(&settings::STUDENT_DRAWS, 64),
        rate: number(&settings::STUDENT_RATE, 0.02),
        bits: bits as usize,
        centred: reader.switch(&settings::STUDENT_CENTRE, true),
        ranks: Ranks {
            weight,
            // What weighs nothing is read nothing of, so that nobody sets it in vain.
            temperature: if weight > 0.0 { number(&settings::STUDENT_TEMPERATURE, 1.0) } else { 1.0 },
            of: match weight > 0.0 {
                true => reader.choice(&settings::STUDENT_RANK_LISTS, &lists, Listed::Both),
                false => Listed::Both,
            },
        },
        penalty: Penalty {
            noise,
            temperature: if noise > 0.0 { number(&settings::STUDENT_NOISE_TEMPERATURE, 0.2) } else { 0.2 },
            bounds: number(&settings::STUDENT_BOX_WEIGHT, 1e-3),
        },
    })
}
