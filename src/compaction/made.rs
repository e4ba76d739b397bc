//! What a job makes, and the worker publishes.

use crate::code::{LayeredCodes, PlaneCodes};
use crate::encoder::Encoder;
use crate::fold_in::FoldInMap;
use crate::generation::{Content, Cut, Ids, Kept, Provenance, Through};

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

impl Made {
    /// Puts it together with the cut it was made of.
    pub(super) fn of(self, cut: Cut) -> (Content, Ids, Kept, Provenance, Through) {
        let Self { users, items, fold_in, encoder, state, provenance, trained } = self;
        let Cut { postings, retired, ranks, ids, sequence, .. } = cut;
        let content = Content { postings, retired, users, items, ranks, fold_in, encoder };
        (content, ids, state, provenance, Through { folded: sequence, trained })
    }
}
