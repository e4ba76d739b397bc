//! Codes made elsewhere, ready to be published.

use std::path::Path;

use super::RowIds;
use super::folder;
use crate::code::{LayeredCodes, PlaneCodes};
use crate::error::{Error, Result};
use crate::ids::{IdKind, Side};

/// Packed codes of both sides with the ids they belong to, for [`Db::import_codes`](crate::Db::import_codes).
///
/// ```
/// use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
/// use kithdb::{CodeSet, Db, Id};
///
/// # fn main() -> kithdb::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// // Two layers of 8 bits, the second of half the weight; the score uses the squares of the weights.
/// let shape = CodeShape::new(vec![8, 8], vec![1.0, 0.5])?;
/// let mut words = Vec::new();
/// shape.unpack(1, &[0b1111_0000, 0b1010_1010, 0b0000_1111, 0b1010_1010], &mut words);
/// let items = LayeredCodes::from_parts(shape.clone(), words, vec![0.9, 0.4, 1.1, 0.4])?;
/// let mut words = Vec::new();
/// shape.unpack(1, &[0b0001_1111, 0b1010_1010], &mut words);
/// let users = PlaneCodes::from_parts(shape, 1, words, vec![1.0, 1.0])?;
///
/// let db = Db::open(dir.path().join("shop.kith"))?;
/// let item_ids = vec![Id::from("grinder"), Id::from("kettle")].into();
/// db.import_codes(CodeSet { items, item_ids, users, user_ids: vec![Id::from("alice")].into() })?;
/// assert_eq!(db.nearest("alice", 1)?.as_slice()[0].id, "kettle".into());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CodeSet {
    /// One row per item. An item whose scalers are all 0 has no code: no query returns it.
    pub items: LayeredCodes,
    /// The items' ids.
    pub item_ids: RowIds,
    /// One row per user, none if queries come otherwise; of the items' shape.
    pub users: PlaneCodes,
    /// The users' ids.
    pub user_ids: RowIds,
}

impl CodeSet {
    /// Reads a folder of `.npy` files: `items_codes` (`uint8`, `[n, bytes]`: layer after layer, bit j of a layer's byte b its dimension
    /// 8 b + j, set for +1), `items_scalers` (floats, `[n, layers]`), `layer_weights` (floats, `[layers]`), and, if there are users,
    /// `queries_codes` and `queries_scalers` alike. All layers have one width, `8 bytes / layers`.
    ///
    /// Optional are `queries_planes` (`uint8`, `[m, layers, planes, bytes / layers]`, the sign first: users of more than one bit a
    /// dimension) and ids: `items_ids.npy` (`uint64`, `[n]`) or `items_ids.txt` (strings, one a line) and `queries_ids` alike; without
    /// them, ids are row numbers. [`Db::export_npy`](crate::Db::export_npy) writes such a folder. Files are read in pieces: memory holds the codes once.
    ///
    /// # Errors
    /// [`Error::Npy`] where a file is missing, damaged or of another type; [`Error::InvalidArgument`] where shapes disagree, or ids are not one a
    /// row, of one kind and distinct; [`Error::Code`] for a scaler or weight that is NaN, negative or too large.
    pub fn read_folder(folder: impl AsRef<Path>) -> Result<Self> {
        folder::read(folder.as_ref())
    }

    /// Refuses sides of different shapes and ids that do not fit; the kinds of both sides' ids.
    pub(crate) fn check(&self) -> Result<[(Side, Option<IdKind>); 2]> {
        check_items(self.items.len())?;
        self.check_sides()
    }

    /// [`CodeSet::check`] of a set that may be empty, as an export is of a database whose items are all retired.
    pub(super) fn check_sides(&self) -> Result<[(Side, Option<IdKind>); 2]> {
        if self.items.shape() != self.users.shape() {
            return Err(Error::InvalidArgument {
                what: format!("users of shape {:?} and items of {:?}", self.users.shape(), self.items.shape()),
                remedy: "give both sides the same widths and weights a layer".into(),
            });
        }
        Ok([
            (Side::User, self.user_ids.check(Side::User, self.users.len())?),
            (Side::Item, self.item_ids.check(Side::Item, self.items.len())?),
        ])
    }
}

/// Refuses a set without items.
pub(super) fn check_items(rows: usize) -> Result<()> {
    if rows > 0 {
        return Ok(());
    }
    Err(Error::InvalidArgument { what: "no items".into(), remedy: "import at least one".into() })
}
