//! Where a call works: the path of a name, of a name in an open directory, of a descriptor.

use std::ffi::{CStr, c_char, c_int};
use std::io::Write;

use crate::plan::Plan;

/// A path on the stack; longer ones than this are nobody's here.
const LONGEST: usize = 4096;

/// The path of a descriptor, without the note that its file was removed.
fn of_descriptor(fd: c_int) -> Option<Vec<u8>> {
    let mut name = [0u8; 40];
    let mut rest = &mut name[..];
    write!(rest, "/proc/self/fd/{fd}\0").ok()?;
    let mut path = vec![0u8; LONGEST];
    // SAFETY: the name ends in a zero, the buffer has `LONGEST` bytes, and the call writes no more than that.
    let length =
        unsafe { libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, name.as_ptr(), path.as_mut_ptr(), LONGEST) };
    path.truncate(usize::try_from(length).ok()?);
    if let Some(whole) = path.strip_suffix(b" (deleted)") {
        path.truncate(whole.len());
    }
    Some(path)
}

impl Plan {
    fn below(&self, path: Vec<u8>) -> Option<Vec<u8>> {
        let rest = path.strip_prefix(self.directory.as_slice())?;
        (rest.is_empty() || rest[0] == b'/').then_some(path)
    }

    /// The path of a descriptor, if it is below the directory.
    pub(crate) fn descriptor(&self, fd: c_int) -> Option<Vec<u8>> {
        self.below(of_descriptor(fd)?)
    }

    /// The path of a name, relative to an open directory unless it is absolute, if it is below the directory. An empty one is that of
    /// the open directory or file itself.
    ///
    /// # Safety
    /// `name` is null or ends in a zero.
    pub(crate) unsafe fn name(&self, directory: c_int, name: *const c_char) -> Option<Vec<u8>> {
        if name.is_null() {
            return self.descriptor(directory);
        }
        // SAFETY: as the caller promises.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        if name.first() == Some(&b'/') {
            return self.below(name.to_vec());
        }
        let mut path = match directory {
            libc::AT_FDCWD => {
                let mut path = vec![0u8; LONGEST];
                // SAFETY: the buffer has `LONGEST` bytes.
                let length = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), LONGEST) };
                path.truncate(usize::try_from(length).ok()?.checked_sub(1)?);
                path
            }
            fd => of_descriptor(fd)?,
        };
        if !name.is_empty() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        self.below(path)
    }
}
