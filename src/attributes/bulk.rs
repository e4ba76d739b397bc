//! The columns of many rows made at once, as a generation has them.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::codec::{self, Said};
use super::column::{Column, Values};
use super::flags::Flags;
use super::numbers::Numbers;
use super::words::Words;
use crate::pool;

/// What is said of rows, by name: put by as it is read, and indexed at the end.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    /// Ascending by name.
    columns: Vec<(&'a str, Given<'a>)>,
}

/// The values of one name, by rows, ascending.
enum Given<'a> {
    Bool(Vec<(u32, bool)>),
    Number(Vec<(u32, f64)>),
    Text(Numbered<'a>),
    Tags(Numbered<'a>),
}

/// Words numbered by first use, and rows with the numbers of theirs.
#[derive(Default)]
struct Numbered<'a> {
    numbers: HashMap<&'a str, u32>,
    words: Vec<&'a str>,
    rows: Vec<(u32, u32)>,
}

impl<'a> Gathered<'a> {
    /// Takes in the bytes of a row above those before; `None` where they are none of [`codec::encode`], or of two kinds under a name.
    pub(super) fn row(&mut self, row: u32, bytes: &'a [u8]) -> Option<()> {
        let mut at = 0;
        for field in codec::fields(bytes) {
            let (name, said) = field?;
            if matches!(said, Said::Unset) {
                continue;
            }
            at = self.place(at, name, &said);
            self.columns.get_mut(at)?.1.push(row, said)?;
            at += 1;
        }
        Some(())
    }

    /// The place of a name, not before `at`: mostly there, as rows have much the same names.
    fn place(&mut self, at: usize, name: &'a str, said: &Said<'_>) -> usize {
        if self.columns.get(at).is_some_and(|column| column.0 == name) {
            return at;
        }
        let found = self.columns.binary_search_by_key(&name, |column| column.0);
        found.unwrap_or_else(|at| {
            self.columns.insert(at, (name, Given::of_kind(said)));
            at
        })
    }

    /// The columns by name, made side by side on the threads of the pool this is called on. O(values log values).
    pub(super) fn columns(&self) -> Option<BTreeMap<String, Column>> {
        let made = pool::map(self.columns.len(), 1, |places| self.columns[places.start].1.column());
        let names = self.columns.iter().map(|(name, _)| (*name).to_owned());
        names.zip(made).map(|(name, column)| Some((name, column?))).collect()
    }
}

impl<'a> Given<'a> {
    fn of_kind(said: &Said<'_>) -> Self {
        match said {
            Said::Unset | Said::Bool(_) => Self::Bool(Vec::new()),
            Said::Number(_) => Self::Number(Vec::new()),
            Said::Text(_) => Self::Text(Numbered::default()),
            Said::Tags(_) => Self::Tags(Numbered::default()),
        }
    }

    fn push(&mut self, row: u32, said: Said<'a>) -> Option<()> {
        match (self, said) {
            (Self::Bool(given), Said::Bool(value)) => given.push((row, value)),
            // The two zeros are one number.
            (Self::Number(given), Said::Number(number)) => given.push((row, number + 0.0)),
            (Self::Text(words), Said::Text(text)) => words.push(row, &[text]),
            (Self::Tags(words), Said::Tags(tags)) => words.push(row, &tags),
            _ => return None,
        }
        Some(())
    }

    fn column(&self) -> Option<Column> {
        let present = match self {
            Self::Bool(given) => ascending(given.iter().map(|&(row, _)| row)),
            Self::Number(given) => ascending(given.iter().map(|&(row, _)| row)),
            Self::Text(words) | Self::Tags(words) => {
                ascending(words.rows.chunk_by(|a, b| a.0 == b.0).map(|of_row| of_row[0].0))
            }
        };
        let values = match self {
            Self::Bool(given) => Values::Bool(Flags::of(given)),
            Self::Number(given) => Values::Number(Numbers::of(given)),
            Self::Text(words) => Values::Text(Words::of_rows(&words.words, &words.rows)?),
            Self::Tags(words) => Values::Tags(Words::of_rows(&words.words, &words.rows)?),
        };
        Some(Column::of(present, values))
    }
}

impl<'a> Numbered<'a> {
    fn push(&mut self, row: u32, words: &[&'a str]) {
        let start = self.rows.len();
        for &word in words {
            let number = *self.numbers.entry(word).or_insert_with(|| {
                self.words.push(word);
                self.words.len() as u32 - 1
            });
            self.rows.push((row, number));
        }
        self.rows[start..].sort_unstable();
    }
}

/// The set of rows that ascend. O(rows).
pub(super) fn ascending(rows: impl IntoIterator<Item = u32>) -> RoaringBitmap {
    let mut set = RoaringBitmap::new();
    let ascend = set.append(rows);
    debug_assert!(ascend.is_ok(), "rows are placed in their order");
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{Attributes, Table, Value, encode};
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![(-3i8..4).prop_map(f64::from), -1e3..1e3f64, Just(-0.0)]
    }

