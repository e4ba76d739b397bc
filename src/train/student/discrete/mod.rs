//! Discrete coordinate descent of codes towards a teacher's scores.

mod descent;
mod lists;
mod rows;

use rayon::prelude::*;

use super::{Segment, Student, Tables};
use crate::error::Result;
use crate::kernel::dense::{Isa, Matrix, add_scaled, dot, multiply_by};
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::student::tables::TARGETS;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::scores::Scores;
use descent::{Descent, Side, Workspace, column_sum};
use lists::{Drawn, Holders, Lists};
use rows::Target;

/// Entries of all lists together.
const MOST_ENTRIES: usize = 1 << 25;
/// Entries an item is fitted to; of more, an even part stands for all.
const MOST_OF_ITEM: usize = 4096;
/// Rows whose products with the side held fixed are made together.
const BLOCK: usize = 48;

/// Codes whose scores are nearest to the teacher's in weighted squares, found bit by bit. With t the teacher's score, shifted and scaled for
/// every user to mean 0 and deviation 1 over the items, x a user's and w an item's code vector (signs times one scaler per layer) and m the mean
/// of all w, the loss is
///
/// `sum over u, i of (t_ui - <x_u, w_i - m>)^2 + weight * sum over u, i in the list of u of the same squares`
///
/// where a user's list holds its best items by the teacher without those it has had, since they are not what is recommended, and all users' first
/// terms hold every pair: of those, only the Gram matrix of one side and the product of the scores with it are needed. A user's bit is flipped when that lowers the
/// loss, given all other bits (discrete cyclic coordinate descent: Shen et al., "Supervised Discrete Hashing", CVPR 2015, equation 12; Zhang et
/// al., "Discrete Collaborative Filtering", SIGIR 2016, equation 9), then its scalers take their least-squares values; items are treated alike,
/// and no real-valued relaxation comes between a code and its loss. Shifts need no fitting: they change no ranking of a user's.
///
/// O(bits (bits + list)) a row and pass, and the lists.
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

    fn distil(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        start: Tables,
        last: bool,
    ) -> Result<(Tables, Vec<Epoch>)> {
        context.monitor.phase("student", 2 * self.sweeps as u64 + 1);
        let mut training = Training::new(self, context, teacher, start)?;
        context.monitor.advance(1);
        let mut epochs = Vec::with_capacity(self.sweeps);
        for sweep in 0..self.sweeps {
            training.fit_users()?;
            context.monitor.advance(2 * sweep as u64 + 2);
            let loss = training.fit_items()?;
            context.monitor.advance(2 * sweep as u64 + 3);
            training.read_scales();
            let recall = training.codes.recall(context)?;
            epochs.push(Epoch { loss, recall });
            if let Some(recall) = recall {
                context.monitor.validation(sweep as u64 + 1, recall);
            }
        }
        Ok((training.finish(last)?, epochs))
    }

    fn refit(
        &self,
        context: &Context<'_>,
        teacher: &Layers,
        _: &dyn Fn() -> Result<Tables>,
        before: Tables,
    ) -> Result<Tables> {
        let again = Discrete { sweeps: self.sweeps.div_ceil(2), ..self.clone() };
        Ok(again.distil(context, teacher, before, true)?.0)
    }
}

impl Discrete {
    /// Goes on from codes that were nearly right with one sweep: the items first, to the users as they are, then the users, with their magnitudes.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn resume(&self, context: &Context<'_>, teacher: &Layers, start: Tables) -> Result<(Tables, f64)> {
        context.monitor.phase("student", 3);
        let mut training = Training::new(self, context, teacher, start)?;
        context.monitor.advance(1);
        let loss = training.fit_items()?;
        training.read_item_scales();
        context.monitor.advance(2);
        training.settle_users()?;
        context.monitor.advance(3);
        Ok((training.into_tables(), loss))
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
    /// Of every user: the least score of the list.
    least: Vec<f32>,
    /// The users in whose list each item is.
    holders: Holders,
    /// Weight of an entry of a list.
    weight: f32,
    /// While it lasts, the latents are code vectors: signs times scalers.
    codes: Tables,
}

