//! Ids as strings in JSON, for readers whose numbers are floats.

/// The keys whose values are ids.
const KEYS: [&str; 10] =
    ["id", "user", "item", "unknown_items", "forgotten", "unknown", "changed", "unchanged", "removed", "absent"];

/// JSON with every id that is a number made a string: the number itself, or each of a list. Everything else is kept character by character.
pub(super) fn with_ids_as_strings(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, text) = rest.split_at(start);
        out.push_str(before);
        let end = end_of_string(text);
        let (string, after) = text.split_at(end);
        out.push_str(string);
        rest = after;
        if !KEYS.contains(&string.trim_matches('"')) || !rest.starts_with(':') {
            continue;
        }
        out.push(':');
        rest = rest.get(1..).unwrap_or_default();
        let list = rest.starts_with('[');
        if list {
            out.push('[');
            rest = rest.get(1..).unwrap_or_default();
        }
        loop {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                break;
            }
            let (number, after) = rest.split_at(digits);
            out.push('"');
            out.push_str(number);
            out.push('"');
            rest = after;
            match rest.strip_prefix(',').filter(|_| list) {
                Some(after) => {
                    out.push(',');
                    rest = after;
                }
                None => break,
            }
        }
    }
    out + rest
}

/// Where a string that begins with its quote ends, its closing quote included.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_numbers_become_strings() {
        let json = r#"{"hits":[{"id":18446744073709551615,"score":0.1},{"id":"a\"id\":5","score":1}],"user":7,"items":9,"unknown_items":[1,22],"x":"id"}"#;
        let expected = r#"{"hits":[{"id":"18446744073709551615","score":0.1},{"id":"a\"id\":5","score":1}],"user":"7","items":9,"unknown_items":["1","22"],"x":"id"}"#;
        assert_eq!(with_ids_as_strings(json), expected);
        assert_eq!(with_ids_as_strings(r#"{"unknown_items":[],"id":null}"#), r#"{"unknown_items":[],"id":null}"#);
    }
}
