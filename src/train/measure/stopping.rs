//! When to stop.

use crate::train::context::Context;

/// Validations at most.
const VALIDATIONS: usize = 25;

/// Early stopping: validates now and then, keeps what was best, and says when nothing better came for long.
pub(crate) struct Stopping<T> {
    epochs: usize,
    /// Validations without a gain before stopping, and those since the last gain.
    patience: usize,
    since: usize,
    best: Option<Best<T>>,
}

/// What was best, and after which epoch.
pub(crate) struct Best<T> {
    pub(crate) recall: f64,
    pub(crate) epoch: usize,
    pub(crate) kept: T,
}

impl<T> Stopping<T> {
    pub(crate) fn new(epochs: usize, patience: usize) -> Stopping<T> {
        Stopping { epochs, patience, since: 0, best: None }
    }

    /// Whether to validate after this epoch, the first being 1.
    pub(crate) fn is_due(&self, epoch: usize) -> bool {
        epoch.is_multiple_of(self.epochs.div_ceil(VALIDATIONS)) || epoch == self.epochs
    }

    /// Takes the recall after an epoch, and of the best what `keep` gives. Returns whether to stop.
    pub(crate) fn is_over(
        &mut self,
        context: &Context<'_>,
        epoch: usize,
        recall: f64,
        keep: impl FnOnce() -> T,
    ) -> bool {
        context.monitor.validation(epoch as u64, recall);
        if self.best.as_ref().is_none_or(|best| recall > best.recall) {
            self.best = Some(Best { recall, epoch, kept: keep() });
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.since >= self.patience
    }

    /// The best; `None` where nothing was validated.
    pub(crate) fn into_best(self) -> Option<Best<T>> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Bipartite;

    #[test]
    fn the_best_is_kept_and_patience_ends() {
        let graph = Bipartite::from_edges(1, 1, &[(0, 0, 1.0)]).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let mut stopping = Stopping::new(60, 2);
        let due: Vec<usize> = (1..=60).filter(|&epoch| stopping.is_due(epoch)).collect();
        assert_eq!(due, (3..=60).step_by(3).collect::<Vec<_>>());
        let over = [0.1, 0.3, 0.2, 0.4, 0.4, 0.3].map(|recall| {
            let epoch = (recall * 100.0) as usize;
            stopping.is_over(&context, epoch, recall, || epoch)
        });
        assert_eq!(over, [false, false, false, false, false, true]);
        let best = stopping.into_best().unwrap();
        assert_eq!((best.recall, best.epoch, best.kept), (0.4, 40, 40));
        assert!((1..=7).all(|epoch| Stopping::<()>::new(7, 1).is_due(epoch)));
    }
}
