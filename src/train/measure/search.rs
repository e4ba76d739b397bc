//! The settings no rule foresees: how much a teacher is regularised, and how much a second one weighs.

use crate::error::Result;
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::settings::TEACHER_REGULARISATION;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::{Fit, ItemNeighbours, Neighbours, Teacher, UserNeighbours, Weighting};

/// Each candidate regularises this many times more than the one before.
const STEP: f32 = 2.0;
/// With so many interactions the rule that the recipe starts from holds: nothing is searched.
pub(crate) const ENOUGH: usize = 1_500_000;
/// Candidates at most.
const CANDIDATES: usize = 4;
/// How many times as much as factors the neighbours of items may weigh; both estimate the same zeros and ones.
const WEIGHTS: [f32; 7] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// How many times as much as factors those of users may.
const USER_WEIGHTS: [f32; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// How many times as much as before those of items may weigh once those of users are there.
const ITEM_WEIGHTS: [f32; 2] = [0.5, 2.0];
/// What the neighbours of users have to gain, as a share: less is chance, and not worth the time of fitting codes to them.
const GAIN: f64 = 1.005;

/// Regularisations to choose from of each model of neighbours that may be added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ridges {
    pub(crate) items: Option<Vec<f32>>,
    pub(crate) users: Option<Vec<f32>>,
}

/// A fitted teacher, with its recall at 20 on the held-out interactions.
pub(crate) struct Fitted {
    /// Set to be fitted again where it cannot see what is held out.
    pub(crate) teacher: Box<dyn Teacher>,
    pub(crate) layers: Layers,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) recall: Option<f64>,
    /// What was chosen, by the name of its setting.
    pub(crate) chosen: Vec<(&'static str, f32)>,
}

/// Fits the teacher and, for as long as that raises recall on the held-out interactions, goes on from what it learned with more regularisation. The rule the
/// recipe starts from holds for a million interactions; the fewer there are, the more is needed. Without `search`, with nothing held out, or with
/// more than a million and a half interactions there is one fit.
pub(crate) fn fit(context: &Context<'_>, teacher: Box<dyn Teacher>, search: bool) -> Result<Fitted> {
    let fitted = |teacher: Box<dyn Teacher>, fit: Fit| -> Result<Fitted> {
        let Fit { layers, epochs, chosen, settled } = fit;
        let recall = layers.recall(context)?;
        Ok(Fitted { teacher: settled.unwrap_or(teacher), layers, epochs, recall, chosen })
    };
    let first = teacher.fit(context)?;
    let mut best = fitted(teacher, first)?;
    for _ in 1..CANDIDATES {
        let Some(recall) = best.recall.filter(|_| search && context.graph.n_edges() < ENOUGH) else { break };
        let Some((more, regularisation)) = best.teacher.regularised(STEP) else { break };
        let fit = more.refit(context, best.layers.clone())?;
        let mut next = fitted(more, fit)?;
        if next.recall.is_none_or(|next| next <= recall) {
            break;
        }
        next.chosen.push((TEACHER_REGULARISATION.name, regularisation));
        best = next;
    }
    Ok(best)
}

/// The teacher that [`fit`] came to from this one when it chose so, to be fitted again; `None` where that cannot be told from what was chosen.
pub(crate) fn chosen_again(teacher: &dyn Teacher, chosen: &[(String, f32)]) -> Option<Box<dyn Teacher>> {
    let [(name, regularisation)] = chosen else { return None };
    let (mut more, mut found) = teacher.regularised(STEP)?;
    for _ in 1..CANDIDATES {
        if name == TEACHER_REGULARISATION.name && found == *regularisation {
            return Some(more);
        }
        (more, found) = more.regularised(STEP)?;
    }
    None
}

/// Adds to a teacher's scores those of neighbours, each model with the one of some regularisations and the weight that give the best recall on the held-out
/// interactions: first those of items, then those of users beside them. Returns what was added; where none gains, the layers stay as they are.
/// `recall` is that of the layers, and then of the sum.
///
/// # Errors
/// `Cancelled`.
pub(crate) fn add_neighbours(
    context: &Context<'_>,
    layers: &mut Layers,
    recall: &mut Option<f64>,
    wanted: &Ridges,
) -> Result<Weighting> {
    let mut added = Weighting::default();
    let Some(mut best) = *recall else { return Ok(added) };
    let mut neighbours = Neighbours::default();
    let (users, items) = layers.joined();
    let recalls = |neighbours: &Neighbours, weights: &[(f32, f32)]| {
        context.validation.recall_of_sums(context, 20, (&users, &items), neighbours, weights)
    };
    if let Some(regularisations) = &wanted.items {
        let weights = WEIGHTS.map(|weight| (weight, 0.0));
        for (model, &regularisation) in
            ItemNeighbours::fit_each(context, regularisations)?.into_iter().zip(regularisations)
        {
            let tried = Neighbours { items: Some(model), users: None };
            let found = best_of(&recalls(&tried, &weights)?, &weights);
            if let Some((recall, (weight, _))) = found.filter(|found| found.0 > best) {
                (best, added.items, neighbours) = (recall, Some((regularisation, weight)), tried);
            }
        }
    }
    if let Some(regularisations) = &wanted.users {
        let weight = added.items.map_or(0.0, |(_, weight)| weight);
        let weights = USER_WEIGHTS.map(|other| (weight, other));
        let mut least = GAIN * best;
        for (model, &regularisation) in
            UserNeighbours::fit_each(context, regularisations)?.into_iter().zip(regularisations)
        {
            let before = neighbours.users.replace(model);
            let found = best_of(&recalls(&neighbours, &weights)?, &weights);
            match found.filter(|found| found.0 > least) {
                Some((recall, (_, weight))) => {
                    (least, best, added.users) = (recall, recall, Some((regularisation, weight)));
                }
                None => neighbours.users = before,
            }
        }
        if let (Some((_, of_items)), Some((_, of_users))) = (&mut added.items, added.users) {
            let weights = ITEM_WEIGHTS.map(|times| (times * *of_items, of_users));
            if let Some((recall, (weight, _))) =
                best_of(&recalls(&neighbours, &weights)?, &weights).filter(|found| found.0 > best)
            {
                (best, *of_items) = (recall, weight);
            }
        }
    }
    drop((users, items));
    let weight = |chosen: Option<(f32, f32)>| chosen.map_or(1.0, |chosen| chosen.1);
    layers.neighbours = neighbours.scaled((weight(added.items), weight(added.users)))?;
    *recall = Some(best);
    Ok(added)
}

/// The best recall and the weights that gave it.
fn best_of(recalls: &[f64], weights: &[(f32, f32)]) -> Option<(f64, (f32, f32))> {
    let found = recalls.iter().copied().zip(weights.iter().copied()).filter(|(recall, _)| recall.is_finite());
    found.reduce(|best, next| if next.0 > best.0 { next } else { best })
}
