//! From options to the parts of one training.

mod students;
mod teachers;

use super::options::{MAX_BITS, Preset, TrainOptions};
use super::recipe::Recipe;
use super::settings::{self, Reader, SettingValue};
use super::size::Size;
use super::{Loss, Model, Sampler, StudentKind, TeacherKind};
use crate::code::CodeShape;
use crate::error::{Error, Result};
use crate::train::measure::search::Ridges;
use crate::train::student::{BiGear, BinCf, Signs, Student};
use crate::train::teacher::Teacher;

/// Power of an item's degree that what its neighbours say of it is divided by.
const DAMPING: f32 = 0.2;
/// Regularisations of neighbours to choose from, as shares of what the recipe says.
const RIDGES: [f32; 2] = [1.0, 0.25];

/// The parts of a training, made for one graph: a teacher gives layers, a coding makes tables of signs of them, a student trains these.
pub(crate) struct Plan {
    pub(crate) teacher: Box<dyn Teacher>,
    /// Whether to look for more regularisation on the held-out interactions.
    pub(crate) search: bool,
    /// The neighbours to be added to the teacher, if any.
    pub(crate) neighbours: Ridges,
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
            let width = teachers::in_words(bits, widths.len());
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
        parts.check(options.model)?;
        let takes_layers =
            parts.teacher.has_hops() || !matches!(parts.student, StudentKind::Signs | StudentKind::BinCf);
        if !takes_layers && options.layers.is_some_and(|hops| hops > 0) {
            return Err(Error::InvalidArgument {
                what: format!("layers with the teacher {} and the student {}", parts.teacher, parts.student),
                remedy: "leave them out, or choose the student discrete".to_owned(),
            });
        }
        let search = !reader.is_set(&settings::TEACHER_REGULARISATION);
        let teacher = teachers::made(&reader, options, parts, (recipe.teacher, size))?;
        let (coding, hops, student): (_, _, Box<dyn Student>) = match parts.student {
            StudentKind::Discrete => {
                let widths = options.widths();
                let (layers, given) = (widths.len(), teacher.layers().0.len());
                if widths.contains(&0) {
                    return Err(Error::InvalidArgument {
                        what: format!("bits = {} of codes of {layers} layers", options.code_bits()),
                        remedy: format!("choose a multiple of 64 from {} to {MAX_BITS}, or fewer layers", 64 * layers),
                    });
                }
                // One layer is of all that a teacher scores with; of several, none may be left over.
                if layers > 1 && layers < given {
                    return Err(Error::InvalidArgument {
                        what: format!("codes of {layers} layers of the teacher {}, which has {given}", parts.teacher),
                        remedy: format!("choose {} layers or more, for a code each, or 0, for one of all", given - 1),
                    });
                }
                // A teacher that propagates gives the layers itself.
                let hops = widths.len().saturating_sub(teacher.layers().0.len());
                (Coding::Estimating { widths }, hops, Box::new(students::discrete(&reader, recipe.student)))
            }
            StudentKind::Signs => {
                let is_coded = parts.teacher == TeacherKind::L2q;
                let rotated = reader.choice(&settings::ROTATION, &[("random", true), ("none", false)], !is_coded);
                (Coding::signs(teacher.as_ref(), options.code_bits() as usize, rotated), 0, Box::new(Signs))
            }
            StudentKind::Bigear => {
                let student = students::bigear(&reader, options)?;
                // A teacher that propagates gives the layers itself.
                let hops = (student.hops + 1).saturating_sub(teacher.layers().0.len());
                (Coding::BiGear(student.clone()), hops, Box::new(student))
            }
            StudentKind::BinCf => {
                let student = students::bincf(&reader, options, parts)?;
                (Coding::BinCf(student.clone()), 0, Box::new(student))
            }
        };
        let bits = coding.shape()?.bits();
        let layers = coding.shape()?.layers();
        if let (Coding::Signs { rotated, .. }, Some(asked)) = (&coding, options.bits) {
            // Columns that are codes as they are, where nothing makes them fit the bits.
            let is_free = !rotated && (parts.teacher != TeacherKind::L2q || reader.is_set(&settings::TEACHER_FACTORS));
            if u64::from(asked) != bits {
                return Err(Error::InvalidArgument {
                    what: format!("bits = {asked} of a teacher whose columns make codes of {bits}"),
                    remedy: match is_free {
                        true => "leave the bits out, or change the columns by teacher.factors".to_owned(),
                        false => format!("choose a multiple of {}: its {layers} layers are equally wide", 64 * layers),
                    },
                });
            }
        }
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
                let is_open = is_own && options.preset != Preset::Fast;
                let has_neighbours = is_own && recipe.has_neighbours;
                // Where the graph decides, the setting is read either way.
                let is_read = |switch: &settings::Setting| {
                    reader.switch(switch, has_neighbours) || (is_open && !reader.is_set(switch))
                };
                let regularisations = |switch: &settings::Setting, ridge: &settings::Setting, most: f32| {
                    let wanted = reader.switch(switch, has_neighbours);
                    let is_read = is_read(switch);
                    let most = is_read.then(|| reader.number(ridge, most)).filter(|_| wanted)?;
                    let shares: &[f32] = if reader.is_set(ridge) { &[1.0] } else { &RIDGES };
                    Some(shares.iter().map(|share| share * most).collect())
                };
                let (of_items, of_users) = recipe.neighbours;
                let damping = match is_read(&settings::TEACHER_NEIGHBOURS) {
                    true => reader.number(&settings::TEACHER_NEIGHBOUR_DAMPING, DAMPING),
                    false => 0.0,
                };
                Ridges {
                    damping,
                    items: regularisations(
                        &settings::TEACHER_NEIGHBOURS,
                        &settings::TEACHER_NEIGHBOUR_REGULARISATION,
                        of_items,
                    ),
                    users: regularisations(
                        &settings::TEACHER_USER_NEIGHBOURS,
                        &settings::TEACHER_USER_NEIGHBOUR_REGULARISATION,
                        of_users,
                    ),
                }
            }
            _ => Ridges::default(),
        };
        // An early stop says little about when to stop with more interactions and nothing to validate on.
        let is_settled = !is_gradient && !matches!(parts.student, StudentKind::Bigear | StudentKind::BinCf);
        let refit = options.preset != Preset::Fast && is_settled;
        let refit = reader.switch(&settings::REFIT, refit);
        if refit && matches!(parts.student, StudentKind::Bigear | StudentKind::BinCf) {
            return Err(Error::InvalidArgument {
                what: format!("refit = on with the student {}", parts.student),
                remedy: "leave it out: when to stop is chosen on what is held out".to_owned(),
            });
        }
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

    /// Refuses teachers of which a model, or a student, would take no more than a part.
    fn check(self, model: Model) -> Result<()> {
        use TeacherKind::{Ials, L2q, LightGcn, Mf, Ngcf, OneBp, PinSage};
        let of_model: Option<(String, &[TeacherKind])> = match model {
            Model::Sgcn => Some((format!("the model {model}, whose masks"), &[LightGcn, Ngcf])),
            Model::L2q | Model::L2qAnl => Some((format!("the model {model}, whose codes"), &[L2q])),
            Model::MixGcf if matches!(self.teacher, Ials | OneBp) => {
                Some((format!("the model {model}, whose negatives"), &[LightGcn, Ngcf, PinSage]))
            }
            _ => None,
        };
        let is_bigear = self.student == StudentKind::Bigear;
        if is_bigear && model == Model::Sgcn {
            return Err(Error::InvalidArgument {
                what: format!("the model {model} with the student {}, whose layers have no masks", self.student),
                remedy: "choose the student discrete or signs".to_owned(),
            });
        }
        let of_student: Option<(String, &[TeacherKind])> =
            is_bigear.then(|| ("the student bigear, whose layers".to_owned(), &[LightGcn, Mf, OneBp, Ials][..]));
        for (of, wanted) in of_model.into_iter().chain(of_student) {
            if !wanted.contains(&self.teacher) {
                let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                return Err(Error::InvalidArgument {
                    what: format!("{of} are not of the teacher {}", self.teacher),
                    remedy: format!("choose the teacher {}", names.join(" or ")),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::model::settings::{Domain, Setting};
    use crate::train::optim::estimator::Estimator;

    /// Nothing is taken of a teacher but all it scores by, and no layers that nobody has.
    #[test]
    fn students_and_layers_that_do_not_fit_a_model_are_refused() {
        let size = Size { users: 90, items: 40, active: 90, touched: 40, edges: 360 };
        let plan = |options: TrainOptions| Plan::new(&options, size);
        let of = |model| TrainOptions::new(Preset::Fast).model(model);
        for options in [
            of(Model::Sgcn).student(StudentKind::Bigear),
            of(Model::Sgcn).teacher(TeacherKind::Ngcf).student(StudentKind::Bigear),
            of(Model::L2q).student(StudentKind::Bigear),
            of(Model::DgcnBinCf).layers(2),
            of(Model::GcnCf).student(StudentKind::Signs).layers(2),
            // Layers of the teacher would be left over, or of the code be empty.
            of(Model::GcnCf).layers(1),
            of(Model::BigearPlus).teacher(TeacherKind::SpectralCf).student(StudentKind::Discrete),
            of(Model::Ngcf).layers(3).bits(192),
            of(Model::DgcnBinCf).set("refit", "on"),
            of(Model::Bigear).set("refit", "on"),
            // What would be read and not used.
            of(Model::L2qAnl).set("teacher.quantised", "off").set("teacher.annealing", "on"),
            of(Model::L2qAnl).set("teacher.quantised", "off").set("teacher.inside", "off"),
            of(Model::Sgcn).set("teacher.mask_nuclear", "0").set("teacher.mask_rank", "4"),
            of(Model::DgcnBinCf).set("student.rank_weight", "0").set("student.rank_lists", "positives"),
            of(Model::DgcnBinCf).set("student.noise_weight", "0").set("student.noise_temperature", "1"),
        ] {
            assert!(matches!(plan(options.clone()), Err(Error::InvalidArgument { .. })), "{options:?}");
        }
        // Layers that a teacher gives are not made again.
        let hops = |model: Model, layers| plan(of(model).student(StudentKind::Discrete).layers(layers)).unwrap().hops;
        assert_eq!([hops(Model::Ngcf, 3), hops(Model::Mf, 3), hops(Model::GcnCf, 3)], [0, 3, 1]);
        // Hops of a teacher whose code has one layer need no bits each.
        let layers = |options| plan(options).unwrap().coding.shape().unwrap().layers();
        assert_eq!(layers(of(Model::LightGcn).layers(3).bits(64)), 1);
        assert_eq!(layers(of(Model::DgcnBinCf).teacher(TeacherKind::SpectralCf).layers(3)), 1);
        assert_eq!(layers(of(Model::GcnCf)), 1);
    }

    #[test]
    fn what_validates_fits_graphs_of_every_size() {
        let size = |users, items, edges| Size { users, items, active: users, touched: items, edges };
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

    #[test]
    fn bits_that_the_layers_of_signs_cannot_share_are_refused() {
        let plan = |options: &TrainOptions| Plan::new(options, Size::default());
        let l2q = |model, bits| TrainOptions::default().model(model).bits(bits);
        let ngcf = |bits| TrainOptions::default().model(Model::Ngcf).student(StudentKind::Signs).bits(bits);
        for (options, of) in [
            (l2q(Model::L2q, 512), "192"),
            (l2q(Model::L2qAnl, 64), "192"),
            (ngcf(64), "256"),
            (l2q(Model::L2q, 576).set("teacher.factors", 64), "leave the bits out"),
        ] {
            let error = plan(&options).err().unwrap().to_string();
            assert!(error.contains("bits") && error.contains(of), "{error}");
        }
        for (options, bits) in [(l2q(Model::L2q, 576), 576), (ngcf(512), 512), (ngcf(256).layers(0), 256)] {
            assert_eq!(plan(&options).unwrap().coding.shape().unwrap().bits(), bits);
        }
    }

    #[test]
    fn teachers_of_which_a_part_alone_would_be_taken_are_refused() {
        for (model, teacher, wanted) in [
            (Model::Sgcn, TeacherKind::PinSage, "lightgcn or ngcf"),
            (Model::Sgcn, TeacherKind::Mf, "lightgcn or ngcf"),
            (Model::L2qAnl, TeacherKind::Mf, "l2q-gcn"),
            (Model::BigearPlus, TeacherKind::Ngcf, "lightgcn or mf"),
            (Model::Bigear, TeacherKind::GcnCf, "lightgcn or mf"),
            (Model::MixGcf, TeacherKind::OneBp, "lightgcn or ngcf or pinsage"),
            (Model::MixGcf, TeacherKind::Ials, "lightgcn or ngcf or pinsage"),
        ] {
            let options = TrainOptions::default().model(model).teacher(teacher);
            let error = Plan::new(&options, Size::default()).err().unwrap().to_string();
            assert!(error.contains(&format!("of the teacher {teacher}")) && error.contains(wanted), "{error}");
        }
    }
}
