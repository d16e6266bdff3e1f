use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::*;
use crate::clock::from_micros;

const KEY: Guard = Guard::Key { window: Duration::from_hours(24) };

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> ResponseSeen {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    ResponseSeen { status, headers, body: Bytes::copy_from_slice(body.as_bytes()), end: BodyEnd::Complete }
}

fn outcome(guard: Guard, response: &ResponseSeen) -> AttemptOutcome {
    read(&Rules::default(), guard, response, from_micros(0))
}

fn word(guard: Guard, status: u16) -> &'static str {
    outcome(guard, &answer(status, &[], "")).as_str()
}

#[test]
fn section_8_every_status_has_the_class_of_the_table() {
    for guard in [KEY, Guard::None, Guard::Unique, Guard::Find] {
        for status in 200..=299 {
            assert_eq!(word(guard, status), "accepted", "{status}");
        }
        for status in [400, 402, 404, 405, 406, 410, 411, 413, 414, 415, 417, 418, 422, 431, 451, 499] {
            assert_eq!(word(guard, status), "rejected", "{status}");
        }
        for status in [401, 403] {
            assert_eq!(word(guard, status), "credential", "{status}");
        }
        for status in [408, 425, 412, 423] {
            assert_eq!(word(guard, status), "unavailable", "{status}");
        }
        assert_eq!(word(guard, 429), "throttled");
        for status in [300, 301, 302, 303, 304, 307, 308, 501, 505] {
            assert_eq!(word(guard, status), "rejected", "{status}");
        }
        for status in [500, 502, 503, 504, 507, 508, 511, 520, 599] {
            assert_eq!(word(guard, status), "uncertain", "{status}");
        }
        for status in [100, 101, 199, 600, 999] {
            assert_eq!(word(guard, status), "uncertain", "{status}");
        }
    }
    assert_eq!(word(KEY, 409), "uncertain");
    for guard in [Guard::None, Guard::Unique, Guard::Find] {
        assert_eq!(word(guard, 409), "rejected");
    }
}

/// Row by row: what is seen, under which guard, and what it means.
#[test]
fn section_8_the_table_row_by_row() {
    const UNIQUE: Guard = Guard::Unique;
    const NONE: Guard = Guard::None;
    type Row = (&'static str, Guard, u16, &'static [(&'static str, &'static str)], &'static str, &'static str);
    const REPLAYED: &[(&str, &str)] = &[("idempotency-replayed", "true")];
    let rows: [Row; 40] = [
        ("2xx", NONE, 201, &[], "{\"id\":1}", "accepted"),
        ("2xx with an error inside", NONE, 200, &[], "{\"error\":\"closed\"}", "rejected record"),
        ("2xx with a page", NONE, 200, &[("content-type", "text/html")], "<p>log in</p>", "uncertain"),
        ("2xx unreadable", NONE, 200, &[("content-type", "application/json")], "{", "uncertain"),
        ("409 under key", KEY, 409, &[], "", "uncertain"),
        ("409 under unique", UNIQUE, 409, &[], "", "rejected exists"),
        ("409 under find", Guard::Find, 409, &[], "", "rejected exists"),
        ("409 without a guard", NONE, 409, &[], "", "rejected record"),
        ("400", KEY, 400, &[], "", "rejected record"),
        ("404", KEY, 404, &[], "", "rejected record"),
        ("405", KEY, 405, &[], "", "rejected record"),
        ("410", KEY, 410, &[], "", "rejected gone"),
        ("413", KEY, 413, &[], "", "rejected record"),
        ("415", KEY, 415, &[], "", "rejected record"),
        ("422", KEY, 422, &[], "", "rejected record"),
        ("431", KEY, 431, &[], "", "rejected record"),
        ("451", KEY, 451, &[], "", "rejected record"),
        ("an unknown 4xx", KEY, 499, &[], "", "rejected record"),
        ("401", KEY, 401, &[], "", "credential"),
        ("403", KEY, 403, &[], "", "credential"),
        ("408", NONE, 408, &[], "", "unavailable"),
        ("425", NONE, 425, &[], "", "unavailable"),
        ("412", NONE, 412, &[], "", "unavailable"),
        ("423", NONE, 423, &[], "", "unavailable"),
        ("429", NONE, 429, &[], "", "throttled"),
        ("301", NONE, 301, &[], "", "rejected configuration"),
        ("308", NONE, 308, &[], "", "rejected configuration"),
        ("501", NONE, 501, &[], "", "rejected configuration"),
        ("505", NONE, 505, &[], "", "rejected configuration"),
        ("500", KEY, 500, &[], "", "uncertain"),
        ("502", UNIQUE, 502, &[], "", "uncertain"),
        ("503", NONE, 503, &[], "", "uncertain"),
        ("504", Guard::Find, 504, &[], "", "uncertain"),
        ("507", NONE, 507, &[], "", "uncertain"),
        ("a stored 500 under key", KEY, 500, REPLAYED, "", "rejected stale key"),
        ("a stored 422 under key", KEY, 422, REPLAYED, "", "rejected stale key"),
        ("a stored success", KEY, 201, REPLAYED, "", "accepted"),
        ("a stored 409 is still working", KEY, 409, REPLAYED, "", "uncertain"),
        ("a stored answer without a key guard", UNIQUE, 500, REPLAYED, "", "uncertain"),
        ("another payload", KEY, 422, REPLAYED, "idempotency key reuse", "rejected our bug"),
    ];
    for (what, guard, status, headers, body, expected) in rows {
        let seen = outcome(guard, &answer(status, headers, body));
        let mark = match &seen {
            AttemptOutcome::Rejected(rejection) => match rejection.mark {
                Mark::Record => " record",
                Mark::Configuration => " configuration",
                Mark::Gone => " gone",
                Mark::OurBug => " our bug",
                Mark::Exists => " exists",
                Mark::StaleKey => " stale key",
                Mark::Unmet => " unmet",
            },
            _ => "",
        };
        assert_eq!(format!("{}{mark}", seen.as_str()), expected, "{what}");
    }
}

