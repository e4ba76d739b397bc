//! A training or compaction as its owner sees it.

use std::sync::Mutex;
use std::time::Duration;

use kithdb::Progress;
use pyo3::prelude::*;

use crate::error::{Kind, OrRaise};
use crate::owned::Owned;

/// A job in the background. `kithdb.Job` waits for it, so that Ctrl-C is heard and progress is shown.
#[pyclass(module = "kithdb._kithdb", frozen)]
pub(crate) struct Job {
    job: Owned<kithdb::Job>,
    outcome: Mutex<Option<Py<PyAny>>>,
}

impl Job {
    pub(crate) fn new(job: kithdb::Job) -> Self {
        Self { job: Owned::new(job), outcome: Mutex::new(None) }
    }
}

#[pymethods]
impl Job {
    /// How far it is: phase, step of it, steps it has (0 where it has no steps).
    fn progress(&self) -> PyResult<(String, u64, u64)> {
        let Progress { phase, step, of } = self.job.get()?.progress();
        Ok((phase, step, of))
    }

    /// Asks it to stop.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        let job = self.job.get()?;
        py.detach(|| job.cancel());
        Ok(())
    }

    /// Whether it has ended.
    fn is_finished(&self) -> PyResult<bool> {
        Ok(self.job.get()?.is_finished())
    }

    /// Waits so many `seconds` at most; whether it has ended.
    fn wait_timeout(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let (job, patience) = (self.job.get()?, Duration::try_from_secs_f64(seconds).unwrap_or_default());
        Ok(py.detach(|| job.wait_timeout(patience)))
    }

    /// What it came to, once it has ended; what made it fail is raised.
    fn outcome(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let job = self.job.get()?;
        let mut known = self.outcome.lock().map_err(|_| Kind::Job.with("the job's outcome was lost"))?;
        if let Some(outcome) = known.as_ref() {
            return Ok(outcome.clone_ref(py));
        }
        let outcome = job.try_wait().ok_or_else(|| Kind::Job.with("the job has not ended: wait for it"))?;
        let outcome = pythonize::pythonize(py, &outcome.or_raise()?)?.unbind();
        *known = Some(outcome.clone_ref(py));
        Ok(outcome)
    }
}
