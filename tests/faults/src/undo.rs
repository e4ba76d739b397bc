//! What the disk holds where it is not what the page cache shows: pages written since they were last synced, and pages whose sync failed.
//!
//! A failed sync leaves its pages clean in the cache: nobody will write them again, and once they are evicted the old bytes are back. Here
//! the old bytes of every page are kept from its first write until a sync succeeds. A page that is written to after its sync failed is
//! dirty again, and the next sync saves all of it.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Mutex;

use crate::plan::Sync;

const PAGE: u64 = 4096;

#[derive(PartialEq)]
enum State {
    Dirty,
    Lost,
}

struct Page {
    /// Bytes on the disk; those past its end there are missing.
    old: Vec<u8>,
    state: State,
}

struct File {
    /// A descriptor of our own, so that the pages can be restored whatever became of the name.
    fd: c_int,
    pages: HashMap<u64, Page>,
}

static FILES: Mutex<Option<HashMap<(u64, u64), File>>> = Mutex::new(None);

fn identity(fd: c_int) -> Option<((u64, u64), u64)> {
    // SAFETY: all zeros is a `stat`, and the call writes one.
    let (found, stat) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd, &raw mut stat), stat)
    };
    let regular = found == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    regular.then_some(((stat.st_dev, stat.st_ino), stat.st_size as u64))
}

fn read(fd: c_int, at: u64, bytes: &mut [u8]) -> usize {
    // SAFETY: the buffer is as long as is said.
    let length = unsafe { libc::syscall(libc::SYS_pread64, fd, bytes.as_mut_ptr(), bytes.len(), at) };
    usize::try_from(length).unwrap_or(0)
}

/// Notes the bytes that are about to be overwritten; a write at the file's own position where `at` is `None`.
pub(crate) fn before_write(fd: c_int, at: Option<u64>, length: usize) {
    let Some((identity, size)) = identity(fd) else { return };
    // SAFETY: asking for the position changes nothing.
    let position = || unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) };
    // SAFETY: reads the flags of a descriptor.
    let appends = unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL) } as c_int & libc::O_APPEND != 0;
    let at = at.unwrap_or(if appends { size } else { position().max(0) as u64 });
    let Ok(mut files) = FILES.lock() else { return };
    let file = files.get_or_insert_default().entry(identity).or_insert_with(|| {
        // A descriptor of a file opened to write only cannot read what is about to go: opened anew by way of /proc.
        let name = format!("/proc/self/fd/{fd}\0");
        // SAFETY: the name ends in a zero.
        let fd = unsafe {
            libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC, 0)
        };
        File { fd: fd as c_int, pages: HashMap::new() }
    });
    let own = file.fd;
    for page in at / PAGE..(at + length as u64).div_ceil(PAGE) {
        let known = file.pages.entry(page).or_insert_with(|| {
            let mut old = vec![0; PAGE as usize];
            let length = read(own, page * PAGE, &mut old);
            old.truncate(length);
            Page { old, state: State::Dirty }
        });
        known.state = State::Dirty;
    }
}

fn restore(file: &File, page: u64, old: &[u8]) {
    let at = page * PAGE;
    // SAFETY: all zeros is a `stat`, and the call writes one.
    let size = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(file.fd, &raw mut stat);
        stat.st_size as u64
    };
    // Lengths stay as they are: what the disk never had reads as zeros.
    let mut bytes = old.to_vec();
    bytes.resize(size.saturating_sub(at).min(PAGE) as usize, 0);
    // SAFETY: the buffer is as long as is said.
    unsafe { libc::syscall(libc::SYS_pwrite64, file.fd, bytes.as_ptr(), bytes.len(), at) };
}

/// A sync of a range of a file succeeded, or failed.
pub(crate) fn synced(fd: c_int, from: u64, to: u64, failed: Option<Sync>) {
    let Some((identity, _)) = identity(fd) else { return };
    let Ok(mut files) = FILES.lock() else { return };
    let Some(file) = files.as_mut().and_then(|files| files.get_mut(&identity)) else { return };
    let mut pages = std::mem::take(&mut file.pages);
    let within = |page: u64| page * PAGE < to && (page + 1) * PAGE > from;
    match failed {
        None => pages.retain(|&page, known| known.state == State::Lost || !within(page)),
        Some(Sync::Keep) => {}
        Some(Sync::Lose) => pages.retain(|&page, known| {
            let lost = within(page);
            if lost {
                restore(file, page, &known.old);
            }
            !lost
        }),
        Some(Sync::Late) => {
            pages.iter_mut().filter(|(page, _)| within(**page)).for_each(|(_, known)| known.state = State::Lost)
        }
    }
    file.pages = pages;
}

fn evict(file: &mut File) {
    let mut pages = std::mem::take(&mut file.pages);
    pages.retain(|&page, known| {
        let lost = known.state == State::Lost;
        if lost {
            restore(file, page, &known.old);
        }
        !lost
    });
    file.pages = pages;
}

/// The cache was told to forget a file: its clean pages are read from the disk again.
pub(crate) fn forgotten(fd: c_int) {
    let Some((identity, _)) = identity(fd) else { return };
    let Ok(mut files) = FILES.lock() else { return };
    if let Some(file) = files.as_mut().and_then(|files| files.get_mut(&identity)) {
        evict(file);
    }
}

/// The process ends: sooner or later all that is clean is evicted.
extern "C" fn ended() {
    if let Ok(mut files) = FILES.lock() {
        files.iter_mut().flat_map(HashMap::values_mut).for_each(evict);
    }
}

/// Run when the library is unloaded, which is when the process ends without a signal.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = ended;
