//! Items and users that came after the codes are placed by who has what now, whatever the way there.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{CodeSet, Db, Error, Id, RowIds};

/// Codes of 64 bits for users and items 0 to `users` and `items`.
fn codes(users: u64, items: u64) -> CodeSet {
    let shape = CodeShape::new(vec![64], vec![1.0]).unwrap();
    let words = |rows: u64, salt: u64| (1..=rows).map(|row| (row + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let scalers = |rows: u64| vec![1.0; rows as usize];
    CodeSet {
        items: LayeredCodes::from_parts(shape.clone(), words(items, 5), scalers(items)).unwrap(),
        item_ids: RowIds::RowNumbers,
        users: PlaneCodes::from_parts(shape, 1, words(users, 900), scalers(users)).unwrap(),
        user_ids: RowIds::RowNumbers,
    }
}

fn list(db: &Db, user: u64) -> Vec<(Id, u32)> {
    let hits = db.query().user(user).k(1_000).include_seen().run().unwrap();
    hits.iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect()
}

fn has(list: &[(Id, u32)], item: u64) -> bool {
    list.iter().any(|(id, _)| *id == item.into())
}

#[test]
fn an_item_stays_as_long_as_users_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    let db = Db::open(&path).unwrap();
    db.insert_many([(0u64, 900u64), (1, 900)]).unwrap();
    db.import_codes(codes(6, 20)).unwrap();
    db.insert(2u64, 900u64).unwrap();
    let three = list(&db, 4);
    assert!(has(&three, 900));
    // Two users still have it, one of them since the import.
    db.remove(0u64, 900u64).unwrap();
    let two = list(&db, 4);
    assert!(has(&two, 900) && two != three);
    // The same two, got to otherwise: placed the same.
    db.remove(1u64, 900u64).unwrap();
    db.insert(1u64, 900u64).unwrap();
    assert_eq!(list(&db, 4), two);
    // All three again.
    db.insert(0u64, 900u64).unwrap();
    assert_eq!(list(&db, 4), three);
    db.forget_user(0u64).unwrap();
    assert_eq!(list(&db, 4), two);

    drop(db);
    let db = Db::open(&path).unwrap();
    assert_eq!(list(&db, 4), two, "reopened");
    db.remove(2u64, 900u64).unwrap();
    db.remove(1u64, 900u64).unwrap();
    assert!(!has(&list(&db, 4), 900));
    assert!(matches!(db.similar_items(900u64, 3), Err(Error::NoCode { .. })));
}

#[test]
fn many_arrivals_beside_one_another_are_each_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    let db = Db::open(&path).unwrap();
    db.import_codes(codes(40, 20)).unwrap();
    // 300 new items; item n is what users n, n + 1 and n + 7 of 40 have, so that items 40 apart are one code with a tie between them.
    let users = |n: u64| [n % 40, (n + 1) % 40, (n + 7) % 40];
    db.insert_many((0..300).flat_map(|n| users(n).map(|user| (user, 1_000 + n)))).unwrap();
    let all = list(&db, 39);
    assert_eq!(all.len(), 320);
    for n in 0..260u64 {
        let at = |item: u64| all.iter().position(|(id, _)| *id == item.into()).unwrap();
        let (here, there) = (at(1_000 + n), at(1_040 + n));
        assert!(all[here].1 == all[there].1 && here < there, "{n}");
    }
    // A change of one moves that one alone.
    db.remove(users(77)[1], 1_077u64).unwrap();
    let moved = list(&db, 39);
    let others = |list: &[(Id, u32)]| list.iter().filter(|(id, _)| *id != 1_077u64.into()).cloned().collect::<Vec<_>>();
    assert_eq!(others(&moved), others(&all));
    assert_ne!(moved, all);
    for k in [1, 5, 64, 319] {
        let some = db.query().user(39u64).k(k).include_seen().run().unwrap();
        assert!(
            some.iter().map(|hit| (&hit.id, hit.score.to_bits())).eq(moved[..k].iter().map(|(id, s)| (id, *s))),
            "{k}"
        );
    }
    drop(db);
    assert_eq!(list(&Db::open(&path).unwrap(), 39), moved);
}

#[test]
fn a_training_amid_changes_equals_a_replay() {
    let (directory, db) = shop::trained();
    let job = db.train(shop::options()).unwrap();
    // Whenever the training takes its cut: new items and users, changed minds, somebody leaves.
    for n in 0..60u64 {
        db.insert_many((0..3).map(|user| (n + user, 5_000 + n % 10))).unwrap();
        db.remove(n, 5_000 + (n + 3) % 10).unwrap();
        db.insert(7_000 + n % 5, n).unwrap();
        if n % 20 == 7 {
            db.forget_user(n).unwrap();
            db.retire_item(n).unwrap();
        }
    }
    job.wait().unwrap();
    let answers = |db: &Db| {
        let told: Vec<_> = (0..80u64)
            .chain(7_000..7_005)
            .map(|user| {
                let hits = db.query().user(user).k(1_000).or_popular().run().unwrap();
                let list: Vec<_> = hits.iter().map(|hit| (hit.id.clone(), hit.score.to_bits())).collect();
                (list, hits.basis(), db.history(user).unwrap())
            })
            .collect();
        let stats = db.stats().unwrap();
        (told, stats.interactions, stats.tail_changes, stats.retired_items)
    };
    let before: (Vec<_>, _, _, _) = answers(&db);
    drop(db);
    assert_eq!(answers(&Db::open(directory.path().join("shop.kith")).unwrap()), before);
}
