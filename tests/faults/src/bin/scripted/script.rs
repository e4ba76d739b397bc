//! What the program does, by name.

use std::path::Path;

use kithdb::{Db, Preset, TrainOptions};

use crate::session::{Session, say};

const USERS: u64 = 14;
const ITEMS: u64 = 12;

/// Two tastes: everybody has some items of their own.
fn shop() -> Vec<(u64, u64)> {
    let pairs = (0..USERS).flat_map(|user| (0..ITEMS).map(move |item| (user, item)));
    pairs.filter(|(user, item)| user % 2 == item % 2 && (user * 7 + item * 5) % 4 != 0).collect()
}

/// Some twenty kilobytes of records that come in no other part.
fn bulk(part: u64) -> Vec<(u64, u64)> {
    (0..2_000).map(|n| (500 + n % 100, 100 * (part + 1) + n / 100)).collect()
}

/// Makes what a script begins with, in a process without a shim. The process that made `killed` keeps it open until it is killed.
pub fn make(base: &str, database: &Path) {
    match made(base, database) {
        Ok(()) => say("MADE"),
        Err(error) => say(&format!("REFUSED {error}")),
    }
}

fn made(base: &str, database: &Path) -> kithdb::Result<()> {
    let db = Db::open(database)?;
    db.insert_many(shop())?;
    match base {
        "log" => {
            db.remove(2u64, 4u64)?;
            db.forget_user(5u64)?;
            db.retire_item(3u64)?;
        }
        // Over several of the engine's segments.
        "long" => drop(db.insert_many((0..90_000u64).map(|n| (1_000 + n % 300, 100 + n / 300)))?),
        _ => {
            db.retire_item(3u64)?;
            db.train(TrainOptions::new(Preset::Fast).bits(64).threads(1))?.wait()?;
            for n in 0..6u64 {
                db.insert(20 + n % 2, n)?;
            }
            db.remove(2u64, 4u64)?;
        }
    }
    if base == "killed" {
        say("MADE");
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

/// Runs a script. Every edge, user and item is changed in an order that leaves no doubt what an acknowledgement means.
pub fn run(name: &str, database: &Path) {
    let mut session = Session::new(database);
    session.open();
    match name {
        "life" => life(&mut session),
        "read" => {
            session.query(1);
            session.verify();
            session.query(20);
            (0..3).for_each(|n| session.insert(30, n));
        }
        "train" => {
            session.insert(31, 1);
            session.stock(5);
            session.train();
            session.query(1);
            (0..3).for_each(|n| session.insert(32, n));
            session.remove(31, 1);
        }
        "forget" => {
            session.forget(6);
            session.train();
            session.insert(33, 2);
            session.retire(7);
            session.remove(33, 2);
            session.insert(33, 4);
        }
        "large" => {
            session.insert(1, 1);
            session.insert_many(&(0..60_000u64).map(|n| (1_000 + n % 300, 100 + n / 300)).collect::<Vec<_>>());
            session.insert(36, 3);
        }
        "import" => {
            session.import(USERS, ITEMS + 2);
            session.insert(34, 1);
            session.forget(8);
            session.insert(34, 3);
        }
        // Appends of many pages each: of what a failed sync loses, the next append saves no more than the page it begins in.
        "bulk" | "still" => {
            session.insert(35, 1);
            (0..3).for_each(|part| session.insert_many(&bulk(part)));
            session.insert(35, 3);
        }
        _ => say(&format!("no script {name}")),
    }
    session.close();
    // Again in the same process, as whoever follows the advice of an error would.
    session.open();
    session.query(1);
    if name == "still" {
        session.close();
        return say("DONE");
    }
    session.insert(40, 1);
    session.insert_many(&[(41, 1), (41, 3), (42, 5)]);
    session.close();
    say("DONE");
}

/// A database's whole life.
fn life(session: &mut Session) {
    for n in 0..8 {
        session.insert(100 + n % 3, n);
    }
    session.insert_many(&shop());
    session.remove(100, 0);
    session.retire(9);
    session.stock(2);
    session.forget(11);
    session.train();
    for n in 0..3 {
        session.insert(110, n);
    }
    session.query(1);
    session.forget(12);
    session.train();
    session.insert(111, 2);
    session.stock(6);
    session.import(USERS, ITEMS + 2);
    session.remove(110, 1);
    session.forget(13);
    session.retire(8);
    session.insert(112, 2);
    session.verify();
}
