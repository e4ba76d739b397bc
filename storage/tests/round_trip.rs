//! What is appended is replayed, and what is written as a part is read: against a plain vector as the oracle.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use kithdb_storage::{Draft, Error, IdKind, Record, Side, Store, StoreOptions};
use proptest::prelude::*;

fn open(path: &std::path::Path) -> Store {
    Store::open(path, &StoreOptions::default()).unwrap()
}

fn replay(store: &Store, after: u64) -> Vec<(u64, Record)> {
    let mut seen = Vec::new();
    store.replay(after, &mut |sequence, record| seen.push((sequence, record))).unwrap();
    seen
}

fn is_invalid<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Invalid { .. }))
}

fn record() -> impl Strategy<Value = Record> {
    let index = 0..u32::MAX;
    let weight = prop_oneof![Just(1.0f32), 1e-6f32..1e6];
    let id = prop_oneof![
        any::<u64>().prop_map(|n| (IdKind::U64, n.to_be_bytes().to_vec())),
        "[a-zé]{1,40}".prop_map(|text| (IdKind::Str, text.into_bytes())),
        prop::collection::vec(any::<u8>(), 1..=512).prop_map(|bytes| (IdKind::Bytes, bytes)),
    ];
    let side = prop_oneof![Just(Side::User), Just(Side::Item)];
    prop_oneof![
        6 => (index.clone(), index.clone(), weight, any::<Option<i64>>())
            .prop_map(|(user, item, weight, time)| Record::Insert { user, item, weight, time }),
        2 => (side, index.clone(), id)
            .prop_map(|(side, index, (kind, bytes))| Record::Define { side, index, kind, bytes }),
        1 => (index.clone(), index.clone()).prop_map(|(user, item)| Record::Remove { user, item }),
        1 => index.clone().prop_map(|user| Record::ForgetUser { user }),
        1 => (any::<bool>(), index.clone(), prop::collection::vec(any::<u8>(), 1..4097)).prop_map(|(user, index, bytes)| {
            Record::Describe { side: if user { Side::User } else { Side::Item }, index, bytes }
        }),
        1 => index.prop_map(|item| Record::RetireItem { item }),
    ]
}

