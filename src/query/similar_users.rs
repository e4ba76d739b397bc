//! Users near to a user.

use roaring::RoaringBitmap;

use super::{Basis, Hit, Hits};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::Id;
use crate::index::Filter;

/// The `k` users whose codes have the largest weighted inner product with the user's own, the user left out.
pub(crate) fn similar_users(db: &Db, user: &Id, k: usize) -> Result<Hits> {
    if k == 0 {
        return Err(Error::InvalidArgument { what: "k = 0".into(), remedy: "ask for at least one user".into() });
    }
    let catalogues = db.live().catalogues.read();
    let dense = catalogues.users.get(user)?.ok_or_else(|| Error::UnknownUser { user: user.clone() })?;
    let tail = db.live().tail();
    let generation = tail.generation().ok_or(Error::NotTrained)?;
    if !generation.has_user(dense) {
        return Err(Error::NoHistory { user: user.clone() });
    }
    let index = generation.user_index(&catalogues.users)?;
    let query = generation.users().query(dense as usize, 1)?;
    // Users forgotten since training have codes, but no ids any more.
    let mut gone: RoaringBitmap = (0..generation.users().len() as u32).filter(|&u| !generation.has_user(u)).collect();
    gone |= catalogues.users.forgotten();
    let found = index.search(&query, k, &Filter { allow: None, deny: vec![&gone], seen: &[dense] })?;
    Ok(Hits {
        hits: found
            .matches
            .iter()
            .filter_map(|m| catalogues.users.id(m.row).map(|id| Hit { id, score: m.score }))
            .collect(),
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
