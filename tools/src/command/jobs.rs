//! `kithdb jobs`: trainings, imports and compactions, and how they ended.

use clap::Args;
use kithdb::{JobOutcome, JobRecord};
use serde::Serialize;

use super::database::Database;
use crate::cli::Answer;
use crate::input;
use crate::output::{Output, Table};

/// Show the last 64 trainings, imports and compactions, why they were begun and how they ended
#[derive(Args)]
#[command(after_help = "Example:
  kithdb jobs shop.kith")]
pub(crate) struct Jobs {
    #[command(flatten)]
    database: Database,
}

/// All of them, as printed.
#[derive(Serialize)]
struct Listed {
    jobs: Vec<JobRecord>,
}

impl Jobs {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let jobs = self.database.open()?.jobs()?;
        let answer = if jobs.is_empty() { Answer::No } else { Answer::Yes };
        output.result(&Listed { jobs }, text)?;
        Ok(answer)
    }
}

/// What a training finds of how recall on its hold-out grew, epoch by epoch: of the teacher and of the student.
pub(super) const CURVES: [&str; 2] = ["teacher_recalls", "student_recalls"];

/// What heads the cells of a job.
pub(super) const HEADER: [&str; 7] = [">job", "kind", "begun", ">seconds", "outcome", "why", "found"];

/// A job as cells of a table.
pub(super) fn cells(job: &JobRecord) -> [String; 7] {
    let seconds = job.ended.map(|ended| format!("{:.1}", (ended - job.begun) as f64 / 1000.0)).unwrap_or_default();
    let outcome = match &job.outcome {
        JobOutcome::Running => "running".to_owned(),
        JobOutcome::Done { generation } => format!("generation {generation}"),
        JobOutcome::Failed { reason, retryable: true } => format!("failed in {}, try again: {reason}", place(job)),
        JobOutcome::Failed { reason, .. } => format!("failed in {}: {reason}", place(job)),
        JobOutcome::Cancelled => format!("cancelled in {}", place(job)),
        JobOutcome::Interrupted => format!("interrupted in {}", place(job)),
        JobOutcome::Resumed { by } => format!("interrupted in {}, resumed by job {by}", place(job)),
    };
    // Curves are for pictures.
    let shown = job.found.iter().filter(|(name, _)| !CURVES.contains(&name.as_str()));
    let found: Vec<String> = shown.map(|(name, value)| format!("{name} {value}")).collect();
    let (number, begun) = (job.number.to_string(), input::shown_time(job.begun));
    [number, job.kind.clone(), begun, seconds, outcome, job.why.clone(), found.join(", ")]
}

/// The phase a job was in last, and its step of how many.
fn place(job: &JobRecord) -> String {
    match job.of {
        0 => job.phase.clone(),
        of => format!("{}, {} of {of}", job.phase, job.step),
    }
}

fn text(listed: &Listed) -> String {
    let mut table = Table::new(&HEADER);
    listed.jobs.iter().for_each(|job| table.row(cells(job)));
    table.text()
}
