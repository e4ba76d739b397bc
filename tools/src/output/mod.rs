//! What people and programs read: text or JSON on stdout, notes and progress on stderr.

mod escape;
mod figures;
mod file;
mod id_strings;
mod progress;
mod table;

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

pub(crate) use escape::escaped;
pub(crate) use figures::{bytes, count, drift, score, seconds};
pub(crate) use file::ResultFile;
pub(crate) use progress::{bytes_bar, spinner, steps_bar, time_bar};
pub(crate) use table::Table;

/// Nobody reads stdout any more; the program may end, well.
#[derive(Debug, thiserror::Error)]
#[error("stdout was closed")]
pub(crate) struct Closed;

/// Where results go, and in which form.
pub(crate) struct Output {
    json: bool,
    ids_as_strings: bool,
}

impl Output {
    pub(crate) fn new(json: bool, ids_as_strings: bool) -> Self {
        Self { json, ids_as_strings }
    }

    /// Prints a subcommand's result: `value` as one line of JSON, or the text. Called once a run.
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json { print(&self.line(value)?) } else { print(&escape::escaped_lines(&text(value))) }
    }

    /// `value` as a line of JSON.
    pub(crate) fn line<T: Serialize>(&self, value: &T) -> anyhow::Result<String> {
        let line = serde_json::to_string(value)?;
        if !self.ids_as_strings {
            return Ok(line);
        }
        // By way of the text, in which an f32 has no more digits than it needs.
        let mut value = serde_json::from_str(&line)?;
        id_strings::make_ids_strings(&mut value);
        Ok(value.to_string())
    }

    /// Prints what is for another program, as it is.
    pub(crate) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(bytes).and_then(|()| stdout.flush())).context("cannot write to stdout")
    }

    /// Prints text on the way to the result, for people only.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { print(&escape::escaped_lines(text)) }
    }

    /// Tells of something that is worth knowing and no failure.
    pub(crate) fn note(&self, text: &str) {
        tell(&format!("kithdb: {text}"));
    }

    /// Tells whoever watches what is about to happen; nobody, where stderr is no terminal.
    pub(crate) fn ahead(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.note(text);
        }
    }

    /// Tells why a run failed: on stderr, and as `{"error": ...}` where JSON was asked for, so that stdout always holds an object.
    pub(crate) fn failure(&self, error: &anyhow::Error) {
        let text = in_flags(&format!("{error:#}"));
        if self.json {
            // The error is told below and by the exit status; that stdout is closed adds nothing.
            let _ = print(&serde_json::json!({ "error": text }).to_string());
        }
        tell(&format!("kithdb: error: {text}"));
    }
}

/// A message of the library in terms of the program, which tells of --popular beside it where that helps.
fn in_flags(text: &str) -> String {
    text.replace(", or ask for .or_popular()", "").replace("call train() (or `kithdb train`)", "run `kithdb train`")
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let printed =
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
    written(printed).context("cannot write to stdout")
}

/// What was written somewhere, unless nobody reads it.
fn written(outcome: io::Result<()>) -> anyhow::Result<()> {
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => error.into(),
    })
}

/// Writes a line to stderr; where even that fails there is nobody left to tell.
fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape::escaped_lines(line));
}
