//! The log folded, and what it touched learned again.

use std::sync::Arc;

use rayon::prelude::*;

use super::job::Watch;
use super::made::Made;
use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
use crate::error::{Error, Result};
use crate::fold_in::{FoldInMap, segments};
use crate::generation::{Cut, Kept, Origin, Parent, Provenance};
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::query::moved;
use crate::snapshot::Snapshot;
use crate::train::{Choices, Learned, Recoded, Rows, TrainReport, TrainState, refit};

/// Bits of the codes that a generation has whose users and items have none.
const UNTRAINED_BITS: u32 = 64;
/// Users whose codes are moved at once.
const TOGETHER: usize = 1024;

/// Folds a cut into the generation before. Rows that were touched since are fitted again where the models have rows that can be, which are those of the
/// recipe; of other models users are moved as queries of them are, new items keep the codes they were folded in with, and new users are folded in as before. Where nothing was trained
/// yet there is nothing but the fold.
///
/// # Errors
/// `NothingToTrain`, `Cancelled`, `Storage`.
pub(super) fn minor(
    snapshot: &Snapshot,
    cut: &Cut,
    parent: Option<&Parent<'_>>,
    watch: &Watch<'_>,
) -> Result<(Made, TrainReport)> {
    let Some(parent) = parent else {
        return match cut.sequence {
            0 => Err(Error::NothingToTrain { interactions: 0 }),
            _ => Ok((fold(cut)?, TrainReport::default())),
        };
    };
    if !parent.generation.is_trained() {
        return Ok((fold(cut)?, TrainReport::default()));
    }
    match resumable(parent)? {
        Some((provenance, choices, learned)) => {
            let made = refitted(cut, parent, &choices, learned, provenance, watch)?;
            let report = TrainReport::kept(parent.generation.shape().widths(), cut.interactions(), &provenance.choices);
            Ok((made, report))
        }
        None => {
            let made = folded_over(snapshot, cut, parent, Origin::Minor, watch)?;
            // A state with rows to fit again that cannot be read is carried no further: a policy would try to go on from it for ever.
            let state = if choices_of(parent).is_some() { Kept::Nothing } else { made.state };
            Ok((Made { state, ..made }, TrainReport::default()))
        }
    }
}

/// How the parent was made, and what it chose, where its models have rows that can be fitted again.
fn choices_of<'p>(parent: &'p Parent<'_>) -> Option<(&'p Provenance, Choices)> {
    let provenance = parent.provenance.as_ref()?;
    Some((provenance, Choices::of(provenance.options.as_ref()?, &provenance.choices)?))
}

/// How the parent was made, with which choices, and what it learned; `None` where that is not kept, or is damaged, which costs no more, or where its
/// models have no rows that can be fitted again.
///
/// # Errors
/// `Storage` where the state cannot be read, though nothing says that it is damaged.
pub(super) fn resumable<'p>(parent: &'p Parent<'_>) -> Result<Option<(&'p Provenance, Choices, Learned)>> {
    let Some((provenance, choices)) = choices_of(parent) else { return Ok(None) };
    let generation = &parent.generation;
    let known = (generation.users().len(), generation.n_items());
    let learned = parent.state().and_then(|state| {
        let read = |state| Learned::read(&state, &choices, generation.shape(), known);
        state.map(read).transpose().map(Option::flatten)
    });
    match learned {
        Err(error) if error.is_damage() => Ok(None),
        learned => Ok(learned?.map(|learned| (provenance, choices, learned))),
    }
}

/// The rows of a state where that of the parent has them; in the order of their nodes where all is written anew.
///
/// # Errors
/// `Storage`.
pub(super) fn in_slots_of(parent: &Parent<'_>, cut: &Cut, state: TrainState) -> Result<TrainState> {
    match parent.state()? {
        Some(before) if !cut.has_forgotten() => state.in_slots_of(&before),
        _ => Ok(state),
    }
}

/// Codes of nobody.
fn fold(cut: &Cut) -> Result<Made> {
    let shape = Arc::new(CodeShape::new(vec![UNTRAINED_BITS], vec![1.0])?);
    let (n_users, n_items) = (cut.n_users() as usize, cut.n_items() as usize);
    Ok(Made {
        users: PlaneCodes::from_parts(Arc::clone(&shape), 1, vec![0; n_users], vec![0.0; n_users])?,
        items: LayeredCodes::from_parts(Arc::clone(&shape), vec![0; n_items], vec![0.0; n_items])?,
        fold_in: FoldInMap::identity(&shape, Isa::chosen()?),
        encoder: None,
        state: Kept::Nothing,
        provenance: Provenance::untrained(Origin::Fold),
        trained: 0,
    })
}

