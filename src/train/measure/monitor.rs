//! What a running training tells its owner, and how it is stopped.

/// Receives progress and answers whether to go on. Called from the training thread and, for [`Monitor::cancelled`], from any
/// worker, at least every 100 ms of work; it must be quick.
pub trait Monitor: Sync {
    /// A phase of `of` steps begins. The caller may take the time here; training reads no clock.
    fn phase(&self, name: &str, of: u64) {
        let _ = (name, of);
    }

    /// `step` steps of the current phase are done.
    fn advance(&self, step: u64) {
        let _ = step;
    }

    /// Recall at 20 on held-out interactions after `epoch` epochs of the current phase.
    fn validation(&self, epoch: u64, recall: f64) {
        let _ = (epoch, recall);
    }

    /// Whether to stop as soon as possible with [`Error::Cancelled`](crate::Error::Cancelled).
    fn cancelled(&self) -> bool {
        false
    }
}

/// A monitor that listens to nothing and never cancels.
impl Monitor for () {}
