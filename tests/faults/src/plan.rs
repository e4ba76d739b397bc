//! What is to fail, and the counting.

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kind::Kind;
use crate::report;
use crate::trace::Trace;

/// What a failed sync does to what it should have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    Keep,
    Lose,
    Late,
}

pub(crate) struct Plan {
    pub(crate) directory: Vec<u8>,
    kind: Option<Kind>,
    nth: u64,
    sticky: bool,
    errno: c_int,
    pub(crate) sync: Sync,
    pub(crate) trace: Option<Trace>,
    words: &'static [AtomicU64],
}

fn variable(name: &CStr) -> Option<&'static str> {
    // SAFETY: the name ends in a zero; nothing changes the environment of a program under test, so that the text stays where it is.
    let text: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    if text.is_null() {
        return None;
    }
    // SAFETY: what `getenv` gives ends in a zero and lives as long as the environment does.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

fn errno(name: &str) -> c_int {
    match name {
        "ENOSPC" => libc::ENOSPC,
        "EMFILE" => libc::EMFILE,
        "EACCES" => libc::EACCES,
        "EAGAIN" => libc::EAGAIN,
        "ENOMEM" => libc::ENOMEM,
        _ => libc::EIO,
    }
}

/// Maps the report. System calls only, since the C library's are ours.
fn map(path: &CStr) -> Option<&'static [AtomicU64]> {
    // SAFETY: plain system calls on a path that ends in a zero and a descriptor that was just opened.
    let memory = unsafe {
        let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC, 0);
        if fd < 0 {
            return None;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let memory = libc::mmap(std::ptr::null_mut(), report::BYTES, access, libc::MAP_SHARED, fd as c_int, 0);
        libc::syscall(libc::SYS_close, fd);
        memory
    };
    if memory == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping has `BYTES` bytes, is aligned to a page, and is never unmapped.
    Some(unsafe { std::slice::from_raw_parts(memory.cast::<AtomicU64>(), report::BYTES / 8) })
}

/// The plan, read from the environment with the first call; `None` where there is nothing to do.
pub(crate) fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| {
        let directory = variable(c"KITHDB_FAULT_DIR")?.as_bytes().to_vec();
        let path = std::ffi::CString::new(variable(c"KITHDB_FAULT_REPORT")?).ok()?;
        let words = map(&path)?;
        words[0].store(report::ATTACHED, Ordering::Relaxed);
        Some(Plan {
            directory,
            kind: variable(c"KITHDB_FAULT_KIND").and_then(Kind::named),
            nth: variable(c"KITHDB_FAULT_NTH").and_then(|n| n.parse().ok()).unwrap_or(0),
            sticky: variable(c"KITHDB_FAULT_MODE") == Some("sticky"),
            errno: errno(variable(c"KITHDB_FAULT_ERRNO").unwrap_or("EIO")),
            sync: match variable(c"KITHDB_FAULT_SYNC") {
                Some("lose") => Sync::Lose,
                Some("late") => Sync::Late,
                _ => Sync::Keep,
            },
            trace: variable(c"KITHDB_FAULT_TRACE").and_then(|path| Trace::create(&std::ffi::CString::new(path).ok()?)),
            words,
        })
    })
    .as_ref()
}

impl Plan {
    /// Counts a call of a kind at a place; the error it has to end with, if it has to fail.
    pub(crate) fn count(&self, kind: Kind, place: &[u8]) -> Option<c_int> {
        let call = self.words[report::COUNTS + kind as usize].fetch_add(1, Ordering::SeqCst) + 1;
        if self.kind != Some(kind) || self.nth == 0 || call < self.nth || (call > self.nth && !self.sticky) {
            return None;
        }
        if self.words[report::FIRED].fetch_add(1, Ordering::SeqCst) == 0 {
            let mut text = [0; report::BYTES - report::PATH];
            let length = place.len().min(text.len() - 1);
            text[..length].copy_from_slice(&place[..length]);
            for (word, bytes) in self.words[report::PATH / 8..].iter().zip(text.chunks_exact(8)) {
                word.store(u64::from_le_bytes(std::array::from_fn(|at| bytes[at])), Ordering::Relaxed);
            }
            // A disk that fails takes its time: whoever waits for it is asleep when it does.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(self.errno)
    }
}
