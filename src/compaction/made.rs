//! What a job makes, and the worker publishes.

use crate::code::{LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::fold_in::FoldInMap;
use crate::generation::{Content, Cut, Ids, Provenance, Through};
use crate::train::TrainState;

/// The codes of a cut's users and items, and what goes with them.
pub(super) struct Made {
    pub(super) users: PlaneCodes,
    pub(super) items: LayeredCodes,
    pub(super) fold_in: FoldInMap,
    pub(super) encoder: Option<Encoder>,
    pub(super) state: Kept,
    pub(super) provenance: Provenance,
    /// The last record that training has seen.
    pub(super) trained: u64,
}

/// Training state beside a generation.
pub(super) enum Kept {
    /// None.
    Nothing,
    /// That of the parent, as it is.
    Parents,
    /// Its own.
    State(TrainState),
}

impl Made {
    /// Puts it together with the cut it was made of; without a state where the parent's is kept.
    pub(super) fn of(self, cut: Cut) -> (Content, Ids, Option<TrainState>, Provenance, Through) {
        let Self { users, items, fold_in, encoder, state, provenance, trained } = self;
        let Cut { postings, retired, ranks, ids, sequence, .. } = cut;
        let content = Content { postings, retired, users, items, ranks, fold_in, encoder };
        let state = match state {
            Kept::Nothing => Some(TrainState::default()),
            Kept::Parents => None,
            Kept::State(state) => Some(state),
        };
        (content, ids, state, provenance, Through { folded: sequence, trained })
    }
}
