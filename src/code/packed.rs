//! Codes as bytes, layer after layer, bit j of a layer's byte b its dimension 8b + j: the form in which programs exchange them.

use super::CodeShape;

impl CodeShape {
    /// Bytes of a one-bit row: each layer takes the whole bytes its bits need.
    pub fn packed_bytes(&self) -> usize {
        self.widths().iter().map(|&width| width.div_ceil(8) as usize).sum()
    }

    /// Appends to `words` what rows of `planes` planes are inside, `[layer][plane][ceil(d_l / 64)]` each; `bytes` are whole rows, their
    /// planes in the same order. O(bytes).
    pub fn unpack(&self, planes: u32, bytes: &[u8], words: &mut Vec<u64>) {
        if self.is_plain() {
            words.extend(bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default())));
            return;
        }
        for row in bytes.chunks_exact(self.packed_bytes() * planes as usize) {
            let mut rest = row;
            for &width in self.widths() {
                let layer = width.div_ceil(8) as usize;
                for _ in 0..planes {
                    let (plane, after) = rest.split_at(layer);
                    rest = after;
                    words.extend(plane.chunks(8).map(|part| {
                        let mut word = [0; 8];
                        word[..part.len()].copy_from_slice(part);
                        u64::from_le_bytes(word)
                    }));
                }
            }
        }
    }

    /// Appends to `bytes` the rows that `words` hold: the inverse of [`CodeShape::unpack`]. O(words).
    pub fn pack(&self, planes: u32, words: &[u64], bytes: &mut Vec<u8>) {
        if self.is_plain() {
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            return;
        }
        for row in words.chunks_exact(self.words() * planes as usize) {
            let mut rest = row;
            for (layer, &width) in self.widths().iter().enumerate() {
                for _ in 0..planes {
                    let (plane, after) = rest.split_at(self.layer_words(layer).len());
                    rest = after;
                    let end = bytes.len() + width.div_ceil(8) as usize;
                    bytes.extend(plane.iter().flat_map(|word| word.to_le_bytes()));
                    bytes.truncate(end);
                }
            }
        }
    }

    /// Whether rows of words are rows of bytes.
    fn is_plain(&self) -> bool {
        self.widths().iter().all(|width| width.is_multiple_of(64))
    }
}
