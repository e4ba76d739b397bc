//! Users near to a user.

use super::{Basis, Hit, Hits};
use crate::error::{Error, Result};
use crate::ids::Id;
use crate::index::{Filter, Match, Seen};
use crate::snapshot::Snapshot;

/// The `k` users whose codes have the largest weighted inner product with the user's own, the user left out.
pub(crate) fn similar_users(snapshot: &Snapshot, user: &Id, k: usize) -> Result<Hits> {
    if k == 0 {
        return Err(Error::InvalidArgument { what: "k = 0".into(), remedy: "ask for at least one user".into() });
    }
    let users = &snapshot.catalogues().users;
    let dense = users.get(user)?.ok_or_else(|| Error::UnknownUser { user: user.clone() })?;
    let generation = snapshot.trained().ok_or(Error::NotTrained)?;
    if !generation.has_user(dense) {
        return Err(Error::NoUserCode { user: user.clone() });
    }
    // Users forgotten since training have codes, but no ids any more.
    let mut gone = users.forgotten().clone();
    let index = generation.user_index(|| users.ranks())?;
    let query = generation.users().query(dense as usize, 1)?;
    gone.extend((0..generation.users().len() as u32).filter(|&user| !generation.has_user(user)));
    let found = index.signs.search(&query, k, &Filter { allow: None, deny: vec![&gone], seen: Seen::of(&[dense]) })?;
    let hit = |m: &Match| users.id(m.row).map(|id| Hit { id, score: m.score });
    Ok(Hits {
        unit: Some(query.size() * index.scale).filter(|&unit| unit > 0.0).unwrap_or(1.0),
        hits: found.matches.iter().filter_map(hit).collect(),
        generation: Some(generation.number()),
        engine: found.engine.into(),
        basis: Basis::Code,
        nodes: found.work.nodes,
        buckets: found.work.buckets,
        heads: found.work.heads,
        scored: found.work.codes,
        exact: found.exact,
        recall: found.recall,
        unknown_items: Vec::new(),
    })
}
