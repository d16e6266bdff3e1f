//! Adobe I/O Events over real sockets: a key host on loopback, two key pairs, every shape, and what must never be lost.

use std::collections::BTreeSet;
use std::time::Duration;

use crossdock::demo::erp::StandInErp;
use crossdock::intake::signature::sign::AdobeSigner;
use crossdock::store::write::Receipt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::key_host::{KeyHost, Says};
use crate::support::process::Serve;
use crate::support::{Answer, Site, TestApp, is_problem, is_refusal_without_reason, orders};

const OURS: &str = "0123456789abcdef0123456789abcdef";
const SAVED: &str = "com.adobe.commerce.observer.sales_order_save_commit_after";

fn with_events(text: &str, keys: &KeyHost) -> String {
    format!(
        "{text}\n[origins.events]\ntype = \"commerce-events\"\ncommerce = \"acme\"\nclient_id = \"{OURS}\"\n\
         key_base_url = \"{}\"\n",
        keys.url()
    )
}

/// The service with an events origin, Adobe's key host, and Adobe's keys.
struct Events {
    app: TestApp,
    keys: KeyHost,
    adobe: AdobeSigner,
}

impl Events {
    async fn start() -> Events {
        let keys = KeyHost::start().await;
        let adobe = AdobeSigner::generate();
        keys.publishes(adobe.published());
        let app = TestApp::with(|text| with_events(&text, &keys)).await;
        Events { app, keys, adobe }
    }

    /// A push as Adobe makes it.
    async fn pushes(&self, body: impl ToString) -> Answer {
        self.pushes_with(body, &[]).await
    }

    async fn pushes_with(&self, body: impl ToString, more: &[(&str, &str)]) -> Answer {
        let body = body.to_string();
        let signed = self.adobe.headers(body.as_bytes());
        let mut headers: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend(more);
        self.app.posts("/in/events", body, &headers).await
    }

    async fn gets(&self, path: &str) -> Answer {
        Answer::of(self.app.client.get(self.app.url(path)).send().await.unwrap()).await
    }

    /// Kind and state of every stored event, newest last.
    async fn stored(&self) -> Vec<(String, String)> {
        self.app.settled().await;
        let page = self.app.sees("/api/v1/events?origin=events&limit=100").await;
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        page["items"].as_array().unwrap().iter().rev().map(|row| (text(row, "kind"), text(row, "state"))).collect()
    }
}

fn event(id: &str, value: &Value) -> Value {
    of_type(SAVED, id, value)
}

fn of_type(code: &str, id: &str, value: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": format!("cloud-{id}"), "source": "urn:uuid:1", "type": code,
        "datacontenttype": "application/json", "time": "2026-03-01T10:15:30.120Z",
        "eventid": id, "event_id": id, "recipientclientid": OURS, "recipient_client_id": OURS,
        "data": { "key": format!("key-{id}"), "source": "acme.production", "value": value,
                  "_metadata": { "eventsClientVersion": "1.22.1", "storeId": "1" } }
    })
}

