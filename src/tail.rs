//! The live tail: interactions that came after the generation, laid over its posting lists.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use hashbrown::HashMap;
use kithdb_storage::Record;
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::arrivals::{ArrivalIndex, Arrivals};
use crate::error::Result;
use crate::generation::Generation;
use crate::graph::postings::{Edge, Postings, PostingsBuilder};
use crate::live::Catalogues;

/// What the log's records after one generation add to it and take from it.
///
/// Written by the one writer after a record is durable and before it is acknowledged; read by queries. A query that holds a tail holds the
/// generation under it too, so every interaction is in exactly one of the two.
pub(crate) struct Tail {
    generation: Option<Arc<Generation>>,
    state: RwLock<State>,
}

struct State {
    /// The last sequence applied.
    applied: u64,
    users: HashMap<u32, BTreeMap<u32, Change>>,
    /// Users whose rows in the generation count no more, by the sequence that said so.
    forgotten: HashMap<u32, u64>,
    retired: HashMap<u32, u64>,
    /// By how much each item's number of users differs from the generation's.
    degrees: HashMap<u32, i64>,
    /// By how much the number of edges differs from the generation's.
    edges: i64,
    arrivals: Arrivals,
}

/// The last word on one (user, item): an edge, or none any more.
#[derive(Clone, Copy)]
struct Change {
    sequence: u64,
    edge: Option<Edge>,
}

impl Tail {
    /// An empty tail over `generation`, which has seen the log through `folded_through`.
    pub(crate) fn new(generation: Option<Arc<Generation>>, folded_through: u64) -> Self {
        let state = State {
            applied: folded_through,
            users: HashMap::new(),
            forgotten: HashMap::new(),
            retired: HashMap::new(),
            degrees: HashMap::new(),
            edges: 0,
            arrivals: Arrivals::new(),
        };
        Self { generation, state: RwLock::new(state) }
    }

    /// The generation under the tail.
    pub(crate) fn generation(&self) -> Option<&Arc<Generation>> {
        self.generation.as_ref()
    }

    /// Applies records that are durable, the first of which has sequence `first`. Returns how many of them changed something.
    pub(crate) fn apply<'a>(&self, first: u64, records: impl IntoIterator<Item = &'a Record>) -> u64 {
        let mut state = self.state.write();
        let mut changed = 0;
        for (sequence, record) in (first..).zip(records) {
            changed += u64::from(state.apply(self.generation(), sequence, record));
        }
        changed
    }

    /// The index over the items that came after the generation; `None` where there are none. Builds it if it is not up to date, which works on
    /// rayon: call it without a lock.
    pub(crate) fn arrivals(&self, catalogues: &RwLock<Catalogues>) -> Result<Option<Arc<ArrivalIndex>>> {
        let Some(generation) = &self.generation else { return Ok(None) };
        let mut draft = {
            let state = self.state.read();
            if state.arrivals.is_empty() {
                return Ok(None);
            }
            if let Some(built) = state.arrivals.built() {
                return Ok(Some(built));
            }
            state.arrivals.draft()
        };
        let version = draft.version();
        draft.sort(&catalogues.read().items);
        let index = Arc::new(draft.build(generation)?);
        self.state.write().arrivals.keep(version, &index);
        Ok(Some(index))
    }

    /// The last sequence applied.
    pub(crate) fn applied(&self) -> u64 {
        self.state.read().applied
    }

    /// How many edges have changed since the generation.
    pub(crate) fn changes(&self) -> u64 {
        self.state.read().users.values().map(|changes| changes.len() as u64).sum()
    }

    /// The user's edges now, in ascending order of item.
    pub(crate) fn history(&self, user: u32) -> Vec<(u32, Edge)> {
        let mut edges = Vec::new();
        self.state.read().merge(self.postings(), user, |item, edge| edges.push((item, edge)));
        edges
    }

    /// Whether a user was forgotten since the generation.
    pub(crate) fn has_forgotten(&self) -> bool {
        !self.state.read().forgotten.is_empty()
    }

    /// Items retired since the generation.
    pub(crate) fn retired(&self) -> RoaringBitmap {
        self.state.read().retired.keys().copied().collect()
    }

    /// How many users have each item now: `[n_items]`.
    pub(crate) fn item_degrees(&self, n_items: u32) -> Vec<u32> {
        let mut degrees = self.generation.as_ref().map_or(Vec::new(), |g| g.item_degrees().to_vec());
        degrees.resize(n_items as usize, 0);
        for (&item, &difference) in &self.state.read().degrees {
            if let Some(degree) = degrees.get_mut(item as usize) {
                *degree = (i64::from(*degree) + difference).clamp(0, i64::from(u32::MAX)) as u32;
            }
        }
        degrees
    }

    /// How many edges there are now.
    pub(crate) fn edges(&self) -> u64 {
        let below = self.postings().map_or(0, |p| p.items().len() as i64);
        (below + self.state.read().edges).max(0) as u64
    }

    /// The posting lists of the users below `n_users` as they are now, and the sequence they have seen. O(edges).
    pub(crate) fn fold(&self, n_users: u32) -> (Postings, u64) {
        let state = self.state.read();
        let below = self.postings().map_or(0, |p| p.items().len() as i64);
        let mut builder = PostingsBuilder::with_capacity(n_users as usize, (below + state.edges).max(0) as usize);
        for user in 0..n_users {
            state.merge(self.postings(), user, |item, edge| builder.push(item, edge));
            builder.end_row();
        }
        (builder.finish(), state.applied)
    }

    /// What is left of this tail over a `generation` that has seen the log through `folded_through`. O(changes).
    pub(crate) fn rebase(&self, generation: Arc<Generation>, folded_through: u64) -> Self {
        let old = self.state.read();
        let tail = Self::new(Some(generation), folded_through);
        {
            let mut new = tail.state.write();
            let generation = tail.generation();
            let later = |map: &HashMap<u32, u64>| -> Vec<(u32, u64)> {
                map.iter().filter(|(_, s)| **s > folded_through).map(|(&k, &s)| (k, s)).collect()
            };
            for (user, sequence) in later(&old.forgotten) {
                new.forget(generation, sequence, user);
            }
            for (item, sequence) in later(&old.retired) {
                new.retired.insert(item, sequence);
            }
            for (&user, changes) in &old.users {
                for (&item, change) in changes.iter().filter(|(_, change)| change.sequence > folded_through) {
                    new.change(generation, user, item, *change);
                }
            }
            new.applied = old.applied.max(folded_through);
        }
        tail
    }

    fn postings(&self) -> Option<&Postings> {
        self.generation.as_ref().map(|g| g.postings())
    }
}

