//! The loss of a block of users, and its gradient.

use std::ops::Range;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::nodes::Scored;
use crate::error::Result;
use crate::kernel::dense::{Factor, Isa, Matrix, View, add_scaled, dot, multiply_by, product};
use crate::train::context::Context;
use crate::train::model::Loss;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::loss::{log_partition, normalise, normalise_back, pairwise};
use crate::train::optim::mixing::Mixing;
use crate::train::optim::sampler::{Negatives, positives};
use crate::train::optim::synthesis::{Chosen, Synthesis};

/// A mean loss this many times that of a model that scores all items alike is no noise.
pub(super) const EXPLODED: f64 = 10.0;

/// What a gradient-trained teacher minimises, and over which negatives.
#[derive(Clone, Debug)]
pub(crate) struct Objective {
    pub(crate) loss: Loss,
    pub(crate) sampler: Negatives,
    /// Negatives a pair.
    pub(crate) negatives: usize,
    /// Items a block shares: the negatives themselves with the softmax loss, else what they are drawn from.
    pub(crate) pool: usize,
    /// How synthesised negatives are mixed hop by hop; `None` for element by element.
    pub(crate) mixing: Option<Mixing>,
    /// Whether vectors are scaled to length 1 before they are scored.
    pub(crate) cosine: bool,
    pub(crate) temperature: f32,
    /// Positives drawn a user by the pairwise losses, which so weigh all users alike; the softmax loss takes all.
    pub(crate) draws: usize,
    /// Whether the softmax loss weighs all users alike, or each by the number of its positives.
    pub(crate) equal_users: bool,
}

/// The gradient of a block of users, not yet divided by its weight.
pub(crate) struct BlockGradient {
    pub(crate) loss: f64,
    /// Pairs in it, or users where all weigh alike.
    pub(crate) pairs: usize,
    /// By the users' scored vectors, a row each.
    pub(crate) users: Matrix,
    /// Pairs of every user.
    pub(crate) user_pairs: Vec<f32>,
    pub(crate) touched: Vec<u32>,
    /// By the touched items' scored vectors, a row each.
    pub(crate) items: Matrix,
    /// How often every touched item was a positive or the negative of a pair.
    pub(crate) item_pairs: Vec<f32>,
}

/// What a block scores: the vectors of its users and of the items it touches, those of the pool first.
pub(super) struct Gathered<'a> {
    pub(super) users: &'a Matrix,
    pub(super) items: &'a Matrix,
    /// The slots of every user's positives, and its generator.
    pub(super) positives: &'a [Vec<u32>],
    pub(super) generators: Vec<Xoshiro256PlusPlus>,
    pub(super) pool: &'a [u32],
    /// All that every user has touched.
    pub(super) seen: Vec<&'a [u32]>,
    /// The columns of every layer.
    pub(super) layers: Vec<Range<usize>>,
}

/// The loss of what was gathered and its gradient by it.
pub(super) struct Slopes {
    pub(super) loss: f64,
    pub(super) users: Matrix,
    pub(super) items: Matrix,
    /// How often every item was a positive or the negative of a pair.
    pub(super) pairs: Vec<f32>,
}

/// One positive of a user: its slot and the derivative by its score.
type Own = (u32, f32);

/// What one user's row gives.
struct Row {
    loss: f64,
    own: Vec<Own>,
    negatives: Vec<u32>,
}

/// A positive with its synthesised negatives.
struct Mixed {
    user: u32,
    positive: u32,
    /// By negative, then layer.
    chosen: Vec<Chosen>,
    /// The derivatives by the scores of the negatives.
    slopes: Vec<f32>,
}

impl Objective {
    /// The loss of a pair where all items are scored alike.
    pub(crate) fn indifference(&self) -> f64 {
        match self.loss {
            Loss::Softmax => (self.pool.max(2) as f64).ln(),
            _ => (self.negatives as f64 + 1.0).ln(),
        }
    }

