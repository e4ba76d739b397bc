//! OneBP.

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::block::{BLOCK, Nodes, Objective, Scored};
use super::layers::Layers;
use super::{Fit, Teacher};
use crate::error::{Error, Result};
use crate::graph::Bipartite;
use crate::kernel::dense::{Isa, Matrix, add_scaled, multiply_by};
use crate::train::context::Context;
use crate::train::measure::stopping::{Best, Stopping};
use crate::train::model::report::Epoch;
use crate::train::model::{Loss, Sampler};
use crate::train::optim::adam::DenseAdam;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::random::{normal_matrix, shuffle};
use crate::train::optim::sampler::Negatives;

/// Deviation of the tables' elements at the start.
const DEVIATION: f32 = 0.1;
/// A mean loss this many times that of tables that score all items alike is no noise.
const EXPLODED: f64 = 10.0;
/// The share of the learning rate that is left at the end.
const LEAST_RATE: f32 = 0.05;

/// The side of the graph whose vectors take gradients; the other one's follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// As the paper has it.
    Items,
    /// The paper's flipped form, which it shows to fail.
    Users,
}

/// OneBP ("One Backpropagation in Two Tower Recommendation Models", arXiv 2403.18227): two free tables. The items of a step take the gradient of
/// InfoNCE, `log(1 + sum over k of exp(<u, n_k> - <u, p>))` with negatives of each pair's own; users take none. After it,
/// `u <- beta u + (1 - beta) p` for every pair, with the new vector of its positive. An epoch visits every user once, with positives drawn of what
/// they have: O(users (pool + draws) factors).
#[derive(Clone, Debug)]
pub(crate) struct OneBp {
    /// Width of the tables.
    pub(crate) factors: usize,
    pub(crate) epochs: usize,
    /// Validations without a gain before stopping.
    pub(crate) patience: usize,
    /// Epochs after which to stop, though the rate falls as if there were `epochs`.
    pub(crate) stop: Option<usize>,
    pub(crate) rate: f32,
    /// Weight of `1/2 |v|^2`, once for every pair that a row which is learned is in.
    pub(crate) l2: f32,
    /// Users a step.
    pub(crate) batch: usize,
    /// Positives drawn of every user in an epoch.
    pub(crate) draws: usize,
    /// Negatives a pair.
    pub(crate) negatives: usize,
    /// Items that a block of users draws its negatives from.
    pub(crate) pool: usize,
    /// `beta`.
    pub(crate) momentum: f32,
    pub(crate) learned: Side,
}

impl Teacher for OneBp {
    fn name(&self) -> &'static str {
        "OneBP"
    }

    fn layers(&self) -> (Vec<usize>, Vec<f32>) {
        (vec![self.factors], vec![1.0])
    }

    fn fit(&self, context: &Context<'_>) -> Result<Fit> {
        let Learned { tables, epochs, settled } = self.learn(context, "teacher")?;
        let settled = settled.map(|settled| Box::new(settled) as Box<dyn Teacher>);
        Ok(Fit { layers: layers(tables, context.graph), epochs, chosen: Vec::new(), settled })
    }
}

/// What came of it.
pub(crate) struct Learned {
    pub(crate) tables: Nodes,
    pub(crate) epochs: Vec<Epoch>,
    /// The same, set to stop where it did; `None` where nothing was held out.
    pub(crate) settled: Option<OneBp>,
}

impl OneBp {
    /// Learns the tables; those with the best recall on what is held out. `phase` is what a monitor is told.
    ///
    /// # Errors
    /// `Cancelled`, `Diverged`.
    pub(crate) fn learn(&self, context: &Context<'_>, phase: &str) -> Result<Learned> {
        let graph = context.graph;
        let mut rng = context.rng("onebp");
        let mut training = Training::new(self, context);
        let degrees = graph.users().degrees();
        let mut order: Vec<u32> = (0..degrees.len() as u32).filter(|&user| degrees[user as usize] > 0).collect();
        let steps = (self.epochs * order.len().div_ceil(self.batch)) as u64;
        let mut stopping = Stopping::new(self.epochs, self.patience);
        let mut epochs = Vec::new();
        let mut step = 0;
        context.monitor.phase(phase, steps);
        for epoch in 1..=self.stop.unwrap_or(self.epochs) {
            shuffle(&mut rng, &mut order);
            let (mut loss, mut pairs) = (0.0, 0);
            for batch in order.chunks(self.batch) {
                let rate = self.rate * (1.0 - (1.0 - LEAST_RATE) * step as f32 / steps as f32);
                let done = training.step(context, batch, rate, &mut rng)?;
                (loss, pairs, step) = (loss + done.0, pairs + done.1, step + 1);
                context.monitor.advance(step);
            }
            let loss = loss / pairs.max(1) as f64;
            let exploded = loss.is_nan() || loss > EXPLODED * training.objective.indifference();
            if exploded || !training.tables.is_finite() {
                let phase = format!("epoch {epoch} of the teacher");
                return Err(Error::Diverged { model: self.name(), phase, lower: "teacher.rate" });
            }
            let tables = &training.tables;
            let recall = match stopping.is_due(epoch) {
                true => layers(tables.clone(), graph).recall(context)?,
                false => None,
            };
            epochs.push(Epoch { loss, recall });
            if recall.is_some_and(|recall| stopping.is_over(context, epoch, recall, || tables.clone())) {
                break;
            }
        }
        if step < steps {
            context.monitor.advance(steps);
        }
        Ok(match stopping.into_best() {
            None => Learned { tables: training.tables, epochs, settled: None },
            Some(Best { epoch, kept: tables, .. }) => {
                Learned { tables, epochs, settled: Some(OneBp { stop: Some(epoch), ..self.clone() }) }
            }
        })
    }
}

