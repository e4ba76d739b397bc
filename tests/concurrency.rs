//! Threads that insert, query and train at once: nothing waits for ever, nothing is lost or counted twice.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shop;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shop::{ITEMS, USERS};

/// Ends the process if the test it guards hangs: a hung thread cannot be joined.
fn watchdog() -> impl Drop {
    struct Watchdog(std::sync::Arc<AtomicBool>);
    impl Drop for Watchdog {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let seen = done.clone();
    std::thread::spawn(move || {
        let start = Instant::now();
        while !seen.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            if start.elapsed() > Duration::from_secs(240) {
                eprintln!("hangs");
                std::process::abort();
            }
        }
    });
    Watchdog(done)
}

#[test]
fn new_items_single_queries_and_batches_do_not_wait_for_one_another() {
    let _watchdog = watchdog();
    let (_directory, db) = shop::trained();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..400u64 {
                db.insert(n % USERS, ITEMS + n % 100).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    db.nearest(3u64, 10).unwrap();
                    db.similar_users(3u64, 5).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let users: Vec<u64> = (0..USERS).collect();
            while !done.load(Ordering::Relaxed) {
                assert!(db.nearest_batch(&users, 10).iter().all(Result::is_ok));
            }
        });
    });
}

#[test]
fn publications_amid_writes_lose_and_double_nothing() {
    let _watchdog = watchdog();
    let (_directory, db) = shop::trained();
    let before = db.stats().unwrap().interactions;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let trainer = scope.spawn(|| {
            let mut trainings = 0;
            while !done.load(Ordering::Relaxed) || trainings < 2 {
                db.train(shop::options().bits(64)).unwrap().wait().unwrap();
                trainings += 1;
            }
            trainings
        });
        let writers: Vec<_> = (0..2u64)
            .map(|writer| {
                let db = &db;
                scope.spawn(move || {
                    for n in 0..500 {
                        // New users, each with three new edges of which one is taken back.
                        let user = USERS + 2 * n + writer;
                        db.insert_many((0..3u64).map(|item| (user, item))).unwrap();
                        assert!(db.remove(user, n % 3).unwrap());
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(trainer.join().unwrap() >= 2);
    });
    assert_eq!(db.stats().unwrap().interactions, before + 2 * 500 * 2);
    for user in USERS..USERS + 1000 {
        assert_eq!(db.history(user).unwrap().len(), 2, "user {user}");
    }
    // A last training leaves no tail, and the same count.
    db.train(shop::options()).unwrap().wait().unwrap();
    let stats = db.stats().unwrap();
    assert_eq!((stats.interactions, stats.tail_changes), (before + 2000, 0));
}

#[test]
fn training_may_be_waited_for_inside_a_pool_of_one_thread() {
    let _watchdog = watchdog();
    let (_directory, db) = shop::trained();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| db.train(shop::options()).unwrap().wait().unwrap());
}
