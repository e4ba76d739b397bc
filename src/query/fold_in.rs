//! Fold-in: a code on the spot for a user training has not seen, from the items they touched.

use super::vector::encode_segments;
use crate::arrivals::{Arrival, ArrivalIndex};
use crate::code::{CodeError, CodeShape, LayeredCodes, QueryCode};
use crate::generation::Generation;

/// The query of somebody with this `history` of (item, weight): their [`Profile`], taken through the generation's fold-in map.
///
/// `None` where no item of the history has a code, from training or as an arrival. O(items x bits + bits^2).
pub(crate) fn fold_in(
    generation: &Generation,
    arrivals: Option<&ArrivalIndex>,
    history: &[(u32, f32)],
    planes: u32,
) -> Result<Option<QueryCode>, CodeError> {
    let Some(profile) = Profile::of(generation, arrivals, history) else { return Ok(None) };
    let vector = profile.vector(generation);
    let shape = generation.shape();
    encode_segments(shape, &vector, planes).map(Some)
}

/// What somebody touched, as one vector: the sum of the items' de-quantised codes, each by its weight and divided by the square root of its
/// degree, scaled to length 1 as the fold-in map was learned.
pub(super) struct Profile {
    parts: Vec<Part>,
    values: Vec<f32>,
    /// The length before it was scaled.
    norm: f32,
}

/// One item of a history.
struct Part {
    item: u32,
    /// Its code, as the only row.
    code: LayeredCodes,
    factor: f32,
}

impl Profile {
    /// The profile of a history; `None` where no item of it has a code. Items are summed in a fixed order, trained ones by external id and
    /// arrivals after them, so that the profile does not depend on the order they were loaded in. O(items x bits).
    pub(super) fn of(generation: &Generation, arrivals: Option<&ArrivalIndex>, history: &[(u32, f32)]) -> Option<Self> {
        let mut known = Vec::with_capacity(history.len());
        for &(item, weight) in history {
            if generation.has_item(item) {
                let (rank, users) = (generation.ranks()[item as usize], generation.item_degrees()[item as usize]);
                known.push(((0, rank), item, generation.item(item), users, weight));
            } else if let Some(Arrival { row, code, users }) = arrivals.and_then(|arrivals| arrivals.code(item)) {
                known.push(((1, row), item, code, users, weight));
            }
        }
        if known.is_empty() {
            return None;
        }
        known.sort_unstable_by_key(|&(order, ..)| order);
        // Weights relative to the largest: their scale changes no ranking, and the profile stays finite.
        let heaviest = known.iter().fold(0.0f32, |most, &(.., weight)| most.max(weight));
        let part = |(_, item, code, users, weight): (_, u32, _, u32, f32)| Part {
            item,
            code,
            factor: weight / heaviest / (users.max(1) as f32).sqrt(),
        };
        let parts: Vec<Part> = known.into_iter().map(part).collect();
        let shape = generation.shape();
        let mut values = vec![0.0; shape.bits() as usize];
        for (layer, range) in segments(shape).enumerate() {
            parts.iter().for_each(|part| part.code.add_decoded(0, layer, part.factor, &mut values[range.clone()]));
        }
        let norm = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32;
        if norm > 0.0 {
            values.iter_mut().for_each(|x| *x /= norm);
        }
        Some(Self { parts, values, norm })
    }

    /// The vector training would have given somebody with this profile, `[bits]`. O(bits^2).
    pub(super) fn vector(&self, generation: &Generation) -> Vec<f32> {
        generation.fold_in().apply(&self.values)
    }

    /// How much each item of the history adds to the inner product of [`Profile::vector`] with `direction`, `[bits]`: since the map is linear,
    /// these add up to it. In the order of the items. O(items x bits + bits^2).
    pub(super) fn pulls(&self, generation: &Generation, direction: &[f32]) -> Vec<(u32, f64)> {
        let weights = generation.fold_in().pull_back(direction);
        let norm = if self.norm > 0.0 { f64::from(self.norm) } else { 1.0 };
        let mut values = vec![0.0; weights.len()];
        let pull = |part: &Part| {
            values.fill(0.0);
            for (layer, range) in segments(generation.shape()).enumerate() {
                part.code.add_decoded(0, layer, part.factor, &mut values[range]);
            }
            (part.item, inner(&values, &weights) / norm)
        };
        self.parts.iter().map(pull).collect()
    }
}

/// The inner product, summed in f64.
pub(super) fn inner(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Where each layer is in a vector over all bits.
pub(super) fn segments(shape: &CodeShape) -> impl Iterator<Item = std::ops::Range<usize>> {
    shape.widths().iter().scan(0, |start, &width| {
        let from = *start;
        *start += width as usize;
        Some(from..*start)
    })
}