/// The tables as layers. Nodes without interactions have learned nothing, so their vectors are zero.
fn layers(mut tables: Nodes, graph: &Bipartite) -> Layers {
    for (table, rows) in [(&mut tables.users, graph.users()), (&mut tables.items, graph.items())] {
        (0..rows.n_rows()).filter(|&row| rows.degree(row) == 0).for_each(|row| table.row_mut(row).fill(0.0));
    }
    Layers::of(tables.users, tables.items)
}

/// The state of a training.
struct Training<'a> {
    model: &'a OneBp,
    objective: Objective,
    tables: Nodes,
    /// By the side that is learned, zero between steps; and pairs of the step that each of its rows is in.
    gradient: Matrix,
    counts: Vec<f32>,
    adam: DenseAdam,
    slots: Vec<u32>,
}

impl<'a> Training<'a> {
    fn new(model: &'a OneBp, context: &Context<'_>) -> Training<'a> {
        let (n_users, n_items) = (context.graph.n_users(), context.graph.n_items());
        let mut rng = context.rng("tables");
        let learned = if model.learned == Side::Items { n_items } else { n_users };
        let objective = Objective {
            loss: Loss::InfoNce,
            sampler: Negatives::new(Sampler::Uniform, 1, 0.0, context.graph),
            negatives: model.negatives,
            pool: model.pool,
            mixing: None,
            cosine: false,
            temperature: 1.0,
            draws: model.draws,
            equal_users: true,
        };
        Training {
            model,
            objective,
            tables: Nodes {
                users: normal_matrix(&mut rng, n_users, model.factors, DEVIATION),
                items: normal_matrix(&mut rng, n_items, model.factors, DEVIATION),
            },
            gradient: Matrix::zeros(learned, model.factors),
            counts: vec![0.0; learned],
            adam: DenseAdam::new(learned, model.factors),
            slots: vec![u32::MAX; n_items],
        }
    }

    /// One step on some users; the sum of its losses and the number of its pairs.
    fn step(
        &mut self,
        context: &Context<'_>,
        batch: &[u32],
        rate: f32,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Result<(f64, usize)> {
        let (isa, learned) = (context.isa, self.model.learned);
        let mut loss = 0.0;
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let scored = Scored { layers: std::slice::from_ref(&self.tables), weights: &[1.0] };
        for block in batch.chunks(BLOCK) {
            let done = self.objective.block(context, scored, block, &mut self.slots, rng)?;
            loss += done.loss;
            let positives = block.iter().zip(&done.positives);
            pairs.extend(positives.flat_map(|(&user, items)| items.iter().map(move |&item| (user, item))));
            let (rows, gradient, counts) = match learned {
                Side::Items => (&done.touched[..], &done.items, &done.item_pairs),
                Side::Users => (block, &done.users, &done.user_pairs),
            };
            for (at, &row) in rows.iter().enumerate().filter(|(at, _)| counts[*at] > 0.0) {
                add_scaled(isa, self.gradient.row_mut(row as usize), 1.0, gradient.row(at));
                self.counts[row as usize] += counts[at];
            }
        }
        let Nodes { users, items } = &mut self.tables;
        let (table, others) = if learned == Side::Items { (items, users) } else { (users, items) };
        let counts = &mut self.counts;
        for (row, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            add_scaled(isa, self.gradient.row_mut(row), self.model.l2 * count, table.row(row));
        }
        let scale = 1.0 / pairs.len().max(1) as f32;
        self.adam.update(isa, table, &self.gradient, scale, rate, |row| counts[row] > 0.0);
        for (row, count) in counts.iter_mut().enumerate().filter(|(_, count)| **count > 0.0) {
            self.gradient.row_mut(row).fill(0.0);
            *count = 0.0;
        }
        follow(isa, others, table, self.model.momentum, &pairs, learned);
        Ok((loss, pairs.len()))
    }
}

