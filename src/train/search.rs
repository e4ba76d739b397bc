//! The one setting no rule foresees: how much a teacher is regularised.

use super::context::Context;
use super::layers::Layers;
use super::report::Epoch;
use super::teacher::Teacher;
use crate::Result;

/// Each candidate regularises this many times more than the one before.
const STEP: f32 = 2.0;
/// Candidates at most.
const CANDIDATES: usize = 4;

/// A fitted teacher, with its recall at 20 on the held-out interactions.
pub(crate) struct Fitted {
    pub(crate) teacher: Box<dyn Teacher>,
    pub(crate) layers: Layers,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) recall: Option<f64>,
    /// Where it was raised, the regularisation.
    pub(crate) regularisation: Option<f32>,
}

/// Fits the teacher and, for as long as that raises recall on the held-out interactions, fits it again with more regularisation. The rule the
/// recipe starts from holds for a million interactions; the fewer there are, the more is needed. Without `search`, or with nothing held out,
/// there is one fit.
pub(crate) fn fit(context: &Context<'_>, teacher: Box<dyn Teacher>, search: bool) -> Result<Fitted> {
    let fit = |teacher: Box<dyn Teacher>, regularisation| -> Result<Fitted> {
        let (layers, epochs) = teacher.fit(context)?;
        let recall = layers.recall(context)?;
        Ok(Fitted { teacher, layers, epochs, recall, regularisation })
    };
    let mut best = fit(teacher, None)?;
    for _ in 1..CANDIDATES {
        let Some(recall) = best.recall.filter(|_| search) else { break };
        let Some((more, regularisation)) = best.teacher.regularised(STEP) else { break };
        let next = fit(more, Some(regularisation))?;
        if next.recall.is_none_or(|next| next <= recall) {
            break;
        }
        best = next;
    }
    Ok(best)
}