#[test]
fn unc_3_what_says_that_it_exists_may_be_configured() {
    let says = |rule: ExistsRule, guard: Guard, status: u16, body: &str| {
        let rules = Rules { already_exists: Some(rule), ..Rules::default() };
        let seen = read(&rules, guard, &answer(status, &[], body), from_micros(0));
        matches!(seen, AttemptOutcome::Rejected(Rejection { mark: Mark::Exists, .. }))
    };
    let rule = |pointer: Option<&str>, text: Option<&str>| ExistsRule {
        status: vec![400, 422],
        pointer: pointer.map(str::to_owned),
        text: text.map(str::to_owned),
    };
    let body = "{\"errors\":[{\"code\":\"Duplicate_Reference\"}]}";
    for guard in [Guard::Unique, Guard::Find, KEY] {
        assert!(says(rule(None, None), guard, 422, ""), "the status alone");
        assert!(says(rule(None, Some("duplicate")), guard, 400, body));
        assert!(says(rule(Some("/errors/0/code"), Some("duplicate")), guard, 400, body));
        assert!(!says(rule(Some("/code"), Some("duplicate")), guard, 400, body), "nothing stands there");
        assert!(!says(rule(None, Some("duplicate")), guard, 400, "{\"code\":\"customer\"}"));
        assert!(!says(rule(None, None), guard, 409, ""), "its own rule replaces the usual one");
    }
    assert!(!says(rule(None, None), Guard::None, 422, ""), "nobody could find out whose it is");
}

#[test]
fn section_8_marks_say_whose_problem_a_rejection_is() {
    for (status, mark) in [
        (400, Mark::Record),
        (422, Mark::Record),
        (410, Mark::Gone),
        (302, Mark::Configuration),
        (501, Mark::Configuration),
        (505, Mark::Configuration),
    ] {
        let AttemptOutcome::Rejected(rejection) = outcome(KEY, &answer(status, &[], "")) else {
            panic!("{status} is a rejection");
        };
        assert_eq!((rejection.mark, rejection.status), (mark, Some(status)));
    }
}

#[test]
fn section_8_a_5xx_is_unavailable_only_where_the_profile_promises_it() {
    let rules = Rules { five_xx_never_applies: true, ..Rules::default() };
    for status in [500, 502, 503, 504, 507] {
        let seen = read(&rules, Guard::None, &answer(status, &[], ""), from_micros(0));
        assert_eq!(seen.as_str(), "unavailable", "{status}");
    }
    assert_eq!(read(&rules, Guard::None, &answer(501, &[], ""), from_micros(0)).as_str(), "rejected");
}

#[test]
fn section_8_a_success_that_breaks_off_is_uncertain_and_an_odd_body_is_not() {
    for body in ["", "OK", "[1,2", "<?xml version=\"1.0\"?><ok/>", "null", "{\"errors\":[],\"error\":null}", "\u{0}"] {
        assert_eq!(outcome(Guard::None, &answer(200, &[], body)), AttemptOutcome::Accepted(Receipt(None)), "{body}");
    }
    for end in [BodyEnd::CutOff, BodyEnd::TooLarge] {
        let broken = ResponseSeen { end, ..answer(201, &[], "{\"id\":\"7\"}") };
        assert_eq!(outcome(KEY, &broken).as_str(), "uncertain");
        let broken = ResponseSeen { end, ..answer(422, &[], "{\"detail\":\"no sto") };
        assert_eq!(outcome(KEY, &broken).as_str(), "rejected", "the status alone is enough");
    }
}

#[test]
fn section_8_a_page_or_broken_json_is_no_yes_and_an_error_inside_a_success_is_a_no() {
    for body in ["<html><body>please log in</body></html>", "\n<!DOCTYPE html>"] {
        assert_eq!(outcome(KEY, &answer(200, &[], body)).as_str(), "uncertain", "{body}");
    }
    let json = [("content-type", "application/json")];
    assert_eq!(outcome(KEY, &answer(200, &json, "{\"id\":")).as_str(), "uncertain");
    assert_eq!(outcome(KEY, &answer(200, &json, "")).as_str(), "accepted");
    for body in [
        "{\"error\":\"the period is closed\"}",
        "{\"errors\":[{\"code\":1}]}",
        "{\"success\":false}",
        "{\"ok\":false}",
        "{\"status\":\"Failed\"}",
    ] {
        assert_eq!(outcome(KEY, &answer(200, &json, body)).as_str(), "rejected", "{body}");
    }
}

