//! Who came later: vectors and codes of users and items that training has not seen, from what touches them.
//!
//! A user's [`Profile`] is the sum of the codes of what they touched; the [`FoldInMap`] takes it to the vector training would have given them.
//! An item's code is made of the vectors of the users who have it: [`Arrivals`].

mod arrivals;
mod map;
mod profile;

pub(crate) use arrivals::{Arrivals, Voices};
pub use map::FoldInMap;
pub(crate) use profile::{Profile, Touched, inner, segments, write_profile};
