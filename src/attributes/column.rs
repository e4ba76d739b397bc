//! All rows' values of one name.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::flags::Flags;
use super::numbers::Numbers;
use super::value::{Value, ValueKind};
use super::words::Words;

/// The values of one name, all of one kind. A copy is O(1).
#[derive(Clone)]
pub(crate) struct Column {
    /// Rows that have a value.
    present: Arc<RoaringBitmap>,
    pub(crate) values: Values,
}

/// Values by row and rows by value.
#[derive(Clone)]
pub(crate) enum Values {
    Bool(Flags),
    Number(Numbers),
    Text(Words),
    Tags(Words),
}

impl Column {
    /// No values of a kind.
    pub(super) fn new(kind: ValueKind) -> Self {
        let values = match kind {
            ValueKind::Bool => Values::Bool(Flags::default()),
            ValueKind::Number => Values::Number(Numbers::default()),
            ValueKind::Text => Values::Text(Words::default()),
            ValueKind::Tags => Values::Tags(Words::default()),
        };
        Self { present: Arc::default(), values }
    }

    /// Values made at once, of these rows.
    pub(super) fn of(present: RoaringBitmap, values: Values) -> Self {
        Self { present: Arc::new(present), values }
    }

    pub(crate) fn kind(&self) -> ValueKind {
        match self.values {
            Values::Bool(_) => ValueKind::Bool,
            Values::Number(_) => ValueKind::Number,
            Values::Text(_) => ValueKind::Text,
            Values::Tags(_) => ValueKind::Tags,
        }
    }

    /// Rows that have a value.
    pub(crate) fn present(&self) -> &Arc<RoaringBitmap> {
        &self.present
    }

    pub(super) fn get(&self, row: u32) -> Option<Value> {
        match &self.values {
            Values::Bool(flags) => flags.get(row).map(Value::Bool),
            Values::Number(numbers) => numbers.get(row).map(Value::Number),
            Values::Text(words) => words.get(row).next().map(|text| Value::Text(text.to_owned())),
            Values::Tags(words) if words.count(row) == 0 => None,
            Values::Tags(words) => Some(Value::Tags(words.get(row).map(str::to_owned).collect())),
        }
    }

    /// Sets the value of a row, or takes it away; whether it is of this column's kind.
    pub(super) fn set(&mut self, row: u32, value: Option<&Value>) -> bool {
        match (&mut self.values, value) {
            (Values::Bool(flags), Some(Value::Bool(value))) => flags.set(row, Some(*value)),
            (Values::Bool(flags), None) => flags.set(row, None),
            (Values::Number(numbers), Some(Value::Number(value))) => numbers.set(row, Some(*value)),
            (Values::Number(numbers), None) => numbers.set(row, None),
            (Values::Text(words), Some(Value::Text(text))) => words.set(row, [text.as_str()].into_iter()),
            (Values::Tags(words), Some(Value::Tags(tags))) => words.set(row, tags.iter().map(String::as_str)),
            (Values::Text(words) | Values::Tags(words), None) => words.set(row, std::iter::empty()),
            _ => return false,
        }
        if self.present.contains(row) != value.is_some() {
            let present = Arc::make_mut(&mut self.present);
            if value.is_some() {
                present.insert(row)
            } else {
                present.remove(row)
            };
        }
        true
    }

    /// Bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Bool(flags) => flags.bytes(),
            Values::Number(numbers) => numbers.bytes(),
            Values::Text(words) | Values::Tags(words) => words.bytes(),
        };
        values + self.present.serialized_size()
    }
}
