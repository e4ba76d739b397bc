//! Explanations: they add up to what is explained, and they name what matters.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use kithdb::{Basis, Compaction, Db, Error, Explanation, Id, Model, Preset, TrainOptions};
use shop::{ITEMS, USERS, taste, touches};

/// A trained shop whose codes have three layers.
fn layered() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    db.train(TrainOptions::new(Preset::Fast).bits(192).layers(2)).unwrap().wait().unwrap();
    (directory, db)
}

fn number(id: &Id) -> u64 {
    match id {
        Id::Int(n) => *n,
        other => panic!("{other}"),
    }
}

/// Checks what holds for every explanation.
fn check(explanation: &Explanation, score: f32, history: &[u64]) {
    let sum = explanation.layers.iter().fold(0.0f32, |sum, share| sum + share.contribution);
    assert_eq!(sum.to_bits(), score.to_bits(), "the layers");
    assert_eq!(explanation.score.to_bits(), score.to_bits());
    assert!(explanation.layers.is_sorted_by(|a, b| a.layer > b.layer), "top layer first");
    let pulled: f64 = explanation.pulls.iter().map(|pull| f64::from(pull.pull)).sum();
    let size: f64 = explanation.pulls.iter().map(|pull| f64::from(pull.pull.abs())).sum();
    let rest = (pulled - f64::from(explanation.folded_score)).abs();
    assert!(rest <= 1e-5 * size, "pulls of {pulled}, folded score {}", explanation.folded_score);
    assert!(explanation.pulls.is_sorted_by(|a, b| a.pull >= b.pull), "descending");
    let mut items: Vec<u64> = explanation.pulls.iter().map(|pull| number(&pull.item)).collect();
    items.sort_unstable();
    assert_eq!(items, history);
}

fn history(user: u64) -> Vec<u64> {
    (0..ITEMS).filter(|&item| touches(user, item)).collect()
}

#[test]
fn layers_and_pulls_add_up_for_trained_users() {
    let (_directory, db) = layered();
    let mut own_taste = 0.0;
    for user in 0..20u64 {
        for hit in &db.query().user(user).k(1_000).include_seen().run().unwrap() {
            let explanation = db.explain(user, hit.id.clone()).unwrap();
            check(&explanation, hit.score, &history(user));
            assert_eq!((explanation.basis, explanation.generation), (Basis::Code, 1));
        }
        // What pulls the best hit up is of its own taste.
        let best = db.nearest(user, 1).unwrap().as_slice()[0].clone();
        let explanation = db.explain(user, best.id.clone()).unwrap();
        let strongest = explanation.pulls.iter().take(5);
        let alike = strongest.filter(|pull| taste(number(&pull.item)) == taste(number(&best.id))).count();
        own_taste += alike as f64 / 100.0;
        let ratio = explanation.folded_score / explanation.score;
        assert!(
            (0.5..2.0).contains(&ratio),
            "the score is {} and the folded score {}",
            explanation.score,
            explanation.folded_score
        );
    }
    assert!(own_taste > 0.9, "only {own_taste} of the strongest pulls are of the item's taste");
}

#[test]
fn newcomers_and_arrivals_are_explained() {
    let (_directory, db) = layered();
    let (newcomer, arrival) = (USERS, ITEMS);
    let items: Vec<u64> = (0..ITEMS).filter(|&item| touches(newcomer, item)).take(7).collect();
    db.insert_many(items.iter().map(|&item| (newcomer, item))).unwrap();
    db.insert_many((0..40u64).map(|user| (user, arrival))).unwrap();
    db.insert(newcomer, arrival).unwrap();
    let mut has = items;
    has.push(arrival);
    for hit in &db.query().user(newcomer).k(1_000).include_seen().run().unwrap() {
        let explanation = db.explain(newcomer, hit.id.clone()).unwrap();
        check(&explanation, hit.score, &has);
        assert_eq!(explanation.basis, Basis::FoldIn);
    }
    // A trained user and an arrival.
    let hits = db.query().user(100u64).k(1_000).run().unwrap();
    let hit = hits.iter().find(|hit| hit.id == arrival.into()).unwrap();
    check(&db.explain(100u64, arrival).unwrap(), hit.score, &history(100));
}

