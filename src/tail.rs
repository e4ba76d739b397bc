//! The live tail: interactions that came after the generation, laid over its posting lists.

use std::sync::Arc;

use kithdb_storage::Record;
use roaring::RoaringBitmap;

use crate::fold_in::{Arrivals, Voices};
use crate::generation::{Generation, Touched};
use crate::graph::postings::{Edge, Postings, PostingsBuilder, Row};
use crate::interaction::Inserted;
use crate::persistent::{Counts, Tree};
use crate::repeats::Repeats;

/// How the graph of now differs from that of a generation.
///
/// A copy is O(1) and stays as it is: the one writer changes its own, and queries hold copies. What is kept is a function of the generation and
/// of the interactions that hold now, whatever the way there: what says again what the generation holds is not kept, so that a tail rebased onto a
/// new generation equals one replayed over it.
#[derive(Clone)]
pub(crate) struct Tail {
    generation: Option<Arc<Generation>>,
    /// The last sequence applied.
    applied: u64,
    /// Edges that are not as in the generation, by user and item.
    changes: Tree<Change>,
    /// Users whose rows in the generation count no more.
    forgotten: Arc<RoaringBitmap>,
    /// Items no query returns, those of the generation included.
    retired: Arc<RoaringBitmap>,
    /// How many users have each item.
    degrees: Counts,
    edges: u64,
    arrivals: Arrivals,
    repeats: Repeats,
}

/// What a (user, item) of the tail is now: an edge, or none any more (weight 0).
#[derive(Clone, Copy, Default, PartialEq)]
struct Change {
    time: i64,
    weight: f32,
}

/// How an unknown time is kept.
const NO_TIME: i64 = i64::MIN;

impl Change {
    fn of(edge: Option<Edge>) -> Self {
        match edge {
            Some(Edge { weight, time }) => Self { time: time.unwrap_or(NO_TIME), weight },
            None => Self { time: NO_TIME, weight: 0.0 },
        }
    }

    fn edge(self) -> Option<Edge> {
        let time = Some(self.time).filter(|&time| time != NO_TIME);
        (self.weight > 0.0).then_some(Edge { weight: self.weight, time })
    }
}

/// What records came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// How many changed something; every insert counts.
    pub(crate) changed: u64,
    /// What became of the inserts.
    pub(crate) inserted: Inserted,
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.changed += other.changed;
        self.inserted += other.inserted;
    }
}

/// Counts an insert that made `after` of `before`.
fn tally(inserted: &mut Inserted, before: Option<Edge>, after: Option<Edge>) {
    match before {
        None => inserted.new += 1,
        before if before == after => inserted.repeated += 1,
        _ => inserted.updated += 1,
    }
}

fn key(user: u32, item: u32) -> u64 {
    u64::from(user) << 32 | u64::from(item)
}

