//! Arrivals: items without a trained code that somebody touched since the training, with codes folded in from the users who have them.
//!
//! The code of an arrival is a function of one set: the users with a trained code who have the item now, whenever they got it. Its sum is kept up
//! to date by adding a user who joins the set and subtracting one who leaves it, which is exact, sums being integers.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::segments;
use crate::code::{CodeShape, LayeredCodes, PlaneCodes, QueryCode};
use crate::index::{Filter, Match};
use crate::kernel::popcount::{BlockQuery, Blocks, Kernel, LANES};
use crate::persistent::Tree;

/// What one user's value of a dimension is multiplied by before it is rounded: sums of integers do not depend on their order.
const FIXED_POINT: f32 = 64.0;
/// Dense numbers a chunk covers.
const CHUNK: u32 = 64;

/// All arrivals. A copy is O(1) and stays as it is; a change of one arrival copies its chunk's list, and fits its code alone.
#[derive(Clone)]
pub(crate) struct Arrivals {
    chunks: Tree<Option<Arc<Chunk>>>,
    /// Chunks with arrivals that changed since [`Arrivals::settle`].
    unsettled: BTreeSet<u32>,
}

/// The arrivals among neighbouring dense numbers, ascending.
#[derive(Clone, Default)]
struct Chunk {
    arrivals: Vec<Arrival>,
    /// Those with a code, ready to be scanned; `None` where something has changed.
    scan: Option<Arc<Scan>>,
}

#[derive(Clone)]
struct Scan {
    /// The item of each row.
    items: Vec<u32>,
    blocks: Blocks,
}

/// One item.
#[derive(Clone)]
pub(crate) struct Arrival {
    item: u32,
    /// Interactions since the training that hold now: what makes it an arrival.
    touches: u64,
    /// Users with a trained code who have it.
    users: u32,
    /// The sum of their vectors: all layers' dimensions in fixed point, each user's layer scaled to a mean magnitude of 1.
    sum: Arc<Vec<i32>>,
    /// As the only row; `None` without users, where no item has a code to be like, and where something has changed.
    code: Option<Arc<LayeredCodes>>,
}

/// The vectors of users with a trained code, as arrivals add them up.
pub(crate) struct Voices<'a> {
    users: &'a PlaneCodes,
    values: Vec<f32>,
}

impl<'a> Voices<'a> {
    /// Of a generation's users.
    pub(crate) fn of(users: &'a PlaneCodes) -> Self {
        Self { users, values: Vec::new() }
    }

    /// Adds the user's vector to `sum`, or subtracts it. O(bits).
    fn add(&mut self, sum: &mut [i32], user: u32, gained: bool) {
        let (users, shape) = (self.users, self.users.shape());
        let unit = if gained { FIXED_POINT } else { -FIXED_POINT };
        for (layer, range) in segments(shape).enumerate() {
            let scaler = users.scalers()[user as usize * shape.layers() + layer];
            self.values.clear();
            self.values.resize(range.len(), 0.0);
            if scaler > 0.0 && users.decode_into(user as usize, layer, &mut self.values).is_ok() {
                for (sum, value) in sum[range].iter_mut().zip(&self.values) {
                    *sum = sum.wrapping_add((value / scaler * unit).round() as i32);
                }
            }
        }
    }
}

impl Arrivals {
    /// None.
    pub(crate) fn new() -> Self {
        Self { chunks: Tree::new(), unsettled: BTreeSet::new() }
    }

    /// What is known of an item, if it is an arrival.
    pub(crate) fn get(&self, item: u32) -> Option<&Arrival> {
        let chunk = self.chunks.get(u64::from(item / CHUNK))?.as_ref()?;
        chunk.arrivals.binary_search_by_key(&item, |arrival| arrival.item).ok().map(|at| &chunk.arrivals[at])
    }

    /// Adds an item that has been touched for the first time since the training; `users` are all with a trained code who have it now.
    pub(crate) fn add(&mut self, item: u32, users: impl IntoIterator<Item = u32>, voices: &mut Voices<'_>) {
        let mut sum = vec![0; voices.users.shape().bits() as usize];
        let mut count = 0;
        for user in users {
            voices.add(&mut sum, user, true);
            count += 1;
        }
        let arrival = Arrival { item, touches: 1, users: count, sum: Arc::new(sum), code: None };
        self.change(item, |arrivals, at| {
            if let Err(at) = at {
                arrivals.insert(at, arrival);
            }
        });
    }

    /// Takes in that an arrival was touched (`Some(true)`), or that an interaction since the training holds no more (`Some(false)`), and that a
    /// user with a trained code has joined its users, or left them.
    pub(crate) fn update(
        &mut self,
        item: u32,
        touched: Option<bool>,
        user: Option<(u32, bool)>,
        voices: &mut Voices<'_>,
    ) {
        self.change(item, |arrivals, at| {
            let Ok(at) = at else { return };
            let arrival = &mut arrivals[at];
            match touched {
                Some(true) => arrival.touches += 1,
                Some(false) => arrival.touches -= 1,
                None => {}
            }
            if arrival.touches == 0 {
                arrivals.remove(at);
                return;
            }
            if let Some((user, joined)) = user {
                let sum: &mut Vec<i32> = Arc::make_mut(&mut arrival.sum);
                voices.add(sum, user, joined);
                arrival.users = if joined { arrival.users + 1 } else { arrival.users - 1 };
                arrival.code = None;
            }
        });
    }

