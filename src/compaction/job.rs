//! A job as its owner sees it, and as it sees itself: progress, cancellation, result.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use parking_lot::Mutex;
use serde::Serialize;

use super::drift::Drift;
use super::history::Entry;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::train::{Monitor, TrainReport};

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is doing: `queued`, `fold`, the training's phases, `index`, `compare`, `merge` or `patch`, `manifest`, `collect`, and, if
    /// it ended well, `done`.
    pub phase: String,
    /// Steps of this phase already taken.
    pub step: u64,
    /// Steps this phase has in all; 0 where it has no steps.
    pub of: u64,
}

/// Seconds spent in one phase of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// The phase.
    pub phase: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// How much of a generation is learned again when the log is folded into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compaction {
    /// The rows that were touched: seconds. Others keep their codes, bit for bit.
    Minor,
    /// All rows, from where they are: a fraction of a training.
    Major,
    /// Everything from nothing, and every choice again, with the options of the training before: what [`Db::train`](crate::Db::train) does.
    Full,
}

impl Compaction {
    /// The name: `minor`, `major` or `full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Full => "full",
        }
    }
}

/// What a training or a compaction came to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TrainOutcome {
    /// What it was.
    pub kind: Compaction,
    /// The generation it published.
    pub generation: u64,
    /// Hash of the generation's content: the same for the same interactions in the same order, options and seed, at any number of threads.
    pub content_hash: String,
    /// Interactions the generation holds.
    pub interactions: u64,
    /// Users the generation knows.
    pub users: u64,
    /// Items the generation knows.
    pub items: u64,
    /// Users whose interactions had changed since the generation before.
    pub touched_users: u64,
    /// Items whose interactions had changed since the generation before.
    pub touched_items: u64,
    /// How the generation differs from the one before, where the two can be compared.
    pub drift: Option<Drift>,
    /// Why what a compaction learned was not published, and interactions were folded under the codes there are: something was taken back, or the log is
    /// long, and neither waits ([`Policy::least_recall`](crate::Policy::least_recall)).
    pub refused: Option<String>,
    /// Seconds per phase, in order.
    pub phases: Vec<PhaseTime>,
    /// What training chose and how it went; of a minor or major compaction the settings that were kept, and nothing where nothing was learned.
    pub training: TrainReport,
}

impl TrainOutcome {
    /// Whether what was learned was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }
}

/// A background training or compaction, from [`Db::train`](crate::Db::train) or [`Db::compact`](crate::Db::compact). Dropping it lets the job run on.
#[derive(Debug)]
pub struct Job {
    state: Arc<JobState>,
    owed: Weak<Owed<TrainOutcome>>,
    result: Receiver<Result<TrainOutcome>>,
}

/// The answer a job's owner waits for. Whoever takes the sender gives it: the worker that begins the job, or the owner who gives it up before.
/// It goes with the job, so that nobody waits for one that was lost.
pub(super) type Owed<T> = Mutex<Option<Sender<Result<T>>>>;

/// An answer to be given, and where it comes.
pub(super) fn owed<T>() -> (Arc<Owed<T>>, Receiver<Result<T>>) {
    let (sender, result) = bounded(1);
    (Arc::new(Mutex::new(Some(sender))), result)
}

