//! `gen-N/places`: where in the engine's data file each chunk of a generation lies.
//!
//! A generation is written through the engine once, closed, and never changes again. From then on it is read at these places, without the
//! engine, whose recovery may destroy what it cannot read. The file is made by looking the chunks up in the data file once that was synced, so that
//! having it is the proof that they got there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use memchr::memmem::Finder;

use crate::engine::Tree;
use crate::error::{Error, RESTORE_GENERATION, Result};
use crate::generation::chunk_key;
use crate::identity::Identity;
use crate::value::{self, HEADER, Kind, MAX_VALUE};

/// The file's name in the directory of the generation.
const NAME: &str = "places";
const MAGIC: [u8; 8] = *b"kithplac";
const VERSION: u32 = 1;
/// Bytes of the data file that are looked at together.
const PIECE: usize = 4 << 20;

/// The envelope a chunk was sealed in: what tells it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) checksum: u32,
    /// Bytes of the payload.
    pub(crate) bytes: u32,
}

/// Offsets of the chunks' envelopes in the data file: by number of the part, then of the chunk.
#[derive(Debug, PartialEq)]
pub(crate) struct Places(Vec<Vec<u64>>);

impl Places {
    /// Finds every chunk in a data file that was synced: `sealed` by number of the part, then of the chunk. O(bytes of the file).
    ///
    /// # Errors
    /// [`Error::Corrupt`] when one is not there: what was written has not arrived.
    pub(crate) fn find(data: &Path, sealed: &[Vec<Sealed>]) -> Result<Places> {
        let mut wanted: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
        for (part, chunks) in (0..).zip(sealed) {
            for (chunk, sealed) in (0..).zip(chunks) {
                wanted.entry(sealed.checksum).or_default().push((part, chunk));
            }
        }
        let mut places: Vec<Vec<u64>> = sealed.iter().map(|chunks| vec![u64::MAX; chunks.len()]).collect();
        let mut take = |offset: u64, bytes: &[u8]| {
            let Some(candidates) = wanted.get_mut(&value::checksum_of(bytes)) else { return };
            candidates.retain(|&(part, chunk)| {
                let place = places.get_mut(part as usize).and_then(|chunks| chunks.get_mut(chunk as usize));
                let length =
                    sealed.get(part as usize).and_then(|chunks| chunks.get(chunk as usize)).map(|s| s.bytes as usize);
                let (Some(place), Some(length)) = (place, length) else { return true };
                let whole = bytes.get(..HEADER + length);
                let found = whole.is_some_and(|whole| is_chunk(part, chunk, whole));
                if found {
                    *place = offset;
                }
                !found
            });
        };
        let io = |e| Error::io("read", data, e);
        let file = File::open(data).map_err(io)?;
        let magic = value::front(Kind::Chunk);
        let finder = Finder::new(&magic);
        let (mut buffer, mut start) = (Vec::new(), 0u64);
        loop {
            let read = (&file).take(PIECE as u64).read_to_end(&mut buffer).map_err(io)?;
            // Of the last stretch only what cannot go on in the next piece is looked at now.
            let end = if read == 0 { buffer.len() } else { buffer.len().saturating_sub(MAX_VALUE) };
            for at in finder.find_iter(&buffer).take_while(|&at| at < end) {
                take(start + at as u64, buffer.get(at..).unwrap_or_default());
            }
            if read == 0 {
                break;
            }
            buffer.drain(..end);
            start += end as u64;
        }
        let lacking =
            places.iter().zip(0..).find_map(|(chunks, part)| Some((part, chunks.iter().position(|&p| p == u64::MAX)?)));
        match lacking {
            Some((part, chunk)) => {
                let what = format!("chunk {chunk} of part {part} was written, and is not on the disk");
                Err(Error::corrupt(data, what, "nothing was published; look after the disk, then try again"))
            }
            None => Ok(Places(places)),
        }
    }

    /// Writes the file into the directory of a generation and makes it durable.
    pub(crate) fn write(&self, directory: &Path, identity: Identity) -> Result<()> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&identity.to_bytes());
        for chunks in &self.0 {
            bytes.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
            chunks.iter().for_each(|place| bytes.extend_from_slice(&place.to_le_bytes()));
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let path = directory.join(NAME);
        File::create(&path)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .map_err(|e| Error::io("write", &path, e))
    }

    /// Reads the file of a generation. `None` where there is none, as in generations of format 1.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is damaged, or belongs to another database.
    pub(crate) fn read(directory: &Path, identity: Option<Identity>) -> Result<Option<Places>> {
        let path = directory.join(NAME);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
            Ok(_) => {}
        }
        let (found, places) =
            parse(&bytes).ok_or_else(|| Error::corrupt(&path, "the file fails its checksum", RESTORE_GENERATION))?;
        if identity.is_some_and(|identity| identity != found) {
            let what = format!("it belongs to the database {found}");
            return Err(Error::corrupt(directory, what, RESTORE_GENERATION));
        }
        Ok(Some(places))
    }

    /// Where the envelope of a chunk begins.
    pub(crate) fn of(&self, part: u32, chunk: u32) -> Option<u64> {
        self.0.get(part as usize)?.get(chunk as usize).copied()
    }
}

/// Whether the bytes are the whole envelope of a chunk.
fn is_chunk(part: u32, chunk: u32, bytes: &[u8]) -> bool {
    value::open(Tree::Chunk.name(), &chunk_key(part, chunk), Kind::Chunk, bytes).is_ok()
}

