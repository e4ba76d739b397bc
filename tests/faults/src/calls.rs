//! The calls that are stood in for. Each counts, fails if it is its turn, and otherwise makes the system call that the C library would.
//!
//! Variadic functions are given the arguments they may have: on the architectures this is built for, integers are passed alike either way.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{loff_t, mode_t, off_t, size_t, ssize_t};

use crate::kind::Kind;
use crate::plan::{Sync, plan};
use crate::trace::{self, Reach};
use crate::undo;

fn fail<T: From<i8>>(errno: c_int) -> T {
    // SAFETY: the C library gives every thread an `errno` to write to.
    unsafe { *libc::__errno_location() = errno };
    T::from(-1)
}

/// Whether a call on a name has to fail.
///
/// # Safety
/// `name` is null or ends in a zero.
unsafe fn at(kind: Kind, directory: c_int, name: *const c_char) -> Option<c_int> {
    let plan = plan()?;
    // SAFETY: as the caller promises.
    let place = unsafe { plan.name(directory, name) }?;
    plan.count(kind, &place)
}

/// Whether a call on a descriptor has to fail.
fn on(kind: Kind, fd: c_int) -> Option<c_int> {
    let plan = plan()?;
    plan.count(kind, &plan.descriptor(fd)?)
}

fn undoes() -> bool {
    plan().is_some_and(|plan| plan.sync != Sync::Keep)
}

fn noted(fd: c_int) -> bool {
    undoes() && plan().is_some_and(|plan| plan.descriptor(fd).is_some())
}

/// The next definition of a function, that of the C library.
fn next(name: &CStr, cache: &AtomicPtr<c_void>) -> *mut c_void {
    let known = cache.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name ends in a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    cache.store(found, Ordering::Relaxed);
    found
}

/// Defines functions of the C library: `name(arguments) -> result, whether it fails, the system call`.
macro_rules! stand_in {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty, $fault:expr, $call:expr;)*) => {$(
        /// Stands in for the C library's function of this name.
        ///
        /// # Safety
        /// As that function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: names given to the C library end in a zero.
            #[allow(unused_unsafe)]
            let fault: Option<c_int> = unsafe { $fault };
            if let Some(errno) = fault {
                return fail(errno);
            }
            // SAFETY: the arguments are those the caller gave the C library, in the order the system takes them.
            let done = unsafe { $call };
            done as $ret
        }
    )*};
}

