//! What can go wrong, told apart by what the caller can do about it.

use std::sync::Arc;

use crate::ids::Id;

/// Every failure of the library. The caller's mistakes, damage and I/O are different variants, since recovery treats them differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument or option is out of its range; nothing was done.
    #[error("{what}: {remedy}")]
    InvalidArgument {
        /// The argument and the value it had.
        what: String,
        /// What to pass instead.
        remedy: String,
    },
    /// An id of another kind than its side of the graph uses; nothing was done.
    #[error("a {given} id was given for {side}s, whose ids here are of kind {stored}: pass ids of kind {stored}")]
    WrongIdKind {
        /// `user` or `item`.
        side: &'static str,
        /// The kind of the id passed.
        given: &'static str,
        /// The kind the side's first insert fixed.
        stored: &'static str,
    },
    /// Nobody of this name has ever touched anything.
    #[error("unknown user {user}: insert an interaction of theirs, query by items, or ask for .or_popular()")]
    UnknownUser {
        /// The name asked for.
        user: Id,
    },
    /// No item of this name has ever been touched.
    #[error("unknown item {item}: insert an interaction with it first")]
    UnknownItem {
        /// The name asked for.
        item: Id,
    },
    /// None of a basket's items is known.
    #[error(
        "none of the {count} items of the basket is known: query by items that have interactions, or ask for .or_popular()"
    )]
    UnknownBasket {
        /// How many were given.
        count: usize,
    },
    /// Items of a basket are known, but none has a code.
    #[error(
        "none of the {count} known items of the basket has a code: train, query by items that were trained on, or ask for .or_popular()"
    )]
    NoCodeInBasket {
        /// How many are known.
        count: usize,
    },
    /// The user is known, but there is nothing to place them by: no code, which an imported row of zeros is not, and no items or none that has a
    /// code.
    #[error("user {user} {}, or ask for .or_popular()", no_history(*.items))]
    NoHistory {
        /// The name asked for.
        user: Id,
        /// How many items the user has; none of them has a code.
        items: u64,
    },
    /// The user is known, but neither training nor an import has given them a code to compare with those of others.
    #[error(
        "user {user} has no code to compare users by, which imported zeros are not: train, once they have interactions, import a vector with a value other than 0, or ask for items"
    )]
    NoUserCode {
        /// The name asked for.
        user: Id,
    },
    /// The codes to go by cancel each other out.
    #[error(
        "the items of {whose} have codes that cancel each other out, so that no item is nearer than another: add an item, or ask for .or_popular()"
    )]
    NoDirection {
        /// Whose they are.
        whose: String,
    },
    /// The item is known, but has neither a trained code nor interactions to make one from.
    #[error("item {item} has no code yet: insert an interaction with a trained user, or train again")]
    NoCode {
        /// The name asked for.
        item: Id,
    },
    /// There is a generation, but no item of it has a code: training learns what tells items apart, and gives the only item of a database none.
    #[error(
        "no item has a code: what was trained on has no two items to tell apart; insert interactions with other items, then train, or ask for .or_popular()"
    )]
    NoItemCodes,
    /// There are no embeddings yet.
    #[error("nothing has been trained yet: call train() (or `kithdb train`), or ask for .or_popular()")]
    NotTrained,
    /// There are not enough interactions to train on.
    #[error("there is nothing to train on ({interactions} interactions): insert interactions first")]
    NothingToTrain {
        /// How many there are.
        interactions: u64,
    },
    /// There is nothing to compact.
    #[error("nothing has come since generation {generation}: insert, or train again with other options")]
    NothingNew {
        /// The generation that has seen everything.
        generation: u64,
    },
    /// A compaction came to codes that find less than those there are, and did not publish them.
    #[error(
        "the codes learned find {after:.4} of what is held out, those there are {before:.4}: nothing was published; train anew"
    )]
    Worse {
        /// Recall at 20 by the generation there is.
        before: f64,
        /// Recall at 20 by the one that was not published.
        after: f64,
    },
    /// A job, or another long call, was cancelled by its owner, or its time was over ([`CancelToken`](crate::CancelToken)).
    #[error("cancelled; what was there before is untouched")]
    Cancelled,
    /// The system gave no thread.
    #[error("cannot start a thread: {source}; raise the limit of threads or free memory")]
    Thread {
        /// The system's error.
        source: std::io::Error,
    },
    /// A filter that cannot be read, or that means nothing here; nothing was done.
    #[error(transparent)]
    Filter(#[from] crate::filter::FilterError),
    /// Codes that do not fit: the caller's own, or a fault of training.
    #[error(transparent)]
    Code(#[from] crate::code::CodeError),
    /// The environment forces a kernel that cannot run here.
    #[error(transparent)]
    Kernel(#[from] crate::kernel::popcount::KernelError),
    /// A job came upon a fault of the library. Nothing was published by it, and the database goes on.
    #[error(
        "the {job} failed by a fault of kithdb: {fault}; nothing was published and the database goes on: please report it"
    )]
    JobFailed {
        /// `training`, `import`, `compaction` or `rollback`.
        job: &'static str,
        /// What the fault said.
        fault: String,
    },
    /// A background thread ended without an answer.
    #[error("the {thread} thread has stopped: reopen the database")]
    Stopped {
        /// Which one.
        thread: &'static str,
    },
    /// Training produced values that are not finite.
    #[error("{model} diverged in {phase}: lower {lower}")]
    Diverged {
        /// The model that was training.
        model: &'static str,
        /// Where in its training.
        phase: String,
        /// The setting to lower.
        lower: &'static str,
    },
    /// What is stored does not fit together, though every record's own check passed. [`Error::is_damage`] tells this and the damage that
    /// storage finds.
    #[error("damaged: {what}; restore a backup, or load the interactions into a new database")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// A write could not be made durable; nothing of it was acknowledged, and no further write is taken until the database is reopened.
    #[error("not stored: {source}")]
    NotStored {
        /// What storage said; shared by all writes of one group commit.
        source: Arc<kithdb_storage::Error>,
    },
    /// Writes are on the disk that could not be taken in here: none of the group was acknowledged, and no further write is taken until the
    /// database is reopened, which reads them again.
    #[error("stored, but not taken in: {what}; nothing more is stored until the database is reopened")]
    NotApplied {
        /// What did not fit.
        what: String,
    },
    /// A `.npy` file cannot be read or written.
    #[error(transparent)]
    Npy(#[from] crate::npy::NpyError),
    /// Storage refused, or found damage.
    #[error(transparent)]
    Storage(kithdb_storage::Error),
}

impl From<kithdb_storage::Error> for Error {
    fn from(error: kithdb_storage::Error) -> Self {
        match error {
            kithdb_storage::Error::Ended => Error::Cancelled,
            other => Error::Storage(other),
        }
    }
}

impl Error {
    /// The same, of a row of many, from 1.
    pub(crate) fn of_row(self, row: u64) -> Self {
        match self {
            Error::InvalidArgument { what, remedy } => {
                Error::InvalidArgument { what: format!("row {row}: {what}"), remedy }
            }
            other => other,
        }
    }

    /// Whether the disk, or the system around it, refused something: what was asked for may be had once that is mended.
    pub(crate) fn is_of_disk(&self) -> bool {
        use kithdb_storage::Error as Storage;
        let passes = |error: &Storage| {
            matches!(
                error,
                Storage::Io { .. } | Storage::DiskFull { .. } | Storage::Poisoned { .. } | Storage::Threads { .. }
            )
        };
        match self {
            Error::Storage(error) => passes(error),
            Error::NotStored { source } => passes(source),
            _ => false,
        }
    }

    /// Whether stored data are damaged: what helps then is a backup, not another try.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Damaged { .. } => true,
            Error::Storage(error) => matches!(error, kithdb_storage::Error::Corrupt { .. }),
            Error::NotStored { source } => matches!(**source, kithdb_storage::Error::Corrupt { .. }),
            _ => false,
        }
    }
}

/// An argument that cannot be taken.
pub(crate) fn invalid(what: &str, remedy: &str) -> Error {
    Error::InvalidArgument { what: what.into(), remedy: remedy.into() }
}

/// What is the matter with a known user who cannot be placed, and the remedy.
fn no_history(items: u64) -> String {
    match items {
        0 => "has no code, which imported zeros are not, and no interactions to go by: insert one with an item that has a code, import a vector with a value other than 0".into(),
        1 => "has one item, which has no code until the next training: train, insert an interaction with an item that has a code".into(),
        n => format!("has {n} items, none of which has a code until the next training: train, insert an interaction with an item that has a code"),
    }
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
