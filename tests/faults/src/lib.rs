//! A library to preload under a program on Linux: it counts the calls of the C library that touch files below one directory, fails the
//! n-th of one kind, and leaves the rest to the system; or it records those that change files.
//!
//! The environment says what to do; without `KITHDB_FAULT_DIR` nothing is counted and nothing fails:
//!
//! | variable | meaning |
//! |---|---|
//! | `KITHDB_FAULT_DIR` | the directory, absolute, without links |
//! | `KITHDB_FAULT_REPORT` | a file of [`report::BYTES`] bytes, mapped and written to as the program runs |
//! | `KITHDB_FAULT_KIND` | `open read write sync rename mkdir unlink truncate stat list thread` |
//! | `KITHDB_FAULT_NTH` | which call of the kind fails, from 1; 0 fails none |
//! | `KITHDB_FAULT_MODE` | `once`, or `sticky`: from then on |
//! | `KITHDB_FAULT_ERRNO` | `EIO ENOSPC EMFILE EACCES EAGAIN ENOMEM` |
//! | `KITHDB_FAULT_SYNC` | what a failed sync does to what it should have written: `keep`, `lose` (the old bytes are back at once) or `late` (they are back when the page cache is told to forget them, or the process ends) |
//! | `KITHDB_FAULT_TRACE` | a file for a record of every call that changed something, and of what the program said (`src/trace.rs`) |
//!
//! What passes by unseen: programs that make system calls themselves, as rustix does (the storage crate asks it for free space), and calls
//! that the C library makes within itself (`realpath`). Descriptors are told apart by what `/proc/self/fd` says they are, not by a table,
//! so that duplicates count as well. Threads count wherever they are started.
#![cfg(target_os = "linux")]

mod calls;
mod kind;
mod place;
mod plan;
pub mod report;
mod trace;
mod undo;