fn pair(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

impl Tail {
    /// An empty tail over `generation`, which has seen the log through `folded_through`. O(items).
    pub(crate) fn new(generation: Option<Arc<Generation>>, folded_through: u64, repeats: Repeats) -> Self {
        let (retired, degrees, edges) = match &generation {
            Some(g) => (Arc::new(g.retired().clone()), Counts::of(g.item_degrees()), g.postings().items().len() as u64),
            None => (Arc::default(), Counts::of(&[]), 0),
        };
        Self {
            generation,
            applied: folded_through,
            changes: Tree::new(),
            forgotten: Arc::default(),
            retired,
            degrees,
            edges,
            arrivals: Arrivals::new(),
            repeats,
        }
    }

    /// What an interaction that comes again means.
    pub(crate) fn repeats(&self) -> Repeats {
        self.repeats
    }

    /// The generation under the tail.
    pub(crate) fn generation(&self) -> Option<&Arc<Generation>> {
        self.generation.as_ref()
    }

    /// Applies records that are durable, the first of which has sequence `first`; what they came to.
    pub(crate) fn apply<'a>(&mut self, first: u64, records: impl IntoIterator<Item = &'a Record>) -> Applied {
        let (mut changed, mut counts) = (0, Inserted::default());
        let mut inserted = Vec::new();
        for (sequence, record) in (first..).zip(records) {
            self.applied = sequence;
            match *record {
                Record::Define { .. } | Record::Describe { .. } => {}
                Record::Insert { user, item, weight, time } if self.repeats != Repeats::Last => {
                    // In the order of the log, so that sums come out the same bit for bit whenever it is replayed.
                    let next = Edge { weight, time };
                    let before = self.edge(user, item);
                    let edge = before.map_or(next, |edge| self.repeats.merge(edge, next));
                    self.set(user, item, Some(edge));
                    tally(&mut counts, before, Some(edge));
                    changed += 1;
                }
                Record::Insert { user, item, weight, time } => {
                    inserted.push((key(user, item), Change::of(Some(Edge { weight, time }))));
                    changed += 1;
                }
                Record::Remove { user, item } => {
                    counts += self.insert(&mut inserted);
                    changed += u64::from(self.set(user, item, None).is_some());
                }
                Record::ForgetUser { user } => {
                    counts += self.insert(&mut inserted);
                    self.forget(user);
                    changed += 1;
                }
                Record::RetireItem { item } => changed += u64::from(self.retire(item)),
                Record::UnretireItem { item } => changed += u64::from(self.unretire(item)),
            }
        }
        counts += self.insert(&mut inserted);
        Applied { changed, inserted: counts }
    }

    /// Sets edges, the last of each (user, item) as it is, and empties the list; what became of them.
    fn insert(&mut self, edges: &mut Vec<(u64, Change)>) -> Inserted {
        let mut counts = Inserted::default();
        // What holds in the end does not depend on the order: ascending keys are faster.
        edges.sort_by_key(|&(key, _)| key);
        // What a (user, item) that comes several times was first: only the first meets what was there.
        let mut firsts: Vec<(u64, Change)> = Vec::new();
        edges.dedup_by(|next, last| {
            next.0 == last.0 && {
                if firsts.last().is_none_or(|first| first.0 != last.0) {
                    firsts.push(*last);
                }
                tally(&mut counts, last.1.edge(), next.1.edge());
                last.1 = next.1;
                true
            }
        });
        let mut firsts = firsts.into_iter().peekable();
        // Keys come in ascending order.
        let mut came = |key: u64, before: Option<Edge>, last: Change| {
            let first = firsts.next_if(|first| first.0 == key).map_or(last, |first| first.1);
            tally(&mut counts, before, first.edge());
        };
        if self.generation.is_some() {
            for (key, change) in edges.drain(..) {
                let (user, item) = pair(key);
                let before = self.set(user, item, change.edge());
                came(key, before, change);
            }
            return counts;
        }
        // Without a generation there is nothing to take back: every change is an edge.
        let Self { changes, degrees, edges: total, .. } = self;
        let mut places = edges.iter();
        changes.insert_ascending(edges, |key, last| {
            let change = places.next().map_or_else(Change::default, |&(_, change)| change);
            came(key, last.and_then(Change::edge), change);
            if last.is_none() {
                degrees.step(pair(key).1, true);
                *total += 1;
            }
        });
        edges.clear();
        counts
    }

    /// Gives the arrivals that changed their codes: before the tail answers queries.
    pub(crate) fn settle(&mut self) {
        if let Some(generation) = &self.generation {
            self.arrivals.settle(generation.shape(), |users| generation.expected_scalers(users));
        }
    }

    /// Items that came after the generation.
    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The last sequence applied.
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// How many edges are not as in the generation.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.len()
    }

    /// The user's edges now, in ascending order of item.
    pub(crate) fn history(&self, user: u32) -> Vec<(u32, Edge)> {
        let changes = self.changes.from(key(user, 0)).take_while(|&(key, _)| pair(key).0 == user);
        let mut edges = Vec::new();
        merge(self.below(user), changes.map(|(key, change)| (pair(key).1, change.edge())), |item, edge| {
            edges.push((item, edge));
        });
        edges
    }

    /// The items of a user whose edges are as in the generation, in ascending order; `None` where they are not. O(log changes).
    pub(crate) fn unmoved(&self, user: u32) -> Option<&[u32]> {
        (!self.has_moved(user)).then(|| self.below(user).map_or(&[][..], |row| row.items))
    }

    /// Whether a user was forgotten since the generation.
    pub(crate) fn has_forgotten(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// Users whose rows in the generation count no more.
    pub(crate) fn forgotten(&self) -> &RoaringBitmap {
        &self.forgotten
    }

    /// What is not as in the generation: user, item, and the edge there is now, in ascending order.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (u32, u32, Option<Edge>)> {
        self.changes.iter().map(|(key, change)| {
            let (user, item) = pair(key);
            (user, item, change.edge())
        })
    }

    /// The tail over `generation` that these came from: what [`Tail::changed`], [`Tail::forgotten`] and [`Tail::retired`] tell, through record `applied`.
    /// O(items + changes log).
    pub(crate) fn restored(
        generation: Arc<Generation>,
        (applied, repeats): (u64, Repeats),
        changed: impl Iterator<Item = (u32, u32, Option<Edge>)>,
        forgotten: &RoaringBitmap,
        retired: RoaringBitmap,
    ) -> Self {
        let mut tail = Self::new(Some(generation), applied, repeats);
        tail.retired = Arc::new(retired);
        forgotten.iter().for_each(|user| tail.forget(user));
        changed.for_each(|(user, item, edge)| {
            tail.set(user, item, edge);
        });
        tail
    }

    /// Whether an interaction of the generation is one no more. O(changes).
    pub(crate) fn takes_back(&self) -> bool {
        self.has_forgotten() || self.changes.from(0).any(|(_, change)| change.edge().is_none())
    }

    /// Items no query returns: those retired before the generation and since.
    pub(crate) fn retired(&self) -> &RoaringBitmap {
        &self.retired
    }

    /// How many users have an item now.
    pub(crate) fn item_degree(&self, item: u32) -> u32 {
        self.degrees.get(item)
    }

    /// How many users have each item now, from item 0 on.
    pub(crate) fn item_degrees(&self) -> impl Iterator<Item = u32> {
        self.degrees.iter()
    }

    /// How many edges there are now.
    pub(crate) fn edges(&self) -> u64 {
        self.edges
    }

    /// Whether the user's edges are not as in the generation. O(log changes).
    pub(crate) fn has_moved(&self, user: u32) -> bool {
        self.changes.from(key(user, 0)).next().is_some_and(|(key, _)| pair(key).0 == user)
    }

    /// The rows whose edges are not as in the generation, those of forgotten users included. O(changes log).
    pub(crate) fn touched(&self) -> Touched {
        let (mut users, mut items) = (RoaringBitmap::new(), RoaringBitmap::new());
        for (key, _) in self.changes.iter() {
            let (user, item) = pair(key);
            users.insert(user);
            items.insert(item);
        }
        for user in &*self.forgotten {
            users.insert(user);
            let row = self.generation.as_ref().map(|generation| generation.postings().row(user));
            items.extend(row.iter().flat_map(|row| row.items.iter().copied()));
        }
        Touched { users: users.iter().collect(), items: items.iter().collect() }
    }

    /// The posting lists of the users below `n_users` as they are now. O(edges).
    pub(crate) fn fold(&self, n_users: u32) -> Postings {
        let mut builder = PostingsBuilder::with_capacity(n_users as usize, self.edges as usize);
        let mut changes = self.changes.iter().peekable();
        for user in 0..n_users {
            let own = std::iter::from_fn(|| changes.next_if(|&(key, _)| pair(key).0 == user));
            merge(self.below(user), own.map(|(key, change)| (pair(key).1, change.edge())), |item, edge| {
                builder.push(item, edge);
            });
            builder.end_row();
        }
        builder.finish()
    }

    /// This tail over a `generation` made from the state it had at `cut`. O(items + what has changed since the cut, and a look at every leaf of
    /// changes).
    pub(crate) fn rebase(&self, generation: Arc<Generation>, cut: &Self) -> Self {
        let mut tail = Self::new(Some(generation), cut.applied, self.repeats);
        tail.retired = Arc::clone(&self.retired);
        for user in &*self.forgotten - &*cut.forgotten {
            tail.forget(user);
        }
        // Where tail and cut agree, so do this graph and the new generation's.
        self.changes.differences(&cut.changes, |key| {
            let (user, item) = pair(key);
            tail.set(user, item, self.edge(user, item));
        });
        tail.applied = self.applied.max(cut.applied);
        tail
    }

    /// This tail over another `generation`, whatever that was made from; `gone` are the numbers of users who were forgotten. O(edges log).
    pub(crate) fn over(&self, generation: Arc<Generation>, gone: &RoaringBitmap, n_users: u32) -> Self {
        let mut tail = Self::new(Some(Arc::clone(&generation)), self.applied, self.repeats);
        tail.retired = Arc::clone(&self.retired);
        let known =
            |user: u32| user < generation.postings().n_users() && !generation.postings().row(user).items.is_empty();
        for user in gone.iter().filter(|&user| known(user) || generation.has_user(user)) {
            tail.forget(user);
        }
        for user in (0..n_users).filter(|&user| !gone.contains(user)) {
            let below: Vec<u32> = tail.below(user).map_or_else(Vec::new, |row| row.items.to_vec());
            for item in below {
                tail.set(user, item, self.edge(user, item));
            }
            for (item, edge) in self.history(user) {
                tail.set(user, item, Some(edge));
            }
        }
        tail.settle();
        tail
    }

    /// Sets what (user, item) is now; the edge it was before.
    fn set(&mut self, user: u32, item: u32, edge: Option<Edge>) -> Option<Edge> {
        let below = self.below(user).and_then(|row| row.get(item));
        let last = match edge == below {
            true => self.changes.remove(key(user, item)),
            false => self.changes.insert(key(user, item), Change::of(edge)),
        };
        let before = last.map_or(below, Change::edge);
        let touched = last.is_some_and(|change| change.weight > 0.0);
        self.count(item, before.is_some(), edge.is_some());
        self.tell_arrivals(user, item, (touched, edge.is_some() && edge != below), (before.is_some(), edge.is_some()));
        before
    }

    fn forget(&mut self, user: u32) {
        let items: Vec<u32> = self.history(user).into_iter().map(|(item, _)| item).collect();
        for item in items {
            let last = self.changes.remove(key(user, item));
            self.count(item, true, false);
            self.tell_arrivals(user, item, (last.is_some(), false), (true, false));
        }
        // What is left are edges that were taken back.
        let rest = self.changes.from(key(user, 0)).map(|(key, _)| key);
        let rest: Vec<u64> = rest.take_while(|&key| pair(key).0 == user).collect();
        for key in rest {
            self.changes.remove(key);
        }
        Arc::make_mut(&mut self.forgotten).insert(user);
    }

    /// Whether it was not retired before.
    fn retire(&mut self, item: u32) -> bool {
        !self.retired.contains(item) && Arc::make_mut(&mut self.retired).insert(item)
    }

    /// Whether it was retired before.
    fn unretire(&mut self, item: u32) -> bool {
        self.retired.contains(item) && Arc::make_mut(&mut self.retired).remove(item)
    }

    fn count(&mut self, item: u32, before: bool, after: bool) {
        if before != after {
            self.degrees.step(item, after);
            self.edges = if after { self.edges + 1 } else { self.edges - 1 };
        }
    }

    /// Tells arrivals that (user, item), before and after, was touched since the generation and was an edge.
    fn tell_arrivals(&mut self, user: u32, item: u32, touched: (bool, bool), edge: (bool, bool)) {
        let codeless = |generation: &&Arc<Generation>| generation.is_trained() && !generation.has_item(item);
        let Some(generation) = self.generation.as_ref().filter(codeless) else { return };
        let generation = Arc::clone(generation);
        let mut voices = Voices::of(generation.users());
        if self.arrivals.get(item).is_some() {
            let touched = (touched.0 != touched.1).then_some(touched.1);
            let joined = (edge.0 != edge.1 && generation.has_user(user)).then_some((user, edge.1));
            if touched.is_some() || joined.is_some() {
                self.arrivals.update(item, touched, joined, &mut voices);
            }
        } else if touched.1 {
            // The first edge since the generation: all who have the item speak for it, the generation's own too.
            let holders = generation.holders(item);
            let still = |holder: u32| holder == user || self.edge(holder, item).is_some();
            let own = holders.binary_search(&user).is_err().then_some(user);
            let users: Vec<u32> = holders.iter().copied().filter(|&holder| still(holder)).chain(own).collect();
            let users = users.into_iter().filter(|&user| generation.has_user(user));
            self.arrivals.add(item, users, &mut voices);
        }
    }

    /// What (user, item) is now.
    fn edge(&self, user: u32, item: u32) -> Option<Edge> {
        match self.changes.get(key(user, item)) {
            Some(change) => change.edge(),
            None => self.below(user)?.get(item),
        }
    }

    /// The user's row in the generation, as far as it counts.
    fn below(&self, user: u32) -> Option<Row<'_>> {
        let generation = self.generation.as_ref().filter(|_| !self.forgotten.contains(user))?;
        Some(generation.postings().row(user))
    }
}

/// Visits the edges of a row with the `changes` of some of them, in ascending order of item.
fn merge(below: Option<Row<'_>>, changes: impl Iterator<Item = (u32, Option<Edge>)>, mut visit: impl FnMut(u32, Edge)) {
    let mut changes = changes.peekable();
    for (item, edge) in below.into_iter().flat_map(Row::edges) {
        let mut replaced = false;
        while let Some((changed, new)) = changes.next_if(|(changed, _)| *changed <= item) {
            replaced |= changed == item;
            if let Some(edge) = new {
                visit(changed, edge);
            }
        }
        if !replaced {
            visit(item, edge);
        }
    }
    changes.for_each(|(item, edge)| edge.into_iter().for_each(|edge| visit(item, edge)));
}

#[cfg(test)]
mod tests;
