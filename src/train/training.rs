//! One training, from options and a graph to codes.

use std::sync::Arc;

use super::checkpoint::{Checkpoints, Stage, Stand};
use super::context::Context;
use super::measure::holdout::Holdout;
use super::measure::monitor::Monitor;
use super::measure::search::{self, Fitted, Ridges};
use super::measure::validation::Validation;
use super::model::options::TrainOptions;
use super::model::plan::{Coding, Plan};
use super::model::report::TrainReport;
use super::model::settings::{DISTILLED, SettingValue};
use super::model::size::Size;
use super::state::{TrainState, cuts};
use super::student::{Last, Tables};
use super::teacher::layers::Layers;
use super::teacher::{MASKS, Neighbours, Teacher};
use crate::code::{LayeredCodes, PlaneCodes};
use crate::error::{Error, Result};
use crate::fold_in::FoldInMap;
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::kernel::heap;
use crate::kernel::popcount::Kernel;
use crate::pool::Pool;

/// Users validated on while training.
const VALIDATED: usize = 4000;
/// Users that the weights of neighbours are chosen by: where a user has few interactions, recall on as many as above is a hundredth off by chance.
const WEIGHED: usize = 12_000;

/// What a training made.
#[derive(Clone, Debug)]
pub struct Trained {
    /// One row per user, with the query planes asked for. A user without interactions has zero scalers.
    pub users: PlaneCodes,
    /// One row per item. An item without interactions has zero scalers.
    pub items: LayeredCodes,
    /// What gives users who come later a vector.
    pub fold_in: FoldInMap,
    /// What was done.
    pub report: TrainReport,
    /// Full-precision tables: what the teacher scores with, and the student's latents.
    pub state: TrainState,
}

impl Trained {
    /// What comes of a graph without interactions: nobody has a code.
    pub(crate) fn nothing(n_users: usize, n_items: usize, options: &TrainOptions) -> Result<Self> {
        let plan = Plan::new(options, Size { users: n_users, items: n_items, ..Size::default() })?;
        let shape = Arc::new(plan.coding.shape()?);
        let (words, layers, bits) = (shape.words(), shape.layers(), shape.bits() as usize);
        let planes = options.query_planes;
        let user_words = vec![0; n_users * words * planes as usize];
        Ok(Trained {
            users: PlaneCodes::from_parts(Arc::clone(&shape), planes, user_words, vec![0.0; n_users * layers])?,
            items: LayeredCodes::from_parts(Arc::clone(&shape), vec![0; n_items * words], vec![0.0; n_items * layers])?,
            fold_in: FoldInMap::new(&shape, vec![0.0; bits * bits], Isa::chosen()?)?,
            report: TrainReport::default(),
            state: TrainState::default(),
        })
    }
}

/// Learns layered codes of every user and item of a graph, whose weights are confidences. Runs on a thread pool of its own and returns when done.
///
/// # Errors
/// `InvalidArgument` for bad options, a half-life, since a graph has no times, a graph without interactions and a limit of memory that is too low, `Thread`, `Cancelled`, `Diverged`.
pub fn train(graph: &Bipartite, options: &TrainOptions, monitor: &dyn Monitor) -> Result<Trained> {
    options.validate()?;
    if options.decay().is_some() {
        return Err(Error::InvalidArgument {
            what: "a half-life for a graph, whose interactions have no times".to_owned(),
            remedy: "train a database, or give older interactions less weight".to_owned(),
        });
    }
    Pool::start("train", options.threads)?.run(|| match graph.confident() {
        Some(confident) => train_here(&confident, options, monitor, &()),
        None => train_here(graph, options, monitor, &()),
    })
}

