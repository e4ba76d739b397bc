//! An exported folder, imported elsewhere, answers as the database it came from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod shop;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::npy::NpyReader;
use kithdb::{CodeSet, Db, Id, RowIds, TrainOptions};
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Random codes, few scalers, some of them zero; ids in no order, of either kind.
fn random_set(width: u32, layers: usize, planes: u32, items: usize, users: usize, names: bool, seed: u64) -> CodeSet {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let shape = CodeShape::new(vec![width; layers], (0..layers).map(|l| 0.5 + l as f32).collect()).unwrap();
    let mut words = |rows: usize, planes: u32| {
        let bytes: Vec<u8> =
            (0..rows * shape.packed_bytes() * planes as usize).map(|_| random.next_u64() as u8).collect();
        let mut words = Vec::new();
        shape.unpack(planes, &bytes, &mut words);
        words
    };
    let (item_words, user_words) = (words(items, 1), words(users, planes));
    let mut scalers = |rows: usize| -> Vec<f32> {
        (0..rows)
            .flat_map(|_| {
                let coded = random.next_u64() % 8 > 0;
                (0..layers).map(|l| if coded { 0.5 + l as f32 } else { 0.0 }).collect::<Vec<_>>()
            })
            .collect()
    };
    let (item_scalers, user_scalers) = (scalers(items), scalers(users));
    let ids = |rows: usize| -> RowIds {
        let number = |row: usize| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match names {
            true => (0..rows).map(|row| Id::from(format!("no {:x}", number(row)))).collect::<Vec<_>>().into(),
            false => (0..rows).map(number).collect::<Vec<_>>().into(),
        }
    };
    CodeSet {
        items: LayeredCodes::from_parts(shape.clone(), item_words, item_scalers).unwrap(),
        item_ids: ids(items),
        users: PlaneCodes::from_parts(shape, planes, user_words, user_scalers).unwrap(),
        user_ids: ids(users),
    }
}

/// Every user's whole list at so many bits a dimension; an error where there is none.
fn answers(db: &Db, users: &[Id], bits: u32) -> Vec<Result<Vec<(Id, u32)>, String>> {
    let ask = |user: &Id| {
        let hits = db.query().user(user).include_seen().k(1000).query_bits(bits).run().map_err(|e| e.to_string())?;
        Ok(hits.iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect())
    };
    users.iter().map(ask).collect()
}

fn users(db: &Db) -> Vec<Id> {
    let mut users = db.users();
    users.sort();
    users
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_folder_brings_the_same_answers(
        bytes in 1..14u32, layers in 1..5usize, planes in 1..6u32, items in 1..200usize, people in 1..10usize,
        names: bool, seed: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let from = Db::open(dir.path().join("from")).unwrap();
        from.import_codes(random_set(8 * bytes, layers, planes, items, people, names, seed)).unwrap();
        let folder = dir.path().join("folder");
        // Into a folder that holds another export already.
        let other = Db::open(dir.path().join("other")).unwrap();
        other.import_codes(random_set(16, 2, 3, 4, 4, !names, seed)).unwrap();
        other.export_npy(&folder).unwrap();
        let outcome = from.export_npy(&folder).unwrap();
        prop_assume!(outcome.items > 0);
        prop_assert!(!outcome.full_precision);
        let to = Db::open(dir.path().join("to")).unwrap();
        to.import_codes(CodeSet::read_folder(&folder).unwrap()).unwrap();
        let people = users(&to);
        prop_assert_eq!(people.len() as u64, outcome.users);
        for bits in 1..=planes {
            prop_assert_eq!(answers(&to, &people, bits), answers(&from, &people, bits));
        }
    }
}

#[test]
fn a_trained_shop_moves_with_its_vectors() {
    let (dir, db) = shop::trained();
    db.forget_user(3u64).unwrap();
    db.retire_item(5u64).unwrap();
    let folder = dir.path().join("folder");
    let outcome = db.export_npy(&folder).unwrap();
    assert_eq!((outcome.users, outcome.items), (shop::USERS - 1, shop::ITEMS - 1));
    assert!(outcome.full_precision);
    let extents = |name: &str| NpyReader::open(folder.join(name)).unwrap().shape().to_vec();
    assert_eq!(extents("items_float.npy"), [shop::ITEMS - 1, outcome.float_dims]);
    assert_eq!(extents("queries_float.npy"), [shop::USERS - 1, outcome.float_dims]);
    assert_eq!(extents("queries_planes.npy"), [shop::USERS - 1, 1, 4, 192 / 8]);

    let to = Db::open(dir.path().join("to")).unwrap();
    to.import_codes(CodeSet::read_folder(&folder).unwrap()).unwrap();
    let people = users(&to);
    assert!(!people.contains(&3u64.into()));
    for bits in [1, 4] {
        assert_eq!(answers(&to, &people, bits), answers(&db, &people, bits));
    }
    // With the history, what is seen is left out again.
    to.insert_many(shop::interactions().filter(|i| i.user != 3u64.into())).unwrap();
    for user in [0u64, 17, 100] {
        let ids = |db: &Db| db.nearest(user, 10).unwrap().into_iter().map(|hit| hit.id).collect::<Vec<_>>();
        assert_eq!(ids(&to), ids(&db));
    }

    // The vectors rank a user's own taste first, as the codes do.
    let read = |name: &str| {
        let mut reader = NpyReader::open(folder.join(name)).unwrap();
        let mut values = vec![0.0; reader.shape().iter().product::<u64>() as usize];
        reader.floats(&mut values).unwrap();
        values
    };
    let (items, queries) = (read("items_float.npy"), read("queries_float.npy"));
    let dims = outcome.float_dims as usize;
    let mut right = 0;
    // The rows are those of ids in order: user 0, item 0 to 4, 6, ...
    for user in 0..3usize {
        let score = |row: usize| -> f32 {
            items[row * dims..][..dims].iter().zip(&queries[user * dims..][..dims]).map(|(a, b)| a * b).sum()
        };
        let mut rows: Vec<usize> = (0..items.len() / dims).collect();
        rows.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        let item = |row: usize| if row < 5 { row as u64 } else { row as u64 + 1 };
        right += rows[..10].iter().filter(|&&row| shop::taste(item(row)) == shop::taste(user as u64)).count();
    }
    assert!(right >= 27, "{right} of 30");
}

#[test]
fn what_a_folder_cannot_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    let folder = dir.path().join("folder");
    assert!(db.export_npy(&folder).unwrap_err().to_string().contains("train"));
    let mut set = random_set(64, 1, 1, 3, 1, true, 1);
    set.item_ids = vec![Id::from("a"), Id::from("b\nc"), Id::from("d")].into();
    set.items = LayeredCodes::from_parts(set.items.shape().clone(), vec![0; 3], vec![1.0; 3]).unwrap();
    db.import_codes(set).unwrap();
    assert!(db.export_npy(&folder).unwrap_err().to_string().contains("line breaks"));
    let (_dir, shop) = shop::trained();
    shop.train(TrainOptions::new(kithdb::Preset::Fast).bits(384).layers(1)).unwrap().wait().unwrap();
    let text = shop.export_npy(&folder).unwrap_err().to_string();
    assert!(text.contains("[320, 64]") && text.contains("one width"), "{text}");
    assert!(!folder.exists());
}
