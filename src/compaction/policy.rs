//! When a database compacts by itself.

use std::time::Duration;

use kithdb_storage::Merging;

use super::job::Compaction;
use crate::error::{Error, Result};

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
    pub(crate) minor_new: f64,
    pub(crate) minor_age: Duration,
    pub(crate) major_share: f64,
    pub(crate) major_recall: f64,
    pub(crate) least_recall: f64,
    pub(crate) merging: Merging,
    pub(crate) pause: Duration,
    pub(crate) threads: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fold_changes: 1 << 20,
            minor_changes: 1000,
            minor_share: 0.01,
            minor_new: 0.02,
            minor_age: Duration::from_secs(600),
            major_share: 0.1,
            major_recall: 0.9,
            least_recall: 0.8,
            merging: Merging::default(),
            pause: Duration::from_secs(60),
            threads: 1,
        }
    }
}

impl Policy {
    /// Where nothing was trained yet, or what was trained cannot be gone on from: interactions not folded at which the log is, and at least a quarter as
    /// many as are. 1,048,576 by default, some 150 MB of memory. Any log is folded that has twice as many
    /// records as this, of whatever kind, and as there are interactions.
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

    /// The share of users and items that are new since, and so without a code, at which there is a minor compaction, however few the interactions. 0.02 by
    /// default.
    pub fn minor_new(mut self, share: f64) -> Self {
        self.minor_new = share;
        self
    }

    /// How long the first of at least [`Policy::minor_changes`] changes waits for a minor compaction, if they stay few; and whoever was forgotten, whatever
    /// else there is: until then their interactions stay on the disk. Ten minutes by default.
    pub fn minor_age(mut self, age: Duration) -> Self {
        self.minor_age = age;
        self
    }

    /// The share of interactions that changed since all rows were last learned at which a compaction is a major one. 0.1 by default.
    pub fn major_share(mut self, share: f64) -> Self {
        self.major_share = share;
        self
    }

    /// The share of recall, of what it was when all rows were last learned, below which a compaction is a major one: what minor ones find of held-out
    /// interactions ([`Drift`](crate::Drift)), each of what the one before found, multiplied. A single one differs by some hundredths by chance. 0.9 by default; 0 never begins one for
    /// that.
    pub fn major_recall(mut self, share: f64) -> Self {
        self.major_recall = share;
        self
    }

    /// The share of its parent's recall ([`Drift`](crate::Drift)) that a compaction has to reach to be published, one that was asked for too. One that
    /// does not ends in [`Error::Worse`](crate::Error::Worse), and the next that the policy begins is a major one, and after that none until
    /// [`Policy::minor_changes`] more have come; but where something was removed or somebody forgotten, or the log has
    /// twice as many records as [`Policy::fold_changes`] says and as there are interactions, the interactions are folded under the codes there are. A training is published whatever it finds. 0.8 by default: on a few hundred interactions less is
    /// not chance; 0 publishes everything.
    pub fn least_recall(mut self, share: f64) -> Self {
        self.least_recall = share;
        self
    }

    /// The size of patches, on the disk and as a share of the generation, at which the next compaction merges them: it writes the whole generation in place of
    /// the rows it touched. Compactions that were asked for do so too. 0.5 by default: a generation takes half as much again at most; 0 writes everything every
    /// time, once patches have come to more than the engine's own 4 MiB.
    pub fn patch_share(mut self, share: f64) -> Self {
        self.merging.parts = share;
        self
    }

    /// As [`Policy::patch_share`], of the training state, which is some twenty times as large: it is merged by itself, and with the rest. A seventh by default.
    pub fn state_patch_share(mut self, share: f64) -> Self {
        self.merging.state = share;
        self
    }

    /// The number of patches at which the next compaction merges them, of the generation as of its state, however small they are: a directory and a file each, which every opening
    /// reads. 32 by default, at most 1,024; 0 writes everything every time.
    pub fn patches(mut self, patches: usize) -> Self {
        self.merging.patches = patches;
        self
    }

