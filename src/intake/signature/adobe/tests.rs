#[path = "../../../../tests/it/support/key_host.rs"]
#[allow(missing_docs, dead_code, reason = "shared with the tests over sockets")]
mod key_host;

use std::time::Duration;

use http::HeaderValue;

use super::*;
use crate::clock::{ManualClock, from_micros};
use crate::intake::signature::sign::AdobeSigner;
use crate::observe::Metrics;
use key_host::{KeyHost, Says};

const OURS: &str = "0123456789abcdef0123456789abcdef";
const START: i64 = 1_772_359_200_000_000;

/// A verifier with its key host, a signer whose keys are published there, and a clock to move.
struct Desk {
    host: KeyHost,
    signer: AdobeSigner,
    clock: Arc<ManualClock>,
    verifier: AdobeVerifier,
}

impl Desk {
    async fn new() -> Desk {
        let host = KeyHost::start().await;
        let signer = AdobeSigner::generate();
        host.publishes(signer.published());
        let clock = Arc::new(ManualClock::new(from_micros(START)));
        let url = Url::parse(&host.url()).unwrap();
        let observer = Arc::new(Observer::new(Metrics::new()));
        let verifier = AdobeVerifier::new("events", OURS, Some(&url), clock.clone(), observer).unwrap();
        Desk { host, signer, clock, verifier }
    }

