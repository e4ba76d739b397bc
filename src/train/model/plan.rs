//! From options to the parts of one training.

use super::options::{MAX_BITS, Preset, TrainOptions};
use super::recipe::Recipe;
use super::settings::{self, Reader, SettingValue};
use super::size::Size;
use super::{Loss, Model, Sampler, StudentKind, TeacherKind};
use crate::code::CodeShape;
use crate::error::{Error, Result};
use crate::train::optim::estimator::Estimator;
use crate::train::optim::mixing::Mixing;
use crate::train::optim::synthesis::Synthesis;
use crate::train::student::{
    Among, BiGear, BinCf, Discrete, Distillation, Listed, Penalty, Ranking, Ranks, Signs, Student,
};
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

/// Regularisations of neighbours to choose from, as shares of what the recipe says.
const RIDGES: [f32; 2] = [1.0, 0.25];

/// Pairs of a step of OneBP by default at most, and negatives of so many.
const MOST_PAIRS: usize = 1 << 14;
const MOST_NEGATIVES: usize = 1 << 12;

/// Negatives of all positives drawn of a user at most.
const MAX_PAIRS: usize = 1 << 20;

/// The parts of a training, made for one graph: a teacher gives layers, a coding makes tables of signs of them, a student trains these.
pub(crate) struct Plan {
    pub(crate) teacher: Box<dyn Teacher>,
    /// Whether to look for more regularisation on the held-out interactions.
    pub(crate) search: bool,
    /// Regularisations to choose from of the neighbours to be added to the teacher, if any.
    pub(crate) neighbours: Option<Vec<f32>>,
    /// Hops added to what the teacher gives.
    pub(crate) hops: usize,
    pub(crate) coding: Coding,
    pub(crate) student: Box<dyn Student>,
    pub(crate) refit: bool,
    /// What was chosen, by name.
    pub(crate) settings: Vec<(String, SettingValue)>,
}

/// How the layers of a teacher become the tables a student starts from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Coding {
    /// Every layer rotated to a width, with scalers that estimate the teacher's scores.
    Estimating { widths: Vec<usize> },
    /// The signs of every layer, as it is or rotated to a width; the scalers are mean magnitudes.
    Signs { rotated: bool, widths: Vec<usize>, weights: Vec<f32> },
    /// What BiGeaR makes of the teacher's first layer before it is trained.
    BiGear(BiGear),
    /// The signs of the teacher's vectors, all its layers side by side, which DGCN-BinCF starts from.
    BinCf(BinCf),
}

impl Coding {
    /// The signs of a teacher's layers: as they are, or rotated to layers of equal width, in whole words and of at most `bits` in all.
    fn signs(teacher: &dyn Teacher, bits: usize, rotated: bool) -> Coding {
        let (mut widths, scores) = teacher.layers();
        if rotated {
            let width = (bits / widths.len().max(1) / 64 * 64).max(64);
            widths.fill(width);
        }
        Coding::Signs { rotated, widths, weights: scores.iter().map(|score| score.sqrt()).collect() }
    }

    /// The shape of the codes.
    ///
    /// # Errors
    /// When there are too many bits.
    pub(crate) fn shape(&self) -> Result<CodeShape> {
        let (widths, weights) = match self {
            Coding::Estimating { widths } => (widths, vec![1.0; widths.len()]),
            Coding::Signs { widths, weights, .. } => (widths, weights.clone()),
            Coding::BiGear(model) => (&model.widths(), model.segment_weights()),
            Coding::BinCf(model) => (&vec![model.bits], vec![1.0]),
        };
        Ok(CodeShape::new(widths.iter().map(|&width| width as u32).collect(), weights)?)
    }
}

