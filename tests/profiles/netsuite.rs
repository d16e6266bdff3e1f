//! Profile `netsuite` against a stand-in of the REST record service: external ids, 204 with a location, items by `SuiteQL`,
//! errors with details, too many requests as a 400; and its queue, where a job makes what was taken.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::contract::{self, Profile, booked, one, send, service, service_with};
use crate::keeps_the_contract;
use crate::office::{Asked, Booked, Fault, Office, Reply, System};
use crate::support::{TestApp, until};

#[derive(Default)]
struct NetSuite {
    orders: Mutex<Vec<Value>>,
    items: Mutex<Vec<String>>,
    forgotten: Mutex<BTreeSet<String>>,
    jobs: Mutex<Vec<Job>>,
    /// How the next jobs go; all others are over when they are asked for the second time.
    go: Mutex<VecDeque<Go>>,
}

/// What the queue took.
#[derive(Clone, Debug)]
struct Job {
    key: String,
    order: Value,
    go: Go,
    result: Option<Reply>,
}

/// How a job goes.
#[derive(Clone, Debug)]
enum Go {
    /// It is over when it was asked for so often more.
    EndsAfter(usize),
    /// It fails, in these words.
    Fails(&'static str),
    /// It runs for ever.
    Never,
    /// Nobody knows it any more; it was done before, or it was not.
    IsForgotten { done: bool },
}

fn failed(status: u16, code: &str, detail: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "type": "https://www.rfc-editor.org/rfc/rfc9110.html", "title": "Error", "status": status,
            "o:errorDetails": [{ "detail": detail, "o:errorCode": code }] }),
    )
}

fn number(value: &Value) -> Option<Decimal> {
    value.is_number().then(|| value.to_string().parse().unwrap())
}

impl NetSuite {
    /// An item's internal id; every item is there but what was forgotten.
    fn id(&self, sku: &str) -> Option<usize> {
        if self.forgotten.lock().unwrap().contains(sku) {
            return None;
        }
        let mut items = self.items.lock().unwrap();
        if let Some(place) = items.iter().position(|known| known == sku) {
            return Some(place + 100);
        }
        items.push(sku.to_owned());
        Some(items.len() + 99)
    }

    fn query(&self, asked: &Asked) -> Reply {
        if asked.header("prefer") != "transient" {
            return failed(400, "INVALID_HEADER", "The required request header 'Prefer' is missing or invalid.");
        }
        let body = asked.json();
        let query = body["q"].as_str().unwrap_or_default();
        let list =
            query.strip_prefix("SELECT id, itemid FROM item WHERE itemid IN (").and_then(|rest| rest.strip_suffix(')'));
        let Some(list) = list else { return failed(400, "INVALID_PARAMETER", "Invalid search query.") };
        let skus = list.split("', '").map(|sku| sku.trim_matches('\'').replace("''", "'"));
        let items = skus.filter_map(|sku| Some(json!({ "id": self.id(&sku)?.to_string(), "itemid": sku })));
        Reply::json(200, &json!({ "items": items.collect::<Vec<_>>(), "hasMore": false }))
    }

    fn create(&self, asked: &Value) -> Reply {
        let external = asked["externalId"].as_str().unwrap_or_default();
        if self.orders.lock().unwrap().iter().any(|order| order["externalId"] == external) {
            return failed(400, "USER_ERROR", "This record already exists.");
        }
        if asked["entity"]["id"] != "123" {
            return failed(400, "USER_ERROR", "Please enter value(s) for: Customer");
        }
        let mut total = Decimal::ZERO;
        for line in asked["item"]["items"].as_array().into_iter().flatten() {
            let id: usize = line["item"]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
            if !(100..100 + self.items.lock().unwrap().len()).contains(&id) {
                return failed(400, "INVALID_KEY_OR_REF", "Invalid reference key for item.");
            }
            assert_eq!(line["price"]["id"], "-1", "without the custom price level the list price is taken");
            let (Some(quantity), Some(rate)) = (number(&line["quantity"]), number(&line["rate"])) else {
                return failed(400, "INVALID_CONTENT", "Error while accessing a resource: rate is no number");
            };
            total += (quantity * rate).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        }
        let id = self.made(external, total);
        Reply { status: 204, headers: Vec::new(), body: String::new() }
            .with("location", &format!("https://x.suitetalk.example/services/rest/record/v1/salesOrder/{id}"))
    }