/// `row <- beta row + (1 - beta) target` for every pair, in the order of the pairs; rows are those of the side that is not learned. O(rows + pairs factors).
fn follow(isa: Isa, table: &mut Matrix, targets: &Matrix, beta: f32, pairs: &[(u32, u32)], learned: Side) {
    let ends = |&(user, item): &(u32, u32)| if learned == Side::Items { (user, item) } else { (item, user) };
    let grouped = Grouping::new(table.rows(), &pairs.iter().map(|pair| ends(pair).0).collect::<Vec<_>>());
    table.par_rows_mut().enumerate().for_each(|(row, vector)| {
        for &pair in grouped.row(row) {
            multiply_by(isa, vector, beta);
            add_scaled(isa, vector, 1.0 - beta, targets.row(ends(&pairs[pair as usize]).1 as usize));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::SeedableRng;

    fn model(learned: Side) -> OneBp {
        OneBp {
            factors: 6,
            epochs: 3,
            patience: 3,
            stop: None,
            rate: 0.05,
            l2: 0.02,
            batch: 4,
            draws: 5,
            negatives: 3,
            pool: 11,
            momentum: 0.9,
            learned,
        }
    }

    fn graph() -> Bipartite {
        let edges: Vec<_> = (0..60u32).map(|e| (e * 7 % 9, e * 13 % 17, 1.0)).collect();
        Bipartite::from_edges(9, 18, &edges).unwrap()
    }

    /// Adam's first step moves every element by the rate against the sign of its gradient, so a step tells what the signs are; they are those of
    /// finite differences of the loss, whose random numbers are the same every time, and of the penalty.
    #[test]
    fn a_step_goes_down_along_the_side_that_is_learned() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let batch = [7u32, 0, 3, 4];
        for learned in [Side::Items, Side::Users] {
            let model = OneBp { l2: 0.0, ..model(learned) };
            let mut training = Training::new(&model, &context);
            for side in [&mut training.tables.users, &mut training.tables.items] {
                *side = normal_matrix(&mut context.rng("test"), side.rows(), 6, 0.7);
            }
            let before = training.tables.clone();
            training.step(&context, &batch, 1e-3, &mut context.rng("step")).unwrap();
            let side =
                |tables: &Nodes| if learned == Side::Items { tables.items.clone() } else { tables.users.clone() };
            let (old, new) = (side(&before), side(&training.tables));
            let mut checked = 0;
            for (row, k) in (0..old.rows()).flat_map(|row| (0..6).map(move |k| (row, k))) {
                let mut loss = |by: f32| {
                    let mut tables = before.clone();
                    let side = if learned == Side::Items { &mut tables.items } else { &mut tables.users };
                    side.row_mut(row)[k] += by;
                    let scored = Scored { layers: std::slice::from_ref(&tables), weights: &[1.0] };
                    let mut rng = context.rng("step");
                    training.objective.block(&context, scored, &batch, &mut training.slots, &mut rng).unwrap().loss
                };
                let slope = (loss(0.01) - loss(-0.01)) / 0.02;
                let moved = new.row(row)[k] - old.row(row)[k];
                if slope.abs() > 0.01 {
                    assert!((f64::from(moved) + 1e-3 * slope.signum()).abs() < 1e-5, "{row} {k}: {slope} {moved}");
                    checked += 1;
                } else if moved != 0.0 {
                    assert!(slope != 0.0, "{row} {k}: {moved}");
                }
            }
            assert!(checked > 15, "{checked}");
        }
    }

    /// Every row of the other side moves towards the targets of its pairs, in their order.
    #[test]
    fn vectors_follow_their_pairs() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let before = normal_matrix(&mut rng, 9, 6, 1.0);
        let targets = normal_matrix(&mut rng, 9, 6, 1.0);
        let pairs = [(2, 4), (5, 1), (2, 4), (2, 8)];
        for learned in [Side::Items, Side::Users] {
            let mut after = before.clone();
            follow(Isa::BASELINE, &mut after, &targets, 0.9, &pairs, learned);
            for row in 0..9u32 {
                let mut want = before.row(row as usize).to_vec();
                for &(user, item) in &pairs {
                    let (from, to) = if learned == Side::Items { (user, item) } else { (item, user) };
                    if from == row {
                        let target = targets.row(to as usize);
                        want.iter_mut().zip(target).for_each(|(x, t)| *x = 0.9 * *x + 0.1 * t);
                    }
                }
                let error = want.iter().zip(after.row(row as usize)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-6, "{learned:?} {row}: {error}");
            }
        }
    }

    #[test]
    fn the_flipped_form_is_another() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let of = |learned| model(learned).learn(&context, "teacher").unwrap().tables;
        assert_ne!(of(Side::Items).items, of(Side::Users).items);
    }
}
