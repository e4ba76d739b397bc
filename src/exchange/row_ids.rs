//! Which id each row of a table belongs to.

use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, Side, side_name};

/// The external ids of the rows of a table, in the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowIds {
    /// Row r is the integer id r.
    RowNumbers,
    /// Integer ids.
    Integers(Vec<u64>),
    /// Ids of any one kind.
    Listed(Vec<Id>),
}

impl From<Vec<u64>> for RowIds {
    fn from(ids: Vec<u64>) -> Self {
        RowIds::Integers(ids)
    }
}

impl From<Vec<Id>> for RowIds {
    fn from(ids: Vec<Id>) -> Self {
        RowIds::Listed(ids)
    }
}

impl RowIds {
    /// The id of a row, which has to exist.
    pub(crate) fn id(&self, row: usize) -> Id {
        match self {
            RowIds::RowNumbers => Id::Int(row as u64),
            RowIds::Integers(ids) => Id::Int(ids[row]),
            RowIds::Listed(ids) => ids[row].clone(),
        }
    }

    /// Refuses ids that are not one a row of `rows`, of one kind, within bounds, and distinct. O(rows log rows) for ids that are not in
    /// order. The kind, if there are rows.
    pub(crate) fn check(&self, side: Side, rows: usize) -> Result<Option<IdKind>> {
        let side_name = side_name(side);
        let refuse = |what: String, remedy: &str| Err(Error::InvalidArgument { what, remedy: remedy.to_owned() });
        if rows >= u32::MAX as usize {
            return refuse(format!("{rows} {side_name}s"), "split the data over several databases");
        }
        let given = match self {
            RowIds::RowNumbers => return Ok((rows > 0).then_some(IdKind::U64)),
            RowIds::Integers(ids) => ids.len(),
            RowIds::Listed(ids) => ids.len(),
        };
        if given != rows {
            return refuse(format!("{given} {side_name} ids for {rows} rows"), "pass one id a row");
        }
        let kind = match self {
            RowIds::Listed(ids) => {
                let kind = ids.first().map(Id::kind);
                for (row, id) in ids.iter().enumerate() {
                    if let Err(Error::InvalidArgument { what, remedy }) = id.check(side) {
                        return refuse(format!("{what} of row {row}"), &remedy);
                    }
                    if Some(id.kind()) != kind {
                        let what = format!("{side_name} id {id} of row {row}, of another kind than row 0's");
                        return refuse(what, "pass ids of one kind a side");
                    }
                }
                kind
            }
            _ => (rows > 0).then_some(IdKind::U64),
        };
        match self.repeated() {
            Some((first, again)) => {
                let what = format!("{side_name} id {} of rows {first} and {again}", self.id(first));
                refuse(what, "pass each id once")
            }
            None => Ok(kind),
        }
    }

    /// The first two rows in the order of ids, and in that of rows, with one id.
    fn repeated(&self) -> Option<(usize, usize)> {
        fn first<T: Ord>(ids: &[T]) -> Option<(usize, usize)> {
            if ids.is_sorted_by(|a, b| a < b) {
                return None;
            }
            let mut order: Vec<u32> = (0..ids.len() as u32).collect();
            order.sort_by(|&a, &b| ids[a as usize].cmp(&ids[b as usize]));
            let equal = |pair: &&[u32]| ids[pair[0] as usize] == ids[pair[1] as usize];
            order.windows(2).find(equal).map(|pair| (pair[0] as usize, pair[1] as usize))
        }
        match self {
            RowIds::RowNumbers => None,
            RowIds::Integers(ids) => first(ids),
            RowIds::Listed(ids) => first(ids),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_a_row_of_one_kind_and_distinct() {
        let check = |ids: RowIds, rows| ids.check(Side::Item, rows).map_err(|error| error.to_string());
        assert_eq!(check(RowIds::RowNumbers, 3), Ok(Some(IdKind::U64)));
        assert_eq!(check(RowIds::RowNumbers, 0), Ok(None));
        assert_eq!(check(vec![9u64, 3, 5].into(), 3), Ok(Some(IdKind::U64)));
        assert_eq!(check(vec![Id::from("b"), "a".into()].into(), 2), Ok(Some(IdKind::Str)));
        for (ids, rows, parts) in [
            (vec![9u64, 3, 5].into(), 2, ["3 item ids for 2 rows", "one id a row"]),
            (vec![9u64, 3, 5, 3].into(), 4, ["item id 3 of rows 1 and 3", "once"]),
            (vec![Id::from("a"), Id::from(1u64)].into(), 2, ["row 1", "one kind"]),
            (vec![Id::from("a"), Id::from("")].into(), 2, ["0 bytes of row 1", "1 to 512"]),
            (RowIds::RowNumbers, u32::MAX as usize, ["4294967295 items", "several databases"]),
        ] {
            let text = check(ids, rows).unwrap_err();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