impl Plan {
    /// Chooses the parts and their settings. The recipe and its parts look at the size of the graph for defaults; which settings are read, and whether a
    /// combination exists, does not depend on it.
    ///
    /// # Errors
    /// `InvalidArgument` for a combination that does not exist, and for a setting that nothing reads.
    pub(crate) fn new(options: &TrainOptions, size: Size) -> Result<Plan> {
        let reader = Reader::new(&options.settings);
        let parts = Parts::new(options);
        let recipe = Recipe::new(options, size);
        let is_gradient = parts.teacher != TeacherKind::Ials;
        if parts.loss == Loss::Softmax && matches!(parts.sampler, Sampler::Dynamic | Sampler::Synthesised) {
            return Err(Error::InvalidArgument {
                what: format!("the sampler {} with the loss softmax, whose negatives are shared", parts.sampler),
                remedy: "choose the sampler uniform or popularity, or the loss bpr, k-bpr or infonce".to_owned(),
            });
        }
        for (given, name) in [(options.loss.is_some(), "loss"), (options.sampler.is_some(), "sampler")] {
            if given && matches!(parts.teacher, TeacherKind::Ials | TeacherKind::OneBp) {
                return Err(Error::InvalidArgument {
                    what: format!("a {name} for the teacher {}", parts.teacher),
                    remedy: "leave it out, or choose a teacher that is trained by gradients, as mf or lightgcn"
                        .to_owned(),
                });
            }
        }
        if is_gradient && options.half_life_ms.is_some() {
            return Err(Error::InvalidArgument {
                what: format!("a half-life for the teacher {}, which takes all interactions alike", parts.teacher),
                remedy: "leave it out, or choose the teacher ials".to_owned(),
            });
        }
        let search = !reader.is_set(&settings::TEACHER_REGULARISATION);
        let teacher: Box<dyn Teacher> = match parts.teacher {
            TeacherKind::Ials => Box::new(ials(&reader, recipe.teacher)),
            TeacherKind::Mf => Box::new(Mf { descent: descent(&reader, options, parts, None, size)? }),
            TeacherKind::OneBp => {
                let epochs = if options.preset == Preset::Fast { 15 } else { 50 };
                Box::new(onebp(&reader, base_onebp(64, epochs, size))?)
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
                let descent = descent(&reader, options, parts, Some((hops, pooling)), size)?;
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
                Box::new(LightGcn { descent, hops, pooling, masking: masking(&reader, options, hops)?, is_apart })
            }
            TeacherKind::Ngcf => {
                let hops = hops_up_to(options, parts.teacher, 3, Ngcf::HOPS)?;
                let descent = descent(&reader, options, parts, Some((hops, Pooling::Mean)), size)?;
                Box::new(Ngcf { descent, hops, masking: masking(&reader, options, hops)? })
            }
            TeacherKind::L2q => {
                let hops = options.layers.map_or(2, |hops| hops as usize);
                // Its layers are the codes.
                let descent = descent(&reader, options, parts, Some((hops, Pooling::Weighted)), size)?;
                let annealing = anneals(&reader, options);
                let steepness = |setting, default| reader.number(setting, default);
                let annealing = annealing.then(|| {
                    (steepness(&settings::TEACHER_STEEPNESS, 4.0), steepness(&settings::TEACHER_LAST_STEEPNESS, 32.0))
                });
                let quantised = reader.switch(&settings::TEACHER_QUANTISED, true);
                Box::new(L2q {
                    descent,
                    hops,
                    annealing,
                    quantised,
                    inside: reader.switch(&settings::TEACHER_INSIDE, true),
                })
            }
            TeacherKind::PinSage => {
                let hops = hops_up_to(options, parts.teacher, 2, PinSage::HOPS)?;
                let descent = descent(&reader, options, parts, Some((hops, Pooling::Mean)), size)?;
                let fanout = reader.count(&settings::TEACHER_FANOUT, 10);
                Box::new(PinSage::new(descent, hops, fanout))
            }
            TeacherKind::GcnCf => Box::new(GcnCf {
                descent: spectral(&reader, options, parts, size, 2)?,
                activation: activation(&reader),
                crossed: reader.switch(&settings::TEACHER_CROSSES, true),
                normalised: reader.switch(&settings::TEACHER_NORMALISE, true),
            }),
            TeacherKind::SpectralCf => {
                let hops = hops_up_to(options, parts.teacher, 3, SpectralCf::HOPS)?;
                let descent = spectral(&reader, options, parts, size, hops)?;
                Box::new(SpectralCf { descent, hops, activation: activation(&reader) })
            }
        };
        let (coding, hops, student): (_, _, Box<dyn Student>) = match parts.student {
            StudentKind::Discrete => {
                let widths = options.widths();
                let hops = widths.len() - 1;
                (Coding::Estimating { widths }, hops, Box::new(discrete(&reader, recipe.student)))
            }
            StudentKind::Signs => {
                if !parts.teacher.has_hops() && options.layers.is_some_and(|hops| hops > 0) {
                    return Err(Error::InvalidArgument {
                        what: format!("layers with the teacher {} and the student signs", parts.teacher),
                        remedy: "leave them out, or choose the student discrete".to_owned(),
                    });
                }
                let is_coded = parts.teacher == TeacherKind::L2q;
                let rotated = reader.choice(&settings::ROTATION, &[("random", true), ("none", false)], !is_coded);
                (Coding::signs(teacher.as_ref(), options.code_bits() as usize, rotated), 0, Box::new(Signs))
            }
            StudentKind::Bigear => {
                let student = bigear(&reader, options)?;
                // A teacher that propagates gives the layers itself.
                let hops = (student.hops + 1).saturating_sub(teacher.layers().0.len());
                (Coding::BiGear(student.clone()), hops, Box::new(student))
            }
            StudentKind::BinCf => {
                let student = bincf(&reader, options, parts)?;
                (Coding::BinCf(student.clone()), 0, Box::new(student))
            }
        };
        let bits = coding.shape()?.bits();
        if bits > u64::from(MAX_BITS) {
            return Err(Error::InvalidArgument {
                what: format!("codes of {bits} bits"),
                remedy: format!(
                    "choose fewer factors or layers, for at most {MAX_BITS} bits: memory for the map of fold-in grows with their square"
                ),
            });
        }
        let neighbours = match parts.student {
            StudentKind::Discrete => {
                // A model that has a name is what its paper says.
                let is_own = options.model == Model::Recipe;
                let is_open = is_own && !reader.is_set(&settings::TEACHER_NEIGHBOURS) && options.preset != Preset::Fast;
                let wanted = reader.switch(&settings::TEACHER_NEIGHBOURS, is_own && recipe.has_neighbours);
                // Where the graph decides, the setting is read either way.
                let regularisation = (wanted || is_open)
                    .then(|| reader.number(&settings::TEACHER_NEIGHBOUR_REGULARISATION, recipe.neighbours));
                let shares: &[f32] = match reader.is_set(&settings::TEACHER_NEIGHBOUR_REGULARISATION) {
                    true => &[1.0],
                    false => &RIDGES,
                };
                let regularisations = |most: f32| shares.iter().map(|share| share * most).collect();
                regularisation.filter(|_| wanted).map(regularisations)
            }
            _ => None,
        };
        // An early stop says little about when to stop with more interactions and nothing to validate on.
        let is_settled = !is_gradient && !matches!(parts.student, StudentKind::Bigear | StudentKind::BinCf);
        let refit = options.preset != Preset::Fast && is_settled;
        let refit = reader.switch(&settings::REFIT, refit);
        let settings = reader.finish(&format!("{} with the student {}", parts.teacher, parts.student))?;
        Ok(Plan { teacher, search, neighbours, hops, coding, student, refit, settings })
    }
}

