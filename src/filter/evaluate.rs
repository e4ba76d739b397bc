//! From a condition to the rows that fulfil it.

use std::sync::Arc;

use roaring::{MultiOps, RoaringBitmap};

use super::condition::{Condition, Leaf, Node, Test};
use super::error::FilterError;
use crate::attributes::{Column, Table, Value, ValueKind, Values, with_article};

/// The rows below `rows` that fulfil a condition: those of a word or a boolean as the table has them, without a copy. O(rows / 64) an operation beside what
/// ranges of numbers take.
///
/// # Errors
/// For names that nothing has, and comparisons that their kind does not have.
pub(crate) fn evaluate(condition: &Condition, table: &Table, rows: u32) -> Result<Arc<RoaringBitmap>, FilterError> {
    Evaluation { table, rows }.node(&condition.0)
}

struct Evaluation<'a> {
    table: &'a Table,
    rows: u32,
}

impl Evaluation<'_> {
    fn node(&self, node: &Node) -> Result<Arc<RoaringBitmap>, FilterError> {
        match node {
            Node::All(nodes) => self.all(nodes),
            Node::Any(nodes) => Ok(union(nodes.iter().map(|node| self.node(node)).collect::<Result<_, _>>()?)),
            Node::Not(node) => {
                let mut all = self.everything();
                all -= &*self.node(node)?;
                Ok(Arc::new(all))
            }
            Node::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn everything(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.rows);
        all
    }

    /// Rows in all of the sets: those of a negation are taken away, instead of all others looked for.
    fn all(&self, nodes: &[Node]) -> Result<Arc<RoaringBitmap>, FilterError> {
        let (mut within, mut without) = (Vec::new(), Vec::new());
        for node in nodes {
            match node {
                Node::Not(node) => without.push(self.node(node)?),
                node => within.push(self.node(node)?),
            }
        }
        within.sort_by_key(|set| set.len());
        let mut within = within.into_iter();
        let mut rows = within.next().unwrap_or_else(|| Arc::new(self.everything()));
        for set in within {
            match Arc::get_mut(&mut rows) {
                Some(own) => *own &= &*set,
                None => rows = Arc::new(&*rows & &*set),
            }
        }
        for set in without {
            match Arc::get_mut(&mut rows) {
                Some(own) => *own -= &*set,
                None => rows = Arc::new(&*rows - &*set),
            }
        }
        Ok(rows)
    }

    fn leaf(&self, leaf: &Leaf) -> Result<Arc<RoaringBitmap>, FilterError> {
        let column = self.table.column(&leaf.name).ok_or_else(|| self.unknown(leaf))?;
        let refused = || misfit(leaf, column);
        Ok(match (&leaf.test, &column.values) {
            (Test::IsSet, _) => Arc::clone(column.present()),
            (Test::IsTrue, Values::Bool(flags)) => Arc::clone(flags.rows(true)),
            (Test::Between(from, to), Values::Number(numbers)) => {
                Arc::new(numbers.between(*from, *to, column.present()))
            }
            (Test::Contains(tag), Values::Tags(words)) => words.rows(tag),
            (Test::OneOf(values), _) => {
                let sets = values.iter().map(|value| equal(column, value).ok_or_else(refused));
                union(sets.collect::<Result<_, _>>()?)
            }
            _ => return Err(refused()),
        })
    }

    fn unknown(&self, leaf: &Leaf) -> FilterError {
        let names: Vec<&str> = self.table.names().map(|(name, _)| name).collect();
        let remedy = match names.as_slice() {
            [] => "nothing has any yet: set some with set_item(), or kithdb load-items".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        FilterError::new(leaf.position, format!("nothing has an attribute `{}`", leaf.name), remedy)
    }
}

/// The rows of a value; `None` of one of another kind.
fn equal(column: &Column, value: &Value) -> Option<Arc<RoaringBitmap>> {
    match (value, &column.values) {
        (Value::Bool(value), Values::Bool(flags)) => Some(Arc::clone(flags.rows(*value))),
        (Value::Number(value), Values::Number(numbers)) => {
            let value = Some((*value, true));
            Some(Arc::new(numbers.between(value, value, column.present())))
        }
        (Value::Text(word), Values::Text(words) | Values::Tags(words)) => Some(words.rows(word)),
        _ => None,
    }
}

/// Rows in any of the sets.
fn union(mut sets: Vec<Arc<RoaringBitmap>>) -> Arc<RoaringBitmap> {
    match sets.len() {
        1 => sets.remove(0),
        _ => Arc::new(sets.iter().map(|set| &**set).union()),
    }
}

/// That a kind of attribute has no such comparison.
fn misfit(leaf: &Leaf, column: &Column) -> FilterError {
    let name = &leaf.name;
    let remedy = match column.kind() {
        ValueKind::Bool => format!("write {name}, not {name}, or {name} = true"),
        ValueKind::Number => format!("write {name} = 50, {name} < 50 or {name} in (1, 2)"),
        ValueKind::Text => format!("write {name} = 'text' or {name} in ('one', 'two')"),
        ValueKind::Tags => format!("write 'tag' in {name} or {name} in ('one', 'two')"),
    };
    FilterError::new(leaf.position, format!("`{name}` is {}", with_article(column.kind())), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attributes;
    use crate::filter::attribute;
    use proptest::prelude::*;

    const ROWS: u32 = 40;

    fn attributes() -> impl Strategy<Value = Attributes> {
        let (text, tags) = (prop::option::of(0u8..3), prop::collection::vec(0u8..3, 0..3));
        (prop::option::of(-2i8..3), prop::option::of(any::<bool>()), text, tags).prop_map(|(n, b, text, tags)| {
            let mut attributes = Attributes::new();
            n.into_iter().for_each(|n| attributes.insert("n", i32::from(n)));
            b.into_iter().for_each(|b| attributes.insert("b", b));
            text.into_iter().for_each(|text| attributes.insert("text", format!("w{text}")));
            attributes.insert("tags", tags.iter().map(|tag| format!("w{tag}")).collect::<Vec<_>>());
            attributes
        })
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let leaf = prop_oneof![
            (-3i8..4).prop_map(|n| attribute("n").below(n)),
            (-3i8..4).prop_map(|n| attribute("n").at_least(n)),
            prop::collection::vec(-3i32..4, 1..3).prop_map(|n| attribute("n").one_of(n)),
            Just(attribute("b").is_true()),
            any::<bool>().prop_map(|b| attribute("b").equals(b)),
            (0u8..4).prop_map(|w| attribute("text").equals(format!("w{w}"))),
            (0u8..4).prop_map(|w| attribute("tags").contains(format!("w{w}"))),
            (0u8..4, 0u8..4).prop_map(|(a, b)| attribute("tags").one_of([format!("w{a}"), format!("w{b}")])),
            "n|b|text|tags".prop_map(|name| attribute(name).is_missing()),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a & b),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a | b),
                inner.prop_map(|a| !a),
            ]
        })
    }

    /// Whether a row with these attributes fulfils a condition, by its words.
    fn fulfils(node: &Node, own: &Attributes) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|node| fulfils(node, own)),
            Node::Any(nodes) => nodes.iter().any(|node| fulfils(node, own)),
            Node::Not(node) => !fulfils(node, own),
            Node::Leaf(Leaf { name, test, .. }) => match (own.get(name), test) {
                (value, Test::IsSet) => value.is_some(),
                (Some(Value::Number(n)), Test::Between(from, to)) => {
                    from.is_none_or(|(from, with)| *n > from || (with && *n == from))
                        && to.is_none_or(|(to, with)| *n < to || (with && *n == to))
                }
                (Some(value), Test::IsTrue) => *value == Value::Bool(true),
                (Some(Value::Tags(tags)), Test::Contains(tag)) => tags.contains(tag),
                (Some(Value::Tags(tags)), Test::OneOf(values)) => {
                    values.iter().any(|value| matches!(value, Value::Text(tag) if tags.contains(tag)))
                }
                (Some(value), Test::OneOf(values)) => values.contains(value),
                _ => false,
            },
        }
    }

    proptest! {
        #[test]
        fn the_rows_are_those_that_fulfil_it(
            rows in prop::collection::vec((0..ROWS, attributes()), 1..60),
            conditions in prop::collection::vec(condition(), 1..12),
        ) {
            let mut table = Table::default();
            // So that every name is known.
            let all = Attributes::new().set("n", 0).set("b", true).set("text", "w0").set("tags", ["w0"]);
            table.set(0, &all).unwrap();
            rows.iter().for_each(|(row, said)| table.set(row % (ROWS - 1) + 1, said).unwrap());
            for condition in conditions {
                let expected: RoaringBitmap = (0..ROWS).filter(|&row| fulfils(&condition.0, &table.get(row))).collect();
                prop_assert_eq!(&*evaluate(&condition, &table, ROWS).unwrap(), &expected, "{:?}", condition);
            }
        }
    }

    #[test]
    fn rows_that_the_table_has_are_not_copied() {
        let mut table = Table::default();
        for row in 0..3 {
            let own = Attributes::new().set("b", true).set("text", "w").set("tags", ["t"]).set("n", row);
            table.set(row, &own).unwrap();
        }
        let of = |text: &str| evaluate(&Condition::try_from(text).unwrap(), &table, 3).unwrap();
        for text in ["b", "b = true", "text = 'w'", "'t' in tags", "n is set"] {
            let rows = of(text);
            assert!(Arc::ptr_eq(&rows, &of(text)) && rows.len() == 3, "{text}");
            // Nor changed by what makes use of them.
            assert!(of(&format!("{text} and n < 1")).len() == 1 && of(&format!("not {text}")).is_empty(), "{text}");
            assert!(of(&format!("{text} and not n < 1")).len() == 2 && of(text).len() == 3, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_by_name_and_place() {
        let mut table = Table::default();
        let told = |text: &str, table: &Table| {
            evaluate(&Condition::try_from(text).unwrap(), table, 1).unwrap_err().to_string()
        };
        assert!(told("price < 5", &table).contains("load-items"));
        table.set(0, &Attributes::new().set("price", 1).set("tags", ["new"]).set("brand", "Kith")).unwrap();
        for (text, words) in [
            ("brand = 'Kith' and colour = 'red'", ["character 20", "`colour`", "brand, price, tags"]),
            ("price = 'cheap'", ["character 1", "a number", "price < 50"]),
            ("tags", ["character 1", "a set of tags", "'tag' in tags"]),
            ("brand < 3", ["character 1", "a text", "brand = 'text'"]),
        ] {
            let told = told(text, &table);
            assert!(words.iter().all(|word| told.contains(word)), "{text}: {told}");
        }
    }
}
