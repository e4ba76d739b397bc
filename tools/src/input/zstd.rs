//! Zstandard as a stream: every frame of a file, each checked.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How a frame begins, as bytes of the file.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses all frames of `source`, one block at a time: memory is one window (at most ruzstd's limit) whatever the file's size.
///
/// The decoder beneath stops silently after one frame and computes checksums without comparing them; this reader goes on to the next frame,
/// passes over skippable ones, and fails where a checksum differs or the file ends inside a frame.
pub(super) struct Frames<R> {
    source: Counted<R>,
    decoder: FrameDecoder,
    within_frame: bool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        let source = Counted { inner: source, taken: 0 };
        Self { source, decoder: FrameDecoder::new(), within_frame: false }
    }

    /// Begins the next frame; `false` at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        let before = self.source.taken;
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.within_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(error)) => match error {
                ReadFrameHeaderError::SkipFrame { length, .. } => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                        return Err(truncated());
                    }
                }
                ReadFrameHeaderError::MagicNumberReadError(_) if self.source.taken == before => return Ok(false),
                error => return Err(damaged(&error)),
            },
            Err(error) => return Err(damaged(&error)),
        }
        Ok(true)
    }

    fn check(&self) -> io::Result<()> {
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(stored), Some(computed)) if stored != computed => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the zstd data is damaged: a frame's checksum differs"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within_frame {
                if !self.next_frame()? {
                    return Ok(0);
                }
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, strategy).map_err(|error| damaged(&error))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.check()?;
            self.within_frame = false;
        }
    }
}

fn damaged(error: &dyn std::error::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the zstd data is damaged or cut short: {error}"))
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the zstd data is cut short inside a skippable frame")
}

/// Counts what was read: a file that ends between frames ends well, one that ends inside a header does not.
struct Counted<R> {
    inner: R,
    taken: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn frame(data: &[u8]) -> Vec<u8> {
        compress_to_vec(data, CompressionLevel::Fastest)
    }

    fn skippable(data: &[u8]) -> Vec<u8> {
        let mut frame = 0x184d_2a53u32.to_le_bytes().to_vec();
        frame.extend((data.len() as u32).to_le_bytes());
        frame.extend(data);
        frame
    }

    fn decode(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frames::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn every_frame_is_read_and_skippable_ones_are_passed_over() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|n| (n % 977).to_le_bytes()).collect();
        let file = [skippable(b"note"), frame(&text), frame(b""), skippable(b""), frame(b"the end")].concat();
        assert_eq!(decode(&file).unwrap(), [&text[..], b"the end"].concat());
        assert_eq!(decode(b"").unwrap(), b"");
    }

    #[test]
    fn a_file_cut_anywhere_inside_a_frame_is_an_error() {
        let whole = [frame(b"first"), frame(&[7; 300])].concat();
        let first = frame(b"first").len();
        for end in (1..whole.len()).filter(|&end| end != first) {
            assert!(decode(&whole[..end]).is_err(), "cut at {end} of {}", whole.len());
        }
        assert_eq!(decode(&whole[..first]).unwrap(), b"first");
    }

    #[test]
    fn a_flipped_byte_of_the_content_is_noticed() {
        let mut file = frame(b"user item item item");
        let content = file.windows(4).position(|w| w == b"item").unwrap();
        file[content] ^= 1;
        assert!(decode(&file).unwrap_err().to_string().contains("damaged"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), prefixed: bool) {
            let bytes = if prefixed { [&MAGIC[..], &bytes].concat() } else { bytes };
            let _ = decode(&bytes);
        }
    }
}