fn parse(bytes: &[u8]) -> Option<(Identity, Places)> {
    fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
        let (head, tail) = rest.split_first_chunk::<N>()?;
        *rest = tail;
        Some(head)
    }
    let (mut rest, crc) = bytes.split_last_chunk::<4>()?;
    if *crc != crc32c::crc32c(rest).to_le_bytes() || *take::<8>(&mut rest)? != MAGIC {
        return None;
    }
    let number = |rest: &mut &[u8]| take(rest).map(|bytes| u32::from_le_bytes(*bytes));
    if number(&mut rest)? != VERSION {
        return None;
    }
    let parts = number(&mut rest)?;
    let identity = Identity::from_bytes(*take(&mut rest)?);
    let mut places = Vec::new();
    for _ in 0..parts {
        let chunks = number(&mut rest)? as usize;
        let (own, after) = rest.split_at_checked(chunks.checked_mul(8)?)?;
        places.push(own.as_chunks().0.iter().map(|place| u64::from_le_bytes(*place)).collect());
        rest = after;
    }
    rest.is_empty().then_some((identity, Places(places)))
}

/// Values of a data file, read through a window: chunks that were written one after another lie close together.
#[derive(Debug)]
pub(crate) struct Window {
    file: File,
    start: u64,
    bytes: Vec<u8>,
}

/// Bytes of a window.
const WINDOW: u64 = 1 << 20;

impl Window {
    pub(crate) fn new(file: File) -> Window {
        Window { file, start: 0, bytes: Vec::new() }
    }

    /// The bytes from `offset`, fewer at the end of the file.
    pub(crate) fn at(&mut self, offset: u64, length: usize) -> std::io::Result<&[u8]> {
        let inside = |start: u64, bytes: &[u8]| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            (from.checked_add(length)? <= bytes.len()).then_some(from..from + length)
        };
        let range = match inside(self.start, &self.bytes) {
            Some(range) => range,
            None => {
                self.bytes.clear();
                self.file.seek(SeekFrom::Start(offset))?;
                (&self.file).take(WINDOW.max(length as u64)).read_to_end(&mut self.bytes)?;
                self.start = offset;
                0..length.min(self.bytes.len())
            }
        };
        Ok(self.bytes.get(range).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity() -> Identity {
        Identity::from_bytes([7; 16])
    }

    proptest! {
        /// Chunks scattered over a file of anything, false magics included, in any order and more than once, are all found.
        #[test]
        fn chunks_are_found_wherever_they_lie(
            lengths in proptest::collection::vec(0..300usize, 1..20),
            noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 40),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let sealed: Vec<Vec<u8>> = lengths.iter().zip(0..)
                .map(|(&length, chunk)| value::seal("chunk", &chunk_key(0, chunk), Kind::Chunk, &vec![0x6b; length]))
                .collect();
            let mut bytes = Vec::new();
            for (at, noise) in noise.iter().enumerate() {
                bytes.extend_from_slice(noise);
                bytes.extend_from_slice(&value::front(Kind::Chunk)[..at % 5]);
                if let Some(value) = order.get(at).map(|index| &sealed[index.index(sealed.len())]) {
                    bytes.extend_from_slice(value);
                }
            }
            sealed.iter().for_each(|value| bytes.extend_from_slice(value));
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("db");
            std::fs::write(&data, &bytes).unwrap();
            let seals = sealed.iter().map(|value| Sealed {
                checksum: value::checksum_of(value),
                bytes: (value.len() - HEADER) as u32,
            }).collect();
            let places = Places::find(&data, &[seals]).unwrap();
            let mut window = Window::new(File::open(&data).unwrap());
            for (chunk, value) in (0..).zip(&sealed) {
                prop_assert_eq!(window.at(places.of(0, chunk).unwrap(), value.len()).unwrap(), &value[..]);
            }
            places.write(dir.path(), identity()).unwrap();
            prop_assert_eq!(Places::read(dir.path(), Some(identity())).unwrap().unwrap(), places);
        }
    }

    #[test]
    fn a_chunk_across_pieces_is_found_and_a_missing_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("db");
        let seal = |chunk| value::seal("chunk", &chunk_key(3, chunk), Kind::Chunk, &[9; 6000]);
        let mut bytes = vec![0x56; PIECE - 100];
        bytes.extend_from_slice(&seal(0));
        bytes.extend_from_slice(&vec![0; 2 * PIECE - 17]);
        bytes.extend_from_slice(&seal(1));
        std::fs::write(&data, &bytes).unwrap();
        let sealed = |chunk| {
            let value = seal(chunk);
            Sealed { checksum: value::checksum_of(&value), bytes: 6000 }
        };
        let parts = |chunks: Vec<Sealed>| [vec![], vec![], vec![], chunks];
        let places = Places::find(&data, &parts(vec![sealed(0), sealed(1)])).unwrap();
        assert_eq!(places.of(3, 0), Some(PIECE as u64 - 100));
        let missing = Places::find(&data, &parts(vec![sealed(0), sealed(1), sealed(2)])).unwrap_err();
        assert!(missing.to_string().contains("chunk 2 of part 3"), "{missing}");
    }

    #[test]
    fn any_damage_and_another_database_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Places::read(dir.path(), None).unwrap(), None);
        Places(vec![vec![5, 70], vec![], vec![1 << 40]]).write(dir.path(), identity()).unwrap();
        let other = Places::read(dir.path(), Some(Identity::draw())).unwrap_err();
        assert!(other.to_string().contains("belongs to the database"), "{other}");
        let path = dir.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(Places::read(dir.path(), None), Err(Error::Corrupt { .. })), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(Places::read(dir.path(), None), Err(Error::Corrupt { .. })), "cut at {at}");
        }
    }
}