stand_in! {
    open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int, at(Kind::Open, libc::AT_FDCWD, path), trace::open(libc::AT_FDCWD, path, flags, || libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode as c_uint));
    open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int, at(Kind::Open, libc::AT_FDCWD, path), trace::open(libc::AT_FDCWD, path, flags, || libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode as c_uint));
    openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int, at(Kind::Open, directory, path), trace::open(directory, path, flags, || libc::syscall(libc::SYS_openat, directory, path, flags, mode as c_uint));
    openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int, at(Kind::Open, directory, path), trace::open(directory, path, flags, || libc::syscall(libc::SYS_openat, directory, path, flags, mode as c_uint));
    creat(path: *const c_char, mode: mode_t) -> c_int, at(Kind::Open, libc::AT_FDCWD, path), trace::open(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, || libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode as c_uint));
    creat64(path: *const c_char, mode: mode_t) -> c_int, at(Kind::Open, libc::AT_FDCWD, path), trace::open(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, || libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode as c_uint));
    fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int, if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) { on(Kind::Open, fd) } else { None }, libc::syscall(libc::SYS_fcntl, fd, command, argument);
    fcntl64(fd: c_int, command: c_int, argument: c_long) -> c_int, if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) { on(Kind::Open, fd) } else { None }, libc::syscall(libc::SYS_fcntl, fd, command, argument);
    read(fd: c_int, buffer: *mut c_void, length: size_t) -> ssize_t, on(Kind::Read, fd), libc::syscall(libc::SYS_read, fd, buffer, length);
    readv(fd: c_int, buffers: *const libc::iovec, count: c_int) -> ssize_t, on(Kind::Read, fd), libc::syscall(libc::SYS_readv, fd, buffers, count);
    pread(fd: c_int, buffer: *mut c_void, length: size_t, offset: off_t) -> ssize_t, on(Kind::Read, fd), libc::syscall(libc::SYS_pread64, fd, buffer, length, offset);
    pread64(fd: c_int, buffer: *mut c_void, length: size_t, offset: off_t) -> ssize_t, on(Kind::Read, fd), libc::syscall(libc::SYS_pread64, fd, buffer, length, offset);
    preadv(fd: c_int, buffers: *const libc::iovec, count: c_int, offset: off_t) -> ssize_t, on(Kind::Read, fd), libc::syscall(libc::SYS_preadv, fd, buffers, count, offset, 0 as c_long);
    preadv64(fd: c_int, buffers: *const libc::iovec, count: c_int, offset: off_t) -> ssize_t, on(Kind::Read, fd), libc::syscall(libc::SYS_preadv, fd, buffers, count, offset, 0 as c_long);
    renameat(from: c_int, old: *const c_char, to: c_int, new: *const c_char) -> c_int, at(Kind::Rename, from, old), trace::rename((from, old), (to, new), || libc::syscall(libc::SYS_renameat2, from, old, to, new, 0 as c_uint));
    renameat2(from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_uint) -> c_int, at(Kind::Rename, from, old), trace::rename((from, old), (to, new), || libc::syscall(libc::SYS_renameat2, from, old, to, new, flags));
    rename(old: *const c_char, new: *const c_char) -> c_int, at(Kind::Rename, libc::AT_FDCWD, old), trace::rename((libc::AT_FDCWD, old), (libc::AT_FDCWD, new), || libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, old, libc::AT_FDCWD, new, 0 as c_uint));
    mkdir(path: *const c_char, mode: mode_t) -> c_int, at(Kind::Mkdir, libc::AT_FDCWD, path), trace::mkdir(libc::AT_FDCWD, path, || libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, path, mode as c_uint));
    mkdirat(directory: c_int, path: *const c_char, mode: mode_t) -> c_int, at(Kind::Mkdir, directory, path), trace::mkdir(directory, path, || libc::syscall(libc::SYS_mkdirat, directory, path, mode as c_uint));
    unlink(path: *const c_char) -> c_int, at(Kind::Unlink, libc::AT_FDCWD, path), trace::remove(libc::AT_FDCWD, path, || libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0 as c_int));
    unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int, at(Kind::Unlink, directory, path), trace::remove(directory, path, || libc::syscall(libc::SYS_unlinkat, directory, path, flags));
    rmdir(path: *const c_char) -> c_int, at(Kind::Unlink, libc::AT_FDCWD, path), trace::remove(libc::AT_FDCWD, path, || libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, libc::AT_REMOVEDIR));
    ftruncate(fd: c_int, length: off_t) -> c_int, on(Kind::Truncate, fd), trace::truncate(fd, length, || libc::syscall(libc::SYS_ftruncate, fd, length));
    ftruncate64(fd: c_int, length: off_t) -> c_int, on(Kind::Truncate, fd), trace::truncate(fd, length, || libc::syscall(libc::SYS_ftruncate, fd, length));
    fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int, on(Kind::Truncate, fd), libc::syscall(libc::SYS_fallocate, fd, mode, offset, length);
    fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int, on(Kind::Truncate, fd), libc::syscall(libc::SYS_fallocate, fd, mode, offset, length);
    statx(directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, stat: *mut c_void) -> c_int, at(Kind::Stat, directory, path), libc::syscall(libc::SYS_statx, directory, path, flags, mask, stat);
    copy_file_range(from: c_int, from_at: *mut loff_t, to: c_int, to_at: *mut loff_t, length: size_t, flags: c_uint) -> ssize_t, on(Kind::Read, from).or_else(|| on(Kind::Write, to)).or(trace::is_on().then_some(libc::ENOSYS)), {
        if noted(to) {
            undo::before_write(to, to_at.as_ref().map(|&at| at as u64), length.min(1 << 30));
        }
        libc::syscall(libc::SYS_copy_file_range, from, from_at, to, to_at, length, flags)
    };
    sendfile(to: c_int, from: c_int, at: *mut off_t, length: size_t) -> ssize_t, on(Kind::Read, from).or_else(|| on(Kind::Write, to)).or(trace::is_on().then_some(libc::ENOSYS)), {
        if noted(to) {
            undo::before_write(to, None, length.min(1 << 30));
        }
        libc::syscall(libc::SYS_sendfile, to, from, at, length)
    };
    sendfile64(to: c_int, from: c_int, at: *mut off_t, length: size_t) -> ssize_t, on(Kind::Read, from).or_else(|| on(Kind::Write, to)).or(trace::is_on().then_some(libc::ENOSYS)), {
        if noted(to) {
            undo::before_write(to, None, length.min(1 << 30));
        }
        libc::syscall(libc::SYS_sendfile, to, from, at, length)
    };
    write(fd: c_int, buffer: *const c_void, length: size_t) -> ssize_t, on(Kind::Write, fd), {
        if noted(fd) {
            undo::before_write(fd, None, length);
        }
        trace::write(fd, None, &trace::one(buffer, length), || libc::syscall(libc::SYS_write, fd, buffer, length))
    };
    writev(fd: c_int, buffers: *const libc::iovec, count: c_int) -> ssize_t, on(Kind::Write, fd), {
        if noted(fd) {
            undo::before_write(fd, None, total(list(buffers, count)));
        }
        trace::write(fd, None, list(buffers, count), || libc::syscall(libc::SYS_writev, fd, buffers, count))
    };
    pwrite(fd: c_int, buffer: *const c_void, length: size_t, offset: off_t) -> ssize_t, on(Kind::Write, fd), {
        if noted(fd) {
            undo::before_write(fd, Some(offset as u64), length);
        }
        trace::write(fd, Some(offset), &trace::one(buffer, length), || libc::syscall(libc::SYS_pwrite64, fd, buffer, length, offset))
    };
    pwrite64(fd: c_int, buffer: *const c_void, length: size_t, offset: off_t) -> ssize_t, on(Kind::Write, fd), {
        if noted(fd) {
            undo::before_write(fd, Some(offset as u64), length);
        }
        trace::write(fd, Some(offset), &trace::one(buffer, length), || libc::syscall(libc::SYS_pwrite64, fd, buffer, length, offset))
    };
    pwritev(fd: c_int, buffers: *const libc::iovec, count: c_int, offset: off_t) -> ssize_t, on(Kind::Write, fd), {
        if noted(fd) {
            undo::before_write(fd, Some(offset as u64), total(list(buffers, count)));
        }
        trace::write(fd, Some(offset), list(buffers, count), || libc::syscall(libc::SYS_pwritev, fd, buffers, count, offset, 0 as c_long))
    };
    pwritev64(fd: c_int, buffers: *const libc::iovec, count: c_int, offset: off_t) -> ssize_t, on(Kind::Write, fd), {
        if noted(fd) {
            undo::before_write(fd, Some(offset as u64), total(list(buffers, count)));
        }
        trace::write(fd, Some(offset), list(buffers, count), || libc::syscall(libc::SYS_pwritev, fd, buffers, count, offset, 0 as c_long))
    };
}

