//! A training from nothing.

use super::job::Watch;
use super::made::Made;
use crate::error::{Error, Result};
use crate::generation::{Cut, Kept, Origin, Provenance};
use crate::graph::Bipartite;
use crate::train::{Checkpoints, TrainOptions, TrainReport, Trained, train_here};

/// Learns everything of a cut anew, and makes every choice again; where the same was broken off, from what it had come to.
///
/// # Errors
/// As [`train`](crate::train()), and `NothingToTrain`.
pub(super) fn full(
    cut: &Cut,
    options: &TrainOptions,
    (watch, checkpoints): (&Watch<'_>, &dyn Checkpoints),
) -> Result<(Made, TrainReport)> {
    let trained = if cut.interactions() > 0 {
        let graph = Bipartite::from_postings(&cut.postings, cut.n_items(), options.decay())?;
        let trained = train_here(&graph, options, watch, checkpoints)?;
        Trained { state: trained.state.of_active(&graph), ..trained }
    } else if cut.has_forgotten() {
        // What was forgotten has to leave the disk, though nothing is left to learn from.
        Trained::nothing(cut.n_users() as usize, cut.n_items() as usize, options)?
    } else {
        return Err(Error::NothingToTrain { interactions: 0 });
    };
    let Trained { users, items, fold_in, report, state } = trained;
    let options = Some(options.clone().threads(0));
    let provenance =
        Provenance { origin: Origin::Full, parent: None, options, choices: report.settings.clone(), unlearned: 0 };
    let made =
        Made { users, items, fold_in, encoder: None, state: Kept::State(state), provenance, trained: cut.sequence };
    Ok((made, report))
}
