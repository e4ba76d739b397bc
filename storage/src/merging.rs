//! When what was written over a generation is merged with it.

use std::path::Path;

use crate::directory::{generation_name, size};
use crate::manifest::{Manifest, StateFile};
use crate::part::owners;

/// Patches that a generation may have at most, whatever was asked for: a reader keeps a file open for each.
const MOST: usize = 1024;
/// Bytes that the engine may add to the directories of a small generation.
const ADDED: u64 = 4 << 20;

/// How much is written over a generation, row by row, before a publication writes everything anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merging {
    /// Bytes on the disk written over the parts, as a share of theirs (default 0.5).
    pub parts: f64,
    /// Bytes written over the training state, as a share of its own (default a seventh). Parts stay as they are then; state is written anew with
    /// them, too.
    pub state: f64,
    /// Publications that wrote over a base (default 32, at most 1,024).
    pub patches: usize,
}

impl Default for Merging {
    fn default() -> Merging {
        Merging { parts: 0.5, state: 1.0 / 7.0, patches: 32 }
    }
}

impl Merging {
    /// Whether the parts of a generation below `root` are due: what they lie in, with what the engine adds to it, has outgrown them.
    pub(crate) fn is_due(&self, root: &Path, manifest: &Manifest) -> bool {
        let owners = owners(&manifest.parts);
        let on_disk: u64 = owners.iter().map(|&owner| size(&root.join(generation_name(owner)))).sum();
        let stored = manifest.stored_bytes();
        let over = on_disk.saturating_sub(stored + ADDED);
        self.are_many(owners.len()) || over as f64 > self.parts * stored as f64
    }

    /// Whether a state is due that lies in these files, the base first; one that lies nowhere is.
    pub(crate) fn is_state_due(&self, files: &[StateFile]) -> bool {
        let over: u64 = files.iter().skip(1).map(|file| file.bytes).sum();
        self.are_many(files.len()) || files.first().is_none_or(|base| over as f64 > self.state * base.bytes as f64)
    }

    /// Whether so many bases and patches leave no room for another patch.
    fn are_many(&self, extents: usize) -> bool {
        extents > self.patches.min(MOST)
    }
}
