//! What the drills share: a worker process to kill, and a model of what it did.
//!
//! The worker is the test binary itself, run again with one ignored test and told by the environment where to work. It prints a line for
//! everything that was acknowledged to it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../storage/tests/drill/files.rs"]
pub mod files;
#[path = "../../storage/tests/drill/strike.rs"]
pub mod strike;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kithdb::{Attributes, Db, Id, Interaction, Value};

const DATABASE: &str = "KITHDB_DRILL_DATABASE";
const SEED: &str = "KITHDB_DRILL_SEED";

/// Rounds of a drill: few by default, as many as `KITHDB_DRILL_ROUNDS` says in a long run.
pub fn rounds(default: u64) -> u64 {
    std::env::var("KITHDB_DRILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// Where the worker works and with what seed; `None` in a process that is no worker.
pub fn worker() -> Option<(PathBuf, u64)> {
    Some((std::env::var_os(DATABASE)?.into(), std::env::var(SEED).ok()?.parse().ok()?))
}

/// Runs the ignored test `worker` in a process of its own, kills it with SIGKILL after `delay` from its first line (or lets it end), and
/// returns the lines it printed.
pub fn run_and_kill(worker: &str, database: &Path, seed: u64, delay: Option<Duration>) -> Vec<String> {
    run_and_kill_after(worker, database, seed, delay, |_| true)
}

/// [`run_and_kill`], with the delay counted from the first line that is `awaited`. Of the lines read the last is what the worker said last.
pub fn run_and_kill_after(
    worker: &str,
    database: &Path,
    seed: u64,
    delay: Option<Duration>,
    awaited: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", worker, "--ignored", "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    // The harness prints a line of its own before the worker's first.
    for line in lines.by_ref() {
        let line = line.unwrap();
        if let Some(at) = line.find("ack ") {
            acknowledged.push(line[at..].to_owned());
            if awaited(&line[at..]) {
                break;
            }
        }
    }
    let killer = std::thread::spawn(move || {
        if let Some(delay) = delay {
            std::thread::sleep(delay);
            child.kill().unwrap();
        }
        child.wait_with_output().unwrap()
    });
    acknowledged.extend(lines.map_while(Result::ok).filter(|line| line.starts_with("ack ")));
    let output = killer.join().unwrap();
    if delay.is_some() {
        assert_eq!(output.status.signal(), Some(9), "the worker ended before it could be killed");
    }
    if delay.is_none() {
        assert!(output.status.success(), "the worker failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!acknowledged.is_empty(), "the worker said nothing: {}", String::from_utf8_lossy(&output.stderr));
    acknowledged
}

/// A number that depends on its arguments alone.
pub fn mix(seed: u64, n: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ n.wrapping_add(0x1234_5678_9abc_def1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// One step of a worker's script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Insert {
        user: u64,
        item: u64,
        weight: f32,
        time: Option<i64>,
    },
    Remove {
        user: u64,
        item: u64,
    },
    Forget {
        user: u64,
    },
    /// Of an item, or of a user.
    Price {
        item: Option<u64>,
        user: u64,
        price: u16,
    },
}

/// Step `n` of the script of `seed`: mostly inserts, with removals of what may be there, over few enough users that steps collide.
pub fn step(seed: u64, n: u64) -> Step {
    let x = mix(seed, n);
    let (user, item) = (x % 23, (x >> 8) % 41);
    match (x >> 16) % 16 {
        0..=2 => Step::Remove { user, item },
        3 if (x >> 20).is_multiple_of(8) => Step::Forget { user },
        4 | 5 => Step::Price { item: (x >> 20).is_multiple_of(2).then_some(item), user, price: (x >> 24) as u16 },
        _ => Step::Insert {
            user,
            item,
            weight: 1.0 + ((x >> 24) % 3) as f32,
            time: (x >> 32).is_multiple_of(2).then_some((x >> 40) as i64),
        },
    }
}

/// Performs a step and returns when it is acknowledged.
pub fn perform(db: &Db, step: Step) -> kithdb::Result<()> {
    match step {
        Step::Insert { .. } => db.insert_interaction(interaction(step).unwrap()),
        Step::Remove { user, item } => db.remove(user, item).map(drop),
        Step::Forget { user } => db.forget_user(user).map(drop),
        Step::Price { item, user, price } => {
            let price = Attributes::new().set("price", price);
            match item {
                Some(item) => db.set_item(item, price),
                None => db.set_user(user, price),
            }
        }
    }
}

/// The interaction of an insert.
pub fn interaction(step: Step) -> Option<Interaction> {
    match step {
        Step::Insert { user, item, weight, time } => {
            let interaction = Interaction::new(user, item).weight(weight);
            Some(time.map_or(interaction.clone(), |time| interaction.time(time)))
        }
        _ => None,
    }
}

/// What a database holds: its edges with weight and time, and prices as edges of nobody with items, and of users with nothing.
pub type Edges = BTreeMap<(Id, Id), (u32, Option<i64>)>;

/// The edges after the first `steps` steps of a script, the naive way.
pub fn expected(seed: u64, steps: u64) -> Edges {
    let mut edges = Edges::new();
    for n in 0..steps {
        apply(&mut edges, step(seed, n));
    }
    edges
}

/// Applies a step to the model.
pub fn apply(edges: &mut Edges, step: Step) {
    match step {
        Step::Insert { user, item, weight, time } => {
            edges.insert((user.into(), item.into()), (weight.to_bits(), time));
        }
        Step::Remove { user, item } => {
            edges.remove(&(user.into(), item.into()));
        }
        Step::Forget { user } => edges.retain(|(u, _), _| *u != Id::from(user)),
        Step::Price { item, user, price } => {
            let named = item.map_or((user.into(), Id::from("price")), |item| (Id::from("price"), item.into()));
            edges.insert(named, (f32::from(price).to_bits(), None));
        }
    }
}

/// The edges a database holds.
pub fn stored(db: &Db) -> Edges {
    let mut edges = Edges::new();
    let price = |said: Option<Attributes>| match said?.get("price") {
        Some(Value::Number(price)) => Some(((*price as f32).to_bits(), None)),
        _ => None,
    };
    for item in db.items() {
        if let Some(price) = price(db.item(&item).unwrap()) {
            edges.insert((Id::from("price"), item), price);
        }
    }
    for user in db.users() {
        if let Some(price) = price(db.user(&user).unwrap()) {
            edges.insert((user.clone(), Id::from("price")), price);
        }
        for edge in db.history(&user).unwrap() {
            edges.insert((edge.user, edge.item), (edge.weight.to_bits(), edge.time));
        }
    }
    edges
}
