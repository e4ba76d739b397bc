//! What jobs there were: records that outlive the process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kithdb_storage::{Checkpoint, JobOutcome, JobRecord, Store};
use parking_lot::Mutex;

use super::checkpoints::Begun;
use super::drift::Drift;
use super::job::Compaction;
use crate::error::{Error, Result};
use crate::span::{Entered, Phases};
use crate::train::TrainReport;

/// Writes the record of one job.
pub(super) struct Entry<'a> {
    store: &'a Store,
    record: Mutex<JobRecord>,
    /// When it was last written.
    written: Mutex<Instant>,
    phases: Phases,
    /// Whether what it had come to stays, for one that is begun again.
    keeps: bool,
}

/// Points of a curve that are kept at most: a record has room for two such curves.
const CURVE: usize = 100;
/// How often the phase of a job is written down at most.
const OFTEN: Duration = Duration::from_secs(1);

impl<'a> Entry<'a> {
    /// Of a job that begins now. A record that cannot be kept stops nothing: storage tells of its failures by itself.
    pub(super) fn begin(store: &'a Store, kind: &str, why: &str, span: &Entered) -> Self {
        let last = store.jobs().ok().and_then(|jobs| jobs.last().map(|job| job.number)).unwrap_or(0);
        let record = JobRecord {
            number: last + 1,
            kind: kind.to_owned(),
            why: why.to_owned(),
            begun: now(),
            ended: None,
            phase: "queued".to_owned(),
            outcome: JobOutcome::Running,
            found: BTreeMap::new(),
            step: 0,
            of: 0,
        };
        let _ = store.note_job(&record);
        let (record, written) = (Mutex::new(record), Mutex::new(Instant::now()));
        Self { store, record, written, phases: Phases::of(span), keeps: false }
    }

    /// Whether storage takes nothing more, after a write that failed.
    pub(super) fn is_refused(&self) -> bool {
        self.store.check_health().is_err()
    }

    /// The number of the job.
    pub(super) fn number(&self) -> u64 {
        self.record.lock().number
    }

    /// Whether it is a training, and no full compaction.
    pub(super) fn trains(&self) -> bool {
        self.record.lock().kind == TRAIN
    }

    /// Follows the job into another phase.
    pub(super) fn phase(&self, phase: &str, of: u64) {
        self.phases.begin(phase);
        let mut record = self.record.lock();
        (record.phase, record.step, record.of) = (phase.to_owned(), 0, of);
        self.write_often(&record);
    }

    /// Follows the job through the steps of its phase.
    pub(super) fn step(&self, step: u64) {
        let mut record = self.record.lock();
        record.step = step;
        self.write_often(&record);
    }

    fn write_often(&self, record: &JobRecord) {
        let mut written = self.written.lock();
        if written.elapsed() >= OFTEN {
            *written = Instant::now();
            let _ = self.store.note_job(record);
        }
    }

    /// Keeps what was found.
    pub(super) fn found(&self, name: &str, value: impl ToString) {
        self.record.lock().found.insert(name.to_owned(), value.to_string());
    }

    /// Keeps that it goes on with what another job had come to, after the `stage` it had ended, and tells so of that one.
    pub(super) fn resumed(&self, job: Option<u64>, stage: &str) {
        let by = self.number();
        self.found("resumed_after", stage);
        let Some(job) = job else { return };
        self.found(RESUMED, job);
        let known = self.store.jobs().unwrap_or_default().into_iter().find(|known| known.number == job);
        if let Some(known) = known.filter(is_open) {
            let _ = self.store.note_job(&JobRecord { outcome: JobOutcome::Resumed { by }, ..known });
        }
    }

