//! The one worker that runs jobs, trainings and imports, in the order they were asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use kithdb_storage::{Manifest, Store};

use super::drift::Drift;
use super::full::full;
use super::history::{Entry, recall_kept};
use super::import::{ImportOutcome, import};
use super::job::{Compaction, Job, JobState, Owed, PhaseTime, TrainOutcome, owed};
use super::made::Made;
use super::major::major;
use super::minor::minor;
use super::policy::{Policy, Situation};
use super::rollback::rollback;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::exchange::CodeSet;
use crate::generation::{Cut, Derived, Generation, Origin, Parent, Provenance, Written, stored};
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::pool::Pool;
use crate::snapshot::Snapshot;
use crate::train::{Monitor, TrainOptions, TrainReport};

/// A job that waits for its turn, and whom to tell how it ended.
struct Request {
    task: Task,
    state: Arc<JobState>,
}

enum Task {
    Train(TrainOptions, Arc<Owed<TrainOutcome>>),
    Compact(Compaction, Arc<Owed<TrainOutcome>>),
    Import(Box<(CodeSet, Option<Encoder>)>, Arc<Owed<ImportOutcome>>),
    Rollback(u64, Arc<Owed<u64>>),
}

/// Handle of the worker's thread. Dropping it cancels what is queued and running, and waits for the thread.
pub(crate) struct Worker {
    /// Where the thread gets its database from.
    begin: Option<Sender<(Arc<Store>, Arc<Live>)>>,
    requests: Option<Sender<Request>>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread, which waits for its database.
    ///
    /// Where it works in the `background` it begins compactions by itself.
    pub(crate) fn start(kernel: Kernel, policy: Policy, background: bool) -> std::io::Result<Self> {
        let (begin, database) = bounded::<(Arc<Store>, Arc<Live>)>(1);
        let (requests, receiver) = unbounded();
        let closing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closing);
        let thread = std::thread::Builder::new().name("kithdb-compaction".into()).spawn(move || {
            if let Ok((store, live)) = database.recv() {
                let place = Place { store: &store, live: &live, kernel, least_recall: policy.least_recall };
                run(&place, Some(&policy).filter(|_| background), &flag, &receiver);
            }
        })?;
        Ok(Self { begin: Some(begin), requests: Some(requests), closing, thread: Some(thread) })
    }

    /// Gives the thread its database.
    pub(crate) fn begin(&mut self, store: &Arc<Store>, live: &Arc<Live>) {
        if let Some(begin) = self.begin.take() {
            // A thread that has ended tells every caller so.
            let _ = begin.send((Arc::clone(store), Arc::clone(live)));
        }
    }

    /// Queues a training.
    pub(crate) fn train(&self, options: TrainOptions) -> Result<Job> {
        let (owed, result) = owed();
        let given_up = Arc::downgrade(&owed);
        Ok(Job::new(self.send(Task::Train(options, owed))?, given_up, result))
    }

    /// Queues a compaction.
    pub(crate) fn compact(&self, kind: Compaction) -> Result<Job> {
        let (owed, result) = owed();
        let given_up = Arc::downgrade(&owed);
        Ok(Job::new(self.send(Task::Compact(kind, owed))?, given_up, result))
    }

    /// Publishes codes whose ids are defined, with the encoder they were made by, after the jobs before it.
    pub(crate) fn import(&self, codes: CodeSet, encoder: Option<Encoder>) -> Result<ImportOutcome> {
        let (owed, result) = owed();
        self.send(Task::Import(Box::new((codes, encoder)), owed))?;
        result.recv().map_err(|_| Error::Stopped { thread: "compaction" })?
    }

    /// Publishes the codes of a kept generation over the interactions of now, after the jobs before it; the number they have from then on.
    pub(crate) fn rollback(&self, generation: u64) -> Result<u64> {
        let (owed, result) = owed();
        self.send(Task::Rollback(generation, owed))?;
        result.recv().map_err(|_| Error::Stopped { thread: "compaction" })?
    }

    fn send(&self, task: Task) -> Result<Arc<JobState>> {
        let state = Arc::new(JobState::new());
        let request = Request { task, state: Arc::clone(&state) };
        let stopped = || Error::Stopped { thread: "compaction" };
        self.requests.as_ref().ok_or_else(stopped)?.send(request).map_err(|_| stopped())?;
        Ok(state)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        (self.begin, self.requests) = (None, None);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has published nothing by it; its jobs' owners were told by their closed channels.
            let _ = thread.join();
        }
    }
}