    /// Takes a request into the queue, once for each key.
    fn take(&self, asked: &Asked) -> Reply {
        let key = asked.header("x-netsuite-idempotency-key").to_owned();
        let is_uuid = key.len() == 36 && key.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        if !is_uuid {
            return failed(400, "INVALID_HEADER", "The idempotency key is no UUID.");
        }
        let mut jobs = self.jobs.lock().unwrap();
        let location = |place: usize| format!("/services/rest/async/v1/job/{}", place + 1);
        if let Some(place) = jobs.iter().position(|job| job.key == key) {
            let words = "A request with the same idempotency key is already submitted.";
            return failed(400, "IDEMPOTENCY_ERROR", words).with("location", &location(place));
        }
        let go = self.go.lock().unwrap().pop_front().unwrap_or(Go::EndsAfter(1));
        let done = matches!(go, Go::IsForgotten { done: true });
        let result = done.then(|| self.create(&asked.json()));
        jobs.push(Job { key, order: asked.json(), go, result });
        Reply { status: 202, headers: Vec::new(), body: String::new() }.with("location", &location(jobs.len() - 1))
    }

    /// What the queue tells: of a job, of its tasks, of its result.
    fn queue(&self, path: &str) -> Reply {
        let unknown = || failed(404, "NONEXISTENT_ID", "The job does not exist.");
        let (id, rest) = path.split_once('/').unwrap_or((path, ""));
        let mut jobs = self.jobs.lock().unwrap();
        let Some(job) = id.parse::<usize>().ok().and_then(|id| jobs.get_mut(id - 1)) else { return unknown() };
        match (&mut job.go, &job.result) {
            (Go::IsForgotten { .. }, _) => return unknown(),
            (Go::Never, _) | (_, Some(_)) => {}
            (Go::EndsAfter(times @ 1..), None) => *times -= 1,
            (Go::EndsAfter(_), None) => job.result = Some(self.create(&job.order)),
            (Go::Fails(words), None) => job.result = Some(failed(400, "USER_ERROR", words)),
        }
        let href = format!("https://x.suitetalk.example/services/rest/async/v1/job/{id}/task");
        match (rest, &job.result) {
            ("", result) => {
                let progress = match result {
                    Some(result) if result.status < 300 => "succeeded",
                    Some(_) => "failed",
                    None => "pending",
                };
                Reply::json(
                    200,
                    &json!({ "completed": result.is_some(), "id": id, "progress": progress,
                    "task": { "links": [{ "rel": "self", "href": href }] } }),
                )
            }
            ("task/", _) => {
                let task = json!({ "links": [{ "rel": "self", "href": format!("{href}/77") }] });
                Reply::json(200, &json!({ "items": [task] }))
            }
            ("task/77/result", Some(result)) => result.clone(),
            _ => unknown(),
        }
    }

    fn made(&self, external: &str, total: Decimal) -> usize {
        let mut orders = self.orders.lock().unwrap();
        let id = orders.len() + 5_000;
        orders.push(json!({ "id": id.to_string(), "externalId": external, "tranId": format!("SO{id}"),
            "total": serde_json::from_str::<Value>(&total.normalize().to_string()).unwrap() }));
        id
    }
}

impl System for NetSuite {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("authorization") != "Bearer 0123456789abcdef0123456789abcdef" {
            return failed(401, "INVALID_LOGIN", "Invalid login attempt.");
        }
        let one = |is: &dyn Fn(&Value) -> bool| match self.orders.lock().unwrap().iter().find(|order| is(order)) {
            Some(order) => Reply::json(200, order),
            None => failed(404, "NONEXISTENT_ID", "The record instance does not exist."),
        };
        match (asked.method.as_str(), asked.path.strip_prefix("/services/rest").unwrap_or_default()) {
            ("POST", "/query/v1/suiteql") => self.query(asked),
            ("POST", "/record/v1/salesOrder") if asked.header("prefer") == "respond-async" => self.take(asked),
            ("POST", "/record/v1/salesOrder") => {
                assert_eq!(asked.header("x-netsuite-idempotency-key"), "", "it is ignored without a queue");
                self.create(&asked.json())
            }
            ("GET", path) if path.starts_with("/async/v1/job/") => self.queue(&path["/async/v1/job/".len()..]),
            ("GET", path) => match path.strip_prefix("/record/v1/salesOrder/") {
                Some(id) => match id.strip_prefix("eid:") {
                    Some(external) => one(&|order| order["externalId"] == external),
                    None => one(&|order| order["id"] == id),
                },
                None => failed(404, "NONEXISTENT_ID", "not there"),
            },
            _ => failed(405, "METHOD_NOT_ALLOWED", "not allowed"),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/salesOrder")
    }

    fn orders(&self) -> Vec<Booked> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let booked = |order: &Value| Booked {
            reference: text(&order["externalId"]).trim_start_matches("adobe-").to_owned(),
            number: text(&order["tranId"]),
            total: order["total"].to_string(),
            finished: true,
        };
        self.orders.lock().unwrap().iter().map(booked).collect()
    }

    fn has_already(&self, reference: &str, total: &str, _: &str) {
        self.made(&format!("adobe-{reference}"), total.parse().unwrap());
    }

    fn forgets(&self, sku: &str) -> bool {
        self.forgotten.lock().unwrap().insert(sku.to_owned())
    }

    fn learns(&self, sku: &str) {
        self.forgotten.lock().unwrap().remove(sku);
    }
}

