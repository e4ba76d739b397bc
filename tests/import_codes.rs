//! Codes made elsewhere are published without a training and answer as an exhaustive scan of them would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{CodeSet, Db, Error, Id, RowIds};
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Random packed rows of both sides, few distinct scalers so that ties are common.
struct Packed {
    widths: Vec<u32>,
    weights: Vec<f32>,
    items: Vec<u8>,
    item_scalers: Vec<f32>,
    users: Vec<u8>,
    user_scalers: Vec<f32>,
}

impl Packed {
    fn new(width: u32, layers: usize, items: usize, users: usize, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let row = layers * width as usize / 8;
        let mut bytes = |n: usize| (0..n * row).map(|_| random.next_u64() as u8).collect::<Vec<_>>();
        let (items_bytes, users_bytes) = (bytes(items), bytes(users));
        let mut scalers = |n: usize| {
            (0..n * layers).map(|_| [0.25, 0.5, 1.5][(random.next_u64() % 3) as usize]).collect::<Vec<f32>>()
        };
        Self {
            widths: vec![width; layers],
            weights: (1..=layers).map(|l| l as f32 / layers as f32).collect(),
            items: items_bytes,
            item_scalers: scalers(items),
            users: users_bytes,
            user_scalers: scalers(users),
        }
    }

    fn set(&self, item_ids: RowIds, user_ids: RowIds) -> CodeSet {
        let shape = CodeShape::new(self.widths.clone(), self.weights.clone()).unwrap();
        let words = |bytes: &[u8]| {
            let mut words = Vec::new();
            shape.unpack(1, bytes, &mut words);
            words
        };
        CodeSet {
            items: LayeredCodes::from_parts(shape.clone(), words(&self.items), self.item_scalers.clone()).unwrap(),
            item_ids,
            users: PlaneCodes::from_parts(shape.clone(), 1, words(&self.users), self.user_scalers.clone()).unwrap(),
            user_ids,
        }
    }

    /// The score of a pair from its definition, bit by bit.
    fn score(&self, user: usize, item: usize) -> f32 {
        let layers = self.widths.len();
        let layer_bytes = self.widths[0] as usize / 8;
        let mut s = 0.0f32;
        for layer in (0..layers).rev() {
            let at = |row: usize| (row * layers + layer) * layer_bytes..(row * layers + layer + 1) * layer_bytes;
            let differ: u32 =
                self.users[at(user)].iter().zip(&self.items[at(item)]).map(|(u, i)| (u ^ i).count_ones()).sum();
            let p = self.widths[0] as i32 - 2 * differ as i32;
            let w = self.weights[layer];
            let c = w * w * self.user_scalers[user * layers + layer];
            s += self.item_scalers[item * layers + layer] * (c * p as f32);
        }
        s
    }
}

/// Distinct numbers in no order.
fn shuffled(n: usize, seed: u64) -> Vec<u64> {
    let mut ids: Vec<u64> = (0..n as u64).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (1..n).rev().for_each(|end| ids.swap(end, (random.next_u64() % (end as u64 + 1)) as usize));
    ids.iter().map(|id| 3 * id + 1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn answers_are_those_of_a_naive_scan(
        bytes in 1..18u32, layers in 1..5usize, items in 1..300usize, users in 1..20usize, seed: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("db")).unwrap();
        let packed = Packed::new(8 * bytes, layers, items, users, seed);
        let (item_ids, user_ids) = (shuffled(items, seed ^ 1), shuffled(users, seed ^ 2));
        // Interactions from before: of known pairs, of a user and of an item that get no code.
        db.insert_many([(user_ids[0], item_ids[0]), (user_ids[0], 2u64), (5_000_000u64, item_ids[items / 2])]).unwrap();
        let outcome = db.import_codes(packed.set(item_ids.clone().into(), user_ids.clone().into())).unwrap();
        prop_assert_eq!((outcome.items, outcome.users, outcome.interactions), (items as u64, users as u64, 3));

        let ask = |db: &Db| -> Vec<Vec<(Id, u32)>> {
            let all = |user: &u64| db.query().user(*user).k(items + 5).run().unwrap();
            user_ids.iter().map(|user| all(user).iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect()).collect()
        };
        let answers = ask(&db);
        for (user, answer) in answers.iter().enumerate() {
            let mut naive: Vec<(f32, u64)> = (0..items)
                .filter(|&item| !(user == 0 && item == 0))
                .map(|item| (packed.score(user, item), item_ids[item]))
                .collect();
            naive.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let naive: Vec<(Id, u32)> = naive.into_iter().map(|(s, id)| (Id::from(id), s.to_bits())).collect();
            prop_assert_eq!(answer, &naive);
        }
        // Who has a history but no code is placed by what they touched.
        prop_assert_eq!(db.nearest(5_000_000u64, items).unwrap().len(), items - 1);
        drop(db);
        prop_assert_eq!(ask(&Db::open(dir.path().join("db")).unwrap()), answers);
    }
}

