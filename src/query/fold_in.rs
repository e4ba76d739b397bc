//! Fold-in: a code on the spot for a user training has not seen, from the items they touched.

use crate::code::{CodeError, QueryCode};
use crate::generation::Generation;

/// The query of somebody with this `history` of (item, weight): their profile, the sum of the items' de-quantised codes each divided by the
/// square root of its degree, taken through the generation's fold-in map.
///
/// `None` where no item of the history has a code. Items are summed in the order of their external ids, so that the answer does not depend on
/// the order they were loaded in. O(items x bits + bits^2).
pub(crate) fn fold_in(
    generation: &Generation,
    history: &[(u32, f32)],
    planes: u32,
) -> Result<Option<QueryCode>, CodeError> {
    let mut known: Vec<(u32, f32)> = history.iter().copied().filter(|&(item, _)| generation.has_item(item)).collect();
    if known.is_empty() {
        return Ok(None);
    }
    known.sort_unstable_by_key(|&(item, _)| generation.ranks()[item as usize]);
    let shape = generation.items().shape();
    let mut profile = vec![0.0; shape.bits() as usize];
    let mut rest = profile.as_mut_slice();
    for (layer, &width) in shape.widths().iter().enumerate() {
        let (segment, after) = rest.split_at_mut(width as usize);
        for &(item, weight) in &known {
            let degree = generation.item_degrees()[item as usize].max(1);
            generation.items().add_decoded(item as usize, layer, weight / (degree as f32).sqrt(), segment);
        }
        rest = after;
    }
    // Scaled to length 1, as the map was learned; a tiny profile would lose its digits otherwise.
    let norm = profile.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        profile.iter_mut().for_each(|x| *x /= norm);
    }
    let vector = generation.fold_in().apply(&profile);
    let mut layers = Vec::with_capacity(shape.layers());
    let mut rest = vector.as_slice();
    for &width in shape.widths() {
        let (segment, after) = rest.split_at(width as usize);
        layers.push(segment);
        rest = after;
    }
    QueryCode::encode(shape.clone(), &layers, planes).map(Some)
}
