//! What a compaction keeps, and what it learns again.
#![allow(clippy::unwrap_used)]

mod shop;

use std::time::{Duration, Instant};

use kithdb::{Attributes, Compaction, Db, Error, Interaction, Model, Policy, Preset, TrainOptions};

/// The shop without its last users and items, trained, and what was left out.
fn begun(options: TrainOptions) -> (tempfile::TempDir, Db, Vec<Interaction>) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    let late = |x: &Interaction| late(x);
    db.insert_many(shop::interactions().filter(|x| !late(x))).unwrap();
    db.train(options).unwrap().wait().unwrap();
    let rest = shop::interactions().filter(late).collect();
    (directory, db, rest)
}

fn number(id: &kithdb::Id) -> u64 {
    id.to_string().parse().unwrap()
}

/// One in forty users and items come later, with all they have.
fn late(x: &Interaction) -> bool {
    number(&x.user).is_multiple_of(40) || number(&x.item).is_multiple_of(40)
}

/// How many of the best ten items of these users are of their taste.
fn of_taste(db: &Db, users: impl Iterator<Item = u64>) -> f64 {
    let (mut own, mut all) = (0, 0);
    for user in users {
        for hit in db.nearest(user, 10).unwrap() {
            own += u64::from(shop::taste(number(&hit.id)) == shop::taste(user));
            all += 1;
        }
    }
    own as f64 / all as f64
}

fn minor(db: &Db) -> kithdb::TrainOutcome {
    db.compact(Compaction::Minor).unwrap().wait().unwrap()
}

#[test]
fn a_minor_compaction_gives_new_users_and_items_codes() {
    for options in [shop::options(), TrainOptions::new(Preset::Balanced).bits(192), shop::options().layers(1).bits(256)]
    {
        let (directory, db, rest) = begun(options);
        db.insert_many(rest.clone()).unwrap();
        let outcome = minor(&db);
        assert_eq!((outcome.kind, outcome.generation), (Compaction::Minor, 2));
        assert_eq!(db.stats().unwrap().tail_changes, 0);
        assert!(outcome.touched_users > 6 && outcome.touched_items > 4, "{outcome:?}");
        let new = || (0..shop::USERS).filter(|user| user.is_multiple_of(40));
        assert!(of_taste(&db, new()) > 0.9, "{}", of_taste(&db, new()));
        for user in new() {
            assert_eq!(db.query().user(user).k(3).run().unwrap().basis(), kithdb::Basis::Code);
        }
        let hits = db.similar_items(40u64, 5).unwrap();
        assert!(hits.into_iter().filter(|hit| shop::taste(number(&hit.id)) == shop::taste(40)).count() >= 4);
        // It is there after it is opened again, and can be gone on from.
        let hash = outcome.content_hash;
        drop(db);
        let db = Db::open(directory.path().join("shop.kith")).unwrap();
        assert_eq!(db.stats().unwrap().generation.unwrap().content_hash, hash);
        assert!(db.verify().unwrap().is_sound());
        db.insert(3u64, 40u64).unwrap();
        assert_eq!(minor(&db).generation, 3);
        assert!(of_taste(&db, new()) > 0.9);
    }
}

/// Scores of a user with every item, whatever they have.
fn scores(db: &Db, user: u64) -> Vec<(String, u32)> {
    let hits = db.query().user(user).k(shop::ITEMS as usize).include_seen().run().unwrap();
    hits.into_iter().map(|hit| (hit.id.to_string(), hit.score.to_bits())).collect()
}

#[test]
fn rows_that_were_not_touched_keep_their_codes() {
    let (_directory, db) = shop::trained();
    let before: Vec<_> = (0..shop::USERS).map(|user| scores(&db, user)).collect();
    let (user, items) = (5u64, [2u64, 3, 7]);
    items.iter().for_each(|&item| db.insert(user, item).unwrap());
    let outcome = minor(&db);
    assert!(outcome.touched_users == 1 && (1..=3).contains(&outcome.touched_items), "{outcome:?}");
    let touched: Vec<String> = items.iter().map(u64::to_string).collect();
    let untouched = |list: &[(String, u32)]| -> std::collections::BTreeMap<String, u32> {
        list.iter().filter(|(item, _)| !touched.contains(item)).cloned().collect()
    };
    for other in (0..shop::USERS).filter(|&other| other != user) {
        assert_eq!(untouched(&scores(&db, other)), untouched(&before[other as usize]), "user {other}");
    }
    assert_ne!(untouched(&scores(&db, user)), untouched(&before[user as usize]));
}

