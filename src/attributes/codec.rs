//! The bytes of attributes, in the log and in generations.
//!
//! For each in the order of names: length of the name u8, the name; a tag u8: 0 taken away, 1 false, 2 true, 3 a number (f64), 4 text (length u16, UTF-8),
//! 5 tags (number u16, then of each in order length u16, UTF-8). Numbers are little-endian.

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
pub(crate) fn decode(bytes: &[u8]) -> Option<Attributes> {
    let mut attributes = Attributes::new();
    for field in fields(bytes) {
        let (name, said) = field?;
        attributes = match said {
            Said::Unset => attributes.unset(name),
            Said::Bool(value) => attributes.set(name, value),
            Said::Number(value) => attributes.set(name, value),
            Said::Text(value) => attributes.set(name, value),
            Said::Tags(tags) => attributes.set(name, tags),
        };
    }
    Some(attributes)
}

/// What is said of one name, where its bytes are.
pub(super) enum Said<'a> {
    Unset,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    /// Each once, in order.
    Tags(Vec<&'a str>),
}

/// The names in these bytes, in order, and what is said of each; `None` in the place of what [`encode`] does not give.
pub(super) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(&str, Said<'_>)>> {
    let mut last: Option<&str> = None;
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| {
            let (name, said) = field(&mut bytes)?;
            last.replace(name).is_none_or(|last| last < name).then_some((name, said))
        })
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(&'a str, Said<'a>)> {
    let [length] = take(bytes)?;
    let name = utf8(bytes, usize::from(length))?;
    let [tag] = take(bytes)?;
    let said = match tag {
        UNSET => Said::Unset,
        FALSE | TRUE => Said::Bool(tag == TRUE),
        NUMBER => Said::Number(take(bytes).map(f64::from_le_bytes).filter(|number| number.is_finite())?),
        TEXT => Said::Text(text(bytes)?),
        TAGS => Said::Tags(tags(bytes)?),
        _ => return None,
    };
    Some((name, said))
}

fn tags<'a>(bytes: &mut &'a [u8]) -> Option<Vec<&'a str>> {
    let count = take(bytes).map(u16::from_le_bytes)?;
    let mut tags = (0..count).map(|_| text(bytes)).collect::<Option<Vec<&str>>>()?;
    tags.sort_unstable();
    tags.dedup();
    (count > 0 && tags.len() == usize::from(count)).then_some(tags)
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = take(bytes).map(u16::from_le_bytes)?;
    utf8(bytes, usize::from(length))
}

/// So many bytes, at least one, as text.
fn utf8<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a str> {
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
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