#[test]
fn a_second_import_replaces_the_first_and_a_training_both() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    db.import_codes(Packed::new(64, 2, 50, 10, 1).set(RowIds::RowNumbers, RowIds::RowNumbers)).unwrap();
    // Half of the users, other items: the rest of both sides loses its code.
    let items: RowIds = (40..60u64).collect::<Vec<_>>().into();
    let outcome = db.import_codes(Packed::new(24, 1, 20, 5, 2).set(items, RowIds::RowNumbers)).unwrap();
    assert_eq!((outcome.generation, outcome.layer_bits.as_slice()), (2, &[24][..]));
    let ids: Vec<u64> = db
        .nearest(3u64, 100)
        .unwrap()
        .iter()
        .map(|hit| match hit.id {
            Id::Int(id) => id,
            _ => panic!("{}", hit.id),
        })
        .collect();
    assert!(ids.len() == 20 && ids.iter().all(|id| (40..60).contains(id)), "{ids:?}");
    assert!(matches!(db.nearest(7u64, 5), Err(Error::NoHistory { .. })));
    assert!(matches!(db.similar_items(7u64, 5), Err(Error::NoCode { .. })));
    // A new item comes in by the users who touch it, a new user by their items.
    db.insert_many([(1u64, 1_000u64), (2, 1_000), (77, 45), (77, 46)]).unwrap();
    assert_eq!(db.nearest(3u64, 100).unwrap().len(), 21);
    assert_eq!(db.nearest(77u64, 100).unwrap().len(), 19);
    db.forget_user(3u64).unwrap();
    assert!(matches!(db.nearest(3u64, 5), Err(Error::UnknownUser { .. })));
    db.train(kithdb::TrainOptions::new(kithdb::Preset::Fast).bits(64)).unwrap().wait().unwrap();
    assert!(matches!(db.nearest(3u64, 5), Err(Error::UnknownUser { .. })));
    assert!(matches!(db.nearest(4u64, 5), Err(Error::NoHistory { .. })));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    db.insert("alice", "grinder").unwrap();
    let before = db.stats().unwrap();
    let packed = Packed::new(64, 1, 4, 2, 3);
    let other = Packed::new(32, 1, 4, 2, 3);
    let names = |names: &[&str]| RowIds::from(names.iter().map(|&name| Id::from(name)).collect::<Vec<_>>());
    let (four, two) = (names(&["a", "b", "c", "d"]), names(&["x", "y"]));
    let mismatched =
        CodeSet { users: other.set(four.clone(), two.clone()).users, ..packed.set(four.clone(), two.clone()) };
    let empty = Packed::new(64, 1, 0, 2, 3).set(RowIds::RowNumbers, two.clone());
    for (set, parts) in [
        (mismatched, ["shape", "same widths"]),
        (empty, ["no items", "at least one"]),
        (packed.set(names(&["a", "b", "c"]), two.clone()), ["3 item ids for 4 rows", "one id a row"]),
        (packed.set(names(&["a", "b", "c", "a"]), two.clone()), ["item id a of rows 0 and 3", "once"]),
        (packed.set(four.clone(), names(&["x", ""])), ["user id of 0 bytes", "1 to 512"]),
        (packed.set(RowIds::RowNumbers, two.clone()), ["u64 id", "items"]),
        (packed.set(four.clone(), vec![3u64, 4].into()), ["u64 id", "users"]),
    ] {
        let text = db.import_codes(set).unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text} {parts:?}");
    }
    let after = db.stats().unwrap();
    assert_eq!((after.users, after.items, after.last_sequence), (before.users, before.items, before.last_sequence));
    assert!(after.generation.is_none());
    db.import_codes(packed.set(four, two)).unwrap();
    assert_eq!(db.nearest("x", 9).unwrap().len(), 4);
    assert!(matches!(db.nearest("alice", 9), Err(Error::NoHistory { .. })));
}

