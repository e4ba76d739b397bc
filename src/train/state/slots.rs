//! Whose the rows of a table are: not every node has one, nor are they always in the order of the nodes.

use kithdb_storage::State;

use super::{OF_ITEMS, OF_USERS, StateData, TrainState};
use crate::error::Result;

/// What names the rows of tables of users that are stored: those of users with interactions.
pub(crate) const USERS: &str = "rows.users";
/// As [`USERS`], of items.
pub(crate) const ITEMS: &str = "rows.items";

/// Of a row that is nobody's: zeros, until somebody comes who has it.
const NOBODY: u32 = u32::MAX;
/// One row in so many may be nobody's.
const SPARE: usize = 16;

impl TrainState {
    /// The rows of nodes of [`TrainState::of_active`] where the state `before` has them, so that what is patched over it holds the rows that are others and no
    /// more: who has no row now leaves it to the first that had none, and who then has none yet comes last. Where too many would be nobody's, rows stay in the
    /// order of their nodes. O(rows).
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn in_slots_of(mut self, before: &State) -> Result<TrainState> {
        for (tables, name) in [(&OF_USERS[..], USERS), (&OF_ITEMS[..], ITEMS)] {
            let Some(at) = self.parts.iter().position(|part| part.name == name) else { continue };
            let StateData::Integers(numbers) = &self.parts[at].data else { continue };
            let had = match before.part::<u32>(name)? {
                Some(had) => had,
                // Of before rows were named where all nodes had one.
                None => {
                    let rows = tables.iter().find_map(|table| before.shape(table)?.first());
                    (0..rows.map_or(0, |&rows| rows as u32)).collect()
                }
            };
            let Some(slots) = slots(&had, numbers).filter(|slots| slots != numbers) else { continue };
            let rows: Vec<Option<usize>> = slots.iter().map(|slot| numbers.binary_search(slot).ok()).collect();
            self.parts.iter_mut().filter(|part| tables.contains(&&*part.name)).for_each(|part| part.place_rows(&rows));
            self.parts[at].shape[0] = slots.len() as u64;
            self.parts[at].data = StateData::Integers(slots);
        }
        Ok(self)
    }
}

/// Whose each row is to be, for those that there are `now`, who rise, after a state whose rows were those `before`; `None` where too many would be nobody's.
fn slots(before: &[u32], now: &[u32]) -> Option<Vec<u32>> {
    let mut had = before.to_vec();
    had.sort_unstable();
    let mut come = now.iter().copied().filter(|node| had.binary_search(node).is_err());
    let mut free = 0;
    let mut take = |slot: &u32| match now.binary_search(slot) {
        Ok(_) => *slot,
        Err(_) => come.next().unwrap_or_else(|| {
            free += 1;
            NOBODY
        }),
    };
    let mut slots: Vec<u32> = before.iter().map(&mut take).collect();
    slots.extend(come);
    (free * SPARE <= slots.len()).then_some(slots)
}

