//! `ACKED`: the witness of how far the log was acknowledged.
//!
//! A log whose tail is cut off recovers without an error, only shorter. The witness is a second, independent file that knows how long
//! it has to be. It is written after the log is durable, so it never runs ahead of it; it is synced once a second, so after a power cut
//! it may lag behind. Two slots are used in turn, a new one after each sync: the slot that is durable is never the one being written.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::directory::ACKED;
use crate::error::{Error, RESTORE, Result};

/// What has been acknowledged: a log sequence and a published generation (0 = none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acked {
    pub(crate) sequence: u64,
    pub(crate) generation: u64,
}

const MAGIC: [u8; 8] = *b"kithack1";
const SLOT: usize = 32;
/// The slots are a page apart, so that no single torn write reaches both.
const OFFSETS: [u64; 2] = [0, 4096];

/// The open witness of a database.
pub(crate) struct Witness {
    path: PathBuf,
    /// A second handle, so that a sync does not hold up the writer of the slot. Its lock lets one sync at a time take its turn.
    syncing: Mutex<File>,
    slots: Mutex<Slots>,
}

struct Slots {
    file: File,
    acked: Acked,
    /// Which slot the next write goes to: the one that was not synced last.
    turn: usize,
    dirty: bool,
}

impl Witness {
    /// Writes the first witness of a new database.
    pub(crate) fn create(root: &Path) -> Result<()> {
        let path = root.join(ACKED);
        let mut file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        for turn in 0..OFFSETS.len() {
            write_slot(&mut file, turn, Acked::default()).map_err(|e| Error::io("write", &path, e))?;
        }
        file.sync_all().map_err(|e| Error::io("sync", &path, e))
    }

    /// Reads the witness. One torn slot is what a power cut leaves; two are damage.
    pub(crate) fn open(root: &Path) -> Result<(Witness, Acked)> {
        let path = root.join(ACKED);
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::corrupt(&path, "the file is missing", RESTORE));
            }
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let mut slots = [None; 2];
        for (turn, slot) in slots.iter_mut().enumerate() {
            *slot = read_slot(&mut file, turn).map_err(|e| Error::io("read", &path, e))?;
        }
        let (acked, turn) = match slots {
            [Some(first), Some(second)] if second > first => (second, 0),
            [Some(first), _] => (first, 1),
            [None, Some(second)] => (second, 0),
            [None, None] => {
                return Err(Error::corrupt(&path, "both slots fail their checksum", RESTORE));
            }
        };
        let syncing = file.try_clone().map_err(|e| Error::io("open", &path, e))?;
        let slots = Slots { file, acked, turn, dirty: false };
        Ok((Witness { path, syncing: Mutex::new(syncing), slots: Mutex::new(slots) }, acked))
    }

    /// Notes what is durable by now. Survives the end of the process; [`Witness::sync`] makes it survive a power cut.
    pub(crate) fn advance(&self, acked: Acked) -> Result<()> {
        let mut slots = self.slots.lock();
        if acked == slots.acked {
            return Ok(());
        }
        let turn = slots.turn;
        write_slot(&mut slots.file, turn, acked).map_err(|e| Error::io("write", &self.path, e))?;
        slots.acked = acked;
        slots.dirty = true;
        Ok(())
    }

    /// Makes the last advance durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let syncing = self.syncing.lock();
        if !std::mem::take(&mut self.slots.lock().dirty) {
            return Ok(());
        }
        syncing.sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
        self.slots.lock().turn ^= 1;
        Ok(())
    }
}

fn write_slot(file: &mut File, turn: usize, acked: Acked) -> std::io::Result<()> {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&acked.sequence.to_le_bytes());
    bytes[16..24].copy_from_slice(&acked.generation.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..SLOT - 4]);
    bytes[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
    file.seek(SeekFrom::Start(OFFSETS[turn & 1]))?;
    file.write_all(&bytes)
}

fn read_slot(file: &mut File, turn: usize) -> std::io::Result<Option<Acked>> {
    let mut bytes = [0; SLOT];
    file.seek(SeekFrom::Start(OFFSETS[turn & 1]))?;
    match file.read_exact(&mut bytes) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let crc = u32::from_le_bytes(std::array::from_fn(|i| bytes[SLOT - 4 + i]));
    let good = bytes[..8] == MAGIC && crc == crc32c::crc32c(&bytes[..SLOT - 4]);
    Ok(good.then(|| Acked { sequence: number(8), generation: number(16) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acked(sequence: u64) -> Acked {
        Acked { sequence, generation: 0 }
    }

    #[test]
    fn the_newer_slot_wins_and_one_torn_slot_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        Witness::create(dir.path()).unwrap();
        let (witness, first) = Witness::open(dir.path()).unwrap();
        assert_eq!(first, acked(0));
        for sequence in 1..=4 {
            witness.advance(acked(sequence)).unwrap();
            witness.sync().unwrap();
        }
        drop(witness);
        let path = dir.path().join(ACKED);
        assert_eq!(Witness::open(dir.path()).unwrap().1, acked(4));
        let good = std::fs::read(&path).unwrap();
        let mut survivors = Vec::new();
        for offset in OFFSETS {
            let mut torn = good.clone();
            torn[offset as usize + 9] ^= 0x10;
            std::fs::write(&path, torn).unwrap();
            survivors.push(Witness::open(dir.path()).unwrap().1.sequence);
        }
        survivors.sort_unstable();
        assert_eq!(survivors, [3, 4], "each sync must move on to the other slot");
        std::fs::write(&path, vec![0; good.len()]).unwrap();
        assert!(matches!(Witness::open(dir.path()), Err(Error::Corrupt { .. })));
    }
}
