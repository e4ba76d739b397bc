use std::path::Path;

use super::*;
use crate::{
    Attributes, Db, Embeddings, EncodeOptions, Id, Metric, Preset, RowIds, SnapshotOptions, TrainOptions, Vectors,
};

impl CancelToken {
    /// One that is cancelled when it has been looked at so often.
    fn after(looks: u64) -> Self {
        Self { looks: Some(Arc::new(AtomicU64::new(looks))), ..Self::default() }
    }
}

#[test]
fn clones_are_one_and_time_ends() {
    let (token, late) = (CancelToken::new(), CancelToken::within(Duration::MAX));
    let other = token.clone();
    assert!(!token.is_cancelled() && !late.is_cancelled());
    other.cancel();
    assert!(token.is_cancelled() && matches!(CancelToken::check(Some(&token)), Err(Error::Cancelled)));
    assert!(CancelToken::within(Duration::ZERO).is_cancelled());
    assert!(!CancelToken::after(1).is_cancelled() && CancelToken::after(0).is_cancelled());
}

/// Sixty users who like items of their own third, trained.
fn shop(path: &Path) -> Db {
    let db = Db::options().background(false).open(path).unwrap();
    let likes = |user: u64| (0..10u64).map(move |n| (user, 3 * ((user * 7 + n * n) % 20) + user % 3));
    db.insert_many((0..60u64).flat_map(likes)).unwrap();
    db.train(TrainOptions::new(Preset::Fast)).unwrap().wait().unwrap();
    db.insert(99u64, 0u64).unwrap();
    db
}

/// Makes a call with tokens that end it at the first look, at the second and so on, every `stride`-th, until it comes to its end; how many times it was ended.
/// `untouched` is asked after each of those.
fn ended<T>(db: &Db, stride: u64, call: impl Fn(&Db) -> Result<T>, untouched: impl Fn() -> bool) -> (u64, T) {
    for times in 0.. {
        match call(&db.cancelled_by(&CancelToken::after(times * stride))) {
            Ok(done) => return (times, done),
            Err(error) => assert!(matches!(error, Error::Cancelled) && untouched(), "{times}: {error}"),
        }
    }
    unreachable!("some number of looks is enough")
}

/// The names in a folder; none where there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_a_call_would_have_written_is_not_there_when_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir.path().join("shop.kith"));

    let (times, report) = ended(&db, 1, Db::verify, || true);
    assert!(report.is_sound() && times > 5, "{times}");

    let copy = dir.path().join("copy.kith");
    let (times, ()) = ended(&db, 1, |db| db.compact_to(&copy), || names(dir.path()) == ["shop.kith"]);
    assert!(times > 5, "{times}");
    let copied = Db::options().background(false).open(&copy).unwrap();
    assert_eq!(copied.history(99u64).unwrap().len(), 1);

    let codes = dir.path().join("codes");
    let (times, _) = ended(&db, 1, |db| db.export_npy(&codes), || !codes.exists());
    assert!(times > 5, "{times}");
    let whole = names(&codes);
    assert!(whole.len() >= 8 && !whole.iter().any(|name| name.ends_with(".tmp")), "{whole:?}");
    // Over an earlier one, which stays whole, of a file that is not of an export.
    std::fs::write(codes.join("mine"), "mine").unwrap();
    let content = || names(&codes).iter().map(|name| std::fs::read(codes.join(name)).unwrap()).collect::<Vec<_>>();
    let before = content();
    let (again, _) = ended(&db, 1, |db| db.export_npy(&codes), || content() == before);
    assert_eq!((again, content()), (times, before));

    let fleet = dir.path().join("fleet");
    let options = SnapshotOptions::new();
    let first = db.snapshot_to(&fleet, &options).unwrap();
    db.insert(7u64, 1u64).unwrap();
    let there = names(&fleet);
    let (times, second) = ended(&db, 1, |db| db.snapshot_to(&fleet, &options), || names(&fleet) == there);
    assert!(times > 5 && second.name != first.name, "{times}");
}

#[test]
fn evaluations_and_lists_end_between_users() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir.path().join("shop.kith"));
    let truth: Vec<(Id, Vec<Id>)> = (0..60u64).map(|user| (user.into(), vec![(user % 60).into()])).collect();
    type Measure = fn(&Db, &[(Id, Vec<Id>)]) -> Result<crate::eval::Evaluation>;
    let codes: Measure = |db, truth| db.evaluate(truth, &[5], None);
    let popularity: Measure = |db, truth| db.evaluate_popularity(truth, &[5]);
    let teacher: Measure = |db, truth| db.evaluate_full_precision(truth, &[5]);
    for (measure, least) in [(codes, 60), (popularity, 60), (teacher, 1)] {
        let (times, measured) = ended(&db, 1, |db| measure(db, &truth), || true);
        assert!(times > least && measured == measure(&db, &truth).unwrap(), "{times}");
    }
    let users: Vec<Id> = db.users();
    let lists = |db: &Db| db.query().or_popular().run_for(&users).into_iter().collect::<Result<Vec<_>>>();
    assert_eq!(ended(&db, 1, lists, || true).0, users.len() as u64);
    // Those that were begun are there.
    let lists = db.query().or_popular().cancelled_by(&CancelToken::after(20)).run_for(&users);
    assert_eq!(lists.iter().filter(|list| list.is_ok()).count(), 20);
}

#[test]
fn rows_before_the_end_of_a_load_stay_and_the_rest_comes_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::options().background(false).open(dir.path().join("shop.kith")).unwrap();
    let rows = || (0..50_000u64).map(|n| (n % 1000, n));
    let (times, inserted) = ended(
        &db,
        10_007,
        |db| db.insert_many(rows()),
        || {
            // Whole batches, in order.
            let items = db.items();
            items.len().is_multiple_of(16_384) && items.iter().zip(0u64..).all(|(item, n)| *item == n.into())
        },
    );
    assert_eq!((times, inserted, db.items().len()), (5, 50_000, 50_000));
    let said = || (0..50_000u64).map(|n| (n, Attributes::new().set("price", n as f64)));
    let (times, said) = ended(&db, 10_007, |db| db.set_items(said()), || true);
    assert_eq!((times, said), (5, 50_000));
}

#[test]
fn an_import_that_is_ended_publishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir.path().join("shop.kith"));
    let generation = |db: &Db| db.snapshot().generation();
    let before = generation(&db);
    let embeddings = || {
        let values = (0..300 * 64).map(|n| ((n * 37) % 101) as f32 - 50.0).collect();
        let ids: Vec<u64> = (0..300).collect();
        Embeddings {
            items: Vectors::new(values, 1, 64).unwrap(),
            item_ids: RowIds::from(ids),
            users: None,
            user_ids: RowIds::RowNumbers,
        }
    };
    let options = EncodeOptions::new(Metric::Dot);
    let import = |db: &Db| db.import_embeddings(embeddings(), &options);
    let (times, outcome) = ended(&db, 10, import, || generation(&db) == before);
    assert!(times > 5 && outcome.items == 300, "{times}");
    // One that waits behind a training ends while it waits.
    let job = db.train(TrainOptions::new(Preset::Fast)).unwrap();
    let token = CancelToken::new();
    token.cancel();
    assert!(matches!(db.cancelled_by(&token).rollback(1), Err(Error::Cancelled)));
    job.wait().unwrap();
}
