//! Training of tables by gradients.

use rayon::prelude::*;

use super::block::{Nodes, Objective, Scored};
use super::layers::{Layers, row_norms};
use super::{Fit, Teacher};
use crate::error::{Error, Result};
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Matrix, add_scaled, multiply_by};
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::settings::TEACHER_LENGTH;
use crate::train::model::{Loss, Sampler};
use crate::train::optim::adam::DenseAdam;
use crate::train::optim::loss::normalise;
use crate::train::optim::random::{normal_matrix, shuffle};
use crate::train::optim::sampler::Negatives;

/// Users whose scores are computed together, over a pool of their own.
const BLOCK: usize = 512;
/// Validations at most.
const VALIDATIONS: usize = 25;
/// Deviation of the tables' elements at the start.
const DEVIATION: f32 = 0.1;
/// A mean loss this many times that of a model that scores all items alike is no noise.
const EXPLODED: f64 = 10.0;
/// Powers of items' lengths to choose from. A cosine is trained against uniform negatives; lengths, which grow with popularity, give back some of
/// what it ignores.
const LENGTHS: [f32; 5] = [0.0, 0.125, 0.25, 0.375, 0.5];
/// The share of the learning rate that is left at the end.
const LEAST_RATE: f32 = 0.05;

/// What lies between the tables that are learned and the vectors that are scored, a linear map.
pub(crate) trait Encoder: Sync {
    /// The weight of every layer of vectors; scores are those of [`Scored`].
    fn weights(&self) -> Vec<f32>;

    /// The layers of the tables; `None` where the tables themselves are the only one.
    ///
    /// # Errors
    /// `Cancelled`.
    fn forward(&self, context: &Context<'_>, tables: &Nodes) -> Result<Option<Vec<Nodes>>>;

    /// The gradient by the tables from that by the layers, the transpose of [`Encoder::forward`]; `None` where the two are the same.
    ///
    /// # Errors
    /// `Cancelled`.
    fn backward(&self, context: &Context<'_>, gradient: &[Nodes]) -> Result<Option<Nodes>>;
}

/// How tables are trained. An epoch visits every user once. A step takes `batch` users, block by block: each block scores its users' positives
/// against a pool of items that the block shares, and the gradients of all blocks add up before they go back through the encoder. So one
/// propagation over the graph serves a whole step, and scores are dense products. The learning rate falls linearly.
#[derive(Clone, Debug)]
pub(crate) struct Descent {
    /// Width of the tables.
    pub(crate) factors: usize,
    pub(crate) epochs: usize,
    /// Validations without a gain before stopping.
    pub(crate) patience: usize,
    /// Epochs after which to stop, though the rate falls as if there were `epochs`.
    pub(crate) stop: Option<usize>,
    pub(crate) rate: f32,
    /// Weight of `1/2 |v|^2`, `v` the tables' row of a user or item, once for every pair it is in.
    pub(crate) l2: f32,
    pub(crate) batch: usize,
    pub(crate) loss: Loss,
    pub(crate) sampler: Sampler,
    pub(crate) candidates: usize,
    pub(crate) popularity: f32,
    /// Positives drawn of every user in an epoch, by the pairwise losses.
    pub(crate) draws: usize,
    pub(crate) negatives: usize,
    pub(crate) pool: usize,
    pub(crate) cosine: bool,
    /// With cosines, the power of its length that an item's vector keeps once trained; `None` to choose on what is held out.
    pub(crate) length: Option<f32>,
    pub(crate) temperature: f32,
    /// Whether the softmax loss weighs all users alike.
    pub(crate) equal_users: bool,
}

impl Descent {
    /// The objective on a graph.
    fn objective(&self, graph: &Bipartite) -> Objective {
        Objective {
            loss: self.loss,
            sampler: Negatives::new(self.sampler, self.candidates, self.popularity, graph),
            negatives: self.negatives,
            pool: self.pool,
            cosine: self.cosine,
            temperature: self.temperature,
            equal_users: self.equal_users,
            draws: self.draws,
        }
    }

    /// Trains tables behind a model's encoder; those with the best recall on what is held out. `settled` makes the model of a descent that
    /// does the same again.
    ///
    /// # Errors
    /// `Cancelled`, `Diverged`.
    pub(crate) fn run<M: Teacher + Encoder>(
        &self,
        context: &Context<'_>,
        model: &M,
        settled: impl FnOnce(Descent) -> Box<dyn Teacher>,
    ) -> Result<Fit> {
        let graph = context.graph;
        let mut rng = context.rng("descent");
        let mut training = Training::new(self, context, model);
        let degrees = graph.users().degrees();
        let mut order: Vec<u32> = (0..degrees.len() as u32).filter(|&user| degrees[user as usize] > 0).collect();
        let steps = (self.epochs * order.len().div_ceil(self.batch)) as u64;
        let every = self.epochs.div_ceil(VALIDATIONS);
        let mut best: Option<Best> = None;
        let (mut since, mut step) = (0, 0);
        let mut epochs = Vec::new();
        context.monitor.phase("teacher", steps);
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
            // Adam's steps are bounded, so tables that explode may stay finite; their losses tell.
            let exploded = loss.is_nan() || loss > EXPLODED * training.objective.indifference();
            if exploded || !training.tables.is_finite() {
                let phase = format!("epoch {epoch} of the teacher");
                return Err(Error::Diverged { model: model.name(), phase, lower: "teacher.rate" });
            }
            let due = epoch % every == 0 || epoch == self.epochs;
            let found = if due { training.recall(context)? } else { None };
            epochs.push(Epoch { loss, recall: found.map(|found| found.0) });
            if let Some((recall, length)) = found {
                context.monitor.validation(epoch as u64, recall);
                if best.as_ref().is_none_or(|best| recall > best.recall) {
                    best = Some(Best { recall, epoch, length, tables: training.tables.clone() });
                    since = 0;
                } else {
                    since += 1;
                    if since >= self.patience {
                        break;
                    }
                }
            }
        }
        if step < steps {
            context.monitor.advance(steps);
        }
        let Some(Best { epoch, length, tables, .. }) = best else {
            let layers = training.layers(context, self.length.unwrap_or(0.0))?;
            return Ok(Fit { layers, epochs, chosen: Vec::new(), settled: None });
        };
        training.tables = tables;
        Ok(Fit {
            layers: training.layers(context, length)?,
            epochs,
            chosen: if self.cosine { vec![(TEACHER_LENGTH.name, length)] } else { Vec::new() },
            settled: Some(settled(Descent { stop: Some(epoch), length: Some(length), ..self.clone() })),
        })
    }
}

/// The best tables so far.
struct Best {
    recall: f64,
    epoch: usize,
    length: f32,
    tables: Nodes,
}

/// The state of a training.
struct Training<'a> {
    model: &'a Descent,
    encoder: &'a dyn Encoder,
    objective: Objective,
    weights: Vec<f32>,
    tables: Nodes,
    /// By the layers; zero between steps.
    gradient: Vec<Nodes>,
    adam_users: DenseAdam,
    adam_items: DenseAdam,
    /// Pairs of the step that every user is in, zero between steps, and whether it has a gradient.
    user_pairs: Vec<Option<f32>>,
    item_pairs: Vec<Option<f32>>,
    slots: Vec<u32>,
}