    fn change(&mut self, item: u32, change: impl FnOnce(&mut Vec<Arrival>, Result<usize, usize>)) {
        let number = item / CHUNK;
        let mut chunk = self.chunks.insert(u64::from(number), None).flatten().unwrap_or_default();
        let list = Arc::make_mut(&mut chunk);
        let at = list.arrivals.binary_search_by_key(&item, |arrival| arrival.item);
        change(&mut list.arrivals, at);
        list.scan = None;
        if list.arrivals.is_empty() {
            self.chunks.remove(u64::from(number));
            self.unsettled.remove(&number);
        } else {
            self.chunks.insert(u64::from(number), Some(chunk));
            self.unsettled.insert(number);
        }
    }

    /// Fits codes to the arrivals that changed, with the scalers `expected` of an item of so many users, and makes all ready to be searched.
    /// O(changed x bits).
    pub(crate) fn settle<'a>(&mut self, shape: &Arc<CodeShape>, expected: impl Fn(u32) -> &'a [f32]) {
        for number in std::mem::take(&mut self.unsettled) {
            let Some(mut chunk) = self.chunks.insert(u64::from(number), None).flatten() else { continue };
            let list = Arc::make_mut(&mut chunk);
            for arrival in list.arrivals.iter_mut().filter(|arrival| arrival.users > 0 && arrival.code.is_none()) {
                // Where no item has a code there is nothing to expect.
                let scalers = expected(arrival.users);
                let says = scalers.iter().any(|&scaler| scaler > 0.0);
                arrival.code = says.then(|| Arc::new(fit(shape, &arrival.sum, scalers)));
            }
            let (mut items, mut words, mut scalers) = (Vec::new(), Vec::new(), Vec::new());
            for arrival in &list.arrivals {
                if let Some(code) = &arrival.code {
                    items.push(arrival.item);
                    words.extend_from_slice(code.words());
                    scalers.extend_from_slice(code.scalers());
                }
            }
            let blocks = Blocks::build(&LayeredCodes::from_valid(Arc::clone(shape), words, scalers));
            list.scan = Some(Arc::new(Scan { items, blocks }));
            self.chunks.insert(u64::from(number), Some(chunk));
        }
    }

    /// The exact best `k` of the arrivals `filter` admits: descending score, ties as `compare` orders items; and how many codes were scored.
    /// O(arrivals x bits).
    pub(crate) fn search(
        &self,
        kernel: Kernel,
        query: &QueryCode,
        k: usize,
        filter: &Filter<'_>,
        compare: impl Fn(u32, u32) -> Ordering,
    ) -> (Vec<Match>, u64) {
        let better = |a: &Match, b: &Match| b.score.total_cmp(&a.score).then_with(|| compare(a.row, b.row));
        let (mut best, mut scored): (Vec<Match>, u64) = (Vec::new(), 0);
        // Mostly there are none, and preparing the query would be all that is done.
        let scans: Vec<&Scan> = self.chunks.iter().filter_map(|(_, chunk)| chunk.as_ref()?.scan.as_deref()).collect();
        if k == 0 || scans.is_empty() {
            return (best, scored);
        }
        let mut threshold = f32::NEG_INFINITY;
        let prepared = BlockQuery::new(query);
        for scan in scans {
            scored += scan.items.len() as u64;
            let start = threshold;
            let mut sink = |block: usize, mut lanes: u16, scores: &[f32; LANES]| {
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    lanes &= lanes - 1;
                    // Padding lanes of the last block have no item.
                    let Some(&row) = scan.items.get(block * LANES + lane) else { break };
                    if scores[lane] >= threshold && filter.admits(row) {
                        best.push(Match { row, score: scores[lane] });
                    }
                }
                if best.len() >= k.saturating_mul(2).max(k.saturating_add(64)) {
                    best.select_nth_unstable_by(k - 1, better);
                    best.truncate(k);
                    threshold = best[k - 1].score;
                }
                threshold
            };
            kernel.scan(&scan.blocks, &prepared, 0..scan.blocks.len(), start, &mut sink);
        }
        best.sort_unstable_by(better);
        best.truncate(k);
        (best, scored)
    }
}

impl Arrival {
    /// Its code, as the only row; `None` where no user with a trained code has it.
    pub(crate) fn code(&self) -> Option<&LayeredCodes> {
        self.code.as_deref()
    }

    /// How many users with a trained code have it.
    pub(crate) fn users(&self) -> u32 {
        self.users
    }
}

/// The signs of a sum beside scalers that are valid.
fn fit(shape: &Arc<CodeShape>, sum: &[i32], scalers: &[f32]) -> LayeredCodes {
    let mut words = vec![0u64; shape.words()];
    for (layer, range) in segments(shape).enumerate() {
        for (word, values) in words[shape.layer_words(layer)].iter_mut().zip(sum[range].chunks(64)) {
            *word = values.iter().enumerate().fold(0, |word, (k, &value)| word | (u64::from(value >= 0) << k));
        }
    }
    LayeredCodes::from_valid(Arc::clone(shape), words, scalers.to_vec())
}

/// Item, touches, users, sum and code of an arrival.
#[cfg(test)]
pub(crate) type Told = (u32, u64, u32, Vec<i32>, Option<LayeredCodes>);

#[cfg(test)]
impl Arrivals {
    /// All arrivals, ascending.
    pub(crate) fn contents(&self) -> Vec<Told> {
        let chunks = self.chunks.iter().filter_map(|(_, chunk)| chunk.as_ref());
        chunks
            .flat_map(|chunk| {
                let scanned = chunk.scan.as_ref().map(|scan| scan.items.clone());
                let coded = chunk.arrivals.iter().filter(|a| a.code.is_some()).map(|a| a.item).collect();
                assert_eq!(scanned, Some(coded), "what is scanned is what has a code");
                chunk.arrivals.iter().map(|a| (a.item, a.touches, a.users, a.sum.to_vec(), a.code.as_deref().cloned()))
            })
            .collect()
    }
}
