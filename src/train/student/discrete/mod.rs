//! Discrete coordinate descent of codes towards a teacher's scores.

mod descent;

use rayon::prelude::*;

use super::{Student, Tables};
use crate::error::Result;
use crate::index::TopK;
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, multiply_by};
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::optim::random::subset;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::scores::Scores;
use descent::{Descent, Side, Workspace};

/// Pairs scored to find the lists; with more, a user's list is taken from a sample of the items.
const MOST_PAIRS: usize = 1 << 33;
/// Entries of all lists together.
const MOST_ENTRIES: usize = 1 << 25;
/// Entries an item is fitted to; of more, an even part stands for all.
const MOST_OF_ITEM: usize = 4096;

/// Codes whose scores are nearest to the teacher's in weighted squares, found bit by bit. With t the teacher's score, shifted and scaled for
/// every user to mean 0 and deviation 1 over the items, x a user's and w an item's code vector (signs times one scaler per layer) and m the mean
/// of all w, the loss is
///
/// `sum over u, i of (t_ui - <x_u, w_i - m>)^2 + weight * sum over u, i in the list of u of the same squares`
///
/// where a user's list holds its best items by the teacher, those it has seen among them, and all users' first terms hold every pair: of
/// those, only the Gram matrix of one side and the product of the scores with it are needed. A user's bit is flipped when that lowers the
/// loss, given all other bits (discrete cyclic coordinate descent: Shen et al., "Supervised Discrete Hashing", CVPR 2015, equation 12; Zhang et
/// al., "Discrete Collaborative Filtering", SIGIR 2016, equation 9), then its scalers take their least-squares values; items are treated alike,
/// and no real-valued relaxation comes between a code and its loss. Shifts need no fitting: they change no ranking of a user's.
///
/// O(bits (bits + list)) a row and pass, and the scores of all pairs once.
#[derive(Clone, Debug)]
pub(crate) struct Discrete {
    /// Times both sides are fitted.
    pub(crate) sweeps: usize,
    /// Items of a user's list.
    pub(crate) list: usize,
    /// Weight of a user's list, as a share of the weight of all items.
    pub(crate) emphasis: f32,
}

impl Student for Discrete {
    fn name(&self) -> &'static str {
        "discrete coordinate descent"
    }

    fn distil(&self, context: &Context<'_>, teacher: &Layers, start: Tables) -> Result<(Tables, Vec<Epoch>)> {
        context.monitor.phase("student", 2 * self.sweeps as u64 + 1);
        let mut training = Training::new(self, context, teacher, start)?;
        context.monitor.advance(1);
        let mut epochs = Vec::with_capacity(self.sweeps);
        for sweep in 0..self.sweeps {
            training.fit_users()?;
            context.monitor.advance(2 * sweep as u64 + 2);
            let loss = training.fit_items()?;
            context.monitor.advance(2 * sweep as u64 + 3);
            let recall = training.tables(&training.users).recall(context)?;
            epochs.push(Epoch { loss, recall });
            if let Some(recall) = recall {
                context.monitor.validation(sweep as u64 + 1, recall);
            }
        }
        let mut magnitudes = training.users.clone();
        training.each_user(&mut magnitudes, |descent| descent.relax())?;
        Ok((training.tables(&magnitudes), epochs))
    }
}

struct Training<'a> {
    context: &'a Context<'a>,
    scores: Scores<'a>,
    /// Of every user: what the teacher's scores are multiplied by, zero where there is nothing to fit.
    units: Vec<f32>,
    /// Of every user: the mean of the scores so multiplied.
    means: Vec<f32>,
    /// The items of every user's list, with their targets.
    lists: Lists,
    by_item: Lists,
    /// Weight of an entry of a list.
    weight: f32,
    /// Code vectors: signs times scalers.
    users: Matrix,
    items: Matrix,
    start: Tables,
}

