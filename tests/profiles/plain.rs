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
        if asked.header("authorization").is_empty() && asked.param("patchworks_signature").is_empty() {
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
        let booked = |(key, handed): &(String, Value)| Booked {
            reference: handed["order"]["increment_id"].as_str().unwrap_or_default().to_owned(),
            number: key.clone(),
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

async fn beside(system: Arc<dyn System>, config: &'static str, path: &'static str) -> (TestApp, Office) {
    service(&handing(system, config, path)).await
}

fn handing(system: Arc<dyn System>, config: &'static str, path: &'static str) -> Profile {
    let never = Reply::json(500, &Value::Null);
    Profile {
        system,
        config,
        path,
        permanent: never.clone(),
        throttled: never.clone(),
        transient: never.clone(),
        unauthorized: never,
        error_inside: None,
    }
}

/// Every profile whose other side cannot be asked.
pub fn patchworks() -> Profile {
    let config = "profile = \"patchworks\"\nauth = { type = \"header\", name = \"Authorization\", value = \"pw-key-0123456789\" }\nwith = { flow = \"flow-7\" }\n";
    handing(Arc::<Box>::default(), config, "")
}

pub fn patchworks_webhook() -> Profile {
    let config = "profile = \"patchworks-webhook\"\nauth = { type = \"query\", name = \"patchworks_signature\", value = \"s1gn&ture\" }\n";
    handing(Arc::<Box>::default(), config, "/webhooks/w1")
}

pub fn patchworks_callback() -> Profile {
    let config = "profile = \"patchworks-callback\"\nauth = { type = \"query\", name = \"patchworks_signature\", value = \"s1gn&ture\" }\n";
    handing(Arc::<Box>::default(), config, "/callbacks/c1")
}

pub fn pick_list() -> Profile {
    let config =
        "profile = \"pick-list\"\nkey_window = \"24h\"\nauth = { type = \"bearer\", token = \"0123456789abcdef\" }\n";
    handing(Arc::new(Box { honours_keys: true, ..Box::default() }), config, "/pick-lists")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_started_with_the_document_and_its_run_is_the_receipt() {
    let system: Arc<Box> = Arc::default();
    let config = "profile = \"patchworks\"\nauth = { type = \"header\", name = \"Authorization\", value = \"pw-key-0123456789\" }\nsignature = { type = \"hmac\", secret = \"hmac-secret-of-the-flow-0123456789\" }\nwith = { flow = \"flow-7\" }\n";
    let (app, office) = beside(system.clone(), config, "").await;
    let (number, order) = one();
    send(&app, &order).await;
    let told = app.order_is(number, "delivered").await;
    assert_eq!(told["deliveries"][0]["receipt"], "run-1", "{told}");
    let asked = office.log().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/api/v1/flows/flow-7/start/raw"));
    assert_eq!(asked.header("x-hmac-hash"), hmac_hex("hmac-secret-of-the-flow-0123456789", asked.text.as_bytes()));
    let id = told["documents"][0]["id"].as_str().unwrap();
    let why = json!({ "reason": "compared with what was sent" });
    let document = app.asks(reqwest::Method::POST, &format!("/api/v1/documents/{id}/reveal"), Some(&why)).await.json();
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

/// Patchworks' three hosts in one: start API and core API, a webhook, a callback.
#[derive(Default)]
struct Flows {
    /// How often each run was asked for before it had ended.
    asked: Mutex<usize>,
    runs: Mutex<Vec<Value>>,
}

impl System for Flows {
    fn answer(&self, asked: &Asked) -> Reply {
        let signed =
            asked.param("patchworks_signature") == "s1gn&ture" || asked.header("authorization") == "pw-key-0123456789";
        if !signed {
            return Reply::json(403, &json!({ "message": "Forbidden" }));
        }
        let mut runs = self.runs.lock().unwrap();
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", path) => {
                assert!(path.starts_with("/core/flow-runs/run-"), "{path}");
                let mut times = self.asked.lock().unwrap();
                *times += 1;
                let run: usize = path.rsplit('-').next().unwrap().parse().unwrap();
                let failed = runs[run - 1]["order"]["increment_id"] == "100000102";
                let attributes = match *times {
                    1 => return Reply::json(404, &json!({ "message": "Not found" })),
                    2 => json!({ "status": 1, "finished_at": null }),
                    _ if failed => json!({ "status": 3, "finished_at": "2026-03-02T12:00:00Z" }),
                    _ => json!({ "status": 2, "finished_at": "2026-03-02T12:00:00Z" }),
                };
                Reply::json(200, &json!({ "data": { "attributes": attributes } }))
            }
            ("POST", "/callbacks/c1") => {
                let order = asked.json();
                if order["order"]["increment_id"] == "100000102" {
                    return Reply::json(200, &json!([{ "error": { "message": "The ERP has no such customer" } }]));
                }
                runs.push(order);
                Reply::json(200, &json!([{ "number": format!("SO-{}", runs.len()) }]))
            }
            ("POST", "/webhooks/w1") => {
                runs.push(asked.json());
                Reply::text(202, "text/plain", "thank you")
            }
            _ => {
                runs.push(asked.json());
                Reply::json(200, &json!({ "data": { "id": format!("run-{}", runs.len()) } }))
            }
        }
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

async fn flows(config: &'static str, path: &'static str) -> (TestApp, Office, Arc<Flows>) {
    let system = Arc::new(Flows::default());
    let (app, office) = beside(system.clone(), config, path).await;
    (app, office, system)
}

const KEY: &str = "profile = \"patchworks\"\nauth = { type = \"header\", name = \"Authorization\", value = \"pw-key-0123456789\" }\nwith = { flow = \"flow-7\", core_url = \"OFFICE/core\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_asked_about_until_it_has_ended_and_a_failed_one_is_told() {
    let (app, office, _) = flows(KEY, "").await;
    let (number, order) = one();
    send(&app, &order).await;
    let told = app.order_is(number, "delivered").await;
    assert_eq!(told["deliveries"][0]["receipt"], "run-1", "{told}");
    let posts = |office: &Office| office.log().iter().filter(|asked| asked.method == "POST").count();
    assert_eq!((posts(&office), office.log().len()), (1, 4), "started once; not shown, running, ended");

    let (failing, order) = orders().into_iter().find(|(number, _)| *number == "100000102").unwrap();
    send(&app, &order).await;
    let exception = until("it waits", async || app.exceptions_of(failing).await.pop()).await;
    assert_eq!(exception["code"], "rejected_by_destination", "{exception}");
    assert!(exception["message"].as_str().unwrap().contains("run"), "{exception}");
    assert_eq!(posts(&office), 2, "a run that failed is not started again");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_its_signature_in_the_address_and_nobody_else_sees_it() {
    let config = "profile = \"patchworks-webhook\"\nauth = { type = \"query\", name = \"patchworks_signature\", value = \"s1gn&ture\" }\n";
    let (app, office, system) = flows(config, "/webhooks/w1").await;
    let (number, order) = one();
    send(&app, &order).await;
    let told = app.order_is(number, "delivered").await;
    assert_eq!(system.runs.lock().unwrap().len(), 1);
    let id = told["deliveries"][0]["id"].as_str().unwrap();
    let all = app.sees(&format!("/api/v1/deliveries/{id}")).await.to_string();
    assert!(!all.contains("s1gn"), "{all}");

    // Somebody switched the flow off.
    let gone = Reply::json(404, &json!({ "message": "Not found" }));
    office.when_creating(vec![Fault::Say(gone); 3]);
    let others: Vec<_> = orders().into_iter().filter(|(other, _)| *other != number).take(5).collect();
    for (_, order) in &others {
        send(&app, order).await;
    }
    until("the destination is held", async || {
        let seen = app.sees("/api/v1/destinations").await;
        (seen["items"][0]["state"] == "held").then_some(())
    })
    .await;
    let mut parked = 0;
    for (number, _) in &others {
        parked += app.exceptions_of(number).await.len();
    }
    assert!(parked <= 4, "the rest waits: {parked}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callbacks_answer_is_the_receipt_and_its_error_the_exception() {
    let config = "profile = \"patchworks-callback\"\nauth = { type = \"query\", name = \"patchworks_signature\", value = \"s1gn&ture\" }\n";
    let (app, _office, _system) = flows(config, "/callbacks/c1").await;
    let (number, order) = one();
    send(&app, &order).await;
    let told = app.order_is(number, "delivered").await;
    assert_eq!(told["deliveries"][0]["receipt"], "SO-1", "{told}");
    let (failing, order) = orders().into_iter().find(|(number, _)| *number == "100000102").unwrap();
    send(&app, &order).await;
    let exception = until("it waits", async || app.exceptions_of(failing).await.pop()).await;
    assert!(exception["message"].as_str().unwrap().contains("no such customer"), "{exception}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_gets_what_ships_in_words_and_no_money() {
    let system = Arc::new(Box { honours_keys: true, ..Box::default() });
    let config = "profile = \"pick-list\"\nwith = { words = { \"Ribbon\" = \"Schleife\" } }\nkey_window = \"24h\"\nsignature = { type = \"standard-webhooks\", secret = [\"whsec_dGVzdC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=\", \"whsec_bmV4dC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=\"] }\nauth = { type = \"bearer\", token = \"0123456789abcdef\" }\n";
    let (app, office) = beside(system.clone(), config, "/pick-lists").await;
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
    let cards = list("100000113").to_string();
    assert!(cards.contains("\"Schleife: ") && !cards.contains("Ribbon"), "{cards}");
    assert!(cards.contains("\"Card text: "), "a title without a word stays");
    assert_eq!(list("100000106")["lines"], json!([]), "of a class, a download and a gift card nothing ships");
    for (_, list) in &got {
        let text = list.to_string();
        for word in ["\"net\"", "\"tax\"", "\"total\"", "grand_total", "unit_price"] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_1_what_a_destination_says_of_the_buyer_is_kept_without_the_buyer() {
    let config = "profile = \"patchworks-callback\"\nauth = { type = \"query\", name = \"patchworks_signature\", value = \"s1gn&ture\" }\n";
    let (app, office) = beside(Arc::<Box>::default(), config, "/callbacks/c1").await;
    let (number, order) = orders().into_iter().find(|(number, _)| *number == "100000101").unwrap();
    let said = "No customer Priya Nair <priya.nair@example.com> at 12 Larkspur Row";
    office.when_creating([Fault::Say(Reply::json(200, &json!([{ "error": { "message": said } }])))]);
    send(&app, &order).await;
    let exception = until("it waits", async || app.exceptions_of(number).await.pop()).await;
    let message = exception["message"].as_str().unwrap();
    assert!(message.contains("No customer [first_name] [last_name] <[email]> at [street]"), "{exception}");
    let delivery = app.order(number).await["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let detail = app.sees(&format!("/api/v1/deliveries/{delivery}")).await["attempts_made"][0]["detail"].to_string();
    assert!(detail.contains("[last_name]") && !detail.contains("Nair"), "{detail}");
    app.stop().await;
}
