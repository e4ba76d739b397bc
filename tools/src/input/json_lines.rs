//! JSON lines: an object a line.

use std::io;

use serde_json::{Map, Value};

use super::columns::{Layout, shortened};
use super::lines::{Found, Lines, MAX_LINE, without_end};
use super::row::{Rejected, Row};
use super::rules::{Made, Rules};

/// Reads interactions off objects by the keys of their parts.
pub(super) struct JsonLines {
    lines: Lines,
    line: Vec<u8>,
    user: String,
    item: String,
    time: Option<String>,
    weight: Option<String>,
    rating: Option<String>,
    pub(super) line_number: u64,
}

impl JsonLines {
    /// Of lines whose objects have these `keys`, at the places that the layout has columns at.
    pub(super) fn new(lines: Lines, layout: &Layout, keys: &[String]) -> Self {
        let key = |at: usize| keys.get(at).cloned().unwrap_or_default();
        Self {
            lines,
            line: Vec::new(),
            user: key(layout.user),
            item: key(layout.item),
            time: layout.time.map(key),
            weight: layout.weight.map(key),
            rating: layout.rating.map(key),
            line_number: 0,
        }
    }

    pub(super) fn next(&mut self, rules: &mut Rules) -> io::Result<Option<Made>> {
        let made = loop {
            match self.lines.read(&mut self.line)? {
                Found::End => return Ok(None),
                Found::TooLong(number) => {
                    self.line_number = number;
                    break Err(format!("the line is longer than {} MiB", MAX_LINE >> 20));
                }
                Found::Line(number) => {
                    self.line_number = number;
                    if !self.line.trim_ascii().is_empty() {
                        break self.made(rules);
                    }
                }
            }
        };
        rules.judge(self.line_number, &made);
        let line = self.line_number;
        let raw = || without_end(&self.line).to_vec();
        Ok(Some(made.unwrap_or_else(|reason| Made::Row(Row::Rejected(Rejected { line, reason, raw: raw() })))))
    }

    fn made(&self, rules: &mut Rules) -> Result<Made, String> {
        let object = object(&self.line)?;
        let number = |key: &Option<String>| key.as_ref().map(|key| number(&object, key)).transpose();
        let (weight, time, rating) = (number(&self.weight)?, number(&self.time)?, number(&self.rating)?);
        rules.make(
            &id(&object, &self.user)?,
            &id(&object, &self.item)?,
            weight.as_deref(),
            time.as_deref(),
            rating.as_deref(),
        )
    }
}

/// The object on a line; the error is a reason.
pub(super) fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the line holds no JSON object".into()),
        Err(error) => Err(format!("the line is no JSON: {error}")),
    }
}

/// The id under a key: a text as it is, or a whole number.
fn id(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(other) => Err(format!(
            "{} is {}, and ids are texts or whole numbers of 64 bits",
            shortened(key),
            shortened(&other.to_string())
        )),
    }
}

/// What stands under the key of a number or a time, as text.
pub(super) fn number(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(other) => Err(format!("{} is {}, no number", shortened(key), shortened(&other.to_string()))),
    }
}
