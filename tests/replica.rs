//! Snapshots as folders: they answer as the database did, hold nothing of who was forgotten, refuse damage, and are read by processes that go on to the next one.
//!
//! `KITHDB_DRILL_ROUNDS=40 cargo test --release --test replica -- --nocapture` is the long run, of ten processes and 40 publications.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod shop;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kithdb::{Compaction, Db, Error, Hits, Id, Replica, Snapshot, SnapshotOptions};
use proptest::prelude::*;
use shop::{ITEMS, USERS};
use xxhash_rust::xxh3::xxh3_128;

/// Ids and score bits of a list, or why there is none.
fn told(hits: Result<Hits, Error>) -> Result<Vec<(Id, u32)>, String> {
    hits.map(|hits| hits.into_iter().map(|hit| (hit.id, hit.score.to_bits())).collect()).map_err(|e| e.to_string())
}

/// All that a moment answers: to every user, of every item.
fn everything(moment: &Snapshot) -> impl PartialEq + std::fmt::Debug + use<> {
    let users = moment.users();
    let lists: Vec<_> = moment.query().k(15).or_popular().run_for(&users).into_iter().map(told).collect();
    let coarse: Vec<_> = moment.query().k(15).query_bits(1).run_for(&users).into_iter().map(told).collect();
    let histories: Vec<_> = users
        .iter()
        .map(|user| {
            let mut history = moment.history(user.clone()).unwrap();
            history.sort_by(|a, b| a.item.cmp(&b.item));
            history
        })
        .collect();
    let similar: Vec<_> = moment.items().into_iter().map(|item| told(moment.similar_items(item, 5))).collect();
    let near: Vec<_> = users.iter().take(20).map(|user| told(moment.similar_users(user.clone(), 5))).collect();
    let why = moment.explain(users[0].clone(), moment.items()[0].clone()).map_err(|e| e.to_string());
    let known = (moment.items(), moment.retired_items(), moment.last_sequence(), moment.generation());
    ((lists, coarse, histories), (similar, near, why), (users, known))
}

/// The folder that a place's pointer names.
fn newest(place: &Path) -> PathBuf {
    place.join(fs::read_to_string(place.join("SNAPSHOT")).unwrap().trim_end())
}

fn write(db: &Db, place: &Path) -> PathBuf {
    db.snapshot_to(place, &SnapshotOptions::new()).unwrap();
    newest(place)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    Remove(u64, u64),
    Retire(u64),
    Unretire(u64),
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    // Some users and items are new, so that what came later is among them.
    let (user, item) = (0..USERS + 30, 0..ITEMS + 20);
    prop_oneof![
        12 => (user.clone(), item.clone()).prop_map(|(user, item)| Step::Insert(user, item)),
        4 => (user, item.clone()).prop_map(|(user, item)| Step::Remove(user, item)),
        2 => item.clone().prop_map(Step::Retire),
        1 => item.prop_map(Step::Unretire),
        1 => Just(Step::Compact),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_answers_as_the_database_did_bit_for_bit(steps in prop::collection::vec(step(), 0..120)) {
        let (directory, db) = shop::trained();
        for step in steps {
            match step {
                Step::Insert(user, item) => db.insert(user, item).unwrap(),
                Step::Remove(user, item) => drop(db.remove(user, item).unwrap()),
                Step::Retire(item) => drop(db.retire_item(item).unwrap()),
                Step::Unretire(item) => drop(db.unretire_item(item).unwrap()),
                Step::Compact => drop(db.compact(Compaction::Minor).unwrap().wait()),
            }
        }
        let place = directory.path().join("place");
        let folder = write(&db, &place);
        let expected = everything(&db.snapshot());
        prop_assert_eq!(&everything(&Db::open_snapshot(&place).unwrap()), &expected);
        prop_assert_eq!(&everything(&Db::open_snapshot(&folder).unwrap()), &expected);
        // What comes later does not show.
        db.insert(1u64, 7_777u64).unwrap();
        prop_assert_eq!(&everything(&Db::open_snapshot(&place).unwrap()), &expected);
    }
}

#[test]
fn weights_times_and_kinds_of_ids_go_along() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::options().repeats(kithdb::Repeats::Sum).open(directory.path().join("db")).unwrap();
    let name = |x: &kithdb::Interaction| {
        kithdb::Interaction::new(format!("user {}", x.user), Vec::from(format!("item {}", x.item))).weight(1.5).time(9)
    };
    db.insert_many(shop::interactions().map(|x| name(&x))).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    db.insert_many(shop::interactions().take(50).map(|x| name(&x).weight(0.25).time(11))).unwrap();
    let place = directory.path().join("place");
    write(&db, &place);
    let snapshot = Db::open_snapshot(&place).unwrap();
    assert_eq!(everything(&snapshot), everything(&db.snapshot()));
    assert_eq!(snapshot.history("user 0").unwrap()[0].weight, 1.75);
}

