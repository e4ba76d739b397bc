//! What is failed under which script.

use std::fmt;

/// Kinds of calls, in the order the shim counts them.
pub const KINDS: [&str; 11] =
    ["open", "read", "write", "sync", "rename", "mkdir", "unlink", "truncate", "stat", "list", "thread"];

/// Databases that scripts begin with.
pub const BASES: [&str; 4] = ["log", "long", "trained", "killed"];

/// Scripts, each with the database it begins with; `-` is none.
const SCRIPTS: [(&str, &str); 10] = [
    ("life", "-"),
    ("read", "log"),
    ("read", "long"),
    ("read", "trained"),
    ("read", "killed"),
    ("train", "trained"),
    ("forget", "trained"),
    ("import", "killed"),
    ("bulk", "log"),
    ("still", "killed"),
];

/// Kind, error, how long, and what a failed sync does.
const FAULTS: [(&str, &str, &str, &str); 23] = [
    ("open", "EMFILE", "once", "-"),
    ("open", "EMFILE", "sticky", "-"),
    ("read", "EIO", "once", "-"),
    ("read", "EIO", "sticky", "-"),
    ("write", "EIO", "once", "-"),
    ("write", "ENOSPC", "sticky", "-"),
    ("sync", "EIO", "once", "keep"),
    ("sync", "EIO", "once", "lose"),
    ("sync", "EIO", "once", "late"),
    ("sync", "EIO", "sticky", "late"),
    ("rename", "EIO", "once", "-"),
    ("rename", "ENOSPC", "sticky", "-"),
    ("mkdir", "ENOSPC", "once", "-"),
    ("mkdir", "ENOSPC", "sticky", "-"),
    ("unlink", "EIO", "once", "-"),
    ("unlink", "EIO", "sticky", "-"),
    ("truncate", "EIO", "once", "-"),
    ("truncate", "ENOSPC", "sticky", "-"),
    ("stat", "EIO", "once", "-"),
    ("stat", "EACCES", "sticky", "-"),
    ("list", "EIO", "once", "-"),
    ("thread", "EAGAIN", "once", "-"),
    ("thread", "EAGAIN", "sticky", "-"),
];

/// A script with a kind of fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub script: String,
    pub base: String,
    pub kind: String,
    pub errno: String,
    pub mode: String,
    pub sync: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{} {} {} {}", self.script, self.base, self.kind, self.errno, self.mode, self.sync)
    }
}

impl Cell {
    fn new(script: &str, base: &str, fault: [&str; 4]) -> Cell {
        let [kind, errno, mode, sync] = fault.map(str::to_owned);
        Cell { script: script.to_owned(), base: base.to_owned(), kind, errno, mode, sync }
    }

    /// Every script, with a fault that is never to come.
    pub fn scripts() -> Vec<Cell> {
        SCRIPTS.iter().map(|(script, base)| Cell::new(script, base, ["read", "EIO", "once", "-"])).collect()
    }

    /// Every fault under this script.
    pub fn faults(&self) -> Vec<Cell> {
        let picked = std::env::var("KITHDB_DRILL_KINDS").ok();
        let is_picked = |kind: &str| picked.as_ref().is_none_or(|kinds| kinds.split(',').any(|picked| picked == kind));
        let faults = FAULTS.iter().filter(|(kind, ..)| is_picked(kind));
        faults
            .map(|&(kind, errno, mode, sync)| Cell::new(&self.script, &self.base, [kind, errno, mode, sync]))
            .collect()
    }

    /// What [`Cell`] prints, followed by a number.
    pub fn parse(text: &str) -> Option<(Cell, u64)> {
        let (place, rest) = text.split_once(' ')?;
        let [script, base, kind] = place.split('/').collect::<Vec<_>>()[..] else { return None };
        let [errno, mode, sync, n] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
        Some((Cell::new(script, base, [kind, errno, mode, sync]), n.parse().ok()?))
    }

    /// Calls of the fault's kind among the counts.
    fn calls(&self, counts: &[u64]) -> u64 {
        KINDS.iter().position(|kind| *kind == self.kind).map_or(0, |at| counts[at])
    }
}

fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// So many faults by a seed: all of the list in turn, each under a script that makes such calls.
pub fn sample(counted: &[(Cell, Vec<u64>)], rounds: usize) -> Vec<(Cell, u64)> {
    let seed = match std::env::var("KITHDB_DRILL_SEED") {
        Ok(text) => text.parse().expect("KITHDB_DRILL_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 >> 10,
    };
    println!("faults: KITHDB_DRILL_SEED={seed}");
    let mut random = (0..).map(|n| mix(seed.wrapping_mul(1 << 20).wrapping_add(n)));
    let mut next = |below: u64| random.next().unwrap() % below;
    (0..rounds)
        .map(|round| {
            let start = next(counted.len() as u64) as usize;
            let cells = (0..counted.len()).map(|at| {
                let (script, counts) = &counted[(start + at) % counted.len()];
                let faults = script.faults();
                let cell = faults[round % faults.len()].clone();
                let calls = cell.calls(counts);
                (cell, calls)
            });
            let (cell, calls) = cells.into_iter().find(|&(_, calls)| calls > 0).expect("such calls are made");
            (cell, 1 + next(calls))
        })
        .collect()
}
