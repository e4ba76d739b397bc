//! The one worker that runs jobs, trainings and imports, in the order they were asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use kithdb_storage::Store;

use super::checkpoints::drop_moot;
use super::clock::{Clock, How};
use super::history::{left_behind, recall_kept};
use super::import::ImportOutcome;
use super::job::{Compaction, Job, JobState, Owed, TrainOutcome, Watch, awaited, is_telling, owed};
use super::place::Place;
use super::policy::Policy;
use crate::cancel::CancelToken;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::exchange::CodeSet;
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::pool::Pool;
use crate::snapshot::Snapshot;
use crate::train::{Monitor, TrainOptions};

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
    /// Where it works in the `background` it begins compactions by itself, and first goes on with a job that was broken off.
    pub(crate) fn start(
        kernel: Kernel,
        policy: Policy,
        background: bool,
        checkpoint_after: Duration,
        memory_limit: Option<u64>,
    ) -> std::io::Result<Self> {
        let (begin, database) = bounded::<(Arc<Store>, Arc<Live>)>(1);
        let (requests, receiver) = unbounded();
        let closing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closing);
        let thread = std::thread::Builder::new().name("kithdb-compaction".into()).spawn(move || {
            if let Ok((store, live)) = database.recv() {
                let (store, live) = (&*store, &*live);
                let Policy { least_recall, fold_changes, .. } = policy;
                let place = Place { store, live, kernel, least_recall, fold_changes, memory_limit, checkpoint_after };
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
    pub(crate) fn import(
        &self,
        codes: CodeSet,
        encoder: Option<Encoder>,
        token: Option<&CancelToken>,
    ) -> Result<ImportOutcome> {
        let (owed, result) = owed();
        let given_up = Arc::downgrade(&owed);
        let state = self.send(Task::Import(Box::new((codes, encoder)), owed))?;
        awaited(&state, &given_up, &result, token)
    }

    /// Publishes the codes of a kept generation over the interactions of now, after the jobs before it; the number they have from then on.
    pub(crate) fn rollback(&self, generation: u64, token: Option<&CancelToken>) -> Result<u64> {
        let (owed, result) = owed();
        let given_up = Arc::downgrade(&owed);
        let state = self.send(Task::Rollback(generation, owed))?;
        awaited(&state, &given_up, &result, token)
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
        // Where a listener holds the last handle, the thread would wait for itself, or for one that it waits for: it ends alone.
        let is_own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !is_own(thread) && !is_telling()) {
            // A worker that panicked has published nothing by it; its jobs' owners were told by their closed channels.
            let _ = thread.join();
        }
    }
}

fn run(place: &Place<'_>, policy: Option<&Policy>, closing: &AtomicBool, requests: &Receiver<Request>) {
    let store = place.store;
    let mut threads = Threads::default();
    drop_moot(store);
    let mut clock = Clock::new(recall_kept(store));
    // Without a policy nobody goes on with what was broken off but by asking for the same.
    let mut begun = place.live.take_begun().filter(|_| policy.is_some());
    loop {
        let is_idle = requests.is_empty() && !closing.load(Ordering::Relaxed);
        if let (Some(policy), Some(moment), true) = (policy, &begun, is_idle) {
            let state = JobState::new();
            // Who asks for something does not wait for the end of what nobody asked for now.
            let waits = || !requests.is_empty();
            let watch = Watch::of(&state, closing).giving_way(&waits);
            let job = place.begun();
            let outcome = job.as_ref().map(|job| {
                let pool = threads.pool(policy.threads);
                guarded("compaction", || pool?.run(|| place.resume(job, moment, &watch)))
            });
            // It is gone on with once what it gave way to has ended, and published nothing.
            let gave_way = matches!(outcome, Some(Err(Error::Cancelled))) && watch.closes();
            begun = begun.filter(|_| gave_way);
            if let Some((job, outcome)) = job.zip(outcome) {
                let outcome = tidied(store, &watch, &mut begun, outcome);
                let how = How::of(&outcome, TrainOutcome::is_refused);
                clock = clock.follows(job.kind, how, (store, place.live), false);
            }
        }
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
                let watch = Watch::of(&state, closing);
                let pool = threads.pool(policy.threads);
                let compact = || pool?.run(|| place.compact(kind, &why, None, &watch));
                let outcome = tidied(store, &watch, &mut begun, guarded("compaction", compact));
                clock = clock.follows(kind, How::of(&outcome, TrainOutcome::is_refused), (store, place.live), false);
                continue;
            }
        };
        let watch = Watch::of(&state, closing);
        let kind = if let Task::Compact(kind, _) = task { kind } else { Compaction::Full };
        let how = match task {
            Task::Train(options, owed) => {
                // Cancelled before its turn, it has ended already.
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(options.threads);
                let train = || pool?.run(|| place.train(&options, "asked for", None, &watch));
                let outcome = tidied(store, &watch, &mut begun, guarded("training", train));
                answer(&state, &result, outcome, TrainOutcome::is_refused)
            }
            Task::Compact(kind, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(0);
                let compact = || pool?.run(|| place.compact(kind, "asked for", None, &watch));
                let outcome = tidied(store, &watch, &mut begun, guarded("compaction", compact));
                answer(&state, &result, outcome, TrainOutcome::is_refused)
            }
            Task::Import(made, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let (codes, encoder) = *made;
                let pool = threads.pool(0);
                let import = || pool?.run(|| place.import(codes, encoder, &watch));
                answer(&state, &result, tidied(store, &watch, &mut begun, guarded("import", import)), |_| false)
            }
            Task::Rollback(generation, owed) => {
                let Some(result) = owed.lock().take() else { continue };
                let pool = threads.pool(0);
                let rollback = || pool?.run(|| place.rollback(generation, &watch));
                answer(&state, &result, tidied(store, &watch, &mut begun, guarded("rollback", rollback)), |_| false)
            }
        };
        state.finish();
        clock = clock.follows(kind, how, (store, place.live), true);
    }
}

/// Tells the owner of a job how it ended. What its listeners hold goes before that: the owner may close the database at once.
fn answer<T>(
    state: &JobState,
    result: &Sender<Result<T>>,
    outcome: Result<T>,
    is_refused: impl FnOnce(&T) -> bool,
) -> How {
    state.dismiss();
    let how = How::of(&outcome, is_refused);
    // Whoever has given up waiting needs no answer.
    let _ = result.send(outcome);
    how
}

/// How often a policy is asked at most, and at least.
const GLANCE: Duration = Duration::from_secs(5);
const LEAST_GLANCE: Duration = Duration::from_millis(10);

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

/// Removes what a job that has published leaves behind: only now does it no longer hold the generation before, nor does the moment of what was `begun` before,
/// which is not gone on with then. What fails is told by its record and made good the next time, and a failed write poisons the store by itself.
fn tidied<T>(store: &Store, watch: &Watch<'_>, begun: &mut Option<Snapshot>, outcome: Result<T>) -> Result<T> {
    if outcome.is_ok() {
        *begun = None;
        watch.phase("collect", 0);
        if store.tidy().is_err() {
            left_behind(store);
        }
        watch.phase("done", 0);
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

#[cfg(test)]
mod tests {
    use super::*;

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
