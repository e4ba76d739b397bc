//! What a budget of codes finds, measured on sample queries against their exact answers.

/// Lengths of lists that are measured: about root 2 apart.
pub const DEPTHS: [u32; 20] = [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024];

/// Shares of the exact list that are measured.
pub const SHARES: [f32; 20] = [
    0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.9925, 0.995, 0.9975,
    0.999,
];

/// How many codes a search by a budget scores until it has found a share of the exact list, on average over sample queries and a standard error
/// more: for lists of every length in [`DEPTHS`], for the ranks between one of these lengths and the next, and for every share in [`SHARES`].
///
/// Which code comes next does not depend on the budget, so that one pass over a sample tells after how many codes each item of its list is scored; an
/// item that is scored is in the list. In a list of those items that a filter admits, what counts is the rank of each among all items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    /// `[lists, ranks][depth][share]`; `u32::MAX` where there was no item.
    budgets: Vec<u32>,
}

impl Calibration {
    /// Extents of [`Calibration::budgets`].
    pub const EXTENTS: [u64; 3] = [2, DEPTHS.len() as u64, SHARES.len() as u64];

    /// From the number of codes scored until each item of the exact list was, best item first, of every sample. O(samples x depths x log).
    pub(super) fn of(samples: &[Vec<u32>]) -> Self {
        let mut budgets = Vec::with_capacity(2 * DEPTHS.len() * SHARES.len());
        for of_lists in [true, false] {
            let mut before = 0;
            for depth in DEPTHS {
                let first = if of_lists { 0 } else { before as usize };
                let lists = samples.iter().map(|list| &list[first.min(list.len())..list.len().min(depth as usize)]);
                budgets.extend(budgets_of(lists.filter(|list| !list.is_empty()).map(<[u32]>::to_vec).collect()));
                before = depth;
            }
        }
        Self { budgets }
    }

    /// One that was stored; `None` where `budgets` is none.
    pub fn from_parts(budgets: Vec<u32>) -> Option<Self> {
        let rows = budgets.len() == 2 * DEPTHS.len() * SHARES.len();
        (rows && budgets.chunks_exact(SHARES.len()).all(<[u32]>::is_sorted)).then_some(Self { budgets })
    }

    /// `[lists, ranks][depth][share]`.
    pub fn budgets(&self) -> &[u32] {
        &self.budgets
    }

    /// The budget that finds `share` of a list of the best `depth` items; `u64::MAX` where none but that of all codes is known to.
    pub(super) fn budget(&self, depth: u64, share: f32) -> u64 {
        let Some(row) = self.lists(depth) else { return u64::MAX };
        let at = SHARES.partition_point(|&known| known < share);
        row.get(at).filter(|&&budget| budget < u32::MAX).map_or(u64::MAX, |&budget| u64::from(budget))
    }

    /// The share of a list of the best `depth` items that `budget` codes find at least.
    pub(super) fn share(&self, depth: u64, budget: u64) -> f32 {
        self.lists(depth).map_or(0.0, |row| share_of(row, budget))
    }

    /// The share that `budget` codes find of items of these ranks among all, ascending and from 0.
    pub(super) fn share_of_ranks(&self, ranks: &[u32], budget: u64) -> f32 {
        let shares = self.by_rank(ranks).map(|(row, count)| share_of(row, budget) * count as f32);
        shares.sum::<f32>() / ranks.len().max(1) as f32
    }

    /// The budget that finds `share` of items of these ranks among all, ascending and from 0: one that finds a known share of the last of them;
    /// `u64::MAX` where none does. O(depths x shares).
    pub(super) fn budget_of_ranks(&self, ranks: &[u32], share: f32) -> u64 {
        let Some((last, _)) = self.by_rank(ranks).last() else { return u64::MAX };
        let known = last.iter().filter(|&&budget| budget < u32::MAX).map(|&budget| u64::from(budget));
        known.into_iter().find(|&budget| self.share_of_ranks(ranks, budget) >= share).unwrap_or(u64::MAX)
    }

