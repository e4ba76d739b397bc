//! A process that trains again and again does not grow. `KITHDB_DRILL_ROUNDS=40` makes it the long drill, of 100,000 interactions.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kithdb::{Db, Interaction, Preset, TrainOptions};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// MiB of this process that are in memory.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
fn memory_is_level_after_the_third_training() {
    let rounds: Option<usize> = std::env::var("KITHDB_DRILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let (rounds, interactions) = (rounds.unwrap_or(8).max(4), if rounds.is_some() { 100_000 } else { 20_000 });
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut draw = |count: usize| -> Vec<Interaction> {
        let users = interactions as u64 / 25;
        // The square of a uniform number: some items are much more popular than others.
        let item = |random: u64| {
            let share = ((random >> 40) * (random >> 40)) >> 24;
            (share * (users / 2)) >> 24
        };
        (0..count).map(|_| Interaction::new(random.next_u64() % users, item(random.next_u64()))).collect()
    };
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(directory.path().join("shop.kith")).unwrap();
    db.insert_many(draw(interactions)).unwrap();
    let mut round = 0;
    let mut train = || {
        round += 1;
        db.insert_many(draw(interactions / 200)).unwrap();
        db.train(TrainOptions::new(Preset::Fast).seed(round)).unwrap().wait().unwrap();
        let users: Vec<u64> = (0..500).collect();
        assert!(db.nearest_batch(&users, 10).into_iter().filter(Result::is_ok).count() > 400);
        resident()
    };
    let mut seen = vec![resident()];
    seen.extend((0..rounds).map(|_| train()));
    eprintln!("MiB resident before and after each of {rounds} trainings: {seen:.0?}");
    // Readings go up and down by a fifth, with what the allocator's arenas happen to hold: what grows is not back below the bound after as many
    // trainings again, what is level is.
    let bound = 1.3 * seen[3];
    while *seen.last().unwrap() > bound {
        assert!(seen.len() <= 2 * rounds, "{seen:.0?}, and no more than {bound:.0} expected");
        seen.push(train());
    }
}