/// Who was registered, and what was in the catalogue, before anybody did anything with them is learned as who and what was not.
#[test]
fn who_was_known_before_is_learned_as_who_was_not() {
    for options in [shop::options(), TrainOptions::new(Preset::Balanced).bits(192)] {
        let learned = |is_known: bool| {
            let (_directory, db, _) = begun(options.clone());
            if is_known {
                db.set_user(1000u64, Attributes::new().set("since", 2024)).unwrap();
                db.set_item(2000u64, Attributes::titled("New")).unwrap();
            }
            db.set_user(3u64, Attributes::new().set("since", 2024)).unwrap();
            minor(&db);
            let taste = |n: u64| 1 + shop::TASTES * n;
            db.insert_many((5..12).map(|n| Interaction::new(1000u64, taste(n)))).unwrap();
            db.insert_many((5..12).map(|n| Interaction::new(taste(n), 2000u64))).unwrap();
            minor(&db);
            [1000, 1, 2].map(|user| scores(&db, user))
        };
        assert_eq!(learned(true), learned(false));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for major_share in [2.0, 0.001] {
        let hash = |threads| {
            let (directory, db, rest) = begun(TrainOptions::new(Preset::Balanced).bits(192));
            drop(db);
            let policy = Policy::default().pause(Duration::ZERO).minor_changes(1).minor_share(0.0).threads(threads);
            let options = Db::options().policy(policy.major_share(major_share));
            let db = options.open(directory.path().join("shop.kith")).unwrap();
            let mut news = db.watch();
            // One commit, so that it is compacted whole.
            db.insert_many(rest).unwrap();
            assert_eq!(news.wait_timeout(Duration::from_secs(60)), Some(2));
            db.stats().unwrap().generation.unwrap().content_hash
        };
        assert_eq!(hash(1), hash(2), "{major_share}");
    }
}

#[test]
fn before_the_first_training_a_minor_compaction_folds_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.kith");
    let db = Db::open(&path).unwrap();
    assert!(matches!(db.compact(Compaction::Minor).unwrap().wait(), Err(Error::NothingToTrain { .. })));
    db.insert_many(shop::interactions()).unwrap();
    let edges = db.stats().unwrap().interactions;
    minor(&db);
    assert_eq!(db.stats().unwrap().tail_changes, 0);
    drop(db);
    let db = Db::open(&path).unwrap();
    assert_eq!(db.stats().unwrap().interactions, edges);
    assert!(matches!(db.nearest(3u64, 5), Err(Error::NotTrained)));
    assert_eq!(db.query().user(3u64).k(5).or_popular().run().unwrap().len(), 5);
    assert!(matches!(db.compact(Compaction::Minor).unwrap().wait(), Err(Error::NothingNew { generation: 1 })));
    assert!(db.remove(0u64, 4u64).is_ok());
    db.insert(1000u64, 4u64).unwrap();
    assert_eq!(db.query().user(1000u64).k(5).or_popular().run().unwrap().len(), 5);
    minor(&db);
    db.train(shop::options()).unwrap().wait().unwrap();
    assert_eq!(db.nearest(3u64, 5).unwrap().len(), 5);
}

#[test]
fn after_other_models_new_items_keep_what_they_were_answered_by() {
    for model in [Model::LightGcn, Model::Ials] {
        let options = TrainOptions::new(Preset::Fast).bits(192).model(model);
        let options = if model == Model::LightGcn { options.set("teacher.epochs", 10) } else { options };
        let (_directory, db, rest) = begun(options);
        db.insert_many(rest).unwrap();
        let before: Vec<_> = (0..shop::USERS).map(|user| scores(&db, user)).collect();
        minor(&db);
        let changed = (0..shop::USERS).filter(|&user| scores(&db, user) != before[user as usize]).count();
        // Users without a code are folded in from items that may have come to some; all others see what they saw.
        assert!(changed as u64 <= shop::USERS / 40 + 1, "{model}: {changed}");
        assert!(db.similar_items(40u64, 5).is_ok());
    }
}

