//! What in a document tells who somebody is, and how a text that is about something else is kept free of it.

use std::fmt::Write as _;

use serde_json::Value;

/// Members of a person or an address that tell who somebody is.
pub const MEMBERS: [&str; 12] = [
    "email",
    "first_name",
    "last_name",
    "middle_name",
    "prefix",
    "suffix",
    "company",
    "street",
    "postcode",
    "telephone",
    "vat_id",
    "fax",
];
/// Members that hold a person or an address.
pub const PEOPLE: [&str; 4] = ["customer", "billing_address", "shipping_address", "recipient"];
/// Custom options that name people or carry a letter: of gift cards.
pub const OPTIONS: &str = "giftcard_";

/// Shorter ones are everywhere.
const CHARS_MIN: usize = 3;

/// What a document says of its people.
#[derive(Debug, Default)]
pub struct People {
    /// What is said, and of what kind it is; the longest first, since one may hold another.
    said: Vec<(String, &'static str)>,
}

impl People {
    /// Those of a canonical document.
    pub fn of(document: &Value) -> People {
        let mut said = Vec::new();
        everyone(document, &mut said);
        said.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        said.dedup_by(|(one, _), (other, _)| one == other);
        People { said }
    }

    /// The text with the kind in place of what is said: `[last_name] is not known`. What stands inside a longer word is no
    /// name, and stays.
    pub fn kept_out_of(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (said, kind) in &self.said {
            text = without(&text, said, kind);
        }
        text
    }
}

fn everyone(document: &Value, said: &mut Vec<(String, &'static str)>) {
    let Some(members) = document.as_object() else { return };
    for (name, value) in members {
        match name.as_str() {
            name if PEOPLE.contains(&name) => person(value, said),
            "order" => everyone(value, said),
            "ship_to" => {
                everyone(value, said);
                person(value, said);
            }
            "note" => add(value, "note", said),
            "lines" => value.as_array().into_iter().flatten().for_each(|line| letters(line, said)),
            "settlements" => {
                value.as_array().into_iter().flatten().for_each(|one| add(&one["reference"], "reference", said));
            }
            _ => {}
        }
    }
}

fn person(value: &Value, said: &mut Vec<(String, &'static str)>) {
    for kind in MEMBERS {
        match &value[kind] {
            Value::Array(lines) => lines.iter().for_each(|line| add(line, kind, said)),
            value => add(value, kind, said),
        }
    }
}

/// Of gift cards.
fn letters(line: &Value, said: &mut Vec<(String, &'static str)>) {
    let own = line["options"].as_array().into_iter().flatten();
    for option in own.chain(line["bundle"]["options"].as_array().into_iter().flatten()) {
        if option["id"].as_str().is_some_and(|id| id.starts_with(OPTIONS)) {
            add(&option["value"], "option", said);
        }
    }
}

/// As it is written, in capitals, and as JSON and addresses write it.
fn add(value: &Value, kind: &'static str, said: &mut Vec<(String, &'static str)>) {
    let Some(text) = value.as_str().map(str::trim).filter(|text| text.chars().count() >= CHARS_MIN) else { return };
    said.push((text.to_owned(), kind));
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii() { escaped.push(char) } else { unicode(char, &mut escaped) }
    }
    for spelling in [text.to_uppercase(), text.to_lowercase(), escaped, text.replace('@', "%40")] {
        if spelling != text {
            said.push((spelling, kind));
        }
    }
}

/// As JSON may write it: `ë` as `\u00eb`.
fn unicode(char: char, out: &mut String) {
    let mut units = [0; 2];
    for unit in char.encode_utf16(&mut units) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

fn without(text: &str, said: &str, kind: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(said) {
        let (before, from) = rest.split_at(at);
        let after = &from[said.len()..];
        let inside = before.chars().next_back().or(out.chars().next_back().filter(|_| before.is_empty()));
        let is_part = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
        out.push_str(before);
        if is_part(inside) || is_part(after.chars().next()) {
            // On by one character: another may begin inside this one.
            let width = from.chars().next().map_or(0, char::len_utf8);
            out.push_str(&from[..width]);
            rest = &from[width..];
        } else {
            out.push('[');
            out.push_str(kind);
            out.push(']');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_document_says_of_its_people_is_kept_out_of_what_others_say() {
        let people = People::of(&json!({
            "order": {
                "increment_id": "000000042", "note": "ring twice at Zoë's",
                "customer": { "email": "anna.weber@example.com", "first_name": "Anna", "last_name": "Weber", "group_id": 1 },
                "billing_address": { "street": ["1 High Street", "Flat 2"], "telephone": "01632 960101", "city": "York" },
                "shipping_address": { "first_name": "Zoë", "last_name": "Li", "company": "Weber & Sons" },
            },
            "lines": [{ "name": "Mug", "options": [{ "id": "giftcard_message", "value": "All my love" }, { "id": "5", "value": "To Anna" }] }],
            "settlements": [{ "reference": "GC-0042-XYZ" }],
        }));
        for (said, kept) in [
            ("customer Anna Weber is unknown", "customer [first_name] [last_name] is unknown"),
            ("ANNA.WEBER@EXAMPLE.COM or anna.weber%40example.com", "[email] or [email]"),
            (r#"{"name":"Zo\u00eb","tel":"01632 960101"}"#, r#"{"name":"[first_name]","tel":"[telephone]"}"#),
            ("1 High Street, York: Weber & Sons", "[street], York: [company]"),
            ("Annabel and Webern, Susanna, Annan", "Annabel and Webern, Susanna, Annan"),
            ("AnnaAnna Anna", "AnnaAnna [first_name]"),
            ("card GC-0042-XYZ: All my love", "card [reference]: [option]"),
            ("order 000000042 has 1 Mug", "order 000000042 has 1 Mug"),
            ("Li is too short to be told from a word", "Li is too short to be told from a word"),
            ("", ""),
        ] {
            assert_eq!(people.kept_out_of(said), kept);
        }
        assert_eq!(People::of(&json!([1, "x"])).kept_out_of("Anna"), "Anna");
    }
}
