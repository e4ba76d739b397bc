//! Memory that was freed, given back.

#![allow(unsafe_code)]

/// Gives the system the whole pages of what was freed and that the allocator keeps: what the next phase of a job needs is of other sizes. O(what is kept),
/// some milliseconds. Nothing where the allocator is not the C library of GNU.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: it takes no pointer, may be called on any thread at any time, and gives back only pages that no allocation has a byte of.
        unsafe { malloc_trim(0) };
    }
}