#[test]
fn who_was_forgotten_has_no_code_afterwards() {
    for options in [shop::options(), shop::options().model(Model::Ials)] {
        let (_directory, db, rest) = begun(options);
        db.insert_many(rest).unwrap();
        db.forget_user(9u64).unwrap();
        db.forget_user(40u64).unwrap();
        minor(&db);
        assert!(matches!(db.nearest(9u64, 5), Err(Error::UnknownUser { .. })));
        db.insert(9u64, 40u64).unwrap();
        assert_eq!(db.query().user(9u64).k(5).run().unwrap().basis(), kithdb::Basis::FoldIn);
        minor(&db);
        assert!(db.verify().unwrap().is_sound());
    }
}

#[test]
fn a_database_compacts_by_itself_as_its_policy_says() {
    let (directory, db, rest) = begun(shop::options());
    drop(db);
    let path = directory.path().join("shop.kith");
    let quick = || Policy::default().pause(Duration::ZERO).minor_changes(1).minor_share(0.0).threads(2);
    let open = |policy| Db::options().policy(policy).open(&path).unwrap();
    let patience = Duration::from_secs(60);

    // A minor compaction for a few changes.
    let db = open(quick().major_share(2.0));
    let mut news = db.watch();
    db.insert_many(rest).unwrap();
    let first = news.wait_timeout(patience).unwrap();
    assert!(first >= 2);
    while db.stats().unwrap().tail_changes > 0 {
        assert!(news.wait_timeout(patience).is_some());
    }
    let jobs = db.jobs().unwrap();
    assert_eq!(jobs[0].kind, "train");
    assert!(jobs[1..].iter().all(|job| job.kind == "minor" && job.why.contains("interactions changed")), "{jobs:?}");
    drop(db);
    assert_eq!(news.wait_timeout(patience), None, "a closed database has no news");

    // A major one for what those took in.
    let db = open(quick().major_share(0.01));
    let mut news = db.watch();
    db.insert(3u64, 40u64).unwrap();
    assert!(news.wait_timeout(patience).is_some());
    assert_eq!(db.jobs().unwrap().last().unwrap().kind, "major");
    drop(db);

    // None where it is turned off.
    let db = Db::options().background(false).policy(quick()).open(&path).unwrap();
    let mut news = db.watch();
    db.insert(3u64, 39u64).unwrap();
    assert_eq!(news.wait_timeout(Duration::from_millis(300)), None);
}

#[test]
fn a_compaction_tells_how_far_it_moved() {
    let (_directory, db, rest) = begun(TrainOptions::new(Preset::Balanced).bits(192));
    db.insert_many(rest).unwrap();
    let drift = minor(&db).drift.unwrap();
    assert!(drift.users > 50 && drift.held_out >= drift.users, "{drift:?}");
    assert!((drift.recall_after - drift.recall_before).abs() < 0.2 && drift.recall_before > 0.1, "{drift:?}");
    assert!(drift.bits_flipped < 0.3 && drift.neighbours_changed < 0.9, "{drift:?}");
    let stats = db.stats().unwrap().generation.unwrap();
    assert!(stats.made_by == Some("minor") && stats.bytes > 0 && stats.seconds.is_some_and(|s| s >= 0.0), "{stats:?}");
    let told = stats.drift.unwrap();
    assert_eq!((told.users, told.held_out), (drift.users, drift.held_out));
    let close = |a: f64, b: f64| (a - b).abs() <= 0.00005;
    assert!(close(told.recall_before, drift.recall_before) && close(told.recall_after, drift.recall_after));
    assert!(close(told.bits_flipped, drift.bits_flipped) && close(told.neighbours_changed, drift.neighbours_changed));
    // One user's change moves next to nothing.
    db.insert(3u64, 2u64).unwrap();
    let small = minor(&db).drift.unwrap();
    assert!(small.bits_flipped < drift.bits_flipped && small.bits_flipped > 0.0, "{small:?}");
    let jobs = db.jobs().unwrap();
    assert_eq!(jobs.last().unwrap().found["recall_after"], format!("{:.4}", small.recall_after));
}