/// The rows of `numbers` that are somebody's, with whose they are; `None` where they are not all those of others, of `rows` in all.
pub(super) fn owned(numbers: &[u32], rows: usize) -> Option<Vec<(usize, usize)>> {
    let owners = numbers.iter().enumerate().filter(|&(_, &number)| number != NOBODY);
    let owned: Vec<(usize, usize)> = owners.map(|(row, &number)| (row, number as usize)).collect();
    let mut seen = vec![false; rows];
    let are_others =
        owned.iter().all(|&(_, number)| seen.get_mut(number).is_some_and(|seen| !std::mem::replace(seen, true)));
    are_others.then_some(owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kithdb_storage::{Draft, Store, StoreOptions};
    use proptest::prelude::*;

    use super::super::read_table;
    use super::*;
    use crate::graph::Bipartite;
    use crate::kernel::dense::Matrix;

    proptest! {
        /// Whoever is there has one row, those who had one and those before whom no row came free stay, and few rows are nobody's.
        #[test]
        fn rows_stay_whose_they_were(steps in proptest::collection::vec(proptest::collection::vec(0..80u32, 0..60), 1..8)) {
            let mut before: Vec<u32> = Vec::new();
            for now in steps {
                let now: Vec<u32> = now.into_iter().collect::<BTreeSet<u32>>().into_iter().collect();
                let next = slots(&before, &now);
                let stay = before.iter().filter(|node| now.contains(node)).count();
                let gone = before.len() - stay;
                let nobodys = gone.saturating_sub(now.len() - stay);
                prop_assert_eq!(next.is_none(), nobodys * SPARE > before.len().max(now.len()));
                let next = next.unwrap_or_else(|| now.clone());
                let mut owners: Vec<u32> = owned(&next, 80).unwrap().into_iter().map(|(_, owner)| owner as u32).collect();
                owners.sort_unstable();
                prop_assert_eq!(&owners, &now);
                if nobodys * SPARE <= before.len().max(now.len()) {
                    prop_assert!(before.iter().zip(&next).all(|(had, has)| had == has || !now.contains(had)));
                    prop_assert_eq!(next.len(), before.len().max(now.len()));
                }
                before = next;
            }
        }
    }

    #[test]
    fn rows_of_nobody_known_and_of_one_twice_are_refused() {
        assert_eq!(owned(&[2, NOBODY, 0], 3), Some(vec![(0, 2), (2, 0)]));
        assert_eq!(owned(&[2, 1, 2], 3), None);
        assert_eq!(owned(&[3], 3), None);
        assert_eq!(owned(&[], 0), Some(Vec::new()));
    }

    /// Tables whose rows come and go are read as they are: a row a node, zeros of who has none.
    #[test]
    fn tables_are_read_by_their_owners() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), &StoreOptions::default()).unwrap();
        let tables = |active: &[u32]| {
            let mut users = Matrix::zeros(30, 2);
            active.iter().for_each(|&user| users.row_mut(user as usize).fill(user as f32 + 0.5));
            users
        };
        // All but two, then both of these in place of two, then one fewer.
        let all: Vec<u32> = (0..30).collect();
        let without = |gone: &[u32]| all.iter().copied().filter(|user| !gone.contains(user)).collect::<Vec<u32>>();
        let mut orders = Vec::new();
        for active in
            [without(&[4, 9]), without(&[11, 20]), without(&[11, 20, 3]), without(&[11, 20, 3, 7, 8, 15, 16, 17])]
        {
            let edges: Vec<(u32, u32, f32)> = active.iter().map(|&user| (user, 0, 1.0)).collect();
            let graph = Bipartite::from_edges(30, 1, &edges).unwrap();
            let mut state = TrainState::default();
            state.push("teacher.users", tables(&active));
            state.push("teacher.items", Matrix::zeros(1, 2));
            let mut state = state.of_active(&graph);
            if let Some(before) = store.manifest().and_then(|manifest| store.read_state(&manifest).unwrap()) {
                state = state.in_slots_of(&before).unwrap();
            }
            let mut writer = store.begin_generation().unwrap();
            writer.part("any", &[1], &[0u32]).unwrap();
            for part in &state.parts {
                match &part.data {
                    StateData::Floats(data) => writer.state_part(&part.name, &part.shape, data).unwrap(),
                    StateData::Integers(data) => writer.state_part(&part.name, &part.shape, data).unwrap(),
                    StateData::Words(data) => writer.state_part(&part.name, &part.shape, data).unwrap(),
                }
            }
            writer.publish(Draft::default()).unwrap();
            let state = store.read_state(&store.manifest().unwrap()).unwrap().unwrap();
            assert_eq!(read_table(&state, "teacher.users", USERS, 30, 0.0).unwrap().unwrap(), tables(&active));
            assert_eq!(state.part::<u32>(ITEMS).unwrap().unwrap(), [0]);
            orders.push(state.part::<u32>(USERS).unwrap().unwrap());
        }
        let mut want = without(&[4, 9]);
        (want[9], want[18]) = (4, 9);
        assert_eq!(orders[1], want);
        want[3] = NOBODY;
        assert_eq!(orders[2], want);
        assert_eq!(orders[3], without(&[11, 20, 3, 7, 8, 15, 16, 17]), "too many rows would be nobody's");
    }
}