#[test]
fn imported_vectors_are_asked_by_vectors() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db")).unwrap();
    let values = |n: usize| (0..n * 12).map(|at| ((at * 7919) % 101) as f32 - 50.0).collect::<Vec<f32>>();
    let embeddings = kithdb::Embeddings {
        items: kithdb::Vectors::new(values(200), 1, 12).unwrap(),
        item_ids: kithdb::RowIds::RowNumbers,
        users: Some(kithdb::Vectors::new(values(30), 1, 12).unwrap()),
        user_ids: kithdb::RowIds::RowNumbers,
    };
    db.import_embeddings(embeddings, &kithdb::EncodeOptions::new(kithdb::Metric::Cosine).bits(256)).unwrap();
    let place = directory.path().join("place");
    write(&db, &place);
    let snapshot = Db::open_snapshot(&place).unwrap();
    for row in values(20).chunks_exact(12) {
        assert_eq!(told(snapshot.query().vector(row).k(9).run()), told(db.query().vector(row).k(9).run()));
    }
    assert_eq!(everything(&snapshot), everything(&db.snapshot()));
}

#[test]
fn who_was_forgotten_is_in_no_file_and_interactions_only_where_they_are_wanted() {
    const SECRET: &str = "a-name-that-nobody-may-find-again";
    let directory = tempfile::tempdir().unwrap();
    let db = Db::options().background(false).open(directory.path().join("db")).unwrap();
    let named = |x: kithdb::Interaction| (format!("user {}", x.user), format!("item {}", x.item));
    db.insert_many(shop::interactions().map(named)).unwrap();
    db.insert_many((0..12).map(|item| (SECRET.to_owned(), format!("item {item}")))).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    let holds = |folder: &Path| {
        let has = |bytes: Vec<u8>| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        fs::read_dir(folder).unwrap().any(|entry| has(fs::read(entry.unwrap().path()).unwrap()))
    };
    let place = directory.path().join("place");
    let before = write(&db, &place);
    assert!(holds(&before));
    let gone = Db::open_snapshot(&before).unwrap();
    assert_eq!(gone.history(SECRET).unwrap().len(), 12);
    db.forget_user(SECRET).unwrap();
    let after = write(&db, &place);
    assert!(!holds(&after));
    let snapshot = Db::open_snapshot(&place).unwrap();
    assert!(matches!(snapshot.nearest(SECRET, 3), Err(Error::UnknownUser { .. })));
    let lists = |moment: &Snapshot| {
        moment.nearest_batch(&moment.users(), 15).into_iter().map(|hits| told(hits).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(lists(&snapshot), lists(&db.snapshot()));
    assert_eq!(snapshot.users(), db.users());
    // Their row has neither code nor items any more, whatever it is called.
    let rows = |folder: &Path, part: &str| {
        let bytes = fs::read(folder.join(format!("{part}.lengths"))).unwrap();
        *bytemuck::cast_slice::<u8, u32>(&bytes).last().unwrap()
    };
    for part in ["users.ids", "users.words", "users.scalers", "postings.items"] {
        assert!(rows(&before, part) > 0 && rows(&after, part) == 0, "{part}");
    }

    db.insert("user 3", "item 999").unwrap();
    let bare = directory.path().join("bare");
    db.snapshot_to(&bare, &SnapshotOptions::new().interactions(false)).unwrap();
    let bare = Db::open_snapshot(&bare).unwrap();
    assert!(bare.users().iter().all(|user| bare.history(user.clone()).unwrap().is_empty()));
    // The new item has a code by those who have it, which nothing tells here.
    let codes = |moment: &Snapshot| {
        let new = moment.item_set(["item 999"]).unwrap();
        told(moment.query().user("user 9").k(ITEMS as usize).include_seen().deny(&new).run()).unwrap()
    };
    assert_eq!(codes(&bare), codes(&db.snapshot()));
    assert_eq!(bare.nearest("user 9", ITEMS as usize).unwrap().len(), ITEMS as usize);
}

/// Puts the right hash under a manifest that was changed.
fn sealed(body: &str) -> String {
    format!("{body}hash {:032x}\n", xxh3_128(body.as_bytes()))
}

fn body(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("MANIFEST")).unwrap();
    text[..=text.trim_end().rfind('\n').unwrap()].to_owned()
}

#[test]
fn what_is_not_whole_is_made_again_and_what_was_broken_off_is_removed() {
    let (directory, db) = shop::trained();
    let place = directory.path().join("place");
    let folder = write(&db, &place);
    let part = folder.join("items.words");
    let whole = fs::read(&part).unwrap();
    let damages: [&dyn Fn(); 3] =
        [&|| fs::write(&part, &whole[8..]).unwrap(), &|| fs::remove_file(folder.join("MANIFEST")).unwrap(), &|| {
            fs::remove_file(&part).unwrap()
        }];
    for damage in damages {
        damage();
        assert!(Db::open_snapshot(&place).is_err());
        for left in ["moment-.tmp", "moment-0000000009-0123456789abcdef"] {
            fs::create_dir(place.join(left)).unwrap();
            fs::write(place.join(left).join("part"), "left by a call that was broken off").unwrap();
        }
        let outcome = db.snapshot_to(&place, &SnapshotOptions::new().keep(1)).unwrap();
        assert!(!outcome.repeated && place.join(outcome.name) == folder);
        assert_eq!(everything(&Db::open_snapshot(&place).unwrap()), everything(&db.snapshot()));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 3);
    }
}

