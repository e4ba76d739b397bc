//! An order of storage made by the codes themselves: halves of halves, each around a centre of its own.

use super::nodes::SIZES;
use super::vectors::{add, mean, product};
use crate::code::LayeredCodes;
use crate::kernel::popcount::LANES;

/// How often the centres of two halves are moved, at most.
const ROUNDS: usize = 6;

/// Of more rows, about so many settle where the centres lie.
const SAMPLE: usize = 1 << 14;

/// Rows of each half, at most, that tell where rows belong that have changed.
const MENDED_BY: usize = 256;

/// Puts rows so that every block and every node of the index, of each size, holds items that score alike.
///
/// Balanced k-means with k = 2, again and again, down to single blocks. Of the vectors `alpha sigma` those with the largest product with the
/// difference of the two means go to the first half, as many as make whole nodes; long vectors part from short ones on the way. Depends on the
/// codes and the order of `rows` only, not on the number of threads; equal products go by row. O(n log n x bits), parallel.
pub(super) fn order(items: &LayeredCodes, rows: &mut [u32]) {
    let Some(half) = half(rows.len()) else { return };
    if rows.len() > SAMPLE {
        let every = rows.len() / SAMPLE;
        let mut sample: Vec<u32> = rows.iter().copied().step_by(every).collect();
        let middle = sample.len() / 2;
        let apart = settle(items, &mut sample, middle);
        part(items, rows, half, &apart);
    } else {
        settle(items, rows, half);
    }
    let (first, second) = rows.split_at_mut(half);
    rayon::join(|| order(items, first), || order(items, second));
}

/// Finds places for rows of which some have changed since [`order`] put them where they are. Those share the places of one another, so that nothing else
/// moves: in each half as many as before, those with the largest products with the difference of the means of some of either half in the first.
///
/// `moved` has the places of what changed, ascending, counted from `first`. O(moved x log n x bits), parallel.
pub(super) fn mend(items: &LayeredCodes, rows: &mut [u32], first: u32, moved: &[u32]) {
    let Some(half) = half(rows.len()).filter(|_| moved.len() > 1) else { return };
    let middle = first + half as u32;
    let in_front = moved.partition_point(|&place| place < middle);
    if in_front > 0 && in_front < moved.len() {
        let some = |rows: &[u32]| {
            let every = rows.len().div_ceil(MENDED_BY);
            let some: Vec<usize> = rows.iter().step_by(every).map(|&row| row as usize).collect();
            mean(items, some.into_iter())
        };
        let (front, back) = rows.split_at(half);
        let apart = difference(&some(front), &some(back));
        let mut changed: Vec<u32> = moved.iter().map(|&place| rows[(place - first) as usize]).collect();
        part(items, &mut changed, in_front, &apart);
        moved.iter().zip(changed).for_each(|(&place, row)| rows[(place - first) as usize] = row);
    }
    let ((front, back), (moved_front, moved_back)) = (rows.split_at_mut(half), moved.split_at(in_front));
    rayon::join(|| mend(items, front, first, moved_front), || mend(items, back, middle, moved_back));
}

/// Parts rows in two, of which the first has `half`; returns the difference of their means.
fn settle(items: &LayeredCodes, rows: &mut [u32], half: usize) -> Vec<f32> {
    part(items, rows, half, &poles(items, rows));
    let (first, second) = rows.split_at(half);
    let mean = |rows: &[u32]| mean(items, rows.iter().map(|&row| row as usize));
    let mut apart = difference(&mean(first), &mean(second));
    for _ in 0..ROUNDS {
        let before = rows[..half].to_vec();
        part(items, rows, half, &apart);
        let (left, entered) = exchanged(&before, &rows[..half]);
        if entered.is_empty() {
            break;
        }
        // A row that changes sides is taken from one mean and added to the other.
        let times = 1.0 / half as f32 + 1.0 / (rows.len() - half) as f32;
        entered.iter().for_each(|&row| add(items, row as usize, times, &mut apart));
        left.iter().for_each(|&row| add(items, row as usize, -times, &mut apart));
    }
    apart
}

/// Brings the `half` rows with the largest products to the front, and each part in the order of rows, on which sums depend.
fn part(items: &LayeredCodes, rows: &mut [u32], half: usize, apart: &[f32]) {
    let key = |&row: &u32| (descending(product(items, row as usize, apart)), row);
    let mut keyed: Vec<(u32, u32)> = rows.iter().map(key).collect();
    keyed.select_nth_unstable(half);
    let (first, second) = keyed.split_at_mut(half);
    for half in [first, second] {
        half.sort_unstable_by_key(|&(_, row)| row);
    }
    rows.iter_mut().zip(&keyed).for_each(|(row, &(_, keyed))| *row = keyed);
}

/// What is only in one, and only in the other, of two ascending lists.
fn exchanged(before: &[u32], after: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let missing = |from: &[u32], list: &[u32]| -> Vec<u32> {
        let mut at = 0;
        let is_missing = |row: &u32| {
            at += from[at..].partition_point(|other| other < row);
            from.get(at) != Some(row)
        };
        list.iter().copied().filter(is_missing).collect()
    };
    (missing(after, before), missing(before, after))
}

