//! Which columns hold the user, the item, the time and the weight.

use super::{Error, Source};

/// Columns as asked for: by name, by number from 1, or left to the usual names.
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
}

/// Usual names, in order of preference. They are compared in lower case, without `_`, `-`, spaces and a type after `:`. A rating is no weight unless
/// asked for: one star says less than no star, not a fifth of five.
const USER: Role =
    Role { role: "user", option: "--user", usual: &["user", "userid", "uid", "customer", "customerid", "visitorid"] };
const ITEM: Role = Role {
    role: "item",
    option: "--item",
    usual: &["item", "itemid", "iid", "product", "productid", "movieid", "trackid"],
};
const TIME: Role = Role { role: "time", option: "--time", usual: &["time", "timestamp", "ts"] };
const WEIGHT: Role = Role { role: "weight", option: "--weight", usual: &["weight", "count"] };

struct Role {
    role: &'static str,
    option: &'static str,
    usual: &'static [&'static str],
}

/// Columns as found: positions from 0 in rows of `width` cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) time: Option<usize>,
    pub(super) weight: Option<usize>,
    pub(super) width: usize,
}

impl Columns {
    /// Whether nothing was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the first line is a header: it is, unless the user's and the item's columns and whatever else is asked for are numbers.
    pub(super) fn expect_header(&self) -> bool {
        let by_number = |column: &Option<String>| column.as_deref().is_some_and(|c| position(c).is_some());
        let by_number_or_none = |column: &Option<String>| column.is_none() || by_number(column);
        !(by_number(&self.user)
            && by_number(&self.item)
            && by_number_or_none(&self.time)
            && by_number_or_none(&self.weight))
    }

    /// Finds the columns in the first line.
    pub(super) fn find(&self, source: &Source, first: &[String]) -> Result<Layout, Error> {
        let header = self.expect_header();
        let required =
            |role, asked: &Option<String>| role_column(role, asked.as_deref(), header, first).map_err(|e| e.of(source));
        let optional = |role: Role, asked: &Option<String>| match asked {
            None if !header => Ok(None),
            None => Ok(usual(&role, first)),
            asked => required(role, asked).map(Some),
        };
        Ok(Layout {
            user: required(USER, &self.user)?,
            item: required(ITEM, &self.item)?,
            time: optional(TIME, &self.time)?,
            weight: optional(WEIGHT, &self.weight)?,
            width: first.len(),
        })
    }
}

struct Missing {
    role: Role,
    wanted: String,
    header: bool,
    there: String,
}

impl Missing {
    fn of(self, source: &Source) -> Error {
        let Self { role: Role { role, option, .. }, wanted, header, there } = self;
        let remedy = match header {
            true => format!("Name it with {option}; if the first line is no header, give numbers: --user 1 --item 2"),
            false => format!("Columns count from 1: pass another number to {option}"),
        };
        Error::MissingColumn { source_name: source.clone(), role, wanted, there, remedy }
    }
}

fn role_column(role: Role, asked: Option<&str>, header: bool, first: &[String]) -> Result<usize, Missing> {
    let by_name = |name: &str| first.iter().position(|cell| header && cell == name);
    let by_number = |name: &str| position(name).filter(|&at| at < first.len());
    let (found, wanted) = match asked {
        Some(name) => (by_name(name).or_else(|| by_number(name)), format!("{name:?}")),
        None => (usual(&role, first), format!("named {}", role.usual.join(", "))),
    };
    let there = || match header {
        true => first.iter().map(|cell| shortened(cell)).collect::<Vec<_>>().join(", "),
        false => format!("{} columns", first.len()),
    };
    found.ok_or_else(|| Missing { wanted, header, there: there(), role })
}

fn usual(role: &Role, first: &[String]) -> Option<usize> {
    let names: Vec<String> = first.iter().map(|cell| plain(cell)).collect();
    role.usual.iter().find_map(|usual| names.iter().position(|name| name == usual))
}

fn plain(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
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
        columns.find(&Source::Stdin, &first)
    }

    fn named(user: &str, item: &str) -> Columns {
        Columns { user: Some(user.into()), item: Some(item.into()), ..Columns::default() }
    }

    #[test]
    fn usual_names_are_found_however_they_are_spelt() {
        let layout = find(&Columns::default(), &["movieId", "USER_ID", "rating", "timestamp"]).unwrap();
        assert_eq!(layout, Layout { user: 1, item: 0, time: Some(3), weight: None, width: 4 });
        let recbole = find(&Columns::default(), &["user_id:token", "item_id:token", "weight:float"]).unwrap();
        assert_eq!((recbole.user, recbole.item, recbole.weight), (0, 1, Some(2)));
    }

    #[test]
    fn names_asked_for_come_before_usual_ones() {
        let layout = find(&named("buyer", "2"), &["user", "item", "buyer"]).unwrap();
        assert_eq!((layout.user, layout.item), (2, 1));
    }

    #[test]
    fn numbers_alone_mean_there_is_no_header() {
        assert!(!named("1", "2").expect_header());
        assert!(named("1", "item").expect_header());
        assert!(Columns { time: Some("3".into()), ..Columns::default() }.expect_header());
        let layout = find(&named("2", "1"), &["user", "weight"]).unwrap();
        assert_eq!(layout, Layout { user: 1, item: 0, time: None, weight: None, width: 2 });
    }

    #[test]
    fn a_missing_column_names_those_there_are() {
        let text = find(&named("buyer", "item"), &["customer", "item"]).unwrap_err().to_string();
        assert!(
            text.contains("\"buyer\"") && text.contains("\"customer\", \"item\"") && text.contains("--user"),
            "{text}"
        );
        let text = find(&Columns::default(), &["5", "7"]).unwrap_err().to_string();
        assert!(text.contains("user, userid") && text.contains("--user 1 --item 2"), "{text}");
        for number in ["0", "4"] {
            let text = find(&named("1", number), &["a", "b", "c"]).unwrap_err().to_string();
            assert!(text.contains("3 columns") || text.contains("\"a\""), "{text}");
        }
    }
}
