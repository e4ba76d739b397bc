//! Training of tables by gradients.

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::block::Objective;
use super::encoder::{Draw, Encoder, Parameters};
use super::layers::{Layers, row_norms};
use super::masks::{Masking, Masks};
use super::nodes::{Nodes, Scored};
use super::{Fit, Neighbours, OneBp, Teacher};
use crate::error::{Error, Result};
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Isa, Matrix, add_scaled, multiply_by};
use crate::train::context::Context;
use crate::train::measure::stopping::{Best, Stopping};
use crate::train::model::report::Epoch;
use crate::train::model::settings::TEACHER_LENGTH;
use crate::train::model::size::Size;
use crate::train::model::{Loss, Sampler};
use crate::train::optim::adam::DenseAdam;
use crate::train::optim::loss::normalise;
use crate::train::optim::mixing::Mixing;
use crate::train::optim::random::{normal_matrix, shuffle};
use crate::train::optim::sampler::Negatives;
use crate::train::optim::schedule::falling;

/// Users whose scores are computed together, over a pool of their own.
const BLOCK: usize = 512;
/// Deviation of the tables' elements at the start.
pub(super) const DEVIATION: f32 = 0.1;
/// Powers of items' lengths to choose from. A cosine is trained against uniform negatives; lengths, which grow with popularity, give back some of
/// what it ignores.
const LENGTHS: [f32; 5] = [0.0, 0.125, 0.25, 0.375, 0.5];
/// The share of the learning rate that is left at the end.
pub(super) const LEAST_RATE: f32 = 0.05;

/// How tables are trained. An epoch visits every user once. A step takes `batch` users, block by block: each block scores its users' positives
/// against a pool of items that the block shares, and the gradients of all blocks add up before they go back through the encoder. So one
/// propagation over the graph serves a whole step, and scores are dense products. The learning rate falls linearly.
#[derive(Clone, Debug)]
pub(crate) struct Descent {
    /// Width of the tables.
    pub(crate) factors: usize,
    /// What learns the tables to start from, of the same width; `None` for normal numbers.
    pub(crate) start: Option<OneBp>,
    pub(crate) epochs: usize,
    /// Validations without a gain before stopping.
    pub(crate) patience: usize,
    /// Epochs after which to stop, though the rate falls as if there were `epochs`.
    pub(crate) stop: Option<usize>,
    pub(crate) rate: f32,
    /// Weight of `1/2 |v|^2`, `v` the tables' row of a user or item, once for every pair it is in.
    pub(crate) l2: f32,
    /// Whether that is also of the rows of all layers behind the table.
    pub(crate) l2_of_layers: bool,
    pub(crate) batch: usize,
    pub(crate) loss: Loss,
    pub(crate) sampler: Sampler,
    pub(crate) candidates: usize,
    pub(crate) popularity: f32,
    /// How the synthesised sampler mixes hop by hop; `None` for element by element.
    pub(crate) mixing: Option<Mixing>,
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
    /// Floats of a descent behind an encoder that gives so many layers and has so many tables beside them: the table, the best of it, two moments, and layers and
    /// their gradients; and the pairs of a block, with a choice and its slope for every hop that is mixed apart.
    pub(super) fn floats(&self, size: Size, layers: usize, beside: usize) -> f64 {
        let each = if self.mixing.is_some() { 2 * layers } else { 1 };
        let pairs = BLOCK.min(size.users) as f64 * (self.draws * self.negatives * each) as f64;
        (4 + 2 * layers + beside) as f64 * size.nodes() * self.factors as f64 + pairs
    }