pub fn profile() -> Profile {
    profile_with(
        Arc::default(),
        r#"profile = "netsuite"
auth = { type = "bearer", token = "0123456789abcdef0123456789abcdef" }
with = { customer = "123", tax_item = "WEB-TAX", shipping_item = "WEB-SHIP", discount_item = "WEB-DISC" }
"#,
    )
}

fn profile_with(system: Arc<NetSuite>, config: &'static str) -> Profile {
    Profile {
        system,
        config,
        path: "/services/rest",
        permanent: failed(400, "USER_ERROR", "The transaction date is in a closed period."),
        throttled: failed(400, "SSS_REQUEST_LIMIT_EXCEEDED", "The maximum number of requests is exceeded."),
        transient: failed(503, "SERVER_UNAVAILABLE", "Service unavailable"),
        unauthorized: failed(401, "INVALID_LOGIN", "Invalid login attempt."),
        error_inside: None,
    }
}

keeps_the_contract!(
    profile(),
    every_sample_arrives_as_it_was_charged,
    the_buyers_words_arrive,
    a_duplicate_makes_no_second_order,
    what_is_there_already_is_not_made_again,
    a_refusal_waits_for_a_person,
    what_passes_by_itself_needs_nobody,
    a_lost_answer_makes_one_order,
    an_unknown_product_is_told_by_its_sku,
);

/// The same through its queue.
pub mod queued {
    use super::*;

    pub fn profile() -> Profile {
        profile_of(Arc::default())
    }

    fn profile_of(system: Arc<NetSuite>) -> Profile {
        profile_with(
            system,
            r#"profile = "netsuite"
auth = { type = "bearer", token = "0123456789abcdef0123456789abcdef" }
with = { customer = "123", tax_item = "WEB-TAX", shipping_item = "WEB-SHIP", discount_item = "WEB-DISC", mode = "async" }
"#,
        )
    }

    keeps_the_contract!(
        profile(),
        every_sample_arrives_as_it_was_charged,
        a_duplicate_makes_no_second_order,
        what_is_there_already_is_not_made_again,
        a_refusal_waits_for_a_person,
        what_passes_by_itself_needs_nobody,
        a_lost_answer_makes_one_order,
        an_unknown_product_is_told_by_its_sku,
    );

    /// A service whose first jobs go like this.
    async fn going(go: impl IntoIterator<Item = Go>) -> (TestApp, Office, Arc<NetSuite>) {
        let system = Arc::new(NetSuite::default());
        system.go.lock().unwrap().extend(go);
        let (app, office) = service(&profile_of(Arc::clone(&system))).await;
        (app, office, system)
    }

    /// Keys of the requests that were to make an order, as they came.
    fn keys(office: &Office) -> Vec<String> {
        let made = office.log().into_iter().filter(|asked| office.system().makes(asked));
        made.map(|asked| asked.header("x-netsuite-idempotency-key").to_owned()).collect()
    }

    async fn outcomes(app: &TestApp, number: &str) -> Vec<String> {
        let told = app.order(number).await;
        let attempts = told["deliveries"].as_array().unwrap().iter().filter_map(|one| one["attempts_made"].as_array());
        attempts.flatten().filter_map(|attempt| attempt["outcome"].as_str().map(str::to_owned)).collect()
    }

    async fn exception(app: &TestApp, number: &str) -> Value {
        until(&format!("{number} waits for a person"), async || app.exceptions_of(number).await.pop()).await
    }

