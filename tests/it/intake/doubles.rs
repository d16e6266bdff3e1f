//! The same thing twice: one envelope, one effect (DED-1, DED-2, DED-5).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{API_KEY, STANDARD_SECRET, TestApp, is_problem, orders};

fn order(quantity: u32) -> Value {
    orders::rest("000000042", "24-WG085", quantity)
}

/// The same value with members in the opposite order and a space wherever JSON allows one.
fn spelt_anew(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let parts: Vec<String> =
                members.iter().rev().map(|(name, value)| format!("{} : {}", json!(name), spelt_anew(value))).collect();
            format!("{{ {} }}", parts.join(" ,\n\t"))
        }
        Value::Array(items) => format!("[ {} ]", items.iter().map(spelt_anew).collect::<Vec<_>>().join(" , ")),
        Value::String(text) => {
            let escaped = text.encode_utf16().fold(String::new(), |all, unit| all + &format!("\\u{unit:04x}"));
            format!("\"{escaped}\"")
        }
        other => other.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_2_the_same_content_however_spelt_is_a_duplicate_with_the_first_id() {
    let app = TestApp::start().await;
    let body = order(2).to_string();
    let first = app.patchworks_sends(body.clone()).await.json()["event_id"].clone();
    for again in [body, spelt_anew(&order(2)), format!("\n\n {} \r\n", order(2))] {
        let answer = app.patchworks_sends(again).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!((&answer.json()["event_id"], &answer.json()["status"]), (&first, &json!("duplicate")));
    }
    app.settled().await;
    assert_eq!(app.stored().await, 1);
    assert_eq!(app.erp.counts().requests, 1);
    let event = app.sees(&format!("/api/v1/events/{}", first.as_str().unwrap())).await;
    assert_eq!(event["duplicates"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_2_changed_content_is_a_new_event_and_never_a_second_order() {
    let app = TestApp::start().await;
    let first = app.patchworks_sends(order(2).to_string()).await;
    let mut later = order(2);
    later["status"] = json!("processing");
    later["updated_at"] = json!("2026-03-01 11:00:00");
    let second = app.patchworks_sends(later.to_string()).await;
    assert_eq!((first.status, second.status), (202, 202), "{}", second.text);
    assert_ne!(first.json()["event_id"], second.json()["event_id"]);
    app.settled().await;
    assert_eq!(app.stored().await, 2);
    assert_eq!((app.erp.counts().applied, app.erp.counts().key_reused), (1, 0), "ded_5: one key, one order");
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_1_an_explicit_id_with_other_content_is_a_conflict() {
    let app = TestApp::with(|text| {
        text.replacen("type = \"patchworks\"", "type = \"patchworks\"\nevent_id_header = \"X-Event-Id\"", 1)
    })
    .await;
    let headers = [("x-api-key", API_KEY), ("x-event-id", "run-7")];
    let path = "/in/flows/orders";
    let first = app.posts(path, order(2).to_string(), &headers).await;
    assert_eq!(first.status, 202);
    let again = app.posts(path, spelt_anew(&order(2)), &headers).await;
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("duplicate")));
    let other = app.posts(path, order(3).to_string(), &headers).await;
    is_problem("other content", &other, 409);
    assert_eq!(other.json()["status"], "rejected");
    assert_eq!(other.json()["event_id"], first.json()["event_id"], "what stands");
    let another = [("x-api-key", API_KEY), ("x-event-id", "run-8")];
    assert_eq!(app.posts(path, order(2).to_string(), &another).await.status, 202, "another id is another event");
    app.settled().await;
    assert_eq!((app.stored().await, app.erp.counts().applied), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_2_a_webhook_id_is_the_event_id() {
    let app = TestApp::start().await;
    let send = async |id: &str, body: String| {
        let now = jiff::Timestamp::now().as_second();
        let signature =
            crossdock::intake::signature::sign::standard_webhooks(STANDARD_SECRET, id, now, body.as_bytes()).unwrap();
        let now = now.to_string();
        let headers = [("webhook-id", id), ("webhook-timestamp", &*now), ("webhook-signature", &*signature)];
        app.posts("/in/flows/orders", body, &headers).await.status
    };
    assert_eq!(send("msg_1", order(2).to_string()).await, 202);
    assert_eq!(send("msg_1", order(2).to_string()).await, 200);
    assert_eq!(send("msg_1", order(3).to_string()).await, 409);
    assert_eq!(send("msg_2", order(3).to_string()).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_1_thirty_two_at_once_make_one_envelope_and_one_effect() {
    let app = Arc::new(TestApp::start().await);
    for round in 0..4_u32 {
        let body = Arc::new(orders::rest(&format!("{:09}", 500 + round), "24-WG085", 2).to_string());
        let barrier = Arc::new(tokio::sync::Barrier::new(32));
        let senders: Vec<_> = (0..32)
            .map(|_| {
                let (app, body, barrier) = (app.clone(), body.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    let answer = app.patchworks_sends(body.as_str()).await;
                    (answer.status, answer.json()["event_id"].as_str().unwrap().to_owned())
                })
            })
            .collect();
        let mut answers = Vec::new();
        for sender in senders {
            answers.push(sender.await.unwrap());
        }
        assert_eq!(answers.iter().filter(|(status, _)| *status == 202).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 31);
        assert!(answers.iter().all(|(_, id)| *id == answers[0].1), "one id for all");
        app.settled().await;
        assert_eq!(app.stored().await, u64::from(round) + 1);
        assert_eq!(app.erp.counts().requests, u64::from(round) + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ded_1_one_order_twice_in_one_batch_is_accepted_once() {
    let app = TestApp::start().await;
    let answer = app.patchworks_sends(json!([order(2), order(2)]).to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["results"][0]["status"], "accepted");
    assert_eq!(body["results"][1]["status"], "duplicate");
    assert_eq!(body["results"][0]["event_id"], body["results"][1]["event_id"]);
    app.settled().await;
    assert_eq!((app.stored().await, app.erp.counts().applied), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_orders_of_one_number_in_two_stores_are_two_orders() {
    let app = TestApp::start().await;
    let mut other = order(2);
    other["store_id"] = json!(2);
    app.patchworks_sends(order(2).to_string()).await;
    app.patchworks_sends(other.to_string()).await;
    app.settled().await;
    assert_eq!(app.erp.find("000000042").len(), 2);
    assert_eq!(app.erp.counts().doubled, 0);
    assert_eq!(app.order("000000042").await["also"].as_array().unwrap().len(), 1);
}
