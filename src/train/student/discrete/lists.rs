//! The items a user is fitted to above others: the teacher's best of those the user has not had, which are what is recommended.

use rayon::prelude::*;

use crate::code::{LayeredCodes, PlaneCodes, QueryCode};
use crate::error::Result;
use crate::index::{Effort, Filter, Index, Linear, Match, Order, Seen, TopK};
use crate::train::context::Context;
use crate::train::optim::random::subset;
use crate::train::student::Tables;
use crate::train::teacher::scores::Scores;

/// Items that are all scored for every user. Of more, only candidates are.
const MOST_SCORED: usize = 1 << 14;
/// Items that the deviation of a user's scores is estimated from, where there are more.
const SAMPLE: usize = 2048;
/// Candidates by codes, for each item of a list.
const BY_CODES: usize = 3;
/// Items whose codes are all scored for a user's candidates. Of more, the best buckets of them are.
const MOST_SCANNED: usize = 1 << 16;
/// Codes scored then, for each candidate.
const SCANNED: u64 = 32;
/// Buckets are made for at least so many users among a million items; for fewer, scans are quicker.
const WORTHWHILE: usize = 16_384;
/// Users whose lists are drawn before they are put to the others'.
const PART: usize = 2048;
/// Users whose candidates are looked for together.
const TOGETHER: usize = 8;
/// Candidates by neighbours, for each item of a list.
const BY_NEIGHBOURS: usize = 2;

/// Entries of rows, rising, with targets.
#[derive(Default)]
pub(super) struct Lists {
    ends: Vec<usize>,
    rows: Vec<u32>,
    goals: Vec<f32>,
}

/// The rows of [`Lists`] by what they point to.
#[derive(Default)]
pub(super) struct Holders {
    ends: Vec<usize>,
    rows: Vec<u32>,
}

/// The items of one user's list, rising, with scores.
pub(super) type List = Vec<(u32, f32)>;

/// The lists of users, and what makes scores targets.
pub(super) struct Drawn<L> {
    /// The best items that every user with something to fit has not had, rising; the goals are the teacher's scores.
    pub(super) lists: L,
    /// The deviation of every user's scores over the items.
    pub(super) deviations: Vec<f32>,
}

/// Draws lists of at most `most` items that users have not had. Where there are many items, they are the best among candidates: those with the best codes, by `start`, and
/// those the user's neighbours add most to. `means` are those of every user's scores.
/// O(users items width) up to 16,384 items, then O(users (items words + candidates width)); codes in buckets, of which 32 a candidate are looked at, from
/// 65,536 on.
pub(super) fn draw(
    context: &Context<'_>,
    scores: &Scores<'_>,
    start: &Tables,
    means: &[f32],
    most: usize,
) -> Result<Drawn<Lists>> {
    let (n_users, n_items) = (context.graph.n_users(), start.items.rows());
    let is_active = |user: usize| context.graph.users().degree(user) > 0;
    let sample = subset(&mut context.rng("candidates"), n_items, if n_items > MOST_SCORED { SAMPLE } else { n_items });
    let is_all = sample.len() == n_items;
    let candidates = if is_all { None } else { Some(Candidates::new(context, start, n_users)?) };
    let mut lists = Lists::with_capacity(n_users, most.min(n_items));
    let mut deviations = Vec::with_capacity(n_users);
    let users: Vec<u32> = (0..n_users as u32).collect();
    for users in users.chunks(PART) {
        let sampled = scores.map_some(context, users, &sample, |user, row| {
            let squares = row.iter().map(|x| (x - means[user]) * (x - means[user])).sum::<f32>();
            let deviation = (squares / row.len().max(1) as f32).sqrt();
            let list = match is_all && is_active(user) {
                true => best(&sample, row, context.graph.users().row(user), most),
                false => Vec::new(),
            };
            (deviation, list)
        })?;
        let (some, mut drawn): (Vec<f32>, Vec<List>) = sampled.into_iter().unzip();
        if let Some(candidates) = &candidates {
            drawn = candidates.lists(context, scores, users, most)?;
        }
        deviations.extend(some);
        drawn.into_iter().for_each(|list| lists.push(list.into_iter()));
    }
    Ok(Drawn { lists, deviations })
}

