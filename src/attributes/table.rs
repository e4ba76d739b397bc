//! The attributes of a side.

use std::collections::BTreeMap;
use std::sync::Arc;

use kithdb_storage::Side;

use super::bulk::Gathered;
use super::codec;
use super::column::Column;
use super::set::Attributes;
use super::value::ValueKind;
use crate::error::{Error, Result};
use crate::ids::side_name;

/// The most names of attributes that a side has: [`Db::set_item`](crate::Db::set_item).
pub const MAX_NAMES: usize = 256;

/// Both sides' attributes. A copy is O(1).
#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) users: Table,
    pub(crate) items: Table,
}

impl Tables {
    pub(crate) fn of(&self, side: Side) -> &Table {
        match side {
            Side::User => &self.users,
            Side::Item => &self.items,
        }
    }

    pub(crate) fn of_mut(&mut self, side: Side) -> &mut Table {
        match side {
            Side::User => &mut self.users,
            Side::Item => &mut self.items,
        }
    }
}

/// The attributes of one side's rows, by name. A copy is O(1); a change of a shared one copies a pointer or two a name, and what its column does.
#[derive(Clone, Default)]
pub(crate) struct Table {
    columns: Arc<BTreeMap<String, Column>>,
}

impl Table {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The values of a name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.get(name)
    }

    /// Names, and the kind of their values.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, ValueKind)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column.kind()))
    }

    /// Bytes they take, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.columns.values().map(|column| column.bytes() as u64).sum()
    }

    /// Of a row.
    pub(crate) fn get(&self, row: u32) -> Attributes {
        self.columns.iter().filter_map(|(name, column)| Some((name.clone(), column.get(row)?))).collect()
    }

    /// Takes in what is said of a row.
    ///
    /// # Errors
    /// `Damaged` for a value of another kind than its name has: a write of one is refused.
    pub(crate) fn set(&mut self, row: u32, attributes: &Attributes) -> Result<()> {
        let columns = Arc::make_mut(&mut self.columns);
        for (name, value) in attributes.changes() {
            let column = match (columns.get_mut(name), value) {
                (Some(column), _) => column,
                (None, Some(value)) => columns.entry(name.to_owned()).or_insert_with(|| Column::new(value.kind())),
                (None, None) => continue,
            };
            if !column.set(row, value) {
                return Err(Error::Damaged { what: format!("the log, where attribute {name} is of two kinds") });
            }
            if column.present().is_empty() {
                columns.remove(name);
            }
        }
        Ok(())
    }

    /// Forgets all of a row.
    pub(crate) fn clear(&mut self, row: u32) {
        if self.columns.values().any(|column| column.present().contains(row)) {
            let columns = Arc::make_mut(&mut self.columns);
            columns.values_mut().for_each(|column| _ = column.set(row, None));
            columns.retain(|_, column| !column.present().is_empty());
        }
    }

    /// The bytes of the rows below `rows`, one after another, and the length of each.
    pub(crate) fn encode(&self, rows: u32) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut lengths) = (Vec::new(), Vec::with_capacity(rows as usize));
        for row in 0..rows {
            let start = bytes.len();
            for (name, column) in &*self.columns {
                if let Some(value) = column.get(row) {
                    codec::encode_one(name, Some(&value), &mut bytes);
                }
            }
            lengths.push((bytes.len() - start) as u32);
        }
        (bytes, lengths)
    }

    /// The table of what [`Table::encode`] gave; `None` where it gives that of none. O(bytes + values log values).
    pub(crate) fn decode(mut bytes: &[u8], lengths: &[u32]) -> Option<Self> {
        let mut gathered = Gathered::default();
        for (row, &length) in (0..).zip(lengths) {
            let (own, rest) = bytes.split_at_checked(length as usize)?;
            gathered.row(row, own)?;
            bytes = rest;
        }
        let columns = bytes.is_empty().then(|| gathered.columns())??;
        Some(Self { columns: Arc::new(columns) })
    }
}

/// Refuses attributes whose kinds are not those their names have, in the table or, by this group of writes, in `new`; takes in the others' kinds.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check_kinds(
    side: Side,
    table: &Table,
    new: &mut BTreeMap<String, ValueKind>,
    attributes: &Attributes,
) -> Result<()> {
    for (name, value) in attributes.iter() {
        let known = table.column(name).map(Column::kind).or_else(|| new.get(name).copied());
        let Some(kind) = known else {
            let fresh = new.keys().filter(|name| table.column(name.as_str()).is_none()).count();
            if table.columns.len() + fresh >= MAX_NAMES {
                return Err(Error::InvalidArgument {
                    what: format!("attribute {name} of {}s, one name more than {MAX_NAMES}", side_name(side)),
                    remedy: "put what is alike under one name, as tags".to_owned(),
                });
            }
            new.insert(name.to_owned(), value.kind());
            continue;
        };
        if kind != value.kind() {
            return Err(Error::InvalidArgument {
                what: format!("attribute {name} = {value}, which is {}", with_article(value.kind())),
                remedy: format!(
                    "{name} of {}s is {}: pass one, or use another name",
                    side_name(side),
                    with_article(kind)
                ),
            });
        }
    }
    Ok(())
}

pub(crate) fn with_article(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Bool => "a boolean",
        ValueKind::Number => "a number",
        ValueKind::Text => "a text",
        ValueKind::Tags => "a set of tags",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_names_go_with_their_last_value() {
        let mut table = Table::default();
        let kettle = Attributes::titled("Kettle").set("price", 49.5).set("in_stock", true).set("tags", ["sale", "new"]);
        table.set(3, &kettle).unwrap();
        table.set(5, &Attributes::new().set("price", 12)).unwrap();
        let before = table.clone();
        table.set(3, &Attributes::new().set("in_stock", false).unset("tags").unset("colour")).unwrap();
        assert_eq!(table.get(3), Attributes::titled("Kettle").set("price", 49.5).set("in_stock", false));
        assert_eq!(before.get(3), kettle);
        assert_eq!(table.names().map(|(name, _)| name).collect::<Vec<_>>(), ["in_stock", "price", "title"]);
        let (bytes, lengths) = table.encode(7);
        let again = Table::decode(&bytes, &lengths).unwrap();
        assert!((0..7).all(|row| again.get(row) == table.get(row)));
        assert!(Table::decode(&bytes[1..], &lengths).is_none() && Table::decode(&bytes, &lengths[..4]).is_none());
        table.clear(3);
        assert_eq!((table.get(3).is_empty(), table.names().count()), (true, 1));
    }

    #[test]
    fn a_name_has_one_kind() {
        let mut table = Table::default();
        table.set(0, &Attributes::new().set("price", 1)).unwrap();
        let check = |attributes: &Attributes| {
            check_kinds(Side::Item, &table, &mut BTreeMap::new(), attributes).map_err(|error| error.to_string())
        };
        assert_eq!(check(&Attributes::new().set("price", 2).set("size", "XL")), Ok(()));
        let error = check(&Attributes::new().set("price", "cheap")).unwrap_err();
        assert!(error.contains("price = cheap") && error.contains("is a number"), "{error}");
        let (first, second) = (Attributes::new().set("size", "XL"), Attributes::new().set("size", 3));
        let mut new = BTreeMap::new();
        check_kinds(Side::Item, &table, &mut new, &first).unwrap();
        assert!(check_kinds(Side::Item, &table, &mut new, &second).is_err());
    }
}
