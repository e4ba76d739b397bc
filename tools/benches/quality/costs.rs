//! What an interaction costs as a set grows.

use crate::expand::{Expansion, expand};
use crate::program::Program;
use crate::sets::{Files, Variant};

/// Copies of every user and item: each step has four times the pairs of the one before.
const COPIES: [u64; 3] = [1, 2, 4];

/// The columns of the table; the first two name a row.
pub const HEADER: [&str; 7] = [
    "set",
    "model",
    "interactions",
    "load + train, processor s",
    "µs an interaction",
    "of the step before",
    "memory, MB",
];

/// The rows of a set and a model: of itself, and of expansions of 4 and 16 times.
pub fn rows(program: &Program, set: &str, files: &Files, variant: &Variant<'_>) -> anyhow::Result<Vec<Vec<String>>> {
    let mut before = None;
    let mut rows = Vec::new();
    for copies in COPIES {
        let scratch = tempfile::tempdir()?;
        let expansion = Expansion { copies, kept: Expansion::KEPT };
        let expanded = if copies > 1 { Some(expand(files, expansion, scratch.path())?) } else { None };
        let measured = program.measure(expanded.as_ref().unwrap_or(files), variant, 1)?;
        let each = measured.processor / measured.interactions as f64 * 1e6;
        println!("{set} x{}, {}: {each:.1} µs an interaction", copies * copies, variant.name);
        rows.push(vec![
            format!("{set} x{}", copies * copies),
            variant.name.to_owned(),
            measured.interactions.to_string(),
            format!("{:.1}", measured.processor),
            format!("{each:.1}"),
            before.map_or(String::new(), |before: f64| format!("{:.2}", each / before)),
            format!("{:.0}", measured.memory),
        ]);
        before = Some(each);
    }
    Ok(rows)
}
