//! What is taken from an answer and kept for the steps that follow.

use ::http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use super::said::{FromSaid, TakeSaid};
use crate::json::Json;

/// Variables of one delivery, by name. Numbers that are not whole are texts of their digits, so that nothing is lost.
pub type Found = Map<String, Value>;

/// A variable and where it comes from, checked.
#[derive(Clone, Debug)]
pub(super) struct Take {
    pub(super) name: String,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    Body { at: String, cut: Cut },
    Header { name: HeaderName, cut: Cut },
    Entries { list: String, key: Option<String>, value: String },
}

#[derive(Clone, Debug, Default)]
struct Cut {
    after: Option<String>,
    before: Option<String>,
}

impl Cut {
    /// `None`: what it is cut behind is not there.
    fn of<'t>(&self, text: &'t str) -> Option<&'t str> {
        let text = match self.after.as_deref() {
            Some(mark) => text.rsplit_once(mark)?.1,
            None => text,
        };
        Some(match self.before.as_deref() {
            Some(mark) => text.split_once(mark).map_or(text, |(start, _)| start),
            None => text,
        })
    }
}

impl Take {
    /// Checks where a variable comes from.
    pub(super) fn new(name: &str, said: TakeSaid) -> Result<Take, String> {
        let said = match said {
            TakeSaid::At(at) => FromSaid { at: Some(at), ..FromSaid::default() },
            TakeSaid::From(from) => from,
        };
        for pointer in [&said.at, &said.list, &said.key, &said.value].into_iter().flatten() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(format!("\"{pointer}\" is not a JSON pointer: it starts with a slash"));
            }
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("\"{name}\" is no name for a variable: letters, digits and _"));
        }
        let cut = Cut { after: said.after, before: said.before };
        let from = match (said.at, said.header, said.list, said.value) {
            (Some(at), None, None, None) if said.key.is_none() => From::Body { at, cut },
            (None, Some(header), None, None) if said.key.is_none() => {
                let header = HeaderName::from_bytes(header.to_ascii_lowercase().as_bytes());
                From::Header { name: header.map_err(|_| format!("{name}: that is not a header name"))?, cut }
            }
            (None, None, Some(list), Some(value)) => From::Entries { list, key: said.key, value },
            _ => return Err("takes one of: at; header; list with value (and key)".to_owned()),
        };
        Ok(Take { name: name.to_owned(), from })
    }

    /// Whether it is a map.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.from, From::Entries { key: Some(_), .. })
    }

    /// The variable, if the answer has it.
    pub(super) fn from(&self, headers: &HeaderMap, body: Option<&Json<'_>>) -> Option<Value> {
        let value = match &self.from {
            From::Body { at, cut } => match body?.pointer(at)? {
                text if cut.after.is_none() && cut.before.is_none() => plain(text),
                text => Value::from(cut.of(text.as_text()?)?),
            },
            From::Header { name, cut } => Value::from(cut.of(headers.get(name)?.to_str().ok()?)?),
            From::Entries { list, key, value } => entries(body?.pointer(list)?, key.as_deref(), value)?,
        };
        (!value.is_null()).then_some(value)
    }
}

fn entries(list: &Json<'_>, key: Option<&str>, value: &str) -> Option<Value> {
    let items = list.elements()?;
    let Some(key) = key else {
        return Some(items.into_iter().filter_map(|item| item.pointer(value)).map(plain).collect());
    };
    let named = items.into_iter().filter_map(|item| {
        let (name, value) = (item.pointer(key)?.as_text()?.to_owned(), plain(item.pointer(value)?));
        (!value.is_null()).then_some((name, value))
    });
    // The first of several with one name stays: which of them is meant nobody can say, and it must not change by order.
    let mut map = Map::new();
    for (name, value) in named {
        map.entry(name).or_insert(value);
    }
    Some(Value::Object(map))
}

/// As a value for templates. Digits that are not a whole number stay text.
pub(super) fn plain(json: &Json<'_>) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::from(*is),
        Json::Number(digits) => digits.parse::<i64>().map_or_else(|_| Value::from(*digits), Value::from),
        Json::String(text) => Value::from(text.as_ref()),
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.to_string(), plain(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    fn taken(said: &str, body: &str) -> Option<Value> {
        #[derive(serde::Deserialize)]
        struct Step {
            x: TakeSaid,
        }
        let step: Step = toml::from_str(said).unwrap();
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("location"),
            "https://erp/orders/SO-7?x=1".parse().unwrap(),
        )]);
        Take::new("x", step.x).unwrap().from(&headers, parse(body.as_bytes(), &Limits::default()).ok().as_ref())
    }

    #[test]
    fn what_stands_in_an_answer_is_taken_with_its_digits() {
        let body = r#"{"id": 12, "total": 33.10, "none": null, "rows": [{"code":"A","id":1},{"code":"B","id":2},{"code":"A","id":3}]}"#;
        for (said, wanted) in [
            ("x = \"/id\"", Some(Value::from(12))),
            ("x = \"/total\"", Some(Value::from("33.10"))),
            ("x = \"/none\"", None),
            ("x = \"/missing\"", None),
            ("x = { header = \"Location\", after = \"/\", before = \"?\" }", Some(Value::from("SO-7"))),
            ("x = { header = \"Location\", after = \"/job/\" }", None),
            ("x = { list = \"/rows\", key = \"/code\", value = \"/id\" }", Some(serde_json::json!({"A": 1, "B": 2}))),
            ("x = { list = \"/rows\", value = \"/id\" }", Some(serde_json::json!([1, 2, 3]))),
        ] {
            assert_eq!(taken(said, body), wanted, "{said}");
        }
        assert_eq!(taken("x = \"/id\"", "<html>"), None);
    }

    #[test]
    fn where_a_variable_comes_from_is_checked() {
        for (name, from) in [
            ("x", FromSaid { at: Some("id".into()), ..FromSaid::default() }),
            ("a b", FromSaid { at: Some("/id".into()), ..FromSaid::default() }),
            ("x", FromSaid::default()),
            ("x", FromSaid { list: Some("/a".into()), ..FromSaid::default() }),
            ("x", FromSaid { at: Some("/a".into()), header: Some("b".into()), ..FromSaid::default() }),
        ] {
            assert!(Take::new(name, TakeSaid::From(from)).is_err());
        }
    }
}
