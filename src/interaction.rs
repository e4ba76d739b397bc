//! What an application tells the database: a user touched an item.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::ids::{Id, Side};

/// The smallest weight of an interaction.
pub const MIN_WEIGHT: f32 = 1e-6;
/// The largest weight of an interaction.
pub const MAX_WEIGHT: f32 = 1e6;

/// One edge of the graph: user, item, how much it counts and when it happened.
///
/// There is one edge a (user, item); what a second interaction does to it is settled by [`Repeats`](crate::Repeats).
#[derive(Clone, Debug, PartialEq)]
pub struct Interaction {
    /// Who.
    pub user: Id,
    /// What.
    pub item: Id,
    /// Implicit-feedback confidence: [`MIN_WEIGHT`] to [`MAX_WEIGHT`], 1 by default.
    pub weight: f32,
    /// Milliseconds since the Unix epoch, if known.
    pub time: Option<i64>,
}

impl Interaction {
    /// An interaction of weight 1 at no known time.
    pub fn new(user: impl Into<Id>, item: impl Into<Id>) -> Self {
        Self { user: user.into(), item: item.into(), weight: 1.0, time: None }
    }

    /// Sets the weight, [`MIN_WEIGHT`] to [`MAX_WEIGHT`].
    pub fn weight(mut self, weight: f32) -> Self {
        self.weight = weight;
        self
    }

    /// Refuses what cannot be stored, as inserting it would: for those who read interactions from elsewhere and know their places there.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub fn check(&self) -> Result<()> {
        self.user.check(Side::User)?;
        self.item.check(Side::Item)?;
        let of = || format!("of ({}, {})", self.user, self.item);
        if !(MIN_WEIGHT..=MAX_WEIGHT).contains(&self.weight) {
            return Err(Error::InvalidArgument {
                what: format!("weight {} {}", self.weight, of()),
                remedy: format!("weights are above 0, from {MIN_WEIGHT} to {MAX_WEIGHT}"),
            });
        }
        if self.time == Some(i64::MIN) {
            return Err(Error::InvalidArgument {
                what: format!("time {} {}", i64::MIN, of()),
                remedy: "pass milliseconds since 1970, or no time".into(),
            });
        }
        Ok(())
    }

    /// Sets the time, in milliseconds since the Unix epoch.
    pub fn time(mut self, milliseconds: i64) -> Self {
        self.time = Some(milliseconds);
        self
    }
}

/// What became of interactions that were inserted together; an interaction counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inserted {
    /// Of a user with an item they had not touched before.
    pub new: u64,
    /// Of a user and an item that were there, and have another weight or time since.
    pub updated: u64,
    /// Of a user and an item that were there and stay as they were.
    pub repeated: u64,
}

impl Inserted {
    /// All of them.
    pub fn interactions(&self) -> u64 {
        self.new + self.updated + self.repeated
    }
}

impl std::ops::AddAssign for Inserted {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.updated += other.updated;
        self.repeated += other.repeated;
    }
}

impl<U: Into<Id>, I: Into<Id>> From<(U, I)> for Interaction {
    fn from((user, item): (U, I)) -> Self {
        Self::new(user, item)
    }
}
