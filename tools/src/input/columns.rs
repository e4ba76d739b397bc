//! Which columns hold the user, the item, the time, the weight and the rating.

use serde::Serialize;

use super::delimiter::Delimiter;
use super::names::{EVENT, ITEM, RATING, Role, TIME, USER, WEIGHT};
use super::{Error, Source};

/// Columns as asked for: by name, by number from 1, or left to the usual names. `none` for the time and the weight says that no column holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The user's.
    pub user: Option<String>,
    /// The item's.
    pub item: Option<String>,
    /// The time's.
    pub time: Option<String>,
    /// The weight's.
    pub weight: Option<String>,
    /// The rating's.
    pub rating: Option<String>,
}

/// Says that there is no such column.
const NONE: &str = "none";

/// Columns as found: positions from 0 in rows of `width` cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) time: Option<usize>,
    pub(super) weight: Option<usize>,
    pub(super) rating: Option<usize>,
    pub(super) width: usize,
}

/// How a file is read: what was taken of it, and what was left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Understood {
    /// `csv`, `lightgcn` or `jsonl`.
    pub format: &'static str,
    /// What stands between columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The column the user is taken from: its name, or its number where the file has no header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The item's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The time's; no interaction has a time where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The weight's; every interaction weighs 1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The rating's, where rows are chosen by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<String>,
    /// The columns that are left.
    pub left: Vec<String>,
    /// A column among these that holds ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored_rating: Option<String>,
    /// A column among these that says what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored_event: Option<String>,
}

impl Columns {
    /// Whether nothing was asked for that a format without columns lacks.
    pub fn is_default(&self) -> bool {
        let Self { user, item, time, weight, rating } = self;
        let absent = |column: &Option<String>| column.as_deref().is_none_or(|column| column == NONE);
        user.is_none() && item.is_none() && [time, weight, rating].into_iter().all(absent)
    }

    /// Whether the first line is a header: it is, unless the user's and the item's columns and whatever else is asked for are numbers.
    pub(super) fn expect_header(&self) -> bool {
        let by_number = |column: &Option<String>| column.as_deref().is_some_and(|c| position(c).is_some());
        let by_number_or_none =
            |column: &Option<String>| column.as_deref().is_none_or(|c| c == NONE) || by_number(column);
        !(by_number(&self.user)
            && by_number(&self.item)
            && [&self.time, &self.weight, &self.rating].into_iter().all(by_number_or_none))
    }

    /// The largest number asked for.
    pub(super) fn last(&self) -> usize {
        let all = [&self.user, &self.item, &self.time, &self.weight, &self.rating];
        all.into_iter().flatten().filter_map(|column| column.parse().ok()).max().unwrap_or(0)
    }

    /// Finds the columns in the first line, a header or a row; a rating only where it is `rated`.
    pub(super) fn find(&self, source: &Source, first: &[String], header: bool, rated: bool) -> Result<Layout, Error> {
        let required = |role, asked: &Option<String>| {
            role_column(role, asked.as_deref(), header, first).map_err(|e| e.of(source, first))
        };
        let optional = |role: &'static Role, asked: &Option<String>| match asked.as_deref() {
            Some(NONE) => Ok(None),
            None if !header => Ok(None),
            None => role.find(first).map_err(|several| Missing::several(role, several).of(source, first)),
            _ => required(role, asked).map(Some),
        };
        Ok(Layout {
            user: required(&USER, &self.user)?,
            item: required(&ITEM, &self.item)?,
            time: optional(&TIME, &self.time)?,
            weight: optional(&WEIGHT, &self.weight)?,
            rating: if rated { Some(required(&RATING, &self.rating)?) } else { None },
            width: first.len(),
        })
    }

    /// What a layout takes and leaves of the columns in the first line.
    pub(super) fn understood(
        &self,
        layout: &Layout,
        first: &[String],
        header: bool,
        delimiter: Option<&Delimiter>,
    ) -> Understood {
        let name = |at: usize| match first.get(at) {
            Some(name) if header => name.clone(),
            _ => (at + 1).to_string(),
        };
        let taken = [Some(layout.user), Some(layout.item), layout.time, layout.weight, layout.rating];
        let left: Vec<usize> = (0..layout.width).filter(|&at| !taken.contains(&Some(at))).collect();
        let weighed_by_name = layout.weight.is_some() && self.weight.is_some();
        let ignored =
            |role: &Role| left.iter().copied().find(|&at| header && first.get(at).is_some_and(|name| role.is(name)));
        let (rating, event) = (ignored(&RATING), ignored(&EVENT));
        Understood {
            format: if delimiter.is_some() { "csv" } else { "jsonl" },
            delimiter: delimiter.map(ToString::to_string),
            user: Some(name(layout.user)),
            item: Some(name(layout.item)),
            time: layout.time.map(name),
            weight: layout.weight.map(name),
            rating: layout.rating.map(name),
            ignored_rating: rating.filter(|_| !weighed_by_name && layout.rating.is_none()).map(name),
            ignored_event: event.filter(|_| !weighed_by_name && layout.rating.is_none()).map(name),
            left: left.into_iter().map(name).collect(),
        }
    }
}

