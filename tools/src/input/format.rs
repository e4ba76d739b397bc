//! What a file of interactions looks like.

use super::{Error, Source};

/// How rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated columns, with a header unless columns are given by number.
    Csv,
    /// Tab-separated columns, with a header unless columns are given by number.
    Tsv,
    /// A user and all their items a line, separated by spaces.
    Lightgcn,
}

impl Format {
    /// The format a file's extension stands for, `.zst` and `.gz` aside.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] for stdin and for other extensions.
    pub fn detect(source: &Source) -> Result<Self, Error> {
        match source.extension().as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("tsv" | "tab" | "inter") => Ok(Self::Tsv),
            Some("txt" | "lightgcn") => Ok(Self::Lightgcn),
            _ => Err(Error::UnknownFormat { source_name: source.clone() }),
        }
    }

    /// What stands between two columns.
    pub(super) fn delimiter(self) -> u8 {
        match self {
            Self::Csv => b',',
            Self::Tsv => b'\t',
            Self::Lightgcn => b' ',
        }
    }
}
