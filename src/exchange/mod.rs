//! What comes from other programs and goes to them: codes and vectors made elsewhere, and folders of `.npy` files.

mod code_set;
mod embeddings;
mod export;
mod folder;
mod row_ids;
mod unfinished;
mod vectors;

pub use code_set::CodeSet;
pub use embeddings::{Embeddings, EncodeOptions, Metric};
pub use export::ExportOutcome;
pub(crate) use export::export;
pub use row_ids::RowIds;
pub use vectors::Vectors;
