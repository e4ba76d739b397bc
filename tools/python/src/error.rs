//! The library's errors as exceptions of the package.

use kithdb::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The exceptions of `kithdb.exceptions`, by what a caller can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidArgument,
    UnknownId,
    NotTrained,
    NoCode,
    Job,
    Cancelled,
    Storage,
    Damaged,
}

impl Kind {
    fn of(error: &Error) -> Self {
        match error {
            error if error.is_damage() => Self::Damaged,
            Error::UnknownUser { .. } | Error::UnknownItem { .. } | Error::UnknownBasket { .. } => Self::UnknownId,
            Error::NotTrained => Self::NotTrained,
            Error::NoCodeInBasket { .. }
            | Error::NoHistory { .. }
            | Error::NoUserCode { .. }
            | Error::NoDirection { .. }
            | Error::NoCode { .. }
            | Error::NoItemCodes => Self::NoCode,
            Error::Cancelled => Self::Cancelled,
            Error::NothingToTrain { .. }
            | Error::NothingNew { .. }
            | Error::Worse { .. }
            | Error::JobFailed { .. }
            | Error::Diverged { .. }
            | Error::Thread { .. }
            | Error::Stopped { .. } => Self::Job,
            Error::Storage(_) | Error::NotStored { .. } | Error::NotApplied { .. } => Self::Storage,
            _ => Self::InvalidArgument,
        }
    }

    fn class(self, py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
        static CLASSES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        let module = CLASSES.get_or_try_init(py, || py.import("kithdb.exceptions").map(Bound::unbind))?;
        let name = match self {
            Self::InvalidArgument => "InvalidArgumentError",
            Self::UnknownId => "UnknownIdError",
            Self::NotTrained => "NotTrainedError",
            Self::NoCode => "NoCodeError",
            Self::Job => "JobError",
            Self::Cancelled => "CancelledError",
            Self::Storage => "StorageError",
            Self::Damaged => "DamagedError",
        };
        Ok(module.bind(py).getattr(name)?.cast_into::<PyType>()?)
    }

    /// The exception with this message.
    pub(crate) fn with(self, message: impl Into<String>) -> PyErr {
        let message = message.into();
        Python::attach(|py| match self.class(py) {
            Ok(class) => PyErr::from_type(class, (message,)),
            Err(error) => error,
        })
    }
}

/// An argument that cannot be taken, and what to pass instead.
pub(crate) fn invalid(what: impl std::fmt::Display, remedy: impl std::fmt::Display) -> PyErr {
    Kind::InvalidArgument.with(format!("{what}: {remedy}"))
}

/// The exception of an error of the library, with its message.
pub(crate) fn raised(error: Error) -> PyErr {
    Kind::of(&error).with(error.to_string())
}

/// Results of the library as results of Python.
pub(crate) trait OrRaise<T> {
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for kithdb::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(raised)
    }
}
