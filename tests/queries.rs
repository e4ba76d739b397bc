//! What queries return: the right neighbours, filtered before the top k, the live tail included.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use std::collections::HashSet;

use kithdb::{Basis, Compaction, Db, Engine, Error, Hits, Id, Preset, TrainOptions};
use shop::{ITEMS, TASTES, USERS, taste, touches};

fn numbers(hits: &Hits) -> Vec<u64> {
    hits.iter()
        .map(|hit| match hit.id {
            Id::Int(n) => n,
            ref id => panic!("{id} is no number"),
        })
        .collect()
}

/// Unseen items of the user's own taste.
fn unseen(user: u64) -> HashSet<u64> {
    (0..ITEMS).filter(|&item| taste(item) == taste(user) && !touches(user, item)).collect()
}

fn share<'a>(of: &'a [u64], within: impl Fn(&'a u64) -> bool) -> f64 {
    of.iter().filter(|n| within(n)).count() as f64 / of.len() as f64
}

#[test]
fn users_are_recommended_unseen_items_of_their_taste() {
    let (_directory, db) = shop::trained();
    let mut right = 0.0;
    for user in 0..USERS {
        let hits = db.nearest(user, 8).unwrap();
        assert_eq!((hits.len(), hits.exact(), hits.basis()), (8, true, Basis::Code));
        let items = numbers(&hits);
        assert!(items.iter().all(|&item| !touches(user, item)), "a seen item came back");
        assert!(
            hits.as_slice()
                .windows(2)
                .all(|w| w[0].score > w[1].score || (w[0].score == w[1].score && w[0].id < w[1].id))
        );
        right += share(&items, |item| unseen(user).contains(item)) / USERS as f64;
    }
    assert!(right > 0.9, "only {right} of what was recommended is of the user's taste");
}

#[test]
fn neighbours_of_items_and_users_share_their_taste() {
    let (_directory, db) = shop::trained();
    let items: f64 =
        (0..40).map(|i| share(&numbers(&db.similar_items(i, 5).unwrap()), |&n| n != i && taste(n) == taste(i))).sum();
    assert!(items / 40.0 > 0.9, "similar items: {}", items / 40.0);
    let users: f64 =
        (0..40).map(|u| share(&numbers(&db.similar_users(u, 5).unwrap()), |&n| n != u && taste(n) == taste(u))).sum();
    assert!(users / 40.0 > 0.9, "similar users: {}", users / 40.0);
}

#[test]
fn filters_work_before_the_top_k() {
    let (_directory, db) = shop::trained();
    let user = 3u64;
    let all = numbers(&db.query().user(user).k(ITEMS as usize).run().unwrap());
    assert_eq!(all.len(), (0..ITEMS).filter(|&item| !touches(user, item)).count());
    let odd = db.item_set((0..ITEMS).filter(|i| i % 2 == 1)).unwrap();
    let few = db.item_set([1u64, 2, 3]).unwrap();
    let filtered =
        |keep: &dyn Fn(u64) -> bool, k: usize| all.iter().copied().filter(|&i| keep(i)).take(k).collect::<Vec<_>>();
    for k in [1, 7, 1_000] {
        let run = |query: kithdb::Query<'_>| numbers(&query.user(user).k(k).run().unwrap());
        assert_eq!(run(db.query().allow(&odd)), filtered(&|i| i % 2 == 1, k));
        assert_eq!(run(db.query().deny(&odd)), filtered(&|i| i % 2 == 0, k));
        assert_eq!(run(db.query().allow(&odd).deny(&few)), filtered(&|i| i % 2 == 1 && i > 3, k));
        assert_eq!(run(db.query().allow(&few)), filtered(&|i| (1..=3).contains(&i), k));
    }
    let seen_too = db.query().user(user).k(1_000).include_seen().run().unwrap();
    assert_eq!(seen_too.len() as u64, ITEMS);
    assert_eq!(db.query().user(user).allow(&few).run().unwrap().engine(), Engine::Allowed);
}