#[test]
fn major_compactions_learn_on() {
    for options in [shop::options(), TrainOptions::new(Preset::Balanced).bits(192), shop::options().layers(1).bits(256)]
    {
        let (_directory, db, rest) = begun(options);
        db.insert_many(rest).unwrap();
        let major = || db.compact(Compaction::Major).unwrap().wait();
        let outcome = major().unwrap();
        assert_eq!((outcome.kind, outcome.generation), (Compaction::Major, 2));
        assert!(of_taste(&db, 0..shop::USERS) > 0.9);
        for user in (0..shop::USERS).filter(|user| user.is_multiple_of(40)) {
            assert_eq!(db.query().user(user).k(3).run().unwrap().basis(), kithdb::Basis::Code);
        }
        assert!(matches!(major(), Err(Error::NothingNew { generation: 2 })));
        // After a minor one, which leaves most rows where they were, there is something to do though nothing has come.
        db.insert(3u64, 40u64).unwrap();
        minor(&db);
        assert_eq!(major().unwrap().generation, 4);
        let full = db.compact(Compaction::Full).unwrap().wait().unwrap();
        assert_eq!(full.kind, Compaction::Full);
        assert!(of_taste(&db, 0..shop::USERS) > 0.9);
    }
}

/// What cannot go on from what it learned folds what has come, and where nothing has, leaves everything as it is.
#[test]
fn a_major_compaction_that_learns_nothing_of_nothing_new_publishes_nothing() {
    let (_directory, db, rest) = begun(shop::options().model(Model::LightGcn));
    db.insert_many(rest).unwrap();
    let major = || db.compact(Compaction::Major).unwrap().wait();
    assert_eq!(major().unwrap().generation, 2);
    for _ in 0..2 {
        assert!(matches!(major(), Err(Error::NothingNew { generation: 2 })));
    }
    db.insert(3u64, 40u64).unwrap();
    assert_eq!(minor(&db).generation, 3);
    assert!(matches!(major(), Err(Error::NothingNew { generation: 3 })));
    db.insert(3u64, 41u64).unwrap();
    assert_eq!(major().unwrap().generation, 4);
}

/// Whatever a compaction learns finds too little here.
fn of_refusals() -> kithdb::Options {
    Db::options().background(false).policy(Policy::default().least_recall(1e6))
}

#[test]
fn what_finds_too_little_is_not_published_and_no_removal_waits_for_it() {
    let (directory, db, rest) = begun(shop::options());
    drop(db);
    let db = of_refusals().open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(rest).unwrap();
    for kind in [Compaction::Minor, Compaction::Major] {
        let error = db.compact(kind).unwrap().wait().unwrap_err();
        assert!(matches!(error, Error::Worse { .. }), "{error}");
        assert_eq!(db.stats().unwrap().generation.unwrap().number, 1);
    }
    let codes = scores(&db, 1);
    let gone = db.history(2u64).unwrap()[0].clone();
    assert!(db.remove(2u64, gone.item.clone()).unwrap());
    assert!(db.forget_user(5u64).unwrap());
    let outcome = minor(&db);
    let stats = db.stats().unwrap();
    assert_eq!((outcome.generation, stats.tail_changes), (2, 0));
    assert_eq!(scores(&db, 1), codes, "a user nothing came of has the code they had");
    let job = db.jobs().unwrap().pop().unwrap();
    assert!(job.found["refused"].contains("find"), "{job:?}");
    // What was refused drifted; what is published did not.
    assert!(job.found.contains_key("refused_recall_after") && !job.found.contains_key("recall_after"), "{job:?}");
    assert!(outcome.refused.is_some_and(|refused| refused.contains("find")));
    assert!(outcome.drift.is_none() && stats.generation.unwrap().drift.is_none());
    assert!(db.history(2u64).unwrap().iter().all(|x| x.item != gone.item));
    assert!(db.history(5u64).unwrap().is_empty());
    // What was learned is gone on from, once that may be published.
    drop(db);
    let db = Db::options().background(false).open(directory.path().join("shop.kith")).unwrap();
    assert_eq!(db.compact(Compaction::Major).unwrap().wait().unwrap().generation, 3);
    let new = (0..shop::USERS).filter(|user| user.is_multiple_of(40));
    assert!(of_taste(&db, new) > 0.9);
}

