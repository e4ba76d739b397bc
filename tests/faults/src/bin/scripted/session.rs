//! An application's work on a database, told line by line.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{Attributes, CodeSet, Db, Preset, TrainOptions};

use crate::look::shows;

/// Says a line at once.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever does not listen any more has killed us already.
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

fn wait() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// Calls the shim has failed so far; 0 where there is none.
fn fired(report: Option<&Path>) -> u64 {
    let mut word = [0; 8];
    let read = report.map(|path| {
        std::fs::File::open(path).and_then(|mut file| {
            let mut front = [0; 16];
            file.read_exact(&mut front)?;
            word.copy_from_slice(&front[8..]);
            Ok(())
        })
    });
    read.map_or(0, |_| u64::from_le_bytes(word))
}

pub struct Session {
    database: PathBuf,
    report: Option<PathBuf>,
    db: Option<Db>,
    asked: usize,
    /// Edges whose insert was refused.
    refused: Vec<(u64, u64)>,
}

impl Session {
    pub fn new(database: &Path) -> Session {
        let report = std::env::var_os("KITHDB_FAULT_REPORT").map(PathBuf::from);
        Session { database: database.to_path_buf(), report, db: None, asked: 0, refused: Vec::new() }
    }

    /// Opens the database, at the second attempt if need be; ends the process where that fails too.
    pub fn open(&mut self) {
        for _ in 0..2 {
            say("OPENING");
            wait();
            match Db::open(&self.database) {
                Ok(db) => {
                    self.db = Some(db);
                    say("OPENED");
                    return self.show("reopened");
                }
                Err(error) => {
                    say(&format!("REFUSED {error}"));
                    wait();
                }
            }
        }
        say("GIVEN-UP");
        std::process::exit(0);
    }

    pub fn close(&mut self) {
        self.show("closing");
        self.db = None;
        say("CLOSED");
    }

    /// What the open database shows of the edges that were refused.
    fn show(&self, when: &str) {
        let Some(db) = &self.db else { return };
        for &(user, item) in &self.refused {
            say(&format!("SHOWS {when} {user} {item} {}", shows(db, user, item)));
        }
    }

    /// Asks for something; `what` is told before, the outcome after.
    fn ask(&mut self, what: &str, edges: &[(u64, u64)], work: impl FnOnce(&Db) -> kithdb::Result<String>) {
        let Some(db) = &self.db else { return };
        self.asked += 1;
        let number = self.asked;
        say(&format!("DO {number} {} {what}", fired(self.report.as_deref())));
        match work(db) {
            Ok(outcome) => say(&format!("ACK {number} {outcome}")),
            Err(error) => {
                say(&format!("ERR {number} {error}"));
                self.refused.extend(edges);
            }
        }
    }

    pub fn insert(&mut self, user: u64, item: u64) {
        self.ask(&format!("insert {user} {item}"), &[(user, item)], |db| db.insert(user, item).map(|()| String::new()));
    }

    pub fn insert_many(&mut self, edges: &[(u64, u64)]) {
        let list: Vec<_> = edges.iter().map(|(user, item)| format!("{user}:{item}")).collect();
        let what = format!("many {}", list.join(","));
        self.ask(&what, edges, |db| db.insert_many(edges.iter().copied()).map(|count| count.to_string()));
    }

    pub fn remove(&mut self, user: u64, item: u64) {
        self.ask(&format!("remove {user} {item}"), &[], |db| db.remove(user, item).map(|was| was.to_string()));
    }

    pub fn forget(&mut self, user: u64) {
        self.ask(&format!("forget {user}"), &[], |db| db.forget_user(user).map(|was| was.to_string()));
    }

    pub fn retire(&mut self, item: u64) {
        self.ask(&format!("retire {item}"), &[], |db| db.retire_item(item).map(|was| was.to_string()));
    }

    /// Says that an item is in stock.
    pub fn stock(&mut self, item: u64) {
        let said = Attributes::titled(format!("item {item}")).set("in_stock", true);
        self.ask(&format!("stock {item}"), &[], |db| db.set_item(item, said).map(|()| String::new()));
    }

    pub fn train(&mut self) {
        self.ask("train", &[], |db| {
            let options = TrainOptions::new(Preset::Fast).bits(64).threads(1);
            let outcome = db.train(options)?.wait()?;
            Ok(format!("{} {}", outcome.generation, outcome.content_hash))
        });
    }

    /// Takes in codes of the users and items below the bounds.
    pub fn import(&mut self, users: u64, items: u64) {
        self.ask("import", &[], |db| {
            let shape = CodeShape::new(vec![64], vec![1.0])?;
            let words =
                |n: u64, salt: u64| (0..n).map(|row| (row + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let scalers = |n: u64| vec![1.0; n as usize];
            let set = CodeSet {
                items: LayeredCodes::from_parts(shape.clone(), words(items, 1), scalers(items))?,
                item_ids: (0..items).collect::<Vec<_>>().into(),
                users: PlaneCodes::from_parts(shape, 1, words(users, 99), scalers(users))?,
                user_ids: (0..users).collect::<Vec<_>>().into(),
            };
            db.import_codes(set).map(|outcome| format!("{} {}", outcome.generation, outcome.content_hash))
        });
    }

    pub fn verify(&mut self) {
        self.ask("verify", &[], |db| {
            let report = db.verify()?;
            Ok(report.damage.first().map_or("sound".to_owned(), |damage| format!("damage {damage}")))
        });
    }

    pub fn query(&mut self, user: u64) {
        self.ask(&format!("query {user}"), &[], |db| db.nearest(user, 5).map(|hits| hits.len().to_string()));
    }
}
