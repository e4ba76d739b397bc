//! Ids as strings in JSON, for readers whose numbers are floats.

use serde_json::Value;

/// The keys whose values are ids.
const KEYS: [&str; 10] =
    ["id", "user", "item", "unknown_items", "forgotten", "unknown", "changed", "unchanged", "removed", "absent"];

/// The keys whose lists are of ids; a number under them is a count.
const LISTS: [&str; 3] = ["users", "items", "kept"];

/// Makes every id that is a number a string: the value of one of the keys itself, or each of a list.
pub(super) fn make_ids_strings(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(make_ids_strings),
        Value::Object(object) => {
            for (key, value) in object {
                let (is_id, is_list) = (KEYS.contains(&key.as_str()), LISTS.contains(&key.as_str()));
                if let Value::Array(ids) = value {
                    ids.iter_mut().filter(|_| is_id || is_list).for_each(id);
                } else if is_id {
                    id(value);
                }
                make_ids_strings(value);
            }
        }
        _ => {}
    }
}

fn id(value: &mut Value) {
    if value.is_u64() {
        *value = Value::String(value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_numbers_become_strings() {
        let same = |json: &str, expected: &str| {
            let mut value = serde_json::from_str(json).unwrap();
            make_ids_strings(&mut value);
            assert_eq!(value, serde_json::from_str::<Value>(expected).unwrap());
        };
        let json = r#"{"hits":[{"id":18446744073709551615,"score":0.1},{"id":"a\"id\":5","score":1}],"user":7,"items":9,"unknown_items":[1,22],"x":"id","item":{"id":3}}"#;
        let expected = r#"{"hits":[{"id":"18446744073709551615","score":0.1},{"id":"a\"id\":5","score":1}],"user":"7","items":9,"unknown_items":["1","22"],"x":"id","item":{"id":"3"}}"#;
        same(json, expected);
        same(
            r#"{"users":[1,22],"items":[{"item":3}],"x":{"users":4}}"#,
            r#"{"users":["1","22"],"items":[{"item":"3"}],"x":{"users":4}}"#,
        );
        same(r#"{"unknown_items":[],"id":null}"#, r#"{"unknown_items":[],"id":null}"#);
    }
}
