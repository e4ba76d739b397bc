//! Snapshots of a database that another process owns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::{OrRaise, invalid};
use crate::given::{Given, optional};
use crate::reader::{Reader, Source};

/// The newest snapshot of a place. `kithdb.Replica` is what users see of it.
#[pyclass(module = "kithdb._kithdb", extends = Reader, subclass, frozen)]
pub(crate) struct Replica {}

#[pymethods]
impl Replica {
    #[new]
    #[pyo3(signature = (place, follow=None))]
    fn new(py: Python<'_>, place: PathBuf, follow: Option<Given<f64>>) -> PyResult<PyClassInitializer<Self>> {
        let every = optional("follow", follow)?.map(|seconds| match Duration::try_from_secs_f64(seconds) {
            Ok(every) if !every.is_zero() => Ok(every),
            _ => Err(invalid(format!("follow = {seconds}"), "pass seconds above 0 between two looks, or None")),
        });
        let every = every.transpose()?;
        let opened = py.detach(|| {
            let replica = kithdb::Replica::open(&place)?;
            match every {
                Some(every) => replica.follow(every),
                None => Ok(replica),
            }
        });
        let source = Source::Replica(Arc::new(opened.or_raise()?));
        Ok(PyClassInitializer::from(Reader::new(source, place)).add_subclass(Self {}))
    }

    /// Goes on to the newest snapshot; whether that is another one.
    fn refresh(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let replica = slf.as_super().get().replica()?;
        slf.py().detach(|| replica.refresh()).or_raise()
    }

    /// What kept it from going on by itself when it last looked; it goes on trying.
    fn fault(slf: &Bound<'_, Self>) -> PyResult<Option<String>> {
        let replica = slf.as_super().get().replica()?;
        Ok(slf.py().detach(|| replica.fault()))
    }

    /// Lets go of the snapshot. It may be closed twice.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let reader = slf.as_super().get();
        slf.py().detach(|| reader.close())
    }
}
