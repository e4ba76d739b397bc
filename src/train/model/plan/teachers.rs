//! Settings of teachers.

use super::Parts;
use crate::error::{Error, Result};
use crate::train::model::options::{Preset, TrainOptions};
use crate::train::model::settings::{self, Reader};
use crate::train::model::size::Size;
use crate::train::model::{Loss, Model, Sampler, StudentKind, TeacherKind};
use crate::train::optim::mixing::Mixing;
use crate::train::teacher::{
    Activation, Descent, GcnCf, ImplicitAls, L2q, LightGcn, MaskGradient, Masking, Mf, Ngcf, OneBp, PinSage, Pooling,
    Side, SpectralCf, Teacher,
};

/// Positives of a user an epoch draws by default at most: steps cost a propagation each, and more pairs in one add little to it.
const MOST_DRAWS: usize = 32;
/// As many with negatives synthesised element by element, where a pair costs as much as its candidates.
const MOST_SYNTHESISED: usize = 8;

/// Epochs of the OneBP that tables start from.
const START_EPOCHS: usize = 20;

/// Pairs of a step of OneBP by default at most, and negatives of so many.
const MOST_PAIRS: usize = 1 << 14;
const MOST_NEGATIVES: usize = 1 << 12;

/// Negatives of all positives drawn of a user at most.
const MAX_PAIRS: usize = 1 << 20;

/// The teacher of some parts, by its settings and those that `base` and the size of the graph give it.
///
/// # Errors
/// `InvalidArgument` for a combination that does not exist.
pub(super) fn made(
    reader: &Reader<'_>,
    options: &TrainOptions,
    parts: Parts,
    (base, size): (ImplicitAls, Size),
) -> Result<Box<dyn Teacher>> {
    Ok(match parts.teacher {
        TeacherKind::Ials => Box::new(ials(reader, base)),
        TeacherKind::Mf => Box::new(Mf { descent: descent(reader, options, parts, None, size)? }),
        TeacherKind::OneBp => {
            let epochs = if options.preset == Preset::Fast { 15 } else { 50 };
            Box::new(onebp(reader, base_onebp(64, epochs, size))?)
        }
        TeacherKind::LightGcn => {
            let weighted = parts.student == StudentKind::Bigear;
            let pooling = if weighted { Pooling::Weighted } else { Pooling::Mean };
            let pooling = reader.choice(
                &settings::TEACHER_POOLING,
                &[("mean", Pooling::Mean), ("weighted", Pooling::Weighted)],
                pooling,
            );
            let hops = options.layers.map_or(if pooling == Pooling::Mean { 3 } else { 2 }, |hops| hops as usize);
            let descent = descent(reader, options, parts, Some((hops, pooling)), size)?;
            if descent.cosine && pooling == Pooling::Weighted {
                return Err(Error::InvalidArgument {
                    what: "cosines of weighted layers".to_owned(),
                    remedy: "set teacher.similarity=dot or teacher.pooling=mean".to_owned(),
                });
            }
            // Negatives that are mixed hop by hop are scored hop by hop, though the hops' mean is what comes of it.
            let is_apart = pooling == Pooling::Mean && descent.mixing.is_some();
            if descent.cosine && is_apart {
                return Err(Error::InvalidArgument {
                    what: "cosines of the mean of hops that are mixed apart".to_owned(),
                    remedy: "set teacher.similarity=dot or teacher.mixing=element".to_owned(),
                });
            }
            Box::new(LightGcn { descent, hops, pooling, masking: masking(reader, options, hops)?, is_apart })
        }
        TeacherKind::Ngcf => {
            let hops = hops_up_to(options, parts.teacher, 3, Ngcf::HOPS)?;
            let descent = descent(reader, options, parts, Some((hops, Pooling::Mean)), size)?;
            Box::new(Ngcf { descent, hops, masking: masking(reader, options, hops)? })
        }
        TeacherKind::L2q => {
            let hops = options.layers.map_or(2, |hops| hops as usize);
            // Its layers are the codes.
            let descent = descent(reader, options, parts, Some((hops, Pooling::Weighted)), size)?;
            let annealing = anneals(reader, options);
            let steepness = |setting, default| reader.number(setting, default);
            let annealing = annealing.then(|| {
                (steepness(&settings::TEACHER_STEEPNESS, 4.0), steepness(&settings::TEACHER_LAST_STEEPNESS, 32.0))
            });
            let quantised = reader.switch(&settings::TEACHER_QUANTISED, true);
            Box::new(L2q {
                descent,
                hops,
                scaled: quantised && reader.switch(&settings::TEACHER_SCALED, options.model == Model::L2qAnl),
                annealing,
                quantised,
                inside: !quantised || reader.switch(&settings::TEACHER_INSIDE, true),
            })
        }
        TeacherKind::PinSage => {
            let hops = hops_up_to(options, parts.teacher, 2, PinSage::HOPS)?;
            let descent = descent(reader, options, parts, Some((hops, Pooling::Mean)), size)?;
            let fanout = reader.count(&settings::TEACHER_FANOUT, 10);
            Box::new(PinSage::new(descent, hops, fanout))
        }
        TeacherKind::GcnCf => Box::new(GcnCf {
            descent: spectral(reader, options, parts, size, 2)?,
            activation: activation(reader),
            crossed: reader.switch(&settings::TEACHER_CROSSES, true),
            normalised: reader.switch(&settings::TEACHER_NORMALISE, true),
        }),
        TeacherKind::SpectralCf => {
            let hops = hops_up_to(options, parts.teacher, 3, SpectralCf::HOPS)?;
            let descent = spectral(reader, options, parts, size, hops)?;
            Box::new(SpectralCf { descent, hops, activation: activation(reader) })
        }
    })
}

