//! A database does what a naive model of it does: random scripts of every operation, compared after every step.
//!
//! A failure is told as the seed and the shortest script that still fails. A longer run is `KITHDB_DRILL_ROUNDS=200`: so many seeds, and 100
//! steps each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;
mod machine;
mod oracle;
mod step;

use std::panic::{AssertUnwindSafe, catch_unwind};

use check::Outcome;
use machine::Machine;
use step::Step;

/// Kinds of answers that scripts have to come to, for the comparison to mean something.
const KINDS: [&str; 12] = [
    "Code, scored",
    "FoldIn, scored",
    "FoldIn",
    "NotTrained",
    "NoItemCodes",
    "NoHistory",
    "NoCode",
    "NoCodeInBasket",
    "NoUserCode",
    "UnknownUser",
    "UnknownItem",
    "UnknownBasket",
];

/// Runs a script; after how many steps it failed, and how.
fn run(seed: u64, script: &[Step]) -> Result<(), (usize, String)> {
    let mut taken = 0;
    let steps = || -> Outcome {
        let mut machine = Machine::new(seed)?;
        for step in script {
            taken += 1;
            machine.take(step)?;
        }
        machine.finish()
    };
    let outcome = catch_unwind(AssertUnwindSafe(steps));
    let outcome = outcome.unwrap_or_else(|fault| {
        let text = fault.downcast_ref::<String>().cloned();
        Err(format!("panicked: {}", text.or(fault.downcast_ref::<&str>().map(|&s| s.into())).unwrap_or_default()))
    });
    outcome.map_err(|error| (taken, error))
}

/// The script without the steps it fails without.
fn shortest(seed: u64, mut script: Vec<Step>, mut error: String) -> (Vec<Step>, String) {
    let mut at = script.len();
    while at > 0 {
        at -= 1;
        let mut shorter = script.clone();
        shorter.remove(at);
        if let Err((taken, other)) = run(seed, &shorter) {
            shorter.truncate(taken);
            (script, error) = (shorter, other);
            at = at.min(script.len());
        }
    }
    (script, error)
}

#[test]
fn a_database_does_what_its_model_does() {
    let long: Option<u64> = std::env::var("KITHDB_DRILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let (seeds, steps) = long.map_or((20, 60), |rounds| (rounds, 100));
    for seed in 0..seeds {
        let script = step::script(seed, steps);
        let Err((taken, error)) = run(seed, &script) else { continue };
        println!("seed {seed} failed at step {taken}: {error}");
        let (script, error) = shortest(seed, script[..taken].to_vec(), error);
        let lines: Vec<String> = script.iter().map(|step| format!("  {step:?}")).collect();
        panic!("seed {seed} fails after these {} steps: {error}\n{}", script.len(), lines.join("\n"));
    }
    let met = check::met();
    println!("{} steps, answers compared: {met:?}", seeds * steps as u64);
    for kind in machine::ROLLBACKS {
        assert!(met.get(kind).is_some_and(|&times| times > 2), "{kind} was hardly met: {met:?}");
    }
    // Codes that cancel each other out are too rare to be asked for.
    for kind in KINDS {
        assert!(met.get(kind).is_some_and(|&times| times > 100), "{kind} was hardly met: {met:?}");
    }
}
