//! What differs between two JSON documents. Pure.

use serde::Serialize;
use serde_json::Value;

/// One differing value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// JSON pointer.
    pub path: String,
    /// `null` when it was not there.
    pub before: Value,
    /// `null` when it is gone.
    pub after: Value,
}

/// Every leaf that differs, in the order of the documents. Arrays are compared by position: lines have numbers.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    found
}

fn compare(path: String, before: &Value, after: &Value, found: &mut Vec<Change>) {
    match (before, after) {
        (Value::Object(left), Value::Object(right)) => {
            let gone = left.keys().filter(|name| !right.contains_key(*name));
            for name in right.keys().chain(gone) {
                let null = &Value::Null;
                let (left, right) = (left.get(name).unwrap_or(null), right.get(name).unwrap_or(null));
                compare(below(&path, name), left, right, found);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for index in 0..left.len().max(right.len()) {
                let (left, right) = (left.get(index), right.get(index));
                let null = &Value::Null;
                compare(below(&path, &index.to_string()), left.unwrap_or(null), right.unwrap_or(null), found);
            }
        }
        _ if before == after => {}
        _ => found.push(Change { path, before: before.clone(), after: after.clone() }),
    }
}

fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_that_differ_are_named_and_nothing_else() {
        let before = json!({ "lines": [{ "sku": "A", "net": "1.00" }], "note": null, "old": 1 });
        let after = json!({ "lines": [{ "sku": "B", "net": "1.00" }, { "sku": "C" }], "note": null, "a/b": true });
        let found: Vec<_> = changes(&before, &after).into_iter().map(|change| change.path).collect();
        assert_eq!(found, ["/a~1b", "/lines/0/sku", "/lines/1", "/old"]);
        assert!(changes(&after, &after).is_empty());
    }
}
