//! Queries of many users at once.

use rayon::prelude::*;

use super::{Hits, Query};
use crate::db::Db;
use crate::error::Result;
use crate::ids::Id;
use crate::index::TOGETHER;

/// The nearest items of every user, in their order, on one snapshot.
pub(crate) fn nearest_batch<U: Into<Id> + Clone + Sync>(db: &Db, users: &[U], k: usize) -> Vec<Result<Hits>> {
    let tail = db.live().tail();
    let arrivals = match tail.arrivals(&db.live().catalogues) {
        Ok(arrivals) => arrivals,
        // Rare enough that everybody finds out alone.
        Err(_) => return users.iter().map(|user| db.nearest(user.clone(), k)).collect(),
    };
    let together = |users: &[U]| {
        let queries: Vec<Query<'_>> = users.iter().map(|user| db.query().user(user.clone()).k(k)).collect();
        Query::run_together(&queries, k, &tail, arrivals.as_deref())
    };
    users.par_chunks(TOGETHER).flat_map_iter(together).collect()
}
