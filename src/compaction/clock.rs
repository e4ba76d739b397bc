//! What a policy needs of the time.

use std::time::{Duration, Instant};

use kithdb_storage::Store;

use super::history::recall_kept;
use super::job::Compaction;
use super::policy::Situation;
use crate::error::{Error, Result};
use crate::generation::Provenance;
use crate::live::Live;
use crate::train::Choices;

/// How many pauses there are after a compaction that failed.
const AFTER_FAILURE: u32 = 10;

/// How a job ended, as far as what is begun next depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Well,
    /// What it learned found too little.
    Refused,
    Cancelled,
    Failed,
    /// There was nothing to do, or what was asked for cannot be.
    NoJob,
}

impl How {
    /// By its outcome, of which `is_refused` tells whether something was published all the same.
    pub(super) fn of<T>(outcome: &Result<T>, is_refused: impl FnOnce(&T) -> bool) -> How {
        match outcome {
            Ok(made) if is_refused(made) => How::Refused,
            Ok(_) => How::Well,
            Err(Error::Worse { .. }) => How::Refused,
            Err(Error::Cancelled) => How::Cancelled,
            Err(Error::NothingNew { .. } | Error::InvalidArgument { .. }) => How::NoJob,
            Err(_) => How::Failed,
        }
    }
}

/// What a policy needs of the time, and of what was before.
pub(super) struct Clock {
    /// Since when there has been no job.
    quiet: Instant,
    /// Since when there have been changes, or somebody was forgotten.
    changed: Option<Instant>,
    failed: bool,
    /// What the last job would have been, had its codes not found too little, and how many changes were not learned from then.
    refused: Option<(Compaction, u64)>,
    /// Whether the last job was a major compaction and failed.
    fails_major: bool,
    /// The share of recall that the compactions since all rows were learned have left.
    recall_kept: f64,
}

impl Clock {
    /// Of a database that is opened, with so much of its recall left.
    pub(super) fn new(recall_kept: f64) -> Self {
        Self { quiet: Instant::now(), changed: None, failed: false, refused: None, fails_major: false, recall_kept }
    }

    /// After a job.
    pub(super) fn after(self, well: bool, recall_kept: f64) -> Self {
        Self { failed: !well, changed: self.changed.filter(|_| !well), ..Self::new(recall_kept) }
    }

    /// After a job of a `kind`, by the policy or `asked` for. Minor compactions that are asked for take little: a pause that is under way goes on, whatever came of
    /// them.
    pub(super) fn follows(self, kind: Compaction, how: How, (store, live): (&Store, &Live), asked: bool) -> Self {
        let is_small = asked && kind == Compaction::Minor;
        let Self { quiet, changed, failed, fails_major, refused, .. } = self;
        match how {
            How::NoJob if asked => self,
            How::Cancelled | How::Failed if is_small => self,
            How::Well if is_small => {
                // Nor does it make a major one better that failed, or was refused.
                let refused = refused.filter(|(kind, _)| *kind == Compaction::Major);
                let refused = refused.map(|(kind, _)| (kind, live.snapshot().tail().changes()));
                Self { quiet, failed, fails_major, refused, ..self.after(true, recall_kept(store)) }
            }
            How::Well => self.after(true, recall_kept(store)),
            How::Cancelled => Self { changed, ..self.after(true, recall_kept(store)) },
            How::Refused => {
                let refused = Some((kind, live.snapshot().tail().changes()));
                Self { refused, ..self.after(false, recall_kept(store)) }
            }
            How::NoJob | How::Failed => {
                let fails_major = kind == Compaction::Major;
                Self { fails_major, ..self.after(false, recall_kept(store)) }
            }
        }
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
            fails_major: self.fails_major,
            recall_kept: self.recall_kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use kithdb_storage::StoreOptions;

    use super::*;
    use crate::kernel::popcount::Kernel;
    use crate::pool::Pool;
    use crate::repeats::Repeats;

    /// What was asked for counts as what a policy began, but for small ones that came to nothing.
    #[test]
    fn a_policy_knows_of_what_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &StoreOptions::default()).unwrap();
        let pool = std::sync::Arc::new(Pool::start("test", 1).unwrap());
        let live = Live::load(&store, Kernel::from_env().unwrap(), Repeats::Last, &pool).unwrap();
        let pause = Duration::from_millis(100);
        let after = |kind, how, asked| {
            let clock = Clock::new(1.0);
            std::thread::sleep(pause);
            clock.follows(kind, how, (&store, &live), asked).situation(&live)
        };
        for asked in [false, true] {
            let now = after(Compaction::Minor, How::Refused, asked);
            assert_eq!((now.refused, now.quiet < pause), (Some((Compaction::Minor, 0)), true));
            let now = after(Compaction::Major, How::Refused, asked);
            assert_eq!((now.refused, now.fails_major), (Some((Compaction::Major, 0)), false));
            for how in [How::Well, How::Cancelled] {
                let now = after(Compaction::Major, how, asked);
                assert_eq!((now.refused, now.fails_major, now.quiet < pause), (None, false, true), "{how:?}");
            }
            assert!(after(Compaction::Major, How::Failed, asked).fails_major);
            assert!(!after(Compaction::Full, How::Failed, asked).fails_major);
            let small = [How::Cancelled, How::Failed].map(|how| after(Compaction::Minor, how, asked).quiet >= pause);
            assert_eq!(small, [asked; 2]);
            assert_eq!(after(Compaction::Full, How::NoJob, asked).quiet >= pause, asked);
        }
    }

    /// A major one that was refused or failed is not begun again by minor ones that somebody asks for.
    #[test]
    fn what_is_asked_for_does_not_undo_what_a_major_one_came_to() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &StoreOptions::default()).unwrap();
        let pool = std::sync::Arc::new(Pool::start("test", 1).unwrap());
        let live = Live::load(&store, Kernel::from_env().unwrap(), Repeats::Last, &pool).unwrap();
        let then = |kind, how| {
            let clock = Clock::new(1.0).follows(kind, how, (&store, &live), false);
            clock.follows(Compaction::Minor, How::Well, (&store, &live), true)
        };
        let refused = then(Compaction::Major, How::Refused);
        assert_eq!((refused.refused, refused.failed), (Some((Compaction::Major, 0)), true));
        let failed = then(Compaction::Major, How::Failed);
        assert_eq!((failed.fails_major, failed.failed), (true, true));
        assert_eq!(then(Compaction::Minor, How::Refused).refused, None);
    }

    #[test]
    fn how_a_job_ended_follows_from_its_outcome() {
        let how = |outcome: Result<bool>| How::of(&outcome, |&is_refused| is_refused);
        assert_eq!([how(Ok(false)), how(Ok(true))], [How::Well, How::Refused]);
        assert_eq!(how(Err(Error::Worse { before: 0.5, after: 0.1 })), How::Refused);
        assert_eq!(how(Err(Error::NothingNew { generation: 3 })), How::NoJob);
        assert_eq!(how(Err(Error::Cancelled)), How::Cancelled);
        assert_eq!(how(Err(Error::NothingToTrain { interactions: 0 })), How::Failed);
    }
}
