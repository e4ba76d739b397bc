//! What can go wrong, told apart by what the caller can do about it.

/// Every failure of the library. Caller's mistakes, damage and I/O are different variants, since recovery treats them differently.
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
    /// A training, or another long job, was cancelled by its owner.
    #[error("the job was cancelled; what was published before it is untouched")]
    Cancelled,
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
    /// Codes that do not fit their shape.
    #[error(transparent)]
    Code(#[from] crate::code::CodeError),
    /// Storage refused, or found damage.
    #[error(transparent)]
    Storage(#[from] kithdb_storage::Error),
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