/// One step in the life of a database.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Record>),
    Reopen,
    /// Publishes a generation folded through this share (in percent) of what is not folded yet.
    Publish {
        percent: u64,
        rewrite: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(record(), 0..60).prop_map(Step::Append),
        1 => prop::collection::vec(record(), 1500..4000).prop_map(Step::Append),
        1 => Just(Step::Reopen),
        1 => (0..=100u64, any::<bool>()).prop_map(|(percent, rewrite)| Step::Publish { percent, rewrite }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_vector_that_loses_its_folded_front(steps in prop::collection::vec(step(), 1..12)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let mut oracle: Vec<Record> = Vec::new();
        let mut folded = 0u64;
        for step in steps {
            match step {
                Step::Append(records) => {
                    oracle.extend(records.iter().cloned());
                    prop_assert_eq!(store.append(&records).unwrap(), oracle.len() as u64);
                }
                Step::Reopen => {
                    store.close().unwrap();
                    store = open(dir.path());
                }
                Step::Publish { percent, rewrite } => {
                    folded += (oracle.len() as u64 - folded) * percent / 100;
                    let mut writer = store.begin_generation().unwrap();
                    writer.part("folded", &[1], &[folded]).unwrap();
                    let draft = Draft { folded_through: folded, trained_through: folded, rewrite, ..Draft::default() };
                    writer.publish(draft).unwrap();
                }
            }
            prop_assert_eq!(store.last_sequence(), oracle.len() as u64);
            for after in [folded, folded + (oracle.len() as u64 - folded) / 2] {
                let expected: Vec<_> =
                    oracle.iter().cloned().enumerate().map(|(i, r)| (i as u64 + 1, r)).skip(after as usize).collect();
                prop_assert_eq!(replay(&store, after), expected);
            }
            if folded > 0 {
                let asked = store.replay(folded - 1, &mut |_, _| ());
                prop_assert!(is_invalid(&asked));
                let reader = store.read_generation(store.manifest().unwrap());
                prop_assert_eq!(reader.part::<u64>("folded").unwrap(), vec![folded]);
            }
            prop_assert!(store.verify().unwrap().is_sound());
        }
    }

    #[test]
    fn parts_of_any_length_come_back(
        words in prop::collection::vec(any::<u64>(), 0..3000),
        bytes in prop::collection::vec(any::<u8>(), 6100..12400),
        floats in prop::collection::vec(any::<f32>(), 0..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut writer = store.begin_generation().unwrap();
        writer.part("words", &[words.len() as u64], &words).unwrap();
        writer.part("bytes", &[1, bytes.len() as u64], &bytes).unwrap();
        writer.part::<i32>("none", &[0, 7], &[]).unwrap();
        writer.state_part("floats", &[floats.len() as u64], &floats).unwrap();
        let published = writer.publish(Draft::default()).unwrap();
        store.close().unwrap();

        let store = open(dir.path());
        let manifest = store.manifest().unwrap();
        prop_assert_eq!(&published, &manifest);
        let reader = store.read_generation(Arc::clone(&manifest));
        prop_assert_eq!(reader.part::<u64>("words").unwrap(), words);
        prop_assert_eq!(reader.part::<u8>("bytes").unwrap(), bytes);
        prop_assert_eq!(reader.part::<i32>("none").unwrap(), Vec::<i32>::new());
        prop_assert!(is_invalid(&reader.part::<u32>("words")));
        prop_assert!(is_invalid(&reader.part::<u32>("absent")));
        let state = store.read_state(&manifest).unwrap().unwrap();
        let read = state.part::<f32>("floats").unwrap().unwrap();
        prop_assert_eq!(
            read.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            floats.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_part_can_be_shared_with_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let big: Vec<u32> = (0..50_000).collect();
    let mut writer = store.begin_generation().unwrap();
    writer.part("codes", &[50_000], &big).unwrap();
    writer.part("tail", &[1], &[1u32]).unwrap();
    writer.state_part("table", &[2], &[0.5f32, 1.5]).unwrap();
    let first = writer.publish(Draft::default()).unwrap();

    for round in 2..5u32 {
        let mut writer = store.begin_generation().unwrap();
        writer.share("codes").unwrap();
        writer.part("tail", &[1], &[round]).unwrap();
        writer.share_state(&store.manifest().unwrap());
        let next = writer.publish(Draft::default()).unwrap();
        assert_eq!(next.generation, u64::from(round));
        assert_eq!(next.part("codes").unwrap().written_by(), 1);
        assert_ne!(next.content_hash, first.content_hash);
        store.tidy().unwrap();
        // The one before is kept, and of the first the part that is shared.
        let before = |back: u32| dir.path().join(format!("gen-{}", round.saturating_sub(back))).exists();
        assert!(before(1) && (!before(2) || round == 3), "generation {round}");
        assert_eq!(store.kept().iter().map(|kept| kept.generation).collect::<Vec<_>>(), [u64::from(round) - 1]);
    }
    store.close().unwrap();
    let store = open(dir.path());
    let manifest = store.manifest().unwrap();
    let reader = store.read_generation(Arc::clone(&manifest));
    assert_eq!(reader.part::<u32>("codes").unwrap(), big);
    assert_eq!(reader.part::<u32>("tail").unwrap(), [4]);
    assert_eq!(store.read_state(&manifest).unwrap().unwrap().part::<f32>("table").unwrap().unwrap(), [0.5, 1.5]);
}

#[test]
fn a_dropped_writer_leaves_nothing_and_a_second_one_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    let mut writer = store.begin_generation().unwrap();
    writer.part("words", &[3], &[1u64, 2, 3]).unwrap();
    writer.state_part("table", &[1], &[1.0f64]).unwrap();
    assert!(matches!(store.begin_generation(), Err(Error::Busy)));
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
    assert!(store.begin_generation().is_ok());
    assert!(store.manifest().is_none());
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good = Record::Insert { user: 1, item: 2, weight: 1.0, time: None };
    let bad = Record::Insert { user: 1, item: u32::MAX, weight: 1.0, time: None };
    assert!(matches!(store.append(&[good.clone(), bad]), Err(Error::Invalid { .. })));
    assert_eq!(store.last_sequence(), 0);
    assert_eq!(store.append(&[good]).unwrap(), 1, "a caller's mistake does not poison the handle");

    let mut writer = store.begin_generation().unwrap();
    assert!(matches!(writer.part("words", &[2, 2], &[1u64, 2, 3]), Err(Error::Invalid { .. })));
    assert!(matches!(writer.part("", &[1], &[1u64]), Err(Error::Invalid { .. })));
    assert!(matches!(writer.share("words"), Err(Error::Invalid { .. })));
    writer.part("words", &[1], &[1u64]).unwrap();
    assert!(matches!(writer.part("words", &[1], &[1u64]), Err(Error::Invalid { .. })));
    let past = Draft { folded_through: 2, ..Draft::default() };
    assert!(matches!(writer.publish(past), Err(Error::Invalid { .. })));
    assert!(store.manifest().is_none());
}

#[test]
fn the_content_hash_is_that_of_the_content() {
    let publish = |attributes: BTreeMap<String, String>, data: &[f32]| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut writer = store.begin_generation().unwrap();
        writer.part("scalers", &[data.len() as u64], data).unwrap();
        writer.publish(Draft { attributes, ..Draft::default() }).unwrap().content_hash.clone()
    };
    let named = BTreeMap::from([("preset".to_owned(), "fast".to_owned())]);
    let base = publish(named.clone(), &[1.0, 2.0]);
    assert_eq!(base, publish(named.clone(), &[1.0, 2.0]));
    assert_ne!(base, publish(named, &[1.0, 2.5]));
    assert_ne!(base, publish(BTreeMap::new(), &[1.0, 2.0]));
}
