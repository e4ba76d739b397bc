//! The settings no rule foresees: how much a teacher is regularised, and how much a second one weighs.

use crate::error::Result;
use crate::train::context::Context;
use crate::train::measure::validation::Tried;
use crate::train::model::report::Epoch;
use crate::train::model::settings::TEACHER_REGULARISATION;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::{Fit, ItemNeighbours, Models, Neighbours, Teacher, UserNeighbours, Weighting};

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
    /// How much less of their neighbours popular items get.
    pub(crate) damping: f32,
}

/// What was found best of what was tried.
struct Found {
    /// The place of its models.
    model: usize,
    weights: (f32, f32),
    /// Softly.
    recall: f64,
}

impl Ridges {
    /// Whether no model may be added.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_none() && self.users.is_none()
    }
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

/// Adds to a teacher's scores those of neighbours, each model with the one of some regularisations and the weight that give the best soft recall at 20 on the
/// held-out interactions: first those of items, then those of users beside them. Returns what was added; where none gains, the layers stay as they are.
///
/// # Errors
/// `Cancelled`.
pub(crate) fn add_neighbours(context: &Context<'_>, layers: &mut Layers, wanted: &Ridges) -> Result<Weighting> {
    let mut added = Weighting::default();
    if context.validation.is_empty() {
        return Ok(added);
    }
    let mut neighbours = Neighbours::default();
    let (users, items) = layers.joined();
    // The first of the best of what is tried that has more than a recall.
    let best_of = |tried: &[Tried<'_>], more: f64| -> Result<Option<Found>> {
        let recalls = context.validation.soft_recall_of_sums(context, 20, (&users, &items), tried)?;
        let pairs = (0..).zip(tried).flat_map(|(model, (_, pairs))| pairs.iter().map(move |&weights| (model, weights)));
        let found = pairs.zip(recalls).map(|((model, weights), recall)| Found { model, weights, recall });
        let better = found.filter(|found| found.recall > more);
        Ok(better.reduce(|best, next| if next.recall > best.recall { next } else { best }))
    };
    let alone: Tried<'_> = (Models::default(), &[(0.0, 0.0)]);
    let mut best;
    if let Some(regularisations) = &wanted.items {
        let weights = WEIGHTS.map(|weight| (weight, 0.0));
        let mut models = ItemNeighbours::fit_each(context, regularisations, wanted.damping)?;
        let beside = models.iter().map(|model| (Models { items: Some(model), users: None }, &weights[..]));
        let tried: Vec<Tried<'_>> = std::iter::once(alone).chain(beside).collect();
        let found = best_of(&tried, f64::NEG_INFINITY)?;
        best = found.as_ref().map_or(0.0, |found| found.recall);
        if let Some((found, at)) = found.and_then(|found| found.model.checked_sub(1).map(|at| (found, at))) {
            added.items = Some((regularisations[at], found.weights.0));
            added.damping = wanted.damping;
            neighbours.items = Some(models.swap_remove(at));
        }
    } else {
        best = best_of(&[alone], f64::NEG_INFINITY)?.map_or(0.0, |found| found.recall);
    }
    if let Some(regularisations) = &wanted.users {
        let weight = added.items.map_or(0.0, |(_, weight)| weight);
        let weights = USER_WEIGHTS.map(|other| (weight, other));
        let mut models = UserNeighbours::fit_each(context, regularisations)?;
        let of_items = neighbours.items.as_ref();
        let tried: Vec<Tried<'_>> =
            models.iter().map(|model| (Models { items: of_items, users: Some(model) }, &weights[..])).collect();
        if let Some(found) = best_of(&tried, GAIN * best)? {
            (best, added.users) = (found.recall, Some((regularisations[found.model], found.weights.1)));
            neighbours.users = Some(models.swap_remove(found.model));
        }
        if let (Some((_, of_items)), Some((_, of_users))) = (&mut added.items, added.users) {
            let weights = ITEM_WEIGHTS.map(|times| (times * *of_items, of_users));
            if let Some(found) = best_of(&[(Models::from(&neighbours), &weights)], best)? {
                *of_items = found.weights.0;
            }
        }
    }
    drop((users, items));
    let weight = |chosen: Option<(f32, f32)>| chosen.map_or(1.0, |chosen| chosen.1);
    layers.neighbours = neighbours.scaled((weight(added.items), weight(added.users)))?;
    Ok(added)
}