    async fn retry(app: &TestApp, exception: &Value) {
        let id = exception["delivery_id"].as_str().unwrap();
        let why = json!({ "verdict": "retry", "reason": "put right" });
        let answer =
            app.acts(&format!("/api/v1/deliveries/{id}/decide"), exception["id"].as_str().unwrap(), &why).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_is_asked_until_it_has_ended_and_then_the_order_is_looked_at() {
        let (app, office, system) = going([Go::EndsAfter(4)]).await;
        let (number, order) = one();
        send(&app, &order).await;
        let told = app.order_is(number, "delivered").await;
        assert_eq!(told["deliveries"][0]["receipt"], "SO5000", "the order's number, not the job's");
        let outcomes = outcomes(&app, number).await;
        assert!(outcomes.iter().filter(|outcome| *outcome == "making").count() >= 3, "{outcomes:?}");
        assert_eq!((keys(&office).len(), system.jobs.lock().unwrap().len()), (1, 1));
        assert!(app.exceptions_of(number).await.is_empty());
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn key_4_a_lost_202_is_asked_for_by_the_same_key_and_leads_to_the_first_job() {
        let (app, office, system) = going([Go::EndsAfter(3)]).await;
        let (number, order) = one();
        office.when_creating([Fault::DoAndDrop]);
        send(&app, &order).await;
        app.order_is(number, "delivered").await;
        let keys = keys(&office);
        assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
        assert_eq!((system.jobs.lock().unwrap().len(), booked(&office, number).len()), (1, 1));
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_service_that_ends_while_the_job_runs_goes_on_with_that_job() {
        let (app, office, system) = going([Go::Never]).await;
        let (number, order) = one();
        send(&app, &order).await;
        until("it is being made", async || outcomes(&app, number).await.contains(&"making".to_owned()).then_some(()))
            .await;
        let app = app.restart().await;
        system.jobs.lock().unwrap()[0].go = Go::EndsAfter(1);
        app.order_is(number, "delivered").await;
        assert_eq!((keys(&office).len(), booked(&office, number).len()), (1, 1));
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn key_3_b_a_job_that_failed_is_told_in_its_words_and_made_again_by_a_person_under_a_new_key() {
        let (app, office, system) = going([Go::Fails("The transaction date is in a closed period.")]).await;
        let (number, order) = one();
        send(&app, &order).await;
        let told = exception(&app, number).await;
        assert_eq!(told["code"], "rejected_by_destination", "{told}");
        let words = told["message"].as_str().unwrap();
        assert!(words.contains("nothing was made") && words.contains("closed period"), "{words}");
        assert!(booked(&office, number).is_empty());
        retry(&app, &told).await;
        app.order_is(number, "delivered").await;
        let keys = keys(&office);
        assert!(keys.len() == 2 && keys[0] != keys[1], "NetSuite tells the old key's job for ever: {keys:?}");
        assert_eq!((system.jobs.lock().unwrap().len(), booked(&office, number).len()), (2, 1));
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ret_2_a_job_that_never_ends_is_a_persons_when_the_order_is_too_old() {
        let system = Arc::new(NetSuite::default());
        system.go.lock().unwrap().push_back(Go::Never);
        let edit = |text: String| text.replace("settle_after =", "age_limit = \"2s\"\nsettle_after =");
        let (app, office) = service_with(&profile_of(Arc::clone(&system)), edit).await;
        let (number, order) = one();
        // An attempt that counts as well: its age ends it all the same as one that may be made yet.
        office.when_creating([Fault::DoAndDrop]);
        send(&app, &order).await;
        let told = exception(&app, number).await;
        assert_eq!(told["code"], "too_old", "{told}");
        assert!(told["message"].as_str().unwrap().contains("pending"), "{told}");
        let id = told["delivery_id"].as_str().unwrap();
        let delivery = app.sees(&format!("/api/v1/deliveries/{id}")).await;
        assert_eq!(delivery["uncertain"], true, "it may be made yet: {delivery}");

        system.jobs.lock().unwrap()[0].go = Go::EndsAfter(0);
        retry(&app, &told).await;
        app.order_is(number, "delivered").await;
        assert_eq!((system.jobs.lock().unwrap().len(), booked(&office, number).len()), (1, 1));
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_that_is_forgotten_is_looked_for_twice_and_then_a_persons() {
        let (app, office, system) = going([Go::IsForgotten { done: true }, Go::IsForgotten { done: false }]).await;
        let all = contract::orders();
        let [(number, order), (other, its)] = &all[..2] else { panic!("two sample orders") };
        // It was made: the find knows more than the queue.
        send(&app, order).await;
        app.order_is(number, "delivered").await;
        // It was not, and nobody says so.
        send(&app, its).await;
        let told = exception(&app, other).await;
        assert_eq!(told["code"], "outcome_uncertain", "{told}");
        assert!(told["message"].as_str().unwrap().contains("The job does not exist"), "{told}");
        assert_eq!(keys(&office).len(), 2, "nothing is sent again by itself");
        retry(&app, &told).await;
        app.order_is(other, "delivered").await;
        assert_eq!((booked(&office, number).len(), booked(&office, other).len()), (1, 1));
        assert_eq!(system.jobs.lock().unwrap().len(), 3);
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unc_6_a_queue_that_cannot_be_asked_is_asked_again() {
        let (app, office, _) = going([]).await;
        let (number, order) = one();
        office.after_creating([Fault::Drop, Fault::Say(Reply::text(502, "text/html", "<html>bad gateway</html>"))]);
        send(&app, &order).await;
        app.order_is(number, "delivered").await;
        assert_eq!((keys(&office).len(), booked(&office, number).len()), (1, 1));
        app.stop().await;
    }
}
