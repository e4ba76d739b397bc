//! Lists that keep to a quota, and relevances that compare.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use std::collections::BTreeMap;

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{Attributes, CodeSet, Db, Hit, Hits, Id, Value};
use proptest::prelude::*;

/// The shop with a category and tags an item; every seventh has none.
fn described() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::options().background(false).open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    let said = db.items().into_iter().enumerate().filter(|(n, _)| n % 7 != 0).map(|(n, item)| {
        let tags = if n % 3 == 0 { vec!["a", "b"] } else { vec!["c"] };
        let attributes = Attributes::new().set("category", format!("c{}", n * n % 11)).set("tags", tags);
        (item, attributes.set("n", (n % 4) as f64))
    });
    db.set_items(said).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    (directory, db)
}

fn values(db: &Db, id: &Id, name: &str) -> Vec<String> {
    match db.item(id).unwrap().unwrap().get(name) {
        None => Vec::new(),
        Some(Value::Tags(tags)) => tags.iter().cloned().collect(),
        Some(value) => vec![value.to_string()],
    }
}

/// From the best on, what there is room for.
fn greedy(db: &Db, all: &[Hit], name: &str, most: usize, k: usize) -> Vec<Hit> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut list = Vec::new();
    for hit in all {
        let own = values(db, &hit.id, name);
        if list.len() < k && own.iter().all(|value| counts.get(value).is_none_or(|&count| count < most)) {
            own.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
            list.push(hit.clone());
        }
    }
    list
}

#[test]
fn no_value_comes_too_often_and_nothing_better_is_left_out() {
    let (_directory, db) = described();
    let users = db.users();
    proptest!(ProptestConfig::with_cases(60), |(user in 0..users.len(), name in "category|tags|n", most in 1usize..5, k in 1usize..40)| {
        let user = &users[user];
        let all = db.query().user(user).k(10_000).run().unwrap();
        let expected = greedy(&db, all.as_slice(), &name, most, k);
        let query = || db.query().k(k).at_most(most, name.as_str());
        let found = query().user(user).run().unwrap();
        prop_assert_eq!(found.as_slice(), &expected[..]);
        prop_assert!(found.exact());
        let together = query().run_for(std::slice::from_ref(user)).remove(0).unwrap();
        prop_assert_eq!(together.as_slice(), &expected[..]);
    });
    let popular = db.query().user(1_000_000u64).or_popular();
    let all = popular.clone().k(10_000).run().unwrap();
    let found = popular.k(9).at_most(2, "category").run().unwrap();
    assert_eq!(found.as_slice(), greedy(&db, all.as_slice(), "category", 2, 9));
    let diverse = db.query().user(&users[0]).k(10).at_most(1, "category").diversify(0.5).run().unwrap();
    assert_eq!(greedy(&db, diverse.as_slice(), "category", 1, 10).len(), diverse.len());
    for query in [db.query().at_most(0, "category"), db.query().at_most(1, "colour")] {
        assert!(query.user(&users[0]).run().unwrap_err().to_string().contains("at_most("));
    }
}

#[test]
fn relevances_of_users_baskets_and_items_are_of_one_scale() {
    let (_directory, db) = described();
    let (users, items) = (db.users(), db.items());
    let median = |lists: Vec<Hits>| {
        let mut best: Vec<f32> =
            lists.iter().filter(|hits| !hits.is_empty()).map(|hits| hits.relevance(&hits[0])).collect();
        best.sort_by(f32::total_cmp);
        best[best.len() / 2]
    };
    let of_users = median(users.iter().take(40).map(|user| db.nearest(user, 5).unwrap()).collect());
    let of_items = median(items.iter().take(40).map(|item| db.similar_items(item, 5).unwrap()).collect());
    let of_baskets =
        median(items.windows(2).take(40).map(|basket| db.query().items(basket).k(5).run().unwrap()).collect());
    let of_similar_users = median(users.iter().take(40).map(|user| db.similar_users(user, 5).unwrap()).collect());
    let spread = [of_users, of_items, of_baskets, of_similar_users];
    assert!(spread.iter().all(|&one| one > 0.0 && spread.iter().all(|&other| one / other < 4.0)), "{spread:?}");

    let hits = db.query().user(&users[0]).k(50).run().unwrap();
    let least = hits.relevance(&hits[9]);
    let short = db.query().user(&users[0]).k(50).min_relevance(least).run().unwrap();
    assert_eq!(short.as_slice(), &hits.as_slice()[..short.len()]);
    assert!(short.len() >= 10 && hits.as_slice()[short.len()..].iter().all(|hit| hits.relevance(hit) < least));
    let popular = db.query().user(1_000_000u64).or_popular().run().unwrap();
    assert!(popular.iter().all(|hit| (0.0..=1.0).contains(&popular.relevance(hit))));
}

/// Users with the codes of items, larger by any factor, are as similar to one another as the items are.
#[test]
fn relevances_of_similar_users_and_similar_items_are_of_one_measure() {
    const ROWS: u64 = 30;
    let shape = CodeShape::new(vec![64, 128], vec![0.5, 1.0]).unwrap();
    let row = (prop::collection::vec(any::<u64>(), 3), [0.1f32..4.0, 0.1f32..4.0]);
    let rows = prop::collection::vec(row, ROWS as usize);
    proptest!(ProptestConfig::with_cases(20), |(rows in rows, exponent in -4f32..6.0)| {
        let words: Vec<u64> = rows.iter().flat_map(|(words, _)| words.clone()).collect();
        let scalers: Vec<f32> = rows.iter().flat_map(|(_, scalers)| *scalers).collect();
        let larger = scalers.iter().map(|scaler| scaler * 10f32.powf(exponent)).collect();
        let ids = || (0..ROWS).collect::<Vec<u64>>().into();
        let codes = CodeSet {
            items: LayeredCodes::from_parts(shape.clone(), words.clone(), scalers.clone()).unwrap(),
            item_ids: ids(),
            users: PlaneCodes::from_parts(shape.clone(), 1, words, larger).unwrap(),
            user_ids: ids(),
        };
        let directory = tempfile::tempdir().unwrap();
        let db = Db::options().background(false).open(directory.path().join("codes.kith")).unwrap();
        db.import_codes(codes).unwrap();
        let square = |row: &[f32]| 64.0 * (0.5 * row[0]).powi(2) + 128.0 * row[1].powi(2);
        let largest = scalers.chunks(2).map(square).fold(0f32, f32::max).sqrt();
        for id in 0..ROWS {
            let (users, items) = (db.similar_users(id, 100).unwrap(), db.similar_items(id, 100).unwrap());
            prop_assert_eq!((users.len(), items.len()), (ROWS as usize - 1, ROWS as usize - 1));
            let of_items: BTreeMap<&Id, f32> = items.iter().map(|hit| (&hit.id, items.relevance(hit))).collect();
            for hit in &users {
                let (ours, theirs) = (users.relevance(hit), of_items[&hit.id]);
                prop_assert!((ours - theirs).abs() < 1e-4 * largest, "{} {}: {} {}", id, hit.id, ours, theirs);
                prop_assert!(ours.abs() <= largest * 1.0001);
            }
        }
    });
}
