//! The identity of a database: what tells its files from those of another.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

/// A random number, drawn at creation and written into `FORMAT`, `ACKED`, every store, generation and state file. No part of a content hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity(u128);

impl Identity {
    /// A new identity. The standard library seeds its hashers from the system's source of randomness.
    pub(crate) fn draw() -> Identity {
        let word = || u128::from(RandomState::new().hash_one(std::process::id()));
        Identity(word() << 64 | word())
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Identity> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        u128::from_str_radix(text, 16).ok().filter(|_| digits).map(Identity)
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Identity {
        Identity(u128::from_le_bytes(bytes))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a store says of the database it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    pub(crate) identity: Identity,
    /// What was settled when the database was created, and holds for ever.
    pub(crate) properties: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_differ_and_come_back() {
        let (one, other) = (Identity::draw(), Identity::draw());
        assert_ne!(one, other);
        assert_eq!(Identity::parse(&one.to_string()), Some(one));
        assert_eq!(Identity::from_bytes(other.to_bytes()), other);
        for bad in ["", "12", &"G".repeat(32), &"A".repeat(32), &"1".repeat(33)] {
            assert_eq!(Identity::parse(bad), None, "{bad}");
        }
    }
}
