//! One round: a script with one fault, and the judgement of what it left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cell::{Cell, KINDS};
use crate::facts::{Facts, Found};
use crate::files::{Files, changed, copy, read};
use crate::process::{End, Talk, look, shim};

/// What must not be, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Something acknowledged is not there, or something taken back is.
    Lost,
    /// A write was acknowledged by a handle whose log had failed.
    Acknowledged,
    /// Two looks differ, or what was shown is not there.
    Resurrected,
    Panicked,
    Hung,
    Died,
    /// The database does not open though the fault is gone.
    Unopenable,
    /// It opens and `verify` finds damage.
    Damaged,
    /// A refused opening changed files.
    Changed,
    /// A sound database was called damaged, and its owner sent to a backup.
    Slandered,
}

pub const PROBLEMS: [(Problem, &str); 10] = [
    (Problem::Lost, "lost"),
    (Problem::Acknowledged, "acked"),
    (Problem::Resurrected, "resurr"),
    (Problem::Panicked, "panics"),
    (Problem::Hung, "hangs"),
    (Problem::Died, "died"),
    (Problem::Unopenable, "unopen"),
    (Problem::Damaged, "damaged"),
    (Problem::Changed, "changed"),
    (Problem::Slandered, "slander"),
];

#[derive(Debug, Default)]
pub struct Outcome {
    pub fired: u64,
    /// Where the first fault was.
    pub place: String,
    pub counts: Vec<u64>,
    /// Whether the script came to its end.
    pub done: bool,
    pub problems: Vec<(Problem, String)>,
    pub said: String,
}

/// The shim's words.
struct Report(PathBuf);

impl Report {
    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.0).unwrap()
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes()[8 * at..][..8].try_into().unwrap())
    }

    fn place(&self) -> String {
        let path = self.bytes()[2048..].to_vec();
        String::from_utf8_lossy(&path).trim_end_matches('\0').to_owned()
    }
}

/// A directory of a round, removed when dropped.
struct Room(PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Judges as the script speaks.
struct Judge<'a> {
    cell: &'a Cell,
    database: PathBuf,
    report: Report,
    facts: Facts,
    asked: String,
    /// Faults that had fired when the handle was opened, and when it was asked last.
    fired_before: u64,
    fired_asked: u64,
    /// Why the handle may acknowledge nothing more.
    poisoned: Option<String>,
    /// Whether a refused opening is to be tried again.
    refused: bool,
    before: Files,
    live: String,
    /// What called the database damaged.
    doubted: Option<String>,
    /// What the program showed last of edges that were refused, and whether the handle was a fresh one.
    shown: Vec<(bool, (u64, u64), bool)>,
    outcome: Outcome,
}

/// What goes through the log.
const APPENDS: [&str; 6] = ["insert", "many", "remove", "forget", "retire", "stock"];