/// Waits for the outcome of a job that nobody else holds, and cancels it once the token says so.
pub(super) fn awaited<T>(
    state: &JobState,
    owed: &Weak<Owed<T>>,
    result: &Receiver<Result<T>>,
    token: Option<&CancelToken>,
) -> Result<T> {
    let stopped = Err(Error::Stopped { thread: "compaction" });
    let Some(token) = token else { return result.recv().unwrap_or(stopped) };
    loop {
        match result.recv_timeout(GLANCE) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Disconnected) => return stopped,
            Err(RecvTimeoutError::Timeout) if token.is_cancelled() => state.cancel(owed),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// How often a token is looked at.
const GLANCE: Duration = Duration::from_millis(10);

impl Job {
    pub(super) fn new(
        state: Arc<JobState>,
        owed: Weak<Owed<TrainOutcome>>,
        result: Receiver<Result<TrainOutcome>>,
    ) -> Self {
        Self { state, owed, result }
    }

    /// How far the job has come.
    pub fn progress(&self) -> Progress {
        self.state.inner.lock().progress.clone()
    }

    /// Asks the job to stop. Unless it is publishing already, it does so within a fraction of a second and publishes nothing. A job that has
    /// not begun never does, and has ended when this returns.
    pub fn cancel(&self) {
        self.state.cancel(&self.owed);
    }

    /// Whether the job has ended, one way or another.
    pub fn is_finished(&self) -> bool {
        self.state.finished.load(Ordering::Acquire)
    }

    /// Waits at most `patience` for the job to end; whether it has.
    pub fn wait_timeout(&self, patience: Duration) -> bool {
        let deadline = Instant::now().checked_add(patience);
        let mut inner = self.state.inner.lock();
        while !self.is_finished() {
            match deadline {
                None => self.state.ended.wait(&mut inner),
                Some(deadline) if self.state.ended.wait_until(&mut inner, deadline).timed_out() => {
                    return self.is_finished();
                }
                Some(_) => {}
            }
        }
        true
    }

    /// The outcome, once, if the job has ended; `None` while it has not.
    ///
    /// # Errors
    /// As [`Job::wait`]; [`Error::Stopped`] where it was taken before.
    pub fn try_wait(&self) -> Option<Result<TrainOutcome>> {
        match self.result.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Error::Stopped { thread: "training" })),
        }
    }

    /// Has `listener` told of progress from now on, on the thread that works: it is to be quick, and not to wait for the job. Steps that come while it is told of
    /// one may not be told each. If it panics, it is told no more, and the job goes on.
    pub fn on_progress(&self, listener: impl FnMut(&Progress) + Send + 'static) {
        self.state.listeners.lock().0.push(Box::new(listener));
    }

    /// Waits for the job to end.
    ///
    /// # Errors
    /// What made the job fail, or [`Error::Cancelled`]. Whatever it is, the generation before goes on answering, and other jobs go on.
    pub fn wait(self) -> Result<TrainOutcome> {
        self.result.recv().map_err(|_| Error::Stopped { thread: "training" })?
    }
}

/// What a job's owner and its worker share.
#[derive(Debug)]
pub(super) struct JobState {
    inner: Mutex<Inner>,
    ended: parking_lot::Condvar,
    cancelled: AtomicBool,
    finished: AtomicBool,
    listeners: Mutex<Listeners>,
}

thread_local! {
    /// Whether this thread is telling listeners, so that the job waits for whatever they do.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread works for a job that waits for it.
pub(super) fn is_telling() -> bool {
    TELLING.get()
}

/// Somebody who is told of progress.
type Listener = Box<dyn FnMut(&Progress) + Send>;

/// Who is told of progress.
#[derive(Default)]
struct Listeners(Vec<Listener>);

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}

#[derive(Debug)]
struct Inner {
    progress: Progress,
    since: Instant,
    phases: Vec<PhaseTime>,
}

impl JobState {
    pub(super) fn new() -> Self {
        let progress = Progress { phase: "queued".to_owned(), step: 0, of: 0 };
        Self {
            inner: Mutex::new(Inner { progress, since: Instant::now(), phases: Vec::new() }),
            ended: parking_lot::Condvar::new(),
            cancelled: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            listeners: Mutex::new(Listeners::default()),
        }
    }

    /// Tells whoever listens how far it has come.
    fn tell(&self) {
        // Outside the lock, so that a listener may ask for another one.
        let mut listeners = std::mem::take(&mut *self.listeners.lock());
        if !listeners.0.is_empty() {
            let progress = self.inner.lock().progress.clone();
            // A listener that panics hears no more: the job, and the worker it runs on, go on.
            let mut hears = |listener: &mut Listener| catch_unwind(AssertUnwindSafe(|| listener(&progress))).is_ok();
            let before = TELLING.replace(true);
            listeners.0.retain_mut(&mut hears);
            TELLING.set(before);
            self.listeners.lock().0.append(&mut listeners.0);
        }
    }

