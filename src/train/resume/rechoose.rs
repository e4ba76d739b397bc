//! Choices made again, on interactions that nothing has learned from yet.

use std::borrow::Cow;

use super::{Choices, Learned};
use crate::error::Result;
use crate::graph::{Bipartite, Csr};
use crate::kernel::dense::{Isa, Matrix};
use crate::train::context::Context;
use crate::train::measure::holdout::Holdout;
use crate::train::measure::monitor::Monitor;
use crate::train::measure::validation::Validation;
use crate::train::teacher::{ImplicitAls, Models};

/// Users looked at, at most.
const USERS: usize = 8000;
/// Interactions without which recall says nothing.
const LEAST: usize = 2000;
/// How many times as much as before the neighbours may weigh.
const TIMES: [f32; 4] = [0.25, 0.5, 2.0, 4.0];
/// How much less a teacher may be regularised.
const LESS: f32 = 0.5;
/// What another choice has to gain, as a share: less is chance.
const GAIN: f64 = 1.003;

/// Makes choices again of a training whose graph has grown from `before` to `after`: how much the neighbours of items and of users weigh, and, of a teacher that is regularised more
/// than `rule`, as is right where there is little to learn from, whether half of it is enough. What came since is measured on, before anything has
/// learned from it: unlike interactions that were held out of a training whose children have seen them by now. It is measured
/// softly, as it is by trainings. O(users items width), and two sweeps where there is a regularisation to choose.
///
/// # Errors
/// `Cancelled`.
pub(super) fn rechoose(
    (before, after): (Bipartite, &Bipartite),
    choices: &Choices,
    learned: &mut Learned,
    rule: f32,
    monitor: &dyn Monitor,
) -> Result<Choices> {
    let mut chosen = choices.clone();
    let held = new_edges(&before, after);
    if held.n_edges() < LEAST {
        return Ok(chosen);
    }
    let holdout = Holdout { held, trained: before };
    let before = &holdout.trained;
    let validation = Validation::new(&holdout, USERS);
    let (isa, popcount) = (Isa::chosen()?, super::kernel()?);
    let context = Context { graph: before, validation: &validation, isa, popcount, seed: choices.seed, monitor };
    // What the weights are chosen beside: where less regularisation is chosen, the vectors that gives.
    let mut vectors = (Cow::Borrowed(&learned.users), Cow::Borrowed(&learned.items));
    if choices.teacher.regularisation > 1.5 * rule {
        let solved = |regularisation: f32| -> Result<(f64, Matrix, Matrix)> {
            let teacher = ImplicitAls { regularisation, ..choices.teacher.clone() };
            let (mut users, mut items) = (learned.users.clone(), learned.items.clone());
            teacher.solve(&context, before.users(), &items, &mut users)?;
            teacher.solve(&context, before.items(), &users, &mut items)?;
            let sum = [(Models::from(&learned.neighbours), &[(1.0, 1.0)][..])];
            let recalls = validation.soft_recall_of_sums(&context, 20, (&users, &items), &sum)?;
            Ok((recalls.first().copied().unwrap_or(0.0), users, items))
        };
        let less = LESS * choices.teacher.regularisation;
        let (own, ..) = solved(choices.teacher.regularisation)?;
        let (recall, users, items) = solved(less)?;
        if recall > GAIN * own {
            chosen.teacher.regularisation = less;
            vectors = (Cow::Owned(users), Cow::Owned(items));
        }
    }
    // Both together too: against factors that are regularised otherwise both may be right at other weights, where neither alone is.
    let ways = match (learned.neighbours.items.is_some(), learned.neighbours.users.is_some()) {
        (false, false) => return Ok(chosen),
        (true, true) => vec![(true, true), (true, false), (false, true)],
        one => vec![one],
    };
    let pairs = ways.into_iter().flat_map(|(items, users)| {
        let of = |moves: bool, times: f32| if moves { times } else { 1.0 };
        TIMES.map(|times| (of(items, times), of(users, times)))
    });
    let pairs: Vec<(f32, f32)> = std::iter::once((1.0, 1.0)).chain(pairs).collect();
    let tried = (Models::from(&learned.neighbours), &pairs[..]);
    let recalls = validation.soft_recall_of_sums(&context, 20, (&vectors.0, &vectors.1), &[tried])?;
    drop(vectors);
    let own = recalls.first().copied().unwrap_or(0.0);
    let best = pairs.into_iter().zip(recalls).max_by(|a, b| a.1.total_cmp(&b.1));
    let (of_items, of_users) = best.filter(|&(_, recall)| recall > GAIN * own).map_or((1.0, 1.0), |(times, _)| times);
    for (added, times) in [(&mut chosen.added.items, of_items), (&mut chosen.added.users, of_users)] {
        added.iter_mut().for_each(|(_, weight)| *weight *= times);
    }
    learned.neighbours = std::mem::take(&mut learned.neighbours).scaled((of_items, of_users))?;
    Ok(chosen)
}