/// Interactions that come back and change nothing, many times as many as there are: records that no removal waits behind.
#[test]
fn a_log_that_is_long_is_folded_under_the_codes_there_are() {
    let (directory, db, rest) = begun(shop::options());
    drop(db);
    let policy = Policy::default().least_recall(1e6).fold_changes(10);
    let db = Db::options().background(false).policy(policy).open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(rest).unwrap();
    assert!(matches!(db.compact(Compaction::Minor).unwrap().wait(), Err(Error::Worse { .. })));
    for _ in 0..3 {
        db.insert_many(shop::interactions()).unwrap();
    }
    let codes = scores(&db, 1);
    assert_eq!((minor(&db).generation, db.stats().unwrap().tail_changes), (2, 0));
    assert_eq!(scores(&db, 1), codes);
}

/// As many interactions come as there are, and half as many: refused, a compaction folds what its policy would begin it again for.
#[test]
fn a_log_of_new_interactions_is_folded_as_the_policy_counts() {
    let (directory, db, rest) = begun(shop::options());
    let known = db.stats().unwrap().interactions;
    drop(db);
    let policy = Policy::default().least_recall(1e6).fold_changes(10);
    let db = Db::options().background(false).policy(policy).open(directory.path().join("shop.kith")).unwrap();
    let more = (0..5 * known / 2 - rest.len() as u64).map(|n| Interaction::new(10_000 + n / 20, n % 20));
    db.insert_many(rest.into_iter().chain(more)).unwrap();
    assert!(db.stats().unwrap().tail_changes > 2 * known);
    assert_eq!((minor(&db).generation, db.stats().unwrap().tail_changes), (2, 0));
}

/// Folding alone leaves codes as they are: that users are placed by more is no reason to leave the log as it is.
#[test]
fn what_learns_nothing_is_not_refused() {
    let (directory, db, rest) = begun(shop::options().model(Model::Mf).set("teacher.epochs", 5));
    drop(db);
    let db = of_refusals().open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(rest).unwrap();
    assert_eq!((minor(&db).generation, db.stats().unwrap().tail_changes), (2, 0));
    db.insert(3u64, 40u64).unwrap();
    db.compact(Compaction::Major).unwrap().wait().unwrap();
}

/// Nothing is to be learned of what comes, so that a policy has only the length of the log to go by.
#[test]
fn a_policy_goes_on_only_from_models_that_can_be_gone_on_from() {
    let jobs = |options: TrainOptions, begins: bool| {
        let (directory, db, rest) = begun(options);
        drop(db);
        let policy =
            Policy::default().pause(Duration::from_millis(10)).minor_changes(1).minor_share(0.0).major_share(0.0);
        let db = Db::options().policy(policy).open(directory.path().join("shop.kith")).unwrap();
        db.insert_many(rest).unwrap();
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(if begins { 60 } else { 1 }) && db.jobs().unwrap().len() < 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        db.jobs().unwrap().into_iter().map(|job| job.kind).collect::<Vec<_>>()
    };
    assert_eq!(jobs(shop::options(), true)[..2], ["train", "major"]);
    assert_eq!(jobs(shop::options().model(Model::Mf).set("teacher.epochs", 5), false), ["train"]);
}

/// Jobs of a kind that the policy has begun.
fn begun_by_itself(db: &Db, kind: &str) -> Vec<kithdb::JobRecord> {
    db.jobs().unwrap().into_iter().filter(|job| job.kind == kind && job.why != "asked for").collect()
}

#[test]
fn who_was_forgotten_leaves_the_generation_though_nothing_else_comes() {
    let (directory, db, _) = begun(shop::options());
    drop(db);
    let policy = Policy::default().pause(Duration::ZERO).minor_age(Duration::ZERO);
    let db = Db::options().policy(policy).open(directory.path().join("shop.kith")).unwrap();
    let mut news = db.watch();
    assert_eq!(news.wait_timeout(Duration::from_millis(300)), None);
    assert!(db.forget_user(5u64).unwrap());
    assert_eq!(news.wait_timeout(Duration::from_secs(60)), Some(2));
    assert_eq!(news.wait_timeout(Duration::from_millis(300)), None);
    let jobs = begun_by_itself(&db, "minor");
    assert!(jobs.len() == 1 && jobs[0].why.contains("forgotten"), "{jobs:?}");
}

