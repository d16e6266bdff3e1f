use super::*;
use crate::clock::{ManualClock, from_micros};

#[test]
fn a_challenge_is_echoed_only_in_its_alphabet_and_once() {
    let longest = "a".repeat(256);
    for (query, value) in [
        ("challenge=8ec8d794-e0ab-42df_9017", Some("8ec8d794-e0ab-42df_9017")),
        ("x=1&challenge=a&y", Some("a")),
        (&format!("challenge={longest}"), Some(longest.as_str())),
        (&format!("challenge={longest}b"), None),
        ("challenge=", None),
        ("challenge", None),
        ("", None),
        ("Challenge=a", None),
        ("challenge=a&challenge=b", None),
        ("challenge=a%2Db", None),
        ("challenge=a+b", None),
        ("challenge=<b>", None),
        ("challenge=%3Cscript%3E", None),
        ("challenge=ä", None),
    ] {
        assert_eq!(value_of_challenge(query), value, "{query}");
    }
}

#[test]
fn only_a_validation_by_adobes_own_host_and_nothing_beside_it_is_known() {
    let url = "https://csm.adobe.io/csm/registrations/validate?id=1&challenge=2";
    for (body, asks) in [
        (format!(r#"{{"validationUrl":"{url}"}}"#), true),
        (format!(r#"{{"validationUrl":"{}"}}"#, url.replace("https", "http")), false),
        (format!(r#"{{"validationUrl":"{}"}}"#, url.replace("csm.adobe.io", "csm.adobe.io.example.com")), false),
        (format!(r#"{{"validationUrl":"{}"}}"#, url.replace("csm.adobe.io", "csm.adobe.io:8443")), false),
        (format!(r#"{{"validationUrl":"{}"}}"#, url.replace("csm.", "user@csm.")), false),
        (format!(r#"{{"validationUrl":"{}"}}"#, url.replace("csm.adobe.io", "csm.adobe.io@example.com")), false),
        (format!(r#"{{"validationUrl":"{url}","data":{{}}}}"#), false),
        (format!(r#"[{{"validationUrl":"{url}"}}]"#), false),
        (format!(r#"{{"validationurl":"{url}"}}"#), false),
        (r#"{"validationUrl":7}"#.to_owned(), false),
        (format!(r#"{{"validationUrl":"{url}{}"}}"#, "a".repeat(5000)), false),
        ("{}".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(asks_for_validation(body.as_bytes()), asks, "{body}");
    }
}

#[tokio::test]
async fn ans_2_missed_pushes_count_once_in_ten_minutes_for_each_origin() {
    let clock = Arc::new(ManualClock::new(from_micros(1_772_359_200_000_000)));
    let missed = MissedPushes::new(clock.clone());
    assert!(missed.missed("a"));
    assert!(!missed.missed("a"));
    assert!(missed.missed("b"));
    assert_eq!(missed.next().await, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    clock.advance(Duration::from_secs(599));
    assert!(!missed.missed("a"));
    clock.advance(Duration::from_secs(1));
    let (woken, ()) = tokio::join!(missed.next(), async { assert!(missed.missed("a")) });
    assert_eq!(woken, BTreeSet::from(["a".to_owned()]));
}