impl<'a> Training<'a> {
    fn new(model: &'a Descent, context: &Context<'_>, encoder: &'a dyn Encoder) -> Training<'a> {
        let (n_users, n_items) = (context.graph.n_users(), context.graph.n_items());
        let d = model.factors;
        let mut rng = context.rng("tables");
        let weights = encoder.weights();
        Training {
            model,
            encoder,
            objective: model.objective(context.graph),
            tables: Nodes {
                users: normal_matrix(&mut rng, n_users, d, DEVIATION),
                items: normal_matrix(&mut rng, n_items, d, DEVIATION),
            },
            gradient: weights.iter().map(|_| Nodes::zeros(n_users, n_items, d)).collect(),
            weights,
            adam_users: DenseAdam::new(n_users, d),
            adam_items: DenseAdam::new(n_items, d),
            user_pairs: vec![None; n_users],
            item_pairs: vec![None; n_items],
            slots: vec![u32::MAX; n_items],
        }
    }

    /// One step; the sum of its losses and the number of its pairs.
    fn step(
        &mut self,
        context: &Context<'_>,
        batch: &[u32],
        rate: f32,
        rng: &mut rand_xoshiro::Xoshiro256PlusPlus,
    ) -> Result<(f64, usize)> {
        let isa = context.isa;
        let (mut loss, mut pairs) = (0.0, 0);
        let layers = self.encoder.forward(context, &self.tables)?;
        let scored =
            Scored { layers: layers.as_deref().unwrap_or(std::slice::from_ref(&self.tables)), weights: &self.weights };
        for block in batch.chunks(BLOCK) {
            let done = self.objective.block(context, scored, block, &mut self.slots, rng)?;
            loss += done.loss;
            pairs += done.pairs;
            scored.scatter(isa, |nodes| &mut nodes.users, block, &done.users, &mut self.gradient);
            scored.scatter(isa, |nodes| &mut nodes.items, &done.touched, &done.items, &mut self.gradient);
            for (&user, &n) in block.iter().zip(&done.user_pairs) {
                *self.user_pairs[user as usize].get_or_insert(0.0) += n;
            }
            for (&item, &n) in done.touched.iter().zip(&done.item_pairs) {
                *self.item_pairs[item as usize].get_or_insert(0.0) += n;
            }
        }
        drop(layers);
        context.check()?;
        let mut pulled = self.encoder.backward(context, &self.gradient)?;
        let is_sparse = pulled.is_none();
        let Some(gradient) = pulled.as_mut().or(self.gradient.first_mut()) else { return Ok((loss, pairs)) };
        let l2 = self.model.l2 * self.weights.first().map_or(0.0, |w| w * w);
        let scale = 1.0 / pairs.max(1) as f32;
        for (table, gradient, adam, counts) in [
            (&mut self.tables.users, &mut gradient.users, &mut self.adam_users, &mut self.user_pairs),
            (&mut self.tables.items, &mut gradient.items, &mut self.adam_items, &mut self.item_pairs),
        ] {
            if l2 > 0.0 {
                for (row, count) in counts.iter().enumerate() {
                    if let Some(count) = count {
                        add_scaled(isa, gradient.row_mut(row), l2 * count, table.row(row));
                    }
                }
            }
            adam.update(isa, table, gradient, scale, rate, |row| !is_sparse || counts[row].is_some());
            for (row, count) in counts.iter_mut().enumerate() {
                if count.take().is_some() && is_sparse {
                    gradient.row_mut(row).fill(0.0);
                }
            }
        }
        if !is_sparse {
            for layer in &mut self.gradient {
                for side in [&mut layer.users, &mut layer.items] {
                    side.par_rows_mut().for_each(|row| row.fill(0.0));
                }
            }
        }
        Ok((loss, pairs))
    }

    /// Recall at 20 on what is held out, and where cosines are scored the power of the items' lengths that gives it.
    fn recall(&self, context: &Context<'_>) -> Result<Option<(f64, f32)>> {
        if !self.model.cosine {
            return Ok(self.layers(context, 0.0)?.recall(context)?.map(|recall| (recall, 0.0)));
        }
        let powers = self.model.length.map_or(LENGTHS.to_vec(), |length| vec![length]);
        let (layers, lengths) = self.vectors(context)?;
        let scales: Vec<Vec<f32>> =
            powers.iter().map(|&power| lengths.iter().map(|length| length.powf(power)).collect()).collect();
        let (users, items) = layers.joined();
        let recalls = context.validation.recall_of_scaled(context, 20, (&users, &items), &scales)?;
        Ok(recalls.into_iter().zip(powers).reduce(|best, next| if next.0 > best.0 { next } else { best }))
    }

    /// What the tables give now, with items' cosine vectors as long as they were to the power `length`.
    fn layers(&self, context: &Context<'_>, length: f32) -> Result<Layers> {
        let (mut layers, lengths) = self.vectors(context)?;
        if self.model.cosine && length > 0.0 {
            for items in &mut layers.items {
                let rows = items.par_rows_mut().zip(&lengths);
                rows.for_each(|(row, by)| multiply_by(context.isa, row, by.powf(length)));
            }
        }
        Ok(layers)
    }

    /// What the tables give now, and where cosines are scored the items' lengths as shares of the longest. A single layer carries its weight,
    /// and has length 1 where cosines are scored. Nodes without interactions have learned nothing, so their vectors are zero.
    fn vectors(&self, context: &Context<'_>) -> Result<(Layers, Vec<f32>)> {
        let isa = context.isa;
        let mut layers = self.encoder.forward(context, &self.tables)?.unwrap_or_else(|| vec![self.tables.clone()]);
        let mut weights: Vec<f32> = self.weights.iter().map(|w| w * w).collect();
        let mut lengths = Vec::new();
        if let ([nodes], [weight]) = (layers.as_mut_slice(), self.weights.as_slice()) {
            if self.model.cosine {
                lengths = row_norms(isa, &nodes.items);
                let longest = lengths.iter().fold(f32::MIN_POSITIVE, |longest, &length| longest.max(length));
                lengths.iter_mut().for_each(|length| *length /= longest);
            }
            for side in [&mut nodes.users, &mut nodes.items] {
                side.par_rows_mut().for_each(|row| {
                    if self.model.cosine {
                        normalise(isa, row);
                    } else {
                        multiply_by(isa, row, *weight);
                    }
                });
            }
            weights = vec![1.0];
        }
        let clear = |matrix: &mut Matrix, rows: &Csr| {
            (0..rows.n_rows()).filter(|&row| rows.degree(row) == 0).for_each(|row| matrix.row_mut(row).fill(0.0));
        };
        let (mut users, mut items) = (Vec::new(), Vec::new());
        for mut nodes in layers {
            clear(&mut nodes.users, context.graph.users());
            clear(&mut nodes.items, context.graph.items());
            users.push(nodes.users);
            items.push(nodes.items);
        }
        Ok((Layers { users, items, weights, neighbours: None }, lengths))
    }
}
