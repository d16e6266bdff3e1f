//! What a record is found by: every address and item number in it, wherever they stand. Pure.

use std::collections::BTreeSet;

use super::{email, sku, trace};
use crate::json::{self, Json, Limits};
use crate::store::finding::{Source, Term, TermKind, Unindexed};

/// Most terms of one record: an order of a thousand lines, with room to spare.
const TERMS_MAX: usize = 4_000;
/// Headers that name a request or event as its sender does.
const TRACES: [&str; 4] = ["x-adobe-event-id", "x-adobe-delivery-id", "x-adobe-commerce-request-id", "x-request-id"];

/// The terms of a stretch of bodies. Neighbours that share a body are read from it together.
pub fn of_all(bodies: &[Unindexed]) -> Vec<(Source, i64, Term)> {
    let mut terms = Vec::new();
    let shared = |one: &Unindexed, other: &Unindexed| {
        one.source == other.source && one.body.as_ptr() == other.body.as_ptr() && one.body.len() == other.body.len()
    };
    for alike in bodies.chunk_by(shared) {
        let whole = alike.first().and_then(|first| json::parse(&first.body, &Limits::default()).ok());
        for one in alike {
            let record = whole.as_ref().filter(|_| one.of_order).and_then(|whole| whole.pointer(&one.path));
            let mut found = BTreeSet::new();
            if let Some(record) = record {
                gather(record, &mut found);
            }
            traces(&one.headers, &mut found);
            terms.extend(found.into_iter().map(|term| (one.source, one.row, term)));
        }
    }
    terms
}

fn gather(json: &Json<'_>, into: &mut BTreeSet<Term>) {
    if into.len() >= TERMS_MAX {
        return;
    }
    match json {
        Json::Array(items) => items.iter().for_each(|item| gather(item, into)),
        Json::Object(members) => {
            for (name, value) in members {
                let term = match (&**name, value.as_text()) {
                    ("email" | "customer_email", Some(text)) => {
                        email(text).map(|text| Term { kind: TermKind::Email, text })
                    }
                    ("sku", Some(text)) => sku(text).map(|text| Term { kind: TermKind::Sku, text }),
                    _ => None,
                };
                match term {
                    Some(term) => {
                        into.insert(term);
                    }
                    None => gather(value, into),
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// What is kept of the headers is JSON of our own: a text a name, or several.
fn traces(headers: &str, into: &mut BTreeSet<Term>) {
    let Ok(kept) = json::parse(headers.as_bytes(), &Limits::default()) else { return };
    for name in TRACES {
        let values = match kept.get(name) {
            Some(Json::Array(values)) => values.iter().collect(),
            one => one.into_iter().collect::<Vec<_>>(),
        };
        let texts = values.into_iter().filter_map(|value| trace(value.as_str()?));
        into.extend(texts.map(|text| Term { kind: TermKind::Trace, text }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(row: i64, path: &str, text: &bytes::Bytes) -> Unindexed {
        let headers = r#"{"x-adobe-event-id":["EVENT-ONE","event-two"],"x-request-id":"short","user-agent":"x"}"#;
        Unindexed {
            source: Source::Event,
            row,
            path: path.into(),
            of_order: true,
            body: text.clone(),
            headers: headers.into(),
        }
    }

    #[test]
    fn addresses_and_item_numbers_are_found_wherever_they_stand_and_only_in_their_record() {
        let text = bytes::Bytes::from_static(
            br#"{"orders":[
                {"customer_email":" Anna@Example.COM ","items":[{"sku":"MUG-Green","parent_item":{"sku":24}}],
                 "billing_address":{"email":"","telephone":"email"}},
                {"customer_email":"ben@example.com","items":{"7":{"sku":"Tasse-\u00c4"}},"note":"sku: other@example.com"}
            ]}"#,
        );
        let found = of_all(&[body(1, "/orders/0", &text), body(2, "/orders/1", &text), body(3, "/orders/9", &text)]);
        let of = |row: i64, kind| {
            let mine = found.iter().filter(|(_, its, term)| *its == row && term.kind == kind);
            mine.map(|(.., term)| term.text.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of(1, TermKind::Email), ["anna@example.com"]);
        assert_eq!(of(1, TermKind::Sku), ["24", "mug-green"]);
        assert_eq!(of(2, TermKind::Email), ["ben@example.com"]);
        assert_eq!(of(2, TermKind::Sku), ["tasse-ä"]);
        assert_eq!(of(3, TermKind::Trace), ["event-one", "event-two"], "what cannot be read still has its traces");
        assert_eq!(of(3, TermKind::Sku), [] as [&str; 0]);
    }

    #[test]
    fn what_is_no_order_leads_to_nobody() {
        let text = bytes::Bytes::from_static(br#"{"email":"anna@example.com","sku":"MUG"}"#);
        let found = of_all(&[Unindexed { of_order: false, headers: "{}".into(), ..body(1, "", &text) }]);
        assert_eq!(found, []);
        assert_eq!(of_all(&[Unindexed { headers: "nonsense".into(), ..body(1, "", &bytes::Bytes::new()) }]), []);
    }
}
