//! The module behind the Python package `kithdb`: Python's objects on one side, the library's on the other, and no logic of its own between them.
//!
//! What works for long does so without the interpreter's lock. Arrow comes through the C stream interface, so that a frame of pandas, polars or pyarrow
//! and a relation of DuckDB are one thing here.

mod column;
mod database;
mod error;
mod given;
mod ids;
mod imports;
mod intake;
mod job;
mod lists;
mod options;
mod owned;
mod reader;
mod replica;

use pyo3::prelude::*;

/// Rust's side of the package.
#[pymodule]
mod _kithdb {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::database::Database;
    #[pymodule_export]
    use super::job::Job;
    #[pymodule_export]
    use super::reader::{ItemSet, Reader};
    #[pymodule_export]
    use super::replica::Replica;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
