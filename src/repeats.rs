//! What an interaction that comes again means.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::graph::postings::Edge;
use crate::interaction::MAX_WEIGHT;

/// What becomes of an interaction when the same user touches the same item again. Settled when a database is created, with
/// [`Options::repeats`](crate::Options::repeats), and kept in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Repeats {
    /// The last one counts: its weight, its time. Inserting data a second time changes nothing. The default.
    #[default]
    Last,
    /// Weights are added up, to [`MAX_WEIGHT`](crate::MAX_WEIGHT) at most; the latest time is kept. Inserting data a second time counts it twice.
    Sum,
    /// The largest weight and the latest time are kept.
    Max,
    /// The first one counts.
    First,
}

impl Repeats {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Last, Self::Sum, Self::Max, Self::First];

    /// The name it is written, printed and serialized as.
    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Sum => "sum",
            Self::Max => "max",
            Self::First => "first",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|repeats| repeats.name() == name).ok_or_else(|| Error::InvalidArgument {
            what: format!("repeats taken as {name:?}"),
            remedy: format!("one of {}", Self::ALL.map(Self::name).join(", ")),
        })
    }

    /// What an edge becomes by an interaction that comes after it.
    pub(crate) fn merge(self, edge: Edge, next: Edge) -> Edge {
        let time = edge.time.max(next.time);
        match self {
            Self::Last => next,
            Self::Sum => Edge { weight: (edge.weight + next.weight).min(MAX_WEIGHT), time },
            Self::Max => Edge { weight: edge.weight.max(next.weight), time },
            Self::First => edge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_says_what_it_does() {
        let edge = |weight, time| Edge { weight, time };
        let (first, second) = (edge(3.0, Some(5)), edge(2.0, None));
        assert_eq!(Repeats::Last.merge(first, second), second);
        assert_eq!(Repeats::First.merge(first, second), first);
        assert_eq!(Repeats::Max.merge(second, edge(1.0, Some(9))), edge(2.0, Some(9)));
        assert_eq!(Repeats::Sum.merge(first, second), edge(5.0, Some(5)));
        assert_eq!(Repeats::Sum.merge(edge(MAX_WEIGHT, None), second).weight, MAX_WEIGHT);
        for repeats in Repeats::ALL {
            assert_eq!(Repeats::parse(repeats.name()).unwrap(), repeats);
        }
        assert!(Repeats::parse("average").unwrap_err().to_string().contains("last, sum, max, first"));
    }
}
