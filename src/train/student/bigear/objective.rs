//! The loss of a step and its gradient with respect to the codes.

use std::f64::consts::LN_2;

use rayon::prelude::*;

use super::lists::Lists;
use super::propagation::zeros_like;
use crate::error::Result;
use crate::kernel::dense::{add_scaled, dot, exponentials, maximum};
use crate::train::context::Context;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::random::below;
use crate::train::optim::sampler::KnownItems;
use crate::train::optim::synthesis::{Chosen, Shares, Synthesis};
use crate::train::teacher::Nodes;

/// Users a task draws for: fixed, since each has a generator of its own.
const CHUNK: usize = 32;

/// What the student's scores of a user's listed items are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distillation {
    /// Inference distillation: `sum of weight_k softplus(-s_k)`, which lifts what the teacher ranks high.
    Ranks,
    /// The divergence of the softmax of the student's scores from that of the teacher's.
    Divergence,
    /// The mean squared difference of the scores.
    Squares,
}

/// The loss of codes, the rows of every segment:
///
/// `mean over draws of softplus(s(u, n) - s(u, p)) + mean over segments of mean over users of L_ID`
///
/// where s is the sum over segments of inner products, and L_ID is taken over the lists of the segment.
pub(crate) struct Objective<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) known: KnownItems,
    pub(crate) synthesis: Synthesis,
    /// Positives drawn for every user and step, with replacement.
    pub(crate) draws: usize,
    pub(crate) distillation: Distillation,
    /// The lists of every segment; none leaves the distillation out.
    pub(crate) lists: Vec<Lists>,
}

/// What was drawn for a step: `draws` positives a user, and for each of them a negative of every segment.
pub(crate) struct Draws {
    /// By user; `u32::MAX` where the user has no interactions.
    positives: Vec<u32>,
    /// By draw, then segment.
    chosen: Vec<Chosen>,
    /// The loss's derivatives by the scores of the negatives; those by the scores of the positives are the opposite.
    slopes: Vec<f32>,
    shares: Shares,
    segments: usize,
    loss: f64,
}

impl Draws {
    /// How often every item of `n_items` was a positive or a negative of the first segment.
    pub(crate) fn counts(&self, n_items: usize) -> Vec<u32> {
        let mut counts = vec![0; n_items];
        for (&positive, chosen) in self.positives.iter().zip(self.chosen.chunks(self.segments)) {
            if positive != u32::MAX {
                counts[positive as usize] += 1;
                counts[chosen[0].item as usize] += 1;
            }
        }
        counts
    }
}

