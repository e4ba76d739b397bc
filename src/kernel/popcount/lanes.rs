use bytemuck::{Pod, Zeroable};

/// Items of a block.
pub const LANES: usize = 16;

/// One 32-bit word of each of the 16 items of a block, byte by byte: `[j][lane]` is byte j of the lane's word.
///
/// Bytes of the same place in 16 items lie side by side, so that one table of a query serves a whole register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C, align(64))]
pub struct LaneWords(pub [[u8; LANES]; 4]);

impl LaneWords {
    /// The same word for every item.
    #[inline]
    pub fn splat(word: u32) -> Self {
        Self(word.to_le_bytes().map(|byte| [byte; LANES]))
    }

    /// The word of one item.
    ///
    /// # Panics
    /// If there is no such lane.
    #[inline]
    pub fn get(&self, lane: usize) -> u32 {
        u32::from_le_bytes(self.0.map(|bytes| bytes[lane]))
    }

    /// Sets the word of one item.
    ///
    /// # Panics
    /// If there is no such lane.
    #[inline]
    pub fn set(&mut self, lane: usize, word: u32) {
        for (bytes, byte) in self.0.iter_mut().zip(word.to_le_bytes()) {
            bytes[lane] = byte;
        }
    }
}

/// One count of each of the 16 items of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable)]
#[repr(C, align(64))]
pub struct LaneCounts(pub [u32; LANES]);

/// One layer's scaler of each of the 16 items of a block.
#[derive(Debug, Clone, Copy, PartialEq, Zeroable, Pod)]
#[repr(C, align(64))]
pub struct LaneScalers(pub [f32; LANES]);

/// One sum of each of the 16 items of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable)]
#[repr(C, align(64))]
pub struct LaneSums(pub [i32; LANES]);
