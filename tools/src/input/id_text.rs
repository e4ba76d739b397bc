//! How an id is written in text: in files of interactions, in lists, and on the command line.

use std::borrow::Cow;

/// The id that a piece of text stands for: blanks around it are none of it, unless they stand in double quotes, which are none of it either; a
/// quote inside quotes is written twice. One rule everywhere, that of a csv cell.
pub fn plain(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.replace("\"\"", "").contains('"') => Cow::Owned(inner.replace("\"\"", "\"")),
        _ => Cow::Borrowed(text),
    }
}

/// A way to write an id that [`plain`], and a csv reader, take for it.
pub(crate) fn quoted(id: &str) -> Cow<'_, str> {
    // A byte order mark at the beginning of a file is none of it.
    let plain_cell =
        plain(id) == id && !id.is_empty() && !id.starts_with('\u{feff}') && !id.contains([',', '"', '\r', '\n']);
    if plain_cell { Cow::Borrowed(id) } else { Cow::Owned(format!("\"{}\"", id.replace('"', "\"\""))) }
}

/// The ids of a list with commas between; a comma in quotes is one of an id.
pub(crate) fn listed(list: &str) -> Vec<String> {
    let (mut ids, mut start, mut within) = (Vec::new(), 0, false);
    for (at, c) in list.char_indices() {
        match c {
            '"' => within = !within,
            ',' if !within => {
                ids.push(list.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    ids.push(list.get(start..).unwrap_or_default());
    ids.into_iter().map(|id| plain(id).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_around_are_cut_unless_quoted() {
        for (text, id) in [
            (" i4 ", "i4"),
            ("i4\t", "i4"),
            ("\" i4 \"", " i4 "),
            (" \"salt, fine\" ", "salt, fine"),
            ("\"say \"\"hi\"\"\"", "say \"hi\""),
            ("5\"", "5\""),
            ("\"a\" or \"b\"", "\"a\" or \"b\""),
            ("\"", "\""),
            ("\"\"", ""),
        ] {
            assert_eq!(plain(text), id, "{text:?}");
        }
        assert_eq!(listed("a, b ,\"salt, fine\""), ["a", "b", "salt, fine"]);
        assert_eq!(listed("a,,b"), ["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(ids in proptest::collection::vec("[a\", \t\n\u{a0}\u{e9}]{1,6}", 1..5)) {
            let texts: Vec<String> = ids.iter().map(|id| quoted(id).into_owned()).collect();
            for (text, id) in texts.iter().zip(&ids) {
                prop_assert_eq!(&plain(text), id);
            }
            prop_assert_eq!(listed(&texts.join(",")), ids);
        }
    }
}
