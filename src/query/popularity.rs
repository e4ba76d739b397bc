//! The most popular items: what is answered where there is no code to go by.

use crate::index::{EngineKind, Filter, Found, Match, Work};
use crate::snapshot::Snapshot;

/// The `k` items that most users have, ties by id. O(items).
pub(super) fn popular(snapshot: &Snapshot, k: usize, filter: &Filter<'_>) -> Found {
    let items = &snapshot.catalogues().items;
    let degrees = (0..).zip(snapshot.tail().item_degrees());
    let mut candidates: Vec<(u32, u32)> = degrees
        .filter(|&(item, degree)| degree > 0 && filter.admits(item))
        .map(|(item, degree)| (degree, item))
        .collect();
    if (1..candidates.len()).contains(&k) {
        // By their degrees alone first: few of the many items of one degree are compared by id.
        let (_, &mut (last, _), _) = candidates.select_nth_unstable_by(k - 1, |a, b| b.0.cmp(&a.0));
        let mut tied: Vec<(u32, u32)> = candidates.iter().copied().filter(|&(degree, _)| degree == last).collect();
        candidates.retain(|&(degree, _)| degree > last);
        let room = k - candidates.len();
        if room < tied.len() {
            tied.select_nth_unstable_by(room, |a, b| items.compare(a.1, b.1));
            tied.truncate(room);
        }
        candidates.append(&mut tied);
    }
    candidates.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| items.compare(a.1, b.1)));
    candidates.truncate(k);
    let matches = candidates.into_iter().map(|(degree, row)| Match { row, score: degree as f32 }).collect();
    Found { matches, engine: EngineKind::Linear, work: Work::default(), exact: true, recall: Some(1.0) }
}