#[test]
fn every_engine_gives_the_same_list() {
    let (_directory, db) = shop::trained();
    let elsewhere = db.item_set((0..ITEMS).filter(|i| i % 3 == 0)).unwrap();
    for user in 0..40u64 {
        let query = || db.query().user(user).k(15).also_seen(&elsewhere);
        let planned = query().run().unwrap();
        assert!(numbers(&planned).iter().all(|item| item % 3 != 0 && !touches(user, *item)));
        for engine in [Engine::Linear, Engine::Head, Engine::Tree, Engine::Mih] {
            let forced = query().engine(engine).run().unwrap();
            // Codes of one layer and few bits have no heads.
            let ran = if engine == Engine::Head { Engine::Linear } else { engine };
            assert_eq!((forced.engine(), forced.as_slice()), (ran, planned.as_slice()), "user {user}");
        }
        let with_seen = query().include_seen().k(1_000).run().unwrap();
        assert_eq!(with_seen.len() as u64, ITEMS);
    }
    for engine in [Engine::Allowed, Engine::Popularity] {
        let refused = db.query().user(1u64).engine(engine).run();
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{engine:?}");
    }
}

#[test]
fn an_approximate_answer_says_so_and_is_not_short() {
    let (_directory, db) = shop::trained();
    db.insert_many((0..20u64).map(|user| (user, ITEMS))).unwrap();
    let mut inexact = 0;
    for user in 20..60u64 {
        let query = || db.query().user(user).k(12).include_seen();
        let exact = query().run().unwrap();
        let found = query().approximate(32).run().unwrap();
        // What came since the training is scored beside the budget.
        assert!(exact.exact() && found.len() == 12 && found.scored() <= 32 + 1);
        inexact += u32::from(!found.exact());
        assert_eq!(query().approximate(ITEMS).run().unwrap().as_slice(), exact.as_slice());
        let everything = query().approximate(1).k(1_000).run().unwrap();
        assert_eq!((everything.len() as u64, everything.exact()), (ITEMS + 1, true));
    }
    assert!(inexact > 20, "{inexact} of 40");
    assert!(matches!(db.query().user(1u64).approximate(0).run(), Err(Error::InvalidArgument { .. })));
    for share in [0.0, -0.5, 1.01, f32::NAN, f32::INFINITY] {
        assert!(matches!(db.query().user(1u64).recall(share).run(), Err(Error::InvalidArgument { .. })), "{share}");
    }
    // So few items are scanned, whatever is asked for.
    let exact = db.query().user(1u64).k(20).recall(1.0).run().unwrap();
    let found = db.query().user(1u64).k(20).recall(0.5).run().unwrap();
    assert_eq!((found.as_slice(), found.exact(), found.recall()), (exact.as_slice(), true, Some(1.0)));
    assert!(db.calibration_users().is_empty());
}

#[test]
fn a_user_with_a_code_and_no_history_is_answered() {
    let (_directory, db) = shop::trained();
    for item in (0..ITEMS).filter(|&item| touches(5, item)) {
        assert!(db.remove(5u64, item).unwrap());
    }
    let hits = db.nearest(5u64, 1_000).unwrap();
    assert_eq!((hits.basis(), hits.len() as u64), (Basis::Code, ITEMS));
}

#[test]
fn batches_equal_single_queries() {
    let (_directory, db) = shop::trained();
    let users: Vec<u64> = (0..USERS).rev().collect();
    for (user, hits) in users.iter().zip(db.nearest_batch(&users, 10)) {
        assert_eq!(hits.unwrap().as_slice(), db.nearest(*user, 10).unwrap().as_slice());
    }
}

#[test]
fn a_query_is_asked_for_many_users_as_for_each() {
    let (_directory, db) = shop::trained();
    let deny = db.item_set((0..ITEMS).step_by(3)).unwrap();
    let users: Vec<u64> = (0..USERS + 2).rev().collect();
    for query in [
        db.query().k(7).deny(&deny),
        db.query().k(7).deny(&deny).include_seen().or_popular(),
        db.query().k(7).engine(Engine::Tree),
        db.query().k(7).diversify(0.5),
    ] {
        for (&user, hits) in users.iter().zip(query.run_for(&users)) {
            match (hits, query.clone().user(user).run()) {
                (Ok(hits), Ok(alone)) => assert_eq!(hits.as_slice(), alone.as_slice(), "{user}"),
                (Err(error), Err(alone)) => assert_eq!(error.to_string(), alone.to_string()),
                (hits, alone) => panic!("{hits:?}, alone {alone:?}"),
            }
        }
    }
}

