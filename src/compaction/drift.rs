//! How far a generation has moved from the one before, and whether it finds as much.

use std::time::Duration;

use kithdb_storage::JobRecord;
use rayon::prelude::*;
use roaring::RoaringBitmap;
use serde::Serialize;

use crate::code::{CodeError, QueryCode};
use crate::error::Result;
use crate::fold_in::{FoldInMap, Profile, Touched, segments};
use crate::generation::{Content, Derived, Generation};
use crate::graph::Aging;
use crate::graph::postings::{Edge, Postings};
use crate::index::{Filter, Index, Seen};
use crate::train::is_held_out;

/// Users that are looked at, at most.
const USERS: usize = 1000;
/// The cut-off of recall.
const K: usize = 20;
/// Items whose neighbours are compared.
const ITEMS: usize = 100;
/// Neighbours of each.
const NEAREST: usize = 10;
/// Interactions without which recall says nothing.
const LEAST: u64 = 100;

/// How a generation differs from its parent.
///
/// Recall is that of some fixed users, of interactions that both generations have and whose hash holds them out, by the items' codes: each user is placed
/// by the rest of what they have, as somebody who came after the training would be. A user's own code has seen the interactions by now, and the items'
/// codes of both generations alike, so that what is compared is what the items' codes and the fold-in map are worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// Recall at 20 by the generation before.
    pub recall_before: f64,
    /// Recall at 20 by the new one.
    pub recall_after: f64,
    /// Users it was measured on.
    pub users: u64,
    /// Interactions of theirs that were to be found.
    pub held_out: u64,
    /// Share of the bits of users and items with a code in both that are others now.
    pub bits_flipped: f64,
    /// Share of the ten items nearest to each of a hundred fixed ones that are others now.
    pub neighbours_changed: f64,
}

impl Drift {
    /// Of a generation about to be published; `None` where the codes have another shape, so that nothing can be compared.
    ///
    /// # Errors
    /// None that valid codes give.
    pub(super) fn of(
        parent: &Generation,
        (content, half_life): (&Content, Option<Duration>),
        derived: &Derived,
    ) -> Result<Option<Self>> {
        if **parent.shape() != **content.items.shape() || !parent.is_trained() || !parent.has_codes() {
            return Ok(None);
        }
        let before = Side {
            postings: parent.postings(),
            aging: parent.half_life().map(|half_life| Aging::of(parent.postings(), half_life)),
            degrees: parent.item_degrees(),
            fold_in: parent.fold_in(),
            index: parent.item_index(),
            codeless: parent.codeless(),
        };
        let after = Side {
            postings: &content.postings,
            aging: half_life.map(|half_life| Aging::of(&content.postings, half_life)),
            degrees: derived.item_degrees(),
            fold_in: &content.fold_in,
            index: derived.item_index(),
            codeless: derived.codeless(),
        };
        let held = held_out(before.postings, after.postings);
        let recall = |side: &Side<'_>| -> Result<f64> {
            let shares =
                held.par_iter().map(|(user, items)| side.share(*user, items)).collect::<Result<Vec<f64>, _>>()?;
            Ok(shares.iter().sum::<f64>() / shares.len().max(1) as f64)
        };
        let (recall_before, recall_after) = (recall(&before)?, recall(&after)?);
        let held_out = held.iter().map(|(_, items)| items.len() as u64).sum();
        Ok(Some(Self {
            recall_before,
            recall_after,
            users: held.len() as u64,
            held_out,
            bits_flipped: flipped(parent, content, &before, &after),
            neighbours_changed: neighbours_changed(&before, &after)?,
        }))
    }

    /// What the record of a job has of it.
    pub(super) const FOUND: [&str; 6] =
        ["recall_before", "recall_after", "held_out", "held_out_users", "bits_flipped", "neighbours_changed"];

    /// As the record of a job tells it; `None` where that tells of none.
    pub(crate) fn of_record(job: &JobRecord) -> Option<Self> {
        let found = |name: &str| job.found.get(name)?.parse::<f64>().ok();
        Some(Self {
            recall_before: found("recall_before")?,
            recall_after: found("recall_after")?,
            users: found("held_out_users")? as u64,
            held_out: found("held_out")? as u64,
            bits_flipped: found("bits_flipped")?,
            neighbours_changed: found("neighbours_changed")?,
        })
    }

    /// The share of recall that was kept, by a record of it; `None` where too little was looked for to tell.
    pub(super) fn kept(found: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let (before, after) = (found("recall_before")?, found("recall_after")?);
        (found("held_out")? >= LEAST as f64 && before > 0.0).then_some(after / before)
    }

    /// Whether it finds less than `share` of what its parent finds, where enough was looked for to tell.
    pub(super) fn is_below(&self, share: f64) -> bool {
        self.held_out >= LEAST && self.recall_after < share * self.recall_before
    }
}