impl<'a> Training<'a> {
    fn new(model: &Discrete, context: &'a Context<'a>, teacher: &'a Layers, start: Tables) -> Result<Training<'a>> {
        let scores = Scores::new(context, teacher);
        let (n_users, n_items) = (start.users.rows(), start.items.rows());
        let candidates = subset(&mut context.rng("candidates"), n_items, (MOST_PAIRS / n_users.max(1)).max(1024));
        let most = model.list.min(MOST_ENTRIES / n_users.max(1)).max(1);
        let mut ones = Matrix::zeros(n_items, 1);
        ones.data_mut().fill(1.0 / n_items.max(1) as f32);
        let mut means = scores.times(&ones).into_data();
        let found = scores.map_users(context, &candidates, |user, row| {
            let squares = row.iter().map(|x| (x - means[user]) * (x - means[user])).sum::<f32>();
            let deviation = (squares / row.len().max(1) as f32).sqrt();
            let list: Vec<(u32, f32)> = match context.graph.users().degree(user) {
                0 => Vec::new(),
                _ => best(row, most).into_iter().map(|at| (candidates[at as usize], row[at as usize])).collect(),
            };
            (deviation, list)
        })?;
        let is_active = |user: usize| context.graph.users().degree(user) > 0 && found[user].0 > f32::MIN_POSITIVE;
        let units: Vec<f32> =
            (0..n_users).map(|user| if is_active(user) { 1.0 / found[user].0 } else { 0.0 }).collect();
        means.iter_mut().zip(&units).for_each(|(mean, unit)| *mean *= unit);
        let mut lists = Lists::default();
        for (user, (_, list)) in found.into_iter().enumerate() {
            let entries = list.into_iter().map(|(item, score)| (item, score * units[user] - means[user]));
            lists.push(entries.filter(|_| units[user] > 0.0));
        }
        let isa = context.isa;
        let write = |n: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)| {
            let mut out = Matrix::zeros(n, start.users.cols());
            out.par_rows_mut().enumerate().for_each(|(row, out)| write(row, out));
            out
        };
        Ok(Training {
            users: write(n_users, &|user, out| start.write_user(isa, user, out)),
            items: write(n_items, &|item, out| start.write_item(isa, item, out)),
            weight: model.emphasis * n_items as f32 / most as f32,
            by_item: lists.transposed(n_items),
            context,
            scores,
            units,
            means,
            lists,
            start,
        })
    }

    /// Fits every user to the items.
    fn fit_users(&mut self) -> Result<()> {
        let mut users = std::mem::replace(&mut self.users, Matrix::zeros(0, 0));
        self.each_user(&mut users, |descent| descent.fit())?;
        self.users = users;
        Ok(())
    }

