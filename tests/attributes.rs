//! What is said of items and users: durable, published, seen at once, and filtered by before the top k.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use kithdb::{Attributes, Compaction, Db, Engine, Error, Id, Side, SnapshotOptions, Value, ValueKind, attribute};

/// The shop with a category, a price, a flag and tags an item; every ninth item is said nothing of.
fn described() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::options().background(false).open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    let items = db.items();
    let said = items.into_iter().enumerate().filter(|(n, _)| n % 9 != 0).map(|(n, item)| {
        let attributes = Attributes::titled(format!("Item {item}"))
            .set("category", ["tea", "coffee", "mugs"][n % 3])
            .set("price", (n * 7 % 50) as f64 + 0.5)
            .set("in_stock", n % 2 == 0)
            .set("tags", if n % 5 == 0 { vec!["sale", "new"] } else { vec!["old"] });
        (item, attributes)
    });
    db.set_items(said).unwrap();
    (directory, db)
}

fn number(own: &Attributes, name: &str) -> Option<f64> {
    match own.get(name) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    }
}

#[test]
fn filtered_lists_are_the_filtered_list_of_all() {
    let (_directory, db) = described();
    let user = db.users()[3].clone();
    db.train(shop::options()).unwrap().wait().unwrap();
    // What comes after the training is filtered by too, an item that came since among it.
    let late = Id::from(99_999u64);
    db.insert(&db.users()[5], &late).unwrap();
    db.set_item(&late, Attributes::new().set("price", 1).set("category", "tea")).unwrap();
    let fits = |own: &Attributes| {
        (own.get("category") == Some(&"tea".into()) && number(own, "price").is_some_and(|price| price < 30.0))
            || own.get("tags").is_some_and(|tags| matches!(tags, Value::Tags(tags) if tags.contains("sale")))
    };
    const FILTER: &str = "category = 'tea' and price < 30 or 'sale' in tags";
    let all = db.query().user(&user).k(10_000).run().unwrap();
    let expected: Vec<_> = all.iter().filter(|hit| fits(&db.item(&hit.id).unwrap().unwrap())).cloned().collect();
    assert!(expected.len() > 10 && expected.len() < all.len() && expected.iter().any(|hit| hit.id == late));
    for k in [1, 5, expected.len(), 10_000] {
        let query = || db.query().user(&user).k(k).filter(FILTER);
        let found = query().run().unwrap();
        assert_eq!(found.as_slice(), &expected[..k.min(expected.len())], "k = {k}");
        assert!(found.exact());
        for engine in [Engine::Linear, Engine::Head, Engine::Tree, Engine::Mih] {
            assert_eq!(query().engine(engine).run().unwrap().as_slice(), found.as_slice(), "{engine:?}");
        }
        let batch = query().run_for(std::slice::from_ref(&user)).remove(0).unwrap();
        assert_eq!(batch.as_slice(), found.as_slice());
    }
    // With other filters, and in two parts.
    let allowed = db.item_set(expected.iter().step_by(2).map(|hit| &hit.id)).unwrap();
    let found =
        db.query().user(&user).k(10_000).filter(FILTER).allow(&allowed).filter("in_stock or price is set").run();
    let expected: Vec<_> = expected.iter().step_by(2).cloned().collect();
    assert_eq!(found.unwrap().as_slice(), expected);
    let popular = db.query().user(1_000_006u64).k(5).filter("category = 'mugs'").or_popular().run().unwrap();
    assert_eq!(popular.len(), 5);
    assert!(popular.iter().all(|hit| db.item(&hit.id).unwrap().unwrap().get("category") == Some(&"mugs".into())));
}