/// The parts of a model, with what the options replace.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parts {
    teacher: TeacherKind,
    student: StudentKind,
    sampler: Sampler,
    loss: Loss,
}

impl Parts {
    fn new(options: &TrainOptions) -> Parts {
        let (teacher, student, sampler, loss) = match options.model {
            Model::Recipe => (TeacherKind::Ials, StudentKind::Discrete, Sampler::Uniform, Loss::Softmax),
            Model::Bigear => (TeacherKind::LightGcn, StudentKind::Bigear, Sampler::Uniform, Loss::Bpr),
            Model::BigearPlus => (TeacherKind::LightGcn, StudentKind::Bigear, Sampler::Synthesised, Loss::KBpr),
            Model::LightGcn => (TeacherKind::LightGcn, StudentKind::Signs, Sampler::Uniform, Loss::Softmax),
            Model::Ngcf => (TeacherKind::Ngcf, StudentKind::Discrete, Sampler::Uniform, Loss::Bpr),
            Model::Sgcn => (TeacherKind::LightGcn, StudentKind::Discrete, Sampler::Uniform, Loss::Bpr),
            Model::L2q | Model::L2qAnl => (TeacherKind::L2q, StudentKind::Signs, Sampler::Uniform, Loss::Bpr),
            Model::PinSage => (TeacherKind::PinSage, StudentKind::Discrete, Sampler::Uniform, Loss::Bpr),
            Model::DgcnBinCf => (TeacherKind::GcnCf, StudentKind::BinCf, Sampler::Uniform, Loss::Bpr),
            Model::GcnCf => (TeacherKind::GcnCf, StudentKind::Discrete, Sampler::Uniform, Loss::Bpr),
            Model::SpectralCf => (TeacherKind::SpectralCf, StudentKind::Discrete, Sampler::Uniform, Loss::Bpr),
            Model::Mf => (TeacherKind::Mf, StudentKind::Signs, Sampler::Uniform, Loss::Softmax),
            Model::MixGcf => (TeacherKind::LightGcn, StudentKind::Discrete, Sampler::Synthesised, Loss::KBpr),
            Model::OneBp => (TeacherKind::OneBp, StudentKind::Discrete, Sampler::Uniform, Loss::InfoNce),
            Model::Ials => (TeacherKind::Ials, StudentKind::Signs, Sampler::Uniform, Loss::Softmax),
        };
        Parts {
            teacher: options.teacher.unwrap_or(teacher),
            student: options.student.unwrap_or(student),
            sampler: options.sampler.unwrap_or(sampler),
            loss: options.loss.unwrap_or(loss),
        }
    }
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
    Ok(Some(Masking {
        start: reader.number(&settings::TEACHER_MASK_START, 3.0),
        gradient: reader.choice(&settings::TEACHER_MASK_GRADIENT, &gradients, MaskGradient::Arm),
        sparsity: reader.number(&settings::TEACHER_MASK_SPARSITY, 1e-7),
        nuclear: reader.number(&settings::TEACHER_MASK_NUCLEAR, 1e-4),
        rank: reader.count(&settings::TEACHER_MASK_RANK, 8),
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
    let descent = Descent { factors, start, ..base };
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

/// Whether L2Q-GCN has scalers and gradients that are annealed.
fn anneals(reader: &Reader<'_>, options: &TrainOptions) -> bool {
    reader.switch(&settings::TEACHER_ANNEALING, options.model == Model::L2qAnl)
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
    let factors = weighted.map_or(mean, |(hops, _)| (options.code_bits() as usize / (hops + 1) / 64 * 64).max(64));
    let similarities = [("dot", false), ("cosine", true)];
    let cosine = reader.choice(&settings::TEACHER_SIMILARITY, &similarities, is_softmax && weighted.is_none());
    // A step of propagation costs the same for any number of users. The softmax loss, over all positives of a user, needs more steps an epoch.
    let steps = if is_softmax { 32 } else { 8 };
    let batch = if hops.is_some() { (size.users / steps).next_multiple_of(512).clamp(512, 4096) } else { 512 };
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
                count(&settings::TEACHER_DRAWS, (size.edges / size.users.max(1)).clamp(1, most))
            }
        },
        negatives: match loss {
            Loss::KBpr => count(&settings::TEACHER_NEGATIVES, if mixing.is_some() { 1 } else { 4 }),
            Loss::InfoNce => count(&settings::TEACHER_NEGATIVES, 16),
            Loss::Bpr | Loss::Softmax => 1,
        },
        pool: count(&settings::TEACHER_POOL, if is_softmax { (size.items / 4).clamp(2048, 8192) } else { 512 }),
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

fn discrete(reader: &Reader<'_>, base: Discrete) -> Discrete {
    Discrete {
        sweeps: reader.count(&settings::STUDENT_SWEEPS, base.sweeps),
        list: reader.count(&settings::STUDENT_LIST, base.list),
        emphasis: reader.number(&settings::STUDENT_EMPHASIS, base.emphasis),
    }
}

/// BiGeaR++, or with its model BiGeaR: a uniform negative and only the first list.
fn bigear(reader: &Reader<'_>, options: &TrainOptions) -> Result<BiGear> {
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
fn bincf(reader: &Reader<'_>, options: &TrainOptions, parts: Parts) -> Result<BinCf> {
    let bits = options.code_bits();
    if parts.teacher == TeacherKind::GcnCf && !bits.is_multiple_of(3) && !reader.is_set(&settings::TEACHER_FACTORS) {
        return Err(Error::InvalidArgument {
            what: format!("bits = {bits} of the three layers of the teacher {}", parts.teacher),
            remedy: "choose a multiple of 192".to_owned(),
        });
    }
    let (count, number) = (|s, default| reader.count(s, default), |s, default| reader.number(s, default));
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
            weight: number(&settings::STUDENT_RANK_WEIGHT, 50.0),
            temperature: number(&settings::STUDENT_TEMPERATURE, 1.0),
            of: reader.choice(&settings::STUDENT_RANK_LISTS, &lists, Listed::Both),
        },
        penalty: Penalty {
            noise: number(&settings::STUDENT_NOISE_WEIGHT, 1e-3),
            temperature: number(&settings::STUDENT_NOISE_TEMPERATURE, 0.2),
            bounds: number(&settings::STUDENT_BOX_WEIGHT, 1e-3),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::model::settings::{Domain, Setting};

    #[test]
    fn what_validates_fits_graphs_of_every_size() {
        let size = |users, items, edges| Size { users, items, touched: items, edges };
        let sizes =
            [size(90, 40, 3600), size(50, 250_000, 2000), size(30_000, 30, 900), size(1 << 24, 1 << 24, 1 << 32)];
        let some = |setting: &Setting| -> Vec<String> {
            let values: Vec<String> = match setting.domain {
                Domain::Switch => ["on", "off"].map(str::to_owned).into(),
                Domain::Count(least, most) => [least, 64.min(most), most].map(|n| n.to_string()).into(),
                Domain::Number(least, most) => [least, most].map(|x| x.to_string()).into(),
                Domain::Choice(words) => words.iter().map(|&word| word.to_owned()).collect(),
            };
            values
        };
        let mut checked = [0, 0];
        for preset in [Preset::Fast, Preset::Balanced] {
            for model in Model::NAMES.iter().map(|name| name.parse::<Model>().unwrap()) {
                let base = TrainOptions::new(preset).model(model);
                let singles = settings::SETTINGS
                    .iter()
                    .flat_map(|setting| some(setting).into_iter().map(|value| vec![(setting.name, value)]));
                let pairs = ["on", "off"].map(|switch| {
                    vec![
                        (settings::TEACHER_NEIGHBOURS.name, switch.to_owned()),
                        (settings::TEACHER_NEIGHBOUR_REGULARISATION.name, "5".to_owned()),
                    ]
                });
                for set in singles.chain(pairs) {
                    let with = |options: TrainOptions| {
                        set.iter().fold(options, |options, (name, value)| options.set(*name, value))
                    };
                    let students = StudentKind::NAMES.iter().map(|name| base.clone().student(name.parse().unwrap()));
                    for options in students.chain([base.clone()]).map(with) {
                        let valid = options.validate().map(drop).map_err(|error| error.to_string());
                        checked[usize::from(valid.is_ok())] += 1;
                        for size in sizes {
                            let fits = Plan::new(&options, size).map(drop).map_err(|error| error.to_string());
                            assert_eq!(fits.is_ok(), valid.is_ok(), "{options:?}: {valid:?} {fits:?}");
                        }
                    }
                }
            }
        }
        assert!(checked.iter().all(|&n| n > 500), "{checked:?}");
    }

    #[test]
    fn bigear_needs_layers_of_equal_width() {
        let options = TrainOptions::default().model(Model::BigearPlus).teacher(TeacherKind::Ials);
        let plan =
            |options: &TrainOptions| Plan::new(options, Size::default()).map(|plan| plan.coding.shape().unwrap());
        assert_eq!(plan(&options.clone().bits(768)).unwrap().widths(), [256, 256, 256]);
        assert_eq!(plan(&options.clone().bits(256).set("student.layerwise", "off")).unwrap().widths(), [256]);
        assert_eq!(plan(&options.clone().bits(512).layers(1)).unwrap().weights(), [0.5, 1.0]);
        let error = plan(&options.bits(256)).unwrap_err().to_string();
        assert!(error.contains("bits = 256") && error.contains("192"), "{error}");
    }

    #[test]
    fn bigear_is_bigear_plus_without_synthesis_and_pseudo_positives() {
        let student = |options: TrainOptions| match Plan::new(&options.teacher(TeacherKind::Ials), Size::default())
            .unwrap()
            .coding
        {
            Coding::BiGear(student) => student,
            other => panic!("{other:?}"),
        };
        let plus = TrainOptions::default().model(Model::BigearPlus);
        let less = plus.clone().set("student.synthesis", "off").set("student.pseudo", "off").set("student.epochs", 14);
        assert_eq!(student(TrainOptions::default().model(Model::Bigear)), student(less));
        assert_eq!(student(plus.clone().set("student.distillation", "none")).ranking, None);
        let sharp = student(plus.set("student.gradient", "tanh").set("student.sharpness", 3));
        assert_eq!(sharp.estimator, Estimator::Tanh { sharpness: 3.0 });
    }
}