    /// The objective on a graph.
    fn objective(&self, graph: &Bipartite) -> Objective {
        Objective {
            loss: self.loss,
            sampler: Negatives::new(self.sampler, self.candidates, self.popularity, graph),
            negatives: self.negatives,
            pool: self.pool,
            mixing: self.mixing,
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
        let (tables, start) = self.started(context)?;
        let mut training = Training::new(self, context, model, tables);
        let degrees = graph.users().degrees();
        let mut order: Vec<u32> = (0..degrees.len() as u32).filter(|&user| degrees[user as usize] > 0).collect();
        let steps = (self.epochs * order.len().div_ceil(self.batch)) as u64;
        let mut stopping = Stopping::new(self.epochs, self.patience);
        let mut step = 0;
        let mut epochs = Vec::new();
        context.monitor.phase("teacher", steps);
        for epoch in 1..=self.stop.unwrap_or(self.epochs) {
            shuffle(&mut rng, &mut order);
            let (mut loss, mut pairs) = (0.0, 0);
            for batch in order.chunks(self.batch) {
                let rate = falling(self.rate, LEAST_RATE, step, steps);
                let progress = step as f32 / steps as f32;
                let done = training.step(context, batch, (rate, progress), &mut rng)?;
                (loss, pairs, step) = (loss + done.0, pairs + done.1, step + 1);
                context.monitor.advance(step);
            }
            let loss = loss / pairs.max(1) as f64;
            // Adam's steps are bounded, so tables that explode may stay finite; their losses tell.
            let exploded = loss.is_nan() || loss > training.objective.explosion();
            if exploded || !training.parameters.is_finite() {
                let phase = format!("epoch {epoch} of the teacher");
                return Err(Error::Diverged { model: model.name(), phase, lower: "teacher.rate" });
            }
            let found = if stopping.is_due(epoch) { training.recall(context)? } else { None };
            epochs.push(Epoch { loss, recall: found.map(|found| found.0) });
            let keep = |length| (length, training.parameters.clone());
            if found.is_some_and(|(recall, length)| stopping.is_over(context, epoch, recall, || keep(length))) {
                break;
            }
        }
        if step < steps {
            context.monitor.advance(steps);
        }
        let Some(Best { epoch, kept: (length, parameters), .. }) = stopping.into_best() else {
            let layers = training.into_layers(context, self.length.unwrap_or(0.0))?;
            return Ok(Fit { layers, epochs, chosen: Vec::new(), settled: None });
        };
        training.parameters = parameters;
        Ok(Fit {
            layers: training.into_layers(context, length)?,
            epochs,
            chosen: if self.cosine { vec![(TEACHER_LENGTH.name, length)] } else { Vec::new() },
            settled: Some(settled(Descent { stop: Some(epoch), length: Some(length), start, ..self.clone() })),
        })
    }

    /// The tables to start from, and what gives them again where nothing is held out.
    fn started(&self, context: &Context<'_>) -> Result<(Nodes, Option<OneBp>)> {
        if let Some(start) = &self.start {
            let learned = start.learn(context, "start")?;
            return Ok((learned.tables, learned.settled));
        }
        let mut rng = context.rng("tables");
        let mut table = |rows| normal_matrix(&mut rng, rows, self.factors, DEVIATION);
        Ok((Nodes { users: table(context.graph.n_users()), items: table(context.graph.n_items()) }, None))
    }
}

/// The state of a training.
struct Training<'a, E> {
    model: &'a Descent,
    encoder: &'a E,
    objective: Objective,
    weights: Vec<f32>,
    parameters: Parameters,
    /// Names of the parameters' matrices.
    names: Vec<&'static str>,
    /// By the layers, from the first step on; zero between steps.
    gradient: Vec<Nodes>,
    adam_users: DenseAdam,
    adam_items: DenseAdam,
    adam_matrices: Vec<DenseAdam>,
    /// Pairs of the step that every user is in, zero between steps, and whether it has a gradient.
    user_pairs: Vec<Option<f32>>,
    item_pairs: Vec<Option<f32>>,
    slots: Vec<u32>,
}