/// A major one is begun though minor ones are asked for more often than there is a pause.
#[test]
fn asking_often_keeps_no_policy_from_its_own() {
    let (directory, db, rest) = begun(shop::options());
    drop(db);
    let policy = Policy::default().pause(Duration::from_millis(500)).minor_changes(1).minor_share(9.0).major_share(0.0);
    let db = Db::options().policy(policy).open(directory.path().join("shop.kith")).unwrap();
    let (mut rest, since) = (rest.into_iter().cycle(), Instant::now());
    while begun_by_itself(&db, "major").is_empty() {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", db.jobs());
        let one = rest.next().unwrap();
        db.remove(one.user.clone(), one.item.clone()).unwrap();
        db.insert_many([one]).unwrap();
        std::thread::sleep(Duration::from_millis(250));
        let outcome = db.compact(Compaction::Minor).unwrap().wait();
        assert!(outcome.is_ok() || matches!(outcome, Err(Error::NothingNew { .. })), "{outcome:?}");
    }
}

/// What was refused is learned again once interactions have come, and not for what was said of items.
#[test]
fn attributes_bring_back_nothing_that_was_refused() {
    let (directory, db, rest) = begun(shop::options());
    drop(db);
    let policy = Policy::default().pause(Duration::ZERO).minor_changes(50).minor_share(0.0).major_share(0.0);
    let db = Db::options().policy(policy.least_recall(1e6)).open(directory.path().join("shop.kith")).unwrap();
    let failed = || begun_by_itself(&db, "major").iter().filter(|job| job.ended.is_some()).count();
    let wait = |jobs: usize| {
        let since = Instant::now();
        while failed() < jobs {
            assert!(since.elapsed() < Duration::from_secs(60), "{:?}", db.jobs());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    assert!(rest.len() >= 120, "{}", rest.len());
    db.insert_many(rest[..60].to_vec()).unwrap();
    wait(1);
    for price in 0..80 {
        db.set_item(3u64, Attributes::new().set("price", price)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((failed(), begun_by_itself(&db, "minor").len()), (1, 0), "{:?}", db.jobs());
    db.insert_many(rest[60..120].to_vec()).unwrap();
    wait(2);
}

#[test]
fn a_full_compaction_may_hold_what_a_training_may() {
    let (directory, db, rest) = begun(shop::options());
    drop(db);
    let db = Db::options().background(false).memory_limit(1).open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(rest).unwrap();
    for outcome in [db.train(shop::options()).unwrap().wait(), db.compact(Compaction::Full).unwrap().wait()] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("limit"), "{error}");
    }
    assert_eq!(minor(&db).generation, 2);
}

#[test]
fn a_policy_whose_shares_say_nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let policy = Policy::default;
    for policy in [policy().least_recall(f64::NAN), policy().minor_share(-0.1), policy().patch_share(-1.0)] {
        let error = Db::options().policy(policy).open(directory.path().join("db.kith")).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    }
}

/// What is asked for at the training holds after compactions: popular items stay less recommended.
#[test]
fn compactions_keep_novelty() {
    let degrees = |db: &Db| {
        let mut degrees = std::collections::HashMap::new();
        shop::interactions().for_each(|x| *degrees.entry(x.item).or_insert(0) += 1);
        let users = (0..shop::USERS).filter(|user| !user.is_multiple_of(40));
        let hits: Vec<i32> = users
            .flat_map(|user| db.nearest(user, 5).unwrap().iter().map(|hit| degrees[&hit.id]).collect::<Vec<_>>())
            .collect();
        hits.iter().map(|&degree| f64::from(degree)).sum::<f64>() / hits.len() as f64
    };
    for kind in [Compaction::Minor, Compaction::Major, Compaction::Full] {
        let [plain, novel] = [0.0, 1.0].map(|novelty| {
            let (_directory, db, rest) = begun(shop::options().novelty(novelty));
            db.insert_many(rest).unwrap();
            db.compact(kind).unwrap().wait().unwrap();
            degrees(&db)
        });
        assert!(novel < 0.97 * plain, "{kind:?}: {novel} with novelty, {plain} without");
    }
}
