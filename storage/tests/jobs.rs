//! Records of jobs outlive the process, and what it left running is called interrupted.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use kithdb_storage::{Draft, JobOutcome, JobRecord, Store, StoreOptions};

fn record(number: u64, outcome: JobOutcome) -> JobRecord {
    JobRecord {
        number,
        kind: "minor".to_owned(),
        why: "asked for".to_owned(),
        begun: 1_700_000_000_000,
        ended: None,
        phase: "fold".to_owned(),
        outcome,
        found: BTreeMap::from([("recall_after".to_owned(), "0.25".to_owned())]),
        step: 2,
        of: 5,
    }
}

#[test]
fn records_are_found_after_publications_and_openings() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    assert_eq!(store.jobs().unwrap(), []);
    store.note_job(&record(1, JobOutcome::Running)).unwrap();
    store.note_job(&record(1, JobOutcome::Done { generation: 1 })).unwrap();
    store.note_job(&record(2, JobOutcome::Running)).unwrap();
    // A store that is copied takes them along.
    let mut writer = store.begin_generation().unwrap();
    writer.part("x", &[1], &[1u32]).unwrap();
    writer.publish(Draft { rewrite: true, ..Draft::default() }).unwrap();
    store.tidy().unwrap();
    let failed = JobOutcome::Failed { reason: "é".repeat(3000), retryable: true };
    store.note_job(&record(3, failed)).unwrap();
    drop(store);
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let jobs = store.jobs().unwrap();
    assert_eq!(jobs[0], record(1, JobOutcome::Done { generation: 1 }));
    assert_eq!(jobs[1], record(2, JobOutcome::Interrupted));
    assert!(matches!(&jobs[2].outcome, JobOutcome::Failed { reason, retryable: true } if reason.len() == 1024));
}

#[test]
fn the_last_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("db"), &StoreOptions::default()).unwrap();
    (1..=70).for_each(|number| store.note_job(&record(number, JobOutcome::Cancelled)).unwrap());
    let numbers: Vec<u64> = store.jobs().unwrap().iter().map(|job| job.number).collect();
    assert_eq!(numbers, (7..=70).collect::<Vec<_>>());
}
