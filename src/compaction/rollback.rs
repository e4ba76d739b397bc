//! An earlier generation's codes over the interactions of now.

use super::job::Watch;
use super::made::Made;
use super::minor::{folded_over, in_slots_of, resumable};
use crate::error::Result;
use crate::generation::{Cut, Kept, Origin, Parent};
use crate::graph::Bipartite;
use crate::snapshot::Snapshot;

/// The codes of `kept` as a tail over it would have them answer: of users as their changes since have moved them, and those of items that came since
/// as they were folded in. `snapshot` is the moment of now over that generation, and `cut` its cut. What the generation had learned goes along, with
/// nothing learned of who came since, so that compactions can go on from it.
///
/// # Errors
/// `Cancelled`, `Storage`.
pub(super) fn rollback(snapshot: &Snapshot, cut: &Cut, kept: &Parent<'_>, watch: &Watch<'_>) -> Result<Made> {
    // Codes of nobody stay what they are.
    let origin = if kept.generation.is_trained() { Origin::Rollback } else { Origin::Fold };
    let made = folded_over(snapshot, cut, kept, origin, watch)?;
    let Some((_, choices, learned)) = resumable(kept)? else { return Ok(made) };
    let graph = Bipartite::from_postings(&cut.postings, cut.n_items(), choices.half_life)?;
    Ok(Made { state: Kept::State(in_slots_of(kept, cut, learned.carried(&graph))?), ..made })
}
