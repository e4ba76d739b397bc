//! `ACKED`: the witness of how far the log was acknowledged.
//!
//! A log whose tail is cut off recovers without an error, only shorter. The witness is a second, independent file that knows how long
//! it has to be. It is written after the log is durable, so it never runs ahead of it; it is synced once a second, so after a power cut
//! it may lag behind. Two slots are used in turn, a new one after each sync: the slot that is durable is never the one being written.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::directory::{ACKED, UNFINISHED, rename};
use crate::error::{Error, RESTORE, Result};
use crate::identity::Identity;
use crate::place::Place;

/// What has been acknowledged: a log sequence and a published generation (0 = none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acked {
    pub(crate) sequence: u64,
    pub(crate) generation: u64,
}

const MAGIC: [u8; 8] = *b"kithack2";
const SLOT: usize = 48;
/// Slots of format 1, which name no database.
const OLD_MAGIC: [u8; 8] = *b"kithack1";
const OLD_SLOT: usize = 32;
/// The slots are a page apart, so that no single torn write reaches both.
const OFFSETS: [u64; 2] = [0, 4096];

/// The open witness of a database.
pub(crate) struct Witness {
    path: PathBuf,
    /// A second handle, so that a sync does not hold up the writer of the slot. Its lock lets one sync at a time take its turn.
    syncing: Mutex<File>,
    slots: Mutex<Slots>,
    place: Place,
}

struct Slots {
    file: File,
    identity: Identity,
    acked: Acked,
    /// Which slot the next write goes to: the one that was not synced last.
    turn: usize,
    dirty: bool,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Testimony {
    pub(crate) acked: Acked,
    /// The database it belongs to; a witness of format 1 does not tell.
    pub(crate) identity: Option<Identity>,
    turn: usize,
}

impl Witness {
    /// Writes a witness, in place of any there is, durably.
    pub(crate) fn create(root: &Path, identity: Identity, acked: Acked) -> Result<()> {
        let path = root.join(ACKED);
        let unfinished = root.join(format!("{ACKED}{UNFINISHED}"));
        let written = File::create(&unfinished).and_then(|mut file| {
            (0..OFFSETS.len()).try_for_each(|turn| write_slot(&mut file, turn, identity, acked))?;
            file.sync_all()
        });
        written.map_err(|e| Error::io("write", &unfinished, e))?;
        rename(&unfinished, &path)
    }

    /// Reads the witness. One torn slot is what a power cut leaves; two are damage.
    pub(crate) fn read(root: &Path) -> Result<Testimony> {
        let path = root.join(ACKED);
        let mut file = match File::open(&path) {
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
        let testimony = |(acked, identity): (Acked, Option<Identity>), turn| Ok(Testimony { acked, identity, turn });
        match slots {
            [Some((_, first)), Some((_, second))] if first != second => {
                Err(Error::corrupt(&path, "its two slots are of different databases", RESTORE))
            }
            [Some(first), Some(second)] if second.0 > first.0 => testimony(second, 0),
            [Some(first), _] => testimony(first, 1),
            [None, Some(second)] => testimony(second, 0),
            [None, None] => Err(Error::corrupt(&path, "both slots fail their checksum", RESTORE)),
        }
    }

    /// Opens the witness to write on from what it says.
    pub(crate) fn open(root: &Path, identity: Identity) -> Result<Witness> {
        let path = root.join(ACKED);
        let Testimony { acked, turn, .. } = Witness::read(root)?;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| Error::io("open", &path, e))?;
        let place = Place::of(&path, &file)?;
        let syncing = file.try_clone().map_err(|e| Error::io("open", &path, e))?;
        let slots = Slots { file, identity, acked, turn, dirty: false };
        Ok(Witness { path, syncing: Mutex::new(syncing), slots: Mutex::new(slots), place })
    }

