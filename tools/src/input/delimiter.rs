//! What stands between the columns of a file.

use std::fmt;
use std::str::FromStr;

use super::columns::shortened;

/// What stands between two columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// One character; cells can be quoted.
    Byte(u8),
    /// A text such as `::`; nothing is quoted.
    Text(String),
    /// Blanks and tabs, any number of them; nothing is quoted.
    Blanks,
}

impl Delimiter {
    /// Those that are recognised, in the order in which they are looked for.
    pub(super) fn usual() -> [Self; 6] {
        let [comma, tab, semicolon, bar] = [b',', b'\t', b';', b'|'].map(Self::Byte);
        [comma, tab, semicolon, bar, Self::Text("::".into()), Self::Blanks]
    }
}

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let byte = |text: &str| match *text.as_bytes() {
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\r' | b'\n') => {
                Some(byte)
            }
            _ => None,
        };
        match text {
            "tab" | "\\t" => Ok(Self::Byte(b'\t')),
            "comma" => Ok(Self::Byte(b',')),
            "semicolon" => Ok(Self::Byte(b';')),
            "pipe" | "bar" => Ok(Self::Byte(b'|')),
            "blank" | "blanks" | "space" | "spaces" | " " => Ok(Self::Blanks),
            text if byte(text).is_some() => Ok(byte(text).map_or(Self::Blanks, Self::Byte)),
            text if text.chars().count() > 1
                && !text.contains(|c: char| c.is_alphanumeric() || "\"\r\n".contains(c)) =>
            {
                Ok(Self::Text(text.to_owned()))
            }
            _ => Err(format!(
                "{} cannot stand between columns; pass a character such as ; or |, a text such as ::, tab, or blanks",
                shortened(text)
            )),
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(b'\t') => f.write_str("tab"),
            Self::Byte(byte) => write!(f, "{}", char::from(*byte).escape_debug()),
            Self::Text(text) => f.write_str(text),
            Self::Blanks => f.write_str("blanks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_can_be_passed() {
        for delimiter in Delimiter::usual() {
            assert_eq!(delimiter.to_string().parse(), Ok(delimiter));
        }
        assert_eq!("\\t".parse(), Ok(Delimiter::Byte(b'\t')));
        assert_eq!("\t".parse(), Ok(Delimiter::Byte(b'\t')));
        assert_eq!(" ".parse(), Ok(Delimiter::Blanks));
        assert_eq!("||".parse(), Ok(Delimiter::Text("||".into())));
        for bad in ["", "a", "\"", "\n", "ab", "\u{e9}"] {
            assert!(bad.parse::<Delimiter>().is_err(), "{bad:?}");
        }
    }
}
