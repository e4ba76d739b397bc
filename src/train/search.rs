//! The one setting no rule foresees: how much a teacher is regularised.

use super::context::Context;
use super::layers::Layers;
use super::teacher::{ImplicitAls, Teacher};
use crate::Result;

/// Each candidate regularises this many times more than the one before.
const STEP: f32 = 2.0;
/// Candidates at most.
const CANDIDATES: usize = 4;

/// A fitted teacher, with its settings and its recall at 20 on the held-out interactions.
pub(crate) struct Fitted {
    pub(crate) teacher: ImplicitAls,
    pub(crate) layers: Layers,
    pub(crate) recall: Option<f64>,
}

/// Fits the teacher and, for as long as that raises recall on the held-out interactions, fits it again with more regularisation. The rule the
/// recipe starts from holds for a million interactions; the fewer there are, the more is needed. With nothing held out there is one fit.
pub(crate) fn fit(context: &Context<'_>, teacher: ImplicitAls) -> Result<Fitted> {
    let fit = |teacher: ImplicitAls| -> Result<Fitted> {
        let layers = teacher.fit(context)?;
        let recall = context.validation.recall(context, 20, &layers.users[0], &layers.items[0])?;
        Ok(Fitted { teacher, layers, recall })
    };
    let mut best = fit(teacher)?;
    for _ in 1..CANDIDATES {
        let Some(recall) = best.recall else { break };
        let more = ImplicitAls { regularisation: best.teacher.regularisation * STEP, ..best.teacher.clone() };
        let next = fit(more)?;
        if next.recall.is_none_or(|next| next <= recall) {
            break;
        }
        best = next;
    }
    Ok(best)
}
