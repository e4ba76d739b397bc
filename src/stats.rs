//! Counts and sizes of a database.

use kithdb_storage::{JobOutcome, JobRecord, Manifest, Store};
use serde::Serialize;

use crate::compaction::Drift;
use crate::error::Result;
use crate::generation::Provenance;
use crate::memory::MemoryStats;
use crate::repeats::Repeats;
use crate::snapshot::Snapshot;

/// What [`Db::stats`](crate::Db::stats) tells.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Users with an id in use.
    pub users: u64,
    /// Items with an id in use.
    pub items: u64,
    /// Interactions that count now.
    pub interactions: u64,
    /// Interactions that are not as the generation has them.
    pub tail_changes: u64,
    /// What an interaction that comes again means.
    pub repeats: Repeats,
    /// Items no query returns.
    pub retired_items: u64,
    /// The last operation's number in the log.
    pub last_sequence: u64,
    /// The generation that answers queries, if there is one.
    pub generation: Option<GenerationStats>,
    /// The generations before it that are kept, newest first: [`Db::rollback`](crate::Db::rollback) goes back to one.
    pub kept_generations: Vec<KeptGeneration>,
    /// Bytes on disk.
    pub disk: DiskStats,
    /// Why something that is no longer needed is still on the disk; nothing where all of it is gone.
    pub left_behind: Option<String>,
    /// Bytes in memory.
    pub memory: MemoryStats,
}

/// A generation that is kept on the disk and does not answer.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeptGeneration {
    /// Its number.
    pub number: u64,
    /// The hash of its content.
    pub content_hash: String,
    /// What made it: `full`, `major`, `minor`, `fold`, `import` or `rollback`; nothing where it does not say.
    pub made_by: Option<&'static str>,
    /// The last operation it has seen.
    pub sequence: u64,
}

impl KeptGeneration {
    fn of(manifest: &Manifest) -> Self {
        Self {
            number: manifest.generation,
            content_hash: manifest.content_hash.clone(),
            made_by: made_by(manifest),
            sequence: manifest.folded_through,
        }
    }
}

/// What made a generation, where it says.
fn made_by(manifest: &Manifest) -> Option<&'static str> {
    Provenance::read(&manifest.attributes).map(|provenance| provenance.origin.name())
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct DiskStats {
    /// All of the directory.
    pub total: u64,
    /// The log and the manifests.
    pub store: u64,
    /// Generations.
    pub generations: u64,
    /// Training state, which costs no answer if it is lost.
    pub training_state: u64,
    /// Of all that, what counts: live log records, the current generation and those that are kept.
    pub live: u64,
}

/// Of the generation that answers queries.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GenerationStats {
    /// Its number.
    pub number: u64,
    /// The hash of its content.
    pub content_hash: String,
    /// Users it knows.
    pub users: u64,
    /// Items it knows.
    pub items: u64,
    /// Bits of each layer.
    pub layer_bits: Vec<u32>,
    /// Bit planes stored a user.
    pub query_bits: u32,
    /// Bytes an item's code and scalers take.
    pub bytes_per_item: u64,
    /// Bytes a user's code and scalers take.
    pub bytes_per_user: u64,
    /// What made it, as [`KeptGeneration::made_by`].
    pub made_by: Option<&'static str>,
    /// How long that took, in seconds; nothing where no record of it is kept.
    pub seconds: Option<f64>,
    /// Bytes of its parts, those that it shares with the generations before it among them.
    pub bytes: u64,
    /// How it differs from the generation before; nothing where that had no codes of the same shape, and where no record is kept.
    pub drift: Option<Drift>,
}

impl Stats {
    pub(crate) fn of(snapshot: &Snapshot, store: &Store) -> Result<Self> {
        let (catalogues, tail) = (snapshot.catalogues(), snapshot.tail());
        let jobs = store.jobs()?;
        let generation = tail.generation().map(|g| {
            let made =
                |job: &&JobRecord| matches!(job.outcome, JobOutcome::Done { generation } if generation == g.number());
            let job = jobs.iter().rev().find(made);
            let (shape, planes) = (g.shape(), g.users().planes());
            let scalers = 4 * shape.layers() as u64;
            GenerationStats {
                number: g.number(),
                content_hash: g.content_hash().to_owned(),
                users: g.users().len() as u64,
                items: g.n_items() as u64,
                layer_bits: shape.widths().to_vec(),
                query_bits: planes,
                bytes_per_item: 8 * shape.words() as u64 + scalers,
                bytes_per_user: 8 * shape.words() as u64 * u64::from(planes) + scalers,
                made_by: g.manifest().and_then(|manifest| made_by(manifest)),
                seconds: job.and_then(|job| Some((job.ended? - job.begun) as f64 / 1000.0)),
                bytes: g.manifest().map_or(0, |manifest| manifest.bytes()),
                drift: job.and_then(Drift::of_record),
            }
        });
        let disk = store.disk_usage()?;
        Ok(Self {
            users: catalogues.users.live(),
            items: catalogues.items.live(),
            interactions: tail.edges(),
            tail_changes: tail.changes(),
            repeats: tail.repeats(),
            retired_items: tail.retired().len(),
            last_sequence: store.last_sequence(),
            generation,
            kept_generations: store.kept().iter().map(|manifest| KeptGeneration::of(manifest)).collect(),
            disk: DiskStats {
                total: disk.total(),
                store: disk.store,
                generations: disk.generations,
                training_state: disk.state,
                live: disk.live,
            },
            left_behind: store.left_behind(),
            memory: MemoryStats::of(snapshot, store)?,
        })
    }
}
