//! Queries of many users at once.

use rayon::prelude::*;

use super::{Hits, Query};
use crate::error::Result;
use crate::ids::Id;
use crate::index::TOGETHER;

/// `query` for every user, in their order.
pub(crate) fn run_for<U>(query: &Query<'_>, users: &[U]) -> Vec<Result<Hits>>
where
    U: Into<Id> + Clone + Sync,
{
    let (snapshot, k) = query.asks();
    let together = |users: &[U]| {
        let queries = users.iter().map(|user| query.clone().user(user.clone()));
        if query.stands_alone() {
            return queries.map(Query::run).collect();
        }
        Query::run_together(snapshot, &queries.collect::<Vec<_>>(), k)
    };
    users.par_chunks(TOGETHER).flat_map_iter(together).collect()
}