impl Objective<'_> {
    /// Users with interactions; the others have no loss.
    pub(crate) fn n_active(&self) -> usize {
        self.context.graph.users().offsets().windows(2).filter(|pair| pair[0] < pair[1]).count()
    }

    /// About the loss of codes that score all items alike.
    pub(crate) fn indifference(&self) -> f64 {
        let share = 1.0 / (self.n_active() * self.lists.len()).max(1) as f64;
        let list = |lists: &Lists| match self.distillation {
            Distillation::Ranks => lists.weights.iter().map(|&w| f64::from(w)).sum::<f64>() * LN_2,
            Distillation::Divergence => self.n_active() as f64,
            Distillation::Squares => {
                let squares: f64 = lists.scores.iter().map(|&s| f64::from(s * s)).sum();
                squares / lists.scores.len().max(1) as f64 * self.n_active() as f64
            }
        };
        LN_2 + share * self.lists.iter().map(list).sum::<f64>()
    }

    /// Draws for a step, and the loss of the draws.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn draw(&self, codes: &[Nodes], step: u64) -> Result<Draws> {
        let n = self.context.graph.n_users() * self.draws;
        let width = codes.first().map_or(0, |segment| segment.users.cols());
        let mut draws = Draws {
            positives: vec![u32::MAX; n],
            chosen: vec![Chosen { item: 0, window: 0 }; n * codes.len()],
            slopes: vec![0.0; n],
            shares: self.synthesis.shares(&mut self.context.rng(&format!("shares {step}")), width),
            segments: codes.len(),
            loss: 0.0,
        };
        let share = 1.0 / (self.n_active() * self.draws).max(1) as f32;
        let shares = &draws.shares;
        let losses: Vec<f64> = draws
            .positives
            .par_chunks_mut(CHUNK * self.draws)
            .zip(draws.chosen.par_chunks_mut(CHUNK * self.draws * codes.len()))
            .zip(draws.slopes.par_chunks_mut(CHUNK * self.draws))
            .enumerate()
            .map(|(chunk, ((positives, chosen), slopes))| {
                self.context.check()?;
                let mut rng = self.context.rng(&format!("draws {step} {chunk}"));
                let mut candidates = Vec::with_capacity(self.synthesis.candidates);
                let rows = positives.iter_mut().zip(chosen.chunks_mut(codes.len())).zip(slopes);
                let mut loss = 0.0;
                for (at, ((positive, chosen), slope)) in rows.enumerate() {
                    let user = chunk * CHUNK + at / self.draws;
                    let seen = self.context.graph.users().row(user);
                    if seen.is_empty() {
                        continue;
                    }
                    *positive = seen[below(&mut rng, seen.len())];
                    candidates.clear();
                    candidates.extend((0..self.synthesis.candidates).map(|_| self.known.untouched(&mut rng, seen)));
                    let mut margin = 0.0;
                    for (codes, chosen) in codes.iter().zip(chosen) {
                        let rows = (codes.users.row(user), codes.items.row(*positive as usize));
                        let isa = self.context.isa;
                        let (hardest, score) =
                            shares.hardest(isa, &mut rng, rows, |item| codes.items.row(item as usize), &candidates);
                        *chosen = hardest;
                        margin += score - dot(isa, rows.0, rows.1);
                    }
                    loss += f64::from(share * softplus(margin));
                    *slope = share * logistic(margin);
                }
                Ok(loss)
            })
            .collect::<Result<_>>()?;
        draws.loss = losses.iter().sum();
        Ok(draws)
    }

    /// The loss, and its gradient with respect to the codes. O((draws (candidates + 3) + entries of the lists) columns).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn gradient(&self, codes: &[Nodes], draws: &Draws) -> Result<(f64, Vec<Nodes>)> {
        let by_positive = Grouping::new(self.context.graph.n_items(), &draws.positives);
        let mut loss = draws.loss;
        let mut gradients = Vec::with_capacity(codes.len());
        for (segment, codes) in codes.iter().enumerate() {
            self.context.check()?;
            let lists = self.lists.get(segment);
            let mut gradient = zeros_like(codes);
            let (listed, slopes) = self.users_gradient(segment, codes, draws, lists, &mut gradient)?;
            loss += listed;
            self.items_gradient(
                segment,
                codes,
                draws,
                &by_positive,
                lists.map(|lists| (lists, &*slopes)),
                &mut gradient,
            )?;
            gradients.push(gradient);
        }
        Ok((loss, gradients))
    }

    /// The users' rows of a segment's gradient. Returns the loss of the lists, and its derivatives by the score of each entry.
    fn users_gradient(
        &self,
        segment: usize,
        codes: &Nodes,
        draws: &Draws,
        lists: Option<&Lists>,
        gradient: &mut Nodes,
    ) -> Result<(f64, Vec<f32>)> {
        let isa = self.context.isa;
        let share = 1.0 / (self.n_active() * draws.segments).max(1) as f32;
        let outcome: Vec<(f64, Vec<f32>)> = gradient
            .users
            .par_rows_mut()
            .enumerate()
            .map(|(user, out)| {
                self.check_at(user)?;
                let row = codes.users.row(user);
                for draw in user * self.draws..(user + 1) * self.draws {
                    if draws.positives[draw] == u32::MAX {
                        continue;
                    }
                    let positive = codes.items.row(draws.positives[draw] as usize);
                    let chosen = draws.chosen[draw * draws.segments + segment];
                    let negative = codes.items.row(chosen.item as usize);
                    let slope = draws.slopes[draw];
                    add_scaled(isa, out, -slope, positive);
                    draws.shares.to_user(isa, out, slope, chosen, positive, negative);
                }
                let Some(lists) = lists else { return Ok((0.0, Vec::new())) };
                let range = lists.of(user);
                let items = &lists.items[range.clone()];
                let mut slopes: Vec<f32> =
                    items.iter().map(|&item| dot(isa, row, codes.items.row(item as usize))).collect();
                let loss = self.distillation.loss(
                    self.context,
                    &mut slopes,
                    &lists.weights[range.clone()],
                    &lists.scores[range],
                    share,
                );
                for (&item, &slope) in items.iter().zip(&slopes) {
                    add_scaled(isa, out, slope, codes.items.row(item as usize));
                }
                Ok((loss, slopes))
            })
            .collect::<Result<_>>()?;
        let loss = outcome.iter().map(|(loss, _)| loss).sum();
        Ok((loss, outcome.into_iter().flat_map(|(_, slopes)| slopes).collect()))
    }

    /// Lets the owner cancel every few rows.
    fn check_at(&self, row: usize) -> Result<()> {
        if row.is_multiple_of(CHUNK) { self.context.check() } else { Ok(()) }
    }

    /// The items' rows of a segment's gradient.
    fn items_gradient(
        &self,
        segment: usize,
        codes: &Nodes,
        draws: &Draws,
        by_positive: &Grouping,
        lists: Option<(&Lists, &[f32])>,
        gradient: &mut Nodes,
    ) -> Result<()> {
        let isa = self.context.isa;
        let chosen = |draw: usize| draws.chosen[draw * draws.segments + segment];
        let negatives: Vec<u32> = (0..draws.positives.len())
            .map(|draw| if draws.positives[draw] == u32::MAX { u32::MAX } else { chosen(draw).item })
            .collect();
        let by_negative = Grouping::new(self.context.graph.n_items(), &negatives);
        gradient.items.par_rows_mut().enumerate().try_for_each(|(item, out)| {
            self.check_at(item)?;
            for &draw in by_positive.row(item) {
                let draw = draw as usize;
                let (user, slope) = (codes.users.row(draw / self.draws), draws.slopes[draw]);
                add_scaled(isa, out, -slope, user);
                draws.shares.to_positive(isa, out, slope, chosen(draw), user);
            }
            for &draw in by_negative.row(item) {
                let draw = draw as usize;
                let user = codes.users.row(draw / self.draws);
                draws.shares.to_candidate(isa, out, draws.slopes[draw], chosen(draw), user);
            }
            if let Some((lists, slopes)) = lists {
                for &entry in lists.by_item.row(item) {
                    let entry = entry as usize;
                    add_scaled(isa, out, slopes[entry], codes.users.row(lists.users[entry] as usize));
                }
            }
            Ok(())
        })
    }
}