/// What `after` has and `before` has not, of users and items that `before` knows.
fn new_edges(before: &Bipartite, after: &Bipartite) -> Csr {
    let (users, degrees) = (before.users(), before.items().degrees());
    after.users().filtered(|user, item| {
        let known = (user as usize) < users.n_rows() && degrees.get(item as usize).is_some_and(|&degree| degree > 0);
        known && users.degree(user as usize) > 0 && users.row(user as usize).binary_search(&item).is_err()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::model::options::{Preset, TrainOptions};
    use crate::train::optim::random::below;
    use crate::train::student::{Discrete, Tables};
    use crate::train::teacher::layers::Layers;
    use crate::train::teacher::{ItemNeighbours, Neighbours, Teacher, UserNeighbours, Weighting};

    /// Users of four tastes and the items of theirs, mostly: first seven in ten of what they have, then all of it.
    fn grown() -> (Bipartite, Bipartite) {
        let empty = Bipartite::from_edges(1, 1, &[]).unwrap();
        let mut rng = crate::train::tests::context(&empty, &()).rng("grown");
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (user, item) in (0..500u32).flat_map(|user| (0..120u32).map(move |item| (user, item))) {
            let odds = if user % 4 == item % 4 { 2 } else { 20 };
            if below(&mut rng, odds) == 0 {
                after.push((user, item, 1.0));
                if below(&mut rng, 10) < 7 {
                    before.push((user, item, 1.0));
                }
            }
        }
        (Bipartite::from_edges(500, 120, &before).unwrap(), Bipartite::from_edges(500, 120, &after).unwrap())
    }

    fn choices(teacher: ImplicitAls, added: Weighting) -> Choices {
        Choices {
            teacher,
            added,
            student: Discrete { sweeps: 1, list: 20, emphasis: 0.4 },
            is_distilled: true,
            seed: 1,
            novelty: 0.0,
            half_life: None,
        }
    }

    #[test]
    fn neighbours_that_find_nothing_lose_weight_and_those_that_find_keep_it() {
        let (before, after) = grown();
        let context = crate::train::tests::context(&before, &());
        let options = TrainOptions::new(Preset::Balanced);
        let rule = Choices::rule(&options, &before);
        let teacher =
            ImplicitAls { factors: 8, sweeps: 8, steps: 3, unobserved: 0.2, regularisation: rule, exponent: 1.0 };
        let layers = teacher.fit(&context).unwrap().layers;
        let good = ItemNeighbours::fit(&context, 20.0, 0.2).unwrap();
        let alike = UserNeighbours::fit(&context, 20.0).unwrap();
        let noise = |n: u32, weight: f32| {
            let edges: Vec<(u32, u32, f32)> = (0..n).map(|row| (row, (row * 7 + 1) % n, weight)).collect();
            Csr::from_edges(n as usize, n as usize, &edges).unwrap()
        };
        let bad = ItemNeighbours::of(noise(120, 3.0));
        let unlike = UserNeighbours::of(noise(500, 3.0));
        let of = |items, users| Neighbours { items, users };
        for (neighbours, lighter) in [
            (of(Some(good.clone()), None), [false, false]),
            (of(Some(bad), None), [true, false]),
            (of(None, Some(alike)), [false, false]),
            (of(Some(good), Some(unlike)), [false, true]),
        ] {
            let has = [neighbours.items.is_some(), neighbours.users.is_some()];
            let mut learned = Learned {
                users: layers.users[0].clone(),
                items: layers.items[0].clone(),
                neighbours,
                tables: Tables::rotated(&context, &layers, &[64]),
            };
            let [items, users] = has.map(|has| has.then_some((20.0, 1.0)));
            let choices = choices(teacher.clone(), Weighting { items, users, damping: 0.2 });
            let chosen = rechoose((before.clone(), &after), &choices, &mut learned, rule, &()).unwrap();
            for ((added, has), lighter) in [chosen.added.items, chosen.added.users].into_iter().zip(has).zip(lighter) {
                assert_eq!(added.is_some(), has);
                assert!(added.is_none_or(|(_, weight)| (weight < 1.0) == lighter), "{added:?}");
            }
            assert_eq!(chosen.teacher.regularisation, rule, "there is nothing to choose at the rule's");
        }
    }

    /// A heavier weight takes what nine users in ten are to find from the 6th place to the 20th, and for the tenth from the 21st to the first: more of them find it
    /// among 20, and it is no better for that.
    #[test]
    fn what_crosses_the_cut_off_by_a_place_says_little() {
        let (users, items, common, helped) = (2400u32, 60u32, 10..24u32, 10u32);
        let is_helped = |user: u32| user.is_multiple_of(10);
        let everything = (0..items).map(|item| (users, item, 1.0));
        let before: Vec<(u32, u32, f32)> = (0..users).map(|user| (user, 0, 1.0)).chain(everything).collect();
        let found = (0..users).map(|user| (user, if is_helped(user) { helped } else { 1 }, 1.0));
        let after: Vec<(u32, u32, f32)> = before.iter().copied().chain(found).collect();
        let [before, after] = [before, after].map(|edges| Bipartite::from_edges(2401, 60, &edges).unwrap());
        // By the first column for those of whom item 1 is to be found, by the second for the others.
        let of_item = |item: u32| match item {
            1 => [3.5, 0.0],
            _ if item == helped => [2.0, 2.5],
            _ if common.contains(&item) => [2.0, -10.0],
            30..35 => [10.0, 0.0],
            35..55 => [0.0, 4.0],
            _ => [-20.0, -20.0],
        };
        let of_user = |user: u32| if is_helped(user) { [0.0, 1.0] } else { [1.0, 0.0] };
        let user_vectors = Matrix::from_data(2401, 2, (0..=users).flat_map(of_user).collect()).unwrap();
        let item_vectors = Matrix::from_data(60, 2, (0..items).flat_map(of_item).collect()).unwrap();
        let near: Vec<(u32, u32, f32)> = common.clone().map(|item| (0, item, 1.0)).collect();
        let neighbours = ItemNeighbours::of(Csr::from_edges(60, 60, &near).unwrap());
        let context = crate::train::tests::context(&before, &());
        let layers = Layers::of(user_vectors, item_vectors);
        let tables = Tables::rotated(&context, &layers, &[64]);
        let layers = Layers { neighbours: Neighbours { items: Some(neighbours), users: None }, ..layers };
        let teacher =
            ImplicitAls { factors: 2, sweeps: 1, steps: 3, unobserved: 0.2, regularisation: 0.01, exponent: 1.0 };
        let added = Weighting { items: Some((20.0, 1.0)), users: None, damping: 0.0 };
        let holdout = Holdout { held: new_edges(&before, &after), trained: before.clone() };
        let tried = (Models::from(&layers.neighbours), &[(1.0, 1.0), (2.0, 1.0)][..]);
        let vectors = (&layers.users[0], &layers.items[0]);
        let recalls = Validation::new(&holdout, USERS).recall_of_sums(&context, 20, vectors, &[tried]).unwrap();
        assert!(recalls[1] > GAIN * recalls[0], "{recalls:?}");
        let mut learned = Learned::of(layers, tables);
        let chosen = rechoose((before, &after), &choices(teacher, added), &mut learned, f32::INFINITY, &()).unwrap();
        assert_eq!(chosen.added.items, added.items);
    }

    /// Of a teacher that is regularised too much half is chosen, unless the caller has set it.
    #[test]
    fn a_regularisation_that_is_set_stays() {
        let (before, after) = grown();
        let context = crate::train::tests::context(&before, &());
        let options = TrainOptions::new(Preset::Balanced);
        let rule = Choices::rule(&options, &before);
        let chosen = |times: f32, rule: f32| {
            let regularisation = times * Choices::rule(&options, &before);
            let teacher =
                ImplicitAls { factors: 8, sweeps: 8, steps: 3, unobserved: 0.2, regularisation, exponent: 1.0 };
            let layers = teacher.fit(&context).unwrap().layers;
            let tables = Tables::rotated(&context, &layers, &[64]);
            let mut learned = Learned::of(layers, tables);
            let choices = choices(teacher, Weighting::default());
            let again = rechoose((before.clone(), &after), &choices, &mut learned, rule, &()).unwrap();
            again.teacher.regularisation / regularisation
        };
        let times = [4.0, 16.0, 64.0, 256.0, 1024.0];
        assert!(times.iter().any(|&times| chosen(times, rule) == LESS));
        let set = Choices::rule(&options.clone().set("teacher.regularisation", 64.0 * rule), &before);
        assert!(times.iter().all(|&times| chosen(times, set) == 1.0));
    }

    #[test]
    fn what_is_measured_on_is_new_and_of_those_who_are_known() {
        let before = Bipartite::from_edges(3, 3, &[(0, 0, 1.0), (1, 1, 1.0)]).unwrap();
        let edges = [(0, 0, 1.0), (0, 1, 1.0), (0, 2, 1.0), (1, 0, 1.0), (2, 0, 1.0), (3, 1, 1.0), (1, 3, 1.0)];
        let after = Bipartite::from_edges(4, 4, &edges).unwrap();
        let new = new_edges(&before, &after);
        let found: Vec<(usize, u32)> = (0..4).flat_map(|u| new.row(u).iter().map(move |&i| (u, i))).collect();
        assert_eq!(found, [(0, 1), (1, 0)]);
    }
}
