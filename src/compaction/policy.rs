//! When a database compacts by itself.

use std::time::Duration;

use super::job::Compaction;

/// When a database compacts in the background by itself, from [`Options::policy`](crate::Options::policy). The defaults suit a shop whose
/// recommendations should follow a working day. It never begins a first training, which is asked for with [`Db::train`](crate::Db::train), nor
/// one from nothing, which makes the choices again: once in some months, or when the drift of [`Db::jobs`](crate::Db::jobs) says so.
///
/// ```
/// use std::time::Duration;
/// use kithdb::{Options, Policy};
/// let policy = Policy::default().minor_share(0.02).pause(Duration::from_secs(300));
/// let options = Options::default().policy(policy);
/// # drop(options);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(crate) fold_changes: u64,
    pub(crate) minor_changes: u64,
    pub(crate) minor_share: f64,
    pub(crate) minor_age: Duration,
    pub(crate) major_share: f64,
    pub(crate) pause: Duration,
    pub(crate) threads: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fold_changes: 1 << 20,
            minor_changes: 1000,
            minor_share: 0.01,
            minor_age: Duration::from_secs(600),
            major_share: 0.1,
            pause: Duration::from_secs(60),
            threads: 1,
        }
    }
}

impl Policy {
    /// Where nothing was trained yet, or what was trained cannot be gone on from: interactions not folded at which the log is, and at least a quarter as
    /// many as are. 1,048,576 by default, some 150 MB of memory.
    pub fn fold_changes(mut self, changes: u64) -> Self {
        self.fold_changes = changes;
        self
    }

    /// Changed interactions below which there is no minor compaction, however old they are. 1,000 by default.
    pub fn minor_changes(mut self, changes: u64) -> Self {
        self.minor_changes = changes;
        self
    }

    /// The share of changed interactions at which there is a minor compaction. 0.01 by default.
    pub fn minor_share(mut self, share: f64) -> Self {
        self.minor_share = share;
        self
    }

    /// How long the first of at least [`Policy::minor_changes`] changes waits for a minor compaction, if they stay few. Ten minutes by default.
    pub fn minor_age(mut self, age: Duration) -> Self {
        self.minor_age = age;
        self
    }

    /// The share of interactions that changed since all rows were last learned at which a compaction is a major one. 0.1 by default.
    pub fn major_share(mut self, share: f64) -> Self {
        self.major_share = share;
        self
    }

    /// How long after opening, and after the end of a job, none is begun. A minute by default; after one that failed, ten times as long.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Threads of a compaction that nobody asked for; 0 takes one a processor. 1 by default, so that queries keep the others.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// What to begin, and why.
    pub(super) fn decide(&self, now: &Situation) -> Option<(Compaction, String)> {
        let Situation { learns, interactions, changes, unlearned, age, quiet } = *now;
        if quiet < self.pause || changes == 0 {
            return None;
        }
        if !learns {
            let due = changes >= self.fold_changes.max(interactions / 4);
            return due.then(|| (Compaction::Minor, format!("{changes} interactions were not folded")));
        }
        if changes < self.minor_changes {
            return None;
        }
        let share = |changes: u64| changes as f64 / interactions.max(1) as f64;
        if share(unlearned) >= self.major_share {
            let why = format!("{unlearned} of {interactions} interactions changed since all rows were learned");
            return Some((Compaction::Major, why));
        }
        if share(changes) >= self.minor_share {
            return Some((Compaction::Minor, format!("{changes} of {interactions} interactions changed")));
        }
        (age >= self.minor_age)
            .then(|| (Compaction::Minor, format!("{changes} changes have waited for {} s", age.as_secs())))
    }
}

/// What a policy decides by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Whether what was trained can be gone on from.
    pub(super) learns: bool,
    /// Of the generation.
    pub(super) interactions: u64,
    /// Interactions that are not as in the generation.
    pub(super) changes: u64,
    /// Of them and of those that minor compactions took in, all since all rows were learned.
    pub(super) unlearned: u64,
    /// How long there have been changes.
    pub(super) age: Duration,
    /// How long there has been no job.
    pub(super) quiet: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_follows_from_shares_and_age() {
        let policy = Policy::default();
        let hour = Duration::from_secs(3600);
        let calm = Situation {
            learns: true,
            interactions: 1_000_000,
            changes: 0,
            unlearned: 0,
            age: Duration::ZERO,
            quiet: hour,
        };
        let of = |now: Situation| policy.decide(&now).map(|(kind, _)| kind);
        assert_eq!(of(calm), None);
        assert_eq!(of(Situation { changes: 9_999, unlearned: 9_999, ..calm }), None);
        assert_eq!(of(Situation { changes: 10_000, unlearned: 10_000, ..calm }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 10_000, quiet: Duration::from_secs(59), ..calm }), None);
        assert_eq!(of(Situation { changes: 1_000, age: hour, ..calm }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 999, age: hour, unlearned: 500_000, ..calm }), None);
        assert_eq!(of(Situation { changes: 1_000, unlearned: 100_000, ..calm }), Some(Compaction::Major));
        let untrained = Situation { learns: false, interactions: 0, ..calm };
        assert_eq!(of(Situation { changes: 1 << 19, age: hour, unlearned: 1 << 19, ..untrained }), None);
        assert_eq!(of(Situation { changes: 1 << 20, ..untrained }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 1 << 20, interactions: 8 << 20, ..untrained }), None);
    }
}
