//! The loss of a batch of users, and its gradient by the soft codes.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::penalty::Penalty;
use crate::error::Result;
use crate::kernel::dense::{Matrix, add_scaled, dot, exponentials, maximum, multiply_by};
use crate::train::context::Context;
use crate::train::optim::grouping::Grouping;
use crate::train::optim::loss::pairwise;
use crate::train::optim::random::subset;
use crate::train::optim::sampler::KnownItems;
use crate::train::teacher::Nodes;

/// How the teacher's order of a user's items is followed: `alpha T^2 L_rank` with the cross-entropy of ListNet (Cao et al., ICML 2007),
/// `L_rank = - sum over i of softmax(t / T)_i ln softmax(s / T)_i`, of the teacher's scores t and the student's s of the items of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ranks {
    /// `alpha`; 0 leaves it out.
    pub(crate) weight: f32,
    /// `T`.
    pub(crate) temperature: f32,
    /// Whether the positives are a list, and the sampled negatives.
    pub(crate) of: Listed,
}

/// Which items of a user are lists, each ordered among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Two lists: the positives, and the sampled negatives.
    Both,
    Positives,
    Negatives,
}

/// The loss of a batch, `1 / pairs` of the sum over its users of
///
/// `sum over pairs (p, n) of softplus(s_n - s_p) + alpha T^2 (L_rank(positives) + L_rank(negatives)) + penalties of every row that is scored`
///
/// with s the inner products of soft codes. A user's positives are in a pair each, with a negative of its own.
pub(crate) struct Objective<'a> {
    pub(crate) context: &'a Context<'a>,
    /// What the teacher scores with: inner products of these rows.
    pub(crate) teacher: (&'a Matrix, &'a Matrix),
    pub(crate) known: KnownItems,
    /// Positives of a user at most.
    pub(crate) draws: usize,
    pub(crate) ranks: Ranks,
    pub(crate) penalty: Penalty,
}

/// What was drawn for a batch of users.
pub(crate) struct Drawn<'a> {
    pub(crate) users: &'a [u32],
    /// Where the entries of every user begin, and the last end.
    offsets: Vec<usize>,
    /// The items of the entries: of every user the positives, then as many negatives.
    items: Vec<u32>,
}

impl<'a> Drawn<'a> {
    fn new(users: &'a [u32], lists: Vec<Vec<u32>>) -> Drawn<'a> {
        let mut offsets = vec![0];
        offsets.extend(lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }));
        Drawn { users, offsets, items: lists.concat() }
    }

    /// The items of the user at a place: positives, then negatives.
    fn of(&self, at: usize) -> &[u32] {
        &self.items[self.offsets[at]..self.offsets[at + 1]]
    }

    /// Pairs of the user at a place.
    pub(crate) fn pairs_of(&self, at: usize) -> usize {
        (self.offsets[at + 1] - self.offsets[at]) / 2
    }

    /// Pairs of all users.
    pub(crate) fn pairs(&self) -> usize {
        self.items.len() / 2
    }
}

/// The loss of a batch, summed over its pairs, and its gradient.
pub(crate) struct Slopes {
    pub(crate) loss: f64,
    /// By the soft codes of the batch's users, a row each.
    pub(crate) users: Matrix,
    /// By the soft codes of all items; only rows of items that were drawn are filled.
    pub(crate) items: Matrix,
    /// How often every item was drawn.
    pub(crate) counts: Vec<u32>,
}

