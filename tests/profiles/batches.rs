//! Records sent together to a flow that takes lists and tells records apart: one operation, and still one fate for each.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossdock::intake::signature::sign::hmac_hex;
use serde_json::{Value, json};

use crate::contract::{Profile, orders, send, service};
use crate::office::{Asked, Booked, Fault, Office, Reply, System};
use crate::support::{TestApp, until};

const SECRET: &str = "hmac-secret-of-the-flow-0123456789";

/// A flow behind a de-dupe shape: a record that it has seen does nothing again.
#[derive(Default)]
struct Flow {
    got: Mutex<BTreeSet<String>>,
    /// The order that it cannot take.
    refuses: Mutex<Option<String>>,
    /// Answers for each as a callback does; among others this order is left out.
    calls_back_but_for: Option<&'static str>,
}

fn numbers(asked: &Asked) -> Vec<String> {
    let list = asked.json();
    let list = list.as_array().unwrap_or_else(|| panic!("always a list: {}", asked.text));
    list.iter().map(|one| one["order"]["increment_id"].as_str().unwrap().to_owned()).collect()
}

impl System for Flow {
    fn answer(&self, asked: &Asked) -> Reply {
        let numbers = numbers(asked);
        let refuses = self.refuses.lock().unwrap().clone();
        let is_refused = |number: &String| refuses.as_ref() == Some(number);
        if self.calls_back_but_for.is_none() && numbers.iter().any(is_refused) {
            return Reply::json(422, &json!({ "message": "Anna Weber has no postcode" }));
        }
        self.got.lock().unwrap().extend(numbers.iter().filter(|number| !is_refused(number)).cloned());
        let Some(silent) = self.calls_back_but_for else {
            return Reply::json(202, &json!({ "message": "Accepted" }));
        };
        let entry = |number: &String| {
            if is_refused(number) {
                json!({ "increment_id": number, "error": { "message": "The ERP has no such customer" } })
            } else {
                json!({ "increment_id": number, "number": format!("SO-{number}") })
            }
        };
        let spoken_of = numbers.iter().filter(|number| numbers.len() == 1 || *number != silent);
        Reply::json(200, &spoken_of.map(entry).collect::<Vec<_>>().into())
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST"
    }

    fn orders(&self) -> Vec<Booked> {
        let booked = |reference: &String| Booked {
            reference: reference.clone(),
            number: String::new(),
            total: String::new(),
            finished: true,
        };
        self.got.lock().unwrap().iter().map(booked).collect()
    }

    fn has_already(&self, _: &str, _: &str, _: &str) {}

    fn forgets(&self, _: &str) -> bool {
        false
    }

    fn learns(&self, _: &str) {}
}

const WEBHOOK: &str = r#"profile = "patchworks-webhook"
auth = { type = "query", name = "patchworks_signature", value = "s1gn&ture" }
signature = { type = "hmac", secret = "hmac-secret-of-the-flow-0123456789" }
guard = "key"
key_window = "2160h"
batch = { up_to = 5, wait = "400ms" }
"#;

const CALLBACK: &str = r#"profile = "patchworks-callback"
auth = { type = "query", name = "patchworks_signature", value = "s1gn&ture" }
guard = "key"
key_window = "2160h"
batch = { up_to = 50, wait = "400ms" }
"#;

async fn beside(flow: &Arc<Flow>, config: &'static str) -> (TestApp, Office) {
    let refusal = Reply::json(422, &json!({}));
    let profile = Profile {
        system: Arc::clone(flow) as Arc<dyn System>,
        config,
        path: "/flows/f1",
        permanent: refusal.clone(),
        throttled: refusal.clone(),
        transient: refusal.clone(),
        unauthorized: refusal,
        error_inside: None,
    };
    service(&profile).await
}

/// The first so many orders of the tour, sent at once.
async fn send_some(app: &TestApp, count: usize) -> Vec<&'static str> {
    let some: Vec<_> = orders().into_iter().take(count).collect();
    assert_eq!(some.len(), count, "the tour has that many");
    for (_, order) in &some {
        send(app, order).await;
    }
    some.into_iter().map(|(number, _)| number).collect()
}

