//! The one worker that runs jobs, trainings and imports, in the order they were asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use kithdb_storage::{Manifest, Store};

use super::import::{ImportOutcome, import};
use super::job::{Job, JobState, PhaseTime, TrainOutcome};
use super::parts;
use crate::code::Encoder;
use crate::error::{Error, Result};
use crate::exchange::CodeSet;
use crate::generation::{Content, Generation};
use crate::graph::Bipartite;
use crate::index::Order;
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::snapshot::Snapshot;
use crate::train::{self, Monitor, TrainOptions, TrainState, Trained, train_here};

/// A job that waits for its turn, and whom to tell how it ended.
struct Request {
    task: Task,
    state: Arc<JobState>,
}

enum Task {
    Train(TrainOptions, Sender<Result<TrainOutcome>>),
    Import(Box<(CodeSet, Option<Encoder>)>, Sender<Result<ImportOutcome>>),
}

/// Handle of the worker's thread. Dropping it cancels what is queued and running, and waits for the thread.
pub(crate) struct Worker {
    requests: Option<Sender<Request>>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start(store: Arc<Store>, live: Arc<Live>, kernel: Kernel) -> std::io::Result<Self> {
        let (requests, receiver) = unbounded();
        let closing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closing);
        let thread = std::thread::Builder::new()
            .name("kithdb-compaction".into())
            .spawn(move || run(&store, &live, kernel, &flag, &receiver))?;
        Ok(Self { requests: Some(requests), closing, thread: Some(thread) })
    }

    /// Queues a training.
    pub(crate) fn train(&self, options: TrainOptions) -> Result<Job> {
        let (sender, result) = bounded(1);
        Ok(Job { state: self.send(Task::Train(options, sender))?, result })
    }

    /// Publishes codes whose ids are defined, with the encoder they were made by, after the jobs before it.
    pub(crate) fn import(&self, codes: CodeSet, encoder: Option<Encoder>) -> Result<ImportOutcome> {
        let (sender, result) = bounded(1);
        self.send(Task::Import(Box::new((codes, encoder)), sender))?;
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
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has published nothing by it; its jobs' owners were told by their closed channels.
            let _ = thread.join();
        }
    }
}

fn run(store: &Store, live: &Live, kernel: Kernel, closing: &AtomicBool, requests: &Receiver<Request>) {
    while let Ok(Request { task, state }) = requests.recv() {
        let watch = Watch { state: &state, closing };
        // Whoever has given up waiting needs no answer.
        match task {
            Task::Train(options, result) => {
                let compact = || train::pool(&options)?.install(|| compact(store, live, kernel, &options, &watch));
                let _ = result.send(guarded("training", compact));
            }
            Task::Import(made, result) => {
                let (codes, encoder) = *made;
                let pool = || train::pool(&TrainOptions::default());
                let import = || pool()?.install(|| import(store, live, kernel, codes, encoder, &watch));
                let _ = result.send(guarded("import", import));
            }
        }
        state.finish();
    }
}

/// Runs a job. A fault of one neither ends the worker nor leaves its owner waiting.
fn guarded<T>(thread: &'static str, job: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or(Err(Error::Stopped { thread }))
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
        train_here(&graph, options, watch)?
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
    let manifest = publish(store, live, kernel, (&cut.ids, &cut.snapshot), content, &trained.state)?;
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
) -> Result<Arc<Manifest>> {
    live.check()?;
    let order = Order::of(&content.items);
    let manifest = parts::publish(store, ids, &content, &order, state, snapshot.last_sequence())?;
    let generation = Generation::new(manifest.generation, manifest.content_hash.clone(), content, order, kernel)?;
    live.publish(Arc::new(generation), snapshot);
    Ok(manifest)
}