#[test]
fn clones_of_a_query_share_a_filter_and_not_what_is_allowed() {
    let (_directory, db) = described();
    db.train(shop::options()).unwrap().wait().unwrap();
    let (users, items) = (db.users(), db.items());
    let few = db.item_set(items.iter().step_by(2)).unwrap();
    let others = db.item_set(items.iter().skip(1).step_by(2)).unwrap();
    let alone = |user: &Id, allow| {
        let all = db.query().user(user).k(10_000).filter("price < 30").run().unwrap();
        let allowed: std::collections::HashSet<Id> = match allow {
            1 => items.iter().step_by(2).cloned().collect(),
            2 => items.iter().skip(1).step_by(2).cloned().collect(),
            _ => items.iter().cloned().collect(),
        };
        all.iter().filter(|hit| allowed.contains(&hit.id)).take(7).cloned().collect::<Vec<_>>()
    };
    let query = db.query().k(7).filter("price < 30");
    let queries = [query.clone(), query.clone().allow(&few), query.clone().allow(&few).allow(&others)];
    for round in 0..2 {
        for (allow, query) in queries.iter().enumerate() {
            let answers = query.run_for(&users);
            for (user, answer) in users.iter().zip(answers) {
                assert_eq!(answer.unwrap().as_slice(), alone(user, allow), "{user}, {allow} in round {round}");
            }
            // A clone of one that has run may allow something else.
            let other = query.clone().allow(&few).user(&users[0]).run().unwrap();
            assert_eq!(other.as_slice(), alone(&users[0], 1));
        }
    }
}

#[test]
fn a_name_goes_with_its_last_value() {
    let (_directory, db) = described();
    let (user, item) = (db.users()[0].clone(), db.items()[1].clone());
    let ask = || db.query().user(&user).or_popular();
    db.set_item(&item, Attributes::new().set("rare", true)).unwrap();
    assert_eq!(ask().filter("rare").include_seen().run().unwrap().len(), 1);
    assert!(ask().at_most(1, "rare").run().is_ok() && db.stats().unwrap().memory.attributes > 1_000);
    db.set_item(&item, Attributes::new().unset("rare")).unwrap();
    assert!(matches!(ask().filter("rare").run(), Err(Error::Filter(_))));
    assert!(matches!(ask().at_most(1, "rare").run(), Err(Error::InvalidArgument { .. })));
}

#[test]
fn what_is_said_counts_at_once_and_stays() {
    let (directory, db) = described();
    let path = directory.path().join("shop.kith");
    db.train(shop::options()).unwrap().wait().unwrap();
    let (user, item) = (db.users()[0].clone(), db.items()[1].clone());
    let in_stock = |db: &Db| {
        let hits =
            db.query().user(&user).include_seen().k(10_000).filter(attribute("in_stock").is_true()).run().unwrap();
        hits.iter().any(|hit| hit.id == item)
    };
    assert!(!in_stock(&db));
    let morning = db.snapshot();
    db.set_item(&item, Attributes::new().set("in_stock", true)).unwrap();
    assert!(in_stock(&db));
    assert_eq!(
        morning.item(&item).unwrap().unwrap().get("in_stock"),
        Some(&false.into()),
        "a moment stays what it was"
    );
    assert!(db.item(&item).unwrap().unwrap().title().is_some(), "what was not named stays");
    db.set_user(&user, Attributes::new().set("city", "Aarhus")).unwrap();
    let said = |db: &Db| -> Vec<_> { db.items().iter().map(|item| db.item(item).unwrap()).collect() };
    let before = (said(&db), db.user(&user).unwrap());
    drop((db, morning));

    let db = Db::options().background(false).open(&path).unwrap();
    assert_eq!((said(&db), db.user(&user).unwrap()), before, "from the log");
    let minor = db.compact(Compaction::Minor).unwrap().wait().unwrap();
    drop(db);
    let db = Db::options().background(false).open(&path).unwrap();
    assert_eq!(db.stats().unwrap().generation.unwrap().content_hash, minor.content_hash);
    assert_eq!((said(&db), db.user(&user).unwrap()), before, "from the generation");
    assert!(in_stock(&db));
    let copy = directory.path().join("copy.kith");
    db.compact_to(&copy).unwrap();
    assert_eq!((said(&Db::open(&copy).unwrap()), db.user(&user).unwrap()), before, "from a copy");
    db.set_item(&item, Attributes::new().unset("in_stock").unset("title")).unwrap();
    let first = db.stats().unwrap().kept_generations[0].number;
    db.rollback(first).unwrap();
    assert!(!in_stock(&db) && db.item(&item).unwrap().unwrap().title().is_none(), "codes go back, and nothing else");
    assert!(db.verify().unwrap().is_sound());
    assert!(db.forget_user(&user).unwrap());
    assert_eq!(db.user(&user).unwrap(), None);
    db.insert(&user, &item).unwrap();
    assert_eq!(db.user(&user).unwrap(), Some(Attributes::new()), "who comes back is somebody new");
}

