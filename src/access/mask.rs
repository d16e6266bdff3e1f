//! What is not shown without need: buyers' names, addresses and letters. Pure.

use serde_json::Value;

use crate::domain::personal::{MEMBERS, OPTIONS, PEOPLE};

/// What stands in place of a value.
pub const MASK: &str = "•••";

/// A canonical document without what tells who the buyer is; whether anything was left out.
pub fn document(document: &mut Value) -> bool {
    let mut masked = false;
    for line in elements(document.get_mut("lines")) {
        masked |= options(line.get_mut("options")) | fields(line.get_mut("fields"));
        masked |= options(line.pointer_mut("/bundle/options"));
    }
    for settlement in elements(document.get_mut("settlements")) {
        masked |= settlement.get_mut("reference").is_some_and(code);
    }
    let Some(members) = document.as_object_mut() else { return false };
    for (name, value) in members {
        if PEOPLE.contains(&name.as_str()) {
            masked |= person(value);
        } else if name == "note" && value.is_string() {
            *value = MASK.into();
            masked = true;
        } else if name == "order" || name == "ship_to" {
            masked |= self::document(value) | person(value);
        }
    }
    masked
}

fn person(value: &mut Value) -> bool {
    let Some(members) = value.as_object_mut() else { return false };
    let mut masked = false;
    for (name, value) in members {
        if MEMBERS.contains(&name.as_str()) && !value.is_null() {
            // Of its kind: a reader that expects lines of a street gets one.
            *value = if value.is_array() { Value::from(vec![MASK]) } else { MASK.into() };
            masked = true;
        }
    }
    masked
}

