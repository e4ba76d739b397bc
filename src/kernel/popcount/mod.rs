//! Weighted popcount: scores of one query against blocks of 16 one-bit items ([`Blocks`]), upper bounds on them for balls of items ([`Balls`])
//! and from a part of an item ([`Heads`]), estimates of the best of a bucket ([`Centres`]), and codes read a piece at a time ([`Pieces`]).
//!
//! Every kernel computes the score of [`crate::code`] bit for bit; [`scalar`] is the specification. The rest is one generic loop
//! ([`portable`]) over two ways to count ([`portable::Lanes`]: bits of bytes, or nibbles in tables of the query, [`Agreement`]), compiled for
//! the instruction sets below and chosen once, at run time.

mod agreement;
mod balls;
mod blocks;
mod centres;
mod heads;
mod lanes;
mod pieces;
mod plain;
mod portable;
mod scalar;
mod source;

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::OnceLock;

pub use agreement::{Agreement, TABLE_PLANES};
pub use balls::{BallQuery, Balls};
pub(crate) use blocks::LAYOUT;
pub use blocks::{BlockQuery, Blocks};
pub use centres::Centres;
pub use heads::Heads;
pub use lanes::{LANES, LaneCounts, LaneScalers, LaneSums, LaneWords};
use pieces::PiecePass;
pub use pieces::{PIECE, PieceQuery, Pieces};
use portable::{Pass, Which};
pub use source::Source;

/// The environment variable that forces a kernel, for tests and measurements.
pub const KERNEL_VARIABLE: &str = "KITHDB_KERNEL";

/// An implementation of the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// AVX-512 with BITALG, VBMI, VNNI and GFNI: byte counts, 64 at a time; look-ups for several planes.
    Avx512,
    /// AVX-512 with BW, DQ and VL: look-ups in tables of the query.
    Avx512Bw,
    /// AVX2: look-ups in tables of the query, a nibble at a time.
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
    #[error("{KERNEL_VARIABLE}={name}: no such kernel; use scalar, avx2, avx512bw, avx512 or neon, or unset it")]
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
    pub const ALL: [Kernel; 5] = [Kernel::Avx512, Kernel::Avx512Bw, Kernel::Avx2, Kernel::Neon, Kernel::Scalar];

    /// The name it is forced by and reported as.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Avx512 => "avx512",
            Kernel::Avx512Bw => "avx512bw",
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
            Kernel::Avx512 => x86_64::avx512::Counting::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Bw => x86_64::avx512::Tables::detect().is_some(),
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

    /// [`Kernel::scan_many`] of one query, whose number `sink(block, lanes, scores)` does not get.
    ///
    /// # Panics
    /// As [`Kernel::scan_many`].
    pub fn scan<S: Source>(
        self,
        source: &S,
        query: &S::Query,
        range: Range<usize>,
        mut threshold: f32,
        sink: &mut dyn FnMut(usize, u16, &[f32; LANES]) -> f32,
    ) {
        let mut sink = |_: usize, block: usize, lanes: u16, scores: &[f32; LANES]| sink(block, lanes, scores);
        self.scan_many(source, &[query], range, std::slice::from_mut(&mut threshold), &mut sink);
    }

    /// Scores `range` of the blocks in order for every query and gives `sink` every block in which a lane reaches the query's threshold.
    ///
    /// `sink(query, block, lanes, scores)` gets the number of the query, the lanes with `score >= threshold` as bits and all 16 scores, and
    /// returns that query's threshold from then on. Every query gets its blocks in order; between queries there is none. Padding lanes may
    /// reach a threshold; the sink knows them by their position. Several queries share what is read: with four at a time a code is taken
    /// apart once, and with any number the memory is read once. A kernel that is not available is replaced by the scalar one.
    /// O(queries x range x row) time; only the scalar kernel allocates.
    ///
    /// # Panics
    /// If the range is not inside the blocks, a query has another shape or number of planes than the first, or there is not one threshold a
    /// query.
    pub fn scan_many<S: Source>(
        self,
        source: &S,
        queries: &[&S::Query],
        range: Range<usize>,
        thresholds: &mut [f32],
        sink: &mut Sink<'_>,
    ) {
        assert!(range.start <= range.end && range.end <= source.blocks(), "blocks {range:?} of {}", source.blocks());
        assert_eq!(queries.len(), thresholds.len(), "one threshold a query");
        let Some(first) = queries.first() else { return };
        for query in queries {
            assert!(source.fits(query), "the query and the blocks have different shapes");
            assert_eq!(S::planes(query), S::planes(first), "queries of one pass have as many planes");
        }
        self.pass(Pass { source, queries, blocks: Which::Range(range), thresholds, sink });
    }

    /// [`Kernel::scan`] of the blocks in `list`, in its order: while one is scored, the memory is asked for the next.
    ///
    /// # Panics
    /// If there is no such block, or the query has another shape.
    pub fn scan_list<S: Source>(
        self,
        source: &S,
        query: &S::Query,
        list: &[u32],
        mut threshold: f32,
        sink: &mut dyn FnMut(usize, u16, &[f32; LANES]) -> f32,
    ) {
        assert!(list.iter().all(|&block| (block as usize) < source.blocks()), "blocks up to {}", source.blocks());
        assert!(source.fits(query), "the query and the blocks have different shapes");
        let mut sink = |_: usize, block: usize, lanes: u16, scores: &[f32; LANES]| sink(block, lanes, scores);
        let thresholds = std::slice::from_mut(&mut threshold);
        self.pass(Pass { source, queries: &[query], blocks: Which::List(list), thresholds, sink: &mut sink });
    }

    /// Gives `sink` what [`Kernel::scan`] of all blocks would, in their order but for those that are in `done`, a bit a block: a piece of every block at a
    /// time, as long as what is left can bring one of its items to the threshold. Returns how many pieces were read.
    ///
    /// # Panics
    /// If the pieces are of other blocks, or the query is of another shape.
    pub fn scan_pieces(
        self,
        pieces: &Pieces,
        blocks: &Blocks,
        query: &PieceQuery,
        done: &[u64],
        threshold: f32,
        sink: &mut dyn FnMut(usize, u16, &[f32; LANES]) -> f32,
    ) -> u64 {
        assert!(pieces.fit(blocks, query), "pieces of other blocks, or a query of another shape");
        assert!(done.len() >= blocks.len().div_ceil(64), "a bit a block");
        let mut read = 0;
        let pass = PiecePass { pieces, blocks, query, done, threshold, sink, read: &mut read };
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86_64::avx2::scan_pieces(pass),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => x86_64::avx512::scan_pieces(pass),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Bw => x86_64::avx512::scan_pieces_by_tables(pass),
            _ => pieces::scan::<plain::Plain>((), pass),
        }
        read
    }

    fn pass<S: Source>(self, pass: Pass<'_, S>) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86_64::avx2::scan(pass),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => x86_64::avx512::scan(pass),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Bw => x86_64::avx512::scan_by_tables(pass),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kernel::Neon => portable::scan::<plain::Plain, S>((), pass),
            _ => scalar::scan(pass),
        }
    }
}

/// Takes a query's number, a block's lanes that reach its threshold and all its scores; returns the query's new threshold.
pub type Sink<'a> = dyn FnMut(usize, usize, u16, &[f32; LANES]) -> f32 + 'a;
