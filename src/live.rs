//! What is live: the state that writes go to, and the snapshot of it that queries read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kithdb_storage::{Record, Store};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::catalogue::Catalogues;
use crate::compaction::begun_at;
use crate::error::{Error, Result};
use crate::generation::{Generation, stored};
use crate::index::Effort;
use crate::kernel::popcount::Kernel;
use crate::pool::Pool;
use crate::repeats::Repeats;
use crate::snapshot::{Snapshot, State};
use crate::tail::{Applied, Tail};
use crate::watch::{Announcer, GenerationWatch};

/// The shared state of an open database. Locks are taken in the order of the fields.
pub(crate) struct Live {
    /// Held while durable records are applied and while a generation is swapped in, so that the swap misses none. Never while the disk is waited
    /// for.
    working: Mutex<Working>,
    /// What queries read. Held for the time it takes to copy or to set a pointer.
    current: RwLock<Arc<State>>,
    announcer: Arc<Announcer>,
    /// What there was when a job began that was broken off.
    begun: Mutex<Option<Snapshot>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.announcer.close();
    }
}

/// The state records are applied to, ahead of what queries read or level with it.
pub(crate) struct Working {
    state: State,
    /// Records applied since the state was last shown to queries.
    unseen: u64,
    /// Why nothing more may be acknowledged.
    fault: Option<String>,
}

impl Live {
    /// Reads the current generation, if there is one, and replays the log after it.
    ///
    /// # Errors
    /// `Storage`, and `Damaged` where what is stored does not fit together.
    pub(crate) fn load(store: &Store, kernel: Kernel, repeats: Repeats, pool: &Arc<Pool>) -> Result<Self> {
        let (mut catalogues, mut tail) = match stored::load(store, kernel)? {
            None => (Catalogues::new(), Tail::new(None, 0, repeats)),
            Some((catalogues, generation)) => {
                let folded = generation.manifest().map_or(0, |manifest| manifest.folded_through);
                (catalogues, Tail::new(Some(Arc::new(generation)), folded, repeats))
            }
        };
        let begun_at = begun_at(store);
        let mut begun = (begun_at == Some(tail.applied())).then(|| (catalogues.clone(), tail.clone()));
        let mut outcome = Ok(());
        store.replay(tail.applied(), &mut |sequence, record| {
            if outcome.is_ok() {
                outcome = catalogues.apply([&record]);
                if outcome.is_ok() {
                    tail.apply(sequence, [&record]);
                    if begun_at == Some(sequence) {
                        begun = Some((catalogues.clone(), tail.clone()));
                    }
                }
            }
        })?;
        outcome?;
        let live = Self::new(catalogues, tail, Arc::clone(pool));
        let State { opening, effort, pool, .. } = live.working.lock().state.clone();
        *live.begun.lock() = begun.map(|(catalogues, mut tail)| {
            tail.settle();
            Snapshot::of(Arc::new(State { opening, catalogues, tail, effort, pool }))
        });
        Ok(live)
    }

    /// Of a database that was just opened.
    pub(crate) fn new(catalogues: Catalogues, mut tail: Tail, pool: Arc<Pool>) -> Self {
        static OPENINGS: AtomicU64 = AtomicU64::new(0);
        tail.settle();
        let opening = OPENINGS.fetch_add(1, Ordering::Relaxed);
        let state = State { opening, catalogues, tail, effort: Effort::Exact, pool };
        let current = RwLock::new(Arc::new(state.clone()));
        let announcer = Announcer::of(state.tail.generation().map(|generation| generation.number()));
        let working = Mutex::new(Working { state, unseen: 0, fault: None });
        Self { announcer, working, current, begun: Mutex::new(None) }
    }

    /// The same, where queries that do not say otherwise do so much for their answer.
    pub(crate) fn with_effort(mut self, effort: Effort) -> Self {
        let state = &mut self.working.get_mut().state;
        state.effort = effort;
        *self.current.get_mut() = Arc::new(state.clone());
        self
    }

    /// What there was when a job began that was broken off before the database was opened; once.
    pub(crate) fn take_begun(&self) -> Option<Snapshot> {
        self.begun.lock().take()
    }

    /// The database as queries see it now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(Arc::clone(&self.current.read()))
    }

    /// The state to apply records to.
    pub(crate) fn working(&self) -> MutexGuard<'_, Working> {
        self.working.lock()
    }

    /// Shows queries what was applied. What they saw before is returned, to be dropped when nobody waits.
    pub(crate) fn show(&self, mut working: MutexGuard<'_, Working>) -> Arc<State> {
        working.state.tail.settle();
        working.unseen = 0;
        let new = Arc::new(working.state.clone());
        // Set while `working` is held, so that moments are shown in their order.
        std::mem::replace(&mut *self.current.write(), new)
    }

    /// Shows queries what was applied, if they do not see it yet.
    pub(crate) fn catch_up(&self) {
        let working = self.working();
        if !working.is_seen() && working.fault.is_none() {
            drop(self.show(working));
        }
    }

    /// Whether the database may still be written to.
    ///
    /// # Errors
    /// `NotApplied`.
    pub(crate) fn check(&self) -> Result<()> {
        self.working().check()
    }

    /// Swaps in a `generation` made from the state that was seen at `cut`, under the tail as it is now.
    pub(crate) fn publish(&self, generation: Arc<Generation>, cut: &Snapshot) {
        let number = generation.number();
        let mut working = self.working();
        let rebased = working.state.tail.rebase(generation, cut.tail());
        let old = std::mem::replace(&mut working.state.tail, rebased);
        let seen = self.show(working);
        // The generation before goes with them: both locks are free again.
        drop((old, seen));
        self.announcer.announce(number);
    }

    /// Tells of generations to come.
    pub(crate) fn watch(&self) -> GenerationWatch {
        self.announcer.watch()
    }
}

impl Working {
    /// The ids known now.
    pub(crate) fn catalogues(&self) -> &Catalogues {
        &self.state.catalogues
    }

    /// As [`Live::check`].
    pub(crate) fn check(&self) -> Result<()> {
        match &self.fault {
            None => Ok(()),
            Some(what) => Err(Error::NotApplied { what: what.clone() }),
        }
    }

    /// Applies records that are durable, the first of which has sequence `first`; what the records in each of `spans`, which cover them in order,
    /// came to.
    ///
    /// # Errors
    /// `NotApplied`, now and from now on, where the records do not fit what is known: memory and log have parted.
    pub(crate) fn apply(
        &mut self,
        first: u64,
        records: &[Record],
        spans: impl Iterator<Item = std::ops::Range<usize>>,
    ) -> Result<Vec<Applied>> {
        if let Err(error) = self.state.catalogues.apply(records) {
            self.fault = Some(error.to_string());
            self.check()?;
        }
        self.unseen += records.len() as u64;
        Ok(spans.map(|span| self.state.tail.apply(first + span.start as u64, &records[span])).collect())
    }

    /// Whether so many records are applied and not shown that the time has come: a share of the tail, so that what is copied because queries hold
    /// it is a constant a record.
    pub(crate) fn is_due(&self) -> bool {
        self.unseen >= (self.state.tail.changes() / 4).max(1 << 21)
    }

    /// Whether queries see all that was applied.
    pub(crate) fn is_seen(&self) -> bool {
        self.unseen == 0
    }
}