fn ials(reader: &Reader<'_>, base: ImplicitAls) -> ImplicitAls {
    ImplicitAls {
        factors: reader.count(&settings::TEACHER_FACTORS, base.factors),
        sweeps: reader.count(&settings::TEACHER_SWEEPS, base.sweeps),
        steps: reader.count(&settings::TEACHER_STEPS, base.steps),
        unobserved: reader.number(&settings::TEACHER_UNOBSERVED, base.unobserved),
        regularisation: reader.number(&settings::TEACHER_REGULARISATION, base.regularisation),
        exponent: reader.number(&settings::TEACHER_EXPONENT, base.exponent),
    }
}

/// The masks of edges, if they are learned.
fn masking(reader: &Reader<'_>, options: &TrainOptions, hops: usize) -> Result<Option<Masking>> {
    if !reader.switch(&settings::TEACHER_MASKS, options.model == Model::Sgcn) {
        return Ok(None);
    }
    if hops == 0 {
        return Err(Error::InvalidArgument {
            what: "masks of no hops' edges".to_owned(),
            remedy: "choose at least one layer, or leave the masks out".to_owned(),
        });
    }
    let gradients = [("arm", MaskGradient::Arm), ("pathwise", MaskGradient::Pathwise)];
    let nuclear = reader.number(&settings::TEACHER_MASK_NUCLEAR, 1e-4);
    Ok(Some(Masking {
        start: reader.number(&settings::TEACHER_MASK_START, 3.0),
        gradient: reader.choice(&settings::TEACHER_MASK_GRADIENT, &gradients, MaskGradient::Arm),
        sparsity: reader.number(&settings::TEACHER_MASK_SPARSITY, 1e-7),
        nuclear,
        rank: if nuclear > 0.0 { reader.count(&settings::TEACHER_MASK_RANK, 8) } else { 0 },
    }))
}

/// Settings of a teacher of spectral convolutions. As many columns a layer as the student bincf has bits for it, which then starts from vectors as they are.
fn spectral(reader: &Reader<'_>, options: &TrainOptions, parts: Parts, size: Size, hops: usize) -> Result<Descent> {
    let base = descent(reader, options, parts, Some((hops, Pooling::Mean)), size)?;
    let layers = if parts.teacher == TeacherKind::GcnCf { 3 } else { hops + 1 };
    let factors = match parts.student {
        StudentKind::BinCf => (options.code_bits() as usize / layers).max(1),
        _ => 64,
    };
    let factors = reader.count(&settings::TEACHER_FACTORS, factors);
    let start = base.start.map(|start| OneBp { factors, ..start });
    let l2_of_layers = reader.choice(&settings::TEACHER_L2_OF, &[("table", false), ("layers", true)], false);
    let descent = Descent { factors, start, l2_of_layers, ..base };
    if parts.teacher == TeacherKind::SpectralCf || parts.loss == Loss::Softmax {
        return Ok(descent);
    }
    // Normalised inputs do not shrink with the table, so that its penalty only holds back the table's own, free part of the scores.
    let number = |setting, default| reader.number(setting, default);
    let epochs = if options.preset == Preset::Fast { 30 } else { 60 };
    Ok(Descent {
        epochs: reader.count(&settings::TEACHER_EPOCHS, epochs),
        // The last epochs, at a low rate, gain most.
        patience: reader.count(&settings::TEACHER_PATIENCE, 25),
        rate: number(&settings::TEACHER_RATE, 0.03),
        l2: number(&settings::TEACHER_L2, 0.3),
        ..descent
    })
}

