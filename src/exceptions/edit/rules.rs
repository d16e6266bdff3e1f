//! Which places of a document a person may edit, and what may stand there. Pure.

use serde_json::Value;

use super::{Content, Problem, masked, unmasked};
use crate::access::mask;
use crate::domain::policy::EditPolicy;
use crate::exceptions::diff::{self, Change};

/// Longest text at one place, in characters: the longest note Commerce takes is shorter.
pub const TEXT_MAX: usize = 10_000;

/// Most places of one edit.
pub const PLACES_MAX: usize = 500;

/// Problems that one answer tells.
const TOLD_MAX: usize = 50;

/// Places that hold words and no figure; `*` is any element or member.
const WORDS: &[&str] = &[
    "/order/note",
    "/order/shipping_method",
    "/order/shipping_description",
    "/order/payment_method",
    "/order/customer/email",
    "/order/customer/first_name",
    "/order/customer/last_name",
    "/order/customer/vat_id",
    "/lines/*/sku",
    "/lines/*/name",
    "/lines/*/location",
    "/lines/*/options/*/title",
    "/lines/*/options/*/value",
    "/lines/*/options/*/sku",
    "/lines/*/fields/*",
    "/lines/*/configuration/*/label",
    "/lines/*/configuration/*/value",
    "/lines/*/bundle/sku",
    "/lines/*/bundle/name",
    "/lines/*/bundle/option",
    "/lines/*/bundle/options/*/title",
    "/lines/*/bundle/options/*/value",
    "/lines/*/bundle/options/*/sku",
    "/shipping/name",
    "/settlements/*/reference",
];

/// Members of an address that may be edited.
const ADDRESS: [&str; 12] = [
    "first_name",
    "last_name",
    "company",
    "street",
    "street/*",
    "city",
    "region",
    "region_code",
    "postcode",
    "country",
    "telephone",
    "vat_id",
];

/// What says which order it is, what Commerce's own digits were, and what was found on the way: never edited.
const FIXED: &[&str] = &[
    "/schema",
    "/purpose",
    "/shape",
    "/complete",
    "/warnings",
    "/order/system",
    "/order/increment_id",
    "/order/entity_id",
    "/order/store_id",
    "/order/state",
    "/order/status",
    "/order/placed_at",
    "/order/updated_at",
    "/order/currency",
    "/order/base_currency",
    "/order/customer/id",
    "/totals/as_sent",
    "/lines/*/number",
    "/lines/*/order_item_id",
    "/lines/*/child_order_item_id",
    "/lines/*/parent_order_item_id",
    "/lines/*/product_id",
    "/lines/*/options/*/id",
    "/lines/*/options/*/raw",
    "/lines/*/bundle/order_item_id",
];

/// For whom an edit is judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of the destination.
    pub policy: EditPolicy,
    /// The document's.
    pub kind: &'a str,
}

/// The document with its new content.
///
/// # Errors
/// Places that are not there.
pub fn applied(before: &Value, content: &Content) -> Result<Value, Vec<Problem>> {
    match content {
        Content::Whole(given) => Ok(unmasked(before, &masked(before), given.clone())),
        Content::Set(places) => {
            if places.is_empty() || places.len() > PLACES_MAX {
                return Err(vec![Problem::new("", format!("name 1 to {PLACES_MAX} places"))]);
            }
            let mut after = before.clone();
            let mut problems = Vec::new();
            for (path, value) in places {
                if let Err(message) = set(&mut after, path, value.clone()) {
                    problems.push(Problem::new(path, message));
                }
            }
            problems.truncate(TOLD_MAX);
            if problems.is_empty() { Ok(unmasked(before, &masked(before), after)) } else { Err(problems) }
        }
    }
}

/// Puts a value at a place whose surroundings are there already.
fn set(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((parent, name)) = path.rsplit_once('/').filter(|_| path.starts_with('/')) else {
        return Err("is no JSON pointer: it begins with a slash, such as /order/note".to_owned());
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.insert(name, value);
            Ok(())
        }
        Some(Value::Array(elements)) => {
            let index = if name == "-" { Some(elements.len()) } else { name.parse::<usize>().ok() };
            match index {
                Some(index) if index < elements.len() => elements[index] = value,
                Some(index) if index == elements.len() => elements.push(value),
                _ => return Err("there is no such element, and it would not be the next one".to_owned()),
            }
            Ok(())
        }
        Some(_) | None => Err("there is no such place in the document".to_owned()),
    }
}