impl Objective<'_> {
    /// Draws for every user of a batch: distinct positives, and as many items that the user has not touched.
    pub(crate) fn draw<'u>(&self, users: &'u [u32], rng: &mut Xoshiro256PlusPlus) -> Drawn<'u> {
        let seeds: Vec<u64> = users.iter().map(|_| rng.next_u64()).collect();
        let rows = self.context.graph.users();
        let lists = users.par_iter().zip(&seeds).map(|(&user, &seed)| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let row = rows.row(user as usize);
            let mut list = subset(&mut rng, row.len(), self.draws);
            list.iter_mut().for_each(|at| *at = row[*at as usize]);
            let negatives: Vec<u32> = list.iter().map(|_| self.known.untouched(&mut rng, row)).collect();
            list.extend(negatives);
            list
        });
        Drawn::new(users, lists.collect())
    }

    /// The loss of soft codes and its gradient by them. `items` is taken over for that of the items, with a row for each. O(draws x columns).
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn gradient(&self, soft: &Nodes, drawn: &Drawn<'_>, mut items: Matrix) -> Result<Slopes> {
        self.context.check()?;
        let isa = self.context.isa;
        let mut users = Matrix::zeros(drawn.users.len(), soft.users.cols());
        let outcome: Vec<(f64, Vec<f32>)> = users
            .par_rows_mut()
            .enumerate()
            .map(|(at, out)| {
                let (user, listed) = (drawn.users[at] as usize, drawn.of(at));
                let row = soft.users.row(user);
                let mut slopes: Vec<f32> =
                    listed.iter().map(|&item| dot(isa, row, soft.items.row(item as usize))).collect();
                let mut loss = self.user(user, listed, &mut slopes);
                for (&item, &slope) in listed.iter().zip(&slopes) {
                    add_scaled(isa, out, slope, soft.items.row(item as usize));
                }
                loss += self.penalty.add(isa, drawn.pairs_of(at) as f32, row, out);
                (loss, slopes)
            })
            .collect();
        self.context.check()?;
        let mut loss: f64 = outcome.iter().map(|(loss, _)| loss).sum();
        let slopes: Vec<f32> = outcome.into_iter().flat_map(|(_, slopes)| slopes).collect();
        let owners: Vec<u32> =
            (0..drawn.users.len()).flat_map(|at| drawn.of(at).iter().map(move |_| at as u32)).collect();
        let by_item = Grouping::new(items.rows(), &drawn.items);
        let penalties: Vec<f64> = items
            .par_rows_mut()
            .enumerate()
            .map(|(item, out)| {
                let entries = by_item.row(item);
                if entries.is_empty() {
                    return 0.0;
                }
                out.fill(0.0);
                for &entry in entries {
                    let user = drawn.users[owners[entry as usize] as usize];
                    add_scaled(isa, out, slopes[entry as usize], soft.users.row(user as usize));
                }
                self.penalty.add(isa, entries.len() as f32, soft.items.row(item), out)
            })
            .collect();
        loss += penalties.iter().sum::<f64>();
        let counts = (0..items.rows()).map(|item| by_item.row(item).len() as u32).collect();
        Ok(Slopes { loss, users, items, counts })
    }

    /// The loss of a user's scores, of positives and then negatives; on return they are its derivatives.
    fn user(&self, user: usize, listed: &[u32], scores: &mut [f32]) -> f64 {
        let Ranks { weight, temperature, of } = self.ranks;
        let known = scores.to_vec();
        let half = listed.len() / 2;
        let mut loss = 0.0;
        for pair in 0..half {
            let mut negative = [known[half + pair]];
            loss += f64::from(pairwise(known[pair], &mut negative, 1.0));
            scores[half + pair] = negative[0];
            scores[pair] = -negative[0];
        }
        if weight == 0.0 {
            return loss;
        }
        let lists = match of {
            Listed::Both => &[(0, half), (half, listed.len())][..],
            Listed::Positives => &[(0, half)],
            Listed::Negatives => &[(half, listed.len())],
        };
        for &(from, to) in lists {
            let row = self.teacher.0.row(user);
            let score = |&item: &u32| dot(self.context.isa, row, self.teacher.1.row(item as usize));
            let mut wanted: Vec<f32> = listed[from..to].iter().map(score).collect();
            let mut found = known[from..to].to_vec();
            loss += self.list_loss(&mut wanted, &mut found);
            // The derivative by a score is alpha T^2 (found - wanted) / T.
            for (slope, (found, wanted)) in scores[from..to].iter_mut().zip(found.iter().zip(&wanted)) {
                *slope += weight * temperature * (found - wanted);
            }
        }
        loss
    }

    /// `alpha T^2 L_rank` of the teacher's scores and the student's, which become their softmax.
    fn list_loss(&self, wanted: &mut [f32], found: &mut [f32]) -> f64 {
        let Ranks { weight, temperature, .. } = self.ranks;
        let scores = found.to_vec();
        self.softmax(wanted);
        let partition = self.softmax(found);
        let crossed: f64 =
            wanted.iter().zip(&scores).map(|(&w, &s)| f64::from(w) * (partition - f64::from(s / temperature))).sum();
        f64::from(weight * temperature * temperature) * crossed
    }

    /// Turns scores into the softmax of them over the temperature; the logarithm of the partition sum.
    fn softmax(&self, scores: &mut [f32]) -> f64 {
        let (isa, inverse) = (self.context.isa, 1.0 / self.ranks.temperature);
        let top = maximum(isa, scores) * inverse;
        let total = exponentials(isa, scores, inverse, top);
        multiply_by(isa, scores, 1.0 / total);
        f64::from(top) + f64::from(total).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;
    use crate::train::optim::random::normal_matrix;

    const RANKS: Ranks = Ranks { weight: 3.0, temperature: 0.7, of: Listed::Both };
    const PENALTY: Penalty = Penalty { noise: 0.1, temperature: 0.3, bounds: 0.2 };

    fn graph() -> Bipartite {
        let edges: Vec<_> = (0..40u32).map(|e| (e * e % 7, e * 5 % 11, 1.0)).collect();
        Bipartite::from_edges(8, 12, &edges).unwrap()
    }

    /// Soft codes away from 0, where the penalties have a corner.
    fn soft(context: &Context<'_>, stream: &str) -> Nodes {
        let mut rng = context.rng(stream);
        let mut side = |rows| {
            let mut matrix = normal_matrix(&mut rng, rows, 6, 1.0);
            matrix.data_mut().iter_mut().for_each(|x| *x = (x.tanh().abs() * 0.9 + 0.05).copysign(*x));
            matrix
        };
        Nodes { users: side(8), items: side(12) }
    }

    /// The loss in double precision, from its definition, for what was drawn.
    fn loss(objective: &Objective<'_>, soft: &Nodes, drawn: &Drawn<'_>) -> f64 {
        let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let penalty = |row: &[f32]| {
            let Penalty { noise, temperature, bounds } = objective.penalty;
            let of = |&x: &f32| {
                let x = f64::from(x);
                let mean = (x / (2.0 * f64::from(temperature))).tanh();
                f64::from(noise) * (1.0 + x * x - 2.0 * x * mean) + f64::from(bounds) * (x.abs() - 1.0).powi(2)
            };
            row.iter().map(of).sum::<f64>()
        };
        let t = f64::from(objective.ranks.temperature);
        let softmax = |scores: &[f64]| {
            let total: f64 = scores.iter().map(|s| (s / t).exp()).sum();
            scores.iter().map(|s| (s / t).exp() / total).collect::<Vec<_>>()
        };
        let mut total = 0.0;
        for (at, &user) in drawn.users.iter().enumerate() {
            let listed = drawn.of(at);
            let (positives, negatives) = listed.split_at(listed.len() / 2);
            let row = soft.users.row(user as usize);
            let score = |&item: &u32| inner(row, soft.items.row(item as usize));
            for (p, n) in positives.iter().zip(negatives) {
                total += (score(n) - score(p)).exp().ln_1p();
                total += penalty(row) + penalty(soft.items.row(*p as usize)) + penalty(soft.items.row(*n as usize));
            }
            let lists = match objective.ranks.of {
                Listed::Both => vec![positives, negatives],
                Listed::Positives => vec![positives],
                Listed::Negatives => vec![negatives],
            };
            for list in lists {
                let taught =
                    |&item: &u32| inner(objective.teacher.0.row(user as usize), objective.teacher.1.row(item as usize));
                let wanted = softmax(&list.iter().map(taught).collect::<Vec<_>>());
                let found = softmax(&list.iter().map(score).collect::<Vec<_>>());
                let crossed: f64 = wanted.iter().zip(&found).map(|(w, f)| -w * f.ln()).sum();
                total += f64::from(objective.ranks.weight) * t * t * crossed;
            }
        }
        total
    }

    #[test]
    fn the_gradient_of_every_term_equals_finite_differences() {
        let graph = graph();
        let context = crate::train::tests::context(&graph, &());
        let (teacher, soft) = (soft(&context, "teacher"), soft(&context, "soft"));
        let users = [6u32, 0, 2, 4];
        let no_rank = Ranks { weight: 0.0, ..RANKS };
        let no_penalty = Penalty { noise: 0.0, bounds: 0.0, ..PENALTY };
        for (ranks, penalty) in [
            (no_rank, no_penalty),
            (RANKS, no_penalty),
            (Ranks { of: Listed::Positives, ..RANKS }, PENALTY),
            (Ranks { of: Listed::Negatives, temperature: 2.0, ..RANKS }, Penalty { bounds: 0.0, ..PENALTY }),
            (RANKS, Penalty { noise: 0.0, ..PENALTY }),
        ] {
            let teacher = (&teacher.users, &teacher.items);
            let objective =
                Objective { context: &context, teacher, known: KnownItems::of(&graph), draws: 3, ranks, penalty };
            let drawn = objective.draw(&users, &mut context.rng("drawn"));
            let garbage = Matrix::from_data(12, 6, vec![7.0; 72]).unwrap();
            let slopes = objective.gradient(&soft, &drawn, garbage).unwrap();
            let value = loss(&objective, &soft, &drawn);
            assert!((slopes.loss - value).abs() < 1e-4 * value, "{} {value}", slopes.loss);
            let mut largest = 0.0f64;
            let at = |is_user: bool, row: usize, col: usize| {
                let shifted = |by: f32| {
                    let mut soft = soft.clone();
                    let side = if is_user { &mut soft.users } else { &mut soft.items };
                    side.row_mut(row)[col] += by;
                    loss(&objective, &soft, &drawn)
                };
                (shifted(1e-3) - shifted(-1e-3)) / 2e-3
            };
            for col in 0..6 {
                for (row, &user) in users.iter().enumerate() {
                    let (got, want) = (f64::from(slopes.users.row(row)[col]), at(true, user as usize, col));
                    assert!(
                        (got - want).abs() < 3e-3 * (1.0 + want.abs()),
                        "{ranks:?} user {user} {col}: {got} {want}"
                    );
                    largest = largest.max(got.abs());
                }
                for item in (0..12).filter(|&item| slopes.counts[item] > 0) {
                    let (got, want) = (f64::from(slopes.items.row(item)[col]), at(false, item, col));
                    assert!(
                        (got - want).abs() < 3e-3 * (1.0 + want.abs()),
                        "{ranks:?} item {item} {col}: {got} {want}"
                    );
                }
            }
            assert!(largest > 0.1, "{largest}");
        }
    }

    #[test]
    fn positives_are_distinct_interactions_and_negatives_are_none() {
        // Nobody has touched nearly all there is, and nobody the last item.
        let edges: Vec<_> = (0..24u32).map(|e| (e * e % 7, e * 5 % 11, 1.0)).collect();
        let graph = Bipartite::from_edges(8, 12, &edges).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let nodes = soft(&context, "teacher");
        let teacher = (&nodes.users, &nodes.items);
        let objective = Objective {
            context: &context,
            teacher,
            known: KnownItems::of(&graph),
            draws: 3,
            ranks: RANKS,
            penalty: PENALTY,
        };
        let users: Vec<u32> = (0..8).filter(|&user| graph.users().degree(user as usize) > 0).collect();
        let mut rng = context.rng("drawn");
        for _ in 0..50 {
            let drawn = objective.draw(&users, &mut rng);
            for (at, &user) in users.iter().enumerate() {
                let (row, listed) = (graph.users().row(user as usize), drawn.of(at));
                let (positives, negatives) = listed.split_at(drawn.pairs_of(at));
                assert_eq!(positives.len(), row.len().min(3));
                assert!(positives.is_sorted_by(|a, b| a < b) && positives.iter().all(|item| row.contains(item)));
                assert!(negatives.len() == positives.len() && negatives.iter().all(|item| !row.contains(item)));
                assert!(negatives.iter().all(|&item| graph.items().degree(item as usize) > 0));
            }
        }
    }
}
