//! The database that jobs work on: what each makes of it, and how that is published.

use std::sync::Arc;
use std::time::Duration;

use kithdb_storage::{Manifest, Store};

use super::checkpoints::{Begun, JobCheckpoints};
use super::drift::Drift;
use super::full::full;
use super::history::{Entry, TRAIN, may_resume, why_resumed};
use super::import::{ImportOutcome, import};
use super::job::{Compaction, TrainOutcome, Watch};
use super::made::Made;
use super::major::major;
use super::minor::minor;
use super::policy::is_long;
use super::rollback::rollback;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::exchange::CodeSet;
use crate::generation::{Cut, Derived, Generation, Kept, Origin, Parent, Written, stored};
use crate::kernel::heap;
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::snapshot::Snapshot;
use crate::span::span;
use crate::train::{Monitor, TrainOptions, TrainReport};

/// The database that jobs work on.
pub(super) struct Place<'a> {
    pub(super) store: &'a Store,
    pub(super) live: &'a Live,
    pub(super) kernel: Kernel,
    /// The share of its parent's recall that a compaction has to reach to be published.
    pub(super) least_recall: f64,
    /// Changes that the log may hold, as of [`Policy::fold_changes`](super::Policy::fold_changes).
    pub(super) fold_changes: u64,
    /// What a training may hold, where its options do not say.
    pub(super) memory_limit: Option<u64>,
    /// How long a job works from one checkpoint to the next at least.
    pub(super) checkpoint_after: Duration,
}

/// What was published.
struct Published {
    manifest: Arc<Manifest>,
    interactions: u64,
    users: u64,
    items: u64,
    /// Users and items whose interactions had changed.
    touched: (u64, u64),
    drift: Option<Drift>,
}

