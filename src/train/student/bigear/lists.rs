//! The teacher's ranked lists, which inference distillation teaches.

use rayon::prelude::*;

use crate::error::Result;
use crate::kernel::dense::{Factor, Matrix, View};
use crate::train::context::Context;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::random::{below, unit};
use crate::train::teacher::Nodes;

/// Users ranked at once.
const BLOCK: usize = 64;
/// Ranks whose weight is below this share of the first one's are left out; they are as much less than the whole sum.
const NEGLIGIBLE: f32 = 1e-2;

/// Among which items the first list ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// All of them, as the authors' code does.
    All,
    /// Those the user has interacted with, as the paper says.
    Interacted,
}

/// Which of the teacher's ranks are taught, and how much each weighs: `lambda1 exp(-lambda2 k)` at rank k = 1, 2, ..., divided by the
/// length of the list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ranking {
    /// R1: length of the first list; 0 leaves the term out.
    pub(crate) first: usize,
    pub(crate) among: Among,
    /// R2: length of the second list, of items the user has not interacted with, the pseudo-positives; 0 leaves the term out.
    pub(crate) second: usize,
    pub(crate) lambda1: f32,
    pub(crate) lambda2: f32,
    /// Share of the pseudo-positives replaced by random items, to see what a worse teacher costs.
    pub(crate) noise: f32,
}

/// The lists of one segment: for each user the distinct items of both lists by rising index, with the sum of their weights.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    offsets: Vec<usize>,
    pub(crate) items: Vec<u32>,
    pub(crate) weights: Vec<f32>,
    /// The teacher's scores.
    pub(crate) scores: Vec<f32>,
    /// The user of every entry.
    pub(crate) users: Vec<u32>,
    /// The entries of every item.
    pub(crate) by_item: Grouping,
}

/// An item of a user's lists, its weight, the teacher's score.
type Entry = (u32, f32, f32);

impl Lists {
    /// Ranks by the inner products of the teacher's rows. O(users items columns), of which no more than a block of users is kept.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn new(context: &Context<'_>, ranking: &Ranking, teacher: &Nodes, stream: &str) -> Result<Lists> {
        let n_users = context.graph.n_users();
        let factor = Factor::pack(context.isa, View::from(&teacher.items).transposed());
        let blocks: Vec<Vec<Vec<Entry>>> = (0..n_users.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                context.check()?;
                let users: Vec<u32> = (block * BLOCK..((block + 1) * BLOCK).min(n_users)).map(|u| u as u32).collect();
                let mut scores = Matrix::zeros(users.len(), teacher.items.rows());
                factor.multiply((&teacher.users.gather(&users)).into(), scores.data_mut(), false);
                let mut rng = context.rng(&format!("{stream} {block}"));
                let entries = users.iter().enumerate().map(|(row, &user)| {
                    let seen = context.graph.users().row(user as usize);
                    ranking.entries(scores.row(row), seen, |n| (unit(&mut rng), below(&mut rng, n)))
                });
                Ok(entries.collect())
            })
            .collect::<Result<_>>()?;
        let mut lists = Lists {
            offsets: vec![0],
            items: Vec::new(),
            weights: Vec::new(),
            scores: Vec::new(),
            users: Vec::new(),
            by_item: Grouping::default(),
        };
        for (user, entries) in blocks.iter().flatten().enumerate() {
            for &(item, weight, score) in entries {
                lists.items.push(item);
                lists.weights.push(weight);
                lists.scores.push(score);
                lists.users.push(user as u32);
            }
            lists.offsets.push(lists.items.len());
        }
        lists.by_item = Grouping::new(context.graph.n_items(), &lists.items);
        Ok(lists)
    }

    /// The entries of a user.
    pub(crate) fn of(&self, user: usize) -> std::ops::Range<usize> {
        self.offsets[user]..self.offsets[user + 1]
    }
}

impl Ranking {
    /// Ranks kept of a list of `length`, and the weight of each.
    fn weights(&self, length: usize) -> impl Iterator<Item = f32> {
        let (lambda1, lambda2) = (self.lambda1, self.lambda2);
        let share = move |rank: usize| (-lambda2 * rank as f32).exp();
        (0..length)
            .take_while(move |&rank| share(rank) >= NEGLIGIBLE)
            .map(move |rank| lambda1 * share(rank + 1) / length as f32)
    }

