//! What a policy needs of the time.

use std::time::{Duration, Instant};

use super::job::Compaction;
use super::policy::Situation;
use crate::generation::Provenance;
use crate::live::Live;
use crate::train::Choices;

/// How many pauses there are after a compaction that failed.
const AFTER_FAILURE: u32 = 10;

/// What a policy needs of the time, and of what was before.
pub(super) struct Clock {
    /// Since when there has been no job.
    quiet: Instant,
    /// Since when there have been changes, or somebody was forgotten.
    changed: Option<Instant>,
    failed: bool,
    /// What the last job would have been, had its codes not found too little, and how many changes were not learned from then.
    refused: Option<(Compaction, u64)>,
    /// The share of recall that the compactions since all rows were learned have left.
    recall_kept: f64,
}

impl Clock {
    /// Of a database that is opened, with so much of its recall left.
    pub(super) fn new(recall_kept: f64) -> Self {
        Self { quiet: Instant::now(), changed: None, failed: false, refused: None, recall_kept }
    }

    /// After a job.
    pub(super) fn after(self, well: bool, recall_kept: f64) -> Self {
        Self { failed: !well, changed: self.changed.filter(|_| !well), ..Self::new(recall_kept) }
    }

    /// After a compaction whose codes found too little, where so many changes are not learned from.
    pub(super) fn after_refused(self, kind: Compaction, changes: u64, recall_kept: f64) -> Self {
        Self { refused: Some((kind, changes)), ..self.after(false, recall_kept) }
    }

    /// After a job that was asked for and has published; a pause that was under way, of which it takes little, goes on.
    pub(super) fn after_small(self, recall_kept: f64) -> Self {
        let quiet = self.quiet;
        Self { quiet, ..self.after(true, recall_kept) }
    }

    /// What the policy decides by.
    pub(super) fn situation(&mut self, live: &Live) -> Situation {
        let snapshot = live.snapshot();
        let (tail, generation) = (snapshot.tail(), snapshot.tail().generation());
        let manifest = generation.and_then(|generation| generation.manifest());
        let folded = manifest.map_or(0, |manifest| manifest.folded_through);
        let provenance = manifest.and_then(|manifest| Provenance::read(&manifest.attributes));
        let has_state = manifest.is_some_and(|manifest| !manifest.state.is_empty());
        let changes = tail.changes();
        let nodes = u64::from(snapshot.catalogues().users.len()) + u64::from(snapshot.catalogues().items.len());
        let forgets = tail.has_forgotten();
        let is_as_before = changes == 0 && !forgets;
        self.changed = if is_as_before { None } else { self.changed.or_else(|| Some(Instant::now())) };
        let quiet = self.quiet.elapsed();
        Situation {
            learns: has_state
                && provenance.as_ref().is_some_and(|provenance| {
                    let options = provenance.options.as_ref();
                    options.is_some_and(|options| Choices::of(options, &provenance.choices).is_some())
                }),
            interactions: generation.map_or(0, |generation| generation.postings().items().len() as u64),
            changes,
            forgets,
            nodes,
            new: nodes - generation.map_or(0, |known| known.users().len() as u64 + known.n_items() as u64).min(nodes),
            records: tail.applied().saturating_sub(folded),
            unlearned: changes + provenance.map_or(0, |provenance| provenance.unlearned),
            age: self.changed.map_or(Duration::ZERO, |since| since.elapsed()),
            quiet: if self.failed { quiet / AFTER_FAILURE } else { quiet },
            refused: self.refused.map(|(kind, at)| (kind, changes.saturating_sub(at))),
            recall_kept: self.recall_kept,
        }
    }
}