/// # Safety
/// There are `count` buffers.
unsafe fn list<'a>(buffers: *const libc::iovec, count: c_int) -> &'a [libc::iovec] {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(buffers, count.max(0) as usize) }
}

fn total(buffers: &[libc::iovec]) -> usize {
    buffers.iter().map(|buffer| buffer.iov_len).sum()
}

/// A sync of a range of a file: counted, and its outcome noted.
fn sync(fd: c_int, from: u64, to: u64, reach: Reach, call: impl FnOnce() -> c_long) -> c_int {
    let (fault, noted) = (on(Kind::Sync, fd), noted(fd));
    if let (Some(errno), Some(plan)) = (fault, plan()) {
        if noted {
            undo::synced(fd, from, to, Some(plan.sync));
        }
        return fail(errno);
    }
    let done = trace::sync(fd, reach, || call() as c_int);
    if noted && done == 0 {
        undo::synced(fd, from, to, None);
    }
    done
}

/// Defines the functions that sync.
macro_rules! syncing {
    ($($name:ident($fd:ident: c_int $(, $arg:ident: $ty:ty)*), $from:expr, $to:expr, $reach:expr, $call:expr;)*) => {$(
        /// Stands in for the C library's function of this name.
        ///
        /// # Safety
        /// As that function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($fd: c_int $(, $arg: $ty)*) -> c_int {
            // SAFETY: the arguments are those the caller gave the C library, in the order the system takes them.
            sync($fd, $from, $to, $reach, || unsafe { $call })
        }
    )*};
}

