//! The bytes of attributes, in the log and in generations.
//!
//! For each in the order of names: length of the name u8, the name; a tag u8: 0 taken away, 1 false, 2 true, 3 a number (f64), 4 text (length u16, UTF-8),
//! 5 tags (number u16, then of each in order length u16, UTF-8). Numbers are little-endian.

use std::collections::BTreeSet;

use super::set::Attributes;
use super::value::Value;

const UNSET: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
const TAGS: u8 = 5;

/// How many bytes [`encode`] appends.
pub(super) fn encoded_bytes(attributes: &Attributes) -> usize {
    let value = |value: Option<&Value>| match value {
        None | Some(Value::Bool(_)) => 0,
        Some(Value::Number(_)) => 8,
        Some(Value::Text(text)) => 2 + text.len(),
        Some(Value::Tags(tags)) => 2 + tags.iter().map(|tag| 2 + tag.len()).sum::<usize>(),
    };
    attributes.changes().map(|(name, changed)| 2 + name.len() + value(changed)).sum()
}

/// Appends the bytes of attributes that were checked.
pub(crate) fn encode(attributes: &Attributes, out: &mut Vec<u8>) {
    attributes.changes().for_each(|(name, value)| encode_one(name, value, out));
}

/// Appends the bytes of one name and what it has.
pub(super) fn encode_one(name: &str, value: Option<&Value>, out: &mut Vec<u8>) {
    let text = |text: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    match value {
        None => out.push(UNSET),
        Some(Value::Bool(value)) => out.push(if *value { TRUE } else { FALSE }),
        Some(Value::Number(value)) => {
            out.push(NUMBER);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Some(Value::Text(value)) => {
            out.push(TEXT);
            text(value, out);
        }
        Some(Value::Tags(tags)) => {
            out.push(TAGS);
            out.extend_from_slice(&(tags.len() as u16).to_le_bytes());
            tags.iter().for_each(|tag| text(tag, out));
        }
    }
}

/// What these bytes are; `None` where [`encode`] gives them of nothing.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Attributes> {
    let mut attributes = Attributes::new();
    let mut last: Option<&str> = None;
    while let Some((&length, rest)) = bytes.split_first() {
        let (name, mut rest) = rest.split_at_checked(usize::from(length))?;
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
        if last.replace(name).is_some_and(|last| last >= name) {
            return None;
        }
        let [tag] = take(&mut rest)?;
        let value = match tag {
            UNSET => None,
            FALSE | TRUE => Some(Value::Bool(tag == TRUE)),
            NUMBER => Some(Value::Number(take(&mut rest).map(f64::from_le_bytes).filter(|number| number.is_finite())?)),
            TEXT => Some(Value::Text(text(&mut rest)?)),
            TAGS => {
                let count = take(&mut rest).map(u16::from_le_bytes)?;
                let tags = (0..count).map(|_| text(&mut rest)).collect::<Option<BTreeSet<String>>>()?;
                Some(Value::Tags(tags).filter_tags(usize::from(count))?)
            }
            _ => return None,
        };
        attributes = match value {
            Some(value) => attributes.set(name, value),
            None => attributes.unset(name),
        };
        bytes = rest;
    }
    Some(attributes)
}

impl Value {
    /// Itself, if it is a set of so many tags.
    fn filter_tags(self, count: usize) -> Option<Self> {
        matches!(&self, Value::Tags(tags) if tags.len() == count && count > 0).then_some(self)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_le_bytes(take(bytes)?));
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Option<Value>> {
        prop_oneof![
            Just(None),
            any::<bool>().prop_map(|value| Some(value.into())),
            (-1e9..1e9f64).prop_map(|value| Some(value.into())),
            "[a-zäß' ]{1,12}".prop_map(|value| Some(value.into())),
            prop::collection::vec("[a-z]{1,5}", 1..4).prop_map(|value| Some(value.into())),
        ]
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(values in prop::collection::btree_map("[a-zA-Z _]{1,9}", values(), 0..6), cut in any::<prop::sample::Index>()) {
            let mut attributes = Attributes::new();
            for (name, value) in values {
                attributes = match value {
                    Some(value) => attributes.set(name, value),
                    None => attributes.unset(name),
                };
            }
            let mut bytes = Vec::new();
            encode(&attributes, &mut bytes);
            prop_assert_eq!(bytes.len(), encoded_bytes(&attributes));
            prop_assert_eq!(decode(&bytes), Some(attributes));
            // Whatever part of it: no panic, and nothing that says more.
            let part = &bytes[..cut.index(bytes.len() + 1)];
            if let Some(found) = decode(part) {
                prop_assert_eq!(encoded_bytes(&found), part.len());
            }
        }

        #[test]
        fn any_bytes_are_attributes_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(found) = decode(&bytes) {
                prop_assert_eq!(encoded_bytes(&found), bytes.len());
            }
        }
    }
}
