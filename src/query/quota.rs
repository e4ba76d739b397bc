//! Lists in which no value of an attribute comes too often.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use roaring::{MultiOps, RoaringBitmap};

use super::Engine;
use crate::attributes::{Column, Table, Values};
use crate::error::{Result, invalid};
use crate::index::{Found, Match};

/// How many items of each value a list has so far, and what may come no more.
pub(super) struct Quota<'a> {
    most: usize,
    column: &'a Column,
    counts: HashMap<u64, usize>,
    /// What was looked at, and all items of values that were full by the last search.
    done: RoaringBitmap,
    /// Values that are full since, each with a row that has it.
    full: Vec<(u32, u64)>,
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
        Ok(Self {
            most,
            column,
            counts: HashMap::new(),
            done: RoaringBitmap::new(),
            full: Vec::new(),
            chosen: Vec::new(),
        })
    }

    /// The `k` best that keep to it, and what ran: `search` gives so many of the best that are not done. Of each search as many more are looked at, without
    /// those of values that are full, until there are enough or no more. A later search that is not exact may come upon what is better than what an earlier
    /// one found, so the list is put in order, ties as `compare` orders items.
    ///
    /// # Errors
    /// What the search ends in.
    pub(super) fn fill(
        mut self,
        k: usize,
        compare: impl Fn(u32, u32) -> Ordering,
        mut search: impl FnMut(&RoaringBitmap, usize) -> Result<(Found, Engine)>,
    ) -> Result<(Found, Engine)> {
        let mut look = k.saturating_mul(2);
        let mut all: Option<(Found, Engine)> = None;
        loop {
            self.close();
            let (found, engine) = search(&self.done, look)?;
            let missing = self.take(&found.matches, k);
            let is_last = missing == 0 || found.matches.len() < look;
            let (mut sum, engine) = match all.take() {
                None => (found, engine),
                Some((mut sum, engine)) => {
                    sum.work += found.work;
                    sum.exact &= found.exact;
                    sum.recall = sum.recall.zip(found.recall).map(|(one, other)| one.min(other));
                    (sum, engine)
                }
            };
            if is_last {
                self.chosen.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| compare(a.row, b.row)));
                sum.matches = self.chosen;
                return Ok((sum, engine));
            }
            all = Some((sum, engine));
            look = look.saturating_mul(2);
        }
    }

    /// Has the next search leave out all items of values that are full.
    fn close(&mut self) {
        let full: Vec<_> = self.full.drain(..).map(|(row, value)| rows(self.column, row, value)).collect();
        self.done |= full.iter().map(|rows| &**rows).union();
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
                    self.full.push((m.row, value));
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
}

/// The rows of a value that a row has.
fn rows(column: &Column, row: u32, value: u64) -> Arc<RoaringBitmap> {
    match &column.values {
        Values::Bool(flags) => Arc::clone(flags.rows(flags.get(row).unwrap_or_default())),
        Values::Number(numbers) => {
            let number = Some((f64::from_bits(value), true));
            Arc::new(numbers.between(number, number, column.present()))
        }
        Values::Text(words) | Values::Tags(words) => words.rows_of(value as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attributes;
    use crate::index::{EngineKind, Work};

    #[test]
    fn what_rounds_take_adds_up_and_full_values_are_looked_at_once() {
        // Row r is the r-th best; of six values the first has nearly all of the best.
        let mut table = Table::default();
        let value = |row: u32| if row < 90 { row % 10 / 9 } else { row % 6 };
        for row in 0..200 {
            table.set(row, &Attributes::new().set("value", format!("v{}", value(row)))).unwrap();
        }
        let mut rounds: Vec<Vec<u32>> = Vec::new();
        let quota = Quota::of(&table, 2, "value").unwrap();
        let (found, _) = quota
            .fill(
                11,
                |a, b| a.cmp(&b),
                |done, depth| {
                    let rows: Vec<u32> = (0..200).filter(|&row| !done.contains(row)).take(depth).collect();
                    let matches = rows.iter().map(|&row| Match { row, score: -(row as f32) }).collect();
                    rounds.push(rows);
                    let round = rounds.len() as u64;
                    let work = Work { nodes: round, buckets: 10 * round, heads: 100 * round, codes: 1_000 * round };
                    Ok((
                        Found { matches, engine: EngineKind::Tree, work, exact: true, recall: Some(1.0) },
                        Engine::Tree,
                    ))
                },
            )
            .unwrap();
        let chosen: Vec<u32> = found.matches.iter().map(|m| m.row).collect();
        assert_eq!(chosen, [0, 1, 9, 19, 92, 93, 94, 95, 98, 99, 100]);
        let sum = (1..=rounds.len() as u64).sum::<u64>();
        assert_eq!(found.work, Work { nodes: sum, buckets: 10 * sum, heads: 100 * sum, codes: 1_000 * sum });
        assert!(rounds.len() > 1 && rounds[1..].iter().flatten().all(|&row| value(row) > 1), "{rounds:?}");
    }

    #[test]
    fn what_a_later_search_finds_better_comes_first() {
        let mut table = Table::default();
        for row in 0..6 {
            let value = if row < 4 { "common" } else { "rare" };
            table.set(row, &Attributes::new().set("value", value)).unwrap();
        }
        // The first search overlooks row 5, the best of all; rows 0 and 4 score alike.
        let rounds = [vec![(0, 9.0), (1, 8.0), (2, 7.0), (3, 6.0)], vec![(5, 9.5), (4, 9.0)]];
        let mut rounds = rounds.into_iter();
        let quota = Quota::of(&table, 1, "value").unwrap();
        let (found, _) = quota
            .fill(
                2,
                |a, b| b.cmp(&a),
                |_, _| {
                    let matches = rounds.next().unwrap().into_iter().map(|(row, score)| Match { row, score }).collect();
                    let work = Work::default();
                    Ok((
                        Found { matches, engine: EngineKind::Tree, work, exact: false, recall: Some(0.9) },
                        Engine::Tree,
                    ))
                },
            )
            .unwrap();
        let chosen: Vec<u32> = found.matches.iter().map(|m| m.row).collect();
        assert_eq!(chosen, [5, 0]);
    }
}
