//! Fold-in: a code on the spot for a user training has not seen, from the items they touched.

use super::vector::encode_segments;
use crate::arrivals::ArrivalIndex;
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
    let shape = generation.items().shape();
    encode_segments(shape, &vector, planes).map(Some)
}

/// What somebody touched, as one vector: the sum of the items' de-quantised codes, each by its weight and divided by the square root of its
/// degree, scaled to length 1 as the fold-in map was learned.
pub(super) struct Profile<'a> {
    parts: Vec<Part<'a>>,
    values: Vec<f32>,
    /// The length before it was scaled.
    norm: f32,
}

/// One item of a history.
struct Part<'a> {
    item: u32,
    codes: &'a LayeredCodes,
    row: usize,
    factor: f32,
}

impl<'a> Profile<'a> {
    /// The profile of a history; `None` where no item of it has a code. Items are summed in a fixed order, trained ones by external id and
    /// arrivals after them, so that the profile does not depend on the order they were loaded in. O(items x bits).
    pub(super) fn of(
        generation: &'a Generation,
        arrivals: Option<&'a ArrivalIndex>,
        history: &[(u32, f32)],
    ) -> Option<Self> {
        let trained = |item: u32| (generation.items(), item as usize, generation.item_degrees()[item as usize]);
        let mut known = Vec::with_capacity(history.len());
        for &(item, weight) in history {
            if generation.has_item(item) {
                known.push(((0, generation.ranks()[item as usize]), item, trained(item), weight));
            } else if let Some(code) = arrivals.and_then(|arrivals| arrivals.code(item)) {
                known.push(((1, code.1 as u32), item, code, weight));
            }
        }
        if known.is_empty() {
            return None;
        }
        known.sort_unstable_by_key(|&(order, ..)| order);
        // Weights relative to the largest: their scale changes no ranking, and the profile stays finite.
        let heaviest = known.iter().fold(0.0f32, |most, &(.., weight)| most.max(weight));
        let part = |(_, item, (codes, row, degree), weight): (_, u32, (_, usize, u32), f32)| Part {
            item,
            codes,
            row,
            factor: weight / heaviest / (degree.max(1) as f32).sqrt(),
        };
        let parts: Vec<Part<'_>> = known.into_iter().map(part).collect();
        let shape = generation.items().shape();
        let mut values = vec![0.0; shape.bits() as usize];
        for (layer, range) in segments(shape).enumerate() {
            parts
                .iter()
                .for_each(|part| part.codes.add_decoded(part.row, layer, part.factor, &mut values[range.clone()]));
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
        let pull = |part: &Part<'_>| {
            values.fill(0.0);
            for (layer, range) in segments(generation.items().shape()).enumerate() {
                part.codes.add_decoded(part.row, layer, part.factor, &mut values[range]);
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