    async fn verdict(&self, headers: &[(&'static str, String)], body: &str) -> Result<&'static str, Doubt> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        let now = crate::clock::Clock::now(&*self.clock);
        self.verifier.verify(&map, body, now).await.map(|verified| verified.scheme())
    }

    async fn signed(&self, body: &str) -> Result<&'static str, Doubt> {
        self.verdict(&self.signer.headers(body.as_bytes()), body).await
    }
}

fn event() -> String {
    format!(r#"{{"eventid":"e-1","recipientclientid":"{OURS}","data":{{"value":{{"entity_id":"1"}}}}}}"#)
}

const WRONG: Result<&str, Doubt> = Err(Doubt::Refused(Refused::Wrong));
const NOT_FOR_US: Result<&str, Doubt> = Err(Doubt::Refused(Refused::Recipient));
const MALFORMED: Result<&str, Doubt> = Err(Doubt::Refused(Refused::Malformed));
const UNVERIFIABLE: Result<&str, Doubt> = Err(Doubt::Unverifiable);
const YES: Result<&str, Doubt> = Ok("adobe-signature");

#[test]
fn sig_6_only_paths_of_the_documented_pattern_are_ever_fetched() {
    for (path, fits) in [
        ("/prod/keys/pub-key-0a-1.pem", true),
        ("/stage_2/a-b/keys/pub-key-ff.pem", true),
        ("/keys/pub-key-0.pem", true),
        ("/pub-key-0.pem", false),
        ("prod/keys/pub-key-0.pem", false),
        ("//evil.example.com/pub-key-0.pem", false),
        ("/prod//pub-key-0.pem", false),
        ("/prod/../pub-key-0.pem", false),
        ("/prod/./pub-key-0.pem", false),
        ("/prod/keys/pub-key-0.pem?x=1", false),
        ("/prod/keys/pub-key-0.pem#x", false),
        ("/prod/keys/pub-key-0.pem/", false),
        ("/prod/keys/pub-key-.pem", false),
        ("/prod/keys/pub-key-G.pem", false),
        ("/prod/keys/pub-key-A.pem", false),
        ("/prod/keys/pub-key-0.PEM", false),
        ("/prod/keys/pub-key-0.pem.pem", false),
        ("/prod/%2e%2e/pub-key-0.pem", false),
        ("/prod/keys/other-0.pem", false),
        ("/@evil.example.com/pub-key-0.pem", false),
        ("/prod\\keys/pub-key-0.pem", false),
        ("https://evil.example.com/keys/pub-key-0.pem", false),
        ("", false),
        ("/", false),
    ] {
        assert_eq!(is_key_path(path), fits, "{path}");
    }
    assert!(!is_key_path(&format!("/{}/pub-key-0.pem", "a".repeat(200))));
}

#[tokio::test]
async fn sig_6_either_signature_suffices_and_neither_is_not_enough() {
    let desk = Desk::new().await;
    let body = event();
    let both = desk.signer.headers(body.as_bytes());
    let stranger = AdobeSigner::generate().headers(body.as_bytes());
    assert_eq!(desk.signed(&body).await, YES);
    assert_eq!(desk.verdict(&both[..2], &body).await, YES);
    assert_eq!(desk.verdict(&both[2..], &body).await, YES);
    let spoiled = |index: usize, value: &str| {
        let mut headers = both.clone();
        value.clone_into(&mut headers[index].1);
        headers
    };
    assert_eq!(desk.verdict(&spoiled(0, &stranger[0].1), &body).await, YES);
    assert_eq!(desk.verdict(&spoiled(0, "no base64"), &body).await, YES);
    assert_eq!(desk.verdict(&spoiled(3, "/../etc/pub-key-0.pem"), &body).await, YES);
    assert_eq!(desk.verdict(&stranger, &body).await, WRONG, "their signatures under our paths");
    assert_eq!(desk.verdict(&both, &body.replace("e-1", "e-2")).await, WRONG);
    assert_eq!(desk.verdict(&[], &body).await, Err(Doubt::Refused(Refused::Missing)));
    assert_eq!(desk.verdict(&both[..1], &body).await, Err(Doubt::Refused(Refused::Missing)));
    assert_eq!(desk.verdict(&[both[0].clone(), (both[1].0, "/x".to_owned())], &body).await, MALFORMED);
    let twice = [both.clone(), vec![both[0].clone()]].concat();
    assert_eq!(desk.verdict(&twice, &body).await, Err(Doubt::Refused(Refused::Doubled)));
    assert_eq!(desk.host.asked().len(), 2, "each key was read once: {:?}", desk.host.asked());
}

#[tokio::test]
async fn sig_6_a_valid_signature_for_somebody_else_is_refused_whole() {
    let desk = Desk::new().await;
    let (ours, theirs) = (event(), event().replace(OURS, "ffffffffffffffffffffffffffffffff"));
    for (body, verdict) in [
        (theirs.clone(), NOT_FOR_US),
        (format!("[{ours},{theirs}]"), NOT_FOR_US),
        (format!("[{ours},7]"), NOT_FOR_US),
        (format!("[{ours},{}]", ours.replace("recipientclientid", "recipient")), NOT_FOR_US),
        (format!("[{ours},{}]", ours.replace("recipientclientid", "recipient_client_id")), YES),
        ("{}".to_owned(), NOT_FOR_US),
        ("[]".to_owned(), YES),
        (format!("{{\"cut\":\"{OURS}"), YES),
        (format!("{{\"cut\":\"{}", &OURS[1..]), NOT_FOR_US),
        (String::new(), NOT_FOR_US),
    ] {
        assert_eq!(desk.signed(&body).await, verdict, "{body}");
    }
}

#[tokio::test]
async fn sig_6_keys_are_kept_a_day_and_failures_a_minute() {
    let mut desk = Desk::new().await;
    let body = event();
    desk.host.goes_down().await;
    assert_eq!(desk.signed(&body).await, UNVERIFIABLE);
    desk.host.comes_back().await;
    desk.clock.advance(Duration::from_secs(59));
    assert_eq!(desk.signed(&body).await, UNVERIFIABLE, "the failure is remembered");
    assert!(desk.host.asked().is_empty());
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.signed(&body).await, YES);
    assert_eq!(desk.host.asked().len(), 2);
    desk.host.goes_down().await;
    desk.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(desk.signed(&body).await, YES, "a key at hand needs no host");
    desk.clock.advance(Duration::from_secs(61));
    assert_eq!(desk.signed(&body).await, UNVERIFIABLE, "a day is over");
    desk.host.comes_back().await;
    desk.clock.advance(Duration::from_secs(61));
    assert_eq!(desk.signed(&body).await, YES);
}

#[tokio::test]
async fn sig_6_a_key_in_use_is_read_again_before_its_day_is_over() {
    let desk = Desk::new().await;
    let body = event();
    assert_eq!(desk.signed(&body).await, YES);
    desk.clock.advance(Duration::from_hours(21));
    assert_eq!(desk.signed(&body).await, YES);
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while desk.host.asked().len() < 4 {
        assert!(std::time::Instant::now() < patience, "{:?}", desk.host.asked());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    desk.clock.advance(Duration::from_hours(5));
    assert_eq!(desk.signed(&body).await, YES);
    assert_eq!(desk.host.asked().len(), 4, "read again at 21 hours, so good at 26");
}

#[tokio::test]
async fn sig_6_a_key_host_that_redirects_or_sends_something_else_is_not_believed() {
    let desk = Desk::new().await;
    let body = event();
    let all = desk.signer.headers(body.as_bytes());
    let (path, pem) = desk.signer.published()[0].clone();
    let elsewhere = "/elsewhere/pub-key-0.pem";
    desk.host.says(elsewhere, Says::Text(pem.clone()));
    let small = include_str!("small_key.pem");
    for what in [
        Says::Redirect(elsewhere.to_owned()),
        Says::Redirect(format!("{}{elsewhere}", desk.host.url())),
        Says::Text(format!("{pem}{}", "\n".repeat(16 * 1024))),
        Says::Text(String::new()),
        Says::Text("<html>".to_owned()),
        Says::Text(small.to_owned()),
        Says::Status(404),
        Says::Status(500),
        Says::Status(204),
    ] {
        desk.host.says(&path, what.clone());
        assert_eq!(desk.verdict(&all[..2], &body).await, UNVERIFIABLE, "{what:?}");
        desk.clock.advance(Duration::from_secs(61));
    }
    assert!(!desk.host.asked().contains(&elsewhere.to_owned()), "no redirect was followed");
    let begun = std::time::Instant::now();
    desk.host.says(&path, Says::Late(Duration::from_secs(20), pem.clone()));
    assert_eq!(desk.verdict(&all[..2], &body).await, UNVERIFIABLE);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    desk.clock.advance(Duration::from_secs(61));
    desk.host.says(&path, Says::Text(pem));
    assert_eq!(desk.verdict(&all[..2], &body).await, YES);
}

#[tokio::test]
async fn sig_6_many_requests_at_once_read_a_key_once() {
    let desk = Desk::new().await;
    let body = event();
    for (path, pem) in desk.signer.published() {
        desk.host.says(&path, Says::Late(Duration::from_millis(200), pem));
    }
    let headers = desk.signer.headers(body.as_bytes());
    let one = || desk.verdict(&headers, &body);
    let all = tokio::join!(one(), one(), one(), one(), one(), one());
    assert_eq!(all, (YES, YES, YES, YES, YES, YES));
    assert_eq!(desk.host.asked().len(), 2);
}

#[tokio::test]
async fn sig_6_invented_paths_cause_few_fetches_and_push_no_good_key_out() {
    let desk = Desk::new().await;
    let body = event();
    assert_eq!(desk.signed(&body).await, YES);
    let forged = AdobeSigner::generate().headers(body.as_bytes());
    let served = AdobeSigner::generate().published()[0].1.clone();
    for number in 0..500 {
        let path = format!("/prod/keys/pub-key-bad-{number}.pem");
        // Half of them even lead to a key.
        if number % 2 == 0 {
            desk.host.says(&path, Says::Text(served.clone()));
        }
        let headers = [forged[0].clone(), (forged[1].0, path)];
        assert!(desk.verdict(&headers, &body).await.is_err());
    }
    let asked = desk.host.asked().len() - 2;
    assert!(asked <= 25, "{asked} fetches for invented paths");
    assert_eq!(desk.signed(&body).await, YES);
    // A forger who names our true keys beside an invented path makes nobody wait either.
    assert_eq!(desk.host.asked().len(), asked + 2, "the true keys were still at hand");
}

#[tokio::test]
async fn sig_6_after_a_rotation_the_old_and_the_new_key_are_good() {
    let mut desk = Desk::new().await;
    let body = event();
    let before = desk.signer.headers(body.as_bytes());
    assert_eq!(desk.signed(&body).await, YES);
    desk.signer.rotate(0);
    // Signed by the new key, whose file is not there yet, and by the second as before.
    assert_eq!(desk.signed(&body).await, YES);
    desk.host.publishes(desk.signer.published());
    desk.signer.rotate(1);
    desk.host.publishes(desk.signer.published());
    desk.clock.advance(Duration::from_secs(61));
    assert_eq!(desk.signed(&body).await, YES);
    assert_eq!(desk.verdict(&before, &body).await, YES, "a retry signed before the rotation");
}
