use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::demo::samples;
use crate::trial::orders;

#[test]
fn a_byte_that_needs_an_escape_is_found_wherever_it_stands() {
    for length in 1..20 {
        for place in 0..length {
            for byte in 0..=127_u8 {
                let mut text = vec![b'~'; length];
                text[place] = byte;
                let expected = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(needs_escapes(&text), expected, "{byte} at {place} of {length}");
            }
        }
    }
    assert!(!needs_escapes("Weiß, 東京, 😀: ünïcödé".as_bytes()));
}

fn read(text: &str) -> Result<Json<'_>, JsonError> {
    parse(text.as_bytes(), &Limits::default())
}

#[test]
fn numbers_keep_their_digits() {
    let json = read(r#"{"a":19.99999999999999999999,"b":[1e3,-0.0]}"#).unwrap();
    assert_eq!(json.get("a").unwrap().as_text(), Some("19.99999999999999999999"));
    assert_eq!(json.pointer("/b/0").unwrap().as_text(), Some("1e3"));
    assert_eq!(json.to_string(), r#"{"a":19.99999999999999999999,"b":[1e3,-0.0]}"#);
}

#[test]
fn poi_3_limits_are_refusals() {
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert!(matches!(read(&deep), Err(JsonError::Limit { what: "nesting", limit: 64, .. })));
    assert!(read(&("[".repeat(64) + &"]".repeat(64))).is_ok());
    assert!(matches!(read(&"9".repeat(129)), Err(JsonError::Limit { what: "a number", .. })));
    let long = format!("\"{}\"", "x".repeat(256 * 1024 + 1));
    assert!(matches!(read(&long), Err(JsonError::Limit { what: "a string", .. })));
    let many = format!("[{}0]", "0,".repeat(10_000));
    assert!(matches!(read(&many), Err(JsonError::Limit { what: "the number of items", .. })));
}

#[test]
fn duplicate_names_are_refused_in_small_and_large_objects() {
    assert!(matches!(read(r#"{"a":1,"\u0061":2}"#), Err(JsonError::DuplicateName { .. })));
    let mut text = String::from("{");
    for index in 0..200 {
        let _ = write!(text, "\"k{index}\":0,");
    }
    assert!(matches!(read(&(text.clone() + "\"k40\":1}")), Err(JsonError::DuplicateName { .. })));
    assert!(matches!(read(&(text.clone() + "\"k3\":1}")), Err(JsonError::DuplicateName { .. })));
    assert!(matches!(read(&(text.clone() + "\"k199\":1}")), Err(JsonError::DuplicateName { .. })));
    assert!(read(&(text + "\"new\":1}")).is_ok());
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["NaN", "{\"a\":Infinity}", "[1,]", "{\"a\":01}", "\u{feff}{}", "{} x", "{'a':1}", "-", "\"\\ud800\""] {
        assert!(matches!(read(text), Err(JsonError::Syntax { .. })), "{text}");
    }
    assert_eq!(read(" \n"), Err(JsonError::Empty));
    assert!(matches!(parse(b"\"\xff\"", &Limits::default()), Err(JsonError::Syntax { at: 1, .. })));
}

#[test]
fn escapes_are_resolved_and_order_does_not_matter_for_the_canonical_form() {
    let one = read(r#"{"b":"\u00e9\/","a":{"d":1.0,"c":null}}"#).unwrap();
    let two = read(" {\"a\": {\"c\":null, \"d\":1.0}, \"b\":\"é/\"}").unwrap();
    assert_eq!(one.canonical(), two.canonical());
    assert_ne!(one.to_string(), two.to_string());
    assert_eq!(one.get("b").unwrap().as_str(), Some("é/"));
}

/// The digest of a record is kept for 400 days: no later version may spell it otherwise.
#[test]
fn the_canonical_form_never_changes() {
    let every: String = (0..=0x17f).filter_map(char::from_u32).collect();
    let name = "n".repeat(16);
    let members = [(name.clone() + "b", 0), (name.clone(), 1), (name + "a", 2), (every.clone(), 3), ("n".into(), 4)];
    let spelled: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap())).collect();
    let text = format!("{{{}}}", spelled.join(","));
    let wanted = [3, 4, 1, 2, 0].map(|index| spelled[index].as_str()).join(",");
    assert_eq!(read(&text).unwrap().canonical(), format!("{{{wanted}}}"));
    assert_eq!(read(&text).unwrap().to_string(), text);
}

#[test]
fn parts_of_the_text_are_borrowed_and_only_escapes_are_copied() {
    let json = read(r#"{"plain":"x é","":"","esc\u0061ped":"\n"}"#).unwrap();
    let Json::Object(members) = &json else { panic!("an object") };
    let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    assert!(
        members
            .iter()
            .take(2)
            .all(|(name, value)| { borrowed(name) && matches!(value, Json::String(text) if borrowed(text)) })
    );
    assert_eq!(members[2], (Cow::Borrowed("escaped"), Json::String("\n".into())));
}

#[test]
fn maps_and_arrays_are_collections() {
    assert_eq!(read(r#"{"12":{},"13":{}}"#).unwrap().elements().unwrap().len(), 2);
    assert_eq!(read("[]").unwrap().elements().unwrap().len(), 0);
    assert_eq!(read("null").unwrap().elements().unwrap().len(), 0);
    assert!(read("3").unwrap().elements().is_none());
}

/// Both readers say the same of a text: the same tree, or the quick one leaves it to the careful one.
fn check_readers(text: &str, limits: &Limits) {
    assert_eq!(quick::tree(text, limits), carefully(text, limits).ok(), "{text:?}");
}

/// Every sending of the demonstration, and an order as it is measured.
fn bodies() -> Vec<String> {
    let samples = samples::SENDINGS.iter().flat_map(|sending| sending.samples.iter());
    samples
        .map(|sample| sample.json.to_string())
        .chain([orders::order(4), orders::observed(&orders::order(2))])
        .collect()
}

#[test]
fn both_readers_agree_on_orders_wherever_they_are_cut_or_damaged() {
    for body in bodies() {
        check_readers(&body, &Limits::default());
        assert!(quick::tree(&body, &Limits::default()).is_some(), "an order is read quickly");
        for (place, _) in body.char_indices().step_by(61) {
            check_readers(&body[..place], &Limits::default());
            for damage in ["", "\"", "\\", "\u{0}", "\n", "{", "]", ",", "0", "\\u00e9", "é"] {
                let rest = body[place..].chars().next().map_or(0, char::len_utf8) + place;
                let from = body[..place].char_indices().rev().nth(40).map_or(0, |(from, _)| from);
                let to = body[rest..].char_indices().nth(40).map_or(body.len(), |(to, _)| rest + to);
                // A stretch as a value of its own, so that a text is not refused for its ends alone.
                check_readers(&format!("[\"{}{damage}{}\"]", &body[from..place], &body[rest..to]), &Limits::default());
                check_readers(&format!("{{{}{damage}{}}}", &body[from..place], &body[rest..to]), &Limits::default());
            }
        }
    }
}

#[test]
fn both_readers_agree_on_what_is_easily_read_otherwise() {
    let numbers = [
        "0",
        "-0",
        "-",
        "00",
        "01",
        "-01",
        "1.",
        ".5",
        "+1",
        "1.0",
        "1e5",
        "1E+5",
        "1e-05",
        "1e",
        "1e+",
        "1.e1",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "-Infinity",
        "-NaN",
        "1 2",
        "0.0e0",
        "--1",
        "1.2.3",
        "9223372036854775808",
        "1e400",
        "-1.50",
    ];
    let strings = [
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud83d\ude00""#,
        r#""\u0000""#,
        r#""\uD83D\u0041""#,
        r#""\x""#,
        r#""\""#,
        r#""\\""#,
        r#""\u00g0""#,
        r#""\u12""#,
        r#""\/\b\f\n\r\t\"""#,
        "\"\u{7f}\"",
        "\"\t\"",
        "\"\u{1f}\"",
        "\"é\u{10ffff}\"",
        "\"",
        "'a'",
        "\"12345678",
        "\"1234567\\",
        "\"1234567\"",
        "\"12345678\\\"\"",
    ];
    let others = [
        "nul",
        "nulll",
        "tru",
        "True",
        "truefalse",
        "[]",
        "[ ]",
        "{ }",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" : 1 , "b":2}"#,
        "{a:1}",
        r#"{"a":1 "b":2}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        "]",
        "}",
        "[}",
        "{]",
        "\u{feff}[]",
        "[]\u{b}",
        "\u{c}[]",
        "\u{a0}[]",
        "[] []",
        "/**/[]",
        "[1,\n\r\t 2]",
        "",
        " ",
    ];
    for part in numbers.into_iter().chain(strings).chain(others) {
        for text in [
            part.to_owned(),
            format!(" {part}\n"),
            format!("[{part},1]"),
            format!("{{\"a\":{part}}}"),
            format!("{{{part}:1}}"),
        ] {
            check_readers(&text, &Limits::default());
        }
    }
    for limits in
        (0..6).map(|most| Limits { depth_max: most, string_bytes_max: most, number_chars_max: most, items_max: most })
    {
        for text in [
            "12345",
            "[[[[[]]]]]",
            r#"{"a":{"b":{"c":{}}}}"#,
            r#""12345""#,
            r#""\u00e9\u00e9""#,
            r#"{"12345":1}"#,
            "[1,2,3,4,5]",
        ] {
            check_readers(text, &limits);
        }
        check_readers(r#"{"a":1,"b":2,"c":3,"d":4,"e":5}"#, &limits);
    }
}

/// Values with names that are easily taken for each other, spelled with and without escapes and white space.
fn value() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[a-c]{0,3}", "[a-z_]{6,20}", "\\PC{0,12}"];
    let string = name.prop_map(|text| serde_json::to_string(&text).unwrap());
    let escaped = prop_oneof![r#""(\\[u/bfnrtx"\\]|\\u[0-9a-fD]{4}|[ -~]){0,5}""#];
    let leaf = prop_oneof![
        string.clone(),
        escaped,
        "-?[0-9]{1,5}([.][0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
    ];
    let blank = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")];
    leaf.prop_recursive(4, 60, 12, move |inner| {
        let member = (string.clone(), blank.clone(), inner.clone())
            .prop_map(|(name, blank, value)| format!("{name}{blank}:{blank}{value}"));
        let list = |part: BoxedStrategy<String>| (prop::collection::vec(part, 0..12), blank.clone());
        prop_oneof![
            list(inner.boxed())
                .prop_map(|(items, blank)| format!("[{blank}{}{blank}]", items.join(&format!("{blank},")))),
            list(member.boxed())
                .prop_map(|(members, blank)| format!("{{{blank}{}{blank}}}", members.join(&format!(",{blank}")))),
        ]
    })
}

/// The canonical form in other words than ours.
fn spelled(json: &Json<'_>) -> String {
    match json {
        Json::Array(items) => format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(",")),
        Json::Object(members) => {
            let sorted: BTreeMap<&[u8], String> = members
                .iter()
                .map(|(name, value)| {
                    (name.as_bytes(), format!("{}:{}", serde_json::to_string(name).unwrap(), spelled(value)))
                })
                .collect();
            format!("{{{}}}", sorted.into_values().collect::<Vec<_>>().join(","))
        }
        Json::String(text) => serde_json::to_string(text).unwrap(),
        Json::Null | Json::Bool(_) | Json::Number(_) => json.to_string(),
    }
}

#[test]
fn the_canonical_form_of_orders_is_sorted_through_and_through() {
    for body in bodies() {
        let json = read(&body).unwrap();
        assert_eq!(json.canonical(), spelled(&json));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_readers_agree_on_values(text in value()) {
        check_readers(&text, &Limits::default());
        if let Ok(json) = read(&text) {
            prop_assert_eq!(json.canonical(), spelled(&json));
        }
    }

    #[test]
    fn both_readers_agree_on_nonsense(text in r#"[\[\]{}:,"\\u0-9a-fe+. \-\x00-\x20é]{0,24}"#) {
        check_readers(&text, &Limits::default());
    }

    #[test]
    fn letters_sort_as_names_do(one in "[a-c\u{0}é]{0,20}", other in "[a-c\u{0}é]{0,20}") {
        let (of_one, of_other) = (first_letters(&one), first_letters(&other));
        prop_assert!(of_one == of_other || of_one.cmp(&of_other) == one.as_bytes().cmp(other.as_bytes()));
    }
}
