//! Profiles whose other side cannot be asked: `patchworks` starts flows, `pick-list` hands a warehouse its view of an order.

use std::sync::{Arc, Mutex};

use crossdock::intake::signature::sign::{hmac_hex, standard_webhooks};
use serde_json::{Value, json};

use crate::contract::{Profile, one, orders, send, service};
use crate::office::{Asked, Booked, Fault, Office, Reply, System};
use crate::support::{TestApp, until};

/// Keeps what it is sent, once for each key if it honours keys.
#[derive(Default)]
struct Box {
    honours_keys: bool,
    got: Mutex<Vec<(String, Value)>>,
}

impl System for Box {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("authorization").is_empty() {
            return Reply::json(401, &json!({ "message": "Unauthenticated." }));
        }
        let key = asked.header("idempotency-key").to_owned();
        let mut got = self.got.lock().unwrap();
        if !(self.honours_keys && got.iter().any(|(known, _)| *known == key)) {
            got.push((key, asked.json()));
        }
        Reply::json(
            200,
            &json!({ "message": "Flow initialised.", "data": { "id": format!("run-{}", got.len()) }, "id": got.len() }),
        )
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST"
    }

    fn orders(&self) -> Vec<Booked> {
        Vec::new()
    }

    fn has_already(&self, _: &str, _: &str, _: &str) {}

    fn forgets(&self, _: &str) -> bool {
        false
    }

    fn learns(&self, _: &str) {}
}

async fn beside(system: &Arc<Box>, config: &'static str, path: &'static str) -> (TestApp, Office) {
    let never = Reply::json(500, &Value::Null);
    let profile = Profile {
        system: system.clone(),
        config,
        path,
        permanent: never.clone(),
        throttled: never.clone(),
        transient: never.clone(),
        unauthorized: never,
        error_inside: None,
    };
    service(&profile).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_started_with_the_document_and_its_run_is_the_receipt() {
    let system = Arc::new(Box::default());
    let config = "profile = \"patchworks\"\nauth = { type = \"header\", name = \"Authorization\", value = \"pw-key-0123456789\" }\nsignature = { type = \"hmac\", secret = \"hmac-secret-of-the-flow-0123456789\" }\nwith = { flow = \"flow-7\" }\n";
    let (app, office) = beside(&system, config, "").await;
    let (number, order) = one();
    send(&app, &order).await;
    let told = app.order_is(number, "delivered").await;
    assert_eq!(told["deliveries"][0]["receipt"], "run-1", "{told}");
    let asked = office.log().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/api/v1/flows/flow-7/start/raw"));
    assert_eq!(asked.header("x-hmac-hash"), hmac_hex("hmac-secret-of-the-flow-0123456789", asked.text.as_bytes()));
    let id = told["documents"][0]["id"].as_str().unwrap();
    let document = app.sees(&format!("/api/v1/documents/{id}")).await;
    let body = if document["body"].is_object() { document["body"].clone() } else { document };
    assert_eq!(asked.json(), body, "the document as it is");

    // Nobody can be asked whether a flow ran: what is in doubt waits for a person.
    let (other, order) = orders().into_iter().find(|(other, _)| *other != number).unwrap();
    office.when_creating([Fault::DoAndDrop]);
    send(&app, &order).await;
    let exception = until("it waits", async || app.exceptions_of(other).await.pop()).await;
    assert_eq!(exception["code"], "outcome_uncertain", "{exception}");

    // Nothing is deployed.
    let (third, order) = orders().into_iter().filter(|(one, _)| *one != number && *one != other).nth(1).unwrap();
    office.when_creating([Fault::Say(Reply::json(422, &json!({ "message": "No deployed version" })))]);
    send(&app, &order).await;
    let exception = until("it waits", async || app.exceptions_of(third).await.pop()).await;
    assert!(exception["message"].as_str().unwrap().contains("No deployed version"), "{exception}");
    assert!(!app.sees("/api/v1/deliveries").await.to_string().contains("pw-key"), "the key is told nowhere");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_gets_what_ships_in_words_and_no_money() {
    let system = Arc::new(Box { honours_keys: true, ..Box::default() });
    let config = "profile = \"pick-list\"\nkey_window = \"24h\"\nsignature = { type = \"standard-webhooks\", secret = [\"whsec_dGVzdC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=\", \"whsec_bmV4dC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=\"] }\nauth = { type = \"bearer\", token = \"0123456789abcdef\" }\n";
    let (app, office) = beside(&system, config, "/pick-lists").await;
    for (place, (number, order)) in orders().into_iter().enumerate() {
        if place == 0 {
            office.when_creating([Fault::DoAndDrop]);
        }
        send(&app, &order).await;
        app.order_is(number, "delivered").await;
    }
    for asked in office.log() {
        let (id, seconds) = (asked.header("webhook-id"), asked.header("webhook-timestamp").parse().unwrap());
        let both = ["whsec_dGVzdC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=", "whsec_bmV4dC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM="]
            .map(|secret| standard_webhooks(secret, id, seconds, asked.text.as_bytes()).unwrap());
        assert_eq!(asked.header("webhook-signature"), both.join(" "));
        assert_eq!(id, asked.header("crossdock-delivery"), "the same at every attempt");
    }
    let got = system.got.lock().unwrap().clone();
    assert_eq!(got.len(), orders().len(), "a lost answer makes no second list");
    let list = |number: &str| {
        let found = got.iter().find(|(_, list)| list["order"]["increment_id"] == number);
        found.expect("the list is there").1.clone()
    };
    let engraved = list("100000104");
    assert_eq!(engraved["schema"], "crossdock.pick_list.v1");
    let lines = engraved["lines"].as_array().unwrap();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["bundle"].is_string()), "{engraved}");
    let instructions = lines.iter().flat_map(|line| line["instructions"].as_array().unwrap());
    assert!(instructions.clone().any(|words| words.as_str().unwrap().contains(": ")), "{engraved}");
    assert_eq!(list("100000106")["lines"], json!([]), "of a class, a download and a gift card nothing ships");
    for (_, list) in &got {
        let text = list.to_string();
        for word in ["\"net\"", "\"tax\"", "\"total\"", "grand_total", "unit_price"] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    app.stop().await;
}