    /// Runs `visit` on the descent of every user with something to fit, then takes the vector it leaves.
    fn each_user(&self, users: &mut Matrix, visit: impl Fn(&mut Descent<'_>) + Sync) -> Result<()> {
        let (isa, context) = (self.context.isa, self.context);
        let mut centred = self.items.clone();
        let mean = column_mean(isa, &centred);
        centred.par_rows_mut().for_each(|row| add_scaled(isa, row, -1.0, &mean));
        let mut cross = self.scores.times(&centred);
        cross.par_rows_mut().zip(&self.units).for_each(|(row, &unit)| multiply_by(isa, row, unit));
        let side = Side::new(isa, &self.start.segments, &centred);
        users.par_rows_mut().zip(cross.par_rows()).enumerate().try_for_each_init(
            Workspace::default,
            |workspace, (user, (vector, cross))| {
                context.check()?;
                if self.units[user] > 0.0 {
                    let list = self.lists.row(user).map(|(&item, &goal)| (item, goal));
                    let mut descent = Descent::new(&side, workspace, vector, cross, list, self.weight);
                    visit(&mut descent);
                }
                Ok(())
            },
        )
    }

    /// Fits every item to the users; the loss after it, as a share of that of codes that say nothing.
    fn fit_items(&mut self) -> Result<f64> {
        let (isa, context, users) = (self.context.isa, self.context, &self.users);
        let mean = column_mean(isa, &self.items);
        // What the mean item adds to a user's scores; the targets are raised by it in place of centring the items.
        let offsets: Vec<f32> = users.par_rows().map(|row| dot(isa, row, &mean)).collect();
        let mut scaled = users.clone();
        scaled.par_rows_mut().zip(&self.units).for_each(|(row, &unit)| multiply_by(isa, row, unit));
        let mut cross = self.scores.transposed_times(&scaled);
        let mut shift = vec![0.0; mean.len()];
        for (user, vector) in (0..users.rows()).map(|user| (user, users.row(user))) {
            add_scaled(isa, &mut shift, offsets[user] - self.means[user], vector);
        }
        cross.par_rows_mut().for_each(|row| add_scaled(isa, row, 1.0, &shift));
        let side = Side::new(isa, &self.start.segments, users);
        let (by_item, weight) = (&self.by_item, self.weight);
        let rows = self.items.par_rows_mut().zip(cross.par_rows()).enumerate();
        let losses: Vec<f64> = rows
            .map_init(Workspace::default, |workspace, (item, (vector, cross))| {
                context.check()?;
                let entries = by_item.row(item).len();
                let step = entries.div_ceil(MOST_OF_ITEM).max(1);
                let list = by_item.row(item).step_by(step).map(|(&user, &goal)| (user, goal + offsets[user as usize]));
                let weight = weight * entries as f32 / entries.div_ceil(step).max(1) as f32;
                if context.graph.items().degree(item) == 0 {
                    return Ok(0.0);
                }
                let mut descent = Descent::new(&side, workspace, vector, cross, list, weight);
                descent.fit();
                Ok(descent.loss())
            })
            .collect::<Result<_>>()?;
        let n_items = self.items.rows() as f64;
        let active = self.units.iter().zip(&offsets).filter(|(unit, _)| **unit > 0.0);
        let squares: f64 = active.clone().map(|(_, &offset)| n_items * (1.0 + f64::from(offset).powi(2))).sum();
        let listed: f64 = self.lists.goals.iter().map(|&goal| f64::from(goal).powi(2)).sum();
        let nothing = n_items * active.count() as f64 + f64::from(self.weight) * listed;
        Ok((squares + losses.iter().sum::<f64>()) / nothing.max(f64::MIN_POSITIVE))
    }

    /// The tables of the codes. The latents of users are `magnitudes`: the same signs, for queries of several planes.
    fn tables(&self, magnitudes: &Matrix) -> Tables {
        let isa = self.context.isa;
        let mut tables = self.start.clone();
        let Tables { segments, weights, users, items, user_scales, item_scales, .. } = &mut tables;
        for (layer, segment) in segments.iter().enumerate() {
            let (square, width) = (weights[layer] * weights[layer], segment.len() as f32);
            for (vectors, from, latents, scales, factor) in [
                (&self.users, magnitudes, &mut *users, &mut *user_scales, 1.0 / square),
                (&self.items, &self.items, &mut *items, &mut *item_scales, width),
            ] {
                let rows = latents.par_rows_mut().zip(scales.par_rows_mut());
                rows.zip(vectors.par_rows().zip(from.par_rows())).for_each(|((latent, scales), (vector, from))| {
                    scales[layer] = (vector[segment.start].abs() * factor).ln();
                    let latent = &mut latent[segment.clone()];
                    latent.copy_from_slice(&from[segment.clone()]);
                    Tables::spread(isa, latent);
                });
            }
        }
        tables
    }
}

/// Entries of rows, with targets.
#[derive(Default)]
struct Lists {
    ends: Vec<usize>,
    rows: Vec<u32>,
    goals: Vec<f32>,
}

impl Lists {
    fn push(&mut self, entries: impl Iterator<Item = (u32, f32)>) {
        entries.for_each(|(row, goal)| {
            self.rows.push(row);
            self.goals.push(goal);
        });
        self.ends.push(self.rows.len());
    }

    fn row(&self, row: usize) -> std::iter::Zip<std::slice::Iter<'_, u32>, std::slice::Iter<'_, f32>> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let span = start..self.ends[row];
        self.rows[span.clone()].iter().zip(&self.goals[span])
    }

    /// The entries by what they point to, of which there are `n`.
    fn transposed(&self, n: usize) -> Lists {
        let mut starts = vec![0usize; n + 1];
        self.rows.iter().for_each(|&row| starts[row as usize + 1] += 1);
        (0..n).for_each(|row| starts[row + 1] += starts[row]);
        let mut out =
            Lists { ends: starts[1..].to_vec(), rows: vec![0; self.rows.len()], goals: vec![0.0; self.rows.len()] };
        for row in 0..self.ends.len() {
            for (&to, &goal) in self.row(row) {
                let at = &mut starts[to as usize];
                (out.rows[*at], out.goals[*at]) = (row as u32, goal);
                *at += 1;
            }
        }
        out
    }
}

/// Positions of the `most` largest scores, ties by position, rising. O(scores).
fn best(scores: &[f32], most: usize) -> Vec<u32> {
    let mut best = TopK::new(most, scores.len());
    for (at, &score) in (0..).zip(scores) {
        if score >= best.threshold() {
            best.push(score, at, at);
        }
    }
    let mut positions: Vec<u32> = best.into_sorted().into_iter().map(|(at, _)| at).collect();
    positions.sort_unstable();
    positions
}