    /// The entries of one user, from the teacher's scores of all items and the interactions. `random(n)` draws from [0, 1) and below n.
    fn entries(&self, scores: &[f32], seen: &[u32], mut random: impl FnMut(usize) -> (f32, usize)) -> Vec<Entry> {
        if seen.is_empty() {
            return Vec::new();
        }
        let unseen = |item: &u32| seen.binary_search(item).is_err();
        let all = || 0..scores.len() as u32;
        let first = match self.among {
            Among::All => best(scores, all().collect(), self.weights(self.first).count()),
            Among::Interacted => best(scores, seen.to_vec(), self.weights(self.first).count()),
        };
        let mut second = best(scores, all().filter(unseen).collect(), self.weights(self.second).count());
        for item in &mut second {
            let (chance, other) = random(scores.len());
            if chance < self.noise && unseen(&(other as u32)) {
                *item = other as u32;
            }
        }
        let entry = |(&item, weight): (&u32, f32)| (item, weight, scores[item as usize]);
        let mut entries: Vec<Entry> = first.iter().zip(self.weights(self.first)).map(entry).collect();
        entries.extend(second.iter().zip(self.weights(self.second)).map(entry));
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        entries
    }
}

/// The `k` items of the largest scores, best first, ties by rising index.
fn best(scores: &[f32], mut items: Vec<u32>, k: usize) -> Vec<u32> {
    let order = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    if k == 0 {
        return Vec::new();
    }
    if k < items.len() {
        items.select_nth_unstable_by(k - 1, order);
        items.truncate(k);
    }
    items.sort_unstable_by(order);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANKING: Ranking = Ranking { first: 3, among: Among::All, second: 2, lambda1: 1.0, lambda2: 0.1, noise: 0.0 };

    fn close(got: &[Entry], want: &[(u32, f32)]) {
        assert_eq!(got.len(), want.len(), "{got:?} {want:?}");
        for (got, want) in got.iter().zip(want) {
            assert!(got.0 == want.0 && (got.1 - want.1).abs() < 1e-6, "{got:?} {want:?}");
        }
    }

    #[test]
    fn both_lists_are_merged() {
        let scores = [5.0, 1.0, 4.0, 3.0, 2.0, 3.0];
        let seen = [0, 5];
        let w = |rank: i32| (-0.1 * rank as f32).exp();
        let entries = |ranking: Ranking| ranking.entries(&scores, &seen, |_| (0.5, 4));
        // First 0, 2, 3 (tied with 5, which comes after); second 2, 3.
        close(&entries(RANKING), &[(0, w(1) / 3.0), (2, w(2) / 3.0 + w(1) / 2.0), (3, w(3) / 3.0 + w(2) / 2.0)]);
        close(
            &entries(Ranking { among: Among::Interacted, ..RANKING }),
            &[(0, w(1) / 3.0), (2, w(1) / 2.0), (3, w(2) / 2.0), (5, w(2) / 3.0)],
        );
        close(&entries(Ranking { first: 0, ..RANKING }), &[(2, w(1) / 2.0), (3, w(2) / 2.0)]);
        close(
            &entries(Ranking { second: 0, among: Among::Interacted, ..RANKING }),
            &[(0, w(1) / 3.0), (5, w(2) / 3.0)],
        );
        close(&entries(Ranking { first: 0, noise: 0.6, ..RANKING }), &[(4, w(1) / 2.0 + w(2) / 2.0)]);
        assert_eq!(entries(RANKING)[1].2, 4.0);
        assert!(RANKING.entries(&scores, &[], |_| (0.5, 4)).is_empty());
    }

    #[test]
    fn weights_that_hardly_count_are_left_out() {
        let kept: Vec<f32> = Ranking { lambda2: 0.1, ..RANKING }.weights(100).collect();
        assert_eq!(kept.len(), 47);
        let all: f32 = (1..=100).map(|k| (-0.1 * k as f32).exp() / 100.0).sum();
        assert!((kept.iter().sum::<f32>() / all - 1.0).abs() < 1.1e-2);
        assert_eq!(Ranking { lambda2: 0.0, ..RANKING }.weights(100).count(), 100);
    }
}
