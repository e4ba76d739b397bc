//! What a database holds, as text that a later version has to find again, line by line.

use std::fmt::Write;

use kithdb::{Basis, Db, Engine, Id, IdKind, Side};

fn id(id: &Id) -> String {
    format!("{id:?}").replace(' ', "")
}

/// Counts, histories, and the lists of everybody whose code is stored: over `coded` items only, so that what later versions make of items
/// that came after the training is theirs to choose. A stored code's score is defined bit by bit, whatever the kernel and the engine.
pub fn describe(db: &Db, coded: &[Id]) -> String {
    let mut text = histories(db);
    let stats = db.stats().unwrap();
    let Some(generation) = stats.generation else { return text };
    writeln!(
        text,
        "generation {} {} users {} items {} layers {:?} planes {}",
        generation.number,
        generation.content_hash,
        generation.users,
        generation.items,
        generation.layer_bits,
        generation.query_bits
    )
    .unwrap();
    let allowed = db.item_set(coded.iter().cloned()).unwrap();
    let mut users = db.users();
    users.sort();
    for user in users {
        let ask = |engine| db.query().user(&user).allow(&allowed).k(10).engine(engine).run();
        let Ok(hits) = ask(Engine::Linear) else { continue };
        if hits.basis() != Basis::Code {
            continue;
        }
        for engine in [Engine::Head, Engine::Tree, Engine::Mih, Engine::Allowed] {
            if let Ok(others) = ask(engine) {
                assert_eq!(others.as_slice(), hits.as_slice(), "{user} by {engine:?}");
            }
        }
        let list: Vec<_> = hits.iter().map(|hit| format!("{}:{:08x}", id(&hit.id), hit.score.to_bits())).collect();
        writeln!(text, "nearest {} {}", id(&user), list.join(" ")).unwrap();
    }
    // What a vector is encoded to differs in its last bits between instruction sets.
    let vector: Vec<f32> = (0..24).map(|n| (n as f32 * 0.7).sin()).collect();
    if let Ok(hits) = db.query().vector(vector).allow(&allowed).k(8).run()
        && db.id_kind(Side::Item) == Some(IdKind::Str)
    {
        let list: Vec<_> = hits.iter().map(|hit| format!("{}:{:.2}", id(&hit.id), hit.score)).collect();
        writeln!(text, "vector {}", list.join(" ")).unwrap();
    }
    text
}

/// What of a description a later version has to find: not the lists of users whose interactions have changed since the training, whom it may place as
/// it sees fit.
pub fn without_moved(expected: &str, db: &Db) -> String {
    let is_moved = |user: &Id| db.query().user(user).run().is_ok_and(|hits| hits.basis() == Basis::Moved);
    let moved: Vec<String> =
        db.users().iter().filter(|user| is_moved(user)).map(|user| format!("nearest {} ", id(user))).collect();
    let kept = expected.lines().filter(|line| !moved.iter().any(|moved| line.starts_with(moved)));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Counts and histories alone: what a training changes nothing of.
pub fn histories(db: &Db) -> String {
    let mut text = String::new();
    let stats = db.stats().unwrap();
    writeln!(
        text,
        "users {} items {} interactions {} retired {}",
        stats.users, stats.items, stats.interactions, stats.retired_items
    )
    .unwrap();
    let mut users = db.users();
    users.sort();
    for user in users {
        let mut history = db.history(&user).unwrap();
        history.sort_by(|a, b| a.item.cmp(&b.item));
        let edge = |edge: &kithdb::Interaction| {
            let time = edge.time.map_or(String::new(), |time| format!("@{time}"));
            format!("{}*{}{time}", id(&edge.item), edge.weight)
        };
        let list: Vec<_> = history.iter().map(edge).collect();
        writeln!(text, "history {} {}", id(&user), list.join(" ")).unwrap();
    }
    text
}