    /// How long after opening, and after the end of a job, none is begun, but for minor compactions that were asked for. A minute by default; after one that
    /// failed or was refused, ten times as long, and after a major one that failed the next is a minor one.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Threads of a compaction that nobody asked for; 0 takes one a processor. 1 by default, so that queries keep the others.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// That every threshold says something.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(crate) fn check(&self) -> Result<()> {
        let shares = [
            ("minor_share", self.minor_share),
            ("minor_new", self.minor_new),
            ("major_share", self.major_share),
            ("major_recall", self.major_recall),
            ("least_recall", self.least_recall),
            ("patch_share", self.merging.parts),
            ("state_patch_share", self.merging.state),
        ];
        match shares.into_iter().find(|(_, share)| share.is_nan() || *share < 0.0) {
            Some((name, share)) => Err(Error::InvalidArgument {
                what: format!("a policy with {name}({share})"),
                remedy: "pass a share of 0 or more".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// What to begin, and why.
    pub(super) fn decide(&self, now: &Situation) -> Option<(Compaction, String)> {
        if now.quiet < self.pause {
            return None;
        }
        // What a major compaction learned found too little: it is not learned again of next to the same.
        let is_known = now.refused.is_some_and(|(kind, since)| kind == Compaction::Major && since < self.minor_changes);
        let learned = if is_known { None } else { self.learned(now) };
        // One that failed, as for want of room on the disk, keeps nothing from being folded and learned row by row.
        let learned = match learned {
            Some((Compaction::Major, why)) if now.fails_major => (now.changes > 0).then_some((Compaction::Minor, why)),
            learned => learned,
        };
        learned.or_else(|| self.folded(now)).or_else(|| {
            let is_due = now.forgets && now.age >= self.minor_age;
            is_due.then(|| (Compaction::Minor, "somebody was forgotten".to_owned()))
        })
    }

    /// What is due where the log has grown and little of it is to be learned: attributes that change, and interactions that come and go, are read again at
    /// every opening.
    fn folded(&self, now: &Situation) -> Option<(Compaction, String)> {
        let kind = if now.learns && now.refused_minor() { Compaction::Major } else { Compaction::Minor };
        is_long(now.records, self.fold_changes, now.interactions)
            .then(|| (kind, format!("{} records of the log were not folded", now.records)))
    }

    /// What is due for what changed.
    fn learned(&self, now: &Situation) -> Option<(Compaction, String)> {
        let Situation { learns, interactions, changes, unlearned, age, recall_kept, nodes, new, .. } = *now;
        if learns && recall_kept < self.major_recall {
            let why = format!("{:.0} % of recall is left since all rows were learned", 100.0 * recall_kept);
            return Some((Compaction::Major, why));
        }
        if changes == 0 {
            return None;
        }
        if !learns {
            let due = changes >= self.fold_changes.max(interactions / 4);
            return due.then(|| (Compaction::Minor, format!("{changes} interactions were not folded")));
        }
        let is_much_new = new > 0 && new as f64 >= self.minor_new * nodes as f64;
        if changes < self.minor_changes && !is_much_new {
            return None;
        }
        if now.refused_minor() {
            return Some((Compaction::Major, "what a minor compaction learned found too little".to_owned()));
        }
        let share = |changes: u64| changes as f64 / interactions.max(1) as f64;
        if share(unlearned) >= self.major_share {
            let why = format!("{unlearned} of {interactions} interactions changed since all rows were learned");
            return Some((Compaction::Major, why));
        }
        if share(changes) >= self.minor_share {
            return Some((Compaction::Minor, format!("{changes} of {interactions} interactions changed")));
        }
        if is_much_new {
            return Some((Compaction::Minor, format!("{new} of {nodes} users and items are new")));
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
    /// Whether somebody was forgotten who is in the log, or in the generation.
    pub(super) forgets: bool,
    /// Users and items.
    pub(super) nodes: u64,
    /// Of them, those that the generation does not know.
    pub(super) new: u64,
    /// Records of the log that are not in the generation.
    pub(super) records: u64,
    /// Of them and of those that minor compactions took in, all since all rows were learned.
    pub(super) unlearned: u64,
    /// How long there have been changes, or somebody forgotten.
    pub(super) age: Duration,
    /// How long there has been no job.
    pub(super) quiet: Duration,
    /// What the last job was that found too little, and how many more changes there are since.
    pub(super) refused: Option<(Compaction, u64)>,
    /// Whether the last job was a major compaction and failed.
    pub(super) fails_major: bool,
    /// Share of recall left since all rows were learned.
    pub(super) recall_kept: f64,
}

impl Situation {
    fn refused_minor(&self) -> bool {
        self.refused.is_some_and(|(kind, _)| kind == Compaction::Minor)
    }
}

/// Whether so many records of the log that are not folded are more than a log should hold beside so many interactions.
pub(super) fn is_long(records: u64, fold_changes: u64, interactions: u64) -> bool {
    records / 2 >= fold_changes.max(interactions)
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
            forgets: false,
            nodes: 10_000,
            new: 0,
            records: 0,
            unlearned: 0,
            age: Duration::ZERO,
            quiet: hour,
            refused: None,
            fails_major: false,
            recall_kept: 1.0,
        };
        let of = |now: Situation| policy.decide(&now).map(|(kind, _)| kind);
        assert_eq!(of(calm), None);
        assert_eq!(of(Situation { changes: 9_999, unlearned: 9_999, ..calm }), None);
        assert_eq!(of(Situation { changes: 10_000, unlearned: 10_000, ..calm }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 10_000, quiet: Duration::from_secs(59), ..calm }), None);
        assert_eq!(of(Situation { changes: 1_000, age: hour, ..calm }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 999, age: hour, unlearned: 500_000, ..calm }), None);
        assert_eq!(of(Situation { changes: 1_000, unlearned: 100_000, ..calm }), Some(Compaction::Major));
        assert_eq!(of(Situation { changes: 1, new: 199, ..calm }), None);
        assert_eq!(of(Situation { changes: 1, new: 200, ..calm }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 0, new: 200, ..calm }), None, "nothing is learned of who did nothing");
        assert_eq!(of(Situation { changes: 1, new: 200, learns: false, ..calm }), None);
        let refused = Situation { changes: 1_000, refused: Some((Compaction::Minor, 0)), ..calm };
        assert_eq!(of(refused), Some(Compaction::Major));
        assert_eq!(of(Situation { records: 1 << 21, ..calm }), Some(Compaction::Minor));
        assert_eq!(of(Situation { records: (1 << 21) - 1, ..calm }), None);
        let long = Situation { records: 1 << 23, ..calm };
        assert_eq!(of(Situation { changes: 1, ..long }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 1 << 21, unlearned: 1 << 21, ..long }), Some(Compaction::Major));
        for changes in [0, 1, 100_000] {
            assert_eq!(
                of(Situation { changes, refused: Some((Compaction::Minor, 0)), ..long }),
                Some(Compaction::Major)
            );
        }
        // A refused major one is not begun again on the same, whatever there is to be learned; a long log is folded all the same.
        for now in [
            Situation { changes: 10_000, unlearned: 10_000, ..calm },
            Situation { changes: 10_000, unlearned: 500_000, ..calm },
            Situation { recall_kept: 0.5, ..calm },
        ] {
            let after = |since| Situation { refused: Some((Compaction::Major, since)), ..now };
            assert!(of(now).is_some());
            assert_eq!(of(after(999)), None);
            assert_eq!(of(after(1_000)), of(now));
            assert_eq!(of(Situation { records: 1 << 23, ..after(0) }), Some(Compaction::Minor));
        }
        // After one that failed a minor one is begun where that has something to do.
        let failed = Situation { fails_major: true, changes: 500_000, unlearned: 500_000, ..calm };
        assert_eq!(of(failed), Some(Compaction::Minor));
        assert_eq!(of(Situation { recall_kept: 0.5, ..failed }), Some(Compaction::Minor));
        assert_eq!(of(Situation { recall_kept: 0.5, changes: 0, ..failed }), None);
        assert_eq!(
            of(Situation { recall_kept: 0.5, changes: 0, forgets: true, age: hour, ..failed }),
            Some(Compaction::Minor)
        );
        assert_eq!(of(Situation { quiet: Duration::ZERO, ..long }), None);
        // Who was forgotten leaves the disk, however little else there is, learned or not, and whatever was refused.
        let forgotten = Situation { forgets: true, age: hour, ..calm };
        assert_eq!(of(forgotten), Some(Compaction::Minor));
        assert_eq!(
            of(Situation { learns: false, refused: Some((Compaction::Major, 0)), ..forgotten }),
            Some(Compaction::Minor)
        );
        assert_eq!(of(Situation { age: Duration::from_secs(599), ..forgotten }), None);
        assert_eq!(of(Situation { quiet: Duration::ZERO, ..forgotten }), None);
        assert_eq!(of(Situation { recall_kept: 0.89, ..calm }), Some(Compaction::Major));
        assert_eq!(of(Situation { recall_kept: 0.91, ..calm }), None);
        let untrained = Situation { learns: false, interactions: 0, ..calm };
        assert_eq!(of(Situation { changes: 1 << 19, age: hour, unlearned: 1 << 19, ..untrained }), None);
        assert_eq!(of(Situation { changes: 1 << 20, ..untrained }), Some(Compaction::Minor));
        assert_eq!(of(Situation { changes: 1 << 20, interactions: 8 << 20, ..untrained }), None);
    }
}
