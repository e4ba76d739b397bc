//! Conditions as values.

use std::ops::{BitAnd, BitOr, Not};

use super::error::FilterError;
use super::parser;
use crate::attributes::Value;

/// What the attributes of an item have to fulfil to be returned by a query: [`Query::filter`](crate::Query::filter).
///
/// Read from text, or put together:
///
/// ```
/// use kithdb::{Condition, attribute};
/// # fn main() -> Result<(), kithdb::FilterError> {
/// let read = Condition::try_from("category = 'coffee' and price < 50 and in_stock and 'sale' in tags")?;
/// let made = attribute("category").equals("coffee") & attribute("price").below(50) & attribute("in_stock").is_true()
///     & attribute("tags").contains("sale");
/// # let _ = (read, made);
/// # Ok(())
/// # }
/// ```
///
/// # Text
/// `and`, `or`, `not` and parentheses join comparisons; `not` binds more than `and`, and `and` more than `or`.
///
/// | | of | true where |
/// |---|---|---|
/// | `price = 50`, `category = 'coffee'` | numbers, texts, booleans | the value is that; texts are told apart by case |
/// | `price < 50`, `<=`, `>`, `>=` | numbers | it compares so |
/// | `category in ('coffee', 'tea')` | numbers, texts, booleans | it is one of these |
/// | `'sale' in tags` | tags | it is one of them |
/// | `tags in ('sale', 'new')` | tags | one of these is one of them |
/// | `in_stock` | booleans | it is true |
/// | `price is set`, `price is missing` | all | there is a value, or none |
/// | `!=`, `not in` | as `=` and `in` | where `=` or `in` is not |
///
/// **What is missing** fulfils no comparison, and so all of their opposites: `price != 50` and `not price = 50` hold without a price, `price < 50` and
/// `price >= 50` do not.
///
/// Names are letters, digits and `_`, or anything between backticks. Texts stand between single or double quotes, a quote inside them twice.
/// Words of the language are told in any case.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(pub(super) Node);

/// A condition and its parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

/// A condition on one attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) test: Test,
    /// Where it stands in the text, in characters from 1.
    pub(super) position: Option<usize>,
}

/// What the value of an attribute has to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// One of these: texts, numbers or booleans; of tags, one of them one of these.
    OneOf(Vec<Value>),
    /// A tag is among them.
    Contains(String),
    /// Above the first, or equal to it where it says so, and below the second likewise.
    Between(Option<(f64, bool)>, Option<(f64, bool)>),
    IsTrue,
    IsSet,
}

/// The name of an attribute, to make a [`Condition`] of.
pub fn attribute(name: impl Into<String>) -> AttributeName {
    AttributeName(name.into())
}

/// The name of an attribute, from [`attribute`].
#[derive(Clone, Debug)]
pub struct AttributeName(String);

impl AttributeName {
    fn leaf(self, test: Test) -> Condition {
        Condition(Node::Leaf(Leaf { name: self.0, test, position: None }))
    }

    /// The value is this text, number or boolean.
    pub fn equals(self, value: impl Into<Value>) -> Condition {
        self.one_of([value])
    }

    /// The value is one of these texts, numbers or booleans; of tags, one of them is one of these.
    pub fn one_of<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Condition {
        self.leaf(Test::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// The number is below this one.
    pub fn below(self, number: impl Into<f64>) -> Condition {
        self.leaf(Test::Between(None, Some((number.into(), false))))
    }

    /// The number is this one or below it.
    pub fn at_most(self, number: impl Into<f64>) -> Condition {
        self.leaf(Test::Between(None, Some((number.into(), true))))
    }

    /// The number is above this one.
    pub fn above(self, number: impl Into<f64>) -> Condition {
        self.leaf(Test::Between(Some((number.into(), false)), None))
    }

    /// The number is this one or above it.
    pub fn at_least(self, number: impl Into<f64>) -> Condition {
        self.leaf(Test::Between(Some((number.into(), true)), None))
    }

    /// The tags have this one among them.
    pub fn contains(self, tag: impl Into<String>) -> Condition {
        self.leaf(Test::Contains(tag.into()))
    }

    /// The boolean is true.
    pub fn is_true(self) -> Condition {
        self.leaf(Test::IsTrue)
    }

    /// There is a value.
    pub fn is_set(self) -> Condition {
        self.leaf(Test::IsSet)
    }

    /// There is none.
    pub fn is_missing(self) -> Condition {
        !self.is_set()
    }
}

/// Both.
impl BitAnd for Condition {
    type Output = Condition;

    fn bitand(self, other: Condition) -> Condition {
        match (self.0, other.0) {
            (Node::All(mut nodes), node) => {
                nodes.push(node);
                Condition(Node::All(nodes))
            }
            (first, second) => Condition(Node::All(vec![first, second])),
        }
    }
}

/// At least one.
impl BitOr for Condition {
    type Output = Condition;

    fn bitor(self, other: Condition) -> Condition {
        match (self.0, other.0) {
            (Node::Any(mut nodes), node) => {
                nodes.push(node);
                Condition(Node::Any(nodes))
            }
            (first, second) => Condition(Node::Any(vec![first, second])),
        }
    }
}

/// Where it does not hold.
impl Not for Condition {
    type Output = Condition;

    fn not(self) -> Condition {
        Condition(Node::Not(Box::new(self.0)))
    }
}

impl TryFrom<&str> for Condition {
    type Error = FilterError;

    fn try_from(text: &str) -> Result<Self, FilterError> {
        parser::parse(text).map(Condition)
    }
}

impl TryFrom<String> for Condition {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, FilterError> {
        Self::try_from(text.as_str())
    }
}

impl TryFrom<&String> for Condition {
    type Error = FilterError;

    fn try_from(text: &String) -> Result<Self, FilterError> {
        Self::try_from(text.as_str())
    }
}

impl std::str::FromStr for Condition {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::try_from(text)
    }
}