/// Whether lists are drawn from candidates, among so many items.
pub(super) fn has_candidates(n_items: usize) -> bool {
    n_items > MOST_SCORED
}

/// As [`draw`], of some users, all of whom have a code in `tables`, where there are candidates to draw from. `means` are those of these users.
/// O(users (items words + (candidates + sample) width)), or less by buckets where there are many users.
pub(super) fn draw_some(
    context: &Context<'_>,
    scores: &Scores<'_>,
    tables: &Tables,
    (users, means): (&[u32], &[f32]),
    most: usize,
) -> Result<Drawn<Vec<List>>> {
    let sample = subset(&mut context.rng("candidates"), tables.items.rows(), SAMPLE);
    let mean = |user: usize| users.binary_search(&(user as u32)).map_or(0.0, |at| means[at]);
    let deviations = scores.map_some(context, users, &sample, |user, row| {
        let mean = mean(user);
        let squares = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
        (squares / row.len().max(1) as f32).sqrt()
    })?;
    Ok(Drawn { lists: Candidates::new(context, tables, users.len())?.lists(context, scores, users, most)?, deviations })
}

/// Where candidates come from.
struct Candidates {
    users: PlaneCodes,
    items: Codes,
}

/// The items' codes, for searches of the best.
enum Codes {
    Scanned(Box<Linear>),
    Bucketed(Box<Index>),
}

impl Codes {
    /// For searches of so many users.
    fn new(context: &Context<'_>, items: &LayeredCodes, n_users: usize) -> Result<Codes> {
        let ranks: Vec<u32> = (0..items.len() as u32).collect();
        let worthwhile = n_users >= (items.len() as u64 * WORTHWHILE as u64 / 1_000_000) as usize;
        Ok(match items.len() > MOST_SCANNED && worthwhile {
            true => {
                let order = Order::without_bands(items);
                Codes::Bucketed(Box::new(Index::with_order(items, order, ranks, context.popcount)?))
            }
            false => Codes::Scanned(Box::new(Linear::build(items, ranks, context.popcount)?)),
        })
    }

    /// The best `k` items of some users that are not `seen`, or nearly.
    fn best(&self, users: &[(QueryCode, &[u32])], k: usize) -> Result<Vec<Vec<Match>>> {
        let filters = || users.iter().map(|(_, seen)| Filter { seen: Seen::of(seen), ..Filter::default() });
        match self {
            Codes::Scanned(items) => {
                let queries: Vec<_> = users.iter().map(|user| &user.0).zip(filters()).collect();
                Ok(items.search_together(&queries, k)?.into_iter().map(|found| found.matches).collect())
            }
            Codes::Bucketed(items) => {
                let effort = Effort::Budget(SCANNED * k as u64);
                let each = users.iter().zip(filters());
                each.map(|(user, filter)| Ok(items.search_with(&user.0, k, &filter, None, effort)?.matches)).collect()
            }
        }
    }
}

impl Candidates {
    fn new(context: &Context<'_>, start: &Tables, n_users: usize) -> Result<Candidates> {
        let shape = std::sync::Arc::new(start.shape()?);
        let items = start.encode_items(&shape)?;
        Ok(Candidates { users: start.encode_users(&shape, 1)?, items: Codes::new(context, &items, n_users)? })
    }

    /// The lists of some users.
    fn lists(&self, context: &Context<'_>, scores: &Scores<'_>, users: &[u32], most: usize) -> Result<Vec<List>> {
        let seen = |user: u32| context.graph.users().row(user as usize);
        let blocks: Vec<Vec<_>> = users
            .par_chunks(TOGETHER)
            .map_init(
                || scores.nothing_added(),
                |added, users| {
                    context.check()?;
                    let queries: Vec<(QueryCode, &[u32])> = users
                        .iter()
                        .map(|&user| Ok((self.users.query(user as usize, 1)?, seen(user))))
                        .collect::<Result<_>>()?;
                    let by_codes = self.items.best(&queries, BY_CODES * most)?;
                    let list = |(&user, by_codes): (&u32, Vec<Match>)| {
                        if seen(user).is_empty() {
                            return Vec::new();
                        }
                        scores.add_neighbours(user as usize, added);
                        // Those by neighbours may be among the user's own.
                        let mut candidates = added.largest(BY_NEIGHBOURS * most).to_vec();
                        candidates.extend(by_codes.iter().map(|found| found.row));
                        candidates.sort_unstable();
                        candidates.dedup();
                        let row = scores.of(user as usize, &candidates, added);
                        added.clear();
                        best(&candidates, &row, seen(user), most)
                    };
                    Ok(users.iter().zip(by_codes).map(list).collect())
                },
            )
            .collect::<Result<_>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }
}

