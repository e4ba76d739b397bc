//! Lists of items that differ from one another.

use crate::code::{CodeShape, LayeredCodes};
use crate::index::Match;

/// So many times the items asked for are looked at, and at least [`LEAST`].
const TIMES: usize = 5;
const LEAST: usize = 100;

/// How many of the best items the `k` are chosen among.
pub(super) fn pool(k: usize) -> usize {
    k.saturating_mul(TIMES).max(LEAST)
}

/// The `k` of `matches` that maximal marginal relevance chooses, in its order (Carbonell and Goldstein, SIGIR 1998): the next one has the largest
/// `(1 - share) relevance - share similarity`, where relevance is the score, from 0 for the last of `matches` to 1 for the first, and similarity the
/// largest cosine of the item's code with that of one that is chosen. Of equals the one with the larger score is next. Items without a code are unlike all
/// others. O(k x matches x words).
pub(super) fn choose(
    matches: &[Match],
    k: usize,
    share: f32,
    code_of: impl Fn(u32) -> Option<LayeredCodes>,
) -> Vec<Match> {
    let (Some(first), Some(last)) = (matches.first(), matches.last()) else { return Vec::new() };
    let span = first.score - last.score;
    let relevance = |m: &Match| if span > 0.0 { (m.score - last.score) / span } else { 1.0 };
    let codes: Vec<Option<LayeredCodes>> = matches.iter().map(|m| code_of(m.row)).collect();
    // The largest cosine with what is chosen; nothing is yet.
    let mut nearest = vec![0.0f32; matches.len()];
    let mut left: Vec<usize> = (0..matches.len()).collect();
    let mut chosen = Vec::with_capacity(k.min(matches.len()));
    while chosen.len() < k && !left.is_empty() {
        let worth = |&at: &usize| (1.0 - share) * relevance(&matches[at]) - share * nearest[at];
        let mut best = 0;
        for place in 1..left.len() {
            if worth(&left[place]) > worth(&left[best]) {
                best = place;
            }
        }
        let at = left.remove(best);
        chosen.push(matches[at]);
        for &other in &left {
            if let (Some(one), Some(another)) = (&codes[at], &codes[other]) {
                nearest[other] = nearest[other].max(cosine(one, another));
            }
        }
    }
    chosen
}

/// The cosine of the first rows of two sets of codes of one shape, all layers with their weights. O(words).
fn cosine(a: &LayeredCodes, b: &LayeredCodes) -> f32 {
    let (shape, one, other) = (a.shape(), a.row(0), b.row(0));
    let mut product = 0.0;
    for layer in 0..shape.layers() {
        let words = shape.layer_words(layer);
        let differing: u32 = words.map(|word| (one.words[word] ^ other.words[word]).count_ones()).sum();
        let agreement = shape.widths()[layer] as f32 - 2.0 * differing as f32;
        product += squared_weight(shape, layer) * one.scalers[layer] * other.scalers[layer] * agreement;
    }
    let norms = norm(shape, one.scalers) * norm(shape, other.scalers);
    if norms > 0.0 { product / norms } else { 0.0 }
}

fn norm(shape: &CodeShape, scalers: &[f32]) -> f32 {
    let square = |layer: usize| squared_weight(shape, layer) * scalers[layer].powi(2) * shape.widths()[layer] as f32;
    (0..shape.layers()).map(square).sum::<f32>().sqrt()
}

fn squared_weight(shape: &CodeShape, layer: usize) -> f32 {
    shape.weights()[layer] * shape.weights()[layer]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::code::tests::flipped_items;

    fn vector(codes: &LayeredCodes, row: usize) -> Vec<f64> {
        let (shape, row) = (codes.shape(), codes.row(row));
        let mut vector = Vec::new();
        for layer in 0..shape.layers() {
            let first = 64 * shape.layer_words(layer).start;
            for bit in first..first + shape.widths()[layer] as usize {
                let sign = if row.words[bit / 64] >> (bit % 64) & 1 == 1 { 1.0 } else { -1.0 };
                vector.push(sign * f64::from(row.scalers[layer] * shape.weights()[layer]));
            }
        }
        vector
    }

    fn one(codes: &LayeredCodes, row: usize) -> LayeredCodes {
        let row = codes.row(row);
        LayeredCodes::from_parts(Arc::clone(codes.shape()), row.words.to_vec(), row.scalers.to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_what_the_definition_says(
            width in 1..90u32,
            hops in 0..2usize,
            scores in prop::collection::vec(0..20u32, 0..24),
            k in 1..30usize,
            share in 0.0..=1.0f32,
            seed: u64,
        ) {
            let shape = Arc::new(CodeShape::hops(width, hops).unwrap());
            let items = flipped_items(&shape, scores.len(), 4, 5, seed);
            let mut matches: Vec<Match> =
                (0..).zip(&scores).map(|(row, &score)| Match { row, score: score as f32 }).collect();
            matches.sort_by(|a, b| b.score.total_cmp(&a.score));
            let found = choose(&matches, k, share, |row| (row % 5 != 4).then(|| one(&items, row as usize)));
            prop_assert_eq!(found.len(), k.min(matches.len()));
            let cosine_of = |a: u32, b: u32| {
                if a % 5 == 4 || b % 5 == 4 {
                    return 0.0;
                }
                let (a, b) = (vector(&items, a as usize), vector(&items, b as usize));
                let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
                dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt().max(1e-30)
            };
            for (n, next) in found.iter().enumerate() {
                let worth = |m: &Match| {
                    let (most, least) = (matches[0].score, matches[matches.len() - 1].score);
                    let relevance = if most > least { (m.score - least) / (most - least) } else { 1.0 };
                    let nearest = found[..n].iter().map(|other| cosine_of(m.row, other.row)).fold(0.0, f64::max);
                    f64::from(1.0 - share) * f64::from(relevance) - f64::from(share) * nearest
                };
                let rest = matches.iter().filter(|m| found[..n].iter().all(|other| other.row != m.row));
                let best = rest.map(worth).fold(f64::MIN, f64::max);
                prop_assert!(worth(next) >= best - 1e-4, "{} of {best}", worth(next));
            }
        }
    }
}