#[test]
fn calls_at_a_time_leave_a_place_that_opens() {
    let (directory, db) = shop::trained();
    let place = directory.path().join("place");
    for round in 0..5u64 {
        std::thread::scope(|threads| {
            for thread in 0..4u64 {
                let (db, place) = (&db, &place);
                threads.spawn(move || {
                    db.insert(thread, 700 + round).unwrap();
                    db.snapshot_to(place, &SnapshotOptions::new().keep(1)).unwrap();
                });
            }
        });
        assert_eq!(everything(&Db::open_snapshot(&place).unwrap()), everything(&db.snapshot()));
    }
}

#[test]
fn a_layout_nobody_knows_is_rebuilt_in_private() {
    let (directory, db) = shop::trained();
    let place = directory.path().canonicalize().unwrap().join("place");
    let folder = write(&db, &place);
    let mapped = || fs::read_to_string("/proc/self/maps").unwrap().contains(folder.to_str().unwrap());
    assert!(!mapped());
    let shared = Db::open_snapshot(&folder).unwrap();
    assert!(mapped());
    drop(shared);
    assert!(!mapped());
    let other = body(&folder).replace("attribute snapshot.layout ", "attribute snapshot.layout of-later-");
    fs::write(folder.join("MANIFEST"), sealed(&other)).unwrap();
    for name in ["shared.items.words", "shared.users.words"] {
        fs::write(folder.join(name), b"nobody knows what this is").unwrap();
    }
    let private = Db::open_snapshot(&folder).unwrap();
    assert!(!mapped());
    assert_eq!(everything(&private), everything(&db.snapshot()));
    let newer = body(&folder).replacen("kithdb snapshot 1", "kithdb snapshot 2", 1);
    fs::write(folder.join("MANIFEST"), sealed(&newer)).unwrap();
    let error = Db::open_snapshot(&folder).unwrap_err().to_string();
    assert!(error.contains("upgrade"), "{error}");
}

#[test]
fn damage_is_an_error_that_names_it_and_never_another_answer() {
    let (directory, db) = shop::trained();
    db.insert_many((0..30u64).map(|user| (user, 900u64))).unwrap();
    let folder = write(&db, &directory.path().join("place"));
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 20);
    let (mut state, mut told) = (7u64, BTreeMap::new());
    for path in names {
        let good = fs::read(&path).unwrap();
        for round in 0..6 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bad = good.clone();
            match round {
                0 => bad.truncate(bad.len() / 2),
                1 => bad.extend([0; 64]),
                2 => fs::remove_file(&path).unwrap(),
                _ if bad.is_empty() => bad.push(1),
                _ => {
                    let at = (state >> 33) as usize % bad.len();
                    bad[at] ^= 1 << (state >> 20 & 7);
                }
            }
            if round != 2 && bad != good {
                fs::write(&path, &bad).unwrap();
            } else if round != 2 {
                continue;
            }
            let error = Db::open_snapshot(&folder).err().unwrap_or_else(|| panic!("{} {round}", path.display()));
            *told.entry(error.is_damage()).or_insert(0) += 1;
            fs::write(&path, &good).unwrap();
        }
    }
    assert!(told[&true] > 80, "{told:?}");
    assert_eq!(everything(&Db::open_snapshot(&folder).unwrap()), everything(&db.snapshot()));
}