impl<'a> Training<'a> {
    fn new(model: &Discrete, context: &'a Context<'a>, teacher: &'a Layers, start: Tables) -> Result<Training<'a>> {
        let scores = Scores::new(context, teacher);
        let (n_users, n_items) = (start.users.rows(), start.items.rows());
        let most = model.list.min(MOST_ENTRIES / n_users.max(1)).max(1);
        let mut ones = Matrix::zeros(n_items, 1);
        ones.data_mut().fill(1.0 / n_items.max(1) as f32);
        let mut means = scores.times(&ones).all().into_data();
        let Drawn { lists: found, deviations } = lists::draw(context, &scores, &start, &means, most)?;
        let is_active = |user: usize| context.graph.users().degree(user) > 0 && deviations[user] > f32::MIN_POSITIVE;
        let units: Vec<f32> =
            (0..n_users).map(|user| if is_active(user) { 1.0 / deviations[user] } else { 0.0 }).collect();
        means.iter_mut().zip(&units).for_each(|(mean, unit)| *mean *= unit);
        let least = found.iter().map(|list| list.iter().map(|entry| entry.1).fold(f32::INFINITY, f32::min)).collect();
        let mut lists = Lists::default();
        for (user, list) in found.into_iter().enumerate() {
            let entries = list.into_iter().map(|(item, score)| (item, score * units[user] - means[user]));
            lists.push(entries.filter(|_| units[user] > 0.0));
        }
        Ok(Training {
            weight: model.emphasis * n_items as f32 / most as f32,
            holders: lists.holders(n_items),
            codes: start.into_code_vectors(context.isa),
            context,
            scores,
            units,
            means,
            lists,
            least,
        })
    }

    /// Fits every user to the items.
    fn fit_users(&mut self) -> Result<()> {
        self.each_user(|descent, _| descent.fit())
    }

    /// Fits every user to the items, and gives their vectors magnitudes at once, where nothing is fitted after them.
    fn settle_users(&mut self) -> Result<()> {
        let Tables { segments, weights, .. } = &self.codes;
        let (segments, weights) = (segments.clone(), weights.clone());
        self.each_user(|descent, scales| {
            descent.fit();
            for ((scale, segment), weight) in scales.iter_mut().zip(&segments).zip(&weights) {
                *scale = (descent.vector()[segment.start].abs() / (weight * weight)).ln();
            }
            descent.relax();
        })
    }

    /// Runs `visit` on the descent of every user with something to fit, and on the logarithms of their scalers.
    fn each_user(&mut self, visit: impl Fn(&mut Descent<'_>, &mut [f32]) + Sync) -> Result<()> {
        let (isa, context) = (self.context.isa, self.context);
        let (units, means, lists, weight) = (&self.units, &self.means, &self.lists, self.weight);
        let Tables { segments, users, items, user_scales, .. } = &mut self.codes;
        let (n_items, bits, layers) = (items.rows() as f32, items.cols(), segments.len());
        let mean = column_mean(isa, items);
        let cross_of = self.scores.times(items);
        let side = Side::new(isa, segments, items, mean.clone());
        let blocks = users.data_mut().par_chunks_mut((BLOCK * bits).max(1));
        let scales = user_scales.data_mut().par_chunks_mut(BLOCK * layers);
        blocks.zip(scales).enumerate().try_for_each_init(Workspace::default, |workspace, (block, (vectors, scales))| {
            let first = block * BLOCK;
            let mut cross = vec![0.0; vectors.len()];
            cross_of.write(first, &mut cross);
            let images = side.images(vectors);
            let both = vectors.chunks_exact_mut(bits).zip(scales.chunks_exact_mut(layers));
            for (at, ((vector, scales), cross)) in both.zip(cross.chunks_exact_mut(bits)).enumerate() {
                context.check()?;
                let user = first + at;
                if units[user] > 0.0 {
                    // Of centred items: S (W - 1 m') = S W - (S 1) m'.
                    multiply_by(isa, cross, units[user]);
                    add_scaled(isa, cross, -n_items * means[user], &mean);
                    let list = lists.row(user).map(|(&item, &goal)| (item, goal));
                    visit(&mut Descent::new(&side, workspace, vector, (&images, at), cross, list, weight), scales);
                }
            }
            Ok(())
        })
    }

    /// Fits every item to the users; the loss after it, as a share of that of codes that say nothing.
    fn fit_items(&mut self) -> Result<f64> {
        let (isa, context) = (self.context.isa, self.context);
        let (lists, holders, entry_weight) = (&self.lists, &self.holders, self.weight);
        let (means, units) = (&self.means, &self.units);
        let Tables { segments, users, items, .. } = &mut self.codes;
        let users = &*users;
        let bits = items.cols();
        let mean = column_mean(isa, items);
        // What the mean item adds to a user's scores; the targets are raised by it in place of centring the items.
        let offsets: Vec<f32> = users.par_rows().map(|row| dot(isa, row, &mean)).collect();
        let cross_of = self.scores.transposed_times(users, units);
        let mut shift = vec![0.0; bits];
        for user in 0..users.rows() {
            add_scaled(isa, &mut shift, offsets[user] - means[user], users.row(user));
        }
        let side = Side::new(isa, segments, users, vec![0.0; bits]);
        let blocks = items.data_mut().par_chunks_mut((BLOCK * bits).max(1)).enumerate();
        let losses: Vec<f64> = blocks
            .map_init(Workspace::default, |workspace, (block, vectors)| {
                let first = block * BLOCK;
                let mut cross = vec![0.0; vectors.len()];
                cross_of.write(first, &mut cross);
                let images = side.images(vectors);
                let mut loss = 0.0;
                let rows = vectors.chunks_exact_mut(bits).zip(cross.chunks_exact_mut(bits));
                for (at, (vector, cross)) in rows.enumerate() {
                    context.check()?;
                    let item = first + at;
                    if context.graph.items().degree(item) == 0 {
                        continue;
                    }
                    add_scaled(isa, cross, 1.0, &shift);
                    let own = holders.of(item);
                    let step = own.len().div_ceil(MOST_OF_ITEM).max(1);
                    let list = own.iter().step_by(step).filter_map(|&user| {
                        Some((user, lists.goal(user as usize, item as u32)? + offsets[user as usize]))
                    });
                    let weight = entry_weight * own.len() as f32 / own.len().div_ceil(step).max(1) as f32;
                    let mut descent = Descent::new(&side, workspace, vector, (&images, at), cross, list, weight);
                    descent.fit();
                    loss += descent.loss();
                }
                Ok(loss)
            })
            .collect::<Result<_>>()?;
        let n_items = items.rows() as f64;
        let active = units.iter().zip(&offsets).filter(|(unit, _)| **unit > 0.0);
        let squares: f64 = active.clone().map(|(_, &offset)| n_items * (1.0 + f64::from(offset).powi(2))).sum();
        let listed: f64 = self.lists.goals().iter().map(|&goal| f64::from(goal).powi(2)).sum();
        let nothing = n_items * active.count() as f64 + f64::from(entry_weight) * listed;
        Ok((squares + losses.iter().sum::<f64>()) / nothing.max(f64::MIN_POSITIVE))
    }

    /// Makes the scales those of the code vectors.
    fn read_scales(&mut self) {
        self.read_user_scales();
        self.read_item_scales();
    }

    fn read_user_scales(&mut self) {
        let Tables { segments, weights, users, user_scales, .. } = &mut self.codes;
        read_scales(segments, users, user_scales, |layer| 1.0 / (weights[layer] * weights[layer]));
    }

    fn read_item_scales(&mut self) {
        let Tables { segments, items, item_scales, .. } = &mut self.codes;
        read_scales(segments, items, item_scales, |layer| segments[layer].len() as f32);
    }

    /// The tables of the codes. The last time, the latents of users have magnitudes: the same signs, for queries of several planes.
    fn finish(mut self, last: bool) -> Result<Tables> {
        self.read_scales();
        if last {
            self.each_user(|descent, _| descent.relax())?;
        }
        Ok(self.into_tables())
    }

    /// The tables of codes whose scales have been read.
    fn into_tables(self) -> Tables {
        let (isa, mut tables) = (self.context.isa, self.codes);
        tables.targets = Matrix::zeros(self.units.len(), TARGETS);
        for (user, (&unit, (&mean, &least))) in self.units.iter().zip(self.means.iter().zip(&self.least)).enumerate() {
            tables.targets.row_mut(user).copy_from_slice(&Target { unit, mean, least }.row());
        }
        for side in [&mut tables.users, &mut tables.items] {
            side.par_rows_mut().for_each(|row| {
                tables.segments.iter().for_each(|segment| Tables::spread(isa, &mut row[segment.clone()]));
            });
        }
        tables
    }
}

/// Makes the scales of a side the logarithms of its vectors' magnitudes, times a factor a layer.
fn read_scales(segments: &[Segment], vectors: &Matrix, scales: &mut Matrix, factor: impl Fn(usize) -> f32 + Sync) {
    scales.par_rows_mut().zip(vectors.par_rows()).for_each(|(scales, vector)| {
        for (layer, (scale, segment)) in scales.iter_mut().zip(segments).enumerate() {
            *scale = (vector[segment.start].abs() * factor(layer)).ln();
        }
    });
}

fn column_mean(isa: Isa, matrix: &Matrix) -> Vec<f32> {
    let mut mean = column_sum(isa, matrix);
    multiply_by(isa, &mut mean, 1.0 / matrix.rows().max(1) as f32);
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::{below, normal_matrix};
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
        let teacher = Layers::of(users, items);
        let model = Discrete { sweeps: 1, list: 5, emphasis: 0.5 };
        let start = Tables::rotated(&context, &teacher, &[64]);
        let mut training = Training::new(&model, &context, &teacher, start).unwrap();
        let mut last = f64::INFINITY;
        for _ in 0..4 {
            training.fit_users().unwrap();
            let mean = column_mean(Isa::BASELINE, &training.codes.items);
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
                assert!(listed.iter().all(|item| !graph.users().row(user).contains(item)));
                for (item, score) in row.iter().enumerate() {
                    let weight = if listed.contains(&(item as u32)) { 1.0 + 0.5 * n_items as f64 / 5.0 } else { 1.0 };
                    let target = (score - average) / deviation;
                    let x = training.codes.users.row(user);
                    let score = inner(x, training.codes.items.row(item)) - inner(x, &mean);
                    loss += weight * (target - score).powi(2);
                    nothing += weight * target.powi(2);
                }
            }
            assert!((reported - loss / nothing).abs() < 1e-4, "{reported} {}", loss / nothing);
            assert!(reported < last + 1e-6, "{reported} after {last}");
            last = reported;
        }
        assert!(last < 0.05, "64 bits say nearly all of 8 dimensions: {last}");
        assert!(training.codes.users.row(0).iter().all(|&x| x == 0.0));
    }
}