impl State {
    fn apply(&mut self, generation: Option<&Arc<Generation>>, sequence: u64, record: &Record) -> bool {
        self.applied = sequence;
        match *record {
            Record::Define { .. } => false,
            Record::Insert { user, item, weight, time } => {
                self.change(generation, user, item, Change { sequence, edge: Some(Edge { weight, time }) });
                true
            }
            Record::Remove { user, item } => self.change(generation, user, item, Change { sequence, edge: None }),
            Record::ForgetUser { user } => self.forget(generation, sequence, user),
            Record::RetireItem { item } => {
                let new = !generation.is_some_and(|g| g.retired().contains(item));
                self.retired.insert(item, sequence).is_none() && new
            }
        }
    }

    /// Returns whether there was such an edge before.
    fn change(&mut self, generation: Option<&Arc<Generation>>, user: u32, item: u32, change: Change) -> bool {
        let after = change.edge.is_some();
        let before = match self.users.entry(user).or_default().entry(item) {
            Entry::Occupied(mut last) => last.insert(change).edge.is_some(),
            Entry::Vacant(none) => {
                let below = generation.filter(|_| !self.forgotten.contains_key(&user));
                let below = below.and_then(|g| g.postings().row(user).get(item));
                // Saying again what the generation holds changes nothing.
                if below != change.edge {
                    none.insert(change);
                }
                below.is_some()
            }
        };
        if before != after {
            self.count(generation, user, item, after);
        }
        before
    }

    /// Returns true: the user was known.
    fn forget(&mut self, generation: Option<&Arc<Generation>>, sequence: u64, user: u32) -> bool {
        let mut items = Vec::new();
        self.merge(generation.map(|g| g.postings()), user, |item, _| items.push(item));
        for &item in &items {
            self.count(generation, user, item, false);
        }
        self.users.remove(&user);
        self.forgotten.insert(user, sequence);
        true
    }

    fn count(&mut self, generation: Option<&Arc<Generation>>, user: u32, item: u32, gained: bool) {
        let difference = if gained { 1 } else { -1 };
        *self.degrees.entry(item).or_default() += difference;
        self.edges += difference;
        if let Some(generation) = generation {
            self.arrivals.change(generation, user, item, gained);
        }
    }

    /// Visits the user's edges, the generation's and the tail's, in ascending order of item.
    fn merge(&self, below: Option<&Postings>, user: u32, mut visit: impl FnMut(u32, Edge)) {
        let changes = self.users.get(&user);
        let mut changes = changes.into_iter().flatten().map(|(&item, change)| (item, change.edge)).peekable();
        let below = below.filter(|_| !self.forgotten.contains_key(&user));
        for (item, edge) in below.into_iter().flat_map(|p| p.row(user).edges()) {
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
}
