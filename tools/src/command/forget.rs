//! `kithdb forget`: users who are to be known no more.

use clap::Args;
use kithdb::Id;
use serde::Serialize;

use super::database::{self, Database};
use crate::cli::Answer;
use crate::output::Output;

/// Forget users: their interactions count no more at once, and leave the disk with the next two publications, of compactions or trainings
#[derive(Args)]
#[command(after_help = "Example:
  kithdb forget shop.kith alice bob")]
pub(crate) struct Forget {
    #[command(flatten)]
    database: Database,
    /// Whom to forget; ids that begin with a hyphen and are no numbers come after --
    #[arg(value_name = "USER", required = true, allow_negative_numbers = true)]
    users: Vec<String>,
}

/// Who was forgotten, and who was not known.
#[derive(Debug, Serialize)]
struct Forgotten {
    forgotten: Vec<Id>,
    unknown: Vec<Id>,
}

impl Forget {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let db = self.database.open()?;
        let users = self.users.iter().map(|user| database::user(&db, user)).collect::<Result<Vec<_>, _>>()?;
        let mut outcome = Forgotten { forgotten: Vec::new(), unknown: Vec::new() };
        for user in users {
            if db.forget_user(&user)? { outcome.forgotten.push(user) } else { outcome.unknown.push(user) }
        }
        for user in &outcome.unknown {
            output.note(&format!("unknown user {user}"));
        }
        output.result(&outcome, |outcome| {
            format!("forgot {} users: `kithdb train` takes them off the disk", outcome.forgotten.len())
        })?;
        Ok(if outcome.unknown.is_empty() { Answer::Yes } else { Answer::No })
    }
}
