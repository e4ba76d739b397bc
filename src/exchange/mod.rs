//! What comes from other programs and goes to them: codes and vectors made elsewhere, and folders of `.npy` files.

mod code_set;
mod folder;
mod row_ids;

pub use code_set::CodeSet;
pub use row_ids::RowIds;