impl Distillation {
    /// The loss of one user's list times `share`. On entry `scores` holds the student's scores, on return the derivatives.
    fn loss(self, context: &Context<'_>, scores: &mut [f32], weights: &[f32], teacher: &[f32], share: f32) -> f64 {
        let mut loss = 0.0;
        match self {
            Distillation::Ranks => {
                for (score, weight) in scores.iter_mut().zip(weights) {
                    loss += f64::from(weight * softplus(-*score));
                    *score = -share * weight * logistic(-*score);
                }
            }
            Distillation::Squares => {
                let each = 1.0 / scores.len().max(1) as f32;
                for (score, teacher) in scores.iter_mut().zip(teacher) {
                    let difference = *score - teacher;
                    loss += f64::from(each * difference * difference);
                    *score = share * each * 2.0 * difference;
                }
            }
            Distillation::Divergence => {
                let (top, top_teacher) = (maximum(context.isa, scores), maximum(context.isa, teacher));
                let logits = scores.to_vec();
                let mut target = teacher.to_vec();
                let total = exponentials(context.isa, scores, 1.0, top);
                let mass = exponentials(context.isa, &mut target, 1.0, top_teacher);
                for (((score, target), logit), teacher) in scores.iter_mut().zip(&target).zip(logits).zip(teacher) {
                    let target = target / mass;
                    let ratio = (teacher - top_teacher - mass.ln()) - (logit - top - total.ln());
                    loss += f64::from(target * ratio);
                    *score = share * (*score / total - target);
                }
            }
        }
        loss * f64::from(share)
    }
}

