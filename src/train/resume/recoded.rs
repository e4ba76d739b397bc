//! Codes of some rows.

use std::sync::Arc;

use crate::code::{LayeredCodes, PlaneCodes};
use crate::error::Result;
use crate::kernel::dense::Matrix;
use crate::train::student::Tables;

/// The codes of rows that were fitted again, in the order of the rows.
pub(crate) struct Recoded {
    pub(crate) users: PlaneCodes,
    pub(crate) items: LayeredCodes,
}

impl Recoded {
    /// Encodes the rows `users` and `items` of the tables, these users with these `magnitudes`.
    ///
    /// # Errors
    /// When a table is not finite.
    pub(super) fn of(
        tables: &Tables,
        (users, magnitudes): (&[u32], Matrix),
        items: &[u32],
        planes: u32,
    ) -> Result<Recoded> {
        let some = tables.gather(users, items, magnitudes);
        let shape = Arc::new(some.shape()?);
        Ok(Recoded { users: some.encode_users(&shape, planes)?, items: some.encode_items(&shape)? })
    }
}
