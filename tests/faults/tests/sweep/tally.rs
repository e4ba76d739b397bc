//! Rounds counted, printed as a table, and written down.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Mutex;

use crate::cell::Cell;
use crate::round::{Outcome, PROBLEMS};

#[derive(Default)]
struct Row {
    rounds: u64,
    fired: u64,
    problems: [u64; PROBLEMS.len()],
}

#[derive(Default)]
struct Inner {
    rows: BTreeMap<String, Row>,
    /// Rounds known from a log: whether they fired.
    known: BTreeMap<String, bool>,
    failures: u64,
}

pub struct Tally {
    log: Option<String>,
    inner: Mutex<Inner>,
}

impl Inner {
    fn count(&mut self, cell: &Cell, fired: bool, problems: &[String]) {
        let row =
            self.rows.entry(format!("{:<9}{:<8}{:<7}{:<5}", cell.kind, cell.errno, cell.mode, cell.sync)).or_default();
        row.rounds += 1;
        row.fired += u64::from(fired);
        for (at, (_, name)) in PROBLEMS.iter().enumerate() {
            row.problems[at] += u64::from(problems.iter().any(|problem| problem == name));
        }
        self.failures += u64::from(!problems.is_empty());
    }
}

impl Tally {
    pub fn begin() -> Tally {
        let log = std::env::var("KITHDB_DRILL_LOG").ok();
        let mut inner = Inner::default();
        let text = log.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            let [name, fired, problems, ..] = words[..] else { continue };
            let Some((cell, _)) = Cell::parse(name) else { continue };
            let problems: Vec<String> = problems.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
            inner.known.insert(name.to_owned(), fired == "1");
            inner.count(&cell, fired == "1", &problems);
        }
        Tally { log, inner: Mutex::new(inner) }
    }

    /// Whether a round of an earlier run fired.
    pub fn known(&self, cell: &Cell, n: u64) -> Option<bool> {
        self.inner.lock().unwrap().known.get(&format!("{cell} {n}")).copied()
    }

    /// Counts a round; whether its fault fired.
    pub fn note(&self, cell: &Cell, n: u64, outcome: Outcome) -> bool {
        let mut inner = self.inner.lock().unwrap();
        let fired = outcome.fired > 0;
        let mut problems: Vec<String> = Vec::new();
        for (problem, what) in &outcome.problems {
            let name = PROBLEMS.iter().find(|(known, _)| known == problem).map_or("", |(_, name)| name);
            println!("{cell} {n}, {} ({name}): {what}", outcome.place);
            if !problems.iter().any(|known| known == name) {
                problems.push(name.to_owned());
            }
        }
        inner.count(cell, fired, &problems);
        if let Some(path) = &self.log {
            let line = format!("{cell} {n}\t{}\t{}\t{}\n", u8::from(fired), problems.join(","), outcome.place);
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        fired
    }

    /// Prints the table; fails if anything in it is not zero, or a kind never fired.
    pub fn end(self) {
        let inner = self.inner.into_inner().unwrap();
        let head: String = PROBLEMS.iter().map(|(_, name)| format!("{name:>8}")).collect();
        println!("{:<29}{:>7}{:>7}{head}", "fault", "rounds", "fired");
        let mut total = Row::default();
        for (name, row) in &inner.rows {
            let problems: String = row.problems.iter().map(|count| format!("{count:>8}")).collect();
            println!("{name:<29}{:>7}{:>7}{problems}", row.rounds, row.fired);
            total.rounds += row.rounds;
            total.fired += row.fired;
            total.problems.iter_mut().zip(row.problems).for_each(|(sum, count)| *sum += count);
        }
        let problems: String = total.problems.iter().map(|count| format!("{count:>8}")).collect();
        println!("{:<29}{:>7}{:>7}{problems}", "all", total.rounds, total.fired);
        for (name, row) in &inner.rows {
            assert!(row.fired > 0, "no fault of {name} fired");
        }
        assert_eq!(inner.failures, 0, "rounds of {} ended badly", total.rounds);
    }
}