fn run(place: &Place<'_>, policy: Option<&Policy>, closing: &AtomicBool, requests: &Receiver<Request>) {
    let store = place.store;
    let mut threads = Threads::default();
    let mut clock = Clock::new(recall_kept(store));
    loop {
        let next = match policy {
            None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(policy) => requests.recv_timeout((policy.pause / 4).clamp(LEAST_GLANCE, GLANCE)),
        };
        let Request { task, state } = match (next, policy) {
            (Ok(request), _) => request,
            (Err(RecvTimeoutError::Disconnected), _) => return,
            (Err(RecvTimeoutError::Timeout), None) => continue,
            (Err(RecvTimeoutError::Timeout), Some(policy)) => {
                let Some((kind, why)) = policy.decide(&clock.situation(place.live)) else { continue };
                let state = JobState::new();
                let watch = Watch { state: &state, closing };
                let pool = threads.pool(policy.threads);
                let compact = || pool?.run(|| place.compact(kind, &why, &watch));
                let outcome = tidied(store, &watch, guarded("compaction", compact));
                let refused = matches!(outcome, Err(Error::Worse { .. })).then_some(kind);
                clock = Clock { refused, ..clock.after(outcome.is_ok(), recall_kept(store)) };
                continue;
            }
        };
        let watch = Watch { state: &state, closing };
        // Whoever has given up waiting needs no answer.
        match task {
            Task::Train(options, owed) => {
                // Cancelled before its turn, it has ended already.
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(options.threads);
                let train = || pool?.run(|| place.train(&options, &watch));
                let _ = result.send(tidied(store, &watch, guarded("training", train)));
            }
            Task::Compact(kind, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(0);
                let compact = || pool?.run(|| place.compact(kind, "asked for", &watch));
                let _ = result.send(tidied(store, &watch, guarded("compaction", compact)));
            }
            Task::Import(made, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let (codes, encoder) = *made;
                let pool = threads.pool(0);
                let import = || pool?.run(|| place.import(codes, encoder, &watch));
                let _ = result.send(tidied(store, &watch, guarded("import", import)));
            }
            Task::Rollback(generation, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(0);
                let rollback = || pool?.run(|| place.rollback(generation, &watch));
                let _ = result.send(tidied(store, &watch, guarded("rollback", rollback)));
            }
        }
        state.finish();
        clock = clock.after(true, recall_kept(store));
    }
}

/// How often a policy is asked at most, and at least.
const GLANCE: Duration = Duration::from_secs(5);
const LEAST_GLANCE: Duration = Duration::from_millis(10);
/// How many pauses there are after a compaction that failed.
const AFTER_FAILURE: u32 = 10;

/// What a policy needs of the time, and of what was before.
struct Clock {
    /// Since when there has been no job.
    quiet: Instant,
    /// Since when there have been changes.
    changed: Option<Instant>,
    failed: bool,
    /// What the last job would have been, had its codes not found too little.
    refused: Option<Compaction>,
    /// The share of recall that the compactions since all rows were learned have left.
    recall_kept: f64,
}

impl Clock {
    fn new(recall_kept: f64) -> Self {
        Self { quiet: Instant::now(), changed: None, failed: false, refused: None, recall_kept }
    }

    /// After a job.
    fn after(self, well: bool, recall_kept: f64) -> Self {
        Self { failed: !well, changed: self.changed.filter(|_| !well), ..Self::new(recall_kept) }
    }