/// Held-out interactions that both have, of up to so many users, evenly spread.
fn held_out(before: &Postings, after: &Postings) -> Vec<(u32, Vec<u32>)> {
    let (edges, users) = (after.items().len() as u64, before.n_users().min(after.n_users()));
    let own = |user: u32| -> Vec<u32> {
        let row = after.row(user).items;
        let is_common = |item: &u32| row.binary_search(item).is_ok() && is_held_out(user, *item, edges);
        before.row(user).items.iter().copied().filter(is_common).collect()
    };
    let all: Vec<(u32, Vec<u32>)> = (0..users)
        .map(|user| (user, own(user)))
        .filter(|(user, held)| !held.is_empty() && held.len() < before.row(*user).items.len())
        .collect();
    let count = all.len().min(USERS);
    (0..count).map(|at| all[at * all.len() / count].clone()).collect()
}

/// What a user is placed with, and what is searched.
struct Side<'a> {
    postings: &'a Postings,
    aging: Option<Aging>,
    degrees: &'a [u32],
    fold_in: &'a FoldInMap,
    index: &'a Index,
    codeless: &'a RoaringBitmap,
}

impl Side<'_> {
    /// The share of `held` among the best items for a user placed by all else they have.
    fn share(&self, user: u32, held: &[u32]) -> Result<f64, CodeError> {
        let row = self.postings.row(user);
        let kept = |item: u32| held.binary_search(&item).is_err();
        let edges: Vec<(u32, Edge)> = row.edges().filter(|&(item, _)| kept(item) && self.has_code(item)).collect();
        let counted = match self.aging {
            Some(aging) => aging.shares(&edges),
            None => edges.iter().map(|&(item, edge)| (item, edge.weight)).collect(),
        };
        let things = counted
            .into_iter()
            .map(|(item, counts)| (Touched { item, code: self.index.code(item) }, counts, self.degrees[item as usize]));
        let Some(profile) = Profile::of(self.index.shape(), things.collect()) else { return Ok(0.0) };
        let vector = profile.vector(self.fold_in);
        if vector.iter().all(|&x| x == 0.0) {
            return Ok(0.0);
        }
        let layers: Vec<&[f32]> = segments(self.index.shape()).map(|range| &vector[range]).collect();
        let query = QueryCode::encode(std::sync::Arc::clone(self.index.shape()), &layers, 1)?;
        let seen: Vec<u32> = row.items.iter().copied().filter(|&item| kept(item)).collect();
        let filter = Filter { deny: vec![self.codeless], seen: Seen::of(&seen), ..Filter::default() };
        let found = self.index.search(&query, K, &filter, None)?;
        let hits = found.matches.iter().filter(|hit| held.binary_search(&hit.row).is_ok()).count();
        Ok(hits as f64 / held.len() as f64)
    }

    fn has_code(&self, item: u32) -> bool {
        (item as usize) < self.index.len() && !self.codeless.contains(item)
    }

    /// The items nearest to one.
    fn nearest(&self, item: u32) -> Result<Vec<u32>, CodeError> {
        let query = QueryCode::from_item(&self.index.code(item), 0)?;
        let filter =
            Filter { deny: vec![self.codeless], seen: Seen::of(std::slice::from_ref(&item)), ..Filter::default() };
        Ok(self.index.search(&query, NEAREST, &filter, None)?.matches.iter().map(|hit| hit.row).collect())
    }
}

/// The share of bits that differ, of the signs of users and items with a code in both.
fn flipped(parent: &Generation, content: &Content, before: &Side<'_>, after: &Side<'_>) -> f64 {
    let (mut differing, mut all) = (0u64, 0u64);
    let mut compare = |a: &[u64], b: &[u64]| {
        differing += a.iter().zip(b).map(|(a, b)| u64::from((a ^ b).count_ones())).sum::<u64>();
        all += content.items.shape().bits();
    };
    for item in 0..before.index.len().min(after.index.len()) as u32 {
        if before.has_code(item) && after.has_code(item) {
            compare(before.index.code(item).words(), content.items.row(item as usize).words);
        }
    }
    let (old, new) = (parent.users().signs(), content.users.signs());
    let coded = |scalers: &[f32]| scalers.iter().any(|&scaler| scaler > 0.0);
    for user in 0..old.len().min(new.len()) {
        let (old, new) = (old.row(user), new.row(user));
        if coded(old.scalers) && coded(new.scalers) {
            compare(old.words, new.words);
        }
    }
    differing as f64 / all.max(1) as f64
}

/// The share of the nearest items of some fixed ones that are others now.
fn neighbours_changed(before: &Side<'_>, after: &Side<'_>) -> Result<f64> {
    let n = before.index.len().min(after.index.len()) as u32;
    let coded: Vec<u32> = (0..n).filter(|&item| before.has_code(item) && after.has_code(item)).collect();
    let count = coded.len().min(ITEMS);
    let changed = |at: usize| -> Result<(u64, u64), CodeError> {
        let item = coded[at * coded.len() / count];
        let (old, new) = (before.nearest(item)?, after.nearest(item)?);
        Ok((old.iter().filter(|item| !new.contains(item)).count() as u64, old.len() as u64))
    };
    let counts = (0..count).into_par_iter().map(changed).collect::<Result<Vec<_>, _>>()?;
    let (changed, all) = counts.into_iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    Ok(changed as f64 / all.max(1) as f64)
}
