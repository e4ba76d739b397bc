//! What jobs there were: records that outlive the process.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use kithdb_storage::{JobOutcome, JobRecord, Store};

use super::drift::Drift;
use super::job::Compaction;
use crate::error::{Error, Result};

/// Writes the record of one job.
pub(super) struct Entry<'a> {
    store: &'a Store,
    record: JobRecord,
}

impl<'a> Entry<'a> {
    /// Of a job that begins now. A record that cannot be kept stops nothing: storage tells of its failures by itself.
    pub(super) fn begin(store: &'a Store, kind: &str, why: &str) -> Self {
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
        };
        let _ = store.note_job(&record);
        Self { store, record }
    }

    /// Keeps what was found.
    pub(super) fn found(&mut self, name: &str, value: impl ToString) {
        self.record.found.insert(name.to_owned(), value.to_string());
    }

    /// Keeps how the generation differs from the one before.
    pub(super) fn drift(&mut self, drift: &Drift) {
        self.found("recall_before", format!("{:.4}", drift.recall_before));
        self.found("recall_after", format!("{:.4}", drift.recall_after));
        self.found("held_out", drift.held_out);
        self.found("bits_flipped", format!("{:.4}", drift.bits_flipped));
        self.found("neighbours_changed", format!("{:.4}", drift.neighbours_changed));
    }

    /// Keeps how it ended, after `phase`: with a generation, or an error.
    pub(super) fn end<T>(mut self, phase: String, outcome: &Result<T>, generation: impl FnOnce(&T) -> u64) {
        self.record.outcome = match outcome {
            Ok(made) => JobOutcome::Done { generation: generation(made) },
            Err(Error::Cancelled) => JobOutcome::Cancelled,
            Err(error) => {
                let retryable = !matches!(error, Error::NothingNew { .. } | Error::NothingToTrain { .. });
                JobOutcome::Failed { reason: error.to_string(), retryable }
            }
        };
        self.record.phase = phase;
        self.record.ended = Some(now());
    }
}

/// Whatever has become of it: a job that panics has no other end.
impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.record.outcome == JobOutcome::Running {
            let reason = "a fault of the program ended it".to_owned();
            self.record.outcome = JobOutcome::Failed { reason, retryable: false };
            self.record.ended = Some(now());
        }
        let _ = self.store.note_job(&self.record);
    }
}

/// The share of recall that the minor compactions since all rows were last learned have left, by their records: how much of what was held out each found of
/// what the one before had found, multiplied. 1 where nothing tells.
pub(super) fn recall_kept(store: &Store) -> f64 {
    let jobs = store.jobs().unwrap_or_default();
    let done = jobs.iter().rev().filter(|job| matches!(job.outcome, JobOutcome::Done { .. }));
    let minor = done.take_while(|job| job.kind == Compaction::Minor.name());
    minor.filter_map(|job| Drift::kept(|name| job.found.get(name)?.parse().ok())).product()
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
