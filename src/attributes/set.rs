//! The attributes of one item or user.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::codec;
use super::value::Value;
use crate::error::{Error, Result};

/// The longest name of an attribute, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// What one call can say of an item or a user, in bytes: names, values, and four more bytes a value.
pub const MAX_ATTRIBUTE_BYTES: usize = kithdb_storage::MAX_DESCRIPTION;

/// The name that titles have.
const TITLE: &str = "title";

/// Named values of an item or a user: a title, and texts, numbers, booleans and sets of tags.
///
/// ```
/// use kithdb::Attributes;
/// let kettle = Attributes::titled("Kettle, 1 l").set("price", 49.5).set("in_stock", true).set("tags", ["sale", "steel"]);
/// assert_eq!(kettle.title(), Some("Kettle, 1 l"));
/// assert_eq!(kettle.get("price"), Some(&49.5.into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// `None` for what is to be taken away.
    values: BTreeMap<String, Option<Value>>,
}

impl Attributes {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// A title and nothing else: the text named `title`, which programs print beside ids.
    pub fn titled(title: impl Into<String>) -> Self {
        Self::new().set(TITLE, title.into())
    }

    /// With a value under a name. Names are of any characters, told apart by case; filters take those of letters, digits and `_` as they are, and
    /// others between backticks.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Puts a value under a name.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Tags(tags) if tags.is_empty() => None,
            // The two zeros are one number.
            Value::Number(0.0) => Some(Value::Number(0.0)),
            value => Some(value),
        };
        self.values.insert(name.into(), value);
    }

    /// With the value of a name taken away where [`Db::set_item`](crate::Db::set_item) finds one; a set of no tags does the same.
    pub fn unset(mut self, name: impl Into<String>) -> Self {
        self.values.insert(name.into(), None);
        self
    }

    /// The text named `title`.
    pub fn title(&self) -> Option<&str> {
        match self.get(TITLE) {
            Some(Value::Text(title)) => Some(title),
            _ => None,
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)?.as_ref()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?)))
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// What is to be set, and with `None` what is to be taken away, by name.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Refuses what cannot be stored, whoever it is said of.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], as [`Db::set_item`](crate::Db::set_item) gives it.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: String, remedy: String| Err(Error::InvalidArgument { what, remedy });
        for (name, value) in &self.values {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                let remedy = format!("names have 1 to {MAX_NAME_BYTES} bytes");
                return invalid(format!("attribute name {name:?} of {} bytes", name.len()), remedy);
            }
            match value {
                Some(Value::Number(number)) if !number.is_finite() => {
                    let remedy = "numbers are finite; leave out what is not known".to_owned();
                    return invalid(format!("attribute {name:?}, {number}"), remedy);
                }
                Some(Value::Text(text)) if text.is_empty() => {
                    let remedy = "leave out what is not known, or take it away with unset()".to_owned();
                    return invalid(format!("attribute {name:?} of no text"), remedy);
                }
                Some(Value::Tags(tags)) if tags.iter().any(String::is_empty) => {
                    return invalid(format!("attribute {name:?} with an empty tag"), "leave it out".to_owned());
                }
                _ => {}
            }
        }
        match codec::encoded_bytes(self) {
            bytes if bytes > MAX_ATTRIBUTE_BYTES => invalid(
                format!("attributes of {bytes} bytes"),
                format!("one call takes up to {MAX_ATTRIBUTE_BYTES}: shorten texts, or set some values with another"),
            ),
            _ => Ok(()),
        }
    }
}

/// A map of names to values.
impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        let mut attributes = Self::new();
        values.into_iter().for_each(|(name, value)| attributes.insert(name, value));
        attributes
    }
}
