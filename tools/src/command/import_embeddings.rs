//! `kithdb import-embeddings`: float vectors made elsewhere, encoded and published.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use kithdb::{Db, Embeddings, EncodeOptions, RowIds, Vectors};

use super::import_codes;
use crate::cli::Answer;
use crate::interrupt;
use crate::output::Output;

/// Encode float vectors made elsewhere and publish the codes, in a database that is made if there is none
///
/// Files are .npy, float32, [rows, dims] or [rows, layers, dims]; row numbers are the ids. `kithdb query --vector` takes vectors like these.
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb import-embeddings new.kith --items items.npy --users users.npy
  kithdb import-embeddings new.kith --items items.npy --metric cosine --bits 512")]
pub(crate) struct ImportEmbeddings {
    /// The database's directory
    #[arg(value_name = "DB")]
    db: PathBuf,
    /// The items' vectors
    #[arg(long, value_name = "FILE")]
    items: PathBuf,
    /// The users' vectors, of as many dimensions
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// How near two vectors are
    #[arg(long, value_enum, default_value_t = Metric::Dot)]
    metric: Metric,
    /// Bits of an item's code in all, a multiple of 64 [default: one a dimension, filled up to a multiple of 64]
    #[arg(long)]
    bits: Option<u32>,
    /// Layers a vector is encoded in, each holding what those before left over [default: as many as leave each a bit a dimension]
    #[arg(long)]
    passes: Option<u32>,
    /// Bits a dimension of users and of queries by a vector
    #[arg(long, value_name = "BITS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=8))]
    query_bits: u32,
    /// Seed of the rotation
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The library's metrics, as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Metric {
    /// The larger the inner product, the nearer.
    Dot,
    /// The smaller the angle, the nearer.
    Cosine,
}

impl ImportEmbeddings {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let start = Instant::now();
        let mut options = EncodeOptions::new(match self.metric {
            Metric::Dot => kithdb::Metric::Dot,
            Metric::Cosine => kithdb::Metric::Cosine,
        });
        options = options.query_planes(self.query_bits).seed(self.seed);
        if let Some(bits) = self.bits {
            options = options.bits(bits);
        }
        if let Some(passes) = self.passes {
            options = options.passes(passes);
        }
        let mut embeddings = Embeddings {
            items: Vectors::open(&self.items)?,
            item_ids: RowIds::RowNumbers,
            users: self.users.as_ref().map(Vectors::open).transpose()?,
            user_ids: RowIds::RowNumbers,
        };
        // Before the database is opened: what is refused leaves none behind.
        embeddings.check(&options)?;
        let db = Db::open(&self.db)?.cancelled_by(&interrupt::token());
        let outcome = db.import_embeddings(embeddings, &options)?;
        import_codes::print(output, outcome, start)
    }
}
