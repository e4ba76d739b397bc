//! Lists in which no value of an attribute comes too often.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::Engine;
use super::builder::invalid;
use crate::attributes::{Column, Table, Values};
use crate::error::Result;
use crate::index::{Found, Match};

/// How many items of each value a list has so far, and what may come no more.
pub(super) struct Quota<'a> {
    most: usize,
    column: &'a Column,
    counts: HashMap<u64, usize>,
    /// What was looked at, and all items of values that are full.
    done: RoaringBitmap,
    chosen: Vec<Match>,
}

impl<'a> Quota<'a> {
    /// Nothing chosen yet, and at most `most` of each value of an attribute.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for none of each value, and an attribute that nothing has.
    pub(super) fn of(table: &'a Table, most: usize, name: &str) -> Result<Self> {
        let what = || format!("at_most({most}, {name:?})");
        let column = table.column(name).ok_or_else(|| {
            let names: Vec<&str> = table.names().map(|(name, _)| name).collect();
            invalid(&what(), &format!("no item has this attribute; there are {}", names.join(", ")))
        })?;
        if most == 0 {
            return Err(invalid(&what(), "pass at least 1"));
        }
        Ok(Self { most, column, counts: HashMap::new(), done: RoaringBitmap::new(), chosen: Vec::new() })
    }

    /// The `k` best that keep to it, and what ran: `search` gives so many of the best that are not done. Of each search as many more are looked at, without
    /// those of values that are full, until there are enough or no more.
    ///
    /// # Errors
    /// What the search ends in.
    pub(super) fn fill(
        mut self,
        k: usize,
        mut search: impl FnMut(&RoaringBitmap, usize) -> Result<(Found, Engine)>,
    ) -> Result<(Found, Engine)> {
        let mut look = k.saturating_mul(2);
        let mut all: Option<(Found, Engine)> = None;
        loop {
            let (found, engine) = search(&self.done, look)?;
            let missing = self.take(&found.matches, k);
            let is_last = missing == 0 || found.matches.len() < look;
            let (mut sum, engine) = match all.take() {
                None => (found, engine),
                Some((mut sum, engine)) => {
                    sum.work.codes += found.work.codes;
                    sum.exact &= found.exact;
                    sum.recall = sum.recall.zip(found.recall).map(|(one, other)| one.min(other));
                    (sum, engine)
                }
            };
            if is_last {
                sum.matches = self.chosen;
                return Ok((sum, engine));
            }
            all = Some((sum, engine));
            look = look.saturating_mul(2);
        }
    }

    /// Takes of `found`, the best of what is not done, what there is room for, until there are `k`; how many are missing.
    fn take(&mut self, found: &[Match], k: usize) -> usize {
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