fn column_mean(isa: Isa, matrix: &Matrix) -> Vec<f32> {
    let mut mean = vec![0.0; matrix.cols()];
    (0..matrix.rows()).for_each(|row| add_scaled(isa, &mut mean, 1.0, matrix.row(row)));
    multiply_by(isa, &mut mean, 1.0 / matrix.rows().max(1) as f32);
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::{below, normal_matrix};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    #[test]
    fn the_best_are_those_of_a_sort() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        for _ in 0..200 {
            let (n, most) = (below(&mut rng, 300), 1 + below(&mut rng, 40));
            let scores: Vec<f32> = (0..n).map(|_| below(&mut rng, 50) as f32).collect();
            let mut sorted: Vec<u32> = (0..n as u32).collect();
            sorted.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
            sorted.truncate(most);
            sorted.sort_unstable();
            assert_eq!(best(&scores, most), sorted);
        }
    }

    #[test]
    fn lists_are_turned_round() {
        let mut lists = Lists::default();
        for row in [vec![(1, 0.5), (3, 1.5)], vec![], vec![(0, 2.0), (3, 3.0)]] {
            lists.push(row.into_iter());
        }
        let turned = lists.transposed(4);
        let row = |at: usize| turned.row(at).map(|(&row, &goal)| (row, goal)).collect::<Vec<_>>();
        assert_eq!(
            [row(0), row(1), row(2), row(3)],
            [vec![(2, 2.0)], vec![(0, 0.5)], vec![], vec![(0, 1.5), (2, 3.0)]]
        );
    }

    /// The loss reported is the one defined, and falls from sweep to sweep.
    #[test]
    fn sweeps_lower_the_loss_over_all_pairs() {
        let (n_users, n_items) = (50usize, 40usize);
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("test");
        let edges: Vec<(u32, u32, f32)> = (0..n_users as u32)
            .flat_map(|user| (0..n_items as u32).map(move |item| (user, item, 1.0)))
            .filter(|edge| edge.0 > 0 && below(&mut rng, 4) == 0)
            .collect();
        let graph = Bipartite::from_edges(n_users, n_items, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let (mut users, items) = (normal_matrix(&mut rng, n_users, 8, 1.0), normal_matrix(&mut rng, n_items, 8, 1.0));
        users.row_mut(0).fill(0.0);
        let teacher = Layers { users: vec![users], items: vec![items], weights: vec![1.0], neighbours: None };
        let model = Discrete { sweeps: 1, list: 5, emphasis: 0.5 };
        let start = Tables::rotated(&context, &teacher, &[64]);
        let mut training = Training::new(&model, &context, &teacher, start).unwrap();
        let mut last = f64::INFINITY;
        for _ in 0..4 {
            training.fit_users().unwrap();
            let mean = column_mean(Isa::BASELINE, &training.items);
            let reported = training.fit_items().unwrap();
            let (mut loss, mut nothing) = (0.0, 0.0);
            for user in 1..n_users {
                let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a * b)).sum::<f64>();
                let row: Vec<f64> =
                    (0..n_items).map(|item| inner(teacher.users[0].row(user), teacher.items[0].row(item))).collect();
                let average = row.iter().sum::<f64>() / n_items as f64;
                let deviation = (row.iter().map(|x| (x - average).powi(2)).sum::<f64>() / n_items as f64).sqrt();
                let listed: Vec<u32> = training.lists.row(user).map(|(&item, _)| item).collect();
                assert_eq!(listed.len(), 5);
                for (item, score) in row.iter().enumerate() {
                    let weight = if listed.contains(&(item as u32)) { 1.0 + 0.5 * n_items as f64 / 5.0 } else { 1.0 };
                    let target = (score - average) / deviation;
                    let x = training.users.row(user);
                    let score = inner(x, training.items.row(item)) - inner(x, &mean);
                    loss += weight * (target - score).powi(2);
                    nothing += weight * target.powi(2);
                }
            }
            assert!((reported - loss / nothing).abs() < 1e-4, "{reported} {}", loss / nothing);
            assert!(reported < last + 1e-6, "{reported} after {last}");
            last = reported;
        }
        assert!(last < 0.05, "64 bits say nearly all of 8 dimensions: {last}");
        assert!(training.users.row(0).iter().all(|&x| x == 0.0));
    }
}
