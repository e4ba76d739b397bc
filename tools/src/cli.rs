//! The command line, and what becomes of a subcommand's outcome.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    Backup, Bench, Compact, Completions, Demo, Dump, Eval, Explain, Export, Forget, History, ImportCodes,
    ImportEmbeddings, Items, Jobs, Load, LoadItems, LoadUsers, Query, Recommend, Remove, Report, Restore, Retire,
    Rollback, SetItem, Similar, SimilarUsers, Snapshot, Split, Stats, Train, Unretire, Users, Verify,
};
use crate::interrupt;
use crate::output::{Closed, Output};

/// An embedded vector retrieval database for recommendation: load interactions, train, ask.
#[derive(Parser)]
#[command(name = "kithdb", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 ok; 1 the answer is no (nothing found, damage found); 2 wrong usage, or I/O failed; 130 ended by Ctrl-C, with nothing half written."
)]
pub(crate) struct Cli {
    /// Print one JSON object on stdout, and nothing else there
    #[arg(long, global = true)]
    json: bool,
    /// Print ids that are numbers as strings in JSON: readers whose numbers are floats lose digits of them
    #[arg(long, global = true)]
    ids_as_strings: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Load(Load),
    LoadItems(LoadItems),
    LoadUsers(LoadUsers),
    SetItem(SetItem),
    Train(Train),
    Compact(Compact),
    Rollback(Rollback),
    Jobs(Jobs),
    Export(Export),
    Backup(Backup),
    Restore(Restore),
    ImportCodes(ImportCodes),
    ImportEmbeddings(ImportEmbeddings),
    Query(Query),
    Recommend(Recommend),
    Similar(Similar),
    SimilarUsers(SimilarUsers),
    Snapshot(Snapshot),
    Split(Split),
    Eval(Eval),
    Explain(Explain),
    Users(Users),
    Items(Items),
    History(History),
    Dump(Dump),
    Remove(Remove),
    Forget(Forget),
    Retire(Retire),
    Unretire(Unretire),
    Stats(Stats),
    Report(Report),
    Verify(Verify),
    Bench(Bench),
    Demo(Demo),
    Completions(Completions),
}

/// What a subcommand that did its work found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What was asked for.
    Yes,
    /// That there is nothing, or that a check failed.
    No,
}

/// Runs the program on the process's arguments.
pub fn run() -> ExitCode {
    let parsed = parser().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { json, ids_as_strings, command } = parsed.unwrap_or_else(|error| {
        if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
            crate::output::misused(&error);
        }
        error.exit()
    });
    let output = Output::new(json, ids_as_strings);
    let outcome = match command {
        Command::Load(command) => command.run(&output),
        Command::LoadItems(command) => command.run(&output),
        Command::LoadUsers(command) => command.run(&output),
        Command::SetItem(command) => command.run(&output),
        Command::Train(command) => command.run(&output),
        Command::Compact(command) => command.run(&output),
        Command::Rollback(command) => command.run(&output),
        Command::Jobs(command) => command.run(&output),
        Command::Export(command) => command.run(&output),
        Command::Backup(command) => command.run(&output),
        Command::Restore(command) => command.run(&output),
        Command::ImportCodes(command) => command.run(&output),
        Command::ImportEmbeddings(command) => command.run(&output),
        Command::Query(command) => command.run(&output),
        Command::Recommend(command) => command.run(&output),
        Command::Similar(command) => command.run(&output),
        Command::SimilarUsers(command) => command.run(&output),
        Command::Snapshot(command) => command.run(&output),
        Command::Split(command) => command.run(&output),
        Command::Eval(command) => command.run(&output),
        Command::Explain(command) => command.run(&output),
        Command::Users(command) => command.run(&output),
        Command::Items(command) => command.run(&output),
        Command::History(command) => command.run(&output),
        Command::Dump(command) => command.run(&output),
        Command::Remove(command) => command.run(&output),
        Command::Forget(command) => command.run(&output),
        Command::Retire(command) => command.run(&output),
        Command::Unretire(command) => command.run(&output),
        Command::Stats(command) => command.run(&output),
        Command::Report(command) => command.run(&output),
        Command::Verify(command) => command.run(&output),
        Command::Bench(command) => command.run(&output),
        Command::Demo(command) => command.run(&output),
        Command::Completions(command) => command.run(&output),
    };
    match outcome {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever read our output has seen enough.
        Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error);
            ExitCode::from(match error.downcast_ref() {
                Some(kithdb::Error::Cancelled) => interrupt::STATUS,
                _ if is_no(&error) => 1,
                _ => 2,
            })
        }
    }
}

/// The command line. What looks like a negative number is the value of the option before it, so that its range is what is told.
fn parser() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let is_option =
                !arg.is_positional() && arg.get_action().takes_values() && !arg.is_allow_hyphen_values_set();
            if is_option { arg.allow_negative_numbers(true) } else { arg }
        })
    })
}

/// Whether an error is the answer to a question about the data, rather than a question that could not be asked.
fn is_no(error: &anyhow::Error) -> bool {
    use kithdb::Error::{
        NoCode, NoCodeInBasket, NoDirection, NoHistory, NoItemCodes, NoUserCode, UnknownBasket, UnknownItem,
        UnknownUser,
    };
    matches!(
        error.downcast_ref(),
        Some(
            UnknownUser { .. }
                | UnknownItem { .. }
                | UnknownBasket { .. }
                | NoCodeInBasket { .. }
                | NoDirection { .. }
                | NoHistory { .. }
                | NoUserCode { .. }
                | NoCode { .. }
                | NoItemCodes
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        parser().debug_assert();
    }
}
