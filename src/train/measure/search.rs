//! The settings no rule foresees: how much a teacher is regularised, and how much a second one weighs.

use crate::error::Result;
use crate::train::context::Context;
use crate::train::model::report::Epoch;
use crate::train::model::settings::TEACHER_REGULARISATION;
use crate::train::teacher::layers::Layers;
use crate::train::teacher::{Fit, Neighbours, Teacher};

/// Each candidate regularises this many times more than the one before.
const STEP: f32 = 2.0;
/// With so many interactions the rule that the recipe starts from holds: nothing is searched.
pub(crate) const ENOUGH: usize = 1_500_000;
/// Candidates at most.
const CANDIDATES: usize = 4;
/// How many times as much as factors the neighbours may weigh; both estimate the same zeros and ones.
const WEIGHTS: [f32; 7] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];

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

/// Fits the teacher and, for as long as that raises recall on the held-out interactions, fits it again with more regularisation. The rule the
/// recipe starts from holds for a million interactions; the fewer there are, the more is needed. Without `search`, with nothing held out, or with
/// more than a million and a half interactions there is one fit.
pub(crate) fn fit(context: &Context<'_>, teacher: Box<dyn Teacher>, search: bool) -> Result<Fitted> {
    let fit = |teacher: Box<dyn Teacher>| -> Result<Fitted> {
        let Fit { layers, epochs, chosen, settled } = teacher.fit(context)?;
        let recall = layers.recall(context)?;
        Ok(Fitted { teacher: settled.unwrap_or(teacher), layers, epochs, recall, chosen })
    };
    let mut best = fit(teacher)?;
    for _ in 1..CANDIDATES {
        let Some(recall) = best.recall.filter(|_| search && context.graph.n_edges() < ENOUGH) else { break };
        let Some((more, regularisation)) = best.teacher.regularised(STEP) else { break };
        let mut next = fit(more)?;
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

/// Adds to a teacher's scores those of neighbours, with the one of some `regularisations` and the weight that give the best recall on the held-out
/// interactions; returns both. Where none gains, the layers stay as they are. `recall` is that of the layers, and then of the sum.
///
/// # Errors
/// `Cancelled`.
pub(crate) fn add_neighbours(
    context: &Context<'_>,
    layers: &mut Layers,
    recall: &mut Option<f64>,
    regularisations: &[f32],
) -> Result<Option<(f32, f32)>> {
    let Some(alone) = *recall else { return Ok(None) };
    let models = Neighbours::fit_each(context, regularisations)?;
    let mut best = (alone, None);
    for (at, neighbours) in models.iter().enumerate() {
        let (users, items) = layers.joined();
        let recalls = context.validation.recall_of_sums(context, 20, (&users, &items), neighbours, &WEIGHTS)?;
        for (recall, weight) in recalls.into_iter().zip(WEIGHTS).filter(|(recall, _)| recall.is_finite()) {
            if recall > best.0 {
                best = (recall, Some((at, weight)));
            }
        }
    }
    let Some((at, weight)) = best.1 else { return Ok(None) };
    *recall = Some(best.0);
    let chosen = models.into_iter().nth(at);
    chosen.map_or(Ok(()), |neighbours| layers.add(neighbours, weight))?;
    Ok(Some((regularisations[at], weight)))
}
