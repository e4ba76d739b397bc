//! What belongs to the process that made it: locks, threads and files that a fork has copies of, which work in the one it came from alone.

use pyo3::prelude::*;

use crate::error::Kind;

/// A value of the process that made it. Another process, which a fork made, is refused it, and forgets it where it would drop it.
pub(crate) struct Owned<T> {
    /// There until it is dropped.
    value: Option<T>,
    process: u32,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), process: std::process::id() }
    }

    /// Whether this process made it.
    pub(crate) fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    /// The value.
    ///
    /// # Errors
    /// `StorageError` in another process.
    pub(crate) fn get(&self) -> PyResult<&T> {
        let elsewhere = || {
            let process = self.process;
            Kind::Storage.with(format!(
                "opened in process {process}, of which this is a fork: open it in this process after the fork, or a snapshot of it, \
                 or start processes by spawn"
            ))
        };
        self.value.as_ref().filter(|_| self.is_here()).ok_or_else(elsewhere)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_here() {
            std::mem::forget(self.value.take());
        }
    }
}
