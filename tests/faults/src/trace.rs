//! A record of every call that changed something below the directory, with its data, and of what the program said meanwhile: enough to tell
//! what a disk may hold if the power goes at any moment.
//!
//! Records follow each other in the order in which the calls ended. Each is, in little-endian numbers, `length: u32` of what follows, `kind: u8`,
//! `a: u64`, `b: u64` and bytes:
//!
//! | kind | `a` | `b` | bytes |
//! |---|---|---|---|
//! | 1 a file was created | inode | 0 | path |
//! | 2 a directory was made | inode | 0 | path |
//! | 3 a name was changed | 0 | 0 | old path, a zero, new path |
//! | 4 a file or directory was removed | 0 | 0 | path |
//! | 5 written | inode | offset | data |
//! | 6 given a length | inode | length | |
//! | 7 synced | inode, 0 for all | records there were when the call began | |
//! | 8 said on the standard output | 0 | 0 | text |
//! | 9 a range was written back, which promises nothing | inode | as 7 | |
//!
//! Paths begin after the directory's own. Calls that change names or data are made one at a time, so that the order is the one they took
//! effect in; syncs are not, so they tell when they began. Copies within the system are refused, as systems do that have none: programs then
//! read and write. Files changed through a mapping, by rustix, by `truncate`, `link` or `symlink` are not seen.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::sync::{Mutex, MutexGuard};

use crate::plan::{Plan, plan};

#[derive(Clone, Copy)]
#[repr(u8)]
enum Record {
    Created = 1,
    Made = 2,
    Renamed = 3,
    Removed = 4,
    Written = 5,
    Truncated = 6,
    Synced = 7,
    Said = 8,
    WrittenBack = 9,
}

/// An open trace.
pub(crate) struct Trace {
    fd: c_int,
    records: Mutex<u64>,
}

/// The trace while nobody else writes to it.
struct Pen<'a> {
    fd: c_int,
    records: MutexGuard<'a, u64>,
}

impl Trace {
    /// Begins a trace in a new file.
    pub(crate) fn create(path: &CStr) -> Option<Trace> {
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC | libc::O_CLOEXEC;
        // SAFETY: a plain system call on a path that ends in a zero.
        let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o644) };
        (fd >= 0).then(|| Trace { fd: fd as c_int, records: Mutex::new(0) })
    }

    fn pen(&self) -> Pen<'_> {
        let records = self.records.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Pen { fd: self.fd, records }
    }
}

impl Pen<'_> {
    fn note(&mut self, record: Record, a: u64, b: u64, bytes: &[u8]) {
        let mut line = Vec::with_capacity(21 + bytes.len());
        line.extend_from_slice(&(17 + bytes.len() as u32).to_le_bytes());
        line.push(record as u8);
        line.extend_from_slice(&a.to_le_bytes());
        line.extend_from_slice(&b.to_le_bytes());
        line.extend_from_slice(bytes);
        let mut rest = &line[..];
        while !rest.is_empty() {
            // SAFETY: the buffer is as long as is said.
            let written = unsafe { libc::syscall(libc::SYS_write, self.fd, rest.as_ptr(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) => rest = &rest[written..],
                // A trace with a hole would be taken for the truth.
                // SAFETY: ends the process.
                Err(_) => unsafe { libc::abort() },
            }
        }
        *self.records += 1;
    }
}

fn tracing() -> Option<(&'static Plan, &'static Trace)> {
    let plan = plan()?;
    Some((plan, plan.trace.as_ref()?))
}

/// Whether there is a trace.
pub(crate) fn is_on() -> bool {
    tracing().is_some()
}

fn tail<'a>(plan: &Plan, place: &'a [u8]) -> &'a [u8] {
    place.get(plan.directory.len()..).unwrap_or_default()
}

/// The inode of a descriptor.
fn inode(fd: c_int) -> u64 {
    // SAFETY: all zeros is a `stat`, and the call writes one.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &raw mut stat) == 0 { stat.st_ino } else { 0 }
    }
}

/// The inode of a path, if there is such a file.
fn inode_at(place: &[u8]) -> Option<u64> {
    let place = CString::new(place).ok()?;
    // SAFETY: the path ends in a zero; all zeros is a `stat`, and the call writes one.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstatat(libc::AT_FDCWD, place.as_ptr(), &raw mut stat, 0) == 0).then_some(stat.st_ino)
    }
}

/// An opening, which may create a file or empty it.
///
/// # Safety
/// `name` is null or ends in a zero.
pub(crate) unsafe fn open(
    directory: c_int,
    name: *const c_char,
    flags: c_int,
    call: impl FnOnce() -> c_long,
) -> c_long {
    let changes = flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
    let Some((plan, trace)) = tracing().filter(|_| changes) else { return call() };
    // SAFETY: as the caller promises.
    let Some(place) = (unsafe { plan.name(directory, name) }) else { return call() };
    let mut pen = trace.pen();
    let existed = inode_at(&place).is_some();
    let fd = call();
    if fd >= 0 && !existed {
        pen.note(Record::Created, inode(fd as c_int), 0, tail(plan, &place));
    } else if fd >= 0 && flags & libc::O_TRUNC != 0 {
        pen.note(Record::Truncated, inode(fd as c_int), 0, &[]);
    }
    fd
}