    /// Ends the current phase and begins another of `of` steps. A phase entered again goes on with its clock.
    pub(super) fn phase(&self, phase: &str, of: u64) {
        let mut inner = self.inner.lock();
        let seconds = inner.since.elapsed().as_secs_f64();
        let next = Progress { phase: phase.to_owned(), step: 0, of };
        let ended = std::mem::replace(&mut inner.progress, next).phase;
        match inner.phases.iter_mut().find(|p| p.phase == ended) {
            Some(entry) => entry.seconds += seconds,
            None => inner.phases.push(PhaseTime { phase: ended, seconds }),
        }
        inner.since = Instant::now();
        drop(inner);
        self.tell();
    }

    pub(super) fn step(&self, step: u64) {
        self.inner.lock().progress.step = step;
        self.tell();
    }

    /// Asks it to stop; where it has not begun, its owner is told so at once.
    fn cancel<T>(&self, owed: &Weak<Owed<T>>) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(sender) = owed.upgrade().and_then(|owed| owed.lock().take()) {
            let _ = sender.send(Err(Error::Cancelled));
            self.finish();
        }
    }

    pub(super) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Ends the last phase; the seconds of all of them.
    pub(super) fn finish_phases(&self) -> Vec<PhaseTime> {
        self.phase("done", 0);
        self.inner.lock().phases.clone()
    }

    /// Lets go of whoever listens, and of what they hold, which may be the last handle of the database.
    pub(super) fn dismiss(&self) {
        // Dropped outside the lock.
        let listeners = std::mem::take(&mut *self.listeners.lock());
        drop(listeners);
    }

    pub(super) fn finish(&self) {
        let _inner = self.inner.lock();
        self.finished.store(true, Ordering::Release);
        self.ended.notify_all();
    }
}

/// A job's state as the job itself sees it.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) state: &'a JobState,
    pub(super) closing: &'a AtomicBool,
    /// Its record, which follows it through its phases.
    entry: Option<&'a Entry<'a>>,
    /// Whether something waits that it gives way to, to be gone on with later.
    gives_way: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl<'a> Watch<'a> {
    pub(super) fn of(state: &'a JobState, closing: &'a AtomicBool) -> Self {
        Self { state, closing, entry: None, gives_way: None }
    }

    /// The same, of a job that nobody asked for and that gives way once `waits` says so.
    pub(super) fn giving_way(self, waits: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Watch { gives_way: Some(waits), ..self }
    }

    /// The same, followed by the record of the job.
    pub(super) fn noted<'b>(&self, entry: &'b Entry<'b>) -> Watch<'b>
    where
        'a: 'b,
    {
        Watch { entry: Some(entry), ..*self }
    }

    /// `Err(Cancelled)` once the owner asked to stop, the database is closing, or storage takes nothing more.
    pub(super) fn check(&self) -> Result<()> {
        if self.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Whether the database is closing, or it gives way, and not the owner has asked to stop.
    pub(super) fn closes(&self) -> bool {
        self.ends_early() && !self.state.cancelled()
    }

    /// Whether somebody wants it to end.
    pub(super) fn is_given_up(&self) -> bool {
        self.state.cancelled() || self.ends_early()
    }

    fn ends_early(&self) -> bool {
        self.closing.load(Ordering::Relaxed) || self.gives_way.is_some_and(|waits| waits())
    }

    /// Ends the last phase; the seconds of all of them.
    pub(super) fn finish_phases(&self) -> Vec<PhaseTime> {
        self.state.finish_phases()
    }
}

impl Monitor for Watch<'_> {
    fn phase(&self, name: &str, of: u64) {
        self.state.phase(name, of);
        self.entry.iter().for_each(|entry| entry.phase(name, of));
    }

    fn advance(&self, step: u64) {
        self.state.step(step);
        self.entry.iter().for_each(|entry| entry.step(step));
    }

    fn cancelled(&self) -> bool {
        self.is_given_up() || self.entry.is_some_and(Entry::is_refused)
    }
}