    /// Keeps how recall on the held-out interactions grew with the epochs of a training: pairs of an epoch and the recall after it, blanks between, a hundred
    /// at most. Of models without epochs there is nothing.
    pub(super) fn learned(&self, report: &TrainReport) {
        for (name, epochs) in [("teacher_recalls", &report.teacher_epochs), ("student_recalls", &report.epochs)] {
            let measured = (1u32..).zip(epochs).filter_map(|(at, epoch)| Some((at, epoch.recall?)));
            let measured: Vec<(u32, f64)> = measured.collect();
            // From the last back, so that it is among them.
            let every = measured.len().div_ceil(CURVE).max(1);
            let curve = measured.iter().rev().step_by(every).rev();
            let curve: Vec<String> = curve.map(|(at, recall)| format!("{at} {recall:.4}")).collect();
            if !curve.is_empty() {
                self.found(name, curve.join(" "));
            }
        }
    }

    /// Keeps how the generation differs from the one before.
    pub(super) fn drift(&self, drift: &Drift) {
        self.found("recall_before", format!("{:.4}", drift.recall_before));
        self.found("recall_after", format!("{:.4}", drift.recall_after));
        self.found("held_out", drift.held_out);
        self.found("held_out_users", drift.users);
        self.found("bits_flipped", format!("{:.4}", drift.bits_flipped));
        self.found("neighbours_changed", format!("{:.4}", drift.neighbours_changed));
    }

    /// Keeps that interactions were folded, and nothing was learned from them.
    pub(super) fn not_learned(&self) {
        self.found(LEARNED, false);
    }

    /// Keeps that what was learned was refused, and that what was kept of its drift is none of what is published.
    pub(super) fn refused(&self, error: &Error) {
        let found = &mut self.record.lock().found;
        for name in Drift::FOUND {
            if let Some(value) = found.remove(name) {
                found.insert(format!("refused_{name}"), value);
            }
        }
        found.insert(REFUSED.to_owned(), error.to_string());
    }

    /// Keeps how it ended: with a generation, an error, or, where the database `closes`, before its end. What it had come to outlives a failure of storage that
    /// may pass.
    pub(super) fn end<T>(mut self, outcome: &Result<T>, closes: bool, generation: impl FnOnce(&T) -> u64) {
        let outcome = match outcome {
            Ok(made) => JobOutcome::Done { generation: generation(made) },
            Err(Error::Cancelled) if closes => {
                self.found(CLOSED, true);
                JobOutcome::Interrupted
            }
            Err(Error::Cancelled) => JobOutcome::Cancelled,
            Err(error) => {
                // Of the same interactions all else comes to the same.
                let retryable = error.is_of_disk() || matches!(error, Error::Thread { .. });
                self.keeps = error.is_of_disk();
                if self.keeps {
                    self.found(KEPT, true);
                }
                JobOutcome::Failed { reason: error.to_string(), retryable }
            }
        };
        self.record.lock().outcome = outcome;
    }
}

/// What the record of a job has found that was broken off with good reason, and not by the end of the process.
const CLOSED: &str = "closed";

/// What the record of a job has found that storage failed, and whose checkpoint stays.
const KEPT: &str = "checkpoint_kept";

/// What the record of a job has found that goes on with what another had come to: the number of that one.
const RESUMED: &str = "resumed";

/// What the record of a job has found that learned too little, and folded interactions under the codes there were.
const REFUSED: &str = "refused";

/// What the record of a job has found that learned nothing.
const LEARNED: &str = "learned";

/// The kind of a training, in its record.
pub(super) const TRAIN: &str = "train";

/// Why a job is begun that goes on with one of a `number`.
pub(super) fn why_resumed(number: u64) -> String {
    format!("job {number} was broken off")
}

/// Whether a checkpoint is what this job had come to, or goes on with.
fn is_of(checkpoint: &Checkpoint, job: &JobRecord) -> bool {
    let number = Begun::of(checkpoint).map(|begun| begun.number);
    let goes_on = |number: u64| {
        job.why == why_resumed(number) || job.found.get(RESUMED).is_some_and(|known| *known == number.to_string())
    };
    number.is_some_and(|number| number == job.number || goes_on(number))
}

