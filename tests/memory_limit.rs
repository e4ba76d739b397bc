//! A training holds no more than it may.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use kithdb::train::{Bipartite, train};
use kithdb::{Model, Preset, TrainOptions};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const USERS: u64 = 12_000;
const ITEMS: u64 = 10_000;
const INTERACTIONS: usize = 200_000;

/// The most bytes this process ever had in memory.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Users of fifty tastes and items that are popular by the square of a uniform number.
fn graph() -> Bipartite {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut below = |n: u64| ((random.next_u64() >> 32) * n) >> 32;
    let edges: Vec<(u32, u32, f32)> = (0..INTERACTIONS)
        .map(|_| {
            let (user, own) = (below(USERS), below(ITEMS / 50));
            let item = (own * below(ITEMS / 50) / (ITEMS / 50)) * 50 + user % 50;
            (user as u32, item as u32, 1.0)
        })
        .collect();
    Bipartite::from_edges(USERS as usize, ITEMS as usize, &edges).unwrap()
}

/// A training whose limit is what it is estimated to hold stays below it, as the whole process does; half of that, and it is refused before it holds
/// anything. In the order of what they hold: the most is of the whole process.
#[test]
fn a_training_stays_below_its_limit() {
    let graph = graph();
    let recipe = |preset| TrainOptions::new(preset).bits(256).set("teacher.factors", 128);
    let model = |model, bits, of_student| {
        let options = TrainOptions::new(Preset::Fast).model(model).bits(bits).set("teacher.factors", 128);
        options.set("teacher.epochs", 1).set(of_student, 1)
    };
    for options in [
        recipe(Preset::Fast),
        recipe(Preset::Balanced),
        model(Model::PinSage, 256, "student.sweeps"),
        model(Model::Ngcf, 256, "student.sweeps"),
        model(Model::BigearPlus, 384, "student.epochs"),
    ] {
        let options = options.threads(2);
        let estimate = options.estimate(USERS, ITEMS, graph.n_edges() as u64).unwrap().bytes;
        let before = peak();
        let error = train(&graph, &options.clone().memory_limit(estimate / 2), &()).unwrap_err().to_string();
        assert!(error.contains("limit") && peak() < before + (8 << 20), "{error}");
        train(&graph, &options.clone().memory_limit(estimate), &()).unwrap();
        eprintln!("{} MB held at most, {} allowed", peak() / 1_000_000, estimate / 1_000_000);
        assert!(peak() < estimate, "{options:?}: {} of {estimate} bytes", peak());
        assert!(peak() > estimate / 4, "{options:?}: an estimate of {estimate} says little, of {}", peak());
    }
}
