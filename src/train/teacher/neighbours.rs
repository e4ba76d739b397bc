//! A sparse linear model of items on items.

use rayon::prelude::*;

use crate::error::Result;
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Isa, add_scaled, dot};
use crate::train::context::Context;

/// Neighbours an item is predicted from.
const MOST: usize = 128;
/// Users with longer histories say little about a pair of items and cost their square; neighbours are chosen without them.
const LONGEST: usize = 4096;

/// Predicts an interaction with item i from the user's interactions with the items nearest to it: the weights of column i solve the ridge
/// regression `(G_NN + lambda I) w = G_Ni`, with G the counts of users two items share and N the neighbours of i. With all items as
/// neighbours this is SLIM (Ning and Karypis 2011) with a quadratic penalty, which has EASE (Steck 2019) for its closed form; the support makes it cost
/// O(items k^3) in place of O(items^3). The neighbours are those of the largest
/// `sum over shared users v of c_vi d_v^-1/2`, over `sqrt(d_i d_j)`.
///
/// Confidences weigh residuals, as in implicit ALS: what is minimised over w is `sum over users v of c_vi (x_vi - <w, x_vN>)^2 + lambda |w|^2`, with c_vi the
/// weight of v's interaction with i and 1 where there is none, x being 0 or 1. Without weights that is the system above.
///
/// What factors smooth over, a pair of items that goes together, is what it holds, so the sum of both beats either.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    /// Row j: the items that j predicts, with weights.
    weights: Csr,
}

impl Neighbours {
    /// Solves all items, with `regularisation` for lambda.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn fit(context: &Context<'_>, regularisation: f32) -> Result<Neighbours> {
        Ok(Neighbours::fit_each(context, &[regularisation])?.swap_remove(0))
    }

    /// [`Neighbours::fit`] for each of some `regularisations`, with the counts of shared users made once.
    pub(crate) fn fit_each(context: &Context<'_>, regularisations: &[f32]) -> Result<Vec<Neighbours>> {
        let n_items = context.graph.n_items();
        // Of every item the neighbours, and their weights by each regularisation back to back.
        let columns: Vec<(Vec<u32>, Vec<f32>)> = (0..n_items)
            .into_par_iter()
            .map_init(
                || Workspace::new(context.graph, context.isa),
                |workspace, item| {
                    context.check()?;
                    let near = workspace.nearest(item);
                    let weights = workspace.solve(item, &near, regularisations);
                    Ok((near, weights))
                },
            )
            .collect::<Result<_>>()?;
        let mut offsets = vec![0u64];
        offsets.extend(columns.iter().scan(0, |end, (near, _)| {
            *end += near.len() as u64;
            Some(*end)
        }));
        let near: Vec<u32> = columns.iter().flat_map(|(near, _)| near).copied().collect();
        (0..regularisations.len())
            .map(|at| {
                let weights = columns.iter().flat_map(|(near, weights)| &weights[at * near.len()..][..near.len()]);
                let values = Some(weights.copied().collect());
                Ok(Neighbours { weights: Csr::from_parts(n_items, offsets.clone(), near.clone(), values)?.transpose() })
            })
            .collect()
    }

    /// The items that each of `items` is predicted from, rising, with weights: solved where `wanted` of an item and its nearest, otherwise empty.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn columns(
        context: &Context<'_>,
        items: &[u32],
        regularisation: f32,
        wanted: impl Fn(u32, &[u32]) -> bool + Sync,
    ) -> Result<Vec<Vec<(u32, f32)>>> {
        items
            .par_iter()
            .map_init(
                || Workspace::new(context.graph, context.isa),
                |workspace, &item| {
                    context.check()?;
                    let near = workspace.nearest(item as usize);
                    if !wanted(item, &near) {
                        return Ok(Vec::new());
                    }
                    let weights = workspace.solve(item as usize, &near, &[regularisation]);
                    Ok(near.into_iter().zip(weights).collect())
                },
            )
            .collect()
    }

    /// By item, the items that it is predicted from, with weights.
    pub(crate) fn by_item(&self) -> Csr {
        self.weights.transpose()
    }

    /// The same model of `n_items` items, `by_item` it, with other columns, [by item](Neighbours::by_item) and as [`Neighbours::columns`] gives them, for `items`, which rise.
    /// O(weights).
    ///
    /// # Errors
    /// When they are none of such items, or a weight is not finite.
    pub(crate) fn replaced(
        by_item: &Csr,
        n_items: usize,
        items: &[u32],
        columns: &[Vec<(u32, f32)>],
    ) -> Result<Neighbours> {
        let mut offsets = vec![0u64];
        let (mut near, mut weights) = (Vec::with_capacity(by_item.n_edges()), Vec::with_capacity(by_item.n_edges()));
        let mut replaced = items.iter().zip(columns).peekable();
        for item in 0..n_items {
            if let Some((_, column)) = replaced.next_if(|(other, _)| **other as usize == item) {
                near.extend(column.iter().map(|entry| entry.0));
                weights.extend(column.iter().map(|entry| entry.1));
            } else if item < by_item.n_rows() {
                near.extend_from_slice(by_item.row(item));
                match by_item.row_values(item) {
                    Some(values) => weights.extend_from_slice(values),
                    None => weights.resize(near.len(), 1.0),
                }
            }
            offsets.push(near.len() as u64);
        }
        Ok(Neighbours { weights: Csr::from_parts(n_items, offsets, near, Some(weights))?.transpose() })
    }

    /// A model of these weights, which a row an item holds.
    pub(crate) fn of(weights: Csr) -> Neighbours {
        Neighbours { weights }
    }

    /// What each item predicts, with weights; the model is the product of a user's row of the graph with this matrix.
    pub(crate) fn weights(&self) -> &Csr {
        &self.weights
    }

    /// The same model with every weight, and so every score, `times` as large.
    ///
    /// # Errors
    /// When a weight is no longer finite.
    pub(crate) fn scaled(self, times: f32) -> Result<Neighbours> {
        let weights = self.weights;
        let values = weights.values().map(|values| values.iter().map(|weight| weight * times).collect());
        let (offsets, targets) = (weights.offsets().to_vec(), weights.targets().to_vec());
        Ok(Neighbours { weights: Csr::from_parts(weights.n_cols(), offsets, targets, values)? })
    }

    /// Adds the scores of somebody with `items` to `scores`, at the position of each item that has one. O(items x neighbours).
    pub(crate) fn add_scores(&self, items: &[u32], position: impl Fn(u32) -> Option<usize>, scores: &mut [f32]) {
        for (target, weight) in items.iter().flat_map(|&item| self.weights.entries(item as usize)) {
            if let Some(at) = position(target) {
                scores[at] += weight;
            }
        }
    }
}