    /// Notes what is durable by now. Survives the end of the process; [`Witness::sync`] makes it survive a power cut.
    pub(crate) fn advance(&self, acked: Acked) -> Result<()> {
        let mut slots = self.slots.lock();
        if acked == slots.acked {
            return Ok(());
        }
        let (turn, identity) = (slots.turn, slots.identity);
        write_slot(&mut slots.file, turn, identity, acked).map_err(|e| Error::io("write", &self.path, e))?;
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

    /// Whether the file is still the one that the next opening will read.
    pub(crate) fn check_place(&self) -> Result<()> {
        self.place.check()
    }
}

fn write_slot(file: &mut File, turn: usize, identity: Identity, acked: Acked) -> std::io::Result<()> {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&acked.sequence.to_le_bytes());
    bytes[16..24].copy_from_slice(&acked.generation.to_le_bytes());
    bytes[24..40].copy_from_slice(&identity.to_bytes());
    let crc = crc32c::crc32c(&bytes[..SLOT - 4]);
    bytes[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
    file.seek(SeekFrom::Start(OFFSETS[turn & 1]))?;
    file.write_all(&bytes)
}

fn read_slot(file: &mut File, turn: usize) -> std::io::Result<Option<(Acked, Option<Identity>)>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(OFFSETS[turn & 1]))?;
    (&*file).take(SLOT as u64).read_to_end(&mut bytes)?;
    Ok(parse_slot(&bytes, MAGIC, SLOT).or_else(|| parse_slot(&bytes, OLD_MAGIC, OLD_SLOT)))
}

/// The slot at the front of `bytes`, if it is a good one of this kind.
fn parse_slot(bytes: &[u8], magic: [u8; 8], length: usize) -> Option<(Acked, Option<Identity>)> {
    let (body, crc) = bytes.get(..length)?.split_last_chunk::<4>()?;
    let (found, rest) = body.split_first_chunk::<8>()?;
    if *found != magic || *crc != crc32c::crc32c(body).to_le_bytes() {
        return None;
    }
    let (sequence, rest) = rest.split_first_chunk()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let acked = Acked { sequence: u64::from_le_bytes(*sequence), generation: u64::from_le_bytes(*generation) };
    Some((acked, rest.first_chunk().map(|identity| Identity::from_bytes(*identity))))
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
        let identity = Identity::draw();
        Witness::create(dir.path(), identity, Acked::default()).unwrap();
        let read = || Witness::read(dir.path()).unwrap();
        assert_eq!((read().acked, read().identity), (acked(0), Some(identity)));
        let witness = Witness::open(dir.path(), identity).unwrap();
        for sequence in 1..=4 {
            witness.advance(acked(sequence)).unwrap();
            witness.sync().unwrap();
        }
        drop(witness);
        let path = dir.path().join(ACKED);
        assert_eq!((read().acked, read().identity), (acked(4), Some(identity)));
        let good = std::fs::read(&path).unwrap();
        let mut survivors = Vec::new();
        for offset in OFFSETS {
            let mut torn = good.clone();
            torn[offset as usize + 9] ^= 0x10;
            std::fs::write(&path, torn).unwrap();
            survivors.push(read().acked.sequence);
        }
        survivors.sort_unstable();
        assert_eq!(survivors, [3, 4], "each sync must move on to the other slot");
        let mut mixed = good.clone();
        let other = dir.path().join("other");
        std::fs::create_dir(&other).unwrap();
        Witness::create(&other, Identity::draw(), acked(9)).unwrap();
        mixed[..SLOT].copy_from_slice(&std::fs::read(other.join(ACKED)).unwrap()[..SLOT]);
        std::fs::write(&path, mixed).unwrap();
        assert!(matches!(Witness::read(dir.path()), Err(Error::Corrupt { .. })), "slots of two databases");
        std::fs::write(&path, vec![0; good.len()]).unwrap();
        assert!(matches!(Witness::read(dir.path()), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_witness_of_format_1_is_read_and_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = [0; OLD_SLOT];
        bytes[..8].copy_from_slice(&OLD_MAGIC);
        bytes[8..16].copy_from_slice(&77u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&3u64.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(dir.path().join(ACKED), bytes).unwrap();
        let read = Witness::read(dir.path()).unwrap();
        assert_eq!((read.acked, read.identity), (Acked { sequence: 77, generation: 3 }, None));
    }
}
