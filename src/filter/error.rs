//! What is wrong with a filter.

use std::convert::Infallible;

/// Why a filter cannot be read, or means nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter{}: {what}: {remedy}", at(*.position))]
#[non_exhaustive]
pub struct FilterError {
    /// The character of the text it is about, from 1; `None` for one that was not read from text.
    pub position: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl FilterError {
    pub(super) fn new(position: Option<usize>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { position, what: what.into(), remedy: remedy.into() }
    }
}

fn at(position: Option<usize>) -> String {
    position.map_or(String::new(), |position| format!(", character {position}"))
}

impl From<Infallible> for FilterError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