    /// The budgets of the shortest lists that are at least as long.
    fn lists(&self, depth: u64) -> Option<&[u32]> {
        let at = DEPTHS.partition_point(|&known| u64::from(known) < depth);
        self.budgets[..DEPTHS.len() * SHARES.len()].chunks_exact(SHARES.len()).nth(at)
    }

    /// The budgets of ranks, and how many of `ranks` they are of. Ranks past the last depth are of none.
    fn by_rank<'a>(&'a self, ranks: &'a [u32]) -> impl Iterator<Item = (&'a [u32], usize)> {
        let rows = self.budgets[DEPTHS.len() * SHARES.len()..].chunks_exact(SHARES.len());
        let mut before = 0;
        let counted = rows.zip(DEPTHS).map(move |(row, depth)| {
            let until = ranks.partition_point(|&rank| rank < depth);
            let count = until - before;
            before = until;
            (row, count)
        });
        counted.filter(|&(_, count)| count > 0)
    }
}

/// The budgets that find each of [`SHARES`] of what the lists hold, which was scored after so many codes, and a standard error more: that of the mean
/// over lists of what they find, since the items of one list are found or missed together.
fn budgets_of(mut lists: Vec<Vec<u32>>) -> [u32; SHARES.len()] {
    lists.iter_mut().for_each(|list| list.sort_unstable());
    let mut scored: Vec<u32> = lists.iter().flatten().copied().collect();
    scored.sort_unstable();
    let finds = |share: f64| {
        let last = ((share * scored.len() as f64).ceil() as usize).min(scored.len()).checked_sub(1);
        last.map_or(u32::MAX, |last| scored[last])
    };
    let mut least = 0;
    SHARES.map(|share| {
        let budget = finds(f64::from(share));
        let found = |list: &Vec<u32>| list.partition_point(|&codes| codes <= budget) as f64 / list.len() as f64;
        let mean = lists.iter().map(found).sum::<f64>() / lists.len() as f64;
        let squares: f64 = lists.iter().map(|list| (found(list) - mean).powi(2)).sum();
        let error = squares.sqrt() / lists.len() as f64;
        // Budgets rise with the share.
        least = finds(f64::from(share) + error).max(least);
        least
    })
}

/// The largest of [`SHARES`] that `budget` finds, by the budgets of each.
fn share_of(row: &[u32], budget: u64) -> f32 {
    let known = row.partition_point(|&needed| needed < u32::MAX && u64::from(needed) <= budget);
    known.checked_sub(1).map_or(0.0, |at| SHARES[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_budget_finds_its_share(
            samples in prop::collection::vec(prop::collection::vec(1..5000u32, 0..1500usize), 0..20),
            depth in 1..1100u64,
            at in 0..SHARES.len(),
        ) {
            let calibration = Calibration::of(&samples);
            let (share, budget) = (SHARES[at], calibration.budget(depth, SHARES[at]));
            let length = DEPTHS.into_iter().find(|&known| u64::from(known) >= depth);
            let lists: Vec<u32> =
                samples.iter().flat_map(|list| list.iter().take(length.unwrap_or(0) as usize)).copied().collect();
            let found = lists.iter().filter(|&&scored| u64::from(scored) <= budget).count() as f32;
            if budget == u64::MAX {
                prop_assert!(lists.is_empty());
                prop_assert_eq!(calibration.share(depth, 1 << 40), 0.0);
            } else {
                prop_assert!(found >= share * lists.len() as f32 - 1e-3, "{found} of {}", lists.len());
                prop_assert!(calibration.share(depth, budget) >= share);
            }
            // The same by the rank of each item.
            let ranks: Vec<u32> = (0..depth as u32).filter(|rank| rank % 3 != 0).collect();
            let budget = calibration.budget_of_ranks(&ranks, share);
            if budget < u64::MAX {
                prop_assert!(calibration.share_of_ranks(&ranks, budget) >= share);
            }
            let stored = Calibration::from_parts(calibration.budgets().to_vec());
            prop_assert_eq!(stored, Some(calibration));
        }
    }
}
