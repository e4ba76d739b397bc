//! One row of a file: an interaction, or the reason why it is none.

use kithdb::{Id, IdKind, Interaction, MAX_ID_BYTES, MAX_WEIGHT, MIN_WEIGHT};

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

/// Reads an id that stands by itself, without blanks or quotes around it; the error is a reason.
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
            Ok(weight) if (MIN_WEIGHT..=MAX_WEIGHT).contains(&weight) => Ok(weight),
            Ok(_) => Err(format!("the weight {} is not above 0, from {MIN_WEIGHT} to {MAX_WEIGHT}", shortened(text))),
            Err(_)
                if text.contains(',') && text.bytes().all(|byte| byte.is_ascii_digit() || b"-+.,".contains(&byte)) =>
            {
                Err(format!(
                    "the weight {} is not a number: write a point before decimals, and nothing between thousands",
                    shortened(text)
                ))
            }
            Err(_) => Err(format!("the weight {} is not a number", shortened(text))),
        },
    }
}

/// Reads a rating; the error is a reason.
pub(super) fn rating(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(rating) if !rating.is_nan() => Ok(rating),
        _ if text.trim().eq_ignore_ascii_case("true") => Ok(1.0),
        _ if text.trim().eq_ignore_ascii_case("false") => Ok(0.0),
        _ => Err(format!("the rating {} is not a number", shortened(text))),
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
    fn weights_are_those_that_can_be_stored() {
        assert_eq!((weight(" 2.5"), weight("")), (Ok(2.5), Ok(1.0)));
        assert_eq!((weight("1000000"), weight("1e-6")), (Ok(MAX_WEIGHT), Ok(MIN_WEIGHT)));
        for bad in ["0", "-1", "inf", "NaN", "1e39", "-0", "1e30", "1000001", "0.0000001"] {
            assert!(weight(bad).unwrap_err().contains("above 0, from 0.000001 to 1000000"), "{bad}");
        }
        assert!(weight("many").unwrap_err().contains("not a number"));
        for bad in ["1,5", "1,234", "1.234,5"] {
            assert!(weight(bad).unwrap_err().contains("a point before decimals"), "{bad}");
        }
        assert_eq!((rating("True"), rating("false"), rating("4.5")), (Ok(1.0), Ok(0.0), Ok(4.5)));
    }
}
