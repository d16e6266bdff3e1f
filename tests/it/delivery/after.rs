//! What happens to an order after its first report: changes and cancellations in its lane (LANE-2 to LANE-5).

use serde_json::{Value, json};

use crate::support::scripted::Scripted;
use crate::support::{API_KEY, Answer, TestApp, orders, until};

const BOTH: &str = "[[routes]]\nname = \"changes\"\naccepts = [\"order_change\", \"cancellation\"]\nto = [\"erp\"]\n";
const NUMBER: &str = "000000001";

/// A service whose ERP is `erp`, with these further routes and these settings of the destination.
async fn app(erp: &Scripted, routes: &str, settings: &str) -> TestApp {
    let url = erp.url();
    TestApp::with(move |text| {
        let text = text.replace("[destinations.erp]", &format!("[destinations.erp]\n{settings}"));
        let lines = text
            .lines()
            .map(|line| if line.starts_with("url = \"http://") { format!("url = \"{url}\"") } else { line.to_owned() });
        lines.collect::<Vec<_>>().join("\n") + "\n" + routes
    })
    .await
}

/// An order as it was `second` seconds after noon, in this state.
fn report(number: &str, second: u32, state: &str) -> Value {
    let mut order = orders::rest(number, "24-WG085", 2);
    order["updated_at"] = json!(format!("2026-03-01 12:00:{second:02}"));
    order["state"] = json!(state);
    order["status"] = json!(format!("{state}-{second}"));
    order
}

fn cancelled(number: &str, second: u32, quantity: u32) -> Value {
    let state = if quantity == 2 { "canceled" } else { "processing" };
    let mut order = report(number, second, state);
    order["items"][0]["qty_canceled"] = json!(quantity);
    order
}

async fn sends(app: &TestApp, order: &Value) -> Answer {
    let answer = app.patchworks_sends(order.to_string()).await;
    assert!(matches!(answer.status, 200 | 202), "{}", answer.text);
    answer
}

async fn changes(app: &TestApp, change: &Value) -> Answer {
    let answer = app.posts("/in/flows/order-changes", change.to_string(), &[("x-api-key", API_KEY)]).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer
}

/// State and explanation of every event of an order, oldest first.
async fn events(app: &TestApp, number: &str) -> Vec<(String, String)> {
    let told = app.order(number).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (text(&event["state"]), text(&event["explanation"])))
        .collect()
}