impl Lists {
    /// No row, with room for so many of so many entries.
    fn with_capacity(rows: usize, entries: usize) -> Lists {
        let all = rows * entries;
        Lists { ends: Vec::with_capacity(rows), rows: Vec::with_capacity(all), goals: Vec::with_capacity(all) }
    }

    /// Makes every goal of a row that is `wanted` what `goal` makes of it, and leaves nothing of the others.
    pub(super) fn aim(&mut self, wanted: impl Fn(usize) -> bool, goal: impl Fn(usize, f32) -> f32) {
        let Lists { ends, rows, goals } = self;
        let (mut start, mut kept) = (0, 0);
        for (row, end) in ends.iter_mut().enumerate() {
            let span = std::mem::replace(&mut start, *end)..*end;
            if wanted(row) {
                rows.copy_within(span.clone(), kept);
                for at in span {
                    goals[kept] = goal(row, goals[at]);
                    kept += 1;
                }
            }
            *end = kept;
        }
        rows.truncate(kept);
        goals.truncate(kept);
    }

    pub(super) fn push(&mut self, entries: impl Iterator<Item = (u32, f32)>) {
        entries.for_each(|(row, goal)| {
            self.rows.push(row);
            self.goals.push(goal);
        });
        self.ends.push(self.rows.len());
    }

    pub(super) fn row(&self, row: usize) -> std::iter::Zip<std::slice::Iter<'_, u32>, std::slice::Iter<'_, f32>> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let span = start..self.ends[row];
        self.rows[span.clone()].iter().zip(&self.goals[span])
    }

    /// The targets of all entries.
    pub(super) fn goals(&self) -> &[f32] {
        &self.goals
    }

    /// The target of an entry. O(log row).
    pub(super) fn goal(&self, row: usize, to: u32) -> Option<f32> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.rows[start..self.ends[row]].binary_search(&to).ok().map(|at| self.goals[start + at])
    }

    /// The rows by what they point to, of which there are `n`. Targets stay where they are: they are half of what lists take.
    pub(super) fn holders(&self, n: usize) -> Holders {
        let mut starts = vec![0usize; n + 1];
        self.rows.iter().for_each(|&row| starts[row as usize + 1] += 1);
        (0..n).for_each(|row| starts[row + 1] += starts[row]);
        let mut out = Holders { ends: starts[1..].to_vec(), rows: vec![0; self.rows.len()] };
        for row in 0..self.ends.len() {
            for (&to, _) in self.row(row) {
                let at = &mut starts[to as usize];
                out.rows[*at] = row as u32;
                *at += 1;
            }
        }
        out
    }
}

impl Holders {
    /// The rows that point there, rising.
    pub(super) fn of(&self, to: usize) -> &[u32] {
        let start = if to == 0 { 0 } else { self.ends[to - 1] };
        &self.rows[start..self.ends[to]]
    }
}