struct Missing {
    role: &'static Role,
    wanted: String,
    header: bool,
    /// Columns that could all be it.
    several: Vec<String>,
}

impl Missing {
    fn several(role: &'static Role, several: Vec<String>) -> Self {
        Self { role, wanted: String::new(), header: true, several }
    }

    fn of(self, source: &Source, first: &[String]) -> Error {
        let Self { role: &Role { role, option, .. }, wanted, header, several } = self;
        if !several.is_empty() {
            let none = if matches!(role, "user" | "item") { "" } else { ", or none" };
            let columns = several.iter().map(|name| shortened(name)).collect::<Vec<_>>().join(" and ");
            return Error::SeveralColumns { source_name: source.clone(), role, columns, option, none };
        }
        let (there, remedy) = match header {
            true => (
                first.iter().map(|cell| shortened(cell)).collect::<Vec<_>>().join(", "),
                format!("Name it with {option}; if the first line is no header, give numbers: --user 1 --item 2"),
            ),
            false => {
                (format!("{} columns", first.len()), format!("Columns count from 1: pass another number to {option}"))
            }
        };
        Error::MissingColumn { source_name: source.clone(), role, wanted, there, remedy }
    }
}

fn role_column(role: &'static Role, asked: Option<&str>, header: bool, first: &[String]) -> Result<usize, Missing> {
    let missing = |wanted| Missing { role, wanted, header, several: Vec::new() };
    let Some(asked) = asked else {
        let usual = if header { role.find(first).map_err(|several| Missing::several(role, several))? } else { None };
        return usual.ok_or_else(|| missing(format!("named {} or the like", role.examples())));
    };
    let mut named = first.iter().enumerate().filter(|(_, cell)| header && *cell == asked).map(|(at, _)| at);
    if let Some(at) = named.next() {
        return match named.next() {
            None => Ok(at),
            Some(again) => {
                Err(Missing::several(role, vec![format!("{asked} ({})", at + 1), format!("{asked} ({})", again + 1)]))
            }
        };
    }
    position(asked).filter(|&at| at < first.len()).ok_or_else(|| missing(format!("{asked:?}")))
}

/// The position from 0 that a number from 1 stands for.
fn position(number: &str) -> Option<usize> {
    number.parse::<usize>().ok()?.checked_sub(1)
}