/// What would come of a replay, wherever it stands in an answer: documents, and what differs between them.
pub fn preview(answer: &mut Value) {
    match answer {
        Value::Array(elements) => elements.iter_mut().for_each(preview),
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "document" => drop(document(value)),
                    "changes" => value.as_array_mut().into_iter().flatten().for_each(change),
                    _ => preview(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether what stands at such a place of a document may tell who somebody is, as a JSON pointer.
pub fn is_personal(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.clone().any(|part| MEMBERS.contains(&part) || part == "note")
        && parts.any(|part| PEOPLE.contains(&part) || part == "order")
        || path.contains("/options/")
        || path.contains("/settlements/")
}

fn change(change: &mut Value) {
    if change["path"].as_str().is_some_and(is_personal) {
        for side in ["before", "after"] {
            change.get_mut(side).map(side_of_change);
        }
    }
}

/// One side of what differs at a place that is personal.
pub fn side_of_change(said: &mut Value) {
    if !said.is_null() {
        *said = MASK.into();
    }
}

/// Options of a line: those of gift cards, and whatever holds an e-mail address.
fn options(options: Option<&mut Value>) -> bool {
    let mut masked = false;
    for option in elements(options) {
        let personal = option["id"].as_str().is_some_and(|id| id.starts_with(OPTIONS));
        for member in ["value", "raw"] {
            let Some(said) = option.get_mut(member).filter(|said| !said.is_null()) else { continue };
            if personal || said.as_str().is_some_and(|said| text(said) != said) {
                *said = MASK.into();
                masked = true;
            }
        }
    }
    masked
}

fn elements(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

fn fields(fields: Option<&mut Value>) -> bool {
    let mut masked = false;
    for value in fields.and_then(Value::as_object_mut).into_iter().flat_map(serde_json::Map::values_mut) {
        if value.as_str().is_some_and(|said| text(said) != said) {
            *value = MASK.into();
            masked = true;
        }
    }
    masked
}

/// A code that can be spent: its last four letters tell it from another.
fn code(code: &mut Value) -> bool {
    let Some(said) = code.as_str() else { return false };
    let last: String = said.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    *code = format!("{MASK}{last}").into();
    true
}

/// A text of another system's, without e-mail addresses.
pub fn text(text: &str) -> String {
    let is_part =
        |char: char| char.is_alphanumeric() || matches!(char, '.' | '_' | '-' | '+' | '%' | '@' | '\'' | '\\');
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let close = |word: &mut String, out: &mut String| {
        // As JSON and addresses spell it too.
        let parts = ["@", "%40", "\\u0040"].iter().find_map(|at| word.split_once(at));
        let mailed = parts.is_some_and(|(name, host)| {
            !name.is_empty()
                && host.chars().next().is_some_and(char::is_alphanumeric)
                && host.chars().any(char::is_alphabetic)
        });
        out.push_str(if mailed { MASK } else { word });
        word.clear();
    };
    for char in text.chars() {
        if is_part(char) {
            word.push(char);
        } else {
            close(&mut word, &mut out);
            out.push(char);
        }
    }
    close(&mut word, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_the_buyer_is_stays_hidden_and_what_was_bought_does_not() {
        let mut order = json!({
            "order": {
                "increment_id": "1", "note": "ring twice",
                "customer": { "email": "a@b.example", "first_name": "Anna", "group_id": 1, "vat_id": null },
                "shipping_address": { "street": ["1 High St"], "city": "York", "postcode": "YO1", "country": "GB" },
                "billing_address": null
            },
            "lines": [{ "sku": "A", "name": "Mug", "options": [{ "title": "Name", "value": "Anna" }] }]
        });
        assert!(document(&mut order));
        assert_eq!(
            order["order"]["customer"],
            json!({ "email": MASK, "first_name": MASK, "group_id": 1, "vat_id": null })
        );
        assert_eq!(order["order"]["shipping_address"]["street"], json!([MASK]));
        assert_eq!(order["order"]["shipping_address"]["city"], "York");
        assert_eq!((&order["order"]["note"], &order["lines"][0]["name"]), (&json!(MASK), &json!("Mug")));
        assert!(!document(&mut json!({ "lines": [] })) && !document(&mut json!("text")));
    }

    #[test]
    fn letters_are_hidden_in_other_peoples_words() {
        assert_eq!(text("no customer \"anna+x@shop.example.com\", sorry"), "no customer \"•••\", sorry");
        assert_eq!(text("@home 3@ x 5 @ 3"), "@home 3@ x 5 @ 3");
        for spelt in ["anna%40shop.example", "anna\\u0040shop.example", "anna@localhost", "o'connor@shop.example"] {
            assert_eq!(text(&format!("no {spelt}!")), "no •••!");
        }
        assert_eq!(text(""), "");
    }

    #[test]
    fn a_gift_cards_people_its_letter_and_a_code_that_can_be_spent_stay_hidden() {
        let mut order = json!({
            "lines": [{ "options": [
                { "id": "giftcard_recipient_name", "value": "Noor", "raw": "Noor" },
                { "id": "5", "value": "To Anna", "raw": "To Anna" },
                { "id": "6", "value": "write to a@b.example", "raw": null }
            ], "bundle": { "options": [{ "id": "giftcard_message", "value": "Happy", "raw": "Happy" }] } }],
            "settlements": [{ "kind": "gift_card", "reference": "FERN-7Q2K-M9TX" }]
        });
        assert!(document(&mut order));
        let options = &order["lines"][0]["options"];
        assert_eq!((&options[0]["value"], &options[0]["raw"]), (&json!(MASK), &json!(MASK)));
        assert_eq!((&options[1]["value"], &options[2]["value"]), (&json!("To Anna"), &json!(MASK)));
        assert_eq!(order["lines"][0]["bundle"]["options"][0]["value"], MASK);
        assert_eq!(order["settlements"][0]["reference"], format!("{MASK}M9TX"));
    }

    #[test]
    fn a_preview_shows_what_changes_and_not_whose_it_is() {
        let mut answer = json!({ "items": [{ "documents": [{
            "document": { "order": { "customer": { "email": "a@b.example" } } },
            "changes": [
                { "path": "/order/customer/first_name", "before": "Ann", "after": "Anna" },
                { "path": "/lines/0/sku", "before": "A", "after": "B" }
            ]
        }] }] });
        preview(&mut answer);
        let shown = &answer["items"][0]["documents"][0];
        assert_eq!(shown["document"]["order"]["customer"]["email"], MASK);
        assert_eq!((&shown["changes"][0]["after"], &shown["changes"][1]["after"]), (&json!(MASK), &json!("B")));
    }
}
