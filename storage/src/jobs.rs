//! Records of jobs: what was begun, why, and how it ended. They concern nobody's data: one that cannot be read is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::Options;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Operation, SEGMENT, Tree};
use crate::error::{Error, Result};
use crate::manifest::{JOB, key, layout};
use crate::space;
use crate::store::Store;
use crate::value::{Kind, MAX_PAYLOAD, MAX_VALUE};

/// Jobs that are remembered.
const KEPT: u64 = 64;
/// Bytes that stay free for more than records: the engine extends its file by segments.
const ROOM: u64 = 2 * SEGMENT;
/// Bytes of a reason that are kept.
const LONGEST: usize = 1024;

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its number, from 1; later ones have larger ones.
    pub number: u64,
    /// What it is: `train`, `minor`, `major`, `full`, `import`, `rollback`.
    pub kind: String,
    /// Why it was begun.
    pub why: String,
    /// Milliseconds since the Unix epoch when it was begun.
    pub begun: i64,
    /// When it ended.
    pub ended: Option<i64>,
    /// What it was doing last, as far as that was written down: the beginning of a phase is, about once a second.
    pub phase: String,
    /// How it ended, if it has.
    pub outcome: JobOutcome,
    /// What it found, by name.
    pub found: BTreeMap<String, String>,
    /// Steps of that phase already taken.
    pub step: u64,
    /// Steps the phase has in all; 0 where it has no steps.
    pub of: u64,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobOutcome {
    /// It has not.
    Running,
    /// It published this generation.
    Done {
        /// Its number.
        generation: u64,
    },
    /// It published nothing.
    Failed {
        /// Why.
        reason: String,
        /// Whether trying again may end otherwise.
        retryable: bool,
    },
    /// Its owner gave it up.
    Cancelled,
    /// The process, or the opening of the database, ended before it did.
    Interrupted,
    /// It was interrupted, and a later job went on from what it had come to.
    Resumed {
        /// The number of that job.
        by: u64,
    },
}

impl Store {
    /// Keeps a record, in place of an earlier one of the same number, and forgets all but the last 64. On a disk that is nearly full nothing is written.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn note_job(&self, record: &JobRecord) -> Result<()> {
        let _changing = self.changing.lock();
        self.health.check()?;
        let live = Arc::clone(&self.live.read());
        let mut operations = vec![put(record)?];
        if let Some(old) = record.number.checked_sub(KEPT) {
            operations.push(Operation::Delete { key: key(JOB, old, 0).to_vec() });
        }
        // A write that meets a full disk ends all others, which no record of a job is worth.
        space::require(self.root(), "keep the record of a job in", ROOM)?;
        if let Err(full @ Error::DiskFull { .. }) =
            self.reserve.lock().cover(live.engine.data_bytes(), MAX_VALUE as u64)
        {
            return Err(full);
        }
        let written = live.engine.apply(Tree::Meta, operations).and_then(|()| live.engine.sync());
        self.health.note(written)
    }

    /// The jobs that are remembered, oldest first.
    ///
    /// # Errors
    /// Errors of reading.
    pub fn jobs(&self) -> Result<Vec<JobRecord>> {
        read(&Arc::clone(&self.live.read()).engine)
    }
}

fn put(record: &JobRecord) -> Result<Operation> {
    let mut record = record.clone();
    let mut texts: Vec<&mut String> = vec![&mut record.kind, &mut record.why, &mut record.phase];
    if let JobOutcome::Failed { reason, .. } = &mut record.outcome {
        texts.push(reason);
    }
    for text in texts {
        let end = (0..=LONGEST.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    let payload = layout().serialize(&record).map_err(|e| Error::invalid(e.to_string()))?;
    if payload.len() > MAX_PAYLOAD {
        return Err(Error::invalid(format!("a job record of {} bytes, over {MAX_PAYLOAD}", payload.len())));
    }
    Ok(Operation::Put { key: key(JOB, record.number, 0).to_vec(), kind: Kind::Job, payload })
}

/// All records of a store, oldest first.
pub(crate) fn read(engine: &Engine) -> Result<Vec<JobRecord>> {
    let mut records = Vec::new();
    let (first, last) = (key(JOB, 0, 0), key(JOB, u64::MAX, u32::MAX));
    engine.scan_some(Tree::Meta, &first, &last, Kind::Job, |_, payload| {
        records.extend(payload.ok().and_then(|payload| layout().deserialize::<JobRecord>(payload).ok()));
        Ok(true)
    })?;
    Ok(records)
}

/// Writes records into a store. Not yet durable.
pub(crate) fn write(engine: &Engine, records: &[JobRecord]) -> Result<()> {
    let operations = records.iter().map(put).collect::<Result<Vec<_>>>()?;
    if operations.is_empty() { Ok(()) } else { engine.apply(Tree::Meta, operations) }
}

/// What a process that has ended left running is none any more.
pub(crate) fn interrupt(records: &mut [JobRecord]) {
    for record in records.iter_mut().filter(|record| record.outcome == JobOutcome::Running) {
        record.outcome = JobOutcome::Interrupted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn a_record_that_cannot_be_read_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let store = Store::open(&path, &StoreOptions::default()).unwrap();
        let record = |number| JobRecord {
            number,
            kind: "train".to_owned(),
            why: "asked for".to_owned(),
            begun: 0,
            ended: None,
            phase: "teacher".to_owned(),
            outcome: JobOutcome::Cancelled,
            found: BTreeMap::new(),
            step: 0,
            of: 0,
        };
        (1..=4).for_each(|number| store.note_job(&record(number)).unwrap());
        let live = Arc::clone(&store.live.read());
        // One that is no value, and one that is no record.
        live.engine.lay_out(Tree::Meta, [key(JOB, 2, 0)].into_iter()).unwrap();
        live.engine.put(Tree::Meta, &key(JOB, 3, 0), Kind::Job, b"another version's").unwrap();
        live.engine.sync().unwrap();
        drop(live);
        let numbers = |store: &Store| store.jobs().unwrap().iter().map(|job| job.number).collect::<Vec<_>>();
        assert_eq!(numbers(&store), [1, 4]);
        drop(store);
        assert_eq!(numbers(&Store::open(&path, &StoreOptions::default()).unwrap()), [1, 4]);
    }
}