impl Judge<'_> {
    fn problem(&mut self, problem: Problem, what: impl Into<String>) {
        self.outcome.problems.push((problem, what.into()));
    }

    /// Whether the fault was one that leaves nobody knowing what the log or what names it holds.
    fn poisons(&self) -> bool {
        let place = self.report.place();
        let live = format!("/{}/db", self.live);
        let writes = ["write", "sync", "truncate"].contains(&self.cell.kind.as_str());
        writes && (place.ends_with(&live) || place.ends_with("/ACKED"))
    }

    /// Takes a line; whether the program waits for an answer.
    fn hear(&mut self, line: &str) -> bool {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "OPENING" => {
                self.before = read(&self.database);
                let current = fs::read_to_string(self.database.join("CURRENT")).unwrap_or_default();
                self.live = current.split(' ').next().unwrap_or_default().to_owned();
                self.fired_before = self.report.word(1);
                return true;
            }
            "OPENED" => (self.poisoned, self.refused) = (None, false),
            "REFUSED" => {
                self.refuse(rest);
                return true;
            }
            "DO" => {
                let (_, rest) = rest.split_once(' ').unwrap();
                let (fired, what) = rest.split_once(' ').unwrap();
                self.asked = what.to_owned();
                self.fired_asked = fired.parse().unwrap();
                if self.fired_asked > self.fired_before && self.poisons() {
                    let place = self.report.place();
                    self.poisoned.get_or_insert(format!("{} of {place} failed", self.cell.kind));
                }
            }
            "ACK" => self.acknowledge(rest.split_once(' ').map_or("", |(_, outcome)| outcome)),
            "ERR" => {
                let asked = std::mem::take(&mut self.asked);
                self.facts.take(&asked, None);
                self.doubt(rest);
                let what = asked.split(' ').next().unwrap_or_default();
                // A disk that is too full to be opened again is found so before anything is written: the log has not failed.
                let is_untouched = rest.contains("no space left to keep room for the next opening");
                if (APPENDS.contains(&what) || rest.contains("not stored")) && !is_untouched {
                    self.poisoned.get_or_insert(format!("{asked}: {rest}"));
                }
            }
            "SHOWS" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let edge = (words[1].parse().unwrap(), words[2].parse().unwrap());
                self.shown.retain(|(_, known, _)| *known != edge);
                self.shown.push((words[0] == "reopened", edge, words[3] == "true"));
            }
            "DONE" => self.outcome.done = true,
            _ => {}
        }
        false
    }

    /// Notes an error that calls the database damaged, until a look tells.
    fn doubt(&mut self, why: &str) {
        if why.contains("damage") {
            self.doubted.get_or_insert(why.to_owned());
        }
    }

    fn refuse(&mut self, why: &str) {
        // What was never a database may be begun again.
        if self.before.contains_key(Path::new("FORMAT")) {
            let mut files = changed(&self.before, &read(&self.database));
            // The reserve is there to be given back by an opening that finds the disk full.
            files.retain(|name| name != "RESERVE is gone" || self.cell.errno != "ENOSPC");
            // What an earlier opening made that never took over is nobody's.
            files.retain(|name| {
                let store = name.strip_suffix(" is gone").and_then(|path| path.split('/').next());
                store.is_none_or(|store| {
                    let mark = format!("{}.tmp", store.trim_end_matches(".tmp"));
                    store == self.live || !store.starts_with("store-") || !self.before.contains_key(Path::new(&mark))
                })
            });
            if !files.is_empty() {
                self.problem(Problem::Changed, format!("{}, refused with: {why}", files.join(", ")));
            }
        }
        self.doubt(why);
        if std::mem::replace(&mut self.refused, true) && self.cell.mode == "once" {
            self.problem(Problem::Unopenable, format!("again in the same process: {why}"));
        }
    }

    fn acknowledge(&mut self, outcome: &str) {
        let asked = std::mem::take(&mut self.asked);
        let what = asked.split(' ').next().unwrap_or_default();
        if (APPENDS.contains(&what) || what == "train" || what == "import")
            && let Some(why) = self.poisoned.clone()
        {
            self.problem(Problem::Acknowledged, format!("{asked}, after {why}"));
        }
        if what == "verify" && outcome != "sound" {
            self.doubt(outcome);
        }
        self.facts.take(&asked, Some(outcome));
    }

    /// Looks at what is left, twice.
    fn look(&mut self) {
        let mut looks = Vec::new();
        for time in ["first", "second"] {
            match look(&self.database) {
                Ok(lines) => looks.push(lines),
                Err(why) => return self.problem(Problem::Unopenable, format!("at the {time} look: {why}")),
            }
        }
        let found = Found::of(&looks[0]);
        for what in found.damage.clone() {
            self.problem(Problem::Damaged, what);
        }
        let wrong = self.facts.against(&found);
        if !wrong.is_empty() {
            self.problem(Problem::Lost, format!("{} facts: {}", wrong.len(), wrong[..wrong.len().min(4)].join("; ")));
        }
        if let (Some(why), true) = (self.doubted.take(), found.damage.is_empty() && wrong.is_empty()) {
            self.problem(Problem::Slandered, why);
        }
        if looks[0] != looks[1] {
            let differ = looks[0].iter().zip(&looks[1]).find(|(first, second)| first != second);
            self.problem(Problem::Resurrected, format!("two looks differ: {differ:?}"));
        }
        for (fresh, edge, shown) in std::mem::take(&mut self.shown) {
            let there = found.edges.contains(&edge);
            if (shown && !there) || (fresh && shown != there) {
                self.problem(Problem::Resurrected, format!("{edge:?} was shown: {shown}, is there: {there}"));
            }
        }
    }
}

