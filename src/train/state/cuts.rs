//! The edges that a training's masks cut.

use kithdb_storage::State;

use super::{StateData, TrainState};
use crate::error::Result;
use crate::graph::Bipartite;
use crate::kernel::dense::Matrix;

/// Users and items of the edges, in the order of the users' rows.
const USERS: &str = "teacher.masks.users";
const ITEMS: &str = "teacher.masks.items";

/// Keeps the edges of a graph that no hop propagates over once trained, by the masks' logits, `edges x hops`: those that are more likely cut than not.
/// O(edges hops).
pub(crate) fn save(graph: &Bipartite, logits: &Matrix, state: &mut TrainState) {
    let rows = graph.users();
    let edges = (0..rows.n_rows()).flat_map(|user| rows.row(user).iter().map(move |&item| (user as u32, item)));
    let cut = edges.enumerate().filter(|(edge, _)| logits.row(*edge).iter().all(|&logit| logit <= 0.0));
    let (users, items) = cut.map(|(_, edge)| edge).unzip();
    state.push_row(USERS, StateData::Integers(users));
    state.push_row(ITEMS, StateData::Integers(items));
}

/// The items of a user whose edges were cut, rising; `None` where no masks were learned. O(edges cut).
///
/// # Errors
/// `Storage`.
pub(crate) fn of_user(state: &State, user: u32) -> Result<Option<Vec<u32>>> {
    let (users, items) = (state.part::<u32>(USERS)?, state.part::<u32>(ITEMS)?);
    let own = |(users, items): (Vec<u32>, Vec<u32>)| {
        let range = users.partition_point(|&row| row < user)..users.partition_point(|&row| row <= user);
        items.get(range).unwrap_or_default().to_vec()
    };
    Ok(users.zip(items).map(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An edge is cut where every hop is more likely to cut it than not.
    #[test]
    fn what_every_hop_cuts_is_kept_by_user() {
        let graph = Bipartite::from_edges(3, 4, &[(0, 1, 1.0), (0, 3, 1.0), (2, 0, 1.0), (2, 3, 1.0)]).unwrap();
        let logits = Matrix::from_data(4, 2, vec![-1.0, -0.5, 0.1, -3.0, 2.0, 1.0, -0.1, 0.0]).unwrap();
        let mut state = TrainState::default();
        save(&graph, &logits, &mut state);
        let parts: Vec<(&str, &StateData)> = state.parts.iter().map(|part| (part.name.as_str(), &part.data)).collect();
        let [users, items] = [vec![0, 2], vec![1, 3]].map(StateData::Integers);
        assert_eq!(parts, [(USERS, &users), (ITEMS, &items)]);
    }
}
