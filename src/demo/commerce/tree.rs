//! JSON as Commerce holds it: owned, digits untouched, written the way PHP writes it, cut down by `fields`.

use std::fmt::Write as _;

use crate::json::{self, Json, Limits};

/// One JSON value whose numbers are their own digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// The number's token.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Tree>),
    /// An object, members in their order.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// A sentence that says where it is not JSON.
    pub fn parse(text: &[u8]) -> Result<Tree, String> {
        json::parse(text, &Limits::default()).map(|json| Tree::of(&json)).map_err(|error| error.to_string())
    }

    fn of(json: &Json<'_>) -> Tree {
        match json {
            Json::Null => Tree::Null,
            Json::Bool(value) => Tree::Bool(*value),
            Json::Number(token) => Tree::Number((*token).to_owned()),
            Json::String(text) => Tree::Text(text.clone().into_owned()),
            Json::Array(items) => Tree::List(items.iter().map(Tree::of).collect()),
            Json::Object(members) => {
                Tree::Object(members.iter().map(|(name, value)| (name.clone().into_owned(), Tree::of(value))).collect())
            }
        }
    }

    /// A string.
    pub fn text(text: impl Into<String>) -> Tree {
        Tree::Text(text.into())
    }

    /// A whole number.
    pub fn number(number: impl std::fmt::Display) -> Tree {
        Tree::Number(number.to_string())
    }

    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Tree); N]) -> Tree {
        Tree::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Replaces or adds a member; nothing happens to what is no object.
    pub fn set(&mut self, name: &str, value: Tree) {
        if let Tree::Object(members) = self {
            match members.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value,
                None => members.push((name.to_owned(), value)),
            }
        }
    }

    /// Strings and numbers as text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) | Tree::Number(text) => Some(text),
            _ => None,
        }
    }

    /// Takes over the members of `change`, replacing those of the same name.
    pub fn merge(&mut self, change: &Tree) {
        if let Tree::Object(members) = change {
            for (name, value) in members {
                self.set(name, value.clone());
            }
        }
    }

    /// As PHP writes it: `\/`, `\uXXXX` for all above ASCII, no white space.
    pub fn php(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Tree::Null => out.push_str("null"),
            Tree::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Tree::Number(token) => out.push_str(token),
            Tree::Text(text) => quote(text, out),
            Tree::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            // PHP knows no empty object: an array without members is a list.
            Tree::Object(members) if members.is_empty() => out.push_str("[]"),
            Tree::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('/') => out.push_str("\\/"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(plain) if plain.is_ascii() && !plain.is_ascii_control() => out.push(plain),
            _ => write!(out, "\\u{unit:04x}").expect("writing to a string never fails"),
        }
    }
    out.push('"');
}

/// What `fields` asks for: names, each with what is wanted of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Option<Fields>)>);

impl Fields {
    /// Reads `a,b[c,d[e]]`; what is malformed asks for nothing.
    pub(super) fn parse(text: &str) -> Fields {
        let mut rest = text;
        match Fields::list(&mut rest) {
            Some(fields) if rest.is_empty() => fields,
            _ => Fields(Vec::new()),
        }
    }

    fn list(rest: &mut &str) -> Option<Fields> {
        let mut names = Vec::new();
        loop {
            let end = rest.find([',', '[', ']']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            *rest = after;
            let mut inner = None;
            if let Some(after) = rest.strip_prefix('[') {
                *rest = after;
                inner = Some(Fields::list(rest)?);
                *rest = rest.strip_prefix(']')?;
            }
            names.push((name.trim().to_owned(), inner));
            match rest.strip_prefix(',') {
                Some(after) => *rest = after,
                None => return Some(Fields(names)),
            }
        }
    }

    /// What of `tree` was asked for, in the order it has there.
    pub(super) fn cut(&self, tree: &Tree) -> Tree {
        match tree {
            Tree::List(items) => Tree::List(items.iter().map(|item| self.cut(item)).collect()),
            Tree::Object(members) => Tree::Object(
                members.iter().filter_map(|(name, value)| Some((name.clone(), self.member(name, value)?))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn member(&self, name: &str, value: &Tree) -> Option<Tree> {
        let (_, inner) = self.0.iter().find(|(known, _)| known == name)?;
        let Some(inner) = inner else { return Some(value.clone()) };
        Some(match value {
            // An empty list of which parts were asked comes back as null.
            Tree::List(items) if items.is_empty() => Tree::Null,
            Tree::List(items) if name == "custom_attributes" => inner.attributes(items),
            other => inner.cut(other),
        })
    }

    /// Attributes are chosen by their code and keep their place in the list as a name.
    fn attributes(&self, items: &[Tree]) -> Tree {
        let chosen = items.iter().enumerate().filter(|(_, item)| {
            let code = item.get("attribute_code").and_then(Tree::as_text);
            self.0.iter().any(|(known, _)| Some(known.as_str()) == code)
        });
        Tree::Object(chosen.map(|(at, item)| (at.to_string(), item.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_php_writes_it_with_every_digit_kept() {
        let tree = Tree::parse("{\"a\":\"x/ü😀\\n\",\"n\":15.0700,\"e\":{},\"l\":[null,true]}".as_bytes()).unwrap();
        assert_eq!(tree.php(), r#"{"a":"x\/\u00fc\ud83d\ude00\n","n":15.0700,"e":[],"l":[null,true]}"#);
    }

    #[test]
    fn fields_cut_an_entity_down_and_malformed_ones_leave_nothing() {
        let tree = Tree::parse(br#"{"a":1,"items":[{"b":2,"c":3}],"none":[]}"#).unwrap();
        let cut = |fields: &str| Fields::parse(fields).cut(&tree).php();
        assert_eq!(cut("items[b],a"), r#"{"a":1,"items":[{"b":2}]}"#);
        assert_eq!(cut("none[x]"), r#"{"none":null}"#);
        assert_eq!(cut("none"), r#"{"none":[]}"#);
        assert_eq!(cut("items["), "[]");
        assert_eq!(cut("nope"), "[]");
    }
}