#[test]
fn lists_differ_more_where_that_is_asked_for() {
    let (_directory, db) = shop::trained();
    // How many of the items in a list are of a taste that was not in it before.
    let tastes = |items: Vec<u64>| items.iter().map(|&item| taste(item)).collect::<HashSet<u64>>().len();
    let (mut plain, mut diverse) = (0, 0);
    for user in 0..40u64 {
        let hits = db.nearest(user, 8).unwrap();
        let none = db.query().user(user).k(8).diversify(0.0).run().unwrap();
        assert_eq!(hits.as_slice(), none.as_slice());
        let some = db.query().user(user).k(8).diversify(0.6).run().unwrap();
        assert_eq!((some.len(), &some[0]), (8, &hits[0]));
        assert_eq!(numbers(&some).into_iter().collect::<HashSet<u64>>().len(), 8);
        plain += tastes(numbers(&hits));
        diverse += tastes(numbers(&some));
    }
    assert!(diverse > plain, "{diverse} tastes, {plain} without");
    for share in [-0.1, 1.1, f32::NAN] {
        assert!(matches!(db.query().user(0u64).diversify(share).run(), Err(Error::InvalidArgument { .. })));
    }
}

#[test]
fn a_least_score_shortens_lists() {
    let (_directory, db) = shop::trained();
    let all = db.nearest(3u64, 30).unwrap();
    let least = all[11].score;
    let some = db.query().user(3u64).k(30).min_score(least).run().unwrap();
    let enough: Vec<_> = all.iter().filter(|hit| hit.score >= least).cloned().collect();
    assert!(enough.len() >= 12 && enough.len() < 30);
    assert_eq!(some.as_slice(), enough);
    assert!(db.query().user(3u64).min_score(f32::NAN).run().is_err());
    assert!(db.query().user(3u64).min_score(f32::INFINITY).run().unwrap().is_empty());
}

#[test]
fn what_was_touched_after_training_is_seen_at_once() {
    let (_directory, db) = shop::trained();
    let first = numbers(&db.nearest(0u64, 1).unwrap())[0];
    db.insert(0u64, first).unwrap();
    assert_ne!(numbers(&db.nearest(0u64, 1).unwrap())[0], first);
    assert!(db.remove(0u64, first).unwrap());
    assert_eq!(numbers(&db.nearest(0u64, 1).unwrap())[0], first);
    assert!(!db.remove(0u64, first).unwrap());
}

#[test]
fn newcomers_are_folded_in() {
    let (_directory, db) = shop::trained();
    let mut right = 0.0;
    for newcomer in 0..40 {
        let id = USERS + newcomer;
        db.insert_many((0..ITEMS).filter(|&item| touches(id, item)).take(6).map(|item| (id, item))).unwrap();
        let hits = db.nearest(id, 8).unwrap();
        assert_eq!(hits.basis(), Basis::FoldIn);
        right += share(&numbers(&hits), |&item| taste(item) == taste(id)) / 40.0;
    }
    assert!(right > 0.8, "only {right} of what newcomers were recommended is of their taste");
    let basket: Vec<u64> = (0..ITEMS).filter(|&item| taste(item) == 2).take(3).collect();
    let hits = db.query().items(basket.clone()).k(8).run().unwrap();
    assert!(share(&numbers(&hits), |&item| taste(item) == 2) > 0.8);
    assert!(numbers(&hits).iter().all(|item| !basket.contains(item)));
}