#[test]
fn a_snapshot_in_files_is_filtered_by_what_was_said() {
    let (directory, db) = described();
    db.train(shop::options()).unwrap().wait().unwrap();
    let item = db.items()[1].clone();
    db.set_item(&item, Attributes::new().set("in_stock", true).set("late", "since the training")).unwrap();
    let place = directory.path().join("fleet");
    db.snapshot_to(&place, &SnapshotOptions::new()).unwrap();
    let replica = Db::open_snapshot(&place).unwrap();
    for item in db.items() {
        assert_eq!(replica.item(&item).unwrap(), db.item(&item).unwrap());
    }
    for user in db.users().iter().take(20) {
        let filter = "in_stock and price < 30 or late is set";
        let here = db.query().user(user).filter(filter).at_most(2, "category").run().unwrap();
        let there = replica.query().user(user).filter(filter).at_most(2, "category").run().unwrap();
        assert_eq!(here.as_slice(), there.as_slice());
    }
}

#[test]
fn nothing_is_learned_from_it() {
    let (_directory, db) = described();
    let other = tempfile::tempdir().unwrap();
    let plain = Db::open(other.path().join("plain.kith")).unwrap();
    plain.insert_many(shop::interactions()).unwrap();
    for db in [&db, &plain] {
        db.train(shop::options()).unwrap().wait().unwrap();
    }
    let user = db.users()[7].clone();
    assert_eq!(db.nearest(&user, 20).unwrap().as_slice(), plain.nearest(&user, 20).unwrap().as_slice());
}

#[test]
fn what_cannot_be_said_is_refused_with_its_name_and_leaves_all_as_it_was() {
    let (_directory, db) = described();
    let item = db.items()[1].clone();
    let before = (db.item(&item).unwrap(), db.items().len());
    for (attributes, words) in [
        (Attributes::new().set("price", "cheap"), ["price = cheap", "is a number"]),
        (Attributes::new().set("price", f64::NAN), ["price", "finite"]),
        (Attributes::new().set("", 1), ["name", "1 to 64"]),
        (Attributes::new().set("blurb", "x".repeat(5_000)), ["bytes", "4096"]),
        (Attributes::new().set("blurb", ""), ["blurb", "unset"]),
        (Attributes::new().set("tags", ["", "a"]), ["tags", "empty tag"]),
    ] {
        let error = db.set_item(&item, attributes).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
    assert!(matches!(db.set_item("text", Attributes::new().set("price", 1)), Err(Error::WrongIdKind { .. })));
    assert_eq!((db.item(&item).unwrap(), db.items().len()), before);
    let names = db.attribute_names(Side::Item);
    assert_eq!(names.len(), 5);
    assert!(names.contains(&("tags".to_owned(), ValueKind::Tags)));
    let error = db.query().user(1u64).filter("colour = 'red'").or_popular().run().unwrap_err();
    assert!(matches!(&error, Error::Filter(error) if error.position == Some(1)), "{error}");
    let error = db.query().user(1u64).filter("price <").run().unwrap_err();
    assert!(matches!(&error, Error::Filter(error) if error.position == Some(8)), "{error}");
}
