//! Recommendations of a teacher in full precision, masked and ordered as those of its codes.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use crate::error::Result;
use crate::generation::Generation;
use crate::graph::Bipartite;
use crate::ids::Id;
use crate::index::{Filter, Seen, TopK};
use crate::kernel::dense::Isa;
use crate::snapshot::Snapshot;
use crate::train::{Scorer, Taught};

/// Users scored at once.
const BLOCK: usize = 64;

/// Ranks items by a teacher's scores: descending, ties by ascending id, without what a user has and without items no query returns.
pub(crate) struct FullPrecision<'a> {
    snapshot: &'a Snapshot,
    generation: &'a Generation,
    scorer: Scorer<'a>,
    graph: Bipartite,
    hidden: RoaringBitmap,
}

impl<'a> FullPrecision<'a> {
    /// Of the `teacher` of a generation, under the interactions and retirements of `snapshot`.
    ///
    /// # Errors
    /// `Kernel` where the environment forces an instruction set that this machine lacks, and `Thread`.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        generation: &'a Generation,
        teacher: &'a Taught,
    ) -> Result<FullPrecision<'a>> {
        let hidden = generation.codeless() | snapshot.tail().retired();
        let (postings, n_items) = (generation.postings(), generation.n_items() as u32);
        let graph = Bipartite::from_postings(postings, n_items, generation.half_life())?;
        Ok(FullPrecision { snapshot, generation, scorer: teacher.scorer(Isa::chosen()?), graph, hidden })
    }

    /// The `k` best items of every user, in their order; none for a user the teacher has not seen. Works on rayon.
    ///
    /// # Errors
    /// `WrongIdKind`, `Cancelled`.
    pub(crate) fn lists<'u>(&self, users: impl Iterator<Item = &'u Id>, k: usize) -> Result<Vec<Vec<Id>>> {
        let catalogues = self.snapshot.catalogues();
        let known = |user: u32| (user as usize) < self.generation.users().len() && self.generation.has_user(user);
        let number = |user| Ok(catalogues.users.get(user)?.filter(|&user| known(user)));
        let users: Vec<Option<u32>> = users.map(number).collect::<Result<_>>()?;
        let rows = |block| self.snapshot.check().map(|()| self.rows(block, k));
        let lists: Vec<Vec<Vec<u32>>> = users.par_chunks(BLOCK).map(rows).collect::<Result<_>>()?;
        Ok(lists
            .into_iter()
            .flatten()
            .map(|rows| rows.into_iter().filter_map(|row| catalogues.items.id(row)).collect())
            .collect())
    }

    /// The rows of the best items.
    fn rows(&self, block: &[Option<u32>], k: usize) -> Vec<Vec<u32>> {
        let known: Vec<u32> = block.iter().flatten().copied().collect();
        let scores = self.scorer.scores(&known, self.graph.recent_users());
        let mut scored = (0..known.len()).map(|row| scores.row(row));
        let list = |user: &Option<u32>| {
            let Some((user, scores)) = user.and_then(|user| Some((user, scored.next()?))) else { return Vec::new() };
            let mut seen: Vec<u32> = self.snapshot.tail().history(user).into_iter().map(|(item, _)| item).collect();
            seen.sort_unstable();
            let filter = Filter { deny: vec![&self.hidden], seen: Seen::of(&seen), ..Filter::default() };
            let mut best = TopK::new(k, scores.len());
            for ((row, &score), &rank) in (0..).zip(scores).zip(self.generation.ranks()) {
                if score >= best.threshold() && filter.admits(row) {
                    // Zero is one score, whatever its sign.
                    best.push(score + 0.0, rank, row);
                }
            }
            best.into_sorted().into_iter().map(|(row, _)| row).collect()
        };
        block.iter().map(list).collect()
    }
}
