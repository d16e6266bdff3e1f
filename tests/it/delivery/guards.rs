//! Guards `unique` and `find` through the front door, against a small ERP that keeps external references.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::SOON;
use crate::support::{Answer, TestApp, orders};

/// What the ERP does with the next post.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// Books it and answers 500.
    AppliesAndFails,
    /// Does nothing and answers 500.
    Fails,
}

#[derive(Default)]
struct Book {
    booked: Vec<Value>,
    posts: usize,
    looks: usize,
    lies: VecDeque<Lie>,
    failing_looks: usize,
    refuses_doubles: bool,
}

/// An ERP that can be asked by our reference.
#[derive(Clone, Default)]
struct Erp(Arc<Mutex<Book>>);

impl Erp {
    async fn start(refuses_doubles: bool) -> (Erp, String) {
        let erp = Erp::default();
        erp.0.lock().unwrap().refuses_doubles = refuses_doubles;
        let router = Router::new().route("/orders", get(look).post(book)).with_state(erp.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (erp, url)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// How often an order is booked.
    fn booked(&self, number: &str) -> usize {
        self.with(|book| book.booked.iter().filter(|one| one["reference"] == number).count())
    }
}

async fn book(State(erp): State<Erp>, body: Bytes) -> Response {
    let document: Value = serde_json::from_slice(&body).unwrap();
    let (reference, total) = (document["order"]["increment_id"].clone(), document["totals"]["grand_total"].clone());
    erp.with(|book| {
        book.posts += 1;
        let lie = book.lies.pop_front();
        if lie == Some(Lie::Fails) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        if book.refuses_doubles && book.booked.iter().any(|one| one["reference"] == reference) {
            return (StatusCode::CONFLICT, "{\"detail\":\"the reference is taken\"}").into_response();
        }
        let id = format!("SO-{}", book.booked.len() + 1);
        book.booked.push(json!({ "id": id, "reference": reference, "total": total }));
        if lie == Some(Lie::AppliesAndFails) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        (StatusCode::CREATED, json!({ "id": id }).to_string()).into_response()
    })
}

async fn look(State(erp): State<Erp>, Query(asked): Query<std::collections::HashMap<String, String>>) -> Response {
    erp.with(|book| {
        book.looks += 1;
        if book.failing_looks > 0 {
            book.failing_looks -= 1;
            return (StatusCode::OK, "<html>maintenance</html>").into_response();
        }
        let items: Vec<Value> =
            book.booked.iter().filter(|one| one["reference"] == asked["ref"].as_str()).cloned().collect();
        json!({ "items": items }).to_string().into_response()
    })
}

/// The service beside that ERP.
async fn beside(url: &str, guard: &str, first: bool) -> TestApp {
    let (url, guard) = (url.to_owned(), guard.to_owned());
    TestApp::with(move |text| {
        let start = text.find("[destinations.erp]").unwrap();
        let end = text.find("[[routes]]").unwrap();
        let destination = format!(
            r#"[destinations.erp]
{SOON}
profile = "http"
url = "{url}"
{guard}
find = {{ url = "{url}?ref={{{{ order.increment_id }}}}", reference = "/items/0/reference", id = "/items/0/id", total = "/items/0/total", settle_after = "100ms", first = {first} }}
allow_private = ["127.0.0.0/8"]

"#
        );
        format!("{}{destination}{}", &text[..start], &text[end..])
    })
    .await
}

async fn sends(app: &TestApp, number: &str) -> Answer {
    let answer = app.patchworks_sends(orders::rest(number, "24-WG085", 2).to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer
}

fn steps(order: &Value) -> Vec<String> {
    let made = order["deliveries"][0]["attempts_made"].as_array().unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or("open").to_owned();
    made.iter().map(|one| format!("{} {}", text(one, "purpose"), text(one, "outcome"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_4_under_guard_find_every_order_is_booked_exactly_once_whatever_the_erp_says() {
    let (erp, url) = Erp::start(false).await;
    let app = beside(&url, "guard = \"find\"", true).await;
    erp.with(|book| book.lies.extend([Lie::AppliesAndFails, Lie::Fails]));
    sends(&app, "000000001").await;
    let told = app.order_is("000000001", "delivered").await;
    assert_eq!(steps(&told), ["find absent", "send uncertain", "find already_applied"]);
    assert_eq!(told["deliveries"][0]["receipt"], "SO-1");
    sends(&app, "000000002").await;
    let told = app.order_is("000000002", "delivered").await;
    let expected = ["find absent", "send uncertain", "find absent", "find absent", "send accepted"];
    assert_eq!(steps(&told), expected);
    assert_eq!((erp.booked("000000001"), erp.booked("000000002")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_4_an_order_that_is_there_already_is_met_before_the_first_send() {
    let (erp, url) = Erp::start(false).await;
    let total = orders::rest("000000001", "24-WG085", 2)["grand_total"].clone();
    erp.with(|book| {
        book.booked.push(json!({ "id": "SO-77", "reference": "000000001", "total": total }));
        book.booked.push(json!({ "id": "SO-78", "reference": "000000002", "total": "0.01" }));
        for id in ["SO-79", "SO-80"] {
            book.booked.push(json!({ "id": id, "reference": "000000003", "total": total }));
        }
    });
    let app = beside(&url, "guard = \"find\"", true).await;
    sends(&app, "000000001").await;
    assert_eq!(app.order_is("000000001", "delivered").await["deliveries"][0]["receipt"], "SO-77");
    for (number, code) in [("000000002", "found_different"), ("000000003", "found_many")] {
        sends(&app, number).await;
        let told = app.order_is(number, "parked").await;
        assert_eq!(told["exceptions"][0]["code"], code, "{told}");
        let message = told["exceptions"][0]["message"].as_str().unwrap();
        assert!(message.contains("SO-7"), "{message}");
    }
    assert_eq!(erp.with(|book| book.posts), 0, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_6_a_look_that_fails_delays_and_never_doubles() {
    let (erp, url) = Erp::start(false).await;
    let app = beside(&url, "guard = \"find\"", false).await;
    erp.with(|book| {
        book.lies.push_back(Lie::AppliesAndFails);
        book.failing_looks = 4;
    });
    sends(&app, "000000001").await;
    app.order_is("000000001", "delivered").await;
    assert_eq!((erp.booked("000000001"), erp.with(|book| book.looks)), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_3_under_guard_unique_a_lost_answer_is_sent_again_and_recognised() {
    let (erp, url) = Erp::start(true).await;
    let app = beside(&url, "guard = \"unique\"", false).await;
    erp.with(|book| book.lies.push_back(Lie::AppliesAndFails));
    sends(&app, "000000001").await;
    let told = app.order_is("000000001", "delivered").await;
    assert_eq!(steps(&told), ["send uncertain", "send rejected", "find already_applied"]);
    assert_eq!((erp.booked("000000001"), &told["deliveries"][0]["receipt"]), (1, &json!("SO-1")));

    // Somebody else's order under our number: never taken for ours.
    erp.with(|book| book.booked.push(json!({ "id": "SO-9", "reference": "000000002", "total": "0.01" })));
    sends(&app, "000000002").await;
    let told = app.order_is("000000002", "parked").await;
    assert_eq!(told["exceptions"][0]["code"], "found_different", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_3_c_a_second_effect_is_a_confirmed_act_and_has_a_key_of_its_own() {
    let app = super::app_with(SOON).await;
    sends(&app, "000000001").await;
    let told = app.order_is("000000001", "delivered").await;
    let delivery = told["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/deliveries/{delivery}/resend");
    for (body, place) in [
        (json!({ "reason": " ", "confirm": "000000001" }), "/reason"),
        (json!({ "reason": "deleted there", "confirm": "000000002" }), "/confirm"),
    ] {
        let refused = app.acts(&path, place, &body).await;
        assert_eq!((refused.status, &refused.json()["problems"][0]["path"]), (422, &json!(place)), "{}", refused.text);
    }
    let order = json!({ "reason": "deleted there", "confirm": "000000001" });
    let made = app.acts(&path, "once", &order).await;
    assert_eq!((made.status, &made.json()["purpose"]), (200, &json!("resend")), "{}", made.text);
    assert_eq!(
        app.acts(&path, "once", &order).await.json()["id"],
        made.json()["id"],
        "API-2: pressed twice, done once"
    );
    app.settled().await;
    let told = app.order_is("000000001", "delivered").await;
    assert_eq!(told["deliveries"].as_array().unwrap().len(), 2);
    let log = app.erp.log();
    assert_eq!(log.len(), 2);
    assert_ne!(log[0].key, log[1].key);
    // The same event once more is still the first effect.
    app.patchworks_sends(orders::rest("000000001", "24-WG085", 2).to_string()).await;
    app.settled().await;
    assert_eq!(app.erp.log().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_3_c_nothing_is_sent_a_second_time_while_the_first_is_open() {
    let (erp, url) = Erp::start(false).await;
    let app = beside(&url, "guard = \"none\"", false).await;
    erp.with(|book| book.lies.push_back(Lie::AppliesAndFails));
    sends(&app, "000000001").await;
    let told = app.order_is("000000001", "parked").await;
    let path = format!("/api/v1/deliveries/{}/resend", told["deliveries"][0]["id"].as_str().unwrap());
    let order = json!({ "reason": "impatience", "confirm": "000000001" });
    assert_eq!(app.acts(&path, "early", &order).await.status, 409);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(erp.booked("000000001"), 1);
}