fn activation(reader: &Reader<'_>) -> Activation {
    let activations = [
        ("sigmoid", Activation::Sigmoid),
        ("tanh", Activation::Tanh),
        ("relu", Activation::Relu),
        ("identity", Activation::Identity),
    ];
    reader.choice(&settings::TEACHER_ACTIVATION, &activations, Activation::Sigmoid)
}

/// The width of each of so many layers that share so many bits, in whole words.
pub(super) fn in_words(bits: usize, layers: usize) -> usize {
    (bits / layers.max(1) / 64 * 64).max(64)
}

/// Hops of a teacher whose hops have matrices.
fn hops_up_to(options: &TrainOptions, teacher: TeacherKind, default: usize, most: usize) -> Result<usize> {
    let hops = options.layers.map_or(default, |hops| hops as usize);
    match hops <= most {
        true => Ok(hops),
        false => Err(Error::InvalidArgument {
            what: format!("{hops} layers with the teacher {teacher}"),
            remedy: format!("choose at most {most}"),
        }),
    }
}

/// OneBP with the paper's negatives and momentum, for vectors of a width.
fn base_onebp(factors: usize, epochs: usize, size: Size) -> OneBp {
    OneBp {
        factors,
        epochs,
        patience: 5,
        stop: None,
        rate: 0.01,
        l2: 1e-3,
        // A step looks over all nodes once, so that larger graphs take larger ones.
        batch: (size.edges / 500).clamp(1024, MOST_PAIRS),
        negatives: 5,
        momentum: 0.99,
        learned: Side::Items,
    }
}

fn onebp(reader: &Reader<'_>, base: OneBp) -> Result<OneBp> {
    let model = OneBp {
        factors: reader.count(&settings::TEACHER_FACTORS, base.factors),
        epochs: reader.count(&settings::TEACHER_EPOCHS, base.epochs),
        patience: reader.count(&settings::TEACHER_PATIENCE, base.patience),
        stop: None,
        rate: reader.number(&settings::TEACHER_RATE, base.rate),
        l2: reader.number(&settings::TEACHER_L2, base.l2),
        batch: reader.count(&settings::TEACHER_BATCH, base.batch),
        negatives: reader.count(&settings::TEACHER_NEGATIVES, base.negatives),
        momentum: reader.number(&settings::TEACHER_MOMENTUM, base.momentum),
        learned: match reader.switch(&settings::TEACHER_FLIPPED, base.learned == Side::Users) {
            true => Side::Users,
            false => Side::Items,
        },
    };
    // What the graph decides is at most this, so that the answer does not depend on it.
    let batch = if reader.is_set(&settings::TEACHER_BATCH) { model.batch } else { MOST_PAIRS };
    if batch.saturating_mul(model.negatives) > MOST_PAIRS * MOST_NEGATIVES {
        return Err(Error::InvalidArgument {
            what: format!("teacher.negatives = {} with {batch} pairs a step", model.negatives),
            remedy: format!(
                "choose a product of at most {}, by teacher.batch or teacher.negatives: a step holds as many in memory",
                MOST_PAIRS * MOST_NEGATIVES
            ),
        });
    }
    Ok(model)
}

/// Whether L2Q-GCN takes signs, whose gradients are annealed.
fn anneals(reader: &Reader<'_>, options: &TrainOptions) -> bool {
    reader.switch(&settings::TEACHER_QUANTISED, true)
        && reader.switch(&settings::TEACHER_ANNEALING, options.model == Model::L2qAnl)
}