/// What the solution of one item needs, kept for the next one.
struct Workspace<'a> {
    users: &'a Csr,
    items: &'a Csr,
    isa: Isa,
    /// Of every item; zero between two items' solutions.
    counts: Vec<f32>,
    /// Of every user, the positions of the neighbours they touched; empty between two items' solutions.
    touched: Vec<Vec<u32>>,
}

impl<'a> Workspace<'a> {
    fn new(graph: &'a Bipartite, isa: Isa) -> Workspace<'a> {
        Workspace {
            users: graph.users(),
            items: graph.items(),
            isa,
            counts: vec![0.0; graph.n_items()],
            touched: vec![Vec::new(); graph.n_users()],
        }
    }

    /// The nearest items of one, rising.
    fn nearest(&mut self, item: usize) -> Vec<u32> {
        let mut found = Vec::new();
        for (user, confidence) in self.items.entries(item) {
            let history = self.users.row(user as usize);
            if history.len() > LONGEST {
                continue;
            }
            let weight = confidence / (history.len() as f32).sqrt();
            for &other in history {
                let count = &mut self.counts[other as usize];
                if *count == 0.0 {
                    found.push(other);
                }
                *count += weight;
            }
        }
        let mut near: Vec<(f32, u32)> = found
            .iter()
            .filter(|&&other| other as usize != item)
            .map(|&other| (self.counts[other as usize] / (self.items.degree(other as usize) as f32).sqrt(), other))
            .collect();
        found.iter().for_each(|&other| self.counts[other as usize] = 0.0);
        if near.len() > MOST {
            near.select_nth_unstable_by(MOST, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(MOST);
        }
        let mut near: Vec<u32> = near.into_iter().map(|(_, other)| other).collect();
        near.sort_unstable();
        near
    }

    /// The weights of the neighbours by each regularisation, back to back.
    fn solve(&mut self, item: usize, near: &[u32], regularisations: &[f32]) -> Vec<f32> {
        let n = near.len();
        // The last row is that of the item itself: the right-hand side.
        let mut gram = vec![0.0f32; (n + 1) * n];
        for (position, &other) in near.iter().enumerate() {
            for &user in self.items.row(other as usize) {
                self.touched[user as usize].push(position as u32);
            }
        }
        let weighted = self.items.row_values(item).is_some();
        for (user, confidence) in self.items.entries(item) {
            let touched = &self.touched[user as usize];
            touched.iter().for_each(|&at| gram[n * n + at as usize] += confidence);
            if weighted {
                add_pairs(&mut gram, n, touched, confidence - 1.0);
            }
        }
        for &other in near {
            for &user in self.items.row(other as usize) {
                let touched = std::mem::take(&mut self.touched[user as usize]);
                add_pairs(&mut gram, n, &touched, 1.0);
            }
        }
        let mut weights = Vec::with_capacity(n * regularisations.len());
        for regularisation in regularisations {
            let mut system = gram.clone();
            (0..n).for_each(|at| system[at * n + at] += regularisation);
            let (lower, right) = system.split_at_mut(n * n);
            solve_cholesky(self.isa, lower, right);
            weights.extend_from_slice(right);
        }
        weights
    }
}

/// Adds `count` to a matrix of `n` columns, in its lower triangle, at every pair of `positions`, which rise.
fn add_pairs(gram: &mut [f32], n: usize, positions: &[u32], count: f32) {
    for (at, &row) in positions.iter().enumerate() {
        let row = &mut gram[row as usize * n..];
        positions[..=at].iter().for_each(|&column| row[column as usize] += count);
    }
}

/// Solves `A x = b` in place of b, with the lower triangle of A, positive definite, overwritten by its Cholesky factor.
fn solve_cholesky(isa: Isa, lower: &mut [f32], x: &mut [f32]) {
    let n = x.len();
    for row in 0..n {
        let (above, rest) = lower.split_at_mut(row * n);
        let current = &mut rest[..n];
        for column in 0..row {
            let other = &above[column * n..][..n];
            current[column] = (current[column] - dot(isa, &current[..column], &other[..column])) / other[column];
        }
        current[row] = (current[row] - dot(isa, &current[..row], &current[..row])).max(f32::MIN_POSITIVE).sqrt();
        x[row] = (x[row] - dot(isa, &current[..row], &x[..row])) / current[row];
    }
    for row in (0..n).rev() {
        let current = &lower[row * n..][..n];
        x[row] /= current[row];
        let (head, tail) = x.split_at_mut(row);
        add_scaled(isa, head, -tail[0], &current[..row]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::optim::random::below;
    use crate::train::tests::context;

    #[test]
    fn few_items_give_the_closed_form_of_all() {
        let (n_users, n_items, lambda) = (60u32, 14u32, 2.5f32);
        let base = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = context(&base, &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..n_users)
            .flat_map(|user| (0..n_items).map(move |item| (user, item, 1.0)))
            .filter(|edge| below(&mut rng, 2 + edge.1 as usize % 3) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users as usize, n_items as usize, &edges).unwrap();
        for isa in Isa::available() {
            let context = Context { isa, ..context(&graph, &()) };
            let model = Neighbours::fit_each(&context, &[7.0, lambda]).unwrap().swap_remove(1);
            let x = |user: u32, item: u32| f64::from(u8::from(graph.users().row(user as usize).contains(&item)));
            let count = |a: u32, b: u32| (0..n_users).map(|user| x(user, a) * x(user, b)).sum::<f64>();
            let weight = |from: u32, to: u32| {
                let mut scores = vec![0.0; n_items as usize];
                model.add_scores(&[from], |at| Some(at as usize), &mut scores);
                f64::from(scores[to as usize])
            };
            for to in 0..n_items {
                assert_eq!(weight(to, to), 0.0, "an item says nothing about itself");
                for row in (0..n_items).filter(|&row| row != to) {
                    // The normal equations hold.
                    let left: f64 = (0..n_items).map(|from| count(row, from) * weight(from, to)).sum();
                    let left = left + f64::from(lambda) * weight(row, to);
                    assert!((left - count(row, to)).abs() < 1e-3, "{isa:?} {row} {to}: {left} {}", count(row, to));
                }
            }
        }
    }

    /// Of every item, what it is predicted from.
    fn columns(graph: &Bipartite, lambda: f32) -> Vec<Vec<(u32, f32)>> {
        let by_item = Neighbours::fit(&context(graph, &()), lambda).unwrap().by_item();
        (0..by_item.n_rows()).map(|item| by_item.entries(item).collect()).collect()
    }

    #[test]
    fn replaced_columns_are_replaced_and_no_others() {
        let edges: Vec<_> = (0..30u32).map(|e| (e % 6, e * e % 7, 1.0)).collect();
        let graph = Bipartite::from_edges(6, 7, &edges).unwrap();
        let before = columns(&graph, 1.0);
        let by_item = Neighbours::fit(&context(&graph, &()), 1.0).unwrap().by_item();
        let own = [vec![], vec![(0, 0.5), (3, -0.25)], vec![(1, 2.0)]];
        let after = Neighbours::replaced(&by_item, 9, &[0, 4, 8], &own).unwrap().by_item();
        for item in 0..9u32 {
            let want = match item {
                0 => &own[0],
                4 => &own[1],
                8 => &own[2],
                7 => &Vec::new(),
                other => &before[other as usize],
            };
            assert_eq!(&after.entries(item as usize).collect::<Vec<_>>(), want, "{item}");
        }
    }

    /// The normal equations of the weighted squares hold, and weights of 1 change no bit.
    #[test]
    fn confidences_weigh_residuals() {
        let (n_users, n_items, lambda) = (50u32, 9u32, 1.5f32);
        let base = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = context(&base, &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..n_users)
            .flat_map(|user| (0..n_items).map(move |item| (user, item)))
            .filter(|_| below(&mut rng, 3) == 0)
            .map(|(user, item)| (user, item, 0.25 + (user * 7 + item) as f32 % 5.0))
            .collect();
        let graph = Bipartite::from_edges(n_users as usize, n_items as usize, &edges).unwrap();
        let own = columns(&graph, lambda);
        let x = |user: u32, item: u32| f64::from(u8::from(graph.users().row(user as usize).contains(&item)));
        for (item, column) in (0..n_items).zip(&own) {
            for &(other, weight) in column {
                let gradient = (0..n_users).map(|user| {
                    let known = graph.users().entries(user as usize).find(|entry| entry.0 == item);
                    let predicted: f64 = column.iter().map(|&(from, weight)| f64::from(weight) * x(user, from)).sum();
                    known.map_or(1.0, |entry| f64::from(entry.1)) * x(user, other) * (x(user, item) - predicted)
                });
                let gradient = gradient.sum::<f64>() - f64::from(lambda * weight);
                assert!(gradient.abs() < 1e-3, "{item} from {other}: {gradient}");
            }
        }
        let ones = graph.users().values().map(|values| vec![1.0; values.len()]);
        let (offsets, targets) = (graph.users().offsets().to_vec(), graph.users().targets().to_vec());
        let ones = Bipartite::from_users(Csr::from_parts(9, offsets.clone(), targets.clone(), ones).unwrap()).unwrap();
        let plain = Bipartite::from_users(Csr::from_parts(9, offsets, targets, None).unwrap()).unwrap();
        assert_eq!(columns(&ones, lambda), columns(&plain, lambda));
    }

    #[test]
    fn positions_choose_what_is_scored() {
        let edges: Vec<_> = (0..30u32).map(|e| (e % 6, e * e % 7, 1.0)).collect();
        let graph = Bipartite::from_edges(6, 9, &edges).unwrap();
        let model = Neighbours::fit(&context(&graph, &()), 1.0).unwrap();
        let mut all = vec![0.0; 9];
        model.add_scores(&[0, 1, 8], |at| Some(at as usize), &mut all);
        let mut some = vec![0.0; 2];
        model.scaled(0.5).unwrap().add_scores(&[0, 1, 8], |at| [2, 4].iter().position(|&x| x == at), &mut some);
        assert_eq!(some, [0.5 * all[2], 0.5 * all[4]]);
        assert!(all.iter().any(|&x| x != 0.0) && all[8] == 0.0, "{all:?}");
    }
}