/// The making of a directory.
///
/// # Safety
/// As [`open`].
pub(crate) unsafe fn mkdir(directory: c_int, name: *const c_char, call: impl FnOnce() -> c_long) -> c_long {
    let Some((plan, trace)) = tracing() else { return call() };
    // SAFETY: as the caller promises.
    let Some(place) = (unsafe { plan.name(directory, name) }) else { return call() };
    let mut pen = trace.pen();
    let done = call();
    if done == 0 {
        pen.note(Record::Made, inode_at(&place).unwrap_or(0), 0, tail(plan, &place));
    }
    done
}

/// A change of name.
///
/// # Safety
/// As [`open`], of both names.
pub(crate) unsafe fn rename(
    (from, old): (c_int, *const c_char),
    (to, new): (c_int, *const c_char),
    call: impl FnOnce() -> c_long,
) -> c_long {
    let Some((plan, trace)) = tracing() else { return call() };
    // SAFETY: as the caller promises.
    let (Some(old), Some(new)) = (unsafe { (plan.name(from, old), plan.name(to, new)) }) else { return call() };
    let mut pen = trace.pen();
    let done = call();
    if done == 0 {
        pen.note(Record::Renamed, 0, 0, &[tail(plan, &old), tail(plan, &new)].join(&0));
    }
    done
}

/// The removal of a file or directory.
///
/// # Safety
/// As [`open`].
pub(crate) unsafe fn remove(directory: c_int, name: *const c_char, call: impl FnOnce() -> c_long) -> c_long {
    let Some((plan, trace)) = tracing() else { return call() };
    // SAFETY: as the caller promises.
    let Some(place) = (unsafe { plan.name(directory, name) }) else { return call() };
    let mut pen = trace.pen();
    let done = call();
    if done == 0 {
        pen.note(Record::Removed, 0, 0, tail(plan, &place));
    }
    done
}

/// A write of these buffers, at the file's own position where `at` is `None`.
///
/// # Safety
/// The buffers can be read.
pub(crate) unsafe fn write(
    fd: c_int,
    at: Option<i64>,
    buffers: &[libc::iovec],
    call: impl FnOnce() -> c_long,
) -> c_long {
    let Some((plan, trace)) = tracing() else { return call() };
    let says = fd == libc::STDOUT_FILENO;
    if !says && plan.descriptor(fd).is_none() {
        return call();
    }
    let mut pen = trace.pen();
    let written = call();
    let Ok(length @ 1..) = usize::try_from(written) else { return written };
    let mut bytes = Vec::with_capacity(length);
    for buffer in buffers {
        let part = buffer.iov_len.min(length - bytes.len());
        // SAFETY: the caller promises that the buffers can be read; the system has just done so.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(buffer.iov_base.cast::<u8>(), part) });
    }
    if says {
        pen.note(Record::Said, 0, 0, &bytes);
    } else {
        // SAFETY: asking for the position, which is behind what was written, changes nothing.
        let at = at.unwrap_or_else(|| unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) } - written);
        pen.note(Record::Written, inode(fd), at as u64, &bytes);
    }
    written
}

/// One buffer as a list.
pub(crate) fn one(buffer: *const c_void, length: usize) -> [libc::iovec; 1] {
    [libc::iovec { iov_base: buffer.cast_mut(), iov_len: length }]
}

/// A change of a file's length.
pub(crate) fn truncate(fd: c_int, length: i64, call: impl FnOnce() -> c_long) -> c_long {
    let Some((plan, trace)) = tracing() else { return call() };
    if plan.descriptor(fd).is_none() {
        return call();
    }
    let mut pen = trace.pen();
    let done = call();
    if done == 0 {
        pen.note(Record::Truncated, inode(fd), length as u64, &[]);
    }
    done
}

/// What a sync reaches.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reach {
    File,
    All,
    /// Written back without a promise: neither lengths nor the disk's own cache are taken care of.
    Nothing,
}

/// A sync, which covers what had ended when it began.
pub(crate) fn sync(fd: c_int, reach: Reach, call: impl FnOnce() -> c_int) -> c_int {
    let Some((plan, trace)) = tracing() else { return call() };
    if plan.descriptor(fd).is_none() {
        return call();
    }
    let begun = *trace.pen().records;
    let done = call();
    if done == 0 {
        let (record, inode) = match reach {
            Reach::File => (Record::Synced, inode(fd)),
            Reach::All => (Record::Synced, 0),
            Reach::Nothing => (Record::WrittenBack, inode(fd)),
        };
        trace.pen().note(record, inode, begun, &[]);
    }
    done
}
