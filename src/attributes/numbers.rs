//! Numbers by row, and rows by number.

use std::sync::Arc;

use roaring::{MultiOps, RoaringBitmap};

use super::bulk::ascending;
use crate::persistent::Pages;

/// Values a page holds.
const PAGE: usize = 64;
/// Rows of a run after which it is cut in two, if they have more than one number.
const RUN: u64 = 4096;

/// A number a row, and runs of rows with neighbouring numbers: a range is the union of the runs inside it and some rows of the two at its ends.
/// A copy is O(1); a change of a shared one copies a page, a run, and a pointer a run.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    /// Not a number where there is none.
    values: Pages<[f64; PAGE]>,
    runs: Arc<Vec<Run>>,
}

/// Rows of a run that is made at once, if they have more than one number: with room for some more.
const FILLED: usize = RUN as usize / 4 * 3;

/// Rows whose keys are at least `least`, and below that of the next run; none is above `most`.
#[derive(Clone)]
struct Run {
    least: u64,
    most: u64,
    rows: Arc<RoaringBitmap>,
    /// Not cut again below so many rows: those it has share a number.
    whole_until: u64,
}

/// A number as an integer in the same order.
fn key(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

impl Run {
    /// Of rows in the order of their keys; `None` of none.
    fn of(keyed: &[(u64, u32)]) -> Option<Self> {
        let (&(least, _), &(most, _)) = (keyed.first()?, keyed.last()?);
        let mut rows: Vec<u32> = keyed.iter().map(|&(_, row)| row).collect();
        rows.sort_unstable();
        let whole_until = if least == most { 2 * rows.len() as u64 } else { 0 };
        Some(Self { least, most, rows: Arc::new(ascending(rows)), whole_until })
    }
}

impl Numbers {
    /// Of rows, ascending, and their numbers. O(rows log rows).
    pub(super) fn of(given: &[(u32, f64)]) -> Self {
        let mut values = Pages::new();
        for page in given.chunk_by(|a, b| a.0 as usize / PAGE == b.0 as usize / PAGE) {
            let mut own = [f64::NAN; PAGE];
            page.iter().for_each(|&(row, number)| own[row as usize % PAGE] = number);
            // Pages that none of the rows is on.
            while values.len() < page[0].0 as usize / PAGE {
                values.push([f64::NAN; PAGE]);
            }
            values.push(own);
        }
        let mut keyed: Vec<(u64, u32)> = given.iter().map(|&(row, number)| (key(number), row)).collect();
        keyed.sort_unstable();
        let (mut runs, mut start, mut end) = (Vec::new(), 0, 0);
        for alike in keyed.chunk_by(|a, b| a.0 == b.0) {
            if end - start + alike.len() > FILLED {
                runs.extend(Run::of(&keyed[start..end]));
                start = end;
            }
            end += alike.len();
        }
        runs.extend(Run::of(&keyed[start..end]));
        Self { values, runs: Arc::new(runs) }
    }

    pub(crate) fn get(&self, row: u32) -> Option<f64> {
        let value = self.values.get(row as usize / PAGE)?[row as usize % PAGE];
        (!value.is_nan()).then_some(value)
    }

    pub(super) fn set(&mut self, row: u32, value: Option<f64>) {
        let before = self.get(row);
        if before == value {
            return;
        }
        if let Some(before) = before {
            self.leave(row, key(before));
        }
        let page = row as usize / PAGE;
        while self.values.len() <= page {
            self.values.push([f64::NAN; PAGE]);
        }
        if let Some(values) = self.values.get_mut(page) {
            values[row as usize % PAGE] = value.unwrap_or(f64::NAN);
        }
        if let Some(value) = value {
            self.join(row, key(value));
        }
    }

    /// The run a key belongs to.
    fn run_of(&self, key: u64) -> usize {
        self.runs.partition_point(|run| run.least <= key).saturating_sub(1)
    }

    fn leave(&mut self, row: u32, key: u64) {
        let at = self.run_of(key);
        let runs = Arc::make_mut(&mut self.runs);
        if let Some(run) = runs.get_mut(at) {
            Arc::make_mut(&mut run.rows).remove(row);
            if run.rows.is_empty() {
                runs.remove(at);
            }
        }
    }

    fn join(&mut self, row: u32, key: u64) {
        let at = self.run_of(key);
        let runs = Arc::make_mut(&mut self.runs);
        match runs.get_mut(at) {
            Some(run) => {
                // The first run takes what is below it.
                run.least = run.least.min(key);
                run.most = run.most.max(key);
                Arc::make_mut(&mut run.rows).insert(row);
                if run.rows.len() > run.whole_until.max(RUN) {
                    self.cut(at);
                }
            }
            None => {
                let rows = Arc::new(RoaringBitmap::from_iter([row]));
                runs.push(Run { least: key, most: key, rows, whole_until: 0 });
            }
        }
    }

    /// Cuts a run in two where its numbers change, as near to its middle as they do.
    fn cut(&mut self, at: usize) {
        let Some(run) = self.runs.get(at) else { return };
        let mut keyed: Vec<(u64, u32)> = run.rows.iter().filter_map(|row| Some((key(self.get(row)?), row))).collect();
        keyed.sort_unstable();
        let middle = keyed.len() / 2;
        let changes = |&at: &usize| at > 0 && at < keyed.len() && keyed[at - 1].0 < keyed[at].0;
        let cut = (0..=middle).flat_map(|step| [middle - step, middle + step]).find(changes);
        let runs = Arc::make_mut(&mut self.runs);
        match cut {
            Some(cut) => {
                let rows = |part: &[(u64, u32)]| Arc::new(part.iter().map(|&(_, row)| row).collect());
                let most = keyed[keyed.len() - 1].0;
                let upper = Run { least: keyed[cut].0, most, rows: rows(&keyed[cut..]), whole_until: 0 };
                (runs[at].most, runs[at].rows) = (keyed[cut - 1].0, rows(&keyed[..cut]));
                runs.insert(at + 1, upper);
            }
            None => runs[at].whole_until = 2 * runs[at].rows.len(),
        }
    }

    /// The rows of `all`, which are those with a number, whose number is above `from`, or equal to it if `with_from`, and below `to` likewise: those
    /// of the runs inside the range, or all but those outside, whichever is less. O(rows found or not found + runs).
    pub(crate) fn between(
        &self,
        from: Option<(f64, bool)>,
        to: Option<(f64, bool)>,
        all: &RoaringBitmap,
    ) -> RoaringBitmap {
        // Nothing is above or below what is no number.
        if [from, to].iter().flatten().any(|(bound, _)| bound.is_nan()) {
            return RoaringBitmap::new();
        }
        let low = from.map_or(0, |(from, with)| key(from + 0.0) + u64::from(!with));
        let high = to.map_or(u64::MAX, |(to, with)| key(to + 0.0) + u64::from(with));
        if low >= high {
            return RoaringBitmap::new();
        }
        let inside = |run: &Run| run.least >= low && run.most < high;
        let outside = |run: &Run| run.most < low || run.least >= high;
        let found: u64 = self.runs.iter().filter(|run| inside(run)).map(|run| run.rows.len()).sum();
        if found > all.len() / 2 {
            all - self.union(outside, inside, |key| !(low..high).contains(&key))
        } else {
            self.union(inside, outside, |key| (low..high).contains(&key))
        }
    }

    /// The rows of runs that are `whole`ly part of it, none of those that are `apart`, and of others those whose keys belong to it.
    fn union(
        &self,
        whole: impl Fn(&Run) -> bool,
        apart: impl Fn(&Run) -> bool,
        belongs: impl Fn(u64) -> bool,
    ) -> RoaringBitmap {
        let (mut runs, mut ends) = (Vec::new(), RoaringBitmap::new());
        for run in self.runs.iter() {
            if whole(run) {
                runs.push(&*run.rows);
            } else if !apart(run) {
                ends.extend(run.rows.iter().filter(|row| self.get(*row).is_some_and(|number| belongs(key(number)))));
            }
        }
        runs.into_iter().chain([&ends]).union()
    }

    pub(super) fn bytes(&self) -> usize {
        let runs = self.runs.iter().map(|run| size_of::<Run>() + run.rows.serialized_size());
        self.values.len() * PAGE * size_of::<f64>() + runs.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![2 => (-3i8..4).prop_map(f64::from), 1 => -1e3..1e3f64, 1 => Just(-0.0f64)]
    }

    /// What is asked for may be no number, of either sign.
    fn bound() -> impl Strategy<Value = Option<(f64, bool)>> {
        let bound = prop_oneof![8 => number(), 1 => Just(f64::NAN), 1 => Just(-f64::NAN), 1 => Just(f64::INFINITY)];
        prop::option::of((bound, any::<bool>()))
    }

    proptest! {
        #[test]
        fn ranges_are_those_of_a_list(
            steps in prop::collection::vec((0u32..300, prop::option::of(number())), 0..400),
            many in 0u32..3,
            asked in prop::collection::vec((bound(), bound()), 1..20),
        ) {
            let (mut numbers, mut naive) = (Numbers::default(), BTreeMap::new());
            // Enough rows that runs are cut, of one number and of many.
            for row in 0..many * 5_000 {
                let value = if many == 1 { 7.0 } else { f64::from(row % 977) };
                numbers.set(1_000 + row, Some(value));
                naive.insert(1_000 + row, value);
            }
            let copy = (numbers.clone(), naive.clone());
            for (row, value) in steps {
                // As attributes have them: one zero.
                let value = value.map(|value| value + 0.0);
                numbers.set(row, value);
                match value {
                    Some(value) => _ = naive.insert(row, value),
                    None => _ = naive.remove(&row),
                }
            }
            for (numbers, naive) in [copy, (numbers, naive)] {
                let all: RoaringBitmap = naive.keys().copied().collect();
                for &(from, to) in &asked {
                    let above = |value: f64| from.is_none_or(|(from, with)| value > from || (with && value == from));
                    let below = |value: f64| to.is_none_or(|(to, with)| value < to || (with && value == to));
                    let expected: RoaringBitmap =
                        naive.iter().filter(|&(_, &value)| above(value) && below(value)).map(|(&row, _)| row).collect();
                    prop_assert_eq!(numbers.between(from, to, &all), expected, "{:?} to {:?}", from, to);
                }
            }
        }
    }
}