/// Places that somebody asks to edit and may not see. Judged by what is asked and never by what stands there: a right guess is
/// answered as a wrong one is.
pub fn peeking(before: &Value, content: &Content) -> Vec<Problem> {
    let shown = masked(before);
    let hidden = |path: &str| mask::is_personal(path) || shown.pointer(path) != before.pointer(path);
    let paths: Vec<String> = match content {
        Content::Set(places) => places.iter().map(|(path, _)| path.clone()).collect(),
        Content::Whole(given) => diff::changes(&shown, given).into_iter().map(|change| change.path).collect(),
    };
    let message = "this may tell who the buyer is: editing it takes the permission personal-data:reveal";
    paths.into_iter().filter(|path| hidden(path)).take(TOLD_MAX).map(|path| Problem::new(path, message)).collect()
}

/// What is wrong with what changes, before anybody reads the whole.
pub fn problems(asked: &Asked<'_>, after: &Value, changes: &[Change]) -> Vec<Problem> {
    if changes.len() > PLACES_MAX {
        return vec![Problem::new("", format!("more than {PLACES_MAX} places would change"))];
    }
    let problem = |change: &Change| {
        let judged = allowed(asked, &change.path).and_then(|()| value(after.pointer(&change.path)));
        judged.err().map(|message| Problem::new(&change.path, message))
    };
    changes.iter().filter_map(problem).take(TOLD_MAX).collect()
}

/// Whether a place may change.
fn allowed(asked: &Asked<'_>, path: &str) -> Result<(), String> {
    if FIXED.iter().any(|fixed| covers(fixed, path)) {
        return Err("this says which order it is, or what Commerce sent: it is never edited".to_owned());
    }
    if is_words(path) {
        return Ok(());
    }
    match asked.policy {
        EditPolicy::Document if asked.kind != "cancellation" => Ok(()),
        EditPolicy::Document => Err("what is cancelled is a share of the order: only words of it are edited".to_owned()),
        EditPolicy::Off | EditPolicy::Fields => Err(
            "only words are edited (addresses, names, notes, references, SKUs, locations, what options say): the policy \
             of this destination is edit = \"fields\""
                .to_owned(),
        ),
    }
}

/// Whether a place holds words.
pub fn is_words(path: &str) -> bool {
    let address = |side: &str| {
        let member = path.strip_prefix("/order/").and_then(|rest| rest.strip_prefix(side)?.strip_prefix('/'));
        member.is_some_and(|member| ADDRESS.iter().any(|known| same(known, member)))
    };
    WORDS.iter().any(|known| same(known, path)) || address("billing_address") || address("shipping_address")
}

/// The place itself.
fn same(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == "*" || wanted == given => {}
            _ => return false,
        }
    }
}

/// The place, or one inside it.
fn covers(pattern: &str, path: &str) -> bool {
    let mut given = path.split('/');
    pattern.split('/').all(|wanted| given.next().is_some_and(|given| wanted == "*" || wanted == given))
}

/// What stands at a changed place: no text is too long, holds what nobody sees, or is a mask.
fn value(value: Option<&Value>) -> Result<(), String> {
    match value {
        Some(Value::String(text)) => words(text),
        Some(Value::Array(elements)) => elements.iter().try_for_each(|element| self::value(Some(element))),
        Some(Value::Object(members)) => members.values().try_for_each(|member| self::value(Some(member))),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => Ok(()),
    }
}

fn words(text: &str) -> Result<(), String> {
    if text.contains(mask::MASK) {
        return Err("••• stands for what is hidden: leave the place as it is, or write the whole of it anew".to_owned());
    }
    if text.chars().count() > TEXT_MAX {
        return Err(format!("the text is longer than {TEXT_MAX} characters"));
    }
    if text.chars().any(|char| char.is_control() && char != '\n' && char != '\t') {
        return Err("the text holds a control character".to_owned());
    }
    Ok(())
}

