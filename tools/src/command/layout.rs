//! The arguments that say how files of interactions are laid out.

use clap::{Args, ValueEnum};

use crate::input::{Columns, Delimiter, Format, IdKinds, ReaderOptions, TimeUnit};

/// How the rows of files are laid out.
#[derive(Args, Clone, Debug)]
pub(super) struct Layout {
    /// What the files hold [default: told from each file's first lines; refused where they can be read in two ways]
    #[arg(long)]
    format: Option<Format>,
    /// What stands between columns: a character, a text such as ::, tab, or blanks [default: told from the first lines]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    delimiter: Option<Delimiter>,
    /// Whether the first line is a header [default: yes, unless columns are numbers]
    #[arg(long, value_name = "WHETHER")]
    header: Option<Whether>,
    /// The column of the user: a name, or a number from 1 where there is no header [default: user, user_id, customer_id, ...]
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    user: Option<String>,
    /// The column of the item [default: item, item_id, product_id, asin, ...]
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    item: Option<String>,
    /// The column of the time, or none: numbers since 1970, ISO 8601 (UTC where it has no zone), or dates as 20240115 [default: time, timestamp,
    /// date, ..., if there is one]
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    time: Option<String>,
    /// What times that are numbers count [default: seconds to nanoseconds, by their size]
    #[arg(long, value_name = "UNIT")]
    time_unit: Option<TimeUnit>,
    /// The column of the weight, or none: how much a row says that the user wants the item, above 0; a rating only if asked for [default: weight,
    /// count, ..., if there is one]
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    weight: Option<String>,
    /// Leave out rows rated below X
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = a_rating)]
    min_rating: Option<f64>,
    /// The column of the rating, for --min-rating [default: rating, stars, score, ...]
    #[arg(long, value_name = "COL", allow_hyphen_values = true, requires = "min_rating")]
    rating: Option<String>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whether {
    Yes,
    No,
}

impl Layout {
    pub(super) fn reader(&self, ids: IdKinds) -> ReaderOptions {
        let Self { format, delimiter, header, user, item, time, time_unit, weight, min_rating, rating } = self.clone();
        ReaderOptions {
            format,
            delimiter,
            header: header.map(|header| header == Whether::Yes),
            columns: Columns { user, item, time, weight, rating },
            time_unit,
            min_rating,
            ids,
        }
    }
}

fn a_rating(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|rating| rating.is_finite()).ok_or_else(|| "not a number".into())
}
