//! The one worker that runs jobs, trainings and imports, in the order they were asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use kithdb_storage::{Manifest, Store};

use super::import::{ImportOutcome, import};
use super::job::{Job, JobState, Owed, PhaseTime, TrainOutcome, owed};
use super::parts::{self, Through};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::exchange::CodeSet;
use crate::generation::{Content, Derived, Generation};
use crate::graph::Bipartite;
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::pool::Pool;
use crate::snapshot::Snapshot;
use crate::train::{Monitor, TrainOptions, TrainState, Trained, train_here};

/// A job that waits for its turn, and whom to tell how it ended.
struct Request {
    task: Task,
    state: Arc<JobState>,
}

enum Task {
    Train(TrainOptions, Arc<Owed<TrainOutcome>>),
    Import(Box<(CodeSet, Option<Encoder>)>, Arc<Owed<ImportOutcome>>),
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
    pub(crate) fn start(kernel: Kernel) -> std::io::Result<Self> {
        let (begin, database) = bounded::<(Arc<Store>, Arc<Live>)>(1);
        let (requests, receiver) = unbounded();
        let closing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closing);
        let thread = std::thread::Builder::new().name("kithdb-compaction".into()).spawn(move || {
            if let Ok((store, live)) = database.recv() {
                run(&store, &live, kernel, &flag, &receiver);
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

    /// Publishes codes whose ids are defined, with the encoder they were made by, after the jobs before it.
    pub(crate) fn import(&self, codes: CodeSet, encoder: Option<Encoder>) -> Result<ImportOutcome> {
        let (owed, result) = owed();
        self.send(Task::Import(Box::new((codes, encoder)), owed))?;
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

fn run(store: &Store, live: &Live, kernel: Kernel, closing: &AtomicBool, requests: &Receiver<Request>) {
    let mut threads = Threads::default();
    while let Ok(Request { task, state }) = requests.recv() {
        let watch = Watch { state: &state, closing };
        // Whoever has given up waiting needs no answer.
        match task {
            Task::Train(options, owed) => {
                // Cancelled before its turn, it has ended already.
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(options.threads);
                let compact = || pool?.run(|| compact(store, live, kernel, &options, &watch));
                let _ = result.send(tidied(store, guarded("training", compact)));
            }
            Task::Import(made, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let (codes, encoder) = *made;
                let pool = threads.pool(0);
                let import = || pool?.run(|| import(store, live, kernel, codes, encoder, &watch));
                let _ = result.send(tidied(store, guarded("import", import)));
            }
        }
        state.finish();
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
fn tidied<T>(store: &Store, outcome: Result<T>) -> Result<T> {
    if outcome.is_ok() {
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

/// Folds, trains, publishes.
fn compact(
    store: &Store,
    live: &Live,
    kernel: Kernel,
    options: &TrainOptions,
    watch: &Watch<'_>,
) -> Result<TrainOutcome> {
    watch.check()?;
    watch.phase("fold", 0);
    let cut = parts::Cut::of(live.snapshot());
    let interactions = cut.postings.items().len() as u64;
    let trained = if interactions > 0 {
        let graph = Bipartite::from_postings(&cut.postings, cut.n_items())?;
        let trained = train_here(&graph, options, watch)?;
        Trained { state: trained.state.of_active(&graph), ..trained }
    } else if cut.has_forgotten() {
        // What was forgotten has to leave the disk, though nothing is left to learn from.
        Trained::nothing(cut.n_users() as usize, cut.n_items() as usize, options)?
    } else {
        return Err(Error::NothingToTrain { interactions });
    };

    watch.check()?;
    watch.phase("publish", 0);
    let (users, items) = (u64::from(cut.n_users()), u64::from(cut.n_items()));
    let content = Content {
        postings: cut.postings,
        retired: cut.retired,
        users: trained.users,
        items: trained.items,
        ranks: cut.ranks,
        fold_in: trained.fold_in,
        encoder: None,
    };
    let folded = cut.snapshot.last_sequence();
    let through = Through { folded, trained: folded };
    let manifest = publish(store, live, kernel, (&cut.ids, &cut.snapshot), content, &trained.state, through)?;
    Ok(TrainOutcome {
        generation: manifest.generation,
        content_hash: manifest.content_hash.clone(),
        interactions,
        users,
        items,
        phases: watch.finish_phases(),
        training: trained.report,
    })
}

/// Makes `content` the generation that answers: stored first, with the ids of the snapshot it was made from, then under the live tail.
pub(super) fn publish(
    store: &Store,
    live: &Live,
    kernel: Kernel,
    (ids, snapshot): (&parts::Ids, &Snapshot),
    content: Content,
    state: &TrainState,
    through: Through,
) -> Result<Arc<Manifest>> {
    live.check()?;
    // All that can fail comes before the manifest names the result.
    let derived = Derived::new(&content, kernel)?;
    let manifest = parts::publish(store, ids, &content, derived.item_index(), state, through)?;
    let generation = Generation::new(manifest.generation, manifest.content_hash.clone(), content, derived);
    live.publish(Arc::new(generation.keeping(Arc::clone(&manifest))), snapshot);
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{CodeShape, LayeredCodes, PlaneCodes};
    use crate::fold_in::FoldInMap;
    use crate::kernel::dense::Isa;
    use crate::repeats::Repeats;

    #[test]
    fn a_generation_that_no_index_can_be_built_over_is_not_published() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &kithdb_storage::StoreOptions::default()).unwrap();
        let (kernel, pool) = (Kernel::from_env().unwrap(), Arc::new(Pool::start("test", 1).unwrap()));
        let live = parts::load(&store, kernel, Repeats::Last, &pool).unwrap();
        let shape = Arc::new(CodeShape::new(vec![64], vec![1.0]).unwrap());
        for (ranks, published) in [(vec![0], false), (vec![0, 1], true)] {
            let cut = parts::Cut::of(live.snapshot());
            let content = Content {
                postings: cut.postings,
                retired: cut.retired,
                users: PlaneCodes::encode(Arc::clone(&shape), &[&[]], 1).unwrap(),
                items: LayeredCodes::encode(Arc::clone(&shape), &[&[1.0; 128]]).unwrap(),
                ranks: ranks.into(),
                fold_in: FoldInMap::identity(&shape, Isa::chosen().unwrap()),
                encoder: None,
            };
            let (of, through) = ((&cut.ids, &cut.snapshot), Through { folded: 0, trained: 0 });
            let outcome = publish(&store, &live, kernel, of, content, &TrainState::default(), through);
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
