//! Fold-in: a code on the spot for a user training has not seen, from the items they touched.

use super::vector::encode_segments;
use crate::arrivals::ArrivalIndex;
use crate::code::{CodeError, QueryCode};
use crate::generation::Generation;

/// The query of somebody with this `history` of (item, weight): their profile, the sum of the items' de-quantised codes each divided by the
/// square root of its degree, taken through the generation's fold-in map.
///
/// `None` where no item of the history has a code, from training or as an arrival. Items are summed in a fixed order, trained ones by external
/// id and arrivals after them, so that the answer does not depend on the order they were loaded in. O(items x bits + bits^2).
pub(crate) fn fold_in(
    generation: &Generation,
    arrivals: Option<&ArrivalIndex>,
    history: &[(u32, f32)],
    planes: u32,
) -> Result<Option<QueryCode>, CodeError> {
    let trained = |item: u32| (generation.items(), item as usize, generation.item_degrees()[item as usize]);
    let mut known = Vec::with_capacity(history.len());
    for &(item, weight) in history {
        if generation.has_item(item) {
            known.push(((0, generation.ranks()[item as usize]), trained(item), weight));
        } else if let Some(code) = arrivals.and_then(|arrivals| arrivals.code(item)) {
            known.push(((1, code.1 as u32), code, weight));
        }
    }
    if known.is_empty() {
        return Ok(None);
    }
    known.sort_unstable_by_key(|&(order, ..)| order);
    // Weights relative to the largest: their scale changes no ranking, and the profile stays finite.
    let heaviest = known.iter().fold(0.0f32, |most, &(.., weight)| most.max(weight));
    let shape = generation.items().shape();
    let mut profile = vec![0.0; shape.bits() as usize];
    let mut rest = profile.as_mut_slice();
    for (layer, &width) in shape.widths().iter().enumerate() {
        let (segment, after) = rest.split_at_mut(width as usize);
        for &(_, (codes, row, degree), weight) in &known {
            codes.add_decoded(row, layer, weight / heaviest / (degree.max(1) as f32).sqrt(), segment);
        }
        rest = after;
    }
    // Scaled to length 1, as the map was learned.
    let norm = profile.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32;
    if norm > 0.0 {
        profile.iter_mut().for_each(|x| *x /= norm);
    }
    let vector = generation.fold_in().apply(&profile);
    encode_segments(shape, &vector, planes).map(Some)
}
