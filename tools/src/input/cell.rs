//! The cells of columns of attributes, and the kinds that columns have by them.

use kithdb::{Value, ValueKind};

/// What stands in a cell.
pub(super) enum Cell {
    /// To be read by what its column is.
    Plain(String),
    Value(Value),
    Bad(String),
}

impl Cell {
    /// Its text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Cell::Plain(text) | Cell::Value(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it can stand in a column of numbers, or of booleans.
    pub(super) fn suits(&self, kind: ValueKind) -> bool {
        match (self, kind) {
            (Cell::Value(value), kind) if value.kind() == kind => true,
            (_, ValueKind::Number) => self.text().is_some_and(|text| number(text).is_ok()),
            (_, ValueKind::Bool) => self.text().is_some_and(is_boolean),
            _ => false,
        }
    }
}

/// Whether a text says that there is no number and neither yes nor no, as programs write it.
pub(super) fn is_missing(text: &str) -> bool {
    let words = ["", "-", "na", "n/a", "#n/a", "nan", "null", "none", "\\n"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Why a text is not stored as a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NoNumber {
    /// It is none, or none that is finite.
    Other,
    /// It would not come back as it was written, but as this.
    Changed(f64),
}

/// The number that a text is, if it comes back as it was written but for blanks of form: `9.50` is 9.5. Codes such as 007 and `+4512345678` do not
/// come back, nor do more digits than 64 bits have.
pub(super) fn number(text: &str) -> Result<f64, NoNumber> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or(NoNumber::Other)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leads = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    let is_whole = digits.trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit());
    let comes_back = match is_whole {
        true => number.abs().to_string() == digits,
        false => !leads && is_fine(digits, number),
    };
    if comes_back { Ok(number) } else { Err(NoNumber::Changed(number)) }
}

/// Whether a fraction has no more digits than are written to tell every float from the others.
fn is_fine(digits: &str, number: f64) -> bool {
    const DIGITS: usize = 17;
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let figures: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let figures = figures.trim_start_matches('0').trim_end_matches('0');
    figures.len() <= DIGITS && (number != 0.0 || figures.is_empty())
}

/// What a text is in a column of booleans.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a text makes a column one of booleans.
fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// What all cells of a column can be, but for those that say that there is no value.
pub(super) fn kind_of<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> ValueKind {
    if cells.clone().any(|cell| matches!(cell, Cell::Value(Value::Tags(_)))) {
        return ValueKind::Tags;
    }
    // A text of JSON is one, unless it stands among numbers or booleans.
    let are_texts = !cells.clone().any(|cell| !matches!(cell, Cell::Value(Value::Text(_)) | Cell::Bad(_)));
    let said = || cells.clone().filter(|cell| !cell.text().is_some_and(is_missing) && !matches!(cell, Cell::Bad(_)));
    match () {
        () if are_texts || said().next().is_none() => ValueKind::Text,
        () if said().all(|cell| cell.suits(ValueKind::Bool)) => ValueKind::Bool,
        () if said().all(|cell| cell.suits(ValueKind::Number)) => ValueKind::Number,
        () => ValueKind::Text,
    }
}

/// What keeps most of the cells of a column of texts from being its kind.
pub(super) struct Odd<'a> {
    /// The kind that most are of.
    pub(super) kind: ValueKind,
    /// The first that is not.
    pub(super) line: u64,
    pub(super) cell: &'a str,
    /// How many are not.
    pub(super) count: u64,
}

/// The cells that make a column one of texts whose other cells, the most, are numbers or booleans; none where texts are not few.
pub(super) fn odd<'a>(cells: impl Iterator<Item = (u64, &'a Cell)> + Clone) -> Option<Odd<'a>> {
    let said =
        || cells.clone().filter_map(|(line, cell)| Some((line, cell, cell.text().filter(|text| !is_missing(text))?)));
    let all = said().count();
    [ValueKind::Number, ValueKind::Bool].into_iter().find_map(|kind| {
        let mut others = said().filter(|(_, cell, _)| !cell.suits(kind));
        let (line, _, text) = others.next()?;
        let count = 1 + others.count();
        (2 * count < all).then_some(Odd { kind, line, cell: text, count: count as u64 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_comes_back_as_it_was_written() {
        for (text, value) in [
            ("5", 5.0),
            ("-5", -5.0),
            ("0", 0.0),
            ("9.50", 9.5),
            (".5", 0.5),
            ("-0.25", -0.25),
            ("1e3", 1e3),
            ("0.10000000000000001", 0.1),
            ("0.000", 0.0),
            ("9007199254740992", 9_007_199_254_740_992.0),
            ("10000000000000000000000", 1e22),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for (text, value) in [
            ("007", 7.0),
            ("00789", 789.0),
            ("-01", -1.0),
            ("00.5", 0.5),
            ("+45", 45.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("12345678901234567890", 12_345_678_901_234_567_000.0),
            ("0.12345678901234567890", 0.123_456_789_012_345_68),
            ("1e-999", 0.0),
        ] {
            assert_eq!(number(text), Err(NoNumber::Changed(value)), "{text}");
        }
        for text in ["", "nan", "inf", "-Infinity", "1e999", "0x10", "1,5", "five", "-"] {
            assert_eq!(number(text), Err(NoNumber::Other), "{text}");
        }
    }

    #[test]
    fn a_column_is_what_its_cells_are_but_for_those_that_say_nothing() {
        let plain = |texts: &[&str]| texts.iter().map(|&text| Cell::Plain(text.into())).collect::<Vec<_>>();
        let kind = |texts: &[&str]| kind_of(plain(texts).iter());
        assert_eq!(kind(&["10", "N/A", "30", "nan", "NULL", "none", "-", "\\N"]), ValueKind::Number);
        assert_eq!(kind(&["true", "NA", "False"]), ValueKind::Bool);
        assert_eq!(kind(&["10", "cheap"]), ValueKind::Text);
        assert_eq!(kind(&["10", "inf"]), ValueKind::Text);
        assert_eq!(kind(&["none", "-"]), ValueKind::Text);
        assert_eq!(kind(&["12345678901234567890", "5"]), ValueKind::Text);
        let text = |text: &str| Cell::Value(Value::Text(text.into()));
        assert_eq!(kind_of([Cell::Plain("5".into()), text("6")].iter()), ValueKind::Number);
        assert_eq!(kind_of([text("5"), text("6")].iter()), ValueKind::Text);
        assert_eq!(kind_of([Cell::Value(true.into()), text("n/a")].iter()), ValueKind::Bool);
        let cells = plain(&["1", "2", "N/A", "three", "4", "v"]);
        let found = odd((2..).zip(&cells)).map(|odd| (odd.kind, odd.line, odd.cell.to_owned(), odd.count));
        assert_eq!(found, Some((ValueKind::Number, 5, "three".into(), 2)));
        assert!(odd((2..).zip(&plain(&["a", "1"]))).is_none());
    }

    proptest! {
        #[test]
        fn what_a_float_is_written_as_is_a_number(bits in any::<u64>(), whole in any::<i64>()) {
            let float = f64::from_bits(bits);
            if float.is_finite() && float != 0.0 {
                prop_assert_eq!(number(&format!("{float:e}")), Ok(float));
                prop_assert_eq!(number(&format!("{float:.16e}")), Ok(float));
            }
            // A whole number is stored as it is, or not at all.
            match number(&whole.to_string()) {
                Ok(stored) => prop_assert_eq!(stored.to_string(), whole.to_string()),
                Err(_) => prop_assert!(whole.unsigned_abs() > 1 << 53),
            }
        }
    }
}
