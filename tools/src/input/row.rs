//! One row of a file: an interaction, or the reason why it is none.

use kithdb::{Id, IdKind, Interaction, MAX_ID_BYTES};

use super::columns::shortened;

/// What a reader makes of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// It can be stored.
    Interaction(Interaction),
    /// It cannot.
    Rejected(Rejected),
}

/// A row that cannot be stored, with what it takes to find and mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The line it begins on, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The row as it stands in the file, without its line end.
    pub raw: Vec<u8>,
}

/// The kinds of id that text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdKinds {
    /// Of users.
    pub user: IdKind,
    /// Of items.
    pub item: IdKind,
}

/// Reads an id; the error is a reason.
pub(super) fn id(side: &str, text: &str, kind: IdKind) -> Result<Id, String> {
    match text.len() {
        0 => Err(format!("the {side} is empty")),
        length if length > MAX_ID_BYTES => {
            Err(format!("the {side}'s id has {length} bytes; at most {MAX_ID_BYTES} are stored"))
        }
        _ => Id::parse(text, kind)
            .map_err(|_| format!("the {side} {} is not a whole number from 0 to 2^64-1", shortened(text))),
    }
}

/// Reads a weight; an empty cell is the default, 1.
pub(super) fn weight(text: &str) -> Result<f32, String> {
    match text.trim() {
        "" => Ok(1.0),
        text => match text.parse::<f32>() {
            Ok(weight) if weight.is_finite() && weight > 0.0 => Ok(weight),
            Ok(_) => Err(format!("the weight {} is not finite and above 0", shortened(text))),
            Err(_) => Err(format!("the weight {} is not a number", shortened(text))),
        },
    }
}

/// From here on a time is milliseconds: the 3rd of March 1973, or the year 5138 in seconds.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

/// Reads a time into milliseconds since 1970; an empty cell is none. Numbers below 10^11 are seconds.
pub(super) fn time(text: &str) -> Result<Option<i64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(Some(if number.unsigned_abs() < FIRST_MILLISECOND as u64 { number * 1000 } else { number }));
    }
    match text.parse::<f64>() {
        Ok(number) if number.abs() < FIRST_MILLISECOND as f64 => Ok(Some((number * 1000.0).round() as i64)),
        Ok(number) if number.abs() < i64::MAX as f64 => Ok(Some(number.round() as i64)),
        _ => Err(format!("the time {} is not a number of seconds or milliseconds since 1970", shortened(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_length_and_a_kind() {
        assert_eq!(id("user", "al\u{e9}", IdKind::Str), Ok("al\u{e9}".into()));
        assert_eq!(id("user", "007", IdKind::U64), Ok(7u64.into()));
        assert!(id("user", &"x".repeat(MAX_ID_BYTES), IdKind::Str).is_ok());
        assert!(id("item", &"x".repeat(MAX_ID_BYTES + 1), IdKind::Str).unwrap_err().contains("513 bytes"));
        assert!(id("item", "", IdKind::Str).unwrap_err().contains("item is empty"));
        for bad in ["-1", "x", "1.0", "18446744073709551616"] {
            assert!(id("item", bad, IdKind::U64).unwrap_err().contains(bad));
        }
    }

    #[test]
    fn weights_are_finite_and_above_0() {
        assert_eq!((weight(" 2.5"), weight("")), (Ok(2.5), Ok(1.0)));
        for bad in ["0", "-1", "inf", "NaN", "1e39", "-0"] {
            assert!(weight(bad).unwrap_err().contains("above 0"), "{bad}");
        }
        assert!(weight("many").unwrap_err().contains("not a number"));
    }

    #[test]
    fn times_are_seconds_or_milliseconds_by_their_size() {
        assert_eq!(time("874965758"), Ok(Some(874_965_758_000)));
        assert_eq!(time("874965758.25"), Ok(Some(874_965_758_250)));
        assert_eq!(time("1700000000000"), Ok(Some(1_700_000_000_000)));
        assert_eq!(time("-5"), Ok(Some(-5000)));
        assert_eq!(time(" "), Ok(None));
        assert_eq!(time(&i64::MIN.to_string()), Ok(Some(i64::MIN)));
        for bad in ["yesterday", "NaN", "1e300"] {
            assert!(time(bad).unwrap_err().contains(bad));
        }
    }
}