    fn situation(&mut self, live: &Live) -> Situation {
        let snapshot = live.snapshot();
        let (tail, generation) = (snapshot.tail(), snapshot.tail().generation());
        let provenance = generation.and_then(|generation| generation.manifest());
        let provenance = provenance.and_then(|manifest| Provenance::read(&manifest.attributes));
        let changes = tail.changes();
        self.changed = if changes == 0 { None } else { self.changed.or_else(|| Some(Instant::now())) };
        let quiet = self.quiet.elapsed();
        Situation {
            learns: provenance.as_ref().is_some_and(|provenance| provenance.options.is_some()),
            interactions: generation.map_or(0, |generation| generation.postings().items().len() as u64),
            changes,
            unlearned: changes + provenance.map_or(0, |provenance| provenance.unlearned),
            age: self.changed.map_or(Duration::ZERO, |since| since.elapsed()),
            quiet: if self.failed { quiet / AFTER_FAILURE } else { quiet },
            refused: self.refused,
            recall_kept: self.recall_kept,
        }
    }
}

/// The threads that jobs run on: not those of queries, so that neither waits for the other. They last from job to job, since what the
/// allocator holds for a thread that has ended is not all used again.
#[derive(Default)]
struct Threads {
    pool: Option<Pool>,
}

impl Threads {
    /// So many of them, one a processor for 0.
    fn pool(&mut self, threads: usize) -> Result<&Pool> {
        let kept = self.pool.take().filter(|pool| pool.threads() == Pool::resolve(threads));
        let pool = kept.map_or_else(|| Pool::start("train", threads), Ok)?;
        Ok(self.pool.insert(pool))
    }
}

/// Removes what a job that has published leaves behind: only now does it no longer hold the generation before. What fails is made good the next
/// time, and a failed write poisons the store by itself.
fn tidied<T>(store: &Store, watch: &Watch<'_>, outcome: Result<T>) -> Result<T> {
    if outcome.is_ok() {
        watch.phase("collect", 0);
        let _ = store.tidy();
    }
    outcome
}

/// Runs a job. A fault of one neither ends the worker nor leaves its owner waiting.
fn guarded<T>(job: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|fault| {
        let told = fault.downcast_ref::<&str>().map(|&text| text.to_owned());
        let fault =
            told.or_else(|| fault.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned());
        Err(Error::JobFailed { job, fault })
    })
}

/// A job's state as the job itself sees it.
pub(super) struct Watch<'a> {
    state: &'a JobState,
    closing: &'a AtomicBool,
}

impl Watch<'_> {
    /// `Err(Cancelled)` once the owner asked to stop, or the database is closing.
    pub(super) fn check(&self) -> Result<()> {
        if self.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// What the job is doing.
    fn current_phase(&self) -> String {
        self.state.current_phase()
    }

    /// Ends the last phase; the seconds of all of them.
    pub(super) fn finish_phases(&self) -> Vec<PhaseTime> {
        self.state.finish_phases()
    }
}

impl Monitor for Watch<'_> {
    fn phase(&self, name: &str, of: u64) {
        self.state.phase(name, of);
    }

    fn advance(&self, step: u64) {
        self.state.step(step);
    }

    fn cancelled(&self) -> bool {
        self.state.cancelled() || self.closing.load(Ordering::Relaxed)
    }
}

