//! The words of a filter.

use super::error::FilterError;

/// A word, and the character it begins at, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) position: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A name, or a word of the language: the latter only without backticks.
    Name {
        name: String,
        quoted: bool,
    },
    Text(String),
    Number(f64),
    /// An operator, a bracket or a comma.
    Sign(&'static str),
}

impl Word {
    /// Whether it is this word of the language.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Word::Name { name, quoted: false } if name.eq_ignore_ascii_case(keyword))
    }

    /// How errors call it.
    pub(super) fn shown(&self) -> String {
        match self {
            Word::Name { name, .. } => format!("`{name}`"),
            Word::Text(text) => format!("'{text}'"),
            Word::Number(number) => number.to_string(),
            Word::Sign(sign) => format!("`{sign}`"),
        }
    }
}

/// Longer ones first.
const SIGNS: [&str; 12] = ["<=", ">=", "!=", "<>", "==", "<", ">", "=", "(", ")", ",", "!"];

/// The words of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&first) = characters.get(at) {
        let position = at + 1;
        if first.is_whitespace() {
            at += 1;
            continue;
        }
        let (word, length) = match first {
            '\'' | '"' | '`' => quoted(&characters[at..], position)?,
            _ if is_number(&characters[at..]) => number(&characters[at..], position)?,
            _ if is_of_name(first) => {
                let name: String = characters[at..].iter().take_while(|&&c| is_of_name(c)).collect();
                let length = name.chars().count();
                (Word::Name { name, quoted: false }, length)
            }
            _ => sign(&characters[at..], position)?,
        };
        found.push(Token { word, position });
        at += length;
    }
    Ok(found)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// Whether a number begins here: names do not begin with a digit.
fn is_number(rest: &[char]) -> bool {
    let unsigned = rest.strip_prefix(&['-']).or(rest.strip_prefix(&['+'])).unwrap_or(rest);
    let point = unsigned.strip_prefix(&['.']).unwrap_or(unsigned);
    point.first().is_some_and(char::is_ascii_digit)
}

fn number(rest: &[char], position: usize) -> Result<(Word, usize), FilterError> {
    let mut length = 1;
    while let Some(&c) = rest.get(length) {
        let exponent = matches!(rest[length - 1], 'e' | 'E') && matches!(c, '-' | '+');
        if !(is_of_name(c) || exponent) {
            break;
        }
        length += 1;
    }
    let text: String = rest[..length].iter().collect();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Word::Number(number), length)),
        _ => Err(FilterError::new(
            Some(position),
            format!("`{text}` is no number"),
            "write a number as 50 or 49.95, a text between quotes, and a name that begins with a digit between backticks",
        )),
    }
}

/// What stands between quotes, which stand for one of them where they are doubled.
fn quoted(rest: &[char], position: usize) -> Result<(Word, usize), FilterError> {
    let quote = rest[0];
    let (mut text, mut at) = (String::new(), 1);
    loop {
        match (rest.get(at), rest.get(at + 1)) {
            (Some(&c), Some(&next)) if c == quote && next == quote => {
                text.push(quote);
                at += 2;
            }
            (Some(&c), _) if c == quote => break,
            (Some(&c), _) => {
                text.push(c);
                at += 1;
            }
            (None, _) => {
                return Err(FilterError::new(
                    Some(position),
                    format!("the quote {quote} is not closed"),
                    "close it; a quote inside a text is written twice",
                ));
            }
        }
    }
    let word = if quote == '`' { Word::Name { name: text, quoted: true } } else { Word::Text(text) };
    Ok((word, at + 1))
}

fn sign(rest: &[char], position: usize) -> Result<(Word, usize), FilterError> {
    let starts = |sign: &&&str| sign.chars().zip(rest).filter(|(a, b)| a == *b).count() == sign.len();
    match SIGNS.iter().find(starts) {
        Some(sign) => Ok((Word::Sign(sign), sign.len())),
        None => Err(FilterError::new(
            Some(position),
            format!("`{}` means nothing here", rest[0]),
            "join comparisons as price < 50 with and, or, not and parentheses; names of other characters stand between backticks",
        )),
    }
}
