//! A code on the spot for somebody training has not seen, from the items they touched.

use super::vector::encode_segments;
use crate::code::{CodeError, QueryCode};
use crate::fold_in::{Profile, Touched, inner, segments};
use crate::generation::Generation;
use crate::graph::postings::Edge;
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

/// The vector of a user with a trained code whose `history` is not what the generation has: the trained vector plus what the fold-in map makes of the
/// difference of the two profiles, each of length 1. Both ends of the difference have the map's error, which the trained vector has not. `None`
/// where the map was not learned, so that its scale says nothing, where either history has no item with a code, and where nothing is left.
/// O(histories x bits + bits^2).
pub(crate) fn moved(
    snapshot: &Snapshot,
    generation: &Generation,
    user: u32,
    history: &[(u32, Edge)],
) -> Result<Option<Vec<f32>>, CodeError> {
    if generation.fold_in().weights().is_none() {
        return Ok(None);
    }
    let before: Vec<(u32, Edge)> = generation.postings().row(user).edges().collect();
    let (before, now) = (generation.counted(history, &before), generation.counted(history, history));
    let profiles = profile(snapshot, generation, &before).zip(profile(snapshot, generation, &now));
    let Some((before, now)) = profiles else { return Ok(None) };
    let shape = generation.shape();
    let mut vector = vec![0.0; shape.bits() as usize];
    for (layer, range) in segments(shape).enumerate() {
        generation.users().decode_into(user as usize, layer, &mut vector[range])?;
    }
    // The map's vectors are those of users of length 1.
    let length = inner(&vector, &vector).sqrt() as f32;
    let change = generation.fold_in().apply(&now.minus(&before));
    vector.iter_mut().zip(&change).for_each(|(x, change)| *x += length * change);
    Ok(vector.iter().any(|&x| x != 0.0).then_some(vector))
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