fn order(number: u32) -> Value {
    orders::rest(&format!("{number:09}"), "24-WG085", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_echoed_as_plain_text_and_only_by_an_events_origin() {
    let events = Events::start().await;
    let echoed = events.gets("/in/events?challenge=8ec8d794-e0ab_42").await;
    assert_eq!((echoed.status, echoed.text.as_str()), (200, "8ec8d794-e0ab_42"));
    assert_eq!(echoed.headers["content-type"], "text/plain");
    assert_eq!(echoed.headers["x-content-type-options"], "nosniff");
    for bad in ["", "?challenge=", "?challenge=%3Cscript%3E", "?challenge=a&challenge=b"] {
        is_problem(bad, &events.gets(&format!("/in/events{bad}")).await, 400);
    }
    for other in ["/in/hooks?challenge=a", "/in/flows?challenge=a", "/in/nobody?challenge=a"] {
        let answer = events.gets(other).await;
        is_problem(other, &answer, 405);
        assert_eq!(answer.headers["allow"], "POST", "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_by_address_is_noted_and_nothing_is_called() {
    let events = Events::start().await;
    let url = "https://csm.adobe.io/csm/registrations/validate?id=1&challenge=2";
    let noted = events.app.posts("/in/events", json!({ "validationUrl": url }).to_string(), &[]).await;
    assert_eq!(noted.status, 200, "{}", noted.text);
    let body = json!({ "validationUrl": events.keys.url() }).to_string();
    is_refusal_without_reason("another host", &events.app.posts("/in/events", body, &[]).await);
    let body = json!({ "validationUrl": url }).to_string();
    is_refusal_without_reason("another origin", &events.app.posts("/in/hooks", body, &[]).await);
    assert!(events.keys.asked().is_empty());
    assert_eq!(events.app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_2_every_shape_is_one_envelope_an_event_and_comes_through_once() {
    let events = Events::start().await;
    let plain = event("e-1", &order(1));
    for (case, body) in [
        ("single", plain.clone()),
        ("again", plain.clone()),
        ("array", json!([plain])),
        ("journal entry", json!({ "position": "p", "event": plain })),
        ("journal page", json!({ "events": [{ "position": "p", "event": plain }], "_page": { "count": 1 } })),
        ("wrapped", json!({ "eventid": "e-1", "event": { "body": plain }, "recipientclientid": OURS })),
    ] {
        let answer = events.pushes(&body).await;
        assert_eq!(answer.status, 200, "{case}: {}", answer.text);
        assert_eq!(events.app.stored().await, 1, "{case}");
    }
    let mut old = event("e-2", &order(2));
    let mut new = event("e-3", &order(3));
    for name in ["eventid", "recipientclientid"] {
        old.as_object_mut().unwrap().remove(name);
    }
    for name in ["event_id", "recipient_client_id"] {
        new.as_object_mut().unwrap().remove(name);
    }
    // A batch with neighbours known and new, one of them twice.
    let batch = json!([plain, old, new, old, event("e-4", &order(4))]);
    assert_eq!(events.pushes(&batch).await.status, 200);
    assert_eq!(events.pushes(&batch).await.status, 200, "a retry of the batch");
    assert_eq!(events.app.stored().await, 4);
    for number in 1..=4 {
        let number = format!("{number:09}");
        events.app.order_is(&number, "delivered").await;
        assert_eq!(events.app.erp.find(&number).len(), 1);
    }
    assert_eq!(events.stored().await, vec![("order".to_owned(), "done".to_owned()); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ans_2_an_authentic_event_is_never_refused_for_its_content() {
    let events = Events::start().await;
    let known = event("e-1", &order(1));
    assert_eq!(events.pushes(&known).await.status, 200);
    for (case, body) in [
        ("other content under a known id", event("e-1", &order(2)).to_string()),
        ("an unknown code", of_type("com.adobe.commerce.observer.brand_new", "e-2", &json!({ "a": 1 })).to_string()),
        (
            "a part of an order",
            of_type(
                "com.adobe.commerce.observer.sales_order_status_history_save_after",
                "e-3",
                &json!({ "entity_id": "9", "status": "new" }),
            )
            .to_string(),
        ),
        ("no value", event("e-4", &Value::Null).to_string()),
        ("not JSON", format!("{{\"recipientclientid\":\"{OURS}\",")),
        ("nothing", "[]".to_owned()),
    ] {
        let answer = events.pushes(body).await;
        assert_eq!(answer.status, 200, "{case}: {}", answer.text);
    }
    let stored = events.stored().await;
    let states: Vec<&str> = stored.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(states, ["exception", "exception", "ignored", "exception", "exception"], "{stored:?}");
    let open = events.app.sees("/api/v1/exceptions").await;
    let codes: BTreeSet<&str> =
        open["items"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, BTreeSet::from(["event_id_conflict", "unreadable_payload"]));
    assert_eq!(events.app.metric("intake_missed_pushes_total{origin=\"events\"}").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_6_one_event_for_somebody_else_refuses_the_whole_batch_and_nothing_is_stored() {
    let events = Events::start().await;
    let mut theirs = event("e-2", &order(2));
    theirs["recipientclientid"] = json!("ffffffffffffffffffffffffffffffff");
    let refused = events.pushes(json!([event("e-1", &order(1)), theirs, event("e-3", &order(3))])).await;
    is_refusal_without_reason("one of three", &refused);
    assert_eq!(events.app.stored().await, 0);
    // It was signed by Adobe, so something was lost: the journal is to be read, once.
    is_refusal_without_reason("again", &events.pushes(&theirs).await);
    assert_eq!(events.app.metric("intake_missed_pushes_total{origin=\"events\"}").await, 1.0);
    assert_eq!(events.app.metric("intake_refused_total{origin=\"events\",reason=\"unauthenticated\"}").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ans_2_a_stranger_without_adobes_headers_causes_no_read_of_the_journal() {
    let events = Events::start().await;
    let body = event("e-1", &order(1)).to_string();
    is_refusal_without_reason("unsigned", &events.app.posts("/in/events", body.clone(), &[]).await);
    let legacy = [("x-adobe-signature", "c2lnbmVk")];
    is_refusal_without_reason("legacy only", &events.app.posts("/in/events", body.clone(), &legacy).await);
    assert_eq!(events.app.metric("intake_missed_pushes_total{origin=\"events\"}").await, 0.0);
    let twice = [("x-adobe-event-id", "a"), ("x-adobe-event-id", "b")];
    is_refusal_without_reason("two ids", &events.pushes_with(&body, &twice).await);
    is_problem("too large", &events.pushes("a".repeat(5 << 20)).await, 413);
    assert_eq!(
        events.app.metric("intake_missed_pushes_total{origin=\"events\"}").await,
        1.0,
        "both carried signatures"
    );
    assert_eq!(events.app.stored().await, 0);
    assert_eq!(events.pushes_with(&body, &[("x-adobe-event-id", "e-1")]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_6_while_the_key_host_is_away_adobe_is_told_to_come_again() {
    let mut events = Events::start().await;
    events.keys.goes_down().await;
    let body = event("e-1", &order(1));
    let away = events.pushes(&body).await;
    is_problem("away", &away, 503);
    assert_eq!(away.headers["retry-after"], "60");
    assert_eq!(events.app.stored().await, 0);
    assert_eq!(events.app.metric("intake_refused_total{origin=\"events\",reason=\"unverifiable\"}").await, 1.0);
    assert_eq!(events.app.metric("intake_missed_pushes_total{origin=\"events\"}").await, 0.0);
    events.keys.comes_back().await;
    // Remembered for a minute, which the unit tests let pass; new keys are asked for at once.
    events.adobe.rotate(0);
    events.keys.publishes(events.adobe.published());
    assert_eq!(events.pushes(&body).await.status, 200);
    // And the other way round: known keys need no host.
    events.keys.goes_down().await;
    assert_eq!(events.pushes(event("e-2", &order(2))).await.status, 200);
    assert_eq!(events.app.stored().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_6_a_key_host_that_redirects_or_sends_too_much_is_as_good_as_away() {
    let events = Events::start().await;
    let [(first, pem), (second, _)] = events.adobe.published();
    events.keys.says("/other.pem", Says::Text(pem.clone()));
    events.keys.says(&first, Says::Redirect("/other.pem".to_owned()));
    events.keys.says(&second, Says::Text(format!("{pem}{}", " ".repeat(20_000))));
    is_problem("neither", &events.pushes(event("e-1", &order(1))).await, 503);
    assert!(!events.keys.asked().contains(&"/other.pem".to_owned()));
    assert_eq!(events.app.metric("intake_signing_keys_unread_total{origin=\"events\"}").await, 2.0);
    assert_eq!(events.app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_6_keys_rotate_one_after_the_other_without_a_refusal() {
    let mut events = Events::start().await;
    for number in 1..=6_u32 {
        assert_eq!(events.pushes(event(&format!("e-{number}"), &order(number))).await.status, 200, "{number}");
        events.adobe.rotate(usize::from(number % 2 == 0));
        // The new key is published late: the other signature carries the pushes meanwhile.
        if number % 2 == 0 {
            events.keys.publishes(events.adobe.published());
        }
    }
    assert_eq!(events.app.stored().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_the_way_is_kept_beside_the_body() {
    let events = Events::start().await;
    let headers = [
        ("x-adobe-event-id", "e-1"),
        ("x-adobe-event-code", SAVED),
        ("x-adobe-provider", "provider-1"),
        ("x-adobe-delivery-id", "delivery-1"),
        ("x-adobe-retry-count", "2"),
        ("x-adobe-signature", "mark-of-a-signature"),
    ];
    assert_eq!(events.pushes_with(event("e-1", &order(1)), &headers).await.status, 200);
    let file = events.app.site.dir.path().join("crossdock.db");
    let found: Vec<u8> =
        [file.clone(), file.with_extension("db-wal")].iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    let holds = |text: &str| found.windows(text.len()).any(|window| window == text.as_bytes());
    for kept in [
        "\"x-adobe-delivery-id\":\"delivery-1\"",
        "\"x-adobe-retry-count\":\"2\"",
        "\"x-adobe-provider\":\"provider-1\"",
        "\"data-source\":\"acme.production\"",
        "\"data-key\":\"key-e-1\"",
        "\"events-client-version\":\"1.22.1\"",
    ] {
        assert!(holds(kept), "{kept}");
    }
    assert!(!holds("mark-of-a-signature"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_5_an_event_of_the_journal_and_the_same_event_pushed_are_one() {
    let events = Events::start().await;
    let intake = events.app.running.intake.clone();
    let first = event("e-1", &order(1));
    assert_eq!(events.pushes(&first).await.status, 200);
    let again = intake.take_journal_event("events", first.to_string().as_bytes()).await.unwrap();
    assert!(matches!(again, Receipt::Duplicate { .. }), "{again:?}");
    let second = event("e-2", &order(2));
    let entry = json!({ "position": "p-2", "event": second }).to_string();
    assert!(matches!(intake.take_journal_event("events", entry.as_bytes()).await.unwrap(), Receipt::First { .. }));
    assert_eq!(events.pushes(&second).await.status, 200);
    let other = event("e-2", &order(3)).to_string();
    let conflict = intake.take_journal_event("events", other.as_bytes()).await.unwrap();
    assert!(matches!(conflict, Receipt::Conflict { .. }), "{conflict:?}");
    events.app.order_is("000000002", "delivered").await;
    assert_eq!(events.app.erp.find("000000002").len(), 1);
    for broken in [&b"not json"[..], b"[]", b"7", b"{}"] {
        let parked = intake.take_journal_event("events", broken).await.unwrap();
        assert!(matches!(parked, Receipt::First { .. }), "{parked:?}");
    }
    assert!(intake.take_journal_event("hooks", b"{}").await.is_err());
    assert!(intake.take_journal_event("nobody", b"{}").await.is_err());
    assert_eq!(events.app.stored().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_was_answered_is_there_after_a_kill_and_its_retry_is_known() {
    let keys = KeyHost::start().await;
    let adobe = AdobeSigner::generate();
    keys.publishes(adobe.published());
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| with_events(&text, &keys));
    let client = reqwest::Client::new();
    let batch = json!([event("e-1", &order(1)), event("e-2", &order(2))]).to_string();
    let push = async |serve: &Serve| {
        let mut request = client.request(Method::POST, format!("http://{}/in/events", serve.address));
        for (name, value) in adobe.headers(batch.as_bytes()) {
            request = request.header(name, value);
        }
        request.body(batch.clone()).send().await.expect("an answer").status().as_u16()
    };
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    assert_eq!(push(&serve).await, 200);
    tokio::task::block_in_place(|| serve.kill());
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    assert_eq!(push(&serve).await, 200, "Adobe sends again what it believes lost");
    for number in ["000000001", "000000002"] {
        crate::support::until(number, async || (!erp.find(number).is_empty()).then_some(())).await;
        assert_eq!(erp.find(number).len(), 1, "{number}");
    }
    tokio::task::block_in_place(|| serve.kill());
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_6_many_pushes_at_once_wait_for_one_reading_of_a_slow_key() {
    let events = Events::start().await;
    for (path, pem) in events.adobe.published() {
        events.keys.says(&path, Says::Late(Duration::from_millis(500), pem));
    }
    let push = async |number: u32| events.pushes(event(&format!("e-{number}"), &order(number))).await.status;
    let all = tokio::join!(push(1), push(2), push(3), push(4), push(5), push(6), push(7), push(8));
    assert_eq!(all, (200, 200, 200, 200, 200, 200, 200, 200));
    assert_eq!(events.keys.asked().len(), 2, "{:?}", events.keys.asked());
}
