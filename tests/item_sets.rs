//! Sets of items remember what nobody knew when they were built: a deny list never lets through what came later.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::{Db, Id, ItemSet};

fn popular(db: &Db, allow: Option<&ItemSet>, deny: Option<&ItemSet>) -> Vec<Id> {
    let mut query = db.query().user("visitor").k(10).include_seen().or_popular();
    if let Some(allow) = allow {
        query = query.allow(allow);
    }
    if let Some(deny) = deny {
        query = query.deny(deny);
    }
    query.run().unwrap().into_iter().map(|hit| hit.id).collect()
}

#[test]
fn ids_that_come_later_belong_to_the_set_they_were_named_in() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    let gift = db.item_set(["gift", "mug", "gift"]).unwrap();
    assert_eq!((gift.len(), gift.unknown().to_vec()), (2, vec![Id::from("gift"), Id::from("mug")]));
    db.insert_many([("a", "gift"), ("b", "gift"), ("a", "pan")]).unwrap();
    assert_eq!(popular(&db, None, None), ["gift".into(), "pan".into()]);
    assert_eq!(popular(&db, None, Some(&gift)), ["pan".into()], "denied before it was known");
    assert_eq!(popular(&db, Some(&gift), None), ["gift".into()], "allowed before it was known");
    let again = db.item_set(["gift", "mug"]).unwrap();
    assert_eq!((again.len(), again.unknown().to_vec()), (2, vec![Id::from("mug")]));
    // What a user has from elsewhere, too.
    let hits = db.query().user("visitor").also_seen(&gift).or_popular().run().unwrap();
    assert_eq!(hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>(), ["pan".into()]);
    // A snapshot taken before sees the set as of its own moment.
    let before = db.snapshot();
    db.insert_many([("a", "mug"), ("b", "mug"), ("c", "mug")]).unwrap();
    let hits = before.query().user("visitor").allow(&again).or_popular().run().unwrap();
    assert_eq!(hits.len(), 1, "the mug came later");
    assert_eq!(popular(&db, Some(&again), None), ["mug".into(), "gift".into()]);
}

#[test]
fn an_empty_set_is_everybodys_and_others_belong_to_one_opening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = Db::open(&path).unwrap();
    db.insert("a", "pan").unwrap();
    let set = db.item_set(["pan", "pot"]).unwrap();
    let nothing = ItemSet::default();
    assert!(nothing.is_empty());
    assert_eq!(popular(&db, None, Some(&nothing)), ["pan".into()]);
    assert!(popular(&db, Some(&nothing), None).is_empty());
    drop(db);
    let db = Db::open(&path).unwrap();
    let error = db.query().user("a").deny(&set).or_popular().run().unwrap_err().to_string();
    assert!(error.contains("item_set()"), "{error}");
    assert!(db.item_set([7u64]).is_err(), "an id of another kind is no unknown item");
}