    /// A mean loss above this is no noise: some times that of a model that scores all items alike, and what a pair of cosines can add, of which one
    /// may be 1 and the other -1.
    pub(crate) fn explosion(&self) -> f64 {
        let apart = if self.cosine { 2.0 / f64::from(self.temperature) } else { 0.0 };
        EXPLODED * self.indifference() + apart
    }

    /// The loss of a block of users over a pool of its own. `slots` holds `u32::MAX` for every item, on return too. Three products of
    /// `users x pool x columns`; with synthesised negatives O(pairs x negatives x candidates x columns) instead.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn block(
        &self,
        context: &Context<'_>,
        scored: Scored<'_>,
        users: &[u32],
        slots: &mut [u32],
        rng: &mut Xoshiro256PlusPlus,
    ) -> Result<BlockGradient> {
        context.check()?;
        let isa = context.isa;
        let pool = self.sampler.pool(rng, self.pool);
        let seeds: Vec<u64> = users.iter().map(|_| rng.next_u64()).collect();
        let rows = context.graph.users();
        let (mut pairs, generators): (Vec<Vec<u32>>, Vec<Xoshiro256PlusPlus>) = users
            .par_iter()
            .zip(&seeds)
            .map(|(&user, &seed)| {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                let row = rows.row(user as usize);
                let drawn =
                    if self.loss == Loss::Softmax { row.to_vec() } else { positives(&mut rng, row, self.draws) };
                (drawn, rng)
            })
            .unzip();
        let mut touched = pool.clone();
        touched.iter().enumerate().for_each(|(at, &item)| slots[item as usize] = at as u32);
        for item in pairs.iter_mut().flatten() {
            let slot = &mut slots[*item as usize];
            if *slot == u32::MAX {
                *slot = touched.len() as u32;
                touched.push(*item);
            }
            *item = *slot;
        }

        let mut user_vectors = scored.gather(|nodes| &nodes.users, users);
        let mut item_vectors = scored.gather(|nodes| &nodes.items, &touched);
        let lengths = |matrix: &mut Matrix| -> Vec<f32> {
            if self.cosine { matrix.par_rows_mut().map(|row| normalise(isa, row)).collect() } else { Vec::new() }
        };
        let (user_inverses, item_inverses) = (lengths(&mut user_vectors), lengths(&mut item_vectors));
        let gathered = Gathered {
            users: &user_vectors,
            items: &item_vectors,
            positives: &pairs,
            generators,
            pool: &pool,
            seen: users.iter().map(|&user| rows.row(user as usize)).collect(),
            layers: scored.segments(),
        };
        let mut done = match (self.mixing, self.sampler.synthesis()) {
            (Some(mixing), _) => self.mixed(context, gathered, mixing)?,
            (None, Some(synthesis)) => self.synthesised(context, gathered, synthesis, rng)?,
            (None, None) => self.pooled(context, gathered)?,
        };
        for (gradient, vectors, inverses) in
            [(&mut done.users, &user_vectors, &user_inverses), (&mut done.items, &item_vectors, &item_inverses)]
        {
            gradient.par_rows_mut().zip(vectors.par_rows()).zip(inverses).for_each(|((gradient, row), &inverse)| {
                normalise_back(isa, gradient, row, inverse);
            });
        }
        touched.iter().for_each(|&item| slots[item as usize] = u32::MAX);
        Ok(BlockGradient {
            loss: done.loss,
            pairs: match self.loss {
                Loss::Softmax => pairs.iter().map(|pairs| self.softmax_weight(pairs.len()) as usize).sum(),
                _ => pairs.iter().map(Vec::len).sum(),
            },
            users: done.users,
            user_pairs: pairs.iter().map(|pairs| pairs.len() as f32).collect(),
            touched,
            items: done.items,
            item_pairs: done.pairs,
        })
    }

    /// Negatives are items of the pool, so all scores are one product.
    fn pooled(&self, context: &Context<'_>, mut gathered: Gathered<'_>) -> Result<Slopes> {
        let isa = context.isa;
        let (users, items) = (gathered.users, gathered.items);
        let pooled = View::new(items.data(), gathered.pool.len(), items.cols());
        let mut scores = product(isa, View::from(users), pooled.transposed());
        context.check()?;
        let outcome: Vec<Row> = scores
            .par_rows_mut()
            .zip(&mut gathered.generators)
            .enumerate()
            .map(|(at, (scores, rng))| {
                let score = |&slot: &u32| (slot, dot(isa, users.row(at), items.row(slot as usize)));
                let positives: Vec<Own> = gathered.positives[at].iter().map(score).collect();
                match self.loss {
                    Loss::Softmax => self.softmax_row(isa, scores, positives),
                    _ => self.pairwise_row(rng, scores, positives, gathered.pool, gathered.seen[at]),
                }
            })
            .collect();

        context.check()?;
        let mut to_users = product(isa, (&scores).into(), pooled);
        let mut to_items = Matrix::zeros(items.rows(), items.cols());
        let of_pool = &mut to_items.data_mut()[..gathered.pool.len() * items.cols()];
        Factor::pack(isa, View::from(users)).par_multiply(View::from(&scores).transposed(), of_pool, false);
        let mut by_item: Vec<Vec<(u32, f32)>> = vec![Vec::new(); items.rows()];
        let mut pairs = vec![0.0f32; items.rows()];
        for (at, row) in outcome.iter().enumerate() {
            for &(slot, by) in &row.own {
                by_item[slot as usize].push((at as u32, by));
                pairs[slot as usize] += 1.0;
            }
            row.negatives.iter().for_each(|&slot| pairs[slot as usize] += 1.0);
        }
        to_users.par_rows_mut().zip(&outcome).for_each(|(out, row)| {
            row.own.iter().for_each(|&(slot, by)| add_scaled(isa, out, by, items.row(slot as usize)));
        });
        to_items.par_rows_mut().zip(&by_item).for_each(|(out, own)| {
            own.iter().for_each(|&(user, by)| add_scaled(isa, out, by, users.row(user as usize)));
        });
        Ok(Slopes { loss: outcome.iter().map(|row| row.loss).sum(), users: to_users, items: to_items, pairs })
    }

    /// Every negative is synthesised, layer by layer, from candidates of its own.
    fn synthesised(
        &self,
        context: &Context<'_>,
        mut gathered: Gathered<'_>,
        synthesis: Synthesis,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Result<Slopes> {
        let isa = context.isa;
        let (users, items, layers) = (gathered.users, gathered.items, &gathered.layers);
        let shares = synthesis.shares(rng, layers.iter().map(Range::len).max().unwrap_or(0));
        let mut to_users = Matrix::zeros(users.rows(), users.cols());
        let outcome: Vec<(f64, Vec<Mixed>)> = to_users
            .par_rows_mut()
            .zip(&mut gathered.generators)
            .enumerate()
            .map(|(at, (out, rng))| {
                context.check()?;
                let user = users.row(at);
                let (mut candidates, mut loss) = (Vec::with_capacity(synthesis.candidates), 0.0);
                let mixed = gathered.positives[at].iter().map(|&slot| {
                    let positive = items.row(slot as usize);
                    let mut chosen = Vec::with_capacity(self.negatives * layers.len());
                    let mut slopes = vec![0.0f32; self.negatives];
                    for slope in &mut slopes {
                        self.sampler.candidates(rng, gathered.pool, gathered.seen[at], &mut candidates);
                        for layer in layers {
                            let rows = (&user[layer.clone()], &positive[layer.clone()]);
                            let row = |item: u32| &items.row(item as usize)[layer.clone()];
                            let (hardest, score) = shares.hardest(isa, rng, rows, row, &candidates);
                            *slope += score;
                            chosen.push(hardest);
                        }
                    }
                    loss += f64::from(pairwise(dot(isa, user, positive), &mut slopes, self.temperature));
                    add_scaled(isa, out, -slopes.iter().sum::<f32>(), positive);
                    for (chosen, &slope) in chosen.chunks_exact(layers.len()).zip(&slopes) {
                        for (layer, &chosen) in layers.iter().zip(chosen) {
                            let negative = &items.row(chosen.item as usize)[layer.clone()];
                            let out = &mut out[layer.clone()];
                            shares.to_user(isa, out, slope, chosen, &positive[layer.clone()], negative);
                        }
                    }
                    Mixed { user: at as u32, positive: slot, chosen, slopes }
                });
                let mixed = mixed.collect();
                Ok((loss, mixed))
            })
            .collect::<Result<_>>()?;
        context.check()?;
        let loss = outcome.iter().map(|(loss, _)| loss).sum();
        let mixed: Vec<&Mixed> = outcome.iter().flat_map(|(_, mixed)| mixed).collect();
        let by_positive = Grouping::new(items.rows(), &mixed.iter().map(|mixed| mixed.positive).collect::<Vec<_>>());
        let negatives: Vec<u32> =
            mixed.iter().flat_map(|mixed| mixed.chosen.iter().map(|chosen| chosen.item)).collect();
        let by_negative = Grouping::new(items.rows(), &negatives);
        let mut to_items = Matrix::zeros(items.rows(), items.cols());
        to_items.par_rows_mut().enumerate().for_each(|(slot, out)| {
            for &at in by_positive.row(slot) {
                let Mixed { user, chosen, slopes, .. } = mixed[at as usize];
                let user = users.row(*user as usize);
                add_scaled(isa, out, -slopes.iter().sum::<f32>(), user);
                for (chosen, &slope) in chosen.chunks_exact(layers.len()).zip(slopes) {
                    for (layer, &chosen) in layers.iter().zip(chosen) {
                        shares.to_positive(isa, &mut out[layer.clone()], slope, chosen, &user[layer.clone()]);
                    }
                }
            }
            for &at in by_negative.row(slot) {
                let (at, of) =
                    (at as usize / (self.negatives * layers.len()), at as usize % (self.negatives * layers.len()));
                let (negative, layer) = (of / layers.len(), &layers[of % layers.len()]);
                let Mixed { user, chosen, slopes, .. } = mixed[at];
                let user = &users.row(*user as usize)[layer.clone()];
                shares.to_candidate(isa, &mut out[layer.clone()], slopes[negative], chosen[of], user);
            }
        });
        let mut pairs = vec![0.0f32; items.rows()];
        for mixed in mixed {
            pairs[mixed.positive as usize] += 1.0;
            mixed.chosen.iter().step_by(layers.len()).for_each(|chosen| pairs[chosen.item as usize] += 1.0);
        }
        Ok(Slopes { loss, users: to_users, items: to_items, pairs })
    }

    /// The weight of a user with a number of positives in the softmax loss.
    fn softmax_weight(&self, positives: usize) -> f32 {
        if self.equal_users { positives.min(1) as f32 } else { positives as f32 }
    }

    /// `sum over positives p of log sum over pool j of exp((s_j - s_p) / temperature)`, or the mean over the positives; of inner products with the
    /// positive itself in the sum, without which nothing would bound the loss below.
    fn softmax_row(&self, isa: Isa, scores: &mut [f32], mut positives: Vec<Own>) -> Row {
        let mut loss = 0.0;
        let weight = self.softmax_weight(positives.len());
        let share = weight / positives.len().max(1) as f32;
        if weight > 0.0 && !self.cosine {
            // `log(1 + exp(z))` of z, the logarithm of the pool's sum less the positive's score.
            let pool = log_partition(isa, scores, 1.0, self.temperature);
            let mut slopes = 0.0;
            for own in &mut positives {
                let z = pool - own.1 / self.temperature;
                loss += f64::from(share * (z.max(0.0) + (-z.abs()).exp().ln_1p()));
                let slope = share / (1.0 + (-z).exp());
                own.1 = -slope / self.temperature;
                slopes += slope;
            }
            multiply_by(isa, scores, slopes);
            return Row { loss, own: positives, negatives: Vec::new() };
        }
        for own in &mut positives {
            loss -= f64::from(own.1 * share / self.temperature);
            own.1 = -share / self.temperature;
        }
        if weight > 0.0 {
            loss += f64::from(log_partition(isa, scores, weight, self.temperature));
        } else {
            scores.fill(0.0);
        }
        Row { loss, own: positives, negatives: Vec::new() }
    }

    /// The pairwise loss of every positive against negatives of its own, each the best of its candidates. On return `scores` holds the
    /// derivatives by the scores of the pool.
    fn pairwise_row(
        &self,
        rng: &mut Xoshiro256PlusPlus,
        scores: &mut [f32],
        mut positives: Vec<Own>,
        pool: &[u32],
        touched: &[u32],
    ) -> Row {
        let known = scores.to_vec();
        scores.fill(0.0);
        let (mut candidates, mut loss, mut counted) = (Vec::new(), 0.0, Vec::new());
        let mut chosen = vec![0u32; self.negatives];
        let mut values = vec![0.0f32; self.negatives];
        for (_, own) in &mut positives {
            for (chosen, value) in chosen.iter_mut().zip(&mut values) {
                self.sampler.candidates(rng, pool, touched, &mut candidates);
                let better = |&best: &u32, &other: &u32| known[other as usize] > known[best as usize];
                *chosen = candidates
                    .iter()
                    .copied()
                    .reduce(|best, at| if better(&best, &at) { at } else { best })
                    .unwrap_or(0);
                *value = known[*chosen as usize];
            }
            loss += f64::from(pairwise(*own, &mut values, self.temperature));
            *own = -values.iter().sum::<f32>();
            chosen.iter().zip(&values).for_each(|(&at, &value)| scores[at as usize] += value);
            counted.extend_from_slice(&chosen);
        }
        Row { loss, own: positives, negatives: counted }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::Nodes;
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::model::Sampler;
    use crate::train::optim::random::normal_matrix;

    fn graph() -> Bipartite {
        let edges: Vec<_> = (0..60u32).map(|e| (e * 7 % 9, e * 13 % 17, 1.0)).collect();
        Bipartite::from_edges(9, 17, &edges).unwrap()
    }

    fn objective(graph: &Bipartite, loss: Loss, kind: Sampler, cosine: bool) -> Objective {
        let sampler = Negatives::new(kind, 1, 1.0, graph);
        let mixing = None;
        Objective {
            loss,
            sampler,
            negatives: 3,
            pool: 11,
            mixing,
            cosine,
            temperature: 0.7,
            draws: 4,
            equal_users: !cosine,
        }
    }

    /// The loss as a function of all vectors, with the same random numbers every time. With one candidate a choice never changes, so the loss is
    /// smooth.
    #[test]
    fn gradients_equal_finite_differences() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("test");
        let nodes = |rng: &mut _| Nodes { users: normal_matrix(rng, 9, 5, 0.7), items: normal_matrix(rng, 17, 5, 0.7) };
        let layers = vec![nodes(&mut rng), nodes(&mut rng)];
        let weights = [0.5f32, 1.0];
        let users = [7u32, 0, 3, 4];
        let mixing = |positive, hops| Some(Mixing { positive, hops });
        for (loss, kind, cosine, mixing) in [
            (Loss::Softmax, Sampler::Uniform, true, None),
            (Loss::Softmax, Sampler::Popularity, false, None),
            (Loss::KBpr, Sampler::Uniform, false, None),
            (Loss::KBpr, Sampler::Synthesised, false, None),
            (Loss::KBpr, Sampler::Synthesised, false, mixing(true, true)),
            (Loss::KBpr, Sampler::Synthesised, false, mixing(false, true)),
            (Loss::InfoNce, Sampler::Dynamic, true, None),
            (Loss::InfoNce, Sampler::Synthesised, true, None),
            (Loss::InfoNce, Sampler::Synthesised, true, mixing(true, false)),
        ] {
            let objective = Objective { mixing, ..objective(&graph, loss, kind, cosine) };
            let at = |layers: &[Nodes]| {
                let scored = Scored { layers, weights: &weights };
                let mut slots = vec![u32::MAX; 17];
                let block = objective.block(&context, scored, &users, &mut slots, &mut context.rng("block")).unwrap();
                assert!(slots.iter().all(|&slot| slot == u32::MAX));
                block
            };
            let block = at(&layers);
            let mut gradient = vec![Nodes::zeros(9, 17, 5), Nodes::zeros(9, 17, 5)];
            let scored = Scored { layers: &layers, weights: &weights };
            scored.scatter(context.isa, |nodes| &mut nodes.users, &users, &block.users, &mut gradient);
            scored.scatter(context.isa, |nodes| &mut nodes.items, &block.touched, &block.items, &mut gradient);
            for (layer, k) in [(0, 0), (0, 3), (1, 1), (1, 4)] {
                for (row, is_user) in [(0, true), (3, true), (5, true), (0, false), (4, false), (16, false)] {
                    let shifted = |by: f32| {
                        let mut layers = layers.clone();
                        let side = if is_user { &mut layers[layer].users } else { &mut layers[layer].items };
                        side.row_mut(row)[k] += by;
                        at(&layers).loss
                    };
                    let want = (shifted(0.01) - shifted(-0.01)) / 0.02;
                    let side = if is_user { &gradient[layer].users } else { &gradient[layer].items };
                    let got = f64::from(side.row(row)[k]);
                    let name = format!("{loss} {kind} {mixing:?} layer {layer} row {row} {is_user}");
                    assert!((got - want).abs() < 0.02 * want.abs().max(0.1), "{name}: {got} {want}");
                }
            }
        }
    }

    /// However far positives are ahead, a softmax of inner products has nothing to gain below 0; and cosines at any temperature are no explosion.
    #[test]
    fn losses_are_bounded() {
        let graph = graph();
        let dots = Objective { pool: 4, ..objective(&graph, Loss::Softmax, Sampler::Uniform, false) };
        let isa = Isa::chosen().unwrap();
        for ahead in [0.0f32, 30.0, 1e3, 1e30] {
            let mut scores = vec![0.5, -1.0, 0.0, 2.0];
            let row = dots.softmax_row(isa, &mut scores, vec![(0, ahead), (1, 2.0 * ahead)]);
            assert!(row.loss >= 0.0 && row.loss.is_finite(), "{ahead}: {}", row.loss);
            assert!(row.own.iter().all(|own| own.1 <= 0.0 && own.1.is_finite()), "{ahead}: {:?}", row.own);
            assert!(scores.iter().all(|&slope| (0.0..=1.0 / 0.7 + 1e-5).contains(&slope)), "{ahead}: {scores:?}");
        }
        let cold = Objective { temperature: 1e-3, ..objective(&graph, Loss::Softmax, Sampler::Uniform, true) };
        let row = cold.softmax_row(isa, &mut [1.0; 11], vec![(0, -1.0)]);
        assert!(row.loss < cold.explosion(), "{} {}", row.loss, cold.explosion());
    }

    #[test]
    fn a_dynamic_negative_is_the_best_of_its_candidates() {
        let graph = graph();
        let objective = Objective {
            sampler: Negatives::new(Sampler::Dynamic, 64, 1.0, &graph),
            negatives: 1,
            ..objective(&graph, Loss::KBpr, Sampler::Dynamic, false)
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
        let pool: Vec<u32> = (0..10).collect();
        let mut scores: Vec<f32> = (0..10).map(|k| (k * 7 % 10) as f32).collect();
        // Position 7 has the best score, 9, but the user has touched it; position 4 comes next.
        let row = objective.pairwise_row(&mut rng, &mut scores, vec![(0, 1.0)], &pool, &[7]);
        assert_eq!(row.negatives, [4]);
        assert!(scores.iter().enumerate().all(|(at, &by)| (by != 0.0) == (at == 4)), "{scores:?}");
    }
}