async fn states(app: &TestApp, number: &str) -> Vec<String> {
    events(app, number).await.into_iter().map(|(state, _)| state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_3_a_newer_report_follows_as_a_change_and_an_older_one_does_not() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.settled().await;
    sends(&app, &report(NUMBER, 30, "processing")).await;
    app.settled().await;
    sends(&app, &report(NUMBER, 20, "holded")).await;
    app.settled().await;
    // By another door, with other bytes: what is known says the same.
    let observed = json!({ "subject": [], "eventName": "sales_order_save_commit_after",
                           "data": { "order": report(NUMBER, 30, "processing") } });
    app.commerce_sends(observed.to_string()).await;
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.change"]);
    let change = &erp.of(NUMBER)[1].document;
    assert_eq!(change["schema"], "crossdock.order_change.v1");
    assert_eq!((&change["order"]["state"], &change["totals"]["grand_total"]), (&json!("processing"), &json!("29.00")));
    let events = events(&app, NUMBER).await;
    let states: Vec<&str> = events.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(states, ["done", "done", "superseded", "superseded"], "{events:?}");
    assert!(events[1].1.starts_with("order.change follows what is already delivered as dlv_"), "{events:?}");
    assert!(events[2].1.starts_with("older than what is already delivered as dlv_"), "{events:?}");
    assert!(events[3].1.starts_with("already delivered as dlv_"), "{events:?}");
    let told = app.order(NUMBER).await;
    let deliveries = told["deliveries"].as_array().unwrap();
    assert_eq!((&deliveries[0]["purpose"], &deliveries[0]["revision"]), (&json!("order.create"), &json!("")));
    assert!(deliveries[1]["revision"].as_str().unwrap().starts_with("2026-03-01T12:00:30Z."), "{told}");
    assert_eq!(deliveries[1]["reported_at"], "2026-03-01T12:00:30Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_3_the_same_second_with_other_content_is_newer() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.settled().await;
    sends(&app, &report(NUMBER, 10, "processing")).await;
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.change"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_3_without_a_route_a_newer_report_is_ignored_with_the_reason() {
    let erp = Scripted::start().await;
    let app = app(&erp, "", "").await;
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.settled().await;
    sends(&app, &report(NUMBER, 30, "processing")).await;
    app.settled().await;
    let events = events(&app, NUMBER).await;
    assert_eq!(events[1].0, "ignored", "{events:?}");
    assert!(events[1].1.contains("already delivered as dlv_") && events[1].1.contains("no route"), "{events:?}");
    assert_eq!((erp.got().len(), app.order(NUMBER).await["state"].as_str()), (1, Some("delivered")));
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_3_of_changes_that_wait_the_newest_is_sent() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    erp.shut();
    sends(&app, &report(NUMBER, 10, "new")).await;
    for second in [20, 40, 30] {
        sends(&app, &report(NUMBER, second, "processing")).await;
    }
    until("three events wait behind", async || {
        (states(&app, NUMBER).await[1..] == ["superseded", "received", "superseded"]).then_some(())
    })
    .await;
    erp.open();
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.change"]);
    assert_eq!(erp.of(NUMBER)[1].document["order"]["status"], "processing-40");
    assert_eq!(states(&app, NUMBER).await, ["done", "superseded", "done", "superseded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_gives_back_what_is_cancelled() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    sends(&app, &report(NUMBER, 10, "processing")).await;
    app.settled().await;
    let mut part = cancelled(NUMBER, 20, 1);
    part["status"] = json!("processing-10");
    sends(&app, &part).await;
    app.settled().await;
    sends(&app, &cancelled(NUMBER, 30, 2)).await;
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.cancel", "order.cancel"]);
    let got = erp.of(NUMBER);
    let (part, whole) = (&got[1].document, &got[2].document);
    assert_eq!((&part["schema"], &part["complete"]), (&json!("crossdock.cancellation.v1"), &json!(false)));
    assert_eq!((&part["lines"][0]["quantity"], &part["lines"][0]["quantity_ordered"]), (&json!("1"), &json!("2")));
    assert_eq!((&part["totals"]["net"], &part["totals"]["total"]), (&json!("10.00"), &json!("12.00")));
    assert_eq!(part["lines"].as_array().unwrap().len(), 1, "shipping is not given back: {part}");
    assert_eq!((&whole["complete"], &whole["totals"]["total"]), (&json!(true), &json!("29.00")), "{whole}");
    assert_ne!(got[1].key, got[2].key);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_already_at_the_first_report_follows_in_the_same_lane() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    sends(&app, &cancelled(NUMBER, 20, 1)).await;
    sends(&app, &cancelled("000000002", 20, 2)).await;
    app.settled().await;
    for number in [NUMBER, "000000002"] {
        assert_eq!(erp.purposes(number), ["order.create", "order.cancel"]);
    }
    // The state before the cancellation comes late.
    sends(&app, &report("000000002", 10, "new")).await;
    app.settled().await;
    assert_eq!(states(&app, "000000002").await, ["done", "superseded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_5_an_order_cancelled_before_it_was_sent_is_never_sent() {
    for routes in [BOTH, ""] {
        let erp = Scripted::start().await;
        let app = app(&erp, routes, super::SOON).await;
        erp.next(&[401, 401]);
        sends(&app, &report(NUMBER, 10, "new")).await;
        app.destination_is("held").await;
        sends(&app, &report("000000002", 10, "new")).await;
        sends(&app, &cancelled("000000002", 20, 2)).await;
        until("both settle", async || (states(&app, "000000002").await == ["superseded", "superseded"]).then_some(()))
            .await;
        // And a late report of the time before.
        sends(&app, &report("000000002", 15, "processing")).await;
        app.acts("/api/v1/destinations/erp/release", "mended", &json!({})).await;
        app.settled().await;
        let events = events(&app, "000000002").await;
        assert!(events[0].1.contains("never sent") && events[1].1.contains("neither is sent"), "{events:?}");
        assert_eq!(events[2].0, "superseded", "{events:?}");
        assert!(erp.got().iter().all(|got| got.number() == NUMBER), "the second order never left");
        assert_eq!(erp.purposes(NUMBER), ["order.create"]);
        assert_eq!(app.order("000000002").await["state"], "ignored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_5_a_cancellation_waits_behind_a_create_that_may_have_been_applied() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, super::SOON).await;
    erp.shut();
    erp.next(&[500]);
    sends(&app, &report(NUMBER, 10, "new")).await;
    sends(&app, &cancelled(NUMBER, 20, 2)).await;
    until("it waits", async || (app.order(NUMBER).await["deliveries"].as_array().unwrap().len() == 2).then_some(()))
        .await;
    erp.open();
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.cancel"]);
    assert_eq!(states(&app, NUMBER).await, ["done", "done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_5_a_create_that_was_refused_is_withdrawn_by_the_cancellation() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    erp.next(&[422]);
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.order_is(NUMBER, "parked").await;
    sends(&app, &cancelled(NUMBER, 20, 2)).await;
    let told = app.order_is(NUMBER, "ignored").await;
    assert_eq!(told["exceptions"][0]["state"], "superseded", "{told}");
    app.settled().await;
    assert_eq!(erp.got().len(), 1);
}

fn hint(number: &str, second: u32, state: &str) -> Value {
    json!({ "increment_id": number, "store_id": 1, "state": state,
            "updated_at": format!("2026-03-01 12:00:{second:02}") })
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_4_a_change_without_its_order_waits_for_it() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    changes(&app, &hint(NUMBER, 10, "processing")).await;
    let told = app.order_is(NUMBER, "due").await;
    assert_eq!(
        (&told["exceptions"], &told["deliveries"]),
        (&json!([]), &json!([])),
        "p6: it is due, and nobody is asked"
    );
    let listed = app.sees("/api/v1/orders?state=due").await;
    assert_eq!(listed["items"][0]["increment_id"], NUMBER);
    sends(&app, &report(NUMBER, 10, "processing")).await;
    app.order_is(NUMBER, "delivered").await;
    app.settled().await;
    assert_eq!(
        (erp.purposes(NUMBER), states(&app, NUMBER).await),
        (vec!["order.create".to_owned()], vec!["superseded".to_owned(), "done".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_4_a_change_that_waited_in_vain_asks_a_person_until_the_order_comes() {
    let erp = Scripted::start().await;
    let url = erp.url();
    let app = TestApp::with(move |text| {
        let text = text.replace("sweep = \"off\"", "sweep = \"off\"\nwait_for_order = \"200ms\"");
        let lines = text
            .lines()
            .map(|line| if line.starts_with("url = \"http://") { format!("url = \"{url}\"") } else { line.to_owned() });
        lines.collect::<Vec<_>>().join("\n") + "\n" + BOTH
    })
    .await;
    changes(&app, &hint(NUMBER, 10, "processing")).await;
    let told = app.order_is(NUMBER, "parked").await;
    assert_eq!(told["exceptions"][0]["code"], "order_not_found", "{told}");
    app.settled().await;
    sends(&app, &report(NUMBER, 10, "processing")).await;
    let told = app.order_is(NUMBER, "delivered").await;
    assert_eq!(
        (&told["exceptions"][0]["state"], &told["exceptions"][0]["resolution"]),
        (&json!("resolved"), &json!("the order came"))
    );
    until("both settle", async || (states(&app, NUMBER).await == ["superseded", "done"]).then_some(())).await;
    app.settled().await;
    // A change that says something newer, without the order: nothing is made up.
    changes(&app, &hint(NUMBER, 20, "complete")).await;
    let told = app.order_is(NUMBER, "parked").await;
    assert_eq!(told["exceptions"][1]["code"], "unreadable_payload", "{told}");
    // The whole order closes it.
    changes(&app, &report(NUMBER, 20, "complete")).await;
    app.order_is(NUMBER, "delivered").await;
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.change"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_4_a_change_with_its_whole_order_makes_the_create() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    changes(&app, &report(NUMBER, 20, "processing")).await;
    app.order_is(NUMBER, "delivered").await;
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.settled().await;
    assert_eq!(
        (erp.purposes(NUMBER), states(&app, NUMBER).await),
        (vec!["order.create".to_owned()], vec!["done".to_owned(), "superseded".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_2_what_may_overtake_goes_before_a_parked_head_and_nothing_else_does() {
    let erp = Scripted::start().await;
    let routes = "[[routes]]\nname = \"changes\"\naccepts = [\"order_change\"]\nto = [\"erp\"]\n\
                  [[routes]]\nname = \"cancels\"\naccepts = [\"cancellation\"]\nto = [\"erp\"]\nlane = \"overtake\"\n";
    let app = app(&erp, routes, "").await;
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.settled().await;
    erp.next(&[422]);
    sends(&app, &report(NUMBER, 20, "processing")).await;
    app.order_is(NUMBER, "parked").await;
    // A change waits behind the parked one; what is cancelled with it does not.
    sends(&app, &cancelled(NUMBER, 30, 1)).await;
    until("the cancellation passes", async || (erp.purposes(NUMBER) == ["order.create", "order.cancel"]).then_some(()))
        .await;
    let told = app.order(NUMBER).await;
    assert_eq!(told["state"], "parked", "{told}");
    let of = |state: &str| told["deliveries"].as_array().unwrap().iter().filter(|one| one["state"] == state).count();
    assert_eq!((of("parked"), of("waiting")), (1, 1), "{told}");
    // Other orders are not concerned.
    sends(&app, &report("000000002", 10, "new")).await;
    app.order_is("000000002", "delivered").await;
    let exception = told["exceptions"][0]["id"].as_str().unwrap();
    let replayed = app.acts(&format!("/api/v1/exceptions/{exception}/replay"), "again", &json!({})).await;
    assert_eq!((replayed.status, replayed.json()["result"].as_str()), (200, Some("retried")), "{}", replayed.text);
    app.order_is(NUMBER, "delivered").await;
    app.settled().await;
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.cancel", "order.change", "order.change"]);
    assert_eq!(erp.of(NUMBER)[3].document["order"]["status"], "processing-30");
}

#[tokio::test(flavor = "multi_thread")]
async fn lane_3_any_order_of_reports_ends_with_the_newest_content_applied_last() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    let mut number = 0;
    let mut all = Vec::new();
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| *c != a && *c != b) {
                number += 1;
                let name = format!("{number:09}");
                let reports = [
                    report(&name, 10, "new"),
                    report(&name, 20, "processing"),
                    report(&name, 20, "complete"),
                    report(&name, 40, "closed"),
                ];
                for index in [a, b, c, 6 - a - b - c] {
                    sends(&app, &reports[index]).await;
                }
                all.push(name);
            }
        }
    }
    app.settled().await;
    for name in all {
        let got = erp.of(&name);
        assert_eq!(got.last().unwrap().document["order"]["status"], "closed-40", "{name}");
        let at: Vec<&str> = got.iter().map(|got| got.document["order"]["updated_at"].as_str().unwrap()).collect();
        assert!(at.is_sorted(), "{name}: {at:?}");
        let mut seen: Vec<&Value> = got.iter().map(|got| &got.document["order"]["state"]).collect();
        seen.dedup();
        assert_eq!(seen.len(), got.len(), "{name}: nothing is sent twice");
    }
    assert_eq!(app.running.store.ledger().await.unwrap().accepted, 96);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_change_is_released_as_a_change() {
    let erp = Scripted::start().await;
    let app = app(&erp, BOTH, "").await;
    app.maps("skus", "key,value,destination\n24-WG085,ERP-85,\n").await;
    sends(&app, &report(NUMBER, 10, "new")).await;
    app.settled().await;
    app.maps("skus", "key,value,destination\nOTHER,X,\n").await;
    sends(&app, &report(NUMBER, 30, "processing")).await;
    let told = app.order_is(NUMBER, "parked").await;
    // An older report that is no problem does not close the complaint about the newer one.
    app.maps("skus", "key,value,destination\n24-WG085,ERP-86,\n").await;
    sends(&app, &report(NUMBER, 20, "holded")).await;
    app.settled().await;
    let exception = told["exceptions"][0]["id"].as_str().unwrap();
    assert_eq!(app.exceptions_of(NUMBER).await.len(), 1, "lane_3: it is still open");
    let replayed = app.acts(&format!("/api/v1/exceptions/{exception}/replay"), "again", &json!({})).await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    app.order_is(NUMBER, "delivered").await;
    app.settled().await;
    let got = erp.of(NUMBER);
    assert_eq!(erp.purposes(NUMBER), ["order.create", "order.change", "order.change"]);
    assert_eq!(
        (&got[2].document["order"]["state"], &got[2].document["lines"][0]["sku"]),
        (&json!("processing"), &json!("ERP-86"))
    );
}
