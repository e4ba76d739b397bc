//! What people and programs read: text or JSON on stdout, notes and progress on stderr.

mod escape;
mod figures;
mod file;
mod id_strings;
mod progress;
mod table;

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

pub(crate) use escape::{escaped, escaped_lines};
pub(crate) use figures::{bytes, count, drift, score, seconds};
pub(crate) use file::{ResultFile, is_stdout};
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

    /// Whether objects are what is printed.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a subcommand's result: `value` as one line of JSON, or the text. Called once a run.
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json { print(&self.line(value)?) } else { print(&escaped_lines(&text(value))) }
    }

    /// [`Output::result`] whose text other subcommands read: as it is, unless it is for a terminal.
    pub(crate) fn listing<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json || io::stdout().is_terminal() { self.result(value, text) } else { print(&text(value)) }
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
        if self.json { Ok(()) } else { print(&escaped_lines(text)) }
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
        let text = in_flags(&told(error));
        if self.json {
            // The error is told below and by the exit status; that stdout is closed adds nothing.
            let _ = print(&serde_json::json!({ "error": text }).to_string());
        }
        tell(&format!("kithdb: error: {text}"));
    }
}

/// A path in JSON, which has no place for bytes that are no text.
pub(crate) fn path<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Tells on stdout, as `{"error": ...}`, what is wrong with the command line, as of a run that fails.
pub(crate) fn misused(error: &clap::Error) {
    let text = error.render().to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text).trim_end();
    // The error is told on stderr and by the exit status; that stdout is closed adds nothing.
    let _ = print(&serde_json::json!({ "error": text }).to_string());
}

/// An error and what it comes from, each told once: some tell of theirs themselves.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.is_empty() {
        true => cause,
        false if text.ends_with(&cause) => text,
        false => format!("{text}: {cause}"),
    })
}

/// A message of the library in terms of the program, which tells of --popular beside it where that helps.
pub(crate) fn in_flags(text: &str) -> String {
    let text = text
        .replace(", or ask for .or_popular()", "")
        .replace("call train() (or `kithdb train`)", "run `kithdb train`")
        .replace("insert an interaction of theirs, query by items", "load an interaction of theirs, or query --items");
    between(&text, "there is no database at ", ": check the path, or allow creating it", |path| {
        format!("there is no database at {path}: check the path; `kithdb load {path} FILE` makes one")
    })
    .or_else(|| {
        between(&text, "at_most(", "\"):", |inner| {
            let (most, name) = inner.split_once(", \"").unwrap_or((inner, ""));
            format!("--at-most {most}:{name}:")
        })
    })
    .unwrap_or(text)
}

/// A text with what stands between two others, and these, replaced.
fn between(text: &str, start: &str, end: &str, replaced: impl FnOnce(&str) -> String) -> Option<String> {
    let (before, rest) = text.split_once(start)?;
    let (inner, after) = rest.split_once(end)?;
    Some(format!("{before}{}{after}", replaced(inner)))
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
    let _ = writeln!(io::stderr().lock(), "{}", escaped_lines(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_library_speak_of_the_program() {
        for (text, expected) in [
            (
                "there is no database at no db: check the path, or allow creating it",
                "there is no database at no db: check the path; `kithdb load no db FILE` makes one",
            ),
            (
                "at_most(1, \"nosuch\"): no item has this attribute; there are price",
                "--at-most 1:nosuch: no item has this attribute; there are price",
            ),
            (
                "nothing has been trained yet: call train() (or `kithdb train`), or ask for .or_popular()",
                "nothing has been trained yet: run `kithdb train`",
            ),
            ("as it is", "as it is"),
        ] {
            assert_eq!(in_flags(text), expected);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = io::Error::other("no such file");
        let error = anyhow::Error::from(cause).context("cannot open x: no such file").context("loading");
        assert_eq!(told(&error), "loading: cannot open x: no such file");
    }
}
