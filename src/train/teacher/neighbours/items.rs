//! A sparse linear model of items on items.

use super::ridge::{self, Wanted};
use crate::error::Result;
use crate::graph::Csr;
use crate::train::context::Context;

/// Predicts an interaction with item i from the user's interactions with the items nearest to it, by a [ridge regression](ridge::fit) of the users that
/// have i on those that have its neighbours. With all items as neighbours this is SLIM (Ning and Karypis 2011) with a quadratic penalty, which has EASE
/// (Steck 2019) for its closed form; the support makes it cost O(items k^3) in place of O(items^3).
///
/// What factors smooth over, a pair of items that goes together, is what it holds, so the sum of both beats either. There, what predicts an item of degree d
/// is taken times `(d / mean)^-damping`: the ridge shrinks what predicts rare items most, and popular ones have the most of what factors say as well.
#[derive(Clone, Debug)]
pub(crate) struct ItemNeighbours {
    /// Row j: the items that j predicts, with weights.
    weights: Csr,
}

/// What the weights that predict an item are taken times, by the degrees of all, as targets are damped in graph filters. O(items).
fn damped(items: &Csr, damping: f32) -> impl Fn(usize) -> f32 + Sync {
    let touched = (0..items.n_rows()).filter(|&item| items.degree(item) > 0).count();
    let mean = items.n_edges() as f64 / touched.max(1) as f64;
    move |item| (items.degree(item).max(1) as f64 / mean).powf(-f64::from(damping)) as f32
}

