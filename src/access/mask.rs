//! What is not shown without need: buyers' names, addresses and letters. Pure.

use serde_json::Value;

/// What stands in place of a value.
pub const MASK: &str = "•••";

/// Members of a person or an address that tell who somebody is.
const PERSONAL: [&str; 12] = [
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
const PEOPLE: [&str; 4] = ["customer", "billing_address", "shipping_address", "recipient"];

/// A canonical document without what tells who the buyer is; whether anything was left out.
pub fn document(document: &mut Value) -> bool {
    let mut masked = false;
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
        if PERSONAL.contains(&name.as_str()) && !value.is_null() {
            // Of its kind: a reader that expects lines of a street gets one.
            *value = if value.is_array() { Value::from(vec![MASK]) } else { MASK.into() };
            masked = true;
        }
    }
    masked
}

/// A text of another system's, without e-mail addresses.
pub fn text(text: &str) -> String {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '.' | '_' | '-' | '+' | '%' | '@');
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let close = |word: &mut String, out: &mut String| {
        let mailed = word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
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
        assert_eq!(text("@home a@b 3@ x"), "@home a@b 3@ x");
        assert_eq!(text(""), "");
    }
}
