//! Who was forgotten takes next to no room on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::{Db, Id, Preset, TrainOptions};

/// Churn: many come, are learned, and are forgotten, round after round; one stays.
#[test]
fn rounds_of_forgetting_leave_the_disk_flat() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("churn.kith");
    let db = Db::open(&path).unwrap();
    let options = || TrainOptions::new(Preset::Fast).bits(192);
    let mut derived = Vec::new();
    for round in 0..8u32 {
        let name = |user: u32| format!("round {round}, user {user}");
        db.insert_many((0..6000u32).map(|at| (name(at % 1000), format!("item {}", at * 7919 % 499)))).unwrap();
        db.train(options()).unwrap().wait().unwrap();
        for user in 0..1000 {
            assert!(db.forget_user(name(user)).unwrap());
        }
        db.insert("stays", format!("item {round}")).unwrap();
        db.train(options()).unwrap().wait().unwrap();
        // Of content: what storage makes of it on the disk depends on when its segments come free.
        derived.push(db.stats().unwrap().disk.live);
    }
    // Of somebody forgotten remain their places in two lists, 16 bytes; their code and their row of training state had 700.
    let rows = 6 * 1000 * 16;
    assert!(derived[7] <= derived[1] * 105 / 100 + rows, "{derived:?}");

    // Rows are found again, whatever lies between them.
    let answer = |db: &Db| db.nearest("stays", 5).unwrap().into_iter().map(|hit| hit.id).collect::<Vec<Id>>();
    db.insert_many((0..300u32).map(|at| (format!("new {}", at % 30), format!("item {}", at * 31 % 499)))).unwrap();
    db.train(options()).unwrap().wait().unwrap();
    let truth: Vec<(Id, Vec<Id>)> =
        ["new 3", "new 29", "stays"].map(|user| (user.into(), vec!["item 5".into(), "item 77".into()])).into();
    let before = (answer(&db), db.evaluate(&truth, &[50], None).unwrap());
    let exact = db.evaluate_full_precision(&truth, &[50]).unwrap();
    drop(db);
    let db = Db::open(&path).unwrap();
    assert_eq!((answer(&db), db.evaluate(&truth, &[50], None).unwrap()), before);
    assert_eq!(db.evaluate_full_precision(&truth, &[50]).unwrap(), exact);
    assert!(db.verify().unwrap().is_sound());
}