    fn attributes() -> impl Strategy<Value = Attributes> {
        let tags = prop::collection::btree_set("[a-d]{1,2}", 0..4);
        let (text, number) = (prop::option::of("[a-c]{1,2}"), prop::option::of(number()));
        (number, prop::option::of(any::<bool>()), text, tags, any::<bool>()).prop_map(|(n, b, text, tags, unset)| {
            let mut attributes = Attributes::new();
            n.into_iter().for_each(|n| attributes.insert("n", n));
            b.into_iter().for_each(|b| attributes.insert("b", b));
            text.into_iter().for_each(|text| attributes.insert("text", text));
            attributes.insert("tags", tags.into_iter().collect::<Vec<_>>());
            if unset { attributes.unset("nothing") } else { attributes }
        })
    }

    /// Whether two tables say the same, by row and by value.
    fn same(a: &Table, b: &Table, rows: u32) -> Result<(), TestCaseError> {
        prop_assert!(a.names().eq(b.names()));
        for row in 0..rows {
            prop_assert_eq!(a.get(row), b.get(row), "row {}", row);
        }
        for (name, _) in a.names() {
            let (a, b) = (a.column(name).unwrap(), b.column(name).unwrap());
            let all = a.present();
            prop_assert_eq!(all, b.present());
            match (&a.values, &b.values) {
                (Values::Bool(a), Values::Bool(b)) => {
                    prop_assert!([true, false].iter().all(|&value| a.rows(value) == b.rows(value)));
                }
                (Values::Number(a), Values::Number(b)) => {
                    for bound in -5..6 {
                        let bound = Some((f64::from(bound) * 0.7, true));
                        prop_assert_eq!(a.between(bound, None, all), b.between(bound, None, all));
                        prop_assert_eq!(a.between(None, bound, all), b.between(None, bound, all));
                    }
                }
                (Values::Text(a), Values::Text(b)) | (Values::Tags(a), Values::Tags(b)) => {
                    for row in 0..rows {
                        for word in a.get(row) {
                            prop_assert_eq!(a.rows(word), b.rows(word));
                        }
                    }
                }
                _ => prop_assert!(false, "{} is of two kinds", name),
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn at_once_is_as_one_by_one(
            said in prop::collection::vec(prop::option::of(attributes()), 0..120),
            repeated in 0u32..3,
            later in prop::collection::vec((0u32..130, attributes()), 0..40),
        ) {
            let (mut one_by_one, mut bytes, mut lengths) = (Table::default(), Vec::new(), Vec::new());
            // Enough rows of one number and of many that there are several runs.
            let many = (0..repeated * 5_000).map(|row| Some(Attributes::new().set("n", if repeated == 1 { 7 } else { row % 977 })));
            for (row, said) in (0..).zip(said.into_iter().chain(many)) {
                let start = bytes.len();
                if let Some(said) = said {
                    one_by_one.set(row, &said).unwrap();
                    encode(&said, &mut bytes);
                }
                lengths.push((bytes.len() - start) as u32);
            }
            let mut at_once = Table::decode(&bytes, &lengths).unwrap();
            let rows = lengths.len() as u32;
            same(&at_once, &one_by_one, rows)?;
            prop_assert_eq!(at_once.encode(rows), one_by_one.encode(rows));
            for (row, said) in later {
                at_once.set(row, &said).unwrap();
                one_by_one.set(row, &said).unwrap();
            }
            same(&at_once, &one_by_one, rows.max(130))?;
        }
    }

    #[test]
    fn what_no_table_gives_is_none() {
        let bytes = |said: &[(&str, Value)]| {
            let mut bytes = Vec::new();
            encode(&said.iter().cloned().collect(), &mut bytes);
            bytes
        };
        let (first, second) = (bytes(&[("a", 1.into())]), bytes(&[("a", "one".into())]));
        let lengths = [first.len() as u32, second.len() as u32];
        assert!(Table::decode(&[first.clone(), second].concat(), &lengths).is_none());
        assert!(Table::decode(&[first.clone(), first.clone()].concat(), &[2 * lengths[0]]).is_none());
        assert!(Table::decode(&[first.clone(), first].concat(), &[lengths[0]; 2]).is_some());
    }
}
