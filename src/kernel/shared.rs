//! Memory that a value owns, or shares with other processes: a slice of a mapped file.
//!
//! A mapped file has to stay as it is: where another process cuts it off, touching what is gone ends this one (SIGBUS), and what another process writes shows
//! here. Files of a snapshot are written once under another name, never again, and are removed whole, which leaves a mapping as it is.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use memmap2::Mmap;

/// A slice of numbers, owned or mapped. A copy of what is mapped shares it; a copy of what is owned is one of its own.
///
/// The place is kept beside the owner, so that reading costs what it costs of a `Vec`.
pub(crate) struct Shared<T> {
    data: *const T,
    len: usize,
    owner: Owner<T>,
}

enum Owner<T> {
    Memory(Vec<T>),
    File(Arc<Mmap>),
}

// SAFETY: what `data` points at is owned by `owner` and never written while it is: a `Vec<T>` or a read-only mapping, both of which may be sent and shared as `T`
// may.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above; a shared reference gives shared slices and nothing else.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(values: Vec<T>) -> Self {
        // The place of a vector's values does not change when the vector is moved.
        Self { data: values.as_ptr(), len: values.len(), owner: Owner::Memory(values) }
    }
}

impl<T: AnyBitPattern + NoUninit> Shared<T> {
    /// Maps a file of values as they lie in memory. O(1): pages are read when they are touched.
    ///
    /// # Errors
    /// Where it cannot be opened or mapped, and `InvalidData` where it holds no whole number of values; each names the file.
    pub(crate) fn map(path: &Path) -> std::io::Result<Self> {
        let named = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        // Nothing is mapped of no bytes.
        if file.metadata().map_err(named)?.len() == 0 {
            return Ok(Vec::new().into());
        }
        // SAFETY: the file belongs to a snapshot, whose files nobody changes or cuts off once they have their names (see the module).
        let map = unsafe { Mmap::map(&file) }.map_err(named)?;
        let misfit =
            |_| named(std::io::Error::new(std::io::ErrorKind::InvalidData, "it holds no whole number of values"));
        // Checked for length and alignment; a page is aligned for every `T` there is.
        let values: &[T] = bytemuck::try_cast_slice(&map).map_err(misfit)?;
        let (data, len) = (values.as_ptr(), values.len());
        Ok(Self { data, len, owner: Owner::File(Arc::new(map)) })
    }
}

impl<T> Shared<T> {
    /// Whether it is a mapped file.
    #[cfg(test)]
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.owner, Owner::File(_))
    }
}

impl<T: Clone> Shared<T> {
    /// The values, taken out; copied where they are mapped.
    pub(crate) fn into_vec(self) -> Vec<T> {
        match self.owner {
            Owner::Memory(values) => values,
            Owner::File(_) => self.to_vec(),
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `data` and `len` are of a slice of `owner`, which lives as long as this and is not written: they were taken from a `Vec` that is only
        // dropped afterwards, or from a checked slice of a mapping. Of no values `data` is that of an empty vector, which is aligned and not null.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl<T: Clone> Clone for Shared<T> {
    fn clone(&self) -> Self {
        match &self.owner {
            Owner::Memory(values) => values.clone().into(),
            Owner::File(map) => Self { data: self.data, len: self.len, owner: Owner::File(Arc::clone(map)) },
        }
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0usize, 1, 7, 511, 512, 513, 100_000] {
            let values: Vec<u64> = (0..len as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let path = dir.path().join(format!("{len}"));
            std::fs::write(&path, bytemuck::cast_slice::<u64, u8>(&values)).unwrap();
            let owned = Shared::from(values.clone());
            let mapped = Shared::<u64>::map(&path).unwrap();
            // A copy holds what it shares, and neither file nor value need stay.
            let copies = [owned.clone(), mapped.clone()];
            std::fs::remove_file(&path).unwrap();
            assert_eq!((&owned, mapped.is_mapped()), (&mapped, len > 0));
            drop((owned, mapped));
            copies.iter().for_each(|copy| assert_eq!(**copy, *values));
            std::thread::spawn(move || assert_eq!(copies[1].len(), len)).join().unwrap();
        }
    }

    #[test]
    fn a_file_of_half_a_value_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("half");
        std::fs::write(&path, [0; 12]).unwrap();
        assert_eq!(Shared::<u64>::map(&path).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(Shared::<u32>::map(&path).unwrap().len(), 3);
        assert!(Shared::<u64>::map(&dir.path().join("none")).is_err());
    }
}
