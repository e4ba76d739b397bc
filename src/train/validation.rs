//! Recall on held-out interactions.

use rayon::prelude::*;

use super::holdout::Holdout;
use crate::graph::Csr;
use crate::kernel::dense::{Factor, Isa, Matrix, View};

/// Users scored at once.
const BLOCK: usize = 64;

/// Held-out interactions of some users, and what is masked for them.
pub(crate) struct Validation {
    users: Vec<u32>,
    held: Csr,
    seen: Csr,
}

impl Validation {
    /// Validates on at most `most` of the users with held-out interactions, spread evenly over them.
    pub(crate) fn new(holdout: &Holdout, most: usize) -> Validation {
        let all: Vec<u32> =
            (0..holdout.held.n_rows() as u32).filter(|&u| holdout.held.degree(u as usize) > 0).collect();
        let count = all.len().min(most);
        let users = (0..count).map(|at| all[at * all.len() / count]).collect();
        Validation { users, held: holdout.held.clone(), seen: holdout.trained.users().clone() }
    }

    /// Whether there is nothing to validate on.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Users validated on.
    pub(crate) fn n_users(&self) -> usize {
        self.users.len()
    }

    /// Mean over users of the share of their held-out items among the `k` best by inner product, trained items masked,
    /// ties by rising index. `None` when nothing is held out. O(users x items x columns).
    pub(crate) fn recall(&self, isa: Isa, k: usize, users: &Matrix, items: &Matrix) -> Option<f64> {
        if self.users.is_empty() {
            return None;
        }
        let factor = Factor::pack(isa, View::from(items).transposed());
        let recalls: Vec<f64> = self
            .users
            .par_chunks(BLOCK)
            .flat_map_iter(|block| {
                let mut queries = Matrix::zeros(block.len(), users.cols());
                for (row, &user) in block.iter().enumerate() {
                    queries.row_mut(row).copy_from_slice(users.row(user as usize));
                }
                let mut scores = Matrix::zeros(block.len(), items.rows());
                factor.multiply((&queries).into(), scores.data_mut(), false);
                let recalls: Vec<f64> = block
                    .iter()
                    .enumerate()
                    .map(|(row, &user)| {
                        let (held, seen) = (self.held.row(user as usize), self.seen.row(user as usize));
                        let best = best(scores.row_mut(row), seen, k);
                        let hits = best.iter().filter(|item| held.binary_search(item).is_ok()).count();
                        hits as f64 / held.len() as f64
                    })
                    .collect();
                recalls
            })
            .collect();
        Some(recalls.iter().sum::<f64>() / recalls.len() as f64)
    }
}

/// The `k` best items that are not in `seen`, unordered. Overwrites the scores of seen items.
fn best(scores: &mut [f32], seen: &[u32], k: usize) -> Vec<u32> {
    seen.iter().for_each(|&item| scores[item as usize] = f32::NEG_INFINITY);
    let mut items: Vec<u32> = (0..scores.len() as u32).collect();
    let k = k.min(items.len() - seen.len());
    if k < items.len() && k > 0 {
        items.select_nth_unstable_by(k - 1, |&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
    }
    items.truncate(k);
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;

    #[test]
    fn recall_masks_what_was_trained_and_breaks_ties_by_index() {
        let trained = Bipartite::from_edges(3, 5, &[(0, 0, 1.0), (1, 4, 1.0)]).unwrap();
        let held = Csr::from_edges(3, 5, &[(0, 1, 1.0), (0, 3, 1.0), (1, 0, 1.0)]).unwrap();
        let validation = Validation::new(&Holdout { trained, held }, 9);
        let users = Matrix::from_data(3, 1, vec![1.0; 3]).unwrap();
        let items = Matrix::from_data(5, 1, vec![9.0, 2.0, 2.0, 1.0, 7.0]).unwrap();
        // User 0: 4 then the tie of 1 and 2, so one of two hits at 2. User 1: 0 first. User 2 has nothing held out.
        let recall = validation.recall(Isa::Baseline, 2, &users, &items).unwrap();
        assert_eq!(recall, (0.5 + 1.0) / 2.0);
        assert_eq!(validation.recall(Isa::Baseline, 100, &users, &items), Some(1.0));
    }
}