impl ItemNeighbours {
    /// Solves all items by each of some `regularisations`, and damps what predicts the popular ones.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn fit_each(
        context: &Context<'_>,
        regularisations: &[f32],
        damping: f32,
    ) -> Result<Vec<ItemNeighbours>> {
        let (users, items) = (context.graph.users(), context.graph.items());
        let damping = damped(items, damping);
        let models = ridge::fit(context, (items, users), regularisations)?.into_iter();
        models.map(|by_item| Ok(ItemNeighbours { weights: by_item.scaled_rows(&damping)?.transpose() })).collect()
    }

    /// [`ItemNeighbours::fit_each`] for one.
    pub(crate) fn fit(context: &Context<'_>, regularisation: f32, damping: f32) -> Result<ItemNeighbours> {
        Ok(ItemNeighbours::fit_each(context, &[regularisation], damping)?.swap_remove(0))
    }

    /// By item, the items that it is predicted from, with weights.
    pub(crate) fn by_item(&self) -> Csr {
        self.weights.transpose()
    }

    /// The same model of the graph of the context, with the columns of those of `items`, which rise, that are `wanted` solved again, by a regularisation,
    /// with a weight and damped.
    ///
    /// # Errors
    /// As [`ridge::refitted`].
    pub(crate) fn refitted(
        self,
        context: &Context<'_>,
        items: &[u32],
        (regularisation, weight, damping): (f32, f32, f32),
        wanted: Wanted<'_>,
    ) -> Result<ItemNeighbours> {
        let by_item = self.by_item();
        drop(self);
        let sides = (context.graph.items(), context.graph.users());
        let damping = damped(context.graph.items(), damping);
        let chosen = (regularisation, |item| weight * damping(item));
        let by_item = ridge::refitted(context, sides, by_item, items, chosen, wanted)?;
        Ok(ItemNeighbours { weights: by_item.transpose() })
    }

    /// Of more items, of which those that are more are predicted from nothing.
    pub(crate) fn grown(self, n_items: usize) -> ItemNeighbours {
        ItemNeighbours { weights: self.weights.grown(n_items) }
    }

    /// A model of these weights, which a row an item holds.
    pub(crate) fn of(weights: Csr) -> ItemNeighbours {
        ItemNeighbours { weights }
    }

    /// What each item predicts, with weights; the model is the product of a user's row of the graph with this matrix.
    pub(crate) fn weights(&self) -> &Csr {
        &self.weights
    }

    /// The same model with every weight, and so every score, `times` as large.
    ///
    /// # Errors
    /// When a weight is no longer finite.
    pub(crate) fn scaled(self, times: f32) -> Result<ItemNeighbours> {
        Ok(ItemNeighbours { weights: self.weights.scaled_rows(|_| times)? })
    }

    /// Adds the scores of somebody with `items`, of which each counts so much, to `scores`, at the position of each item that has one.
    /// O(items x neighbours).
    pub(crate) fn add_scores(
        &self,
        items: impl Iterator<Item = (u32, f32)>,
        position: impl Fn(u32) -> Option<usize>,
        scores: &mut [f32],
    ) {
        for (item, recency) in items {
            for (target, weight) in self.weights.entries(item as usize) {
                if let Some(at) = position(target) {
                    scores[at] += recency * weight;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::kernel::dense::Isa;
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
            let model = ItemNeighbours::fit_each(&context, &[7.0, lambda], 0.5).unwrap().swap_remove(1);
            let x = |user: u32, item: u32| f64::from(u8::from(graph.users().row(user as usize).contains(&item)));
            let count = |a: u32, b: u32| (0..n_users).map(|user| x(user, a) * x(user, b)).sum::<f64>();
            let weight = |from: u32, to: u32| {
                let mut scores = vec![0.0; n_items as usize];
                model.add_scores(std::iter::once((from, 1.0)), |at| Some(at as usize), &mut scores);
                f64::from(scores[to as usize]) / f64::from(damped(graph.items(), 0.5)(to as usize))
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
        let by_item = ItemNeighbours::fit(&context(graph, &()), lambda, 0.2).unwrap().by_item();
        (0..by_item.n_rows()).map(|item| by_item.entries(item).collect()).collect()
    }

    #[test]
    fn columns_that_are_wanted_are_solved_and_no_others() {
        let edges: Vec<_> = (0..30u32).map(|e| (e % 6, e * e % 7, 1.0)).collect();
        let graph = Bipartite::from_edges(6, 7, &edges).unwrap();
        let more: Vec<_> = edges.iter().copied().chain([(1, 3, 1.0), (2, 8, 1.0), (4, 8, 1.0)]).collect();
        let grown = Bipartite::from_edges(6, 9, &more).unwrap();
        let (before, after) = (columns(&graph, 1.0), columns(&grown, 1.0));
        let model = ItemNeighbours::fit(&context(&graph, &()), 1.0, 0.2).unwrap().grown(9);
        let known = |item: u32| before.get(item as usize).map_or(0, Vec::len);
        let wanted = |item: u32, near: &[u32], was: &[u32]| {
            assert!(near.len() == after[item as usize].len() && was.len() == known(item));
            item != 4
        };
        let refitted = model.refitted(&context(&grown, &()), &[0, 4, 8], (1.0, 0.5, 0.2), &wanted).unwrap().by_item();
        for (item, solved) in after.iter().enumerate() {
            let want: Vec<(u32, f32)> = match item {
                0 | 8 => solved.iter().map(|&(from, weight)| (from, 0.5 * weight)).collect(),
                7 => Vec::new(),
                other => before[other].clone(),
            };
            assert_eq!(refitted.entries(item).collect::<Vec<_>>(), want, "{item}");
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
        let own: Vec<Vec<(u32, f32)>> = columns(&graph, lambda)
            .into_iter()
            .enumerate()
            .map(|(item, column)| {
                let damping = damped(graph.items(), 0.2)(item);
                column.into_iter().map(|(from, weight)| (from, weight / damping)).collect()
            })
            .collect();
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

    /// Sixteen times the degree, and with it every count, is damped by `16^0.2` more.
    #[test]
    fn popular_items_are_predicted_by_less() {
        let edges: Vec<_> = (0..17u32).flat_map(|user| [(user, u32::from(user > 0) * 2, 1.0)]).collect();
        let graph = Bipartite::from_edges(17, 3, &edges).unwrap();
        let damping = damped(graph.items(), 0.2);
        assert!((damping(0) / damping(2) - 16f32.powf(0.2)).abs() < 1e-5);
        assert!((damping(2) - (16.0f32 / 8.5).powf(-0.2)).abs() < 1e-6, "the mean is that of items with interactions");
    }

    #[test]
    fn positions_choose_what_is_scored() {
        let edges: Vec<_> = (0..30u32).map(|e| (e % 6, e * e % 7, 1.0)).collect();
        let graph = Bipartite::from_edges(6, 9, &edges).unwrap();
        let model = ItemNeighbours::fit(&context(&graph, &()), 1.0, 0.2).unwrap();
        let mut all = vec![0.0; 9];
        model.add_scores([0, 1, 8].map(|item| (item, 1.0)).into_iter(), |at| Some(at as usize), &mut all);
        let mut some = vec![0.0; 2];
        model.scaled(0.5).unwrap().add_scores(
            [0, 1, 8].map(|item| (item, 1.0)).into_iter(),
            |at| [2, 4].iter().position(|&x| x == at),
            &mut some,
        );
        assert_eq!(some, [0.5 * all[2], 0.5 * all[4]]);
        assert!(all.iter().any(|&x| x != 0.0) && all[8] == 0.0, "{all:?}");
    }
}