/// Settings of a gradient teacher on a graph, behind `hops` of propagation if any.
fn descent(
    reader: &Reader<'_>,
    options: &TrainOptions,
    parts: Parts,
    hops: Option<(usize, Pooling)>,
    size: Size,
) -> Result<Descent> {
    let Parts { sampler, loss, .. } = parts;
    let is_softmax = loss == Loss::Softmax;
    let is_fast = options.preset == Preset::Fast;
    let is_dense = size.density() > 0.01;
    let weighted = hops.filter(|(_, pooling)| *pooling == Pooling::Weighted);
    // Layers that become codes as they are have the codes' width. Means of hops are smooth, so they need more columns than free vectors.
    let mean = if hops.is_some() && !is_fast { 128 } else { 64 };
    let factors = weighted.map_or(mean, |(hops, _)| in_words(options.code_bits() as usize, hops + 1));
    let similarities = [("dot", false), ("cosine", true)];
    let cosine = reader.choice(&settings::TEACHER_SIMILARITY, &similarities, is_softmax && weighted.is_none());
    // A step of propagation costs the same for any number of users. The softmax loss, over all positives of a user, needs more steps an epoch.
    let steps = if is_softmax { 32 } else { 8 };
    let batch = if hops.is_some() { (size.active / steps).next_multiple_of(512).clamp(512, 4096) } else { 512 };
    // The harder the negatives, the less is overfitted.
    let (epochs, rate, l2) = match loss {
        Loss::Softmax if hops.is_some() => (40, if is_dense { 0.05 } else { 0.1 }, 0.0),
        Loss::Softmax => (150, 0.05, 0.0),
        Loss::Bpr => (120, 0.03, 1e-2),
        Loss::KBpr | Loss::InfoNce => (60, 0.03, 1e-3),
    };
    // Steep slopes let little through.
    let rate = if parts.teacher == TeacherKind::L2q && anneals(reader, options) { 0.1 } else { rate };
    let (count, number) = (|s, default| reader.count(s, default), |s, default| reader.number(s, default));
    let factors = count(&settings::TEACHER_FACTORS, factors);
    let is_started = reader.choice(&settings::TEACHER_START, &[("normal", false), ("onebp", true)], false);
    let start_epochs = is_started.then(|| count(&settings::TEACHER_START_EPOCHS, START_EPOCHS));
    let start = start_epochs.map(|epochs| base_onebp(factors, epochs, size));
    let mixing = match sampler {
        Sampler::Synthesised => mixing(reader, options.model),
        _ => None,
    };
    let descent = Descent {
        factors,
        start,
        epochs: count(&settings::TEACHER_EPOCHS, if is_fast { 30 } else { epochs }),
        patience: count(&settings::TEACHER_PATIENCE, 5),
        stop: None,
        rate: number(&settings::TEACHER_RATE, rate),
        l2: number(&settings::TEACHER_L2, l2),
        l2_of_layers: false,
        batch: count(&settings::TEACHER_BATCH, batch),
        loss,
        sampler,
        candidates: match sampler {
            Sampler::Dynamic | Sampler::Synthesised => {
                count(&settings::TEACHER_CANDIDATES, if mixing.is_some() { 16 } else { 8 })
            }
            _ => 1,
        },
        mixing,
        popularity: match sampler {
            Sampler::Popularity => number(&settings::TEACHER_POPULARITY, 0.5),
            _ => 0.0,
        },
        draws: match loss {
            Loss::Softmax => 1,
            _ => {
                let is_dear = sampler == Sampler::Synthesised && mixing.is_none();
                let most = if is_dear { MOST_SYNTHESISED } else { MOST_DRAWS };
                count(&settings::TEACHER_DRAWS, (size.edges / size.active.max(1)).clamp(1, most))
            }
        },
        negatives: match loss {
            Loss::KBpr => count(&settings::TEACHER_NEGATIVES, if mixing.is_some() { 1 } else { 4 }),
            Loss::InfoNce => count(&settings::TEACHER_NEGATIVES, 16),
            Loss::Bpr | Loss::Softmax => 1,
        },
        pool: count(&settings::TEACHER_POOL, if is_softmax { (size.touched / 4).clamp(2048, 8192) } else { 512 }),
        cosine,
        length: cosine
            .then(|| number(&settings::TEACHER_LENGTH, 0.0))
            .filter(|_| reader.is_set(&settings::TEACHER_LENGTH)),
        equal_users: match loss {
            Loss::Softmax => reader.choice(&settings::TEACHER_USERS, &[("equal", true), ("pairs", false)], false),
            _ => true,
        },
        temperature: match (loss, cosine) {
            (Loss::Softmax | Loss::InfoNce, true) => {
                number(&settings::TEACHER_TEMPERATURE, if is_dense { 0.15 } else { 0.1 })
            }
            (Loss::Softmax | Loss::InfoNce, false) => number(&settings::TEACHER_TEMPERATURE, 1.0),
            _ => 1.0,
        },
    };
    // What the graph decides is at most this, so that the answer does not depend on it.
    let draws = if reader.is_set(&settings::TEACHER_DRAWS) { descent.draws } else { MOST_DRAWS };
    let negatives = descent.negatives;
    if draws * negatives > MAX_PAIRS {
        return Err(Error::InvalidArgument {
            what: format!("teacher.draws = {draws} with teacher.negatives = {negatives}"),
            remedy: format!(
                "choose a product of at most {MAX_PAIRS}: a block of users holds 512 times as many in memory"
            ),
        });
    }
    Ok(descent)
}

/// How negatives are mixed hop by hop; `None` for element by element.
fn mixing(reader: &Reader<'_>, model: Model) -> Option<Mixing> {
    let mixings = [("hop", Some(true)), ("element", None), ("off", Some(false))];
    let is_bigear = matches!(model, Model::Bigear | Model::BigearPlus);
    let positive = reader.choice(&settings::TEACHER_MIXING, &mixings, if is_bigear { None } else { Some(true) })?;
    Some(Mixing { positive, hops: reader.switch(&settings::TEACHER_HOP_MIXING, true) })
}