impl<'a, E: Encoder> Training<'a, E> {
    /// A training from some tables.
    fn new(model: &'a Descent, context: &Context<'_>, encoder: &'a E, tables: Nodes) -> Training<'a, E> {
        let (n_users, n_items) = (context.graph.n_users(), context.graph.n_items());
        let d = model.factors;
        let (names, matrices): (Vec<_>, Vec<Matrix>) = encoder.matrices(context).into_iter().unzip();
        Training {
            model,
            encoder,
            objective: model.objective(context.graph),
            adam_matrices: matrices.iter().map(|matrix| DenseAdam::new(matrix.rows(), matrix.cols())).collect(),
            parameters: Parameters { tables, matrices },
            names,
            gradient: Vec::new(),
            weights: encoder.weights(),
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
        (rate, progress): (f32, f32),
        rng: &mut Xoshiro256PlusPlus,
    ) -> Result<(f64, usize)> {
        let isa = context.isa;
        let (mut loss, mut pairs) = (0.0, 0);
        let draw = self.drawn(progress, |masking, logits| masking.draw(context.graph, logits, rng));
        let before = rng.clone();
        let encoded = self.encoder.forward(context, &self.parameters, &draw)?;
        let tables = std::slice::from_ref(&self.parameters.tables);
        let layers = encoded.as_ref().map_or(tables, |(layers, _)| layers);
        let scored = Scored { layers, weights: &self.weights };
        if self.gradient.is_empty() {
            self.gradient = layers.iter().map(Nodes::zeroed).collect();
        }
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
        if self.model.l2_of_layers {
            let pairs = (&self.user_pairs[..], &self.item_pairs[..]);
            penalise_layers(isa, self.model.l2, scored, pairs, &mut self.gradient);
        }
        let tape = encoded.map(|(_, tape)| tape);
        context.check()?;
        let is_sparse = tape.is_none();
        let back = |tape| self.encoder.backward(context, &self.parameters, &draw, tape, &self.gradient);
        let mut pulled = tape.map(back).transpose()?;
        if let Some(pulled) = &mut pulled {
            self.add_penalties(context, batch, &draw, (loss, pairs), before, pulled)?;
        }
        let tables = match &mut pulled {
            Some(pulled) => Some(&mut pulled.tables),
            None => self.gradient.first_mut(),
        };
        let Some(gradient) = tables else { return Ok((loss, pairs)) };
        let l2 = self.model.l2 * self.weights.first().map_or(0.0, |w| w * w);
        let scale = 1.0 / pairs.max(1) as f32;
        for (table, gradient, adam, counts) in [
            (&mut self.parameters.tables.users, &mut gradient.users, &mut self.adam_users, &mut self.user_pairs),
            (&mut self.parameters.tables.items, &mut gradient.items, &mut self.adam_items, &mut self.item_pairs),
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
        if let Some(pulled) = pulled {
            let matrices = self.parameters.matrices.iter_mut().zip(&pulled.matrices).zip(&mut self.adam_matrices);
            matrices.for_each(|((matrix, gradient), adam)| adam.update(isa, matrix, gradient, scale, rate, |_| true));
            for layer in &mut self.gradient {
                for side in [&mut layer.users, &mut layer.items] {
                    side.par_rows_mut().for_each(|row| row.fill(0.0));
                }
            }
        }
        Ok((loss, pairs))
    }

    /// A draw whose masks `of` makes of the logits, where there are any.
    fn drawn(&self, progress: f32, of: impl FnOnce(&Masking, &Matrix) -> Masks) -> Draw {
        let logits = self.encoder.masking().zip(self.parameters.matrices.last());
        Draw { progress, masks: logits.map_or_else(Masks::default, |(masking, logits)| of(masking, logits)) }
    }

    /// Adds to the gradient, a sum over a step's pairs, what of masks is no derivative by the layers: their penalties, and what the loss of the same
    /// pairs under the opposite masks says.
    fn add_penalties(
        &mut self,
        context: &Context<'_>,
        batch: &[u32],
        draw: &Draw,
        (loss, pairs): (f64, usize),
        rng: Xoshiro256PlusPlus,
        gradient: &mut Parameters,
    ) -> Result<()> {
        let Some(masking) = self.encoder.masking() else { return Ok(()) };
        let opposite = self.parameters.matrices.last().and_then(|logits| {
            let masks = masking.opposite(context.graph, logits, &draw.masks)?;
            Some(Draw { masks, progress: draw.progress })
        });
        let opposite = opposite.map(|draw| self.loss(context, batch, &draw, rng)).transpose()?;
        if let (Some(logits), Some(by)) = (self.parameters.matrices.last(), gradient.matrices.last_mut()) {
            let losses = opposite.map(|opposite| (loss, opposite));
            masking.add_penalties(context, logits, &draw.masks, losses, pairs, by);
        }
        Ok(())
    }

    /// The sum of the losses of a step's pairs under another draw.
    fn loss(&mut self, context: &Context<'_>, batch: &[u32], draw: &Draw, mut rng: Xoshiro256PlusPlus) -> Result<f64> {
        let encoded = self.encoder.forward(context, &self.parameters, draw)?;
        let tables = std::slice::from_ref(&self.parameters.tables);
        let layers = encoded.as_ref().map_or(tables, |(layers, _)| layers);
        let scored = Scored { layers, weights: &self.weights };
        let mut loss = 0.0;
        for block in batch.chunks(BLOCK) {
            loss += self.objective.block(context, scored, block, &mut self.slots, &mut rng)?.loss;
        }
        Ok(loss)
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

    /// What the tables give in the end, with all that was learned beside them.
    fn into_layers(self, context: &Context<'_>, length: f32) -> Result<Layers> {
        let layers = self.layers(context, length)?;
        let names = self.names.iter().map(|&name| name.to_owned());
        Ok(Layers { matrices: names.zip(self.parameters.matrices).collect(), ..layers })
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
        let draw = self.drawn(1.0, |_, logits| Masking::expected(context.graph, logits));
        let (mut layers, weights) = self.encoder.trained(context, &self.parameters, &draw)?;
        let mut squares: Vec<f32> = weights.iter().map(|w| w * w).collect();
        let mut lengths = Vec::new();
        if self.model.cosine && layers.len() > 1 {
            lengths = unit(isa, &mut layers, &weights);
        } else if let ([nodes], [weight]) = (layers.as_mut_slice(), weights.as_slice()) {
            if self.model.cosine {
                lengths = row_norms(isa, &nodes.items);
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
            squares = vec![1.0];
        }
        let longest = lengths.iter().fold(f32::MIN_POSITIVE, |longest, &length| longest.max(length));
        lengths.iter_mut().for_each(|length| *length /= longest);
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
        Ok((
            Layers { users, items, weights: squares, neighbours: Neighbours::default(), matrices: Vec::new() },
            lengths,
        ))
    }
}

/// Scales the rows of layers side by side, each times its weight, to length 1; the lengths that the items' had.
fn unit(isa: Isa, layers: &mut [Nodes], weights: &[f32]) -> Vec<f32> {
    let mut scaled = |side: fn(&mut Nodes) -> &mut Matrix| {
        let mut lengths = Vec::new();
        for (layer, weight) in layers.iter_mut().zip(weights) {
            let norms = row_norms(isa, side(layer));
            lengths.resize(norms.len(), 0.0);
            lengths.iter_mut().zip(norms).for_each(|(sum, norm)| *sum += (weight * norm) * (weight * norm));
        }
        lengths.iter_mut().for_each(|length| *length = f32::sqrt(*length));
        for layer in &mut *layers {
            side(layer).par_rows_mut().zip(&lengths).for_each(|(row, &length)| {
                multiply_by(isa, row, if length > f32::MIN_POSITIVE { 1.0 / length } else { 0.0 });
            });
        }
        lengths
    };
    scaled(|nodes| &mut nodes.users);
    scaled(|nodes| &mut nodes.items)
}

/// Adds the gradient of `l2 / 2` times the sum of the squares of the rows of all layers but the first, weighed as they are scored, once for every pair
/// that a row is in.
fn penalise_layers(
    isa: Isa,
    l2: f32,
    scored: Scored<'_>,
    pairs: (&[Option<f32>], &[Option<f32>]),
    gradient: &mut [Nodes],
) {
    for ((layer, weight), by) in scored.layers.iter().zip(scored.weights).zip(gradient).skip(1) {
        let sides = [(&layer.users, &mut by.users, pairs.0), (&layer.items, &mut by.items, pairs.1)];
        for (rows, by, pairs) in sides {
            let counted = pairs.iter().enumerate().filter_map(|(row, &count)| Some((row, count?)));
            counted.for_each(|(row, count)| {
                add_scaled(isa, by.row_mut(row), l2 * weight * weight * count, rows.row(row));
            });
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A descent of four factors.
    pub(crate) fn small() -> Descent {
        Descent {
            factors: 4,
            start: None,
            epochs: 1,
            patience: 1,
            stop: None,
            rate: 0.01,
            l2: 0.0,
            l2_of_layers: false,
            batch: 8,
            loss: Loss::Bpr,
            sampler: Sampler::Uniform,
            candidates: 1,
            popularity: 0.0,
            mixing: None,
            draws: 3,
            negatives: 1,
            pool: 8,
            cosine: false,
            length: None,
            temperature: 1.0,
            equal_users: true,
        }
    }

    /// Against differences of the penalty written out.
    #[test]
    fn the_penalty_of_layers_has_the_gradient_of_its_sum() {
        let graph = crate::train::tests::graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let mut nodes =
            || Nodes { users: normal_matrix(&mut rng, 3, 4, 1.0), items: normal_matrix(&mut rng, 2, 4, 1.0) };
        let (layers, weights) = ([nodes(), nodes(), nodes()], [1.0, 0.5, 2.0]);
        let (users, items) = ([Some(2.0), None, Some(1.0)], [None, Some(3.0)]);
        let penalty = |layers: &[Nodes]| -> f64 {
            let side = |rows: &Matrix, counts: &[Option<f32>]| -> f64 {
                let square = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
                rows.par_rows().zip(counts).map(|(row, count)| f64::from(count.unwrap_or(0.0)) * square(row)).sum()
            };
            let of = |(layer, weight): (&Nodes, &f32)| {
                f64::from(weight * weight) * (side(&layer.users, &users) + side(&layer.items, &items))
            };
            0.3 / 2.0 * layers.iter().zip(&weights).skip(1).map(of).sum::<f64>()
        };
        let mut gradient: Vec<Nodes> = layers.iter().map(Nodes::zeroed).collect();
        let scored = Scored { layers: &layers, weights: &weights };
        penalise_layers(context.isa, 0.3, scored, (&users, &items), &mut gradient);
        assert!(gradient[0].users.data().iter().chain(gradient[0].items.data()).all(|&by| by == 0.0));
        for layer in 1..3 {
            for at in 0..12 {
                let moved = |by: f32| {
                    let mut moved = layers.clone();
                    moved[layer].users.data_mut()[at] += by;
                    penalty(&moved)
                };
                let want = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                let got = f64::from(gradient[layer].users.data()[at]);
                assert!((got - want).abs() < 1e-3, "{layer} {at}: {got} {want}");
            }
            assert!(gradient[layer].items.row(0).iter().all(|&by| by == 0.0));
            assert!(gradient[layer].items.row(1).iter().all(|&by| by != 0.0));
        }
    }
}
