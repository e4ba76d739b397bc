//! The arguments that say how files of interactions are laid out.

use clap::Args;

use crate::input::{Columns, Format, IdKinds, ReaderOptions};

/// How the rows of files are laid out.
#[derive(Args, Clone, Debug)]
pub(super) struct Layout {
    /// What the files hold; told by their extension otherwise (.csv, .tsv, .txt for lightgcn)
    #[arg(long)]
    format: Option<Format>,
    /// The column of the user: a name, or a number from 1 where there is no header [default: user, user_id, ...]
    #[arg(long, value_name = "COL")]
    user: Option<String>,
    /// The column of the item [default: item, item_id, ...]
    #[arg(long, value_name = "COL")]
    item: Option<String>,
    /// The column of the time: seconds, or from 10^11 on milliseconds, since 1970 [default: time, timestamp, if there is one]
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    time: Option<String>,
    /// The column of the weight, above 0: how much a row says that the user wants the item; a rating only if asked for
    /// [default: weight, count, if there is one]
    #[arg(long, value_name = "COL")]
    weight: Option<String>,
}

impl Layout {
    pub(super) fn reader(&self, ids: IdKinds) -> ReaderOptions {
        let Self { format, user, item, time, weight } = self.clone();
        ReaderOptions { format, columns: Columns { user, item, time, weight }, ids }
    }
}
