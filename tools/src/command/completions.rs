//! `kithdb completions`: what a shell needs to complete the program's commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Answer, Cli};
use crate::output::Output;

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = "Example:
  kithdb completions bash > /etc/bash_completion.d/kithdb")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kithdb", &mut script);
        output.raw(&script)?;
        Ok(Answer::Yes)
    }
}
