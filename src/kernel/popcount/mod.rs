//! Weighted popcount: scores of one query against blocks of 16 one-bit items ([`Blocks`]), and upper bounds on them for balls of items
//! ([`Balls`]) and from a part of an item ([`Heads`]).
//!
//! Every kernel computes the score of [`crate::code`] bit for bit; [`scalar`] is the specification. The rest is one generic loop
//! ([`portable`]) over two ways to count ([`portable::Lanes`]), compiled for the instruction sets below and chosen once, at run time.

mod balls;
mod blocks;
mod heads;
mod portable;
mod scalar;
mod source;

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::OnceLock;

pub use balls::{BallQuery, Balls};
pub use blocks::{BlockQuery, Blocks, LANES, LaneScalers, LaneWords};
pub use heads::{HeadQuery, Heads};
pub use source::Source;

/// The environment variable that forces a kernel, for tests and measurements.
pub const KERNEL_VARIABLE: &str = "KITHDB_KERNEL";

/// An implementation of the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// AVX-512 with VPOPCNTDQ: 16 lanes of 32-bit counts.
    Avx512,
    /// AVX2: nibble look-ups, counted in bytes.
    Avx2,
    /// NEON: byte counts.
    Neon,
    /// Plain Rust, one item at a time: the executable specification.
    Scalar,
}

/// A kernel that was asked for cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The name means nothing.
    #[error("{KERNEL_VARIABLE}={name}: no such kernel; use scalar, avx2, avx512 or neon, or unset it")]
    Unknown {
        /// What the variable says.
        name: String,
    },
    /// The processor, or the architecture, lacks it.
    #[error("{KERNEL_VARIABLE}={name}: this processor does not have it; unset the variable, or use scalar")]
    Unavailable {
        /// What the variable says.
        name: &'static str,
    },
}

impl Kernel {
    /// Every kernel, best first.
    pub const ALL: [Kernel; 4] = [Kernel::Avx512, Kernel::Avx2, Kernel::Neon, Kernel::Scalar];

    /// The name it is forced by and reported as.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Avx512 => "avx512",
            Kernel::Avx2 => "avx2",
            Kernel::Neon => "neon",
            Kernel::Scalar => "scalar",
        }
    }

    /// Whether this processor can run it.
    pub fn is_available(self) -> bool {
        match self {
            Kernel::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86_64::avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => x86_64::avx512::is_available(),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kernel::Neon => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The kernels this processor can run, best first; never empty.
    pub fn available() -> impl Iterator<Item = Kernel> {
        Self::ALL.into_iter().filter(|kernel| kernel.is_available())
    }

    /// The kernel to use: the one [`KERNEL_VARIABLE`] names, or the best there is. The answer is cached for the process.
    ///
    /// # Errors
    /// If the variable names no kernel, or one this processor cannot run.
    pub fn from_env() -> Result<Kernel, KernelError> {
        static CHOICE: OnceLock<Result<Kernel, KernelError>> = OnceLock::new();
        CHOICE
            .get_or_init(|| match std::env::var_os(KERNEL_VARIABLE) {
                None => Ok(Self::available().next().unwrap_or(Kernel::Scalar)),
                Some(name) => Self::named(&name.to_string_lossy()),
            })
            .clone()
    }

    /// The available kernel of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Kernel, KernelError> {
        let kernel = Self::ALL
            .into_iter()
            .find(|kernel| kernel.name() == name)
            .ok_or_else(|| KernelError::Unknown { name: name.to_owned() })?;
        if kernel.is_available() { Ok(kernel) } else { Err(KernelError::Unavailable { name: kernel.name() }) }
    }

    /// Scores (or bounds) the 16 lanes of one block. Padding lanes get a score too.
    ///
    /// # Panics
    /// If there is no such block, or the query has another shape.
    pub fn score<S: Source>(self, source: &S, query: &S::Query, block: usize) -> [f32; LANES] {
        let mut scores = [0.0; LANES];
        let mut keep = |_: usize, _: u16, block: &[f32; LANES]| {
            scores = *block;
            f32::NEG_INFINITY
        };
        self.scan(source, query, block..block + 1, f32::NEG_INFINITY, &mut keep);
        scores
    }

    /// Scores `range` of the blocks in order and gives `sink` every block in which a lane reaches the threshold.
    ///
    /// `sink(block, lanes, scores)` gets the lanes with `score >= threshold` as bits and all 16 scores, and returns the threshold from
    /// then on. Padding lanes may reach it; the sink knows them by their position. A kernel that is not available is replaced by the
    /// scalar one. O(range x row) time; only the scalar kernel allocates.
    ///
    /// # Panics
    /// If the range is not inside the blocks, or the query has another shape.
    pub fn scan<S: Source>(
        self,
        source: &S,
        query: &S::Query,
        range: Range<usize>,
        threshold: f32,
        sink: &mut Sink<'_>,
    ) {
        assert!(range.start <= range.end && range.end <= source.blocks(), "blocks {range:?} of {}", source.blocks());
        assert!(source.fits(query), "the query and the blocks have different shapes");
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86_64::avx2::scan(source, query, range, threshold, sink),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => x86_64::avx512::scan(source, query, range, threshold, sink),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kernel::Neon => {
                portable::scan::<portable::Plain<portable::Bytes>, S>((), source, query, range, threshold, sink);
            }
            _ => scalar::scan(source, query, range, threshold, sink),
        }
    }
}

/// Takes a block's lanes that reach the threshold and all its scores; returns the new threshold.
pub type Sink<'a> = dyn FnMut(usize, u16, &[f32; LANES]) -> f32 + 'a;
