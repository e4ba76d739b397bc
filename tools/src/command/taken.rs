//! What a file was taken to hold, told to people.

use serde::Serialize;

use crate::input::{Reader, Source, Understood};
use crate::output::{self, Output};

/// How a file is read.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    pub(super) file: String,
    #[serde(flatten)]
    pub(super) understood: Understood,
}

impl Taken {
    pub(super) fn of(source: &Source, reader: &Reader) -> Self {
        Self { file: source.to_string(), understood: reader.understood().clone() }
    }

    /// A line that says what is taken and what is left.
    pub(super) fn text(&self) -> String {
        format!("{}: {}", self.file, described(&self.understood))
    }
}

/// Lines for all files, those that are read alike together.
pub(super) fn text(all: &[Taken]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for alike in all.chunk_by(|one, next| one.understood == next.understood) {
        let Some(first) = alike.first() else { continue };
        lines.push(match alike.len() {
            1 => first.text(),
            n => format!("{} and {} more files: {}", first.file, n - 1, described(&first.understood)),
        });
    }
    lines.join("\n")
}

fn described(understood: &Understood) -> String {
    let Understood { format, delimiter, user, item, time, weight, rating, left, .. } = understood;
    if *format == "lightgcn" {
        return "lightgcn, a user and all their items a line".into();
    }
    let mut text = match delimiter {
        Some(delimiter) if delimiter != "," => format!("{format} with {delimiter} between"),
        _ => (*format).to_owned(),
    };
    let roles = [("user", user), ("item", item), ("time", time), ("weight", weight), ("rating", rating)];
    for (role, column) in roles {
        match column {
            Some(column) => text += &format!(", {role} from {column}"),
            None if role == "time" || role == "weight" => text += &format!(", no {role}"),
            None => {}
        }
    }
    if !left.is_empty() {
        text += &format!("; left: {}", left.join(", "));
    }
    text
}

/// Tells what is worth knowing before the rows are read.
pub(super) fn warn(output: &Output, source: &Source, reader: &Reader) {
    if let Some(rating) = &reader.understood().ignored_rating {
        output.note(&format!(
            "{source}: the column {rating} is ignored, every row says the same: --min-rating X leaves out rows rated lower, --weight {rating} makes it the weight"
        ));
    }
    if let Some(event) = &reader.understood().ignored_event {
        output.note(&format!(
            "{source}: the column {event} is ignored, every row says the same, whatever happened: leave out first what is no wish, as of what was taken out of a cart"
        ));
    }
}

/// Tells what turned out to be worth a look when the rows were read.
pub(super) fn remark(output: &Output, source: &Source, reader: &Reader) {
    for remark in reader.remarks() {
        output.note(&format!("{source}: {remark}"));
    }
    if reader.below() > 0 {
        output.note(&format!("{source}: {} rows are rated too low and left out", output::count(reader.below())));
    }
}