/// The places of a document that hold words, for a form: pointer and value, in the order of the document.
pub fn editable(document: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(document, &mut String::new(), &mut found);
    found
}

fn walk(value: &Value, path: &mut String, found: &mut Vec<(String, Value)>) {
    let below = |name: &str, value: &Value, path: &mut String, found: &mut Vec<(String, Value)>| {
        let length = path.len();
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(value, path, found);
        path.truncate(length);
    };
    match value {
        _ if is_words(path) => found.push((path.clone(), value.clone())),
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value, path, found)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value, path, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(policy: EditPolicy, path: &str) -> bool {
        allowed(&Asked { policy, kind: "order" }, path).is_ok()
    }

    #[test]
    fn words_may_change_figures_only_with_the_whole_document_and_identity_never() {
        for path in ["/order/shipping_address/street/1", "/lines/12/sku", "/lines/0/options/3/value", "/order/note"] {
            assert!(verdict(EditPolicy::Fields, path) && verdict(EditPolicy::Document, path), "{path}");
        }
        for path in ["/lines/0/net", "/totals/total", "/lines/0/quantity", "/lines/0/tax_code", "/lines/9"] {
            assert!(!verdict(EditPolicy::Fields, path) && verdict(EditPolicy::Document, path), "{path}");
        }
        for path in
            ["/order/increment_id", "/schema", "/lines/0/order_item_id", "/totals/as_sent/tax_amount", "/warnings/0"]
        {
            assert!(!verdict(EditPolicy::Document, path), "{path}");
        }
        let cancelled = Asked { policy: EditPolicy::Document, kind: "cancellation" };
        assert!(allowed(&cancelled, "/lines/0/net").is_err() && allowed(&cancelled, "/lines/0/sku").is_ok());
    }

    #[test]
    fn a_mask_that_is_sent_back_stays_what_it_hides_and_one_inside_other_words_is_refused() {
        let before = json!({ "order": { "note": "ring twice", "customer": { "email": "a@b.example", "group_id": 1 },
            "shipping_address": { "street": ["1 High St", "Flat 2"], "city": "York" } } });
        let mut given = masked(&before);
        given["order"]["shipping_address"]["city"] = json!("Leeds");
        let after = applied(&before, &Content::Whole(given)).unwrap();
        assert_eq!(after["order"]["shipping_address"], json!({ "street": ["1 High St", "Flat 2"], "city": "Leeds" }));
        assert_eq!(after["order"]["customer"], before["order"]["customer"]);
        let set = |path: &str, value| applied(&before, &Content::Set(vec![(path.to_owned(), value)]));
        assert_eq!(set("/order/note", json!(mask::MASK)).unwrap(), before);
        assert!(words("x ••• y").is_err() && words("a\u{0}b").is_err() && words(&"x".repeat(TEXT_MAX + 1)).is_err());
        assert!(words("Ünïcödé\nline").is_ok());
        for path in ["/order/nothing/here", "order/note", "", "/order/shipping_address/street/7"] {
            assert!(set(path, json!("x")).is_err(), "{path}");
        }
        assert_eq!(
            set("/order/shipping_address/street/-", json!("x")).unwrap()["order"]["shipping_address"]["street"][2],
            "x"
        );
    }

    #[test]
    fn who_does_not_see_buyers_learns_nothing_from_what_an_edit_is_answered() {
        let before = json!({ "order": { "customer": { "email": "a@b.example" } }, "lines": [{ "fields": { "to": "c@d.example" } }] });
        let told = |path: &str, guess: &str| peeking(&before, &Content::Set(vec![(path.to_owned(), json!(guess))]));
        for path in ["/order/customer/email", "/lines/0/fields/to"] {
            let (right, wrong) =
                (told(path, before.pointer(path).unwrap().as_str().unwrap()), told(path, "x@y.example"));
            assert!(right == wrong && right[0].message.contains("personal-data:reveal"), "{path}: {right:?}");
        }
        let mut whole = masked(&before);
        assert!(peeking(&before, &Content::Whole(whole.clone())).is_empty());
        whole["order"]["customer"]["email"] = json!("a@b.example");
        assert_eq!(peeking(&before, &Content::Whole(whole))[0].path, "/order/customer/email");
    }
}
