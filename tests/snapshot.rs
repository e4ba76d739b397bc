//! A snapshot is one moment: what is read from it fits together, whatever is written meanwhile.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kithdb::{Db, Error, Id};
use shop::{ITEMS, USERS};

#[test]
fn a_snapshot_stays_as_it_was() {
    let (_directory, db) = shop::trained();
    db.insert_many((0..30u64).map(|user| (user, 900u64))).unwrap();
    let set = db.item_set(0..ITEMS / 2).unwrap();
    let snapshot = db.snapshot();
    let tell = || {
        let list = |user: u64| {
            let all = snapshot.query().user(user).k(1_000).deny(&set).run().unwrap();
            all.into_iter().map(|hit| (hit.id, hit.score.to_bits())).collect::<Vec<_>>()
        };
        let explained = snapshot.explain(3u64, 900u64).unwrap();
        let batch: Vec<_> = snapshot
            .nearest_batch(&[1u64, 2], 5)
            .into_iter()
            .map(|hits| hits.unwrap().into_iter().collect::<Vec<_>>())
            .collect();
        let mut history = snapshot.history(1u64).unwrap();
        history.sort_by_key(|interaction| interaction.item.clone());
        let similar = (snapshot.similar_items(900u64, 9).unwrap(), snapshot.similar_users(4u64, 9).unwrap());
        let similar = (similar.0.as_slice().to_vec(), similar.1.as_slice().to_vec());
        let popular = snapshot.query().user(77_777u64).or_popular().k(1_000).run().unwrap().as_slice().to_vec();
        let known = (snapshot.users(), snapshot.generation(), snapshot.last_sequence());
        ((list(1), list(2), history), (explained, similar, batch), (popular, known))
    };
    let before = tell();
    db.insert_many((0..50u64).map(|user| (user, 901u64))).unwrap();
    for item in (0..ITEMS).filter(|&item| shop::touches(1, item)) {
        db.remove(1u64, item).unwrap();
    }
    db.remove(3u64, 900u64).unwrap();
    db.forget_user(2u64).unwrap();
    db.retire_item(900u64).unwrap();
    db.train(shop::options().bits(64)).unwrap().wait().unwrap();
    db.forget_user(4u64).unwrap();
    assert_eq!(tell(), before);
    assert!(matches!(db.nearest(2u64, 3), Err(Error::UnknownUser { .. })));
    assert!(db.snapshot().last_sequence() > snapshot.last_sequence());
    assert!(db.snapshot().generation() > snapshot.generation());
}

/// Writers keep invariants that every snapshot has to show: user u has item 10,000 + n of theirs only together with 20,000 + n, and what is
/// acknowledged is there.
#[test]
fn what_one_query_reads_is_of_one_moment() {
    let (_directory, db) = shop::trained();
    let (done, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..300u64 {
                let visitor = 50_000 + n;
                db.insert_many([(visitor, n % ITEMS), (visitor, (n + 1) % ITEMS), (n % USERS, 10_000 + n)]).unwrap();
                acknowledged.store(n + 1, Ordering::SeqCst);
                if n % 3 == 0 {
                    db.forget_user(visitor).unwrap();
                    db.retire_item(10_000 + n).unwrap();
                }
                if n % 100 == 50 {
                    db.train(shop::options().bits(64)).unwrap().wait().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        for reader in 0..2u64 {
            let (db, done, acknowledged) = (&db, &done, &acknowledged);
            scope.spawn(move || {
                let mut round = reader;
                while !done.load(Ordering::SeqCst) {
                    round += 1;
                    let written = acknowledged.load(Ordering::SeqCst);
                    let snapshot = db.snapshot();
                    if written > 0 && (written - 1) % 3 != 0 {
                        assert_eq!(snapshot.history(50_000 + written - 1).unwrap().len(), 2);
                    }
                    let user = round % USERS;
                    let seen: HashSet<Id> = snapshot.history(user).unwrap().into_iter().map(|i| i.item).collect();
                    let all = snapshot.query().user(user).k(100_000).run().unwrap();
                    assert!(all.iter().all(|hit| !seen.contains(&hit.id)), "a seen item");
                    let with_seen = snapshot.query().user(user).k(100_000).include_seen().run().unwrap();
                    // Nothing is short of what it allows: what was retired or has no code yet is in neither list.
                    let shown = with_seen.iter().filter(|hit| seen.contains(&hit.id)).count();
                    assert_eq!(all.len() + shown, with_seen.len());
                    // Users forgotten in this moment have no place among the nearest, and leave no gap.
                    let users = snapshot.similar_users(user, 10).unwrap();
                    assert_eq!(users.len(), 10);
                    let popular = snapshot.query().user(999_999u64).or_popular().k(7).run().unwrap();
                    assert_eq!(popular.len(), 7);
                }
            });
        }
    });
}

#[test]
fn popularity_is_that_of_a_sort() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db.kith")).unwrap();
    // Many ties: item n has 1 + n % 5 users, ids in no order.
    let id = |n: u64| n.wrapping_mul(2_654_435_761) % 100_003;
    db.insert_many((0..600u64).flat_map(|n| (0..1 + n % 5).map(move |user| (user, id(n))))).unwrap();
    let mut naive: Vec<(u64, u64)> = (0..600).map(|n| (1 + n % 5, id(n))).collect();
    naive.sort_by_key(|&(degree, id)| (std::cmp::Reverse(degree), id));
    let deny = db.item_set(naive.iter().step_by(3).map(|&(_, id)| id)).unwrap();
    for k in [1, 2, 119, 120, 121, 250, 599, 600, 601, 5_000] {
        let query = || db.query().user(77u64).or_popular().k(k);
        let told = |hits: kithdb::Hits| hits.into_iter().map(|hit| (hit.score as u64, hit.id)).collect::<Vec<_>>();
        let first =
            |of: Vec<(u64, u64)>| of.into_iter().take(k).map(|(degree, id)| (degree, id.into())).collect::<Vec<_>>();
        assert_eq!(told(query().run().unwrap()), first(naive.clone()), "{k}");
        let kept = naive.iter().enumerate().filter(|(at, _)| at % 3 != 0).map(|(_, &entry)| entry).collect();
        assert_eq!(told(query().deny(&deny).run().unwrap()), first(kept), "{k}");
    }
}