#[test]
fn new_items_are_recommended_to_whom_they_suit() {
    let (_directory, db) = shop::trained();
    for new in 0..TASTES {
        let item = ITEMS + new;
        db.insert_many((0..USERS / 2).filter(|&user| taste(user) == taste(item)).map(|user| (user, item))).unwrap();
    }
    for user in USERS / 2..USERS / 2 + 40 {
        let ranked = numbers(&db.query().user(user).k(1_000).run().unwrap());
        let place = |item: u64| ranked.iter().position(|&i| i == item).unwrap();
        let own = ITEMS + (taste(user) + TASTES - taste(ITEMS)) % TASTES;
        assert!((ITEMS..ITEMS + TASTES).all(|item| item == own || place(own) < place(item)), "user {user}");
    }
    assert!(share(&numbers(&db.similar_items(ITEMS, 5).unwrap()), |&i| taste(i) == taste(ITEMS)) > 0.7);
    db.train(shop::options()).unwrap().wait().unwrap();
    assert!(share(&numbers(&db.similar_items(ITEMS, 5).unwrap()), |&i| taste(i) == taste(ITEMS)) > 0.7);
}

#[test]
fn retired_items_and_forgotten_users_are_gone_at_once_and_for_good() {
    let (directory, db) = shop::trained();
    let first = numbers(&db.nearest(0u64, 1).unwrap())[0];
    assert!(db.retire_item(first).unwrap());
    assert!(!db.retire_item(first).unwrap());
    assert!(db.forget_user(1u64).unwrap());
    let path = directory.path().join("shop.kith");
    let check = |db: &Db| {
        assert!(!numbers(&db.query().user(0u64).k(1_000).include_seen().run().unwrap()).contains(&first));
        assert!(matches!(db.nearest(1u64, 3), Err(Error::UnknownUser { .. })));
        assert!(db.history(1u64).unwrap().is_empty());
        assert!(!numbers(&db.similar_users(5u64, 1_000).unwrap()).contains(&1));
    };
    check(&db);
    drop(db);
    let db = Db::open(&path).unwrap();
    check(&db);
    db.train(shop::options()).unwrap().wait().unwrap();
    check(&db);
    drop(db);
    let db = Db::open(&path).unwrap();
    check(&db);
    // Who comes back is somebody new.
    db.insert(1u64, 2u64).unwrap();
    assert_eq!(db.history(1u64).unwrap().len(), 1);
}

#[test]
fn items_with_a_single_interaction_are_not_lost_by_training() {
    let (_directory, db) = shop::trained();
    db.insert_many((0..500).map(|n| (n % USERS, 10_000 + n))).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    let all = db.query().user(0u64).k(10_000).include_seen().run().unwrap();
    assert_eq!(all.len() as u64, ITEMS + 500);
}

#[test]
fn somebody_new_with_something_new_is_answered() {
    let (_directory, db) = shop::trained();
    db.insert_many((0..USERS).filter(|&user| taste(user) == 1).map(|user| (user, 777u64))).unwrap();
    db.insert(9_000u64, 777u64).unwrap();
    let hits = db.nearest(9_000u64, 8).unwrap();
    assert!(share(&numbers(&hits), |&item| taste(item) == 1) > 0.7);
}

#[test]
fn the_last_user_is_forgotten_on_the_disk_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    let db = Db::open(&path).unwrap();
    db.insert_many((0..30).map(|item| ("a-rather-telling-name", item.to_string()))).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    assert!(db.forget_user("a-rather-telling-name").unwrap());
    assert!(!db.forget_user("a-rather-telling-name").unwrap());
    db.train(shop::options()).unwrap().wait().unwrap();
    drop(db);
    let found = std::process::Command::new("grep").args(["-rq", "a-rather-telling-name"]).arg(&path).status().unwrap();
    assert_eq!(found.code(), Some(1), "the name is still on the disk");
    assert!(Db::open(&path).unwrap().users().is_empty());
}

#[test]
fn answers_survive_reopening() {
    let (directory, db) = shop::trained();
    let answers = |db: &Db| (0..20u64).map(|user| numbers(&db.nearest(user, 10).unwrap())).collect::<Vec<_>>();
    let first = answers(&db);
    let hash = db.stats().unwrap().generation.unwrap().content_hash;
    drop(db);
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    assert_eq!(answers(&db), first);
    assert_eq!(db.stats().unwrap().generation.unwrap().content_hash, hash);
}