#[test]
fn key_6_a_key_reused_with_another_payload_is_our_bug() {
    let mark = |status, body| match outcome(KEY, &answer(status, &[], body)) {
        AttemptOutcome::Rejected(rejection) => rejection.mark,
        other => panic!("{other:?}"),
    };
    for body in [
        r#"{"title":"Idempotency-Key is already used"}"#,
        r#"{"type":"https://example.com/errors/idempotency-key-reused","title":"Conflict"}"#,
        r#"{"detail":"This idempotency key came with a different payload before"}"#,
        r#"{"error":{"type":"idempotency_error","message":"Keys can only be used with the same parameters: mismatch"}}"#,
    ] {
        assert_eq!(mark(422, body), Mark::OurBug, "{body}");
        assert_eq!(mark(400, body), Mark::OurBug, "{body}");
        assert_eq!(mark(409, body), Mark::OurBug, "{body}");
    }
    for body in [
        r#"{"title":"Idempotency-Key is missing"}"#,
        r#"{"detail":"sku 24-WG085 has a different unit"}"#,
        r#"{"detail":"order number already used"}"#,
    ] {
        assert_eq!(mark(422, body), Mark::Record, "{body}");
    }
}

#[test]
fn receipts_come_from_the_body_or_from_location() {
    let receipt = |headers: &[(&str, &str)], body: &str| match outcome(KEY, &answer(201, headers, body)) {
        AttemptOutcome::Accepted(Receipt(receipt)) => receipt,
        other => panic!("{other:?}"),
    };
    let location = [("location", "/orders/9")];
    assert_eq!(receipt(&location, r#"{"id":"SO-1","number":"2"}"#).unwrap(), "SO-1");
    assert_eq!(receipt(&[], r#"{"id":null,"number":12345678901234567890123}"#).unwrap(), "12345678901234567890123");
    assert_eq!(receipt(&[], r#"{"reference":" R-1 "}"#).unwrap(), "R-1");
    assert_eq!(receipt(&location, "").unwrap(), "/orders/9");
    assert_eq!(receipt(&location, r#"{"id":{"a":1}}"#).unwrap(), "/orders/9");
    assert_eq!(receipt(&[], r#"{"id":""}"#), None);
    assert_eq!(receipt(&[], &format!(r#"{{"id":"{}"}}"#, "x".repeat(5_000))).unwrap().len(), RECEIPT_CHARS_MAX);
    let rules = Rules { receipt: vec!["/data/0/no".to_owned()], ..Rules::default() };
    let seen = read(&rules, KEY, &answer(200, &[], r#"{"id":1,"data":[{"no":"X9"}]}"#), from_micros(0));
    assert_eq!(seen, AttemptOutcome::Accepted(Receipt(Some("X9".to_owned()))));
}

#[test]
fn ret_3_retry_after_is_a_floor_and_speaks_for_the_destination_on_429_and_503() {
    for (status, whole_destination) in [(429, true), (503, true), (408, false), (500, false)] {
        let seen = outcome(KEY, &answer(status, &[("retry-after", "60")], ""));
        let (AttemptOutcome::Throttled { wait, .. }
        | AttemptOutcome::Unavailable { wait, .. }
        | AttemptOutcome::Uncertain { wait, .. }) = seen
        else {
            panic!("{status}");
        };
        assert_eq!(wait, Wait { floor: Some(Duration::from_mins(1)), whole_destination, ignored: false });
    }
    assert!(outcome(KEY, &answer(429, &[("retry-after", "-1")], "")).retry_after_ignored());
    assert!(!outcome(KEY, &answer(429, &[], "")).retry_after_ignored());
}

#[test]
fn sentences_name_the_status_and_the_shortened_answer_on_one_line() {
    let detail = |status, body: &str| outcome(KEY, &answer(status, &[], body)).detail();
    assert_eq!(detail(422, r#"{"detail":"no stock","title":"x"}"#), "answered 422 Unprocessable Entity: no stock");
    assert_eq!(detail(400, r#"{"error":{"message":"bad\n\tline\u0007"}}"#), "answered 400 Bad Request: bad line");
    assert_eq!(detail(404, ""), "answered 404 Not Found");
    assert_eq!(detail(499, "plain\r\ntext"), "answered 499: plain text");
    let long = detail(400, &"long word ".repeat(500));
    assert!(long.chars().count() < 340 && long.ends_with('…'), "{long}");
    let odd = ResponseSeen { body: Bytes::from_static(b"\xff\xfe"), ..answer(400, &[], "") };
    assert!(outcome(KEY, &odd).detail().starts_with("answered 400 Bad Request: "));
}