#[test]
fn a_recall_is_kept_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    // Twelve thousand items in clusters of fifty, and users near to some of them: 512 bits, which no bound prunes.
    let (items, users, run, row) = (12_000usize, 1_500usize, 50usize, 64usize);
    let mut packed = Packed::new(8 * row as u32, 1, items, users, 5);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    for item in 0..items {
        let centre = packed.items[item / run * run * row..][..row].to_vec();
        packed.items[item * row..][..row].copy_from_slice(&centre);
        for _ in 0..if item % run == 0 { 0 } else { 100 } {
            let bit = random.next_u64() as usize % (8 * row);
            packed.items[item * row + bit / 8] ^= 1 << (bit % 8);
        }
    }
    for user in 0..users {
        let [near, far] = [0, 1].map(|_| random.next_u64() as usize % items);
        for byte in 0..row {
            let from = if byte % 3 == 0 { far } else { near };
            packed.users[user * row + byte] = packed.items[from * row + byte];
        }
    }
    let ids = |n: u64| RowIds::from((0..n).collect::<Vec<u64>>());
    db.import_codes(packed.set(ids(items as u64), ids(users as u64))).unwrap();
    let ask = |db: &Db| {
        let few = db.item_set((0..items as u64).filter(|item| item % 4 == 0)).unwrap();
        let sampled = db.calibration_users();
        assert_eq!(sampled.len(), 1_024);
        let (mut found, mut scored, mut answers) = ([0u32; 2], 0, Vec::new());
        for user in (0..users as u64).filter(|&user| !sampled.contains(&user.into())) {
            for (filtered, found) in [false, true].into_iter().zip(&mut found) {
                let plain = || db.query().user(user).k(20);
                let query = || if filtered { plain().allow(&few) } else { plain() };
                let (exact, hits) = (query().run().unwrap(), query().recall(0.9).run().unwrap());
                assert!(exact.exact() && hits.recall().is_some_and(|recall| recall >= 0.9) && hits.len() == 20);
                let kept = hits.iter().filter(|hit| exact.iter().any(|other| other == *hit)).count();
                *found += kept as u32;
                if !filtered {
                    scored += hits.scored();
                }
                answers.push(hits.as_slice().to_vec());
            }
        }
        let asked = answers.len() as u64 / 2;
        let recall = found.map(|found| f64::from(found) / (20 * asked) as f64);
        assert!(recall[0] > 0.88 && recall[1] > 0.88, "{recall:?}");
        assert!(scored < asked * items as u64 / 3, "{} of {items} codes a query", scored / asked);
        answers
    };
    let answers = ask(&db);
    let truth: Vec<(Id, Vec<Id>)> = (0..200u64).map(|user| (user.into(), vec![user.into()])).collect();
    let measured = db.evaluate(&truth, &[20], None).unwrap();
    drop(db);
    assert_eq!(ask(&Db::open(dir.path().join("db")).unwrap()), answers);
    // The same as the default of an opening, which measures exactly all the same.
    let db = Db::options().recall(0.9).open(dir.path().join("db")).unwrap();
    let users: Vec<u64> = (0..users as u64).collect();
    for (user, hits) in users.iter().zip(db.nearest_batch(&users, 20)) {
        let asked = db.query().user(*user).k(20).recall(0.9).run().unwrap();
        let hits = hits.unwrap();
        assert!(!hits.exact() && hits.as_slice() == asked.as_slice());
        assert_eq!(db.nearest(*user, 20).unwrap().as_slice(), asked.as_slice());
        assert!(db.query().user(*user).k(20).recall(1.0).run().unwrap().exact());
    }
    assert_eq!(db.evaluate(&truth, &[20], None).unwrap(), measured);
    drop(db);
    let refused = Db::options().recall(1.5).open(dir.path().join("none"));
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })) && !dir.path().join("none").exists());
}

#[test]
fn who_takes_everything_back_keeps_an_imported_code() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::options().background(false).open(dir.path().join("db")).unwrap();
    let packed = Packed::new(64, 2, 40, 6, 3);
    let ids = |n: u64| (0..n).map(Id::from).collect::<Vec<Id>>();
    db.import_codes(packed.set(ids(40).into(), ids(6).into())).unwrap();
    db.insert_many([(3u64, 7u64), (4, 8)]).unwrap();
    db.compact(kithdb::Compaction::Minor).unwrap().wait().unwrap();
    assert!(db.remove(3u64, 7u64).unwrap() && db.forget_user(4u64).unwrap());
    let answer = || -> Vec<(Id, u32)> {
        db.nearest(3u64, 40).unwrap().iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect()
    };
    let before = answer();
    assert_eq!(before.len(), 40);
    for round in 0..2u64 {
        db.insert(5u64, round).unwrap();
        db.compact(kithdb::Compaction::Minor).unwrap().wait().unwrap();
        assert_eq!(answer(), before);
        assert!(db.nearest(4u64, 5).is_err());
    }
}
