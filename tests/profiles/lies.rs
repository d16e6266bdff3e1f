//! A system that lies: whatever it answers at whichever step, no order is doubled, none is lost without a word, and nothing of the
//! service falls over.

use serde_json::{Value, json};

use crate::contract::{booked, orders, send, service};
use crate::erpnext;
use crate::office::{Fault, Office, Reply};
use crate::support::{TestApp, orders as sample, until};

fn lies() -> Vec<(&'static str, Reply)> {
    let raw = |status: u16, body: &str| Reply::text(status, "application/json", body);
    vec![
        ("an empty list", raw(200, "[]")),
        ("nothing", raw(200, "null")),
        ("an empty body", raw(200, "")),
        ("no content", raw(204, "")),
        ("a page for people", Reply::text(200, "text/html", "<html>Please log in</html>")),
        ("half a JSON", raw(200, r#"{"data": [{"name": "SAL"#)),
        ("brackets without end", raw(200, &"[".repeat(200_000))),
        ("a number no type holds", raw(200, r#"{"data": 1e999999999}"#)),
        ("other types than promised", raw(200, r#"{"data": {"name": [1], "po_no": {"a": null}, "docstatus": "one"}}"#)),
        ("members twice", raw(200, r#"{"data": [], "data": [{"po_no": "x"}]}"#)),
        ("half a surrogate", raw(200, r#"{"data": [{"name": "\ud800", "po_no": "\udfff"}]}"#)),
        ("two megabytes", raw(200, &format!("{{\"data\": \"{}\"}}", "x".repeat(2 << 20)))),
        (
            "a way to the cloud's secrets",
            Reply::text(302, "text/plain", "").with("location", "http://169.254.169.254/"),
        ),
        ("a status nobody knows", raw(599, "{}")),
        ("an unpacked promise", raw(200, "not gzip").with("content-encoding", "gzip")),
        ("a wait in words", raw(503, "{}").with("retry-after", "soon, maybe")),
        ("a wait into the past", raw(429, "{}").with("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")),
        ("another's error", raw(417, r#"{"exc_type": 7, "exception": ["a", {"b": []}]}"#)),
    ]
}

/// Where the order stands when it has come to rest: delivered, or with a person.
async fn rests(app: &TestApp, number: &str) -> Option<Value> {
    until(&format!("{number} comes to rest"), async || {
        let order = app.order(number).await;
        match order["deliveries"][0]["state"].as_str()? {
            "delivered" => Some(None),
            "parked" => app.exceptions_of(number).await.pop().map(Some),
            _ => None,
        }
    })
    .await
}

/// Sends an order and has it at the ERP once, if need be by a person's word.
async fn ends_well(app: &TestApp, office: &Office, number: &str, what: &str) {
    send(app, &sample::rest(number, "24-WG085", 1).to_string()).await;
    for _ in 0..3 {
        let Some(exception) = rests(app, number).await else { break };
        assert!(!exception["message"].as_str().unwrap().is_empty(), "{what}: {exception}");
        assert!(!exception["message"].as_str().unwrap().contains("our own code failed"), "{what}: {exception}");
        assert!(booked(office, number).len() <= 1, "{what}");
        // Somebody lets a destination go that the lie had held, and has it looked for again.
        app.acts("/api/v1/destinations/erp/release", number, &json!({})).await;
        let delivery = exception["delivery_id"].as_str().unwrap();
        let path = format!("/api/v1/deliveries/{delivery}/decide");
        let key = exception["id"].as_str().unwrap();
        let answer = app.acts(&path, key, &json!({ "verdict": "retry", "reason": "it told a lie" })).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }
    if let Some(exception) = rests(app, number).await {
        // It said that it had made it, under a name, and has it not: no word but a person's own makes it once more.
        assert!(booked(office, number).is_empty(), "{what}: {exception}");
        assert!(exception["message"].as_str().unwrap().contains("finds nothing"), "{what}: {exception}");
        let delivery = exception["delivery_id"].as_str().unwrap();
        let given_up = json!({ "verdict": "abandon", "reason": "it was never made" });
        let answer = app.acts(&format!("/api/v1/deliveries/{delivery}/decide"), "given up", &given_up).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        let again = json!({ "reason": "it was never made", "confirm": number });
        let answer = app.acts(&format!("/api/v1/deliveries/{delivery}/resend"), "again", &again).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }
    app.order_is(number, "delivered").await;
    let there = booked(office, number);
    assert_eq!(there.len(), 1, "{what}: {there:?}");
    assert!(there[0].finished, "{what}: {there:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_6_a_lie_when_it_is_looked_for_makes_no_second_order_and_loses_none() {
    let (app, office) = service(&erpnext::profile()).await;
    for (place, (what, lie)) in lies().into_iter().enumerate() {
        office.next([Fault::Say(lie)]);
        ends_well(&app, &office, &format!("0000003{place:02}"), what).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_a_lie_when_it_is_made_makes_no_second_order_and_loses_none() {
    let (app, office) = service(&erpnext::profile()).await;
    for (place, (what, lie)) in lies().into_iter().enumerate() {
        // It did nothing, and answers like this; and it did it, and answers like this.
        office.when_creating([Fault::Say(lie.clone())]);
        ends_well(&app, &office, &format!("0000004{place:02}"), what).await;
        office.when_creating([Fault::DoAndSay(lie)]);
        ends_well(&app, &office, &format!("0000005{place:02}"), what).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_after_it_was_made_leaves_it_there_once_and_finished() {
    let (app, office) = service(&erpnext::profile()).await;
    for (place, (what, lie)) in lies().into_iter().enumerate() {
        office.after_creating([Fault::Say(lie)]);
        ends_well(&app, &office, &format!("0000006{place:02}"), what).await;
    }
    app.stop().await;
}

/// What a system names a record with is put into an address: it leads nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_a_way_out_stays_a_name() {
    let (app, office) = service(&erpnext::profile()).await;
    let names = [
        "../../api/method/frappe.utils.delete",
        "SAL?run_method=delete#",
        "//169.254.169.254/latest",
        "a\r\nx-evil: 1",
        "%2e%2e%2f",
    ];
    for (place, name) in names.into_iter().enumerate() {
        let number = format!("0000007{place:02}");
        let made = json!({ "data": { "name": name, "docstatus": 0, "grand_total": 1 } });
        office.when_creating([Fault::Say(Reply::json(200, &made))]);
        send(&app, &sample::rest(&number, "24-WG085", 1).to_string()).await;
        rests(&app, &number).await;
    }
    for asked in office.log() {
        assert!(asked.path.starts_with("/api/resource/Sales Order"), "{}", asked.path);
        assert!(!asked.headers.contains_key("x-evil") && !asked.query.contains_key("run_method"), "{asked:?}");
    }
    assert!(!orders().is_empty());
    app.stop().await;
}