/// How often what a job had come to may be begun on and end with the process, before it is thrown away.
const FATAL: usize = 2;

/// Whether the job of a `number` may be gone on with, by one begun for `why`, by the records there are.
pub(super) fn may_resume(jobs: &[JobRecord], number: u64, why: &str) -> bool {
    let is_known = |job: &&JobRecord| job.number == number;
    let is_fatal =
        |job: &&JobRecord| job.why == why && job.outcome == JobOutcome::Interrupted && !job.found.contains_key(CLOSED);
    jobs.iter().find(is_known).is_none_or(is_open) && jobs.iter().filter(is_fatal).count() < FATAL
}

/// Whether what a job had come to is still to be gone on with.
fn is_open(job: &JobRecord) -> bool {
    match job.outcome {
        JobOutcome::Interrupted | JobOutcome::Resumed { .. } => true,
        JobOutcome::Failed { .. } => job.found.contains_key(KEPT),
        _ => false,
    }
}

/// Whatever has become of it: a job that panics has no other end. What it had come to is of use only where it was interrupted, or storage failed it.
impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let record = self.record.get_mut();
        if record.outcome == JobOutcome::Running {
            let reason = "a fault of the program ended it".to_owned();
            record.outcome = JobOutcome::Failed { reason, retryable: false };
        }
        // One that published has made any checkpoint moot; else that of another job is none of its.
        let is_done = matches!(record.outcome, JobOutcome::Done { .. });
        let is_own = || self.store.checkpoint().is_some_and(|found| is_of(&found, record));
        if record.outcome != JobOutcome::Interrupted && !self.keeps && (is_done || is_own()) {
            let _ = self.store.drop_checkpoint();
        }
        record.ended = Some(now());
        let _ = self.store.note_job(record);
    }
}

/// The share of recall that the minor compactions since all rows were last learned have left, by their records: how much of what was held out each found of
/// what the one before had found, multiplied. What was refused has learned nothing. 1 where nothing tells.
pub(super) fn recall_kept(store: &Store) -> f64 {
    let jobs = store.jobs().unwrap_or_default();
    let done = jobs.iter().rev().filter(|job| matches!(job.outcome, JobOutcome::Done { .. }));
    let has_learned_all = |job: &&JobRecord| {
        job.kind != Compaction::Minor.name() && !job.found.contains_key(REFUSED) && !job.found.contains_key(LEARNED)
    };
    let minor = done.take_while(|job| !has_learned_all(job));
    minor.filter_map(|job| Drift::kept(|name| job.found.get(name)?.parse().ok())).product()
}

