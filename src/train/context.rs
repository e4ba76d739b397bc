//! What every model of a training shares.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::measure::monitor::Monitor;
use super::measure::validation::Validation;
use crate::error::{Error, Result};
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::kernel::popcount::Kernel;

/// The graph to learn from, where to validate, what to report to.
pub(crate) struct Context<'a> {
    /// The interactions to learn from, without those held out.
    pub(crate) graph: &'a Bipartite,
    /// The interactions held out.
    pub(crate) validation: &'a Validation,
    pub(crate) isa: Isa,
    /// The kernel that scores codes on validation; all kernels give the same scores.
    pub(crate) popcount: Kernel,
    pub(crate) seed: u64,
    pub(crate) monitor: &'a dyn Monitor,
}

impl Context<'_> {
    /// `Err(Cancelled)` once the owner asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.monitor.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// The generator of one use, named so that adding a use leaves the others' numbers as they were.
    pub(crate) fn rng(&self, stream: &str) -> Xoshiro256PlusPlus {
        let named = stream
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Xoshiro256PlusPlus::seed_from_u64(self.seed ^ named)
    }
}