impl Place<'_> {
    /// Folds the log as it was at a `moment`, or is now, and publishes what `make` makes of it and of the generation before. With a `guard`, which is told
    /// how the two differ, what is much worse may not be published.
    fn produce(
        &self,
        watch: &Watch<'_>,
        moment: Option<&Snapshot>,
        guard: Option<Guard<'_>>,
        make: impl FnOnce(&Snapshot, &Cut, Option<&Parent<'_>>) -> Result<Made>,
    ) -> Result<Published> {
        // Where storage takes nothing more nothing is learned that could not be kept, and what is under way ends.
        self.store.check_health()?;
        match self.make_and_publish(watch, moment, guard, make) {
            Err(Error::Cancelled) if !watch.is_given_up() => {
                self.store.check_health()?;
                Err(Error::Cancelled)
            }
            published => published,
        }
    }

    fn make_and_publish(
        &self,
        watch: &Watch<'_>,
        moment: Option<&Snapshot>,
        guard: Option<Guard<'_>>,
        make: impl FnOnce(&Snapshot, &Cut, Option<&Parent<'_>>) -> Result<Made>,
    ) -> Result<Published> {
        watch.check()?;
        watch.phase("fold", 0);
        let snapshot = moment.cloned().unwrap_or_else(|| self.live.snapshot());
        let cut = snapshot.cut();
        let parent = Parent::of(self.store, snapshot.tail().generation());
        let made = make(&snapshot, &cut, parent.as_ref())?;
        drop(parent);
        heap::give_back();
        watch.check()?;
        let (interactions, users, items) = (cut.interactions(), u64::from(cut.n_users()), u64::from(cut.n_items()));
        let touched = (cut.touched.users.len() as u64, cut.touched.items.len() as u64);
        let (manifest, drift) = self.publish(&snapshot, made, cut, guard, watch)?;
        Ok(Published { manifest, interactions, users, items, touched, drift })
    }

    /// Makes what was made of a `cut` the generation that answers: stored first, then under the live tail.
    fn publish(
        &self,
        snapshot: &Snapshot,
        made: Made,
        cut: Cut,
        guard: Option<Guard<'_>>,
        watch: &Watch<'_>,
    ) -> Result<(Arc<Manifest>, Option<Drift>)> {
        let _span = span!(INFO, "publish");
        watch.phase("index", 0);
        self.live.check()?;
        let (anew, half_life) = (made.provenance.learns_all(), made.provenance.half_life());
        // Where nothing was learned there is nothing to refuse: codes are as they were, and what users have alone is other.
        let has_learned = matches!(made.state, Kept::State(_));
        let (content, ids, state, provenance, through) = made.of(cut);
        // All that can fail comes before the manifest names the result.
        let parent = snapshot.tail().generation().filter(|_| guard.is_some_and(|guard| guard.goes_on));
        let derived = Derived::new(&content, parent.map(Arc::as_ref), self.kernel)?;
        let mut drift = None;
        if let (Some(guard), Some(parent)) = (guard, snapshot.trained()) {
            watch.phase("compare", 0);
            drift = Drift::of(parent, (&content, half_life), &derived)?;
            drift.iter().for_each(|drift| guard.entry.drift(drift));
            let may_refuse = has_learned && guard.refuses;
            let worse = drift.as_ref().filter(|drift| may_refuse && drift.is_below(self.least_recall));
            if let Some(&Drift { recall_before: before, recall_after: after, .. }) = worse {
                return Err(Error::Worse { before, after });
            }
        }
        watch.check()?;
        let index = derived.item_index();
        let written = Written { ids: &ids, content: &content, index, state: &state, provenance: &provenance };
        let manifest = stored::publish(self.store, &written, through, anew, |phase| watch.phase(phase, 0))?;
        let generation = Generation::new(manifest.generation, manifest.content_hash.clone(), content, derived);
        self.live.publish(Arc::new(generation.keeping(Arc::clone(&manifest))), snapshot);
        Ok((manifest, drift))
    }

    /// Trains from nothing, on what there was at a `moment` or is now.
    pub(super) fn train(
        &self,
        options: &TrainOptions,
        why: &str,
        moment: Option<&Snapshot>,
        watch: &Watch<'_>,
    ) -> Result<TrainOutcome> {
        let options = &self.limited(options);
        let span = span!(INFO, "job", kind = TRAIN, why);
        let entry = Entry::begin(self.store, TRAIN, why, &span);
        let noted = &watch.noted(&entry);
        let mut training = TrainReport::default();
        let guard = Guard { entry: &entry, goes_on: false, refuses: false };
        let published = self.produce(noted, moment, Some(guard), |_, cut, parent| {
            self.check_room(parent)?;
            let checkpoints = self.checkpoints(&entry, Compaction::Full, cut, (Some(options), None))?;
            let (made, report) = full(cut, options, (noted, &checkpoints))?;
            training = report;
            Ok(made)
        });
        entry.learned(&training);
        entry.end(&published, watch.closes(), Published::generation);
        Ok(published?.outcome(Compaction::Full, training, watch))
    }

    /// Options of a training, with what it may hold here.
    fn limited(&self, options: &TrainOptions) -> TrainOptions {
        TrainOptions { memory_limit: options.memory_limit.or(self.memory_limit), ..options.clone() }
    }

    /// Folds the log, as it was at a `moment` or is now, into the generation before, and learns as much again as was asked for.
    pub(super) fn compact(
        &self,
        kind: Compaction,
        why: &str,
        moment: Option<&Snapshot>,
        watch: &Watch<'_>,
    ) -> Result<TrainOutcome> {
        self.check_news(kind)?;
        let span = span!(INFO, "job", kind = kind.name(), why);
        let entry = Entry::begin(self.store, kind.name(), why, &span);
        let noted = &watch.noted(&entry);
        let mut training = TrainReport::default();
        let guard = Some(Guard { entry: &entry, goes_on: kind != Compaction::Full, refuses: true });
        let mut waits_not = false;
        let mut published = self.produce(noted, moment, guard, |snapshot, cut, parent| {
            let folded = parent.map_or(0, |parent| parent.manifest.folded_through);
            // As the policy counts, which would begin it again.
            let known = parent.map_or(0, |parent| parent.generation.postings().items().len() as u64);
            waits_not = cut.takes_back || is_long(cut.sequence.saturating_sub(folded), self.fold_changes, known);
            if kind != Compaction::Minor {
                self.check_room(parent)?;
            }
            let (made, report) = match kind {
                Compaction::Minor => minor(snapshot, cut, parent, noted)?,
                Compaction::Major => {
                    let from = parent.map(|parent| parent.generation.content_hash());
                    let checkpoints = self.checkpoints(&entry, kind, cut, (None, from))?;
                    major(snapshot, cut, parent, (noted, &checkpoints))?
                }
                Compaction::Full => {
                    let provenance = parent.and_then(|parent| parent.provenance.as_ref());
                    let options = provenance.and_then(|provenance| provenance.options.clone()).unwrap_or_default();
                    let options = self.limited(&options);
                    let checkpoints = self.checkpoints(&entry, kind, cut, (Some(&options), None))?;
                    full(cut, &options, (noted, &checkpoints))?
                }
            };
            if !matches!(made.state, Kept::State(_)) {
                entry.not_learned();
            }
            training = report;
            Ok(made)
        });
        // What was taken back waits for nothing, nor does a log that is long: the interactions are folded, under the codes there are.
        let mut refused = None;
        if let (Err(error @ Error::Worse { .. }), true) = (&published, waits_not) {
            entry.refused(error);
            refused = Some(error.to_string());
            training = TrainReport::default();
            published = self.produce(noted, None, None, |snapshot, cut, parent| match parent {
                Some(parent) => rollback(snapshot, cut, parent, noted),
                None => Err(Error::NothingToTrain { interactions: cut.interactions() }),
            });
        }
        entry.learned(&training);
        if let Ok(published) = &published {
            entry.found("touched_users", published.touched.0);
            entry.found("touched_items", published.touched.1);
            entry.found("bytes", published.manifest.bytes());
        }
        entry.end(&published, watch.closes(), Published::generation);
        Ok(TrainOutcome { refused, ..published?.outcome(kind, training, watch) })
    }

    /// The job that was broken off when the database was closed or its process ended, where it is to be gone on with: not where its owner cancelled it, or it took
    /// the process with it twice.
    pub(super) fn begun(&self) -> Option<Begun> {
        let begun = Begun::of(&self.store.checkpoint()?)?;
        let jobs = self.store.jobs().unwrap_or_default();
        if !may_resume(&jobs, begun.number, &why_resumed(begun.number)) {
            let _ = self.store.drop_checkpoint();
            return None;
        }
        // What a full one is to do stands in its options, which another version may have written.
        (begun.kind != Compaction::Full || begun.options.is_some()).then_some(begun)
    }

    /// Goes on with it, on what there was at the `moment` when it began.
    pub(super) fn resume(&self, begun: &Begun, moment: &Snapshot, watch: &Watch<'_>) -> Result<TrainOutcome> {
        let why = why_resumed(begun.number);
        // A full compaction is a training with the parent's options, which it finds as when it began.
        match &begun.options {
            Some(options) if begun.kind == Compaction::Full && begun.trains => {
                self.train(options, &why, Some(moment), watch)
            }
            _ => self.compact(begun.kind, &why, Some(moment), watch),
        }
    }

    /// That a generation as large as the one before can be written beside it: nothing is learned for long that could not be kept.
    fn check_room(&self, parent: Option<&Parent<'_>>) -> Result<()> {
        let bytes = parent.map_or(0, |parent| parent.manifest.bytes() + parent.manifest.state_bytes());
        Ok(self.store.check_room(bytes)?)
    }

    fn checkpoints<'e>(
        &'e self,
        entry: &'e Entry<'e>,
        kind: Compaction,
        cut: &Cut,
        of: (Option<&TrainOptions>, Option<&str>),
    ) -> Result<JobCheckpoints<'e>> {
        JobCheckpoints::of((self.store, entry), kind, cut, of, self.checkpoint_after)
    }

    /// That there is something to compact: only then is there a job.
    fn check_news(&self, kind: Compaction) -> Result<()> {
        let snapshot = self.live.snapshot();
        let Some(parent) = Parent::of(self.store, snapshot.tail().generation()) else { return Ok(()) };
        // A major compaction may follow one that has seen everything and left most rows where they were, but not itself.
        let origin = parent.provenance.as_ref().map(|provenance| provenance.origin);
        let done = match kind {
            Compaction::Minor => true,
            Compaction::Major => !matches!(origin, Some(Origin::Minor | Origin::Rollback)),
            Compaction::Full => false,
        };
        if done && snapshot.last_sequence() == parent.manifest.folded_through {
            return Err(Error::NothingNew { generation: parent.manifest.generation });
        }
        Ok(())
    }

    /// Goes back to the codes of a generation that is kept.
    pub(super) fn rollback(&self, generation: u64, watch: &Watch<'_>) -> Result<u64> {
        let kept = self.store.kept();
        let Some(manifest) = kept.iter().find(|manifest| manifest.generation == generation) else {
            let numbers: Vec<String> = kept.iter().map(|manifest| manifest.generation.to_string()).collect();
            let remedy = if kept.is_empty() {
                "none is kept beside the current one; Options::kept_generations says how many are, and none is from before something was forgotten"
                    .to_owned()
            } else {
                format!("pass one that is kept beside the current one: {}", numbers.join(", "))
            };
            return Err(Error::InvalidArgument { what: format!("generation {generation} to go back to"), remedy });
        };
        let span = span!(INFO, "job", kind = "rollback", generation);
        let entry = Entry::begin(self.store, "rollback", &format!("to generation {generation}, asked for"), &span);
        let published = self.roll_back(manifest, &watch.noted(&entry));
        entry.end(&published, watch.closes(), Published::generation);
        Ok(published?.generation())
    }

    fn roll_back(&self, manifest: &Arc<Manifest>, watch: &Watch<'_>) -> Result<Published> {
        watch.check()?;
        watch.phase("fold", 0);
        let (_, kept) = stored::load_from(self.store, Arc::clone(manifest), self.kernel)?;
        let kept = Arc::new(kept);
        let snapshot = self.live.snapshot();
        let over = snapshot.over(Arc::clone(&kept));
        let mut cut = over.cut();
        cut.forget_also(snapshot.tail().has_forgotten());
        let parent = Parent::of(self.store, Some(&kept));
        let parent =
            parent.ok_or_else(|| Error::Damaged { what: "a kept generation without a manifest".to_owned() })?;
        let made = rollback(&over, &cut, &parent, watch)?;
        drop(parent);
        let (interactions, users, items) = (cut.interactions(), u64::from(cut.n_users()), u64::from(cut.n_items()));
        let touched = (cut.touched.users.len() as u64, cut.touched.items.len() as u64);
        let (manifest, drift) = self.publish(&snapshot, made, cut, None, watch)?;
        Ok(Published { manifest, interactions, users, items, touched, drift })
    }

    /// Takes in codes made elsewhere.
    pub(super) fn import(&self, codes: CodeSet, encoder: Option<Encoder>, watch: &Watch<'_>) -> Result<ImportOutcome> {
        let (shape, planes) = (codes.items.shape().clone(), codes.users.planes());
        let (users, items) = (codes.users.len() as u64, codes.items.len() as u64);
        let span = span!(INFO, "job", kind = "import");
        let entry = Entry::begin(self.store, "import", "asked for", &span);
        let published = self.produce(&watch.noted(&entry), None, None, |snapshot, cut, parent| {
            import(snapshot.catalogues(), cut, parent, codes, encoder)
        });
        entry.end(&published, watch.closes(), Published::generation);
        let published = published?;
        Ok(ImportOutcome {
            generation: published.manifest.generation,
            content_hash: published.manifest.content_hash.clone(),
            interactions: published.interactions,
            users,
            items,
            layer_bits: shape.widths().to_vec(),
            query_bits: planes,
            without_direction: 0,
            phases: watch.finish_phases(),
        })
    }
}