/// The parent's codes with the touched rows fitted again.
fn refitted(
    cut: &Cut,
    parent: &Parent<'_>,
    choices: &Choices,
    learned: Learned,
    provenance: &Provenance,
    watch: &Watch<'_>,
) -> Result<Made> {
    let generation = &parent.generation;
    let graph = Bipartite::from_postings(&cut.postings, cut.n_items(), choices.half_life)?;
    let rows = Rows { users: &cut.touched.users, items: &cut.touched.items };
    let (learned, Recoded { users, items }) =
        refit(&graph, choices, learned, &rows, generation.users().planes(), watch)?;
    let shape = generation.shape();
    let planes = generation.users().planes();
    let widths = (shape.words() * planes as usize, shape.words());
    let (words, scalers) = (generation.users().words(), generation.users().scalers());
    let user_words = patched(words.to_vec(), widths.0, cut.n_users(), rows.users, users.words());
    let user_scalers = patched(scalers.to_vec(), shape.layers(), cut.n_users(), rows.users, users.scalers());
    let (words, scalers) = generation.item_codes().into_parts();
    let item_words = patched(words, widths.1, cut.n_items(), rows.items, items.words());
    let item_scalers = patched(scalers, shape.layers(), cut.n_items(), rows.items, items.scalers());
    Ok(Made {
        users: PlaneCodes::from_parts(Arc::clone(shape), planes, user_words, user_scalers)?,
        items: LayeredCodes::from_parts(Arc::clone(shape), item_words, item_scalers)?,
        fold_in: generation.fold_in().clone(),
        encoder: None,
        state: Kept::State(in_slots_of(parent, cut, learned.save(&graph))?),
        provenance: provenance.child(Origin::Minor, generation.content_hash(), cut.changes),
        trained: cut.sequence,
    })
}

/// The parent's codes, of users as their changes have moved them, and those of items that came since as they were folded in.
///
/// # Errors
/// `Cancelled`, `Storage`.
pub(super) fn folded_over(
    snapshot: &Snapshot,
    cut: &Cut,
    parent: &Parent<'_>,
    origin: Origin,
    watch: &Watch<'_>,
) -> Result<Made> {
    let generation = &parent.generation;
    let (shape, planes) = (generation.shape(), generation.users().planes());
    let (mut arrived, mut arrived_words, mut arrived_scalers) = (Vec::new(), Vec::new(), Vec::new());
    for &item in &cut.touched.items {
        if let Some(code) = snapshot.tail().arrivals().get(item).and_then(|arrival| arrival.code()) {
            arrived.push(item);
            arrived_words.extend_from_slice(code.words());
            arrived_scalers.extend_from_slice(code.scalers());
        }
    }
    let (words, scalers) = (generation.users().words().to_vec(), generation.users().scalers().to_vec());
    let moved = moved_users(snapshot, cut, parent, watch)?;
    let width = shape.words() * planes as usize;
    let user_words = patched(words, width, cut.n_users(), &moved.rows, moved.codes.words());
    let mut user_scalers = patched(scalers, shape.layers(), cut.n_users(), &moved.rows, moved.codes.scalers());
    // Who was forgotten since has no code; who has taken everything back has the one they had.
    for user in snapshot.tail().forgotten().iter().filter(|&user| user < cut.n_users()) {
        user_scalers[user as usize * shape.layers()..][..shape.layers()].fill(0.0);
    }
    let (words, scalers) = generation.item_codes().into_parts();
    let item_words = patched(words, shape.words(), cut.n_items(), &arrived, &arrived_words);
    let item_scalers = patched(scalers, shape.layers(), cut.n_items(), &arrived, &arrived_scalers);
    let provenance = parent.provenance.clone().unwrap_or_else(|| Provenance::untrained(Origin::Fold));
    Ok(Made {
        users: PlaneCodes::from_parts(Arc::clone(shape), planes, user_words, user_scalers)?,
        items: LayeredCodes::from_parts(Arc::clone(shape), item_words, item_scalers)?,
        fold_in: generation.fold_in().clone(),
        encoder: generation.encoder().cloned(),
        // What was learned of who was forgotten goes with them.
        state: if cut.has_forgotten() { Kept::Nothing } else { Kept::Of(Arc::clone(&parent.manifest)) },
        provenance: provenance.child(origin, generation.content_hash(), cut.changes),
        trained: parent.manifest.trained_through,
    })
}

/// Codes of some users.
struct MovedUsers {
    rows: Vec<u32>,
    codes: PlaneCodes,
}

/// The users with a code that their changes have moved, as queries see them.
fn moved_users(snapshot: &Snapshot, cut: &Cut, parent: &Parent<'_>, watch: &Watch<'_>) -> Result<MovedUsers> {
    let generation = &parent.generation;
    let mut rows = Vec::new();
    let mut layers: Vec<Vec<f32>> = vec![Vec::new(); generation.shape().layers()];
    let known: Vec<u32> = cut.touched.users.iter().copied().filter(|&user| generation.has_user(user)).collect();
    for users in known.chunks(TOGETHER) {
        let of = |&user: &u32| Ok(moved(snapshot, generation, user, &snapshot.tail().history(user))?);
        let vectors: Vec<Option<Vec<f32>>> = users.par_iter().map(of).collect::<Result<_>>()?;
        watch.check()?;
        for (&user, vector) in users.iter().zip(vectors) {
            if let Some(vector) = vector {
                rows.push(user);
                let ranges = segments(generation.shape());
                layers.iter_mut().zip(ranges).for_each(|(layer, range)| layer.extend_from_slice(&vector[range]));
            }
        }
    }
    let layers: Vec<&[f32]> = layers.iter().map(Vec::as_slice).collect();
    let codes = PlaneCodes::encode(Arc::clone(generation.shape()), &layers, generation.users().planes())?;
    Ok(MovedUsers { rows, codes })
}

/// Rows of `width` values with some of them, `rows`, replaced by those of `by`, and zeros after the last for `n` in all.
fn patched<T: Copy + Default>(mut values: Vec<T>, width: usize, n: u32, rows: &[u32], by: &[T]) -> Vec<T> {
    values.resize(n as usize * width, T::default());
    for (&row, by) in rows.iter().zip(by.chunks_exact(width)) {
        values[row as usize * width..][..width].copy_from_slice(by);
    }
    values
}
