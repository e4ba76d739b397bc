//! Queries of many users at once.

use rayon::prelude::*;

use super::{Hits, Query};
use crate::error::Result;
use crate::ids::Id;
use crate::index::TOGETHER;
use crate::snapshot::Snapshot;

/// The nearest items of every user, in their order.
pub(crate) fn nearest_batch<U>(snapshot: &Snapshot, users: &[U], k: usize) -> Vec<Result<Hits>>
where
    U: Into<Id> + Clone + Sync,
{
    let together = |users: &[U]| {
        let queries: Vec<Query<'_>> = users.iter().map(|user| snapshot.query().user(user.clone()).k(k)).collect();
        Query::run_together(snapshot, &queries, k)
    };
    users.par_chunks(TOGETHER).flat_map_iter(together).collect()
}