/// The end of a range, of which 0 bytes are all up to the end of the file.
fn end(offset: off_t, length: off_t) -> u64 {
    if length == 0 { u64::MAX } else { (offset + length) as u64 }
}

syncing! {
    fsync(fd: c_int), 0, u64::MAX, Reach::File, libc::syscall(libc::SYS_fsync, fd);
    fdatasync(fd: c_int), 0, u64::MAX, Reach::File, libc::syscall(libc::SYS_fdatasync, fd);
    syncfs(fd: c_int), 0, u64::MAX, Reach::All, libc::syscall(libc::SYS_syncfs, fd);
    sync_file_range(fd: c_int, offset: off_t, length: off_t, flags: c_uint), offset as u64, end(offset, length), Reach::Nothing,
        libc::syscall(libc::SYS_sync_file_range, fd, offset, length, flags);
}

fn advise(fd: c_int, offset: off_t, length: off_t, advice: c_int) -> c_int {
    if advice == libc::POSIX_FADV_DONTNEED && noted(fd) {
        undo::forgotten(fd);
    }
    // SAFETY: advice is about a descriptor and numbers only.
    let done = unsafe { libc::syscall(libc::SYS_fadvise64, fd, offset, length, advice) };
    // This function gives its error back instead of setting it.
    // SAFETY: the C library gives every thread an `errno` to read.
    if done < 0 { unsafe { *libc::__errno_location() } } else { 0 }
}

/// Never fails: advice is not work.
#[unsafe(no_mangle)]
pub extern "C" fn posix_fadvise(fd: c_int, offset: off_t, length: off_t, advice: c_int) -> c_int {
    advise(fd, offset, length, advice)
}

/// Never fails: advice is not work.
#[unsafe(no_mangle)]
pub extern "C" fn posix_fadvise64(fd: c_int, offset: off_t, length: off_t, advice: c_int) -> c_int {
    advise(fd, offset, length, advice)
}

type Directory = *mut libc::DIR;

/// Stands in for the C library's function of this name.
///
/// # Safety
/// As that function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> Directory {
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    // SAFETY: names given to the C library end in a zero.
    if let Some(errno) = unsafe { at(Kind::Open, libc::AT_FDCWD, path) } {
        let _: c_int = fail(errno);
        return std::ptr::null_mut();
    }
    // SAFETY: the C library's `opendir` has this type.
    unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_char) -> Directory>(next(c"opendir", &NEXT))(
            path,
        )
    }
}

/// Stands in for the C library's function of this name.
///
/// # Safety
/// As that function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64(directory: Directory) -> *mut libc::dirent64 {
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    // SAFETY: the stream is open, as the caller promises.
    if let Some(errno) = on(Kind::List, unsafe { libc::dirfd(directory) }) {
        let _: c_int = fail(errno);
        return std::ptr::null_mut();
    }
    // SAFETY: the C library's `readdir64` has this type.
    unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(Directory) -> *mut libc::dirent64>(next(
            c"readdir64",
            &NEXT,
        ))(directory)
    }
}

type Start = extern "C" fn(*mut c_void) -> *mut c_void;
type CreateThread =
    unsafe extern "C" fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Start, *mut c_void) -> c_int;

/// Stands in for the C library's function of this name.
///
/// # Safety
/// As that function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    // This function gives its error back instead of setting it.
    if let Some(errno) = plan().and_then(|plan| plan.count(Kind::Thread, b"a thread")) {
        return errno;
    }
    let next = next(c"pthread_create", &NEXT);
    // SAFETY: the C library's `pthread_create` has this type.
    unsafe { std::mem::transmute::<*mut c_void, CreateThread>(next)(thread, attributes, start, argument) }
}
