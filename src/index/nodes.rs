use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::code::{CodeError, LayeredCodes, Row};
use crate::kernel::popcount::{Balls, LANES};

/// Items of a node, by level. Sixteen nodes make one of the next level, so that a node's children are one block of [`Balls`].
pub const SIZES: [usize; 3] = [32, 32 * LANES, 32 * LANES * LANES];

/// Blocks of codes in a node of the lowest level.
pub const LEAF_BLOCKS: usize = SIZES[0] / LANES;

/// Below this many items the largest nodes save nothing.
const LARGE: usize = 8 * SIZES[2];

/// Items the centre of a node is the majority of, at most.
const VOTERS: usize = 256;

/// Balls around runs of neighbouring items: about 2.2 bytes per item for four layers of 64 bits.
///
/// A node's centre is the majority of its items (of up to 256 of them, evenly spread: any centre gives a valid ball), its radius exact.
#[derive(Debug, Clone)]
pub struct Nodes {
    levels: Vec<Balls>,
}

impl Nodes {
    /// The nodes of `items`, which are in the order of storage. O(n x words), parallel.
    ///
    /// # Errors
    /// None that valid codes give.
    pub fn build(items: &LayeredCodes) -> Result<Self, CodeError> {
        let sizes = if items.len() < LARGE { &SIZES[..2] } else { &SIZES[..] };
        let levels = sizes.iter().map(|&size| level(items, size)).collect::<Result<_, _>>()?;
        Ok(Self { levels })
    }

    /// The levels, the smallest nodes first.
    pub fn levels(&self) -> &[Balls] {
        &self.levels
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(Balls::bytes).sum()
    }
}

fn level(items: &LayeredCodes, size: usize) -> Result<Balls, CodeError> {
    let shape = items.shape();
    let runs = (0..items.len().div_ceil(size)).into_par_iter();
    let balls: Vec<Ball> = runs.map(|run| Ball::of(items, run * size..items.len().min((run + 1) * size))).collect();
    let words = balls.iter().flat_map(|ball| ball.centre.iter().copied()).collect();
    let scalers = balls.iter().flat_map(|ball| ball.scalers.iter().copied()).collect();
    let radii: Vec<u32> = balls.iter().flat_map(|ball| ball.radii.iter().copied()).collect();
    Balls::new(&LayeredCodes::from_parts(Arc::clone(shape), words, scalers)?, &radii)
}

/// The smallest ball around the majority of some rows.
struct Ball {
    centre: Vec<u64>,
    radii: Vec<u32>,
    scalers: Vec<f32>,
}

impl Ball {
    fn of(items: &LayeredCodes, rows: Range<usize>) -> Self {
        let shape = items.shape();
        let centre = majority(items, rows.clone());
        let mut ball = Self { centre, radii: vec![0; shape.layers()], scalers: vec![0.0; shape.layers()] };
        for row in rows {
            let Row { words, scalers } = items.row(row);
            for (layer, radius) in ball.radii.iter_mut().enumerate() {
                let words = shape.layer_words(layer).map(|word| (words[word] ^ ball.centre[word]).count_ones());
                *radius = words.sum::<u32>().max(*radius);
            }
            for (most, &scaler) in ball.scalers.iter_mut().zip(scalers) {
                *most = if scaler > *most { scaler } else { *most };
            }
        }
        ball
    }
}

/// Binary digits of a count of at most [`VOTERS`].
const DIGITS: usize = VOTERS.ilog2() as usize + 1;

/// The bits more than half of the voters have.
///
/// Votes for the 64 bits of a word are counted side by side: digit d of all counts is one word, and a vote is added as a carry that runs
/// through the digits. O(voters x words) operations on words.
pub(super) fn majority(items: &LayeredCodes, rows: Range<usize>) -> Vec<u64> {
    let stride = rows.len().div_ceil(VOTERS).max(1);
    let voters = rows.len().div_ceil(stride);
    let mut counts = vec![[0u64; DIGITS]; items.shape().words()];
    for row in rows.step_by(stride) {
        for (digits, &word) in counts.iter_mut().zip(items.row(row).words) {
            let mut carry = word;
            for digit in digits {
                (*digit, carry) = (*digit ^ carry, *digit & carry);
                if carry == 0 {
                    break;
                }
            }
        }
    }
    counts.iter().map(|digits| at_least(digits, voters / 2 + 1)).collect()
}

/// Which of the 64 counts are at least `least`, by comparison from the highest digit down.
fn at_least(digits: &[u64; DIGITS], least: usize) -> u64 {
    let (mut more, mut same) = (0, u64::MAX);
    for (d, &digit) in digits.iter().enumerate().rev() {
        if least >> d & 1 == 1 {
            same &= digit;
        } else {
            more |= same & digit;
            same &= !digit;
        }
    }
    more | same
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::CodeShape;
    use crate::code::tests::flipped_items;

    proptest! {
        #[test]
        fn a_majority_is_counted_bit_by_bit(rows in 1..700usize, run in 1..100usize, flips in 0..40usize, seed: u64) {
            let shape = Arc::new(CodeShape::hops(70, 1).unwrap());
            let items = flipped_items(&shape, rows, run, flips, seed);
            let stride = rows.div_ceil(VOTERS);
            let voters: Vec<&[u64]> = (0..rows).step_by(stride).map(|row| items.row(row).words).collect();
            let expected: Vec<u64> = (0..shape.words())
                .map(|word| {
                    (0..64).fold(0, |bits, bit| {
                        let votes = voters.iter().filter(|voter| voter[word] >> bit & 1 == 1).count();
                        bits | u64::from(2 * votes > voters.len()) << bit
                    })
                })
                .collect();
            prop_assert_eq!(majority(&items, 0..rows), expected);
        }
    }
}