/// How many rows go to the first half: about a half, and whole nodes of the largest size there is room for.
fn half(rows: usize) -> Option<usize> {
    let size = SIZES.into_iter().rev().chain([LANES]).find(|&size| rows > size)?;
    Some((rows / size).div_ceil(2) * size)
}

/// Floats as integers in descending order.
fn descending(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

/// From one row to another, far from each other: one that is far from the mean, and one that is far from that.
fn poles(items: &LayeredCodes, rows: &[u32]) -> Vec<f32> {
    let farthest = |from: &[f32]| {
        let key = |&row: &u32| (descending(product(items, row as usize, from)), std::cmp::Reverse(row));
        mean(items, rows.iter().max_by_key(|row| key(row)).map(|&row| row as usize).into_iter())
    };
    let one = farthest(&mean(items, rows.iter().map(|&row| row as usize)));
    difference(&one, &farthest(&one))
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::code::CodeShape;
    use crate::code::tests::flipped_items;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_belongs_together_lies_together(seed: u64) {
            // Thirty-two centres far apart with 32 rows each, shuffled by a stride.
            let shape = Arc::new(CodeShape::hops(256, 0).unwrap());
            let items = flipped_items(&shape, 1024, 32, 10, seed);
            let shuffled: Vec<u32> = (0..1024).map(|i| i * 397 % 1024).collect();
            let words = shuffled.iter().flat_map(|&row| items.row(row as usize).words.to_vec()).collect();
            let scalers = (0..1024).map(|row| 1.0 + (row % 7) as f32 / 10.0).collect();
            let items = LayeredCodes::from_parts(shape, words, scalers).unwrap();
            let unordered: Vec<u32> = (0..1024).collect();
            let mut ordered = unordered.clone();
            order(&items, &mut ordered);
            let (found, random) = (scatter(&items, &ordered), scatter(&items, &unordered));
            prop_assert!(found < 0.6 * random, "{found} of {random}");
        }

        #[test]
        fn what_is_mended_lies_together_and_the_rest_stays(share in 0..20usize, new in 0..50usize, seed: u64) {
            // Some rows change to the codes of others, and some are new.
            let shape = Arc::new(CodeShape::hops(256, 0).unwrap());
            let of = |words: Vec<u64>| {
                let scalers = vec![1.0; words.len() / shape.words()];
                LayeredCodes::from_parts(Arc::clone(&shape), words, scalers).unwrap()
            };
            let before = of(flipped_items(&shape, 1024, 32, 10, seed).words().to_vec());
            let mut left: Vec<u32> = (0..1024).map(|i| i * 397 % 1024).collect();
            order(&before, &mut left);
            left.extend(1024..1024 + new as u32);
            let changed = |row: u32| row >= 1024 || row as usize * 31 % 100 < share;
            let from = |row: u32| if changed(row) { row * 7 % 1024 } else { row };
            let items = of((0..left.len() as u32).flat_map(|row| before.row(from(row) as usize).words.to_vec()).collect());
            let moved: Vec<u32> = (0..).zip(&left).filter(|&(_, &row)| changed(row)).map(|(place, _)| place).collect();
            let mut mended = left.clone();
            mend(&items, &mut mended, 0, &moved);
            for (place, (&now, &then)) in mended.iter().zip(&left).enumerate() {
                prop_assert!(now == then || moved.contains(&(place as u32)), "{place}");
            }
            let (found, before) = (scatter(&items, &mended), scatter(&items, &left));
            let mut anew: Vec<u32> = (0..left.len() as u32).collect();
            order(&items, &mut anew);
            let best = scatter(&items, &anew);
            prop_assert!(found <= 1.03 * before, "{before} to {found}");
            // A few have nowhere to go; of what more have lost at least a third is there again.
            let most = 0.67 * (before - best).max(0.0) + 0.05 * best;
            prop_assert!(moved.len() < 100 || found - best <= most, "{before} to {found}, anew {best}");
            mended.sort_unstable();
            prop_assert!(mended.into_iter().eq(0..left.len() as u32));
        }
    }

    #[test]
    fn what_two_lists_do_not_share_is_told() {
        assert_eq!(exchanged(&[1, 4, 5, 9], &[0, 4, 6, 9, 12]), (vec![1, 5], vec![0, 6, 12]));
        assert_eq!(exchanged(&[], &[3]), (vec![], vec![3]));
        assert_eq!(exchanged(&[3, 7], &[3, 7]), (vec![], vec![]));
    }

    /// The squared distances of all `alpha sigma` from the mean of their leaf, added up bit by bit.
    fn scatter(items: &LayeredCodes, order: &[u32]) -> f64 {
        let value = |row: u32, k: usize| {
            let row = items.row(row as usize);
            f64::from(row.scalers[0]) * if row.words[k / 64] >> (k % 64) & 1 == 1 { 1.0 } else { -1.0 }
        };
        let leaf = |leaf: &[u32], k: usize| {
            let mean = leaf.iter().map(|&row| value(row, k)).sum::<f64>() / leaf.len() as f64;
            leaf.iter().map(|&row| (value(row, k) - mean).powi(2)).sum::<f64>()
        };
        order.chunks(SIZES[0]).map(|rows| (0..256).map(|k| leaf(rows, k)).sum::<f64>()).sum()
    }
}