#[test]
fn loading_again_changes_nothing() {
    let (_directory, db) = shop::trained();
    let before = (db.stats().unwrap().interactions, numbers(&db.nearest(7u64, 20).unwrap()));
    db.insert_many(shop::interactions()).unwrap();
    assert_eq!((db.stats().unwrap().interactions, numbers(&db.nearest(7u64, 20).unwrap())), before);
}

#[test]
fn queries_are_answered_while_training_runs_and_a_cancelled_one_publishes_nothing() {
    let (_directory, db) = shop::trained();
    let generation = db.stats().unwrap().generation.unwrap().number;
    let job = db.train(TrainOptions::new(Preset::Balanced)).unwrap();
    let mut answered = 0;
    while !job.is_finished() && answered < 50 {
        assert_eq!(db.nearest(3u64, 5).unwrap().generation(), Some(generation));
        answered += 1;
    }
    job.cancel();
    assert!(matches!(job.wait(), Err(Error::Cancelled)));
    assert_eq!(db.stats().unwrap().generation.unwrap().number, generation);
    assert!(answered > 0);
}

#[test]
fn shops_in_which_nothing_tells_items_apart_are_trained() {
    for preset in [Preset::Fast, Preset::Balanced] {
        for (users, items) in [(1u64, 1u64), (1, 2), (1, 10), (1, 30), (1, 100), (2, 3), (2, 5), (3, 20)] {
            for (seed, bits) in [(1, 128), (2, 768)] {
                let directory = tempfile::tempdir().unwrap();
                let db = Db::options().background(false).open(directory.path().join("shop.kith")).unwrap();
                db.insert_many((0..users).flat_map(|user| (0..items).map(move |item| (user, item)))).unwrap();
                let outcome = db.train(TrainOptions::new(preset).bits(bits).seed(seed).threads(1)).unwrap().wait();
                assert!(outcome.is_ok(), "{users} users of {items} items, {bits} bits: {:?}", outcome.err());
                for query in [db.query().user(0u64), db.query().items([0u64]), db.query().user(0u64).include_seen()] {
                    match query.k(5).run() {
                        Ok(hits) => assert!(hits.iter().all(|hit| hit.score.is_finite())),
                        Err(Error::NoItemCodes | Error::NoHistory { .. } | Error::NoDirection { .. }) => {}
                        Err(error @ Error::NoCodeInBasket { .. }) => drop(error),
                        Err(error) => panic!("{error}"),
                    }
                }
                // What comes later tells them apart.
                db.insert_many([(7u64, 0u64), (7, 500), (8, 501)]).unwrap();
                db.compact(Compaction::Minor).unwrap().wait().unwrap();
                db.compact(Compaction::Full).unwrap().wait().unwrap();
            }
        }
    }
}

#[test]
fn diversified_lists_are_measured_as_queries_give_them() {
    let (_directory, db) = shop::trained();
    let wanted =
        |user: u64| (0..ITEMS).filter(|item| (item + user).is_multiple_of(5)).map(Id::from).collect::<Vec<Id>>();
    let truth: Vec<(Id, Vec<Id>)> = (0..60).map(|user| (Id::from(user), wanted(user))).collect();
    for k in [5, 20, 60, 110] {
        let measured = db.snapshot().evaluate_with(&truth, &[k], |query| query.diversify(0.5)).unwrap();
        let found = truth.iter().map(|(user, wanted)| {
            let hits = db.query().user(user.clone()).k(k).diversify(0.5).run().unwrap();
            hits.iter().filter(|hit| wanted.contains(&hit.id)).count() as f64 / wanted.len() as f64
        });
        let mean = found.sum::<f64>() / truth.len() as f64;
        assert!((measured.cuts[0].recall - mean).abs() < 1e-9, "{k}: {} {mean}", measured.cuts[0].recall);
        let apart =
            db.snapshot().evaluate_with(&truth, &[k], |query| query.diversify(0.5).engine(Engine::Linear)).unwrap();
        assert_eq!(apart.cuts[0].recall, measured.cuts[0].recall);
    }
}
