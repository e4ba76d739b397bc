//! A program's work, recorded, and what it had promised at each moment of it.

use std::fs;
use std::path::Path;

use crate::facts::{Facts, Found};
use crate::process::{End, Talk, look, shim};
use crate::trace::{self, Event};

/// Where the database is, below the directory that is recorded.
pub const DATABASE: &str = "new/shop.kith";

pub struct Recording {
    pub name: String,
    trace: Vec<u8>,
}

impl Recording {
    /// Runs the program in a room whose directory `below` is recorded; `said` is what was said of it before.
    pub fn make(name: &str, room: &Path, said: &str, arguments: &[&str]) -> Recording {
        let below = room.join("below");
        let (report, file) = (room.join("report"), room.join("trace"));
        fs::write(&report, [0; 4096]).unwrap();
        let mut trace = trace::of_directory(&below, said);
        let mut talk = Talk::with(
            arguments,
            &[
                ("LD_PRELOAD", shim().to_str().unwrap()),
                ("KITHDB_FAULT_DIR", below.to_str().unwrap()),
                ("KITHDB_FAULT_REPORT", report.to_str().unwrap()),
                ("KITHDB_FAULT_TRACE", file.to_str().unwrap()),
            ],
        );
        let mut last = String::new();
        while let Some(line) = talk.next().unwrap() {
            // A query before the first training is the one thing that is refused where nothing fails.
            let refused = line.starts_with("REFUSED") || line.starts_with("ERR");
            assert!(!refused || line.contains("nothing has been trained"), "{name}: {line}");
            if line == "OPENING" {
                talk.go_on();
            }
            last = line;
        }
        assert_eq!(talk.end(false), (End::Well, String::new()), "{name}");
        assert!(last == "DONE" || last == "SOUND", "{name} ended with {last}");
        trace.extend(fs::read(&file).unwrap());
        Recording { name: name.to_owned(), trace }
    }

    /// One that was kept.
    pub fn read(name: &str, kept: &Path) -> Recording {
        let trace = fs::read(kept.join(format!("{name}.trace"))).expect("the recording was kept");
        Recording { name: name.to_owned(), trace }
    }

    pub fn keep(&self, kept: &Path) {
        fs::write(kept.join(format!("{}.trace", self.name)), &self.trace).unwrap();
    }

    pub fn events(&self) -> Vec<Event<'_>> {
        trace::parse(&self.trace)
    }

    /// What may and must be in the database after these events.
    pub fn facts(events: &[Event<'_>]) -> Facts {
        let said = said(events);
        let (mut facts, mut asked, mut base) = (Facts::default(), String::new(), None);
        // A line that was not finished was not said.
        for line in said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let lines: Option<&mut Vec<String>> = base.as_mut();
            match (word, lines) {
                (BASE, _) => base = Some(Vec::new()),
                ("SOUND", Some(lines)) => {
                    facts = Facts::all_of(&Found::of(lines));
                    base = None;
                }
                (_, Some(lines)) => lines.push(line.to_owned()),
                ("DO", _) => asked = rest.splitn(3, ' ').nth(2).unwrap().to_owned(),
                ("ACK", _) => {
                    let outcome = rest.split_once(' ').map_or("", |(_, outcome)| outcome);
                    facts.take(&std::mem::take(&mut asked), Some(outcome));
                }
                // What was asked before a look, and not answered, may or may not have happened; what the look has shown is there to stay.
                ("E", _) => {
                    facts.take(&std::mem::take(&mut asked), None);
                    let edge: Vec<&str> = rest.split(' ').take(2).collect();
                    facts.take(&format!("insert {}", edge.join(" ")), Some(""));
                }
                ("G", _) => facts.take("train", Some(rest)),
                _ => {}
            }
        }
        facts.take(&asked, None);
        facts
    }
}

/// What the program has said.
pub fn said(events: &[Event<'_>]) -> String {
    events.iter().filter_map(|event| if let Event::Said(text) = event { Some(*text) } else { None }).collect()
}

/// Word before the facts of a database that a script begins with.
const BASE: &str = "BASE";

/// What is said of a database that nobody has open and of which all is known, by a look at a copy.
pub fn known(database: &Path, spare: &Path) -> String {
    crate::files::copy(database, spare);
    let lines = look(spare).expect("a base is sound");
    fs::remove_dir_all(spare).unwrap();
    format!("{BASE}\n{}\nSOUND\n", lines.join("\n"))
}