/// [`train`] on the threads of the calling pool, with weights that are shares of their mean. It goes on from what `checkpoints` has of the same training.
pub(crate) fn train_here(
    graph: &Bipartite,
    options: &TrainOptions,
    monitor: &dyn Monitor,
    checkpoints: &dyn Checkpoints,
) -> Result<Trained> {
    if graph.n_edges() == 0 {
        return Err(Error::InvalidArgument {
            what: "a graph without interactions".to_owned(),
            remedy: "insert some before training".to_owned(),
        });
    }
    options.check_memory(Size::of(graph))?;
    let isa = Isa::chosen()?;
    let holdout = match Holdout::split(graph) {
        // Without the first user's interactions a graph may be too small to spare anything: it is trained on whole.
        split if split.trained.n_edges() == 0 => Holdout::none(graph),
        split => split,
    };
    let validation = Validation::new(&holdout, VALIDATED);
    let popcount = Kernel::from_env().map_err(|error| Error::InvalidArgument {
        what: error.to_string(),
        remedy: "name a kernel this machine has".to_owned(),
    })?;
    let (whole, seed) = (graph, options.seed);
    let context = Context { graph: &holdout.trained, validation: &validation, isa, popcount, seed, monitor };
    context.check()?;
    let Plan { teacher, search, neighbours, hops, coding, student, refit, mut settings } =
        Plan::new(options, Size::of(context.graph))?;

    let refit = refit && !validation.is_empty();
    let degrees = whole.items().degrees();
    let last = &Last { planes: options.query_planes, degrees: &degrees, novelty: options.novelty };
    // A teacher that is learned again has to be the one that was chosen; where it stopped is known of none that stops by itself.
    let serves = |known: &Stand| {
        !refit
            || known.stage >= Stage::Retaught
            || match known.chosen.is_empty() {
                true => teacher.regularised(1.0).is_some(),
                false => search::chosen_again(&*teacher, &known.chosen).is_some(),
            }
    };
    let known = Stand::found(checkpoints, &coding.shape()?, (whole.n_users(), whole.n_items()), serves);
    let (teacher, mut stand) = match known {
        Some(stand) => (search::chosen_again(&*teacher, &stand.chosen).unwrap_or(teacher), stand),
        None => {
            let (teacher, stand) = taught(&context, &holdout, teacher, search, &neighbours)?;
            stand.keep(checkpoints);
            (teacher, stand)
        }
    };
    for (name, chosen) in &stand.chosen {
        settings.retain(|entry| entry.0 != *name);
        settings.push((name.clone(), SettingValue::Number(f64::from(*chosen))));
    }
    for (name, value) in stand.added.settings() {
        settings.retain(|entry| entry.0 != name);
        settings.push((name.to_owned(), SettingValue::Number(f64::from(value))));
    }
    if stand.stage < Stage::Distilled {
        heap::give_back();
        stand.layers.propagate(isa, context.graph, hops);
        let start = coding.tables(&context, &stand.layers, false)?;
        stand.start_recall = start.recall(&context)?;
        let (mut tables, epochs) = student.distil(&context, &stand.layers, start, (!refit).then_some(last))?;
        stand.recall = tables.recall(&context)?;
        tables.place_items(isa, whole.items(), &context.graph.items().degrees());
        if refit {
            tables.place_users(isa, whole.users(), &context.graph.users().degrees());
        }
        stand = Stand { stage: Stage::Distilled, tables: Some(tables), epochs, ..stand };
        stand.keep(checkpoints);
    }
    if refit {
        // Everything is chosen: learn from all interactions, with nothing to validate on.
        let context = Context { graph: whole, validation: &Validation::none(), ..context };
        if stand.stage < Stage::Retaught {
            stand.layers = teacher.refit(&context, stand.layers)?.layers;
            stand.layers.neighbours = Neighbours::fit(&context, stand.added)?;
            stand.stage = Stage::Retaught;
            stand.keep(checkpoints);
        }
        if stand.stage < Stage::Redistilled {
            heap::give_back();
            stand.layers.propagate(isa, whole, hops);
            let start = || coding.tables(&context, &stand.layers, true);
            stand.tables = Some(match stand.tables.take().filter(|_| stand.gains()) {
                Some(tables) => student.refit(&context, &stand.layers, &start, tables, last)?,
                None => start()?,
            });
            stand.stage = Stage::Redistilled;
            stand.keep(checkpoints);
        }
    }
    if refit && !stand.gains() {
        settings.push((DISTILLED.to_owned(), SettingValue::Switch(false)));
    }
    let Stand { layers, tables, teacher_epochs, teacher_recall, start_recall, epochs, recall, .. } = stand;
    let mut tables = tables.ok_or_else(|| Error::Damaged { what: "a training without a student".to_owned() })?;
    let (users, items, fold_in) = tables.serve((isa, if refit { whole } else { context.graph }), last)?;
    let report = TrainReport {
        teacher: teacher.name().to_owned(),
        student: student.name().to_owned(),
        widths: users.shape().widths().to_vec(),
        trained_edges: holdout.trained.n_edges() as u64,
        held_out_edges: holdout.held.n_edges() as u64,
        settings,
        teacher_epochs,
        teacher_recall,
        popularity_recall: validation.recall_of_popularity(20, &holdout.trained.items().degrees()),
        start_recall,
        epochs,
        recall,
        refit,
    };
    let mut state = TrainState::default();
    tables.save(&mut state);
    if let Some((_, logits)) = layers.matrices.iter().find(|(name, _)| name == MASKS) {
        cuts::save(if refit { whole } else { context.graph }, logits, &mut state);
    }
    layers.save(&mut state);
    Ok(Trained { users, items, fold_in, report, state })
}

/// What the teacher learns of the graph of a context, with everything that is chosen of it.
///
/// # Errors
/// `Cancelled`, `Diverged`.
fn taught(
    context: &Context<'_>,
    holdout: &Holdout,
    teacher: Box<dyn Teacher>,
    search: bool,
    neighbours: &Ridges,
) -> Result<(Box<dyn Teacher>, Stand)> {
    let Fitted { teacher, layers, epochs, recall, chosen } = search::fit(context, teacher, search)?;
    let mut stand = Stand::taught(layers);
    (stand.teacher_epochs, stand.teacher_recall) = (epochs, recall);
    stand.chosen = chosen.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if !neighbours.is_empty() {
        let weighing = Context { validation: &Validation::new(holdout, WEIGHED), ..*context };
        stand.added = search::add_neighbours(&weighing, &mut stand.layers, neighbours)?;
        stand.teacher_recall = stand.layers.recall(context)?;
    }
    Ok((teacher, stand))
}

impl Coding {
    /// The tables a student starts from. Of codes that are estimates with magnitudes of users, where what it starts from may be served, or without.
    ///
    /// # Errors
    /// `Cancelled`.
    fn tables(&self, context: &Context<'_>, layers: &Layers, has_magnitudes: bool) -> Result<Tables> {
        let rotated = if has_magnitudes { Tables::rotated } else { Tables::rotated_signs };
        Ok(match self {
            // One code of all that is scored, whatever it is made of.
            Coding::Estimating { widths } if widths.len() == 1 && layers.users.len() > 1 => {
                let (users, items) = layers.joined();
                rotated(context, &Layers::of(users.into_owned(), items.into_owned()), widths)
            }
            Coding::Estimating { widths } => rotated(context, layers, widths),
            Coding::Signs { rotated: true, widths, .. } => {
                Tables::of_signs(context.isa, &layers.rotated(context, widths))
            }
            Coding::Signs { .. } => Tables::of_signs(context.isa, layers),
            Coding::BiGear(model) => model.untrained(context, layers)?,
            Coding::BinCf(model) => model.untrained(context, layers),
        })
    }
}
