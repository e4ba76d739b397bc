//! The loss of a block of users whose negatives are mixed hop by hop.

use rayon::prelude::*;

use super::block::{Gathered, Objective, Slopes};
use crate::error::Result;
use crate::kernel::dense::{Factor, Matrix, View, add_scaled, dot, product};
use crate::train::context::Context;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::loss::pairwise;
use crate::train::optim::mixing::{MixedHop, Mixing};

/// What one user's pairs give.
struct Row {
    loss: f64,
    /// By pair, then hop: the derivatives by the inner products with the positives.
    own: Vec<f32>,
    /// By pair, negative, then hop: the chosen items of the pool, and the derivatives by the inner products with them.
    negatives: Vec<(u32, f32)>,
}

impl Objective {
    /// Negatives are [mixed](Mixing) of items of the pool. Products of every hop's vectors with the pool's give all scores, and products of their derivatives
    /// the gradient: three of `users x pool x columns`, and O(pairs x negatives x candidates x hops) for the choices.
    pub(super) fn mixed(&self, context: &Context<'_>, mut gathered: Gathered<'_>, mixing: Mixing) -> Result<Slopes> {
        let isa = context.isa;
        let (users, items) = (gathered.users, gathered.items);
        let hops = std::mem::take(&mut gathered.layers);
        let pool = View::new(items.data(), gathered.pool.len(), items.cols());
        let of_users = |hop: usize| View::from(users).columns(hops[hop].clone());
        let of_pool = |hop: usize| pool.columns(hops[hop].clone());
        let mut scores: Vec<Matrix> =
            (0..hops.len()).map(|hop| product(isa, of_users(hop), of_pool(hop).transposed())).collect();
        context.check()?;
        let mut generators = std::mem::take(&mut gathered.generators);
        let outcome: Vec<Row> = generators
            .par_iter_mut()
            .enumerate()
            .map(|(at, rng)| {
                let mut row = Row { loss: 0.0, own: Vec::new(), negatives: Vec::new() };
                let (mut candidates, mut chosen) = (Vec::new(), Vec::<MixedHop>::new());
                let mut slopes = vec![0.0f32; self.negatives];
                let known = |hop: usize, item: u32| scores[hop].row(at)[item as usize];
                for &slot in &gathered.positives[at] {
                    let (user, positive) = (users.row(at), items.row(slot as usize));
                    let mut own: Vec<f32> =
                        hops.iter().map(|hop| dot(isa, &user[hop.clone()], &positive[hop.clone()])).collect();
                    chosen.clear();
                    for slope in &mut slopes {
                        self.sampler.candidates(rng, gathered.pool, gathered.seen[at], &mut candidates);
                        *slope = mixing.choose(rng, &own, known, &candidates, &mut chosen);
                    }
                    row.loss += f64::from(pairwise(own.iter().sum(), &mut slopes, self.temperature));
                    own.fill(-slopes.iter().sum::<f32>());
                    for (chosen, slope) in chosen.chunks_exact(hops.len()).zip(&slopes) {
                        for (own, MixedHop { item, share }) in own.iter_mut().zip(chosen) {
                            *own += slope * share;
                            row.negatives.push((*item, slope * (1.0 - share)));
                        }
                    }
                    row.own.extend(own);
                }
                row
            })
            .collect();
        context.check()?;

        let mut to_users = Matrix::zeros(users.rows(), users.cols());
        let mut to_items = Matrix::zeros(items.rows(), items.cols());
        for (hop, (columns, slopes)) in hops.iter().zip(&mut scores).enumerate() {
            slopes.par_rows_mut().zip(&outcome).for_each(|(slopes, row)| {
                slopes.fill(0.0);
                let chosen = row.negatives.iter().skip(hop).step_by(hops.len());
                chosen.for_each(|&(item, by)| slopes[item as usize] += by);
            });
            let slopes = View::from(&*slopes);
            let mut of_items = Matrix::zeros(gathered.pool.len(), columns.len());
            Factor::pack(isa, of_users(hop)).par_multiply(slopes.transposed(), of_items.data_mut(), false);
            for (to, from) in [(&mut to_users, product(isa, slopes, of_pool(hop))), (&mut to_items, of_items)] {
                let rows = to.par_rows_mut().zip(from.par_rows());
                rows.for_each(|(to, from)| to[columns.clone()].copy_from_slice(from));
            }
        }
        let add = |out: &mut [f32], by: &[f32], row: &[f32]| {
            for (hop, &by) in hops.iter().zip(by) {
                add_scaled(isa, &mut out[hop.clone()], by, &row[hop.clone()]);
            }
        };
        to_users.par_rows_mut().zip(&outcome).zip(gathered.positives).for_each(|((out, row), positives)| {
            for (&slot, by) in positives.iter().zip(row.own.chunks_exact(hops.len())) {
                add(out, by, items.row(slot as usize));
            }
        });
        let slots: Vec<u32> = gathered.positives.iter().flatten().copied().collect();
        let by_user: Vec<(usize, &[f32])> = outcome
            .iter()
            .enumerate()
            .flat_map(|(user, row)| row.own.chunks_exact(hops.len()).map(move |by| (user, by)))
            .collect();
        let by_item = Grouping::new(items.rows(), &slots);
        to_items.par_rows_mut().enumerate().for_each(|(slot, out)| {
            for &(user, by) in by_item.row(slot).iter().map(|&pair| &by_user[pair as usize]) {
                add(out, by, users.row(user));
            }
        });
        let mut pairs = vec![0.0f32; items.rows()];
        let negatives = outcome.iter().flat_map(|row| row.negatives.iter().step_by(hops.len()).map(|chosen| chosen.0));
        slots.iter().copied().chain(negatives).for_each(|slot| pairs[slot as usize] += 1.0);
        Ok(Slopes { loss: outcome.iter().map(|row| row.loss).sum(), users: to_users, items: to_items, pairs })
    }
}
