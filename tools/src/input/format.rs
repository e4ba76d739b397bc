//! What a file of interactions looks like.

/// How rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns with commas between, or with what is recognised, or with what --delimiter says.
    Csv,
    /// Columns with tabs between.
    Tsv,
    /// A user and all their items a line, with blanks between.
    Lightgcn,
    /// JSON lines: an object a line.
    Jsonl,
}