/// `ln(1 + e^x)`.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e^-x)`, the derivative of [`softplus`].
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::kernel::dense::{Isa, Matrix};
    use crate::train::optim::random::normal_matrix;
    use crate::train::student::bigear::lists::{Among, Ranking};

    fn graph() -> Bipartite {
        let edges: Vec<(u32, u32, f32)> = (0..24u32).map(|e| (e * e % 7, e * 5 % 11, 1.0)).collect();
        Bipartite::from_edges(8, 12, &edges).unwrap()
    }

    fn nodes(context: &Context<'_>, stream: &str) -> Nodes {
        let mut rng = context.rng(stream);
        let mut side = |rows| normal_matrix(&mut rng, rows, 10, 0.6);
        Nodes { users: side(8), items: side(12) }
    }

    fn inner(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    fn softplus64(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    /// The loss in double precision, from its definition, for given draws.
    fn loss(objective: &Objective<'_>, codes: &[Nodes], draws: &Draws) -> f64 {
        let n_active = objective.n_active() as f64;
        let mut total = 0.0;
        for (draw, &positive) in draws.positives.iter().enumerate().filter(|(_, p)| **p != u32::MAX) {
            let mut margin = 0.0;
            for (segment, codes) in codes.iter().enumerate() {
                let chosen = draws.chosen[draw * draws.segments + segment];
                let (user, p) = (codes.users.row(draw / objective.draws), codes.items.row(positive as usize));
                // The share of the positive is what a positive of ones adds to a negative of zeros.
                let (zeros, ones) = (vec![0.0; 10], vec![1.0; 10]);
                let mut shares = vec![0.0; 10];
                draws.shares.to_user(Isa::BASELINE, &mut shares, 1.0, chosen, &ones, &zeros);
                let n = codes.items.row(chosen.item as usize);
                let mixture: Vec<f32> = (0..10).map(|at| shares[at] * p[at] + (1.0 - shares[at]) * n[at]).collect();
                margin += inner(user, &mixture) - inner(user, p);
            }
            total += softplus64(margin) / (n_active * objective.draws as f64);
        }
        for (codes_of, lists) in codes.iter().zip(&objective.lists) {
            for user in 0..8 {
                let range = lists.of(user);
                let scores: Vec<f64> = lists.items[range.clone()]
                    .iter()
                    .map(|&item| inner(codes_of.users.row(user), codes_of.items.row(item as usize)))
                    .collect();
                let teacher: Vec<f64> = lists.scores[range.clone()].iter().map(|&s| f64::from(s)).collect();
                let softmax = |x: &[f64]| {
                    let total: f64 = x.iter().map(|x| x.exp()).sum();
                    x.iter().map(|x| x.exp() / total).collect::<Vec<_>>()
                };
                let list: f64 = match objective.distillation {
                    Distillation::Ranks => {
                        scores.iter().zip(&lists.weights[range]).map(|(s, &w)| f64::from(w) * softplus64(-s)).sum()
                    }
                    Distillation::Squares => {
                        scores.iter().zip(&teacher).map(|(s, t)| (s - t).powi(2)).sum::<f64>()
                            / scores.len().max(1) as f64
                    }
                    Distillation::Divergence => {
                        let (p, q) = (softmax(&teacher), softmax(&scores));
                        p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
                    }
                };
                total += list / (n_active * codes.len() as f64);
            }
        }
        total
    }

    #[test]
    fn the_gradient_of_every_term_equals_finite_differences() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let teacher = [nodes(&context, "teacher 0"), nodes(&context, "teacher 1")];
        let codes = [nodes(&context, "codes 0"), nodes(&context, "codes 1")];
        let both = Ranking { first: 5, among: Among::All, second: 3, lambda1: 1.0, lambda2: 0.3, noise: 0.2 };
        let synthesis = Synthesis { candidates: 3, most: 0.8 };
        for (synthesis, distillation, ranking) in [
            (synthesis, Distillation::Ranks, None),
            (Synthesis::NONE, Distillation::Ranks, None),
            (synthesis, Distillation::Ranks, Some(both)),
            (synthesis, Distillation::Ranks, Some(Ranking { first: 0, ..both })),
            (synthesis, Distillation::Ranks, Some(Ranking { second: 0, among: Among::Interacted, ..both })),
            (synthesis, Distillation::Divergence, Some(both)),
            (synthesis, Distillation::Squares, Some(both)),
        ] {
            let lists = ranking.iter().flat_map(|ranking| {
                teacher.iter().map(|teacher| Lists::new(&context, ranking, teacher, "lists").unwrap())
            });
            let lists = lists.collect();
            let objective = Objective {
                context: &context,
                known: KnownItems::of(&graph),
                synthesis,
                draws: 2,
                distillation,
                lists,
            };
            let draws = objective.draw(&codes, 3).unwrap();
            let (value, gradients) = objective.gradient(&codes, &draws).unwrap();
            assert!((value - loss(&objective, &codes, &draws)).abs() < 1e-5);
            let mut largest = 0.0f64;
            for segment in 0..2 {
                for (is_user, rows) in [(true, 8), (false, 12)] {
                    for at in 0..rows * 10 {
                        let shifted = |by: f32| {
                            let mut codes = codes.clone();
                            let nodes = &mut codes[segment];
                            let side = if is_user { &mut nodes.users } else { &mut nodes.items };
                            side.data_mut()[at] += by;
                            loss(&objective, &codes, &draws)
                        };
                        let want = (shifted(1e-3) - shifted(-1e-3)) / 2e-3;
                        let side: &Matrix = if is_user { &gradients[segment].users } else { &gradients[segment].items };
                        let got = f64::from(side.data()[at]);
                        assert!((got - want).abs() < 2e-4, "{distillation:?} {segment} {is_user} {at}: {got} {want}");
                        largest = largest.max(got.abs());
                    }
                }
            }
            assert!(largest > 1e-2, "{largest}");
        }
    }

    #[test]
    fn negatives_are_never_interactions() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let codes = [nodes(&context, "codes")];
        let synthesis = Synthesis { candidates: 4, most: 1.0 };
        let objective = Objective {
            context: &context,
            known: KnownItems::of(&graph),
            synthesis,
            draws: 50,
            distillation: Distillation::Ranks,
            lists: Vec::new(),
        };
        let draws = objective.draw(&codes, 0).unwrap();
        for (draw, (&positive, chosen)) in draws.positives.iter().zip(&draws.chosen).enumerate() {
            let seen = graph.users().row(draw / 50);
            assert_eq!(positive == u32::MAX, seen.is_empty());
            assert!(seen.is_empty() || (seen.contains(&positive) && !seen.contains(&chosen.item)));
        }
        let pairs: u32 = draws.counts(12).iter().sum();
        assert_eq!(pairs as usize, 2 * 50 * objective.n_active());
    }
}
