//! The subcommands, one a file: its arguments, what it does, what it prints.

mod backup;
mod bench;
mod compact;
mod completions;
mod database;
mod demo;
mod dry_run;
mod dump;
mod effort;
mod eval;
mod explain;
mod export;
mod forget;
mod history;
mod import_codes;
mod import_embeddings;
mod intake;
mod jobs;
mod known_list;
mod layout;
mod list_shape;
mod listing;
mod load;
mod load_items;
mod query;
mod recommend;
mod remove;
mod report;
mod retire;
mod rollback;
mod rows;
mod settled;
mod show;
mod similar;
mod snapshot;
mod split;
mod stats;
mod taken;
mod test_rows;
mod train;
mod verify;

pub(crate) use backup::{Backup, Restore};
pub(crate) use bench::Bench;
pub(crate) use compact::Compact;
pub(crate) use completions::Completions;
pub(crate) use demo::Demo;
pub(crate) use dump::Dump;
pub(crate) use eval::Eval;
pub(crate) use explain::Explain;
pub(crate) use export::Export;
pub(crate) use forget::Forget;
pub(crate) use history::History;
pub(crate) use import_codes::ImportCodes;
pub(crate) use import_embeddings::ImportEmbeddings;
pub(crate) use jobs::Jobs;
pub(crate) use listing::{Items, Users};
pub(crate) use load::Load;
pub(crate) use load_items::{LoadItems, LoadUsers, SetItem};
pub(crate) use query::Query;
pub(crate) use recommend::Recommend;
pub(crate) use remove::Remove;
pub(crate) use report::Report;
pub(crate) use retire::{Retire, Unretire};
pub(crate) use rollback::Rollback;
pub(crate) use similar::{Similar, SimilarUsers};
pub(crate) use snapshot::Snapshot;
pub(crate) use split::Split;
pub(crate) use stats::Stats;
pub(crate) use train::Train;
pub(crate) use verify::Verify;

/// Reads a number of results, which is at least 1.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("ask for at least 1".into()),
        Ok(k) => Ok(k),
        Err(error) => Err(format!("{error}")),
    }
}
