//! One value of an attribute.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// What an attribute of an item or a user is: text, a number, a boolean, or a set of tags.
///
/// Made from `&str`, `String`, `f64`, `f32`, integers, of which those above 2^53 are rounded to the next `f64`, `bool`, and from arrays, slices and vectors of strings, which are sets of tags.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text, not empty.
    Text(String),
    /// Tags, none of them empty. A set of none is what an attribute that was never set is.
    Tags(BTreeSet<String>),
}

/// What kind of value an attribute has; all values of one name, on one side, have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// Text.
    Text,
    /// A set of tags.
    Tags,
}

impl ValueKind {
    /// How it is called in errors and tables.
    pub fn name(self) -> &'static str {
        match self {
            ValueKind::Bool => "boolean",
            ValueKind::Number => "number",
            ValueKind::Text => "text",
            ValueKind::Tags => "tags",
        }
    }
}

impl Value {
    /// What kind of value it is.
    pub fn kind(&self) -> ValueKind {
        match self {
            Value::Bool(_) => ValueKind::Bool,
            Value::Number(_) => ValueKind::Number,
            Value::Text(_) => ValueKind::Text,
            Value::Tags(_) => ValueKind::Tags,
        }
    }
}

/// Tags are told with `, ` between them.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Text(value) => f.write_str(value),
            Value::Tags(tags) => tags.iter().enumerate().try_for_each(|(at, tag)| {
                let between = if at > 0 { ", " } else { "" };
                write!(f, "{between}{tag}")
            }),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

macro_rules! number_from {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::Number(value as f64)
            }
        })*
    };
}
number_from!(f64, f32, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Value::Text(value.clone())
    }
}

impl<T: Into<String>> From<Vec<T>> for Value {
    fn from(tags: Vec<T>) -> Self {
        Value::Tags(tags.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Value {
    fn from(tags: [T; N]) -> Self {
        Value::Tags(tags.into_iter().map(Into::into).collect())
    }
}

impl From<BTreeSet<String>> for Value {
    fn from(tags: BTreeSet<String>) -> Self {
        Value::Tags(tags)
    }
}