/// Runs a script with the n-th call of a kind failing. With n = 0 none does.
pub fn run(directory: &Path, cell: &Cell, n: u64) -> Outcome {
    static ROOMS: AtomicU64 = AtomicU64::new(0);
    let room = Room(directory.join(format!("room-{}", ROOMS.fetch_add(1, Ordering::Relaxed))));
    let below = room.0.join("below");
    let database = below.join("new/shop.kith");
    fs::create_dir_all(&below).unwrap();
    let mut facts = Facts::default();
    if cell.base != "-" {
        copy(&directory.join(&cell.base), &database);
        facts = Facts::all_of(&Found::of(&base(directory, &cell.base)));
    }
    let report = Report(room.0.join("report"));
    fs::write(&report.0, [0; 4096]).unwrap();

    let (n, path) = (n.to_string(), report.0.clone());
    let mut talk = Talk::with(
        &["run", &cell.script, database.to_str().unwrap()],
        &[
            ("LD_PRELOAD", shim().to_str().unwrap()),
            ("KITHDB_FAULT_DIR", below.to_str().unwrap()),
            ("KITHDB_FAULT_REPORT", path.to_str().unwrap()),
            ("KITHDB_FAULT_KIND", &cell.kind),
            ("KITHDB_FAULT_NTH", &n),
            ("KITHDB_FAULT_MODE", &cell.mode),
            ("KITHDB_FAULT_ERRNO", &cell.errno),
            ("KITHDB_FAULT_SYNC", &cell.sync),
        ],
    );
    let mut judge = Judge {
        cell,
        database,
        report,
        facts,
        asked: String::new(),
        fired_before: 0,
        fired_asked: 0,
        poisoned: None,
        refused: false,
        before: Files::new(),
        live: String::new(),
        doubted: None,
        shown: Vec::new(),
        outcome: Outcome::default(),
    };
    let mut hung = false;
    loop {
        match talk.next() {
            Ok(Some(line)) => {
                judge.outcome.said += &format!("{line}\n");
                if judge.hear(&line) {
                    talk.go_on();
                }
            }
            Ok(None) => break,
            Err(()) => {
                hung = true;
                break;
            }
        }
    }
    let (end, errors) = talk.end(hung);
    // What was asked and never answered may or may not have happened.
    let asked = std::mem::take(&mut judge.asked);
    judge.facts.take(&asked, None);
    judge.outcome.said += &errors;
    if let Some(line) = errors.lines().find(|line| line.contains("panicked at")) {
        judge.problem(Problem::Panicked, format!("during {asked:?}: {line}"));
    }
    match end {
        End::Well => {}
        End::Hung => judge.problem(Problem::Hung, format!("during {asked:?}")),
        End::Badly(status) => judge.problem(Problem::Died, format!("{status} during {asked:?}")),
    }
    assert_eq!(judge.report.word(0), 0x6b69_7468_0001, "the shim was not preloaded, or is another one");
    judge.outcome.fired = judge.report.word(1);
    judge.outcome.counts = (0..KINDS.len()).map(|kind| judge.report.word(2 + kind)).collect();
    judge.outcome.place = judge.report.place().replacen(below.to_str().unwrap(), "", 1);
    if n == "0" || judge.outcome.fired > 0 {
        judge.look();
    }
    judge.outcome
}

/// What is in a base, looked at once in a copy.
fn base(directory: &Path, name: &str) -> Vec<String> {
    static LOOKED: std::sync::Mutex<Vec<(String, Vec<String>)>> = std::sync::Mutex::new(Vec::new());
    let mut looked = LOOKED.lock().unwrap();
    if let Some((_, lines)) = looked.iter().find(|(known, _)| known == name) {
        return lines.clone();
    }
    let room = Room(directory.join(format!("look-{name}")));
    copy(&directory.join(name), &room.0);
    let lines = look(&room.0).expect("a base is sound");
    looked.push((name.to_owned(), lines.clone()));
    lines
}