/// Keeps in the record of the last job what its publication left on the disk that is no longer needed.
pub(super) fn left_behind(store: &Store) {
    let last = store.jobs().ok().and_then(|mut jobs| jobs.pop());
    if let Some((why, mut job)) = store.left_behind().zip(last) {
        job.found.insert("left_behind".to_owned(), why);
        let _ = store.note_job(&job);
    }
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use kithdb_storage::StoreOptions;

    use super::*;
    use crate::span::span;

    #[test]
    fn what_storage_failed_is_gone_on_with_and_what_failed_by_itself_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &StoreOptions::default()).unwrap();
        let full = || kithdb_storage::Error::DiskFull {
            action: "write a generation to",
            path: directory.path().to_owned(),
            needed: None,
            free: None,
        };
        let keep = |number: u64| {
            let notes = [("job.kind", "full".to_owned()), ("job.number", number.to_string())];
            let notes = notes.map(|(name, value)| (name.to_owned(), value)).into();
            store.begin_checkpoint(0).unwrap().keep(notes).unwrap();
        };
        for (error, kept) in
            [(Error::from(full()), true), (Error::Worse { before: 0.5, after: 0.1 }, false), (Error::Cancelled, false)]
        {
            let entry = Entry::begin(&store, "train", "asked for", &span!(INFO, "job"));
            let number = entry.number();
            keep(number);
            entry.end(&Err::<(), _>(error), false, |()| 0);
            assert_eq!(store.checkpoint().is_some(), kept, "{:?}", store.jobs());
            assert_eq!(may_resume(&store.jobs().unwrap(), number, "it was broken off"), kept);
        }
        // What another job had come to stays, but where it is what this one goes on with, or something was published since.
        for (why, resumes, published, kept) in [
            ("asked for".to_owned(), None, false, true),
            ("asked for".to_owned(), Some(76), false, true),
            // It was asked for again, and then cancelled.
            ("asked for".to_owned(), Some(77), false, false),
            (why_resumed(77), None, false, false),
            ("asked for".to_owned(), None, true, false),
        ] {
            keep(77);
            let entry = Entry::begin(&store, "minor", &why, &span!(INFO, "job"));
            if resumes.is_some() {
                entry.resumed(resumes, "teacher");
            }
            let outcome = if published { Ok(()) } else { Err(Error::Cancelled) };
            entry.end(&outcome, false, |()| 3);
            assert_eq!(store.checkpoint().is_some(), kept, "{why} {published}");
        }
    }

    /// Of what was learned since all rows were, not of a major compaction that learned too little, or nothing, and folded.
    #[test]
    fn recall_is_left_of_what_learned() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("db.kith"), &StoreOptions::default()).unwrap();
        let ended = |kind: &str, found: &dyn Fn(&Entry<'_>)| {
            let entry = Entry::begin(&store, kind, "asked for", &span!(INFO, "job"));
            found(&entry);
            entry.end(&Ok(()), false, |()| 1);
        };
        let drift = |before, after| Drift {
            recall_before: before,
            recall_after: after,
            users: 1000,
            held_out: 5000,
            bits_flipped: 0.0,
            neighbours_changed: 0.0,
        };
        ended("train", &|_| ());
        ended("minor", &|entry| entry.drift(&drift(0.5, 0.45)));
        let kept = recall_kept(&store);
        assert!((kept - 0.9).abs() < 1e-9, "{kept}");
        ended("major", &|entry| {
            entry.drift(&drift(0.5, 0.1));
            entry.refused(&Error::Worse { before: 0.5, after: 0.1 });
        });
        ended("major", &|entry| entry.not_learned());
        assert_eq!(recall_kept(&store), kept);
        ended("major", &|_| ());
        assert_eq!(recall_kept(&store), 1.0);
    }

    #[test]
    fn what_takes_the_process_with_it_is_not_gone_on_with_for_ever() {
        let record = |number, why: &str, outcome: &JobOutcome, closed: bool| JobRecord {
            number,
            kind: "train".into(),
            why: why.into(),
            begun: 0,
            ended: None,
            phase: String::new(),
            outcome: outcome.clone(),
            found: closed.then(|| (CLOSED.to_owned(), "true".to_owned())).into_iter().collect(),
            step: 0,
            of: 0,
        };
        let why = "job 5 was broken off";
        let began = |outcome: &JobOutcome| record(5, "asked for", outcome, false);
        let of = |jobs: &[JobRecord]| may_resume(jobs, 5, why);
        let interrupted = JobOutcome::Interrupted;
        let died = |number| record(number, why, &interrupted, false);
        assert!(of(&[]) && of(&[began(&interrupted)]) && of(&[began(&JobOutcome::Resumed { by: 6 }), died(6)]));
        assert!(!of(&[began(&JobOutcome::Resumed { by: 6 }), died(6), died(7)]));
        // Closing and giving way are no harm, however often.
        let closed: Vec<JobRecord> = (6..20).map(|number| record(number, why, &interrupted, true)).collect();
        assert!(of(&closed));
        for over in [JobOutcome::Cancelled, JobOutcome::Done { generation: 3 }] {
            assert!(!of(&[began(&over)]), "{over:?}");
        }
    }
}
