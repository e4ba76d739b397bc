//! What somebody touched, as one vector.

use super::FoldInMap;
use crate::code::{CodeShape, LayeredCodes};

/// Writes the profile of somebody who touched the `things` (each with the weight of the interaction and the number of users who have the thing):
/// the sum of the things' code vectors, each by its weight and divided by the square root of its users, scaled to length 1. `add` adds a
/// thing's code vector times a factor to the vector. Returns the length before it was scaled and every thing's factor; a profile of length 0,
/// where the codes cancel out, stays as it is.
pub(crate) fn write_profile<T>(
    things: &[(T, f32, u32)],
    out: &mut [f32],
    mut add: impl FnMut(&T, f32, &mut [f32]),
) -> (f32, Vec<f32>) {
    // Weights relative to the largest: their scale changes no ranking, and the profile stays finite.
    let heaviest = things.iter().fold(0.0f32, |most, &(_, weight, _)| most.max(weight));
    let factor = |&(_, weight, users): &(T, f32, u32)| weight / heaviest / (users.max(1) as f32).sqrt();
    let factors: Vec<f32> = things.iter().map(factor).collect();
    out.fill(0.0);
    things.iter().zip(&factors).for_each(|((thing, ..), &factor)| add(thing, factor, out));
    let norm = inner(out, out).sqrt() as f32;
    if norm > 0.0 {
        out.iter_mut().for_each(|x| *x /= norm);
    }
    (norm, factors)
}

/// An item somebody touched.
pub(crate) struct Touched {
    /// The item.
    pub(crate) item: u32,
    /// Its code, as the only row.
    pub(crate) code: LayeredCodes,
}

/// The profile of a user, and what it is made of.
pub(crate) struct Profile {
    things: Vec<(Touched, f32, u32)>,
    factors: Vec<f32>,
    values: Vec<f32>,
    norm: f32,
}

impl Profile {
    /// The profile of somebody who touched these, each with its weight and the number of users who have it; `None` of nobody. Sums run in the
    /// order given. O(items x bits).
    pub(crate) fn of(shape: &CodeShape, things: Vec<(Touched, f32, u32)>) -> Option<Self> {
        if things.is_empty() {
            return None;
        }
        let mut values = vec![0.0; shape.bits() as usize];
        let (norm, factors) = write_profile(&things, &mut values, |touched, factor, out| {
            add_code(&touched.code, factor, out);
        });
        Some(Self { things, factors, values, norm })
    }

    /// The vector training would have given somebody with this profile, `[bits]`. O(bits^2).
    pub(crate) fn vector(&self, map: &FoldInMap) -> Vec<f32> {
        map.apply(&self.values)
    }

    /// The profile less another, `[bits]`.
    pub(crate) fn minus(&self, other: &Self) -> Vec<f32> {
        self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect()
    }

    /// How much each item adds to the inner product of [`Profile::vector`] with `direction`, `[bits]`: since the map is linear, these add up to
    /// it. In the order of the items. O(items x bits + bits^2).
    pub(crate) fn pulls(&self, map: &FoldInMap, direction: &[f32]) -> Vec<(u32, f64)> {
        let weights = map.pull_back(direction);
        let norm = if self.norm > 0.0 { f64::from(self.norm) } else { 1.0 };
        let mut values = vec![0.0; weights.len()];
        let pull = |((touched, ..), &factor): (&(Touched, f32, u32), &f32)| {
            values.fill(0.0);
            add_code(&touched.code, factor, &mut values);
            (touched.item, inner(&values, &weights) / norm)
        };
        self.things.iter().zip(&self.factors).map(pull).collect()
    }
}

fn add_code(code: &LayeredCodes, factor: f32, out: &mut [f32]) {
    for (layer, range) in segments(code.shape()).enumerate() {
        code.add_decoded(0, layer, factor, &mut out[range]);
    }
}

/// The inner product, summed in f64.
pub(crate) fn inner(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Where each layer is in a vector over all bits.
pub(crate) fn segments(shape: &CodeShape) -> impl Iterator<Item = std::ops::Range<usize>> {
    shape.widths().iter().scan(0, |start, &width| {
        let from = *start;
        *start += width as usize;
        Some(from..*start)
    })
}
