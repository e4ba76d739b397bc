use std::collections::HashMap;

use kithdb::{Id, Interaction};

/// One interaction a (user, item), at the place of the first: the last row wins, as in a database. O(rows).
pub fn latest(rows: impl IntoIterator<Item = Interaction>) -> Vec<Interaction> {
    let mut kept: Vec<Interaction> = Vec::new();
    let (mut users, mut items) = (Numbers::default(), Numbers::default());
    let mut places: HashMap<(usize, usize), usize> = HashMap::new();
    for row in rows {
        let edge = (users.number(&row.user), items.number(&row.item));
        let place = *places.entry(edge).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(earlier) => *earlier = row,
            None => kept.push(row),
        }
    }
    kept
}

/// Numbers for ids, in order of appearance.
#[derive(Default)]
pub(super) struct Numbers(HashMap<Id, usize>);

impl Numbers {
    /// The number of an id, the next one where it has none.
    pub(super) fn number(&mut self, id: &Id) -> usize {
        if let Some(&number) = self.0.get(id) {
            return number;
        }
        let next = self.0.len();
        self.0.insert(id.clone(), next);
        next
    }

    /// How many ids have one.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
