//! What a database holds, a fact a line.

use std::path::Path;

use kithdb::{Db, Error, Id, Value};

use crate::session::say;

/// A user nobody is, who gets the list of the most popular items: all but the retired.
const NOBODY: u64 = u64::MAX;

/// Opens a database that exists, says what it holds and closes it. Nothing may follow `REFUSED`.
pub fn look(database: &Path) {
    match facts(database) {
        Ok(()) => say("SOUND"),
        Err(error) => say(&format!("REFUSED {error}")),
    }
}

fn facts(database: &Path) -> Result<(), Error> {
    let db = Db::open(database)?;
    let mut users = db.users();
    users.sort_unstable();
    for user in &users {
        let mut edges = db.history(user)?;
        edges.sort_unstable_by(|a, b| a.item.cmp(&b.item));
        for edge in edges {
            say(&format!("E {} {} {} {:?}", edge.user, edge.item, edge.weight, edge.time));
        }
    }
    for item in db.items() {
        if db.item(&item)?.is_some_and(|said| said.get("in_stock") == Some(&Value::Bool(true))) {
            say(&format!("A {item}"));
        }
    }
    for hit in db.query().user(NOBODY).or_popular().k(1 << 20).run()? {
        say(&format!("S {}", hit.id));
    }
    let stats = db.stats()?;
    if let Some(generation) = &stats.generation {
        say(&format!("G {} {}", generation.number, generation.content_hash));
        for user in users.iter().take(20) {
            match db.nearest(user, 5) {
                Ok(hits) => say(&format!("N {user} {:?}", hits.as_slice())),
                Err(Error::NoHistory { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let report = db.verify()?;
    for warning in report.warnings {
        say(&format!("WARNED {warning}"));
    }
    for damage in report.damage {
        say(&format!("DAMAGED {damage}"));
    }
    Ok(())
}

/// Whether a database shows an edge.
pub fn shows(db: &Db, user: u64, item: u64) -> bool {
    db.history(user).is_ok_and(|history| history.iter().any(|edge| edge.item == Id::from(item)))
}