#[test]
fn a_heavier_item_pulls_more() {
    let (_directory, db) = layered();
    let pair: Vec<u64> = (0..ITEMS).filter(|&item| taste(item) == 1).take(3).collect();
    let pull = |weight: f32| {
        db.insert_interaction(kithdb::Interaction::new(USERS, pair[0]).weight(weight)).unwrap();
        db.insert(USERS, pair[1]).unwrap();
        let explanation = db.explain(USERS, pair[2]).unwrap();
        let of = |item: u64| explanation.pulls.iter().find(|pull| number(&pull.item) == item).unwrap().pull;
        of(pair[0]) / of(pair[1])
    };
    let (even, heavy) = (pull(1.0), pull(4.0));
    assert!((heavy / even - 4.0).abs() < 1e-3, "{heavy} {even}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db.kith")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    assert!(matches!(db.explain(0u64, 0u64), Err(Error::NotTrained)));
    db.train(shop::options()).unwrap().wait().unwrap();
    assert!(matches!(db.explain(9_999u64, 0u64), Err(Error::UnknownUser { .. })));
    assert!(matches!(db.explain(0u64, 9_999u64), Err(Error::UnknownItem { .. })));
    assert!(matches!(db.explain("0", 0u64), Err(Error::WrongIdKind { .. })));
    db.insert(9_000u64, 9_001u64).unwrap();
    assert!(matches!(db.explain(9_000u64, 0u64), Err(Error::NoHistory { .. })));
    assert!(matches!(db.explain(0u64, 9_001u64), Err(Error::NoCode { .. })));
}

/// Where masks of edges were learned, the edges that were not cut are told: all where no mask can fall so far, fewer where masks may, the same after an opening,
/// and nothing of them once somebody was forgotten.
#[test]
fn edges_that_masks_kept_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let open = || Db::options().background(false).open(&path).unwrap();
    let db = open();
    db.insert_many(shop::interactions()).unwrap();
    db.train(TrainOptions::new(Preset::Fast).bits(128)).unwrap().wait().unwrap();
    assert_eq!(db.explain(3u64, 5u64).unwrap().kept, None);
    let options = TrainOptions::new(Preset::Fast).bits(128).model(Model::Sgcn).set("teacher.epochs", 20);
    let options = options.set("teacher.mask_gradient", "pathwise").set("student.sweeps", 1);
    let kept = |db: &Db, user: u64| db.explain(user, 5u64).unwrap().kept;
    db.train(options.clone().set("teacher.mask_start", 20)).unwrap().wait().unwrap();
    for user in 0..USERS {
        let whole: Vec<Id> = history(user).into_iter().map(Id::from).collect();
        assert_eq!(kept(&db, user), Some(whole));
    }
    db.train(options.set("teacher.mask_start", 0.05)).unwrap().wait().unwrap();
    let all: Vec<Vec<Id>> = (0..USERS).map(|user| kept(&db, user).unwrap()).collect();
    for (user, kept) in (0..).zip(&all) {
        assert!(kept.is_sorted() && kept.iter().all(|item| touches(user, number(item))), "{user}: {kept:?}");
    }
    let (edges, survived) =
        ((0..USERS).map(|user| history(user).len()).sum::<usize>(), all.iter().map(Vec::len).sum::<usize>());
    assert!(survived > 0 && survived < edges, "{survived} of {edges}");
    drop(db);
    let db = open();
    assert_eq!(kept(&db, 3).as_ref(), Some(&all[3]));
    // Nor is it lost where somebody comes, with something that comes.
    db.insert_many([4u64, 8, 9_000].map(|item| (9_000u64, item))).unwrap();
    db.compact(Compaction::Minor).unwrap().wait().unwrap();
    assert_eq!(kept(&db, 3).as_ref(), Some(&all[3]));
    assert_eq!(kept(&db, 9_000), Some([4u64, 8, 9_000].map(Id::from).to_vec()));
    db.forget_user(7u64).unwrap();
    db.compact(Compaction::Minor).unwrap().wait().unwrap();
    assert_eq!(kept(&db, 3), None);
}
