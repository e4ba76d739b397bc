//! Text that does nothing to the terminal it is printed on.

use std::borrow::Cow;

/// Whether a character could move the cursor, colour the terminal, hide text or turn its order round.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with control characters written as `\n` or `\u{1b}`: for ids, which can hold anything.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, &[])
}

/// The same but for the ends of lines: for messages.
pub(crate) fn escaped_lines(text: &str) -> Cow<'_, str> {
    escaped_but(text, &['\n'])
}

fn escaped_but<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let escape = |c: char| is_control(c) && !kept.contains(&c);
    if !text.contains(escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match escape(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(escaped("a\u{1b}[31mb\u{7}\0\u{9b}\u{202e}c"), "a\\u{1b}[31mb\\u{7}\\u{0}\\u{9b}\\u{202e}c");
        assert_eq!(escaped("line\nbreak\r\t"), "line\\nbreak\\r\\t");
        assert_eq!(escaped_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
        assert_eq!(escaped("caf\u{e9} \u{1f600} a b"), "caf\u{e9} \u{1f600} a b");
    }
}
