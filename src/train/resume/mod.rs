//! Trainings that go on from one that was kept: with the rows that were touched ([`minor`](mod@minor)), or with all of them
//! ([`major`](mod@major)).

mod choices;
mod learned;
mod major;
mod minor;
mod rechoose;
mod recoded;
mod started;

pub(crate) use choices::Choices;
pub(crate) use learned::Learned;
pub(crate) use major::{Resumed, major};
pub(crate) use minor::{Rows, minor};
pub(crate) use recoded::Recoded;

use crate::error::{Error, Result};
use crate::kernel::popcount::Kernel;

/// The kernel that scores codes.
fn kernel() -> Result<Kernel> {
    Kernel::from_env().map_err(|error| Error::InvalidArgument {
        what: error.to_string(),
        remedy: "name a kernel this machine has".to_owned(),
    })
}
