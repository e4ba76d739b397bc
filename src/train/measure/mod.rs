//! Interactions held out, what is measured and chosen on them, and whom a training reports to.

pub(crate) mod holdout;
pub(crate) mod monitor;
pub(crate) mod search;
pub(crate) mod stopping;
pub(crate) mod validation;