/// How what is made is compared with the generation before.
#[derive(Clone, Copy)]
struct Guard<'a> {
    /// Is told how the two differ.
    entry: &'a Entry<'a>,
    /// Whether it goes on from that one, and can share what follows from what is the same.
    goes_on: bool,
    /// Whether it is refused where it finds too little.
    refuses: bool,
}

impl Published {
    fn generation(&self) -> u64 {
        self.manifest.generation
    }

    fn outcome(self, kind: Compaction, training: TrainReport, watch: &Watch<'_>) -> TrainOutcome {
        let Self { manifest, interactions, users, items, touched, drift } = self;
        TrainOutcome {
            kind,
            generation: manifest.generation,
            content_hash: manifest.content_hash.clone(),
            interactions,
            users,
            items,
            touched_users: touched.0,
            touched_items: touched.1,
            drift,
            refused: None,
            phases: watch.finish_phases(),
            training,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::job::JobState;
    use super::*;
    use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
    use crate::fold_in::FoldInMap;
    use crate::generation::Provenance;
    use crate::kernel::dense::Isa;
    use crate::pool::Pool;
    use crate::repeats::Repeats;

    #[test]
    fn a_generation_that_no_index_can_be_built_over_is_not_published() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &kithdb_storage::StoreOptions::default()).unwrap();
        let (kernel, pool) = (Kernel::from_env().unwrap(), Arc::new(Pool::start("test", 1).unwrap()));
        let live = Live::load(&store, kernel, Repeats::Last, &pool).unwrap();
        let shape = Arc::new(CodeShape::new(vec![64], vec![1.0]).unwrap());
        let place = Place {
            store: &store,
            live: &live,
            kernel,
            least_recall: 0.8,
            fold_changes: 1 << 20,
            memory_limit: None,
            checkpoint_after: Duration::ZERO,
        };
        for (ranks, published) in [(vec![0], false), (vec![0, 1], true)] {
            let snapshot = live.snapshot();
            let cut = Cut { ranks: ranks.into(), ..snapshot.cut() };
            let made = Made {
                users: PlaneCodes::encode(Arc::clone(&shape), &[&[]], 1).unwrap(),
                items: LayeredCodes::encode(Arc::clone(&shape), &[&[1.0; 128]]).unwrap(),
                fold_in: FoldInMap::identity(&shape, Isa::chosen().unwrap()),
                encoder: None,
                state: Kept::Nothing,
                provenance: Provenance::untrained(Origin::Import),
                trained: 0,
            };
            let (state, closing) = (JobState::new(), AtomicBool::new(false));
            let watch = Watch::of(&state, &closing);
            let outcome = place.publish(&snapshot, made, cut, None, &watch);
            assert_eq!((outcome.is_ok(), store.manifest().is_some()), (published, published));
            assert_eq!(live.snapshot().trained().is_some(), published);
        }
    }
}
