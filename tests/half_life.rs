//! Interactions that count less as they age.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kithdb::train::{Bipartite, train};
use kithdb::{Db, Hit, Interaction, Preset, TrainOptions};

const DAY: i64 = 86_400_000;
/// Items of each of two tastes; the second's follow the first's.
const ITEMS: u64 = 40;
/// Users of each taste, and after them those who went from the first to the second.
const USERS: u64 = 80;
const CHANGED: u64 = 30;

fn options() -> TrainOptions {
    TrainOptions::new(Preset::Balanced).bits(192).threads(2)
}

/// Two in three of each user's taste; who changed had the first a year ago, and a quarter as much of the second since.
fn interactions(timed: bool) -> Vec<Interaction> {
    let mut all = Vec::new();
    let mut push = |user: u64, item: u64, day: i64| {
        let interaction = Interaction::new(user, item);
        all.push(if timed { interaction.time(day * DAY) } else { interaction });
    };
    let mixed = |user: u64, item: u64| (user * 31 + item * 17 + user * item * 7) % 12;
    for user in 0..2 * USERS + CHANGED {
        for item in 0..ITEMS {
            let (mixed, changed) = (mixed(user, item), user >= 2 * USERS);
            if changed && mixed < 8 {
                push(user, item, 20_000);
            }
            if changed && mixed < 2 {
                push(user, item + ITEMS, 20_365);
            }
            if !changed && mixed < 8 {
                push(user, item + ITEMS * (user / USERS), 20_365);
            }
        }
    }
    all
}

/// What is recommended to everybody.
fn recommended(interactions: Vec<Interaction>, options: TrainOptions) -> Vec<Vec<Hit>> {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(interactions).unwrap();
    db.train(options).unwrap().wait().unwrap();
    (0..2 * USERS + CHANGED).map(|user| db.nearest(user, 10).unwrap().iter().cloned().collect()).collect()
}

#[test]
fn who_changed_is_known_by_what_came_last() {
    let of_second = |options| {
        let hits = recommended(interactions(true), options);
        let changed: Vec<&Hit> = hits[2 * USERS as usize..].iter().flatten().collect();
        let second = changed.iter().filter(|hit| hit.id.to_string().parse::<u64>().unwrap() >= ITEMS).count();
        second as f64 / changed.len() as f64
    };
    let (plain, decayed) =
        (of_second(options()), of_second(options().half_life(Duration::from_secs(60 * DAY as u64 / 1000))));
    assert!(decayed > plain + 0.3, "{plain} without decay, {decayed} with it");
}

#[test]
fn without_times_a_half_life_changes_nothing() {
    let day = Duration::from_secs(86_400);
    assert_eq!(recommended(interactions(false), options()), recommended(interactions(false), options().half_life(day)));
}

#[test]
fn a_graph_has_no_times_to_decay_by() {
    let graph = Bipartite::from_edges(2, 2, &[(0, 0, 1.0), (1, 1, 1.0)]).unwrap();
    let error = train(&graph, &options().half_life(Duration::from_secs(1)), &()).unwrap_err().to_string();
    assert!(error.contains("half-life") && error.contains("database"), "{error}");
}

#[test]
fn who_came_later_is_known_by_what_came_last() {
    let half_life = Duration::from_secs(60 * 86_400);
    let directory = tempfile::tempdir().unwrap();
    let db = Db::options().background(false).open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(interactions(true)).unwrap();
    db.train(options().half_life(half_life)).unwrap().wait().unwrap();
    let changed: Vec<u64> = (2 * USERS..2 * USERS + CHANGED).collect();
    let of_second = |users: &mut dyn Iterator<Item = u64>| {
        let hits: Vec<Hit> =
            users.flat_map(|user| db.nearest(user, 10).unwrap().iter().cloned().collect::<Vec<_>>()).collect();
        let second = hits.iter().filter(|hit| hit.id.to_string().parse::<u64>().unwrap() >= ITEMS).count();
        second as f64 / hits.len() as f64
    };
    let trained = of_second(&mut changed.iter().copied());
    // The same histories, of users who come after the training; and of some who had the first taste alone when it was.
    for &user in &changed {
        let history = db.history(user).unwrap();
        db.insert_many(history.iter().map(|x| Interaction::new(user + 1_000, x.item.clone()).time(x.time.unwrap())))
            .unwrap();
    }
    let late = of_second(&mut changed.iter().map(|user| user + 1_000));
    assert!(trained > 0.7 && late > trained - 0.1, "{trained} {late}");
    let first: Vec<u64> = (0..20).collect();
    let before = of_second(&mut first.iter().copied());
    for &user in &first {
        db.insert_many((0..6).map(|n| Interaction::new(user, ITEMS + (user * 7 + n * 5) % ITEMS).time(20_900 * DAY)))
            .unwrap();
    }
    let moved = of_second(&mut first.iter().copied());
    assert!(moved > before + 0.3, "{before} {moved}");
    // What is explained is what they were placed by.
    let explained = db.explain(changed[0] + 1_000, ITEMS + 1).unwrap();
    let newest = |id: &kithdb::Id| id.to_string().parse::<u64>().unwrap() >= ITEMS;
    let pull = |second: bool| {
        explained.pulls.iter().filter(|pull| newest(&pull.item) == second).map(|pull| pull.pull.abs()).sum::<f32>()
    };
    assert!(pull(true) > pull(false), "{} {}", pull(true), pull(false));
}