/// Text for a message: quoted, control characters escaped, at most 40 characters of it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(columns: &Columns, first: &[&str]) -> Result<Layout, Error> {
        let first: Vec<String> = first.iter().map(|&cell| cell.to_owned()).collect();
        columns.find(&Source::Stdin, &first, columns.expect_header(), false)
    }

    fn named(user: &str, item: &str) -> Columns {
        Columns { user: Some(user.into()), item: Some(item.into()), ..Columns::default() }
    }

    #[test]
    fn usual_names_are_found_however_they_are_spelt() {
        let layout = find(&Columns::default(), &["movieId", "USER_ID", "rating", "timestamp"]).unwrap();
        assert_eq!(layout, Layout { user: 1, item: 0, time: Some(3), weight: None, rating: None, width: 4 });
        let recbole = find(&Columns::default(), &["user_id:token", "item_id:token", "weight:float"]).unwrap();
        assert_eq!((recbole.user, recbole.item, recbole.weight), (0, 1, Some(2)));
    }

    #[test]
    fn names_asked_for_come_before_usual_ones() {
        let layout = find(&named("buyer", "2"), &["user", "item", "buyer"]).unwrap();
        assert_eq!((layout.user, layout.item), (2, 1));
    }

    #[test]
    fn columns_that_could_all_be_it_are_refused() {
        let text = find(&Columns::default(), &["user", "artist_id", "track_id"]).unwrap_err().to_string();
        assert!(text.contains("\"artist_id\" and \"track_id\"") && text.contains("--item"), "{text}");
        let text = find(&Columns::default(), &["user", "item", "user"]).unwrap_err().to_string();
        assert!(text.contains("--user"), "{text}");
        let text = find(&named("a", "b"), &["a", "a", "b"]).unwrap_err().to_string();
        assert!(text.contains("a (1)") && text.contains("a (2)"), "{text}");
        assert_eq!(find(&named("2", "b"), &["a", "a", "b"]).unwrap().user, 1);
    }

    #[test]
    fn none_is_no_column() {
        let columns = Columns { time: Some("none".into()), ..Columns::default() };
        assert_eq!(find(&columns, &["user", "item", "time"]).unwrap().time, None);
        let numbers = Columns { time: Some("none".into()), ..named("1", "2") };
        assert!(!numbers.expect_header() && columns.is_default() && !numbers.is_default());
    }

    #[test]
    fn what_is_taken_and_left_is_told() {
        let first = ["userId", "movieId", "rating", "timestamp"].map(str::to_owned);
        let columns = Columns::default();
        let understood = |rated| {
            let layout = columns.find(&Source::Stdin, &first, true, rated).unwrap();
            columns.understood(&layout, &first, true, Some(&Delimiter::Byte(b',')))
        };
        let (ignored, chosen) = (understood(false), understood(true));
        assert_eq!(
            (&ignored.left[..], ignored.ignored_rating.as_deref()),
            (&["rating".to_owned()][..], Some("rating"))
        );
        assert_eq!(
            (&chosen.left[..], chosen.rating.as_deref(), chosen.ignored_rating),
            (&[][..], Some("rating"), None)
        );
        assert_eq!((ignored.user.as_deref(), ignored.time.as_deref()), (Some("userId"), Some("timestamp")));
    }

    #[test]
    fn numbers_alone_mean_there_is_no_header() {
        assert!(!named("1", "2").expect_header());
        assert!(named("1", "item").expect_header());
        assert!(Columns { time: Some("3".into()), ..Columns::default() }.expect_header());
        let layout = find(&named("2", "1"), &["user", "weight"]).unwrap();
        assert_eq!(layout, Layout { user: 1, item: 0, time: None, weight: None, rating: None, width: 2 });
    }

    #[test]
    fn a_missing_column_names_those_there_are() {
        let text = find(&named("buyer", "item"), &["customer", "item"]).unwrap_err().to_string();
        assert!(
            text.contains("\"buyer\"") && text.contains("\"customer\", \"item\"") && text.contains("--user"),
            "{text}"
        );
        let text = find(&Columns::default(), &["5", "7"]).unwrap_err().to_string();
        assert!(text.contains("user, uid") && text.contains("--user 1 --item 2"), "{text}");
        for number in ["0", "4"] {
            let text = find(&named("1", number), &["a", "b", "c"]).unwrap_err().to_string();
            assert!(text.contains("3 columns") || text.contains("\"a\""), "{text}");
        }
    }
}
