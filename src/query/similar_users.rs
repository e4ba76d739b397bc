//! Users near to a user.

use super::{Basis, Hit, Hits};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::Id;
use crate::index::{Filter, Match};

/// The `k` users whose codes have the largest weighted inner product with the user's own, the user left out.
pub(crate) fn similar_users(db: &Db, user: &Id, k: usize) -> Result<Hits> {
    if k == 0 {
        return Err(Error::InvalidArgument { what: "k = 0".into(), remedy: "ask for at least one user".into() });
    }
    let tail = db.live().tail();
    let (dense, mut gone) = {
        let catalogues = db.live().catalogues.read();
        let dense = catalogues.users.get(user)?.ok_or_else(|| Error::UnknownUser { user: user.clone() })?;
        // Users forgotten since training have codes, but no ids any more.
        (dense, catalogues.users.forgotten().clone())
    };
    let generation = tail.generation().ok_or(Error::NotTrained)?;
    if !generation.has_user(dense) {
        return Err(Error::NoHistory { user: user.clone() });
    }
    let index = generation.user_index(|| db.live().catalogues.read().users.ranks())?;
    let query = generation.users().query(dense as usize, 1)?;
    gone.extend((0..generation.users().len() as u32).filter(|&user| !generation.has_user(user)));
    let found = index.search(&query, k, &Filter { allow: None, deny: vec![&gone], seen: &[dense] })?;
    let catalogues = db.live().catalogues.read();
    let hit = |m: &Match| catalogues.users.id(m.row).map(|id| Hit { id, score: m.score });
    Ok(Hits {
        hits: found.matches.iter().filter_map(hit).collect(),
        generation: Some(generation.number()),
        engine: found.engine.into(),
        basis: Basis::Code,
        nodes: found.work.nodes,
        buckets: found.work.buckets,
        heads: found.work.heads,
        scored: found.work.codes,
        exact: found.exact,
        unknown_items: Vec::new(),
    })
}