/// The database that jobs work on.
struct Place<'a> {
    store: &'a Store,
    live: &'a Live,
    kernel: Kernel,
    /// The share of its parent's recall that a compaction has to reach to be published.
    least_recall: f64,
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
    /// Folds the log, and publishes what `make` makes of it and of the generation before. With a `guard`, which is told how the two differ, what is
    /// much worse is not published.
    fn produce(
        &self,
        watch: &Watch<'_>,
        guard: Option<&mut Entry<'_>>,
        make: impl FnOnce(&Snapshot, &Cut, Option<&Parent<'_>>) -> Result<Made>,
    ) -> Result<Published> {
        watch.check()?;
        watch.phase("fold", 0);
        let snapshot = self.live.snapshot();
        let cut = snapshot.cut();
        let parent = Parent::of(self.store, snapshot.tail().generation());
        let made = make(&snapshot, &cut, parent.as_ref())?;
        drop(parent);
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
        guard: Option<&mut Entry<'_>>,
        watch: &Watch<'_>,
    ) -> Result<(Arc<Manifest>, Option<Drift>)> {
        watch.phase("index", 0);
        self.live.check()?;
        let anew = made.provenance.learns_all();
        let (content, ids, state, provenance, through) = made.of(cut);
        // All that can fail comes before the manifest names the result.
        let parent = snapshot.tail().generation().filter(|_| guard.is_some());
        let derived = Derived::new(&content, parent.map(Arc::as_ref), self.kernel)?;
        let mut drift = None;
        if let (Some(entry), Some(parent)) = (guard, snapshot.trained()) {
            watch.phase("compare", 0);
            drift = Drift::of(parent, &content, &derived)?;
            drift.iter().for_each(|drift| entry.drift(drift));
            let worse = drift.as_ref().filter(|drift| drift.is_below(self.least_recall));
            if let Some(&Drift { recall_before: before, recall_after: after, .. }) = worse {
                return Err(Error::Worse { before, after });
            }
        }
        watch.check()?;
        let index = derived.item_index();
        let written = Written { ids: &ids, content: &content, index, state: state.as_ref(), provenance: &provenance };
        let manifest = stored::publish(self.store, &written, through, anew, |phase| watch.phase(phase, 0))?;
        let generation = Generation::new(manifest.generation, manifest.content_hash.clone(), content, derived);
        self.live.publish(Arc::new(generation.keeping(Arc::clone(&manifest))), snapshot);
        Ok((manifest, drift))
    }

    /// Trains from nothing.
    fn train(&self, options: &TrainOptions, watch: &Watch<'_>) -> Result<TrainOutcome> {
        let entry = Entry::begin(self.store, "train", "asked for");
        let mut training = TrainReport::default();
        let published = self.produce(watch, None, |_, cut, _| {
            let (made, report) = full(cut, options, watch)?;
            training = report;
            Ok(made)
        });
        entry.end(watch.current_phase(), &published, Published::generation);
        Ok(published?.outcome(Compaction::Full, training, watch))
    }

    /// Folds the log into the generation before, and learns as much again as was asked for.
    fn compact(&self, kind: Compaction, why: &str, watch: &Watch<'_>) -> Result<TrainOutcome> {
        self.check_news(kind)?;
        let mut entry = Entry::begin(self.store, kind.name(), why);
        let mut training = TrainReport::default();
        let guard = (kind != Compaction::Full).then_some(&mut entry);
        let mut takes_back = false;
        let mut published = self.produce(watch, guard, |snapshot, cut, parent| {
            takes_back = cut.takes_back;
            let (made, report) = match kind {
                Compaction::Minor => minor(snapshot, cut, parent, watch)?,
                Compaction::Major => major(snapshot, cut, parent, watch)?,
                Compaction::Full => {
                    let provenance = parent.and_then(|parent| parent.provenance.as_ref());
                    let options = provenance.and_then(|provenance| provenance.options.clone());
                    full(cut, &options.unwrap_or_default(), watch)?
                }
            };
            training = report;
            Ok(made)
        });
        // What was taken back waits for nothing: the interactions are folded, under the codes there are.
        if let (Err(refused @ Error::Worse { .. }), true) = (&published, takes_back) {
            entry.found("refused", refused);
            training = TrainReport::default();
            published = self.produce(watch, None, |snapshot, cut, parent| match parent {
                Some(parent) => rollback(snapshot, cut, parent),
                None => Err(Error::NothingToTrain { interactions: cut.interactions() }),
            });
        }
        if let Ok(published) = &published {
            entry.found("touched_users", published.touched.0);
            entry.found("touched_items", published.touched.1);
            entry.found("bytes", published.manifest.bytes());
        }
        entry.end(watch.current_phase(), &published, Published::generation);
        Ok(published?.outcome(kind, training, watch))
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
    fn rollback(&self, generation: u64, watch: &Watch<'_>) -> Result<u64> {
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
        let entry = Entry::begin(self.store, "rollback", &format!("to generation {generation}, asked for"));
        let published = self.roll_back(manifest, watch);
        entry.end(watch.current_phase(), &published, Published::generation);
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
        let made = rollback(&over, &cut, &parent)?;
        drop(parent);
        let (interactions, users, items) = (cut.interactions(), u64::from(cut.n_users()), u64::from(cut.n_items()));
        let touched = (cut.touched.users.len() as u64, cut.touched.items.len() as u64);
        let (manifest, drift) = self.publish(&snapshot, made, cut, None, watch)?;
        Ok(Published { manifest, interactions, users, items, touched, drift })
    }

    /// Takes in codes made elsewhere.
    fn import(&self, codes: CodeSet, encoder: Option<Encoder>, watch: &Watch<'_>) -> Result<ImportOutcome> {
        let (shape, planes) = (codes.items.shape().clone(), codes.users.planes());
        let (users, items) = (codes.users.len() as u64, codes.items.len() as u64);
        let entry = Entry::begin(self.store, "import", "asked for");
        let published = self
            .produce(watch, None, |snapshot, cut, parent| import(snapshot.catalogues(), cut, parent, codes, encoder));
        entry.end(watch.current_phase(), &published, Published::generation);
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
            phases: watch.finish_phases(),
            training,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::Kept;
    use super::*;
    use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
    use crate::fold_in::FoldInMap;
    use crate::generation::Provenance;
    use crate::kernel::dense::Isa;
    use crate::repeats::Repeats;

    #[test]
    fn a_generation_that_no_index_can_be_built_over_is_not_published() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &kithdb_storage::StoreOptions::default()).unwrap();
        let (kernel, pool) = (Kernel::from_env().unwrap(), Arc::new(Pool::start("test", 1).unwrap()));
        let live = Live::load(&store, kernel, Repeats::Last, &pool).unwrap();
        let shape = Arc::new(CodeShape::new(vec![64], vec![1.0]).unwrap());
        let place = Place { store: &store, live: &live, kernel, least_recall: 0.8 };
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
            let watch = Watch { state: &state, closing: &closing };
            let outcome = place.publish(&snapshot, made, cut, None, &watch);
            assert_eq!((outcome.is_ok(), store.manifest().is_some()), (published, published));
            assert_eq!(live.snapshot().trained().is_some(), published);
        }
    }

    #[test]
    fn a_panicking_job_tells_what_failed_and_that_the_database_goes_on() {
        let told = |fault: Result<()>| match fault {
            Err(error @ Error::JobFailed { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let text = told(guarded("training", || panic!("index {} of {}", 7, 3)));
        assert!(text.contains("training") && text.contains("index 7 of 3") && text.contains("goes on"), "{text}");
        assert!(told(guarded("import", || panic!("no formats"))).contains("no formats"));
        assert!(told(guarded("import", || std::panic::panic_any(3))).contains("panicked"));
        assert!(guarded("import", || Ok(3)).is_ok());
    }

    #[test]
    fn threads_are_kept_until_another_number_is_asked_for() {
        let mut threads = Threads::default();
        let mut id = |n: usize| threads.pool(n).unwrap().run(|| std::thread::current().id());
        let two: std::collections::HashSet<_> = (0..200).map(|_| id(2)).collect();
        assert!(two.len() <= 2);
        assert!(!two.contains(&id(1)));
        assert_eq!(threads.pool(0).unwrap().threads(), Pool::resolve(0));
    }
}