/// The `most` items of the largest scores that are not `seen`, ties by position, in the order of `items`; both rise. O(scores + seen).
pub(super) fn best(items: &[u32], scores: &[f32], seen: &[u32], most: usize) -> Vec<(u32, f32)> {
    let mut best = TopK::new(most, scores.len());
    let mut seen = seen.iter().copied().peekable();
    for ((at, &item), &score) in (0..).zip(items).zip(scores) {
        while seen.next_if(|&seen| seen < item).is_some() {}
        if score >= best.threshold() && seen.peek() != Some(&item) {
            best.push(score, at, at);
        }
    }
    let mut positions: Vec<u32> = best.into_sorted().into_iter().map(|(at, _)| at).collect();
    positions.sort_unstable();
    positions.into_iter().map(|at| (items[at as usize], scores[at as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optim::random::{below, normal_matrix};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    #[test]
    fn the_best_are_those_of_a_sort() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        for _ in 0..200 {
            let (n, most) = (below(&mut rng, 300), 1 + below(&mut rng, 40));
            let scores: Vec<f32> = (0..n).map(|_| below(&mut rng, 50) as f32).collect();
            let items: Vec<u32> = (0..n as u32).map(|at| 3 * at).collect();
            let seen: Vec<u32> = (0..4 * n as u32).filter(|_| below(&mut rng, 3) == 0).collect();
            let mut sorted: Vec<(u32, f32)> = items.iter().copied().zip(scores.iter().copied()).collect();
            sorted.retain(|(item, _)| !seen.contains(item));
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            sorted.truncate(most);
            sorted.sort_unstable_by_key(|entry| entry.0);
            assert_eq!(best(&items, &scores, &seen, most), sorted);
        }
    }

    /// Of more items than are scanned, buckets give most of what a scan does, and for a few users they are not made.
    #[test]
    fn buckets_find_what_a_scan_finds() {
        let (n_items, n_users, bits) = (MOST_SCANNED + 3000, 3000, 128);
        let graph = crate::graph::Bipartite::from_edges(1, 1, &[]).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(8);
        let centres = normal_matrix(&mut rng, 600, bits, 1.0);
        let mut near = |n: usize| {
            let mut vectors = normal_matrix(&mut rng, n, bits, 0.7);
            (0..n).for_each(|row| {
                let centre = centres.row(row * 7 % centres.rows());
                vectors.row_mut(row).iter_mut().zip(centre).for_each(|(x, centre)| *x += centre);
            });
            vectors
        };
        let shape = std::sync::Arc::new(crate::code::CodeShape::new(vec![bits as u32], vec![1.0]).unwrap());
        let items = LayeredCodes::encode(shape.clone(), &[near(n_items).data()]).unwrap();
        let users = PlaneCodes::encode(shape, &[near(n_users).data()], 1).unwrap();
        let few = Codes::new(&context, &items, 100).unwrap();
        let many = Codes::new(&context, &items, n_users).unwrap();
        assert!(matches!((&few, &many), (Codes::Scanned(_), Codes::Bucketed(_))));
        let rows = |codes: &Codes, user: usize| -> std::collections::HashSet<u32> {
            let found = codes.best(&[(users.query(user, 1).unwrap(), &[])], 100).unwrap().remove(0);
            found.iter().map(|found| found.row).collect()
        };
        let shared: usize = (0..100).map(|user| rows(&few, user).intersection(&rows(&many, user)).count()).sum();
        assert!(shared > 7500, "{shared} of 10,000");
    }

    #[test]
    fn lists_are_turned_round() {
        let mut lists = Lists::default();
        for row in [vec![(1, 0.5), (3, 1.5)], vec![], vec![(0, 2.0), (3, 3.0)]] {
            lists.push(row.into_iter());
        }
        let holders = lists.holders(4);
        assert_eq!([0, 1, 2, 3].map(|to| holders.of(to).to_vec()), [vec![2], vec![0], vec![], vec![0, 2]]);
        assert_eq!(
            [(0, 1), (0, 3), (2, 0), (2, 3)].map(|(row, to)| lists.goal(row, to)),
            [0.5, 1.5, 2.0, 3.0].map(Some)
        );
        assert_eq!([(0, 0), (1, 1), (2, 4)].map(|(row, to)| lists.goal(row, to)), [None; 3]);
        lists.aim(|row| row > 0, |row, goal| goal - row as f32);
        assert_eq!([(0, 1), (2, 0), (2, 3)].map(|(row, to)| lists.goal(row, to)), [None, Some(0.0), Some(1.0)]);
        assert_eq!((lists.row(0).count(), lists.row(2).count(), lists.goals()), (0, 2, &[0.0, 1.0][..]));
    }
}
