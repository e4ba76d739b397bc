//! The log folded, and all rows learned again from where they are.

use super::job::Watch;
use super::made::Made;
use super::minor::{minor, resumable};
use crate::error::{Error, Result};
use crate::generation::{Cut, Kept, Origin, Parent, Provenance};
use crate::graph::Bipartite;
use crate::kernel::heap;
use crate::snapshot::Snapshot;
use crate::train::{Checkpoints, Choices, Resumed, Rows, TrainReport, resume_all};

/// Folds a cut into the generation before and learns on, with all it chose. Of models that cannot go on, and where nothing was trained yet, as a
/// minor compaction.
///
/// # Errors
/// `NothingToTrain`, `Cancelled`, `Diverged`, `Storage`.
pub(super) fn major(
    snapshot: &Snapshot,
    cut: &Cut,
    parent: Option<&Parent<'_>>,
    (watch, checkpoints): (&Watch<'_>, &dyn Checkpoints),
) -> Result<(Made, TrainReport)> {
    let resumed = match parent {
        Some(known) if known.generation.is_trained() => resumable(known)?.map(|resumed| (known, resumed)),
        _ => None,
    };
    let Some((parent, (provenance, choices, learned))) = resumed else {
        // Folded once more, what there is would be published as it is, in place of a generation that can be gone back to.
        return match parent.filter(|parent| parent.manifest.folded_through == cut.sequence) {
            Some(parent) => Err(Error::NothingNew { generation: parent.manifest.generation }),
            None => minor(snapshot, cut, parent, watch),
        };
    };
    let generation = &parent.generation;
    let graph = Bipartite::from_postings(&cut.postings, cut.n_items(), choices.half_life)?;
    let planes = generation.users().planes();
    let before = Bipartite::from_postings(generation.postings(), generation.n_items() as u32, choices.half_life)?;
    heap::give_back();
    let rule = provenance.options.as_ref().map_or(f32::INFINITY, |options| Choices::rule(options, &graph));
    let rows = Rows { users: &cut.touched.users, items: &cut.touched.items };
    let Resumed { learned, users, items, fold_in, epochs, choices } =
        resume_all((before, &graph), (&choices, rule), learned, &rows, planes, (watch, checkpoints))?;
    let child = provenance.child(Origin::Major, generation.content_hash(), cut.changes);
    let provenance = Provenance { choices: choices.kept(&provenance.choices), ..child };
    let kept = TrainReport::kept(generation.shape().widths(), cut.interactions(), &provenance.choices);
    let report = TrainReport { epochs, ..kept };
    let made = Made {
        users,
        items,
        fold_in,
        encoder: None,
        state: Kept::State(learned.save(&graph)),
        provenance,
        trained: cut.sequence,
    };
    Ok((made, report))
}