async fn attempts(app: &TestApp, number: &str) -> Vec<Value> {
    let order = app.order(number).await;
    let id = order["deliveries"][0]["id"].as_str().expect("a delivery");
    app.sees(&format!("/api/v1/deliveries/{id}")).await["attempts_made"].as_array().expect("attempts").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_wait_for_each_other_are_one_operation() {
    let flow: Arc<Flow> = Arc::default();
    let (app, office) = beside(&flow, WEBHOOK).await;
    let sent_at = Instant::now();
    let sent = send_some(&app, 8).await;
    for number in &sent {
        app.order_is(number, "delivered").await;
    }
    let log = office.log();
    assert!(log[0].at.duration_since(sent_at) >= Duration::from_millis(300), "the first waits for company");
    assert!((2..=4).contains(&log.len()), "five at most in each: {}", log.len());
    let mut seen: Vec<String> = log.iter().flat_map(numbers).collect();
    seen.sort();
    let mut expected = sent.clone();
    expected.sort_unstable();
    assert_eq!(seen, expected, "each once");
    let together = log.iter().find(|asked| numbers(asked).len() > 1).expect("some go together");
    assert!(together.header("idempotency-key").starts_with("batch-"), "{:?}", together.headers);
    assert_eq!(together.header("crossdock-delivery").split(',').count(), numbers(together).len());
    assert_eq!(together.header("x-hmac-hash"), hmac_hex(SECRET, together.text.as_bytes()), "signed as it is sent");
    let attempt = attempts(&app, &numbers(together)[0]).await.remove(0);
    let told = attempt["detail"].as_str().unwrap();
    assert!(told.contains(&format!("one of {} in batch-", numbers(together).len())), "{attempt}");

    // One alone is a list too, under its own key, and a batch never waits for ever.
    let (number, order) = orders().into_iter().nth(8).unwrap();
    send(&app, &order).await;
    app.order_is(number, "delivered").await;
    let last = office.log().pop().unwrap();
    assert_eq!(numbers(&last), [number]);
    assert!(!last.header("idempotency-key").starts_with("batch-"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_spoils_one_request_and_only_itself() {
    let flow: Arc<Flow> = Arc::default();
    let bad = orders()[2].0;
    *flow.refuses.lock().unwrap() = Some(bad.to_owned());
    let (app, office) = beside(&flow, WEBHOOK).await;
    let sent = send_some(&app, 5).await;
    let exception = until("the bad one waits", async || app.exceptions_of(bad).await.pop()).await;
    assert_eq!(exception["code"], "rejected_by_destination", "{exception}");
    for number in sent.iter().filter(|number| **number != bad) {
        app.order_is(number, "delivered").await;
        assert!(app.exceptions_of(number).await.is_empty());
        // What was said of somebody else is no record of this one.
        let first = attempts(&app, number).await.remove(0);
        assert!(!first.to_string().contains("Anna Weber"), "{first}");
        assert!(first["detail"].as_str().unwrap().contains("each goes alone now"), "{first}");
    }
    let log = office.log();
    assert_eq!(numbers(&log[0]).len(), 5);
    assert!(log[1..].iter().all(|asked| numbers(asked).len() == 1), "then each alone");
    assert_eq!(log.len(), 6, "once each");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_2_after_a_lost_answer_each_is_sent_again_alone_with_the_same_bytes() {
    let flow: Arc<Flow> = Arc::default();
    let (app, office) = beside(&flow, WEBHOOK).await;
    office.when_creating([Fault::DoAndDrop]);
    let sent = send_some(&app, 4).await;
    for number in &sent {
        app.order_is(number, "delivered").await;
        assert!(app.exceptions_of(number).await.is_empty());
    }
    let log = office.log();
    assert_eq!(log.len(), 5);
    let whole = log[0].text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap();
    for asked in &log[1..] {
        let own = asked.text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap();
        assert!(whole.contains(own), "KEY-5");
    }
    let keys: BTreeSet<&str> = log.iter().map(|asked| asked.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 5);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_throttled_goes_together_again_at_no_charge() {
    let flow: Arc<Flow> = Arc::default();
    let (app, office) = beside(&flow, WEBHOOK).await;
    office.when_creating([Fault::Say(Reply::json(429, &json!({})).with("retry-after", "1"))]);
    let sent = send_some(&app, 4).await;
    for number in &sent {
        app.order_is(number, "delivered").await;
    }
    let log = office.log();
    let sizes: Vec<usize> = log.iter().map(|asked| numbers(asked).len()).collect();
    // Each waits a little longer than the other, so that not all need to be there when the first may go.
    assert_eq!((sizes[0], sizes[1..].iter().sum::<usize>()), (4, 4), "{sizes:?}");
    assert!(sizes.len() < 5, "{sizes:?}");
    assert!(log[1].at.duration_since(log[0].at) >= Duration::from_millis(900));
    let delivery = &app.order(sent[0]).await["deliveries"][0];
    assert_eq!(delivery["failures"].as_u64().unwrap_or_default(), 0, "free of charge: {delivery}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_answers_for_each_settles_each() {
    let (bad, silent) = (orders()[1].0, orders()[3].0);
    let flow = Arc::new(Flow { calls_back_but_for: Some(silent), ..Flow::default() });
    *flow.refuses.lock().unwrap() = Some(bad.to_owned());
    let (app, office) = beside(&flow, CALLBACK).await;
    let sent = send_some(&app, 6).await;
    let exception = until("the bad one waits", async || app.exceptions_of(bad).await.pop()).await;
    assert!(exception["message"].as_str().unwrap().contains("The ERP has no such customer"), "{exception}");
    for number in sent.iter().filter(|number| **number != bad) {
        let order = app.order_is(number, "delivered").await;
        assert_eq!(order["deliveries"][0]["receipt"], format!("SO-{number}"), "{order}");
    }
    // Of the one that the answer left out nobody knew, so it was asked again, alone; nobody else was.
    let log = office.log();
    assert_eq!(log.iter().map(|asked| numbers(asked).len()).collect::<Vec<_>>(), [6, 1]);
    assert_eq!(numbers(&log[1]), [silent]);
    let tried = attempts(&app, silent).await;
    assert_eq!(tried[0]["outcome"], "uncertain", "{tried:?}");
    let own = attempts(&app, sent[0]).await.remove(0);
    assert!(!own.to_string().contains(sent[5]), "an entry of the answer is its record, not the answer: {own}");
    app.stop().await;
}
