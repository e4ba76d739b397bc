//! What the shim tells the program that started its host: a mapped file of 64-bit little-endian words, and the place of the first fault.

/// Bytes of the file.
pub const BYTES: usize = 4096;
/// Word 0 once the shim is in place: says that the library that was preloaded is this one.
pub const ATTACHED: u64 = 0x6b69_7468_0001;
/// Word of the number of calls that were failed.
pub const FIRED: usize = 1;
/// Word of the first kind's number of calls; the others follow in the order of the kinds' names above.
pub const COUNTS: usize = 2;
/// Byte at which the path of the first failed call begins; zeros follow it.
pub const PATH: usize = 2048;