#[test]
fn what_cannot_be_removed_keeps_nobody_from_the_next_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db")).unwrap();
    db.insert_many(shop::interactions()).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    let place = directory.path().join("one/of/several/places");
    let first = db.snapshot_to(&place, &SnapshotOptions::new().keep(1)).unwrap();
    assert_eq!(first.not_removed, None);
    // Called as a folder of a moment is, and none.
    fs::write(place.join("moment-0000000000-0123456789abcdef"), "").unwrap();
    for item in 900..903u64 {
        db.insert(1u64, item).unwrap();
        let next = db.snapshot_to(&place, &SnapshotOptions::new().keep(1)).unwrap();
        assert!(next.not_removed.unwrap().contains("moment-0000000000-0123456789abcdef"));
        assert_eq!(fs::read_to_string(place.join("SNAPSHOT")).unwrap(), format!("{}\n", next.name));
        assert!(Db::open_snapshot(&place).unwrap().history(1u64).unwrap().iter().any(|row| row.item == item.into()));
    }
    assert!(!place.join(first.name).exists());
}

#[test]
fn a_place_holds_snapshots_alone_and_the_last_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("db")).unwrap();
    let place = directory.path().join("place");
    assert!(matches!(db.snapshot_to(&place, &SnapshotOptions::new()), Err(Error::NotTrained)));
    db.insert_many(shop::interactions()).unwrap();
    db.train(shop::options()).unwrap().wait().unwrap();
    let error = db.snapshot_to(directory.path(), &SnapshotOptions::new()).unwrap_err().to_string();
    assert!(error.contains("of no snapshot"), "{error}");
    for missing in [directory.path().join("none"), directory.path().join("db")] {
        assert!(matches!(Db::open_snapshot(&missing), Err(Error::InvalidArgument { .. })));
    }
    let first = db.snapshot_to(&place, &SnapshotOptions::new()).unwrap();
    let again = db.snapshot_to(&place, &SnapshotOptions::new()).unwrap();
    assert_eq!((&again.hash, &again.name, first.repeated, again.repeated), (&first.hash, &first.name, false, true));
    let mut names = vec![first.name];
    for round in 0..5u64 {
        db.insert(round, 800 + round).unwrap();
        names.push(db.snapshot_to(&place, &SnapshotOptions::new().keep(3)).unwrap().name);
    }
    let mut left: Vec<_> =
        fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    let mut expected: Vec<_> =
        names[3..].iter().cloned().chain(["SNAPSHOT", "SNAPSHOT.lock"].map(str::to_owned)).collect();
    expected.sort();
    assert_eq!(left, expected);
    for (pointer, says) in [("../db\n", "no folder beside it"), ("\n", "no folder beside it"), ("moment-9\n", "cannot")]
    {
        fs::write(place.join("SNAPSHOT"), pointer).unwrap();
        let error = Db::open_snapshot(&place).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_replica_goes_on_to_the_newest_and_what_is_held_stays() {
    let (directory, db) = shop::trained();
    let place = directory.path().join("place");
    write(&db, &place);
    let replica = Replica::open(&place).unwrap();
    assert!(!replica.refresh().unwrap());
    let held = replica.snapshot();
    let before = everything(&held);
    db.insert(5u64, 6_000u64).unwrap();
    // Its folder goes away under it: two others follow.
    write(&db, &place);
    db.insert(5u64, 6_001u64).unwrap();
    write(&db, &place);
    assert!(replica.refresh().unwrap() && !replica.refresh().unwrap());
    assert_eq!(everything(&replica.snapshot()), everything(&db.snapshot()));
    assert_eq!(everything(&held), before);

    let replica = replica.follow(Duration::from_millis(5)).unwrap();
    fs::write(place.join("SNAPSHOT"), "moment-of-nothing\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while replica.fault().is_none() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(everything(&replica.snapshot()), everything(&db.snapshot()));
    db.insert(5u64, 6_002u64).unwrap();
    write(&db, &place);
    while replica.snapshot().last_sequence() != db.snapshot().last_sequence() || replica.fault().is_some() {
        assert!(Instant::now() < deadline, "{:?}", replica.fault());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(everything(&replica.snapshot()), everything(&db.snapshot()));
}

/// The variable by which a process learns that it is a reader, and of which place.
const PLACE: &str = "KITHDB_TEST_REPLICA";

/// No test, but what the readers of the next one run: says each moment it comes to, and asks it all the time.
#[test]
fn reader() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let replica = Replica::open(place).unwrap().follow(Duration::from_millis(50)).unwrap();
    let users: Vec<u64> = (0..USERS).collect();
    let mut seen = None;
    loop {
        let moment = replica.snapshot();
        let lists: Vec<_> = moment.nearest_batch(&users, 10).into_iter().map(|hits| told(hits).unwrap()).collect();
        assert!(lists.iter().all(|list| list.len() == 10));
        if let Some(fault) = replica.fault() {
            println!("\nfault {fault}");
        }
        if seen != Some(moment.last_sequence()) {
            seen = Some(moment.last_sequence());
            println!("\nreached {} {:032x}", moment.last_sequence(), xxh3_128(format!("{lists:?}").as_bytes()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that reads, ended with the value.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Reader {
    fn start(number: usize, place: &Path, news: mpsc::Sender<(usize, String)>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["reader", "--exact", "--nocapture", "--test-threads=1"])
            .env(PLACE, place)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| news.send((number, line))));
        Self(child)
    }

    /// Of what it has mapped of snapshots: all that is in memory, its share of that, and what is its own.
    fn mapped(&self) -> [u64; 3] {
        let (mut sums, mut inside) = ([0; 3], false);
        for line in fs::read_to_string(format!("/proc/{}/smaps", self.0.id())).unwrap().lines() {
            if line.split(' ').next().is_some_and(|field| field.contains('-')) {
                inside = line.contains("shared.");
            }
            for (sum, name) in sums.iter_mut().zip(["Rss:", "Pss:", "Private_Dirty:"]) {
                if inside && line.starts_with(name) {
                    *sum += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
                }
            }
        }
        sums
    }
}

#[test]
fn processes_read_one_memory_while_the_owner_goes_on() {
    let rounds: Option<usize> = std::env::var("KITHDB_DRILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let (readers, rounds) = rounds.map_or((3, 3), |rounds| (10, rounds));
    let (directory, db) = shop::trained();
    let place = directory.path().join("place");
    write(&db, &place);
    let (sender, news) = mpsc::channel();
    let processes: Vec<_> = (0..readers).map(|number| Reader::start(number, &place, sender.clone())).collect();
    let users: Vec<u64> = (0..USERS).collect();
    let mut slowest = Duration::ZERO;
    for round in 0..=rounds as u64 {
        if round > 0 {
            db.insert_many((0..40u64).map(|n| ((n * 7 + round) % USERS, 700 + n % 9))).unwrap();
            if round % 2 == 0 {
                db.compact(Compaction::Minor).unwrap().wait().unwrap();
            }
            write(&db, &place);
        }
        let moment = db.snapshot();
        let lists: Vec<_> = moment.nearest_batch(&users, 10).into_iter().map(|hits| told(hits).unwrap()).collect();
        let hash = xxh3_128(format!("{lists:?}").as_bytes());
        let expected = format!("reached {} {hash:032x}", moment.last_sequence());
        let start = Instant::now();
        let mut behind: Vec<usize> = (0..readers).collect();
        while !behind.is_empty() {
            let (number, line) = news.recv_timeout(Duration::from_secs(60)).expect("a reader stays behind");
            assert!(!line.starts_with("fault") && !line.contains("panicked"), "{line}");
            if line == expected {
                behind.retain(|other| *other != number);
            }
        }
        if round > 0 {
            slowest = slowest.max(start.elapsed());
        }
    }
    for process in &processes {
        let [resident, share, own] = process.mapped();
        assert!(resident > 0 && own == 0, "{resident} kB mapped, {own} of them its own");
        // As many processes share every page: each counts for a part of it.
        assert!(share * 2 <= resident, "{share} of {resident} kB with {readers} readers");
    }
    println!("{readers} readers, {rounds} publications: the last reader had each within {slowest:?}");
}
