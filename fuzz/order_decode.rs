//! A body of any bytes, on the whole way from JSON to an order.

use bolero::TypeGenerator;
use crossdock::commerce::parse::{self, Reading};
use crossdock::envelope::kind::RecordKind;
use crossdock::intake::answer::Dialect;
use crossdock::intake::decode;
use crossdock::json::{self, Limits};

/// Pieces that random bytes rarely spell.
const PIECES: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"items\"",
    "\"order\"",
    "\"data\"",
    "\"eventName\"",
    "\"increment_id\"",
    "\"store_id\"",
    "\"000000042\"",
    "1",
    "-0",
    "1e400",
    "0.000000000000000000001",
    "99999999999999999999999999999",
    "null",
    "true",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"parent_item_id\"",
    "\"product_type\"",
    "\"bundle\"",
    "\"product_option\"",
    "\"qty_ordered\"",
    "\u{feff}",
];

/// Text put together from pieces and stray bytes.
#[derive(Clone, Debug, TypeGenerator)]
struct Text {
    parts: Vec<(u8, u8)>,
}

impl Text {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (piece, stray) in &self.parts {
            match PIECES.get(usize::from(*piece) % (PIECES.len() + 4)) {
                Some(piece) => bytes.extend_from_slice(piece.as_bytes()),
                None => bytes.push(*stray),
            }
        }
        bytes
    }
}

fn decode_all(body: &[u8]) {
    let Ok(whole) = json::parse(body, &Limits::default()) else { return };
    // What was read is what was written: the canonical form reads back to itself.
    let canonical = whole.canonical();
    let again = json::parse(canonical.as_bytes(), &Limits::default()).expect("the canonical form is JSON");
    assert_eq!(again.canonical(), canonical);
    for dialect in [Dialect::CommerceHook, Dialect::CommerceEvents, Dialect::Patchworks, Dialect::Backoffice] {
        for kind in [None, Some(RecordKind::Order), Some(RecordKind::OrderChange)] {
            for record in decode::records(&whole, dialect, kind).records.into_iter().flatten() {
                assert!(whole.pointer(&record.path).is_some(), "a record stands where it says: {}", record.path);
                let reading = Reading { system: "acme", default_store_id: Some("1"), not_yet_saved: false };
                let _ = parse::header(record.json, &reading);
                let _ = parse::completeness(record.json);
                if let Err(defects) = parse::order(record.json, &reading) {
                    assert!(!defects.is_empty(), "an order that is refused says why");
                }
            }
        }
    }
}

#[test]
fn a_body_of_any_bytes_is_decoded_or_refused() {
    for body in super::kept("order_decode") {
        decode_all(&body);
    }
    run!(Text, |text| decode_all(&text.bytes()));
}

#[test]
fn poi_3_a_body_of_random_bytes_is_decoded_or_refused() {
    run!(Vec<u8>, |body| decode_all(body));
}
