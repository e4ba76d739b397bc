//! The program as people and scripts meet it: a real process, its output and its exit status. One file a behaviour.
#![allow(clippy::unwrap_used, clippy::panic)]

mod attribute_kinds;
mod attributes;
mod backup;
mod bad_files;
mod bad_questions;
mod bench;
mod broken_pipe;
mod changes;
mod compact;
mod compressed;
mod damage;
mod demo;
mod dry_run;
mod dump;
mod eval;
mod explain;
#[path = "../../../storage/tests/drill/files.rs"]
mod files;
mod filters;
mod help;
mod ids;
mod import_codes;
mod import_embeddings;
mod inputs;
#[cfg(unix)]
mod interrupted;
mod json;
mod lists;
mod load_items;
mod loading_again;
mod locked;
mod messages;
mod models;
mod program;
mod recognised;
mod recommend;
mod rejects;
mod report;
mod round_trip;
mod show;
mod snapshots;
mod split;
mod stdin;
mod test_rows;
mod times;
