//! The checked envelope of every value: sixteen bytes in front of the payload (FORMAT.md, "Values").

/// Bytes of a whole value, header included. Sixteen such values stay below the size at which the engine moves a leaf out of its log.
pub(crate) const MAX_VALUE: usize = 6 * 1024;
/// Bytes of the header.
pub(crate) const HEADER: usize = 16;
/// Bytes of payload a value can hold.
pub(crate) const MAX_PAYLOAD: usize = MAX_VALUE - HEADER;

const MAGIC: u16 = 0x6b56;
const VERSION: u8 = 1;

/// What a value holds. Stored in its header, so that a value under another tree's key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The records of (a part of) one group commit.
    Log = 1,
    /// A piece of an encoded manifest.
    Manifest = 2,
    /// The pointer to the current manifest.
    Current = 3,
    /// A piece of a part of a generation.
    Chunk = 4,
    /// What database a store belongs to.
    Birth = 5,
    /// The record of a job.
    Job = 6,
}

/// The first bytes of every value of a kind.
pub(crate) fn front(kind: Kind) -> [u8; 4] {
    let [m0, m1] = MAGIC.to_le_bytes();
    [m0, m1, VERSION, kind as u8]
}

/// Wraps a payload for the given tree and key.
pub(crate) fn seal(tree: &str, key: &[u8], kind: Kind, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= MAX_PAYLOAD);
    let mut value = Vec::with_capacity(HEADER + payload.len());
    value.extend_from_slice(&MAGIC.to_le_bytes());
    value.push(VERSION);
    value.push(kind as u8);
    value.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    value.extend_from_slice(&[0; 8]);
    value.extend_from_slice(payload);
    let crc = checksum(tree, key, &value);
    value[8..12].copy_from_slice(&crc.to_le_bytes());
    value
}

/// The checksum in the envelope of a value that [`seal`] made.
pub(crate) fn checksum_of(value: &[u8]) -> u32 {
    value.get(8..12).and_then(|crc| crc.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Checks a value read under `key` of `tree` and returns its payload, or what is wrong with it.
pub(crate) fn open<'a>(tree: &str, key: &[u8], kind: Kind, value: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((header, payload)) = value.split_first_chunk::<HEADER>() else {
        return Err(format!("a value of {} bytes is shorter than its header", value.len()));
    };
    let [m0, m1, version, found, l0, l1, l2, l3, c0, c1, c2, c3, ..] = *header;
    if u16::from_le_bytes([m0, m1]) != MAGIC {
        return Err("a value does not begin with its magic number".to_owned());
    }
    if u32::from_le_bytes([l0, l1, l2, l3]) as usize != payload.len() {
        return Err(format!("a value holds {} bytes where its header says otherwise", payload.len()));
    }
    if u32::from_le_bytes([c0, c1, c2, c3]) != checksum(tree, key, value) {
        return Err("a value fails its checksum".to_owned());
    }
    if version != VERSION || found != kind as u8 {
        return Err(format!("a value has version {version} and kind {found}, not {VERSION} and {}", kind as u8));
    }
    Ok(payload)
}

/// CRC-32C over the tree's name, the key, and the value without its checksum field.
fn checksum(tree: &str, key: &[u8], value: &[u8]) -> u32 {
    let (before, rest) = value.split_at(8);
    let after = rest.get(4..).unwrap_or_default();
    let crc = crc32c::crc32c_append(crc32c::crc32c(tree.as_bytes()), key);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, before), after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(payload in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let sealed = seal("log", &[1, 2], Kind::Log, &payload);
            prop_assert_eq!(open("log", &[1, 2], Kind::Log, &sealed).unwrap(), &payload[..]);
            let mut bad = sealed.clone();
            let at = at.index(bad.len());
            bad[at] ^= 1u8 << bit;
            prop_assert!(open("log", &[1, 2], Kind::Log, &bad).is_err());
            let cut = &sealed[..at];
            prop_assert!(open("log", &[1, 2], Kind::Log, cut).is_err());
        }
    }

    #[test]
    fn a_value_in_the_wrong_place_is_refused() {
        let sealed = seal("log", &[0, 1], Kind::Log, b"abc");
        assert!(open("log", &[0, 2], Kind::Log, &sealed).is_err());
        assert!(open("meta", &[0, 1], Kind::Log, &sealed).is_err());
        assert!(open("log", &[0, 1], Kind::Chunk, &sealed).is_err());
    }
}
