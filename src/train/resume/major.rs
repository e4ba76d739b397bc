//! All rows, from where they are.

use std::sync::Arc;

use super::rechoose::rechoose;
use super::{Choices, Learned};
use crate::code::{LayeredCodes, PlaneCodes};
use crate::error::{Error, Result};
use crate::fold_in::FoldInMap;
use crate::graph::Bipartite;
use crate::kernel::dense::{Isa, Matrix};
use crate::train::context::Context;
use crate::train::measure::monitor::Monitor;
use crate::train::measure::validation::Validation;
use crate::train::model::report::Epoch;
use crate::train::student::{Tables, fold_in};
use crate::train::teacher::{ImplicitAls, Neighbours};

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

/// Goes on from what was `learned` of `before` with all of `graph`: the two choices that what came since can tell of, given the regularisation that is the `rule` for
/// such a graph; sweeps of the teacher, the neighbours of items that were `touched`, rising, or are predicted from
/// others now, a sweep of the student from the codes there are, and the fold-in map anew. Nothing is held out.
///
/// # Errors
/// `Cancelled`, `Diverged`.
pub(crate) fn major(
    (before, graph): (&Bipartite, &Bipartite),
    (choices, rule): (&Choices, f32),
    mut learned: Learned,
    touched: &[u32],
    planes: u32,
    monitor: &dyn Monitor,
) -> Result<Resumed> {
    let (validation, isa) = (Validation::none(), Isa::chosen()?);
    let (popcount, seed) = (super::kernel()?, choices.seed);
    let context = Context { graph, validation: &validation, isa, popcount, seed, monitor };
    monitor.phase("choose", 0);
    let choices = &rechoose((before, graph), choices, &mut learned, rule, monitor)?;
    let mut learned = learned.grown(graph.n_users(), graph.n_items())?;
    sweep(&context, &choices.teacher, &mut learned)?;
    if let (Some((regularisation, weight)), Some(neighbours)) = (choices.neighbours, learned.neighbours.take()) {
        let by_item = neighbours.by_item();
        drop(neighbours);
        let moved =
            |item: u32, near: &[u32]| touched.binary_search(&item).is_ok() || by_item.row(item as usize) != near;
        let items: Vec<u32> = (0..graph.n_items() as u32).collect();
        let fitted = Neighbours::columns(&context, &items, regularisation, moved)?;
        // An item that lost its last interaction is predicted from nothing.
        let has_changed =
            |(item, column): &(u32, Vec<(u32, f32)>)| !column.is_empty() || graph.items().degree(*item as usize) == 0;
        let (items, mut columns): (Vec<u32>, Vec<_>) = items.into_iter().zip(fitted).filter(has_changed).unzip();
        columns.iter_mut().flatten().for_each(|entry| entry.1 *= weight);
        learned.neighbours = Some(Neighbours::replaced(&by_item, graph.n_items(), &items, &columns)?);
    }
    let teacher = learned.teacher();
    if !teacher.is_finite() {
        let phase = "a sweep".into();
        return Err(Error::Diverged { model: "implicit ALS", phase, lower: "the confidences" });
    }
    started(&context, &mut learned)?;
    let (mut tables, loss) = choices.student.resume(&context, &teacher, learned.tables)?;
    let epochs = vec![Epoch { loss, recall: None }];
    let plain = tables.favour_rare(&graph.items().degrees(), choices.novelty);
    let shape = Arc::new(tables.shape()?);
    let (users, items) = (tables.encode_users(&shape, planes)?, tables.encode_items(&shape)?);
    let fold_in = FoldInMap::new(&shape, fold_in::fit(isa, graph, &tables).into_data(), isa)?;
    tables.item_scales = plain;
    Ok(Resumed { learned: Learned { tables, ..learned }, users, items, fold_in, epochs, choices: choices.clone() })
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

/// Gives nodes that have interactions and no code the one a training from nothing would start with, and takes codes from nodes that have no
/// interactions any more.
fn started(context: &Context<'_>, learned: &mut Learned) -> Result<()> {
    let widths: Vec<usize> = learned.tables.segments.iter().map(|segment| segment.len()).collect();
    let mut teacher = learned.teacher();
    teacher.propagate(context.isa, context.graph, widths.len() - 1);
    let start = Tables::rotated(context, &teacher, &widths);
    let Tables { users, items, user_scales, item_scales, .. } = &mut learned.tables;
    for (graph, latents, scales, from, from_scales) in [
        (context.graph.users(), users, user_scales, &start.users, &start.user_scales),
        (context.graph.items(), items, item_scales, &start.items, &start.item_scales),
    ] {
        for row in 0..latents.rows() {
            let is_blank = |scales: &Matrix| scales.row(row).iter().all(|scale| *scale == f32::NEG_INFINITY);
            match graph.degree(row) {
                0 => {
                    latents.row_mut(row).fill(0.0);
                    scales.row_mut(row).fill(f32::NEG_INFINITY);
                }
                _ if is_blank(scales) => {
                    latents.row_mut(row).copy_from_slice(from.row(row));
                    scales.row_mut(row).copy_from_slice(from_scales.row(row));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
