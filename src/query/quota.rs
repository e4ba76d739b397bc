//! Lists in which no value of an attribute comes too often.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use crate::attributes::{Column, Values};
use crate::index::Match;

/// How many items of each value a list has so far, and what may come no more.
pub(super) struct Quota<'a> {
    most: usize,
    column: &'a Column,
    counts: HashMap<u64, usize>,
    /// What was looked at, and all items of values that are full.
    pub(super) done: RoaringBitmap,
    chosen: Vec<Match>,
}

impl<'a> Quota<'a> {
    /// Nothing chosen yet, and at most so many of each value of a column.
    pub(super) fn new(most: usize, column: &'a Column) -> Self {
        Self { most, column, counts: HashMap::new(), done: RoaringBitmap::new(), chosen: Vec::new() }
    }

    /// Takes of `found`, the best of what is not done, what there is room for, until there are `k`; how many are missing.
    pub(super) fn take(&mut self, found: &[Match], k: usize) -> usize {
        for m in found {
            if self.chosen.len() == k {
                break;
            }
            self.done.insert(m.row);
            let values = self.values(m.row);
            let is_full = |value: &u64| self.counts.get(value).is_some_and(|&count| count >= self.most);
            if values.iter().any(is_full) {
                continue;
            }
            for value in values {
                let count = self.counts.entry(value).or_default();
                *count += 1;
                if *count == self.most {
                    self.done |= self.rows(m.row, value);
                }
            }
            self.chosen.push(*m);
        }
        k - self.chosen.len()
    }

    /// The list, best first.
    pub(super) fn into_list(self) -> Vec<Match> {
        self.chosen
    }

    /// The values of a row, as numbers; none where it has none, and then it stands for nothing but itself.
    fn values(&self, row: u32) -> Vec<u64> {
        match &self.column.values {
            Values::Bool(flags) => flags.get(row).map(u64::from).into_iter().collect(),
            Values::Number(numbers) => numbers.get(row).map(f64::to_bits).into_iter().collect(),
            Values::Text(words) | Values::Tags(words) => words.of(row).iter().map(|&word| u64::from(word)).collect(),
        }
    }

    /// The rows of a value that this row has.
    fn rows(&self, row: u32, value: u64) -> RoaringBitmap {
        match &self.column.values {
            Values::Bool(flags) => flags.rows(flags.get(row).unwrap_or_default()).clone(),
            Values::Number(numbers) => {
                let number = Some((f64::from_bits(value), true));
                numbers.between(number, number, self.column.present())
            }
            Values::Text(words) | Values::Tags(words) => words.rows_of(value as u32),
        }
    }
}
