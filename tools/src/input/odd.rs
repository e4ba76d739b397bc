//! Texts that are taken as they are, and may not be what whoever wrote them meant.

use kithdb::Id;

use super::cell;
use super::columns::shortened;

/// What an id looks like that may be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    /// A word for no value.
    Missing,
    /// A number that a spreadsheet has rounded.
    Rounded,
    /// A whole number that a program held as a float.
    Float,
    /// One with a byte that no text has.
    Nul,
    /// One with a character that nobody sees.
    Unseen,
    /// What begins a comment.
    Comment,
}

/// A byte order mark, a zero-width space and a word joiner. Joiners that scripts need are not among them.
const UNSEEN: [char; 3] = ['\u{feff}', '\u{200b}', '\u{2060}'];

/// Ids of one file that look odd.
#[derive(Default)]
pub(super) struct OddIds {
    /// A kind, how many there are, and the first with its line.
    found: Vec<(Odd, u64, (u64, String))>,
}

impl OddIds {
    /// Takes note of an id. Quick of those that are not odd.
    pub(super) fn see(&mut self, line: u64, id: &Id) {
        let Id::Str(text) = id else { return };
        let Some(odd) = Odd::of(text) else { return };
        match self.found.iter_mut().find(|(kind, ..)| *kind == odd) {
            Some((_, count, _)) => *count += 1,
            None => self.found.push((odd, 1, (line, text.clone()))),
        }
    }

    /// What to say of them.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|(odd, count, (line, first))| {
            format!("ids such as {} of line {line} {}: {count} in all", shortened(first), odd.told())
        })
    }
}

impl Odd {
    fn of(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        match bytes {
            // Words, and what may be one, are short.
            [b'-' | b'#' | b'<' | b'(' | b'\\' | b'n' | b'N' | b'u' | b'U', ..] if bytes.len() <= 9 => {
                let words = ["undefined", "<na>", "nil", "(null)"];
                let is_word = cell::is_missing(text) || words.iter().any(|word| text.eq_ignore_ascii_case(word));
                (is_word && text != "-").then_some(Self::Missing)
            }
            [b'0'..=b'9', b'.', rest @ ..] if rest.len() < 24 => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let exponent = rest.get(digits..).unwrap_or_default();
                let exponent = exponent.strip_prefix(b"E+").or(exponent.strip_prefix(b"e+")).unwrap_or_default();
                let is_rounded = digits > 0 && !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit);
                is_rounded.then_some(Self::Rounded).or(Self::float(bytes))
            }
            _ => Self::float(bytes),
        }
        .or_else(|| bytes.contains(&0).then_some(Self::Nul))
        .or_else(|| (!text.is_ascii() && text.contains(UNSEEN)).then_some(Self::Unseen))
        .or_else(|| {
            let begins =
                |with: &str| text.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
            (begins("#") || begins("%") || begins("//")).then_some(Self::Comment)
        })
    }

    fn float(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.strip_suffix(b".0")?;
        (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(Self::Float)
    }

    fn told(self) -> &'static str {
        match self {
            Self::Missing => {
                "are taken as they are, and often stand for a missing one: leave such rows out; `kithdb forget` and `kithdb retire` take back who is none"
            }
            Self::Rounded => {
                "look rounded by a spreadsheet, which makes one of many: export them from where they come from, as text"
            }
            Self::Float => {
                "look like whole numbers that were held as floats: they are others than those without .0, so write them as whole numbers"
            }
            Self::Nul => "hold a NUL, as UTF-16 within a file does: see whether it was put together of several",
            Self::Unseen => {
                "hold a character that is not seen, as a byte order mark within a file is, and are others than those without: see whether it was put together of several"
            }
            Self::Comment => "look like comments, which are rows here: leave such lines out, as grep -v does",
        }
    }
}

/// Weights of one file that are no whole numbers.
#[derive(Default)]
pub(super) struct Fractions {
    /// How many have three digits behind the point, and one to three others before it.
    like_thousands: u64,
    others: u64,
    first: String,
}

impl Fractions {
    /// Takes note of a weight.
    pub(super) fn see(&mut self, text: &str) {
        let Some((whole, fraction)) = text.trim().split_once('.') else { return };
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_group = fraction.len() == 3 && are_digits(fraction);
        if is_group && (1..=3).contains(&whole.len()) && are_digits(whole) && !whole.starts_with('0') {
            if self.like_thousands == 0 {
                self.first = text.trim().to_owned();
            }
            self.like_thousands += 1;
        } else {
            self.others += 1;
        }
    }

    /// What to say of them, where all of them may be whole numbers.
    pub(super) fn remark(&self) -> Option<String> {
        (self.like_thousands > 0 && self.others == 0).then(|| {
            format!(
                "weights such as {} are read as fractions: if the point stands between thousands, take it out and load into a new database",
                self.first
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_ids_are_told_from_others() {
        for (text, odd) in [
            ("NULL", Odd::Missing),
            ("nan", Odd::Missing),
            ("None", Odd::Missing),
            ("\\N", Odd::Missing),
            ("<NA>", Odd::Missing),
            ("undefined", Odd::Missing),
            ("1.23457E+12", Odd::Rounded),
            ("9.0e+15", Odd::Rounded),
            ("1.0", Odd::Float),
            ("12345.0", Odd::Float),
            ("a\0b", Odd::Nul),
            ("\u{feff}7", Odd::Unseen),
            ("é\u{200b}", Odd::Unseen),
            ("#", Odd::Comment),
            ("# Nodes: 7", Odd::Comment),
            ("//", Odd::Comment),
        ] {
            assert_eq!(Odd::of(text), Some(odd), "{text}");
        }
        for text in [
            "",
            "-",
            "u1",
            "7",
            "nancy",
            "1.5",
            "1e5",
            "v1.0",
            ".0",
            "1.2.0",
            "1.5E-3",
            "1.E+5",
            "no",
            "É",
            "-5",
            "#1",
            "//x",
            "17:",
            "a\u{200d}b",
        ] {
            assert_eq!(Odd::of(text), None, "{text}");
        }
    }

    #[test]
    fn points_between_thousands_are_told_from_those_before_decimals() {
        let remark = |texts: &[&str]| {
            let mut fractions = Fractions::default();
            texts.iter().for_each(|text| fractions.see(text));
            fractions.remark()
        };
        assert!(remark(&["12", "1.234", "2.000"]).unwrap().contains("1.234"));
        for texts in
            [&["12", "3"][..], &["1.5"], &["1.234", "1.5"], &["0.125"], &["1234.567"], &["1.234", "2e-1", "0.5"]]
        {
            assert_eq!(remark(texts), None, "{texts:?}");
        }
    }
}
