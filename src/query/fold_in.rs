//! A code on the spot for somebody training has not seen, from the items they touched.

use super::vector::encode_segments;
use crate::code::{CodeError, QueryCode};
use crate::fold_in::{Profile, Touched};
use crate::generation::Generation;
use crate::snapshot::Snapshot;

/// What a history of items comes to.
pub(super) enum Folded {
    /// A query.
    Query(QueryCode),
    /// The codes of the items cancel each other out.
    Nowhere,
    /// No item has a code, from training or as an arrival.
    Codeless,
}

/// The query of somebody with this `history` of (item, weight): their profile, taken through the generation's fold-in map.
/// O(items x bits + bits^2).
pub(super) fn fold_in(
    snapshot: &Snapshot,
    generation: &Generation,
    history: &[(u32, f32)],
    planes: u32,
) -> Result<Folded, CodeError> {
    let Some(profile) = profile(snapshot, generation, history) else { return Ok(Folded::Codeless) };
    let vector = profile.vector(generation.fold_in());
    if vector.iter().all(|&x| x == 0.0) {
        return Ok(Folded::Nowhere);
    }
    encode_segments(generation.shape(), &vector, planes).map(Folded::Query)
}

/// The profile of a history; `None` where no item of it has a code. Items are summed in a fixed order, trained ones by external id and arrivals
/// after them, so that the profile does not depend on the order they were loaded in. O(items x bits).
pub(super) fn profile(snapshot: &Snapshot, generation: &Generation, history: &[(u32, f32)]) -> Option<Profile> {
    let (mut trained, mut arrived) = (Vec::with_capacity(history.len()), Vec::new());
    for &(item, weight) in history {
        if generation.has_item(item) {
            let users = generation.item_degrees()[item as usize];
            trained.push((Touched { item, code: generation.item(item) }, weight, users));
        } else if let Some(arrival) = snapshot.tail().arrivals().get(item)
            && let Some(code) = arrival.code()
        {
            arrived.push((Touched { item, code: code.clone() }, weight, arrival.users()));
        }
    }
    trained.sort_unstable_by_key(|(touched, ..)| generation.ranks()[touched.item as usize]);
    arrived.sort_unstable_by(|(a, ..), (b, ..)| snapshot.catalogues().items.compare(a.item, b.item));
    trained.append(&mut arrived);
    Profile::of(generation.shape(), trained)
}
