//! All rows, from where they are.

use super::minor::Rows;
use super::rechoose::rechoose;
use super::started::{Started, start, take};
use super::{Choices, Learned};
use crate::code::{LayeredCodes, PlaneCodes};
use crate::error::{Error, Result};
use crate::fold_in::FoldInMap;
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::kernel::heap;
use crate::train::checkpoint::{Checkpoints, Stage, Stand};
use crate::train::context::Context;
use crate::train::measure::monitor::Monitor;
use crate::train::measure::validation::Validation;
use crate::train::model::report::Epoch;
use crate::train::model::settings::TEACHER_REGULARISATION;
use crate::train::student::{Last, Tables};
use crate::train::teacher::layers::Layers;
use crate::train::teacher::{ImplicitAls, Wanted};

/// Sweeps of the teacher. From factors that were nearly right, one sweep moves them most of the way.
const TEACHER_SWEEPS: usize = 1;

/// What a warm start came to.
pub(crate) struct Resumed {
    pub(crate) learned: Learned,
    pub(crate) users: PlaneCodes,
    pub(crate) items: LayeredCodes,
    pub(crate) fold_in: FoldInMap,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) choices: Choices,
}

/// Goes on from what was `learned` of `before` with all of `graph`: the choices that what came since can tell of, given the regularisation that is the `rule` for
/// such a graph; sweeps of the teacher, the neighbours of rows that were `touched` or are predicted from
/// others now, a sweep of the student from the codes there are, and the fold-in map anew. Nothing is held out. It goes on from what `checkpoints` has of the
/// same.
///
/// # Errors
/// `Cancelled`, `Diverged`.
pub(crate) fn major(
    (before, graph): (Bipartite, &Bipartite),
    (choices, rule): (&Choices, f32),
    mut learned: Learned,
    touched: &Rows<'_>,
    planes: u32,
    (monitor, checkpoints): (&dyn Monitor, &dyn Checkpoints),
) -> Result<Resumed> {
    let (validation, isa, nodes) = (Validation::none(), Isa::chosen()?, (graph.n_users(), graph.n_items()));
    let (popcount, seed) = (super::kernel()?, choices.seed);
    let context = Context { graph, validation: &validation, isa, popcount, seed, monitor };
    let (mut stand, mut tables) = match Stand::found(checkpoints, &learned.tables.shape()?, nodes, |_| true) {
        Some(stand) => {
            drop(before);
            (stand, learned.tables.grown(nodes.0, nodes.1))
        }
        None => {
            monitor.phase("choose", 0);
            let choices = rechoose((before, graph), choices, &mut learned, rule, monitor)?;
            let (layers, tables) = taught(&context, &choices, learned.grown(nodes.0, nodes.1), touched)?;
            let chosen = vec![(TEACHER_REGULARISATION.name.to_owned(), choices.teacher.regularisation)];
            let stand = Stand { chosen, added: choices.added, ..Stand::taught(layers) };
            stand.keep(checkpoints);
            (stand, tables)
        }
    };
    let choices = choices.made_so(&stand);
    let degrees = graph.items().degrees();
    let last = &Last { planes, degrees: &degrees, novelty: choices.novelty };
    if stand.stage < Stage::Distilled {
        heap::give_back();
        let all = Started::All { has_magnitudes: !choices.is_distilled };
        let start = start(&context, &stand.layers, &tables, &all);
        // Those that come have the code a training from nothing would start with; all have it, where no student found more.
        let wanted = |row: u32, is_blank| (is_blank || !choices.is_distilled).then_some(row as usize);
        take(&context, &start, &mut tables, [&wanted, &wanted]);
        if choices.is_distilled {
            drop(start);
            let (distilled, loss) = choices.student.resume(&context, &stand.layers, tables, last)?;
            (tables, stand.epochs) = (distilled, vec![Epoch { loss, recall: None }]);
        } else {
            tables.magnitudes = start.magnitudes;
        }
        stand = Stand { stage: Stage::Distilled, tables: Some(tables), ..stand };
        stand.keep(checkpoints);
    }
    let Stand { layers, tables, epochs, .. } = stand;
    let mut tables = tables.ok_or_else(|| Error::Damaged { what: "a training without a student".to_owned() })?;
    let (users, items, fold_in) = tables.serve((isa, graph), last)?;
    Ok(Resumed { learned: Learned::of(layers, tables), users, items, fold_in, epochs, choices })
}

/// A sweep of the teacher and the neighbours that moved; the tables as they were.
fn taught(
    context: &Context<'_>,
    choices: &Choices,
    mut learned: Learned,
    touched: &Rows<'_>,
) -> Result<(Layers, Tables)> {
    let graph = context.graph;
    sweep(context, &choices.teacher, &mut learned)?;
    let rows = |n: usize| (0..n as u32).collect::<Vec<u32>>();
    let (users, items) = (rows(graph.n_users()), rows(graph.n_items()));
    let of_users = |row: u32, near: &[u32], known: &[u32]| touched.users.binary_search(&row).is_ok() || known != near;
    let of_items = |row: u32, near: &[u32], known: &[u32]| touched.items.binary_search(&row).is_ok() || known != near;
    let wanted: (Wanted<'_>, Wanted<'_>) = (&of_users, &of_items);
    learned.neighbours = learned.neighbours.refitted(context, choices.added, (&users, &items), wanted)?;
    let (layers, tables) = learned.into_parts();
    match layers.is_finite() {
        true => Ok((layers, tables)),
        false => Err(Error::Diverged { model: "implicit ALS", phase: "a sweep".into(), lower: "the confidences" }),
    }
}

/// Sweeps of the teacher over all rows.
fn sweep(context: &Context<'_>, als: &ImplicitAls, learned: &mut Learned) -> Result<()> {
    context.monitor.phase("teacher", TEACHER_SWEEPS as u64);
    for sweep in 0..TEACHER_SWEEPS {
        als.solve(context, context.graph.users(), &learned.items, &mut learned.users)?;
        als.solve(context, context.graph.items(), &learned.users, &mut learned.items)?;
        context.monitor.advance(sweep as u64 + 1);
    }
    Ok(())
}
