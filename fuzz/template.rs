//! Conditions of routes: any text compiles or is refused in words, and evaluating it ends.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bolero::TypeGenerator;
use crossdock::routing::Condition;
use minijinja::Value;

/// More than any condition may take on a slow machine in a slow build; fuel ends it long before.
const TIME_MAX: Duration = Duration::from_secs(2);

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    Value::from(minijinja::value::Serde(serde_json::json!({
        "order": { "store_id": 1, "increment_id": "000000042", "coupon_code": null, "customer": { "guest": true } },
        "lines": [{ "sku": "24-WG085", "quantity": "2", "total": "33.60" }, { "sku": "x", "quantity": "1", "total": "-1" }],
        "totals": { "grand_total": "99999999999999999999.99" },
    })))
});

const PIECES: [&str; 40] = [
    "order",
    ".store_id",
    "totals",
    ".grand_total",
    "lines",
    "[0]",
    "[-1]",
    "|minor",
    "|length",
    "|join",
    "|sort",
    "|list",
    "|upper",
    "|replace('a','aaaaaaaa')",
    " in ",
    " not ",
    " and ",
    " or ",
    " is ",
    "defined",
    " == ",
    " > ",
    " + ",
    " * ",
    " ** ",
    " % ",
    " // ",
    "~",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "1",
    "9999999999999999999",
    "range(100000)",
    " if true else ",
];

/// An expression put together from pieces and stray bytes.
#[derive(Clone, Debug, TypeGenerator)]
struct Text {
    parts: Vec<(u8, char)>,
}

fn evaluate(text: &str) {
    let begun = Instant::now();
    match Condition::compile(text) {
        Ok(condition) => {
            assert_eq!(condition.as_str(), text);
            if let Err(words) = condition.holds(&DOCUMENT) {
                assert!(!words.to_string().is_empty());
            }
        }
        Err(words) => assert!(!words.to_string().is_empty()),
    }
    assert!(begun.elapsed() < TIME_MAX, "{text} took {:?}", begun.elapsed());
}

#[test]
fn a_condition_of_any_text_ends() {
    for text in super::kept("template") {
        evaluate(&String::from_utf8_lossy(&text));
    }
    run!(Text, |text| {
        let mut whole = String::new();
        for (piece, stray) in &text.parts {
            match PIECES.get(usize::from(*piece) % (PIECES.len() + 4)) {
                Some(piece) => whole.push_str(piece),
                None => whole.push(*stray),
            }
        }
        evaluate(&whole);
    });
}
