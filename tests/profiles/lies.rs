//! A system that lies: whatever it answers at whichever step, no order is doubled, none is lost without a word, and nothing of the
//! service falls over.

use serde_json::{Value, json};

use crate::contract::{Profile, booked, send, service};
use crate::office::{Fault, Office, Reply};
use crate::plain;
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
    let mut given_up = false;
    for _ in 0..3 {
        let Some(exception) = rests(app, number).await else { break };
        let told = exception["message"].as_str().unwrap();
        assert!(!told.is_empty() && !told.contains("our own code failed"), "{what}: {exception}");
        assert!(booked(office, number).len() <= 1, "{what}");
        // It said that it had made it, under a name, and has it not: no word but a person's own makes it once more.
        given_up = told.contains("finds nothing");
        if given_up {
            break;
        }
        // Somebody lets a destination go that the lie had held, and has it looked for again.
        let key = exception["id"].as_str().unwrap();
        app.acts("/api/v1/destinations/erp/release", key, &json!({})).await;
        decide(app, &exception, key, "retry").await;
    }
    if given_up {
        let exception = rests(app, number).await.expect("it waits for a person");
        assert!(booked(office, number).is_empty(), "{what}: {exception}");
        decide(app, &exception, "given up", "abandon").await;
        let delivery = exception["delivery_id"].as_str().unwrap();
        let again = json!({ "reason": "it was never made", "confirm": number });
        let answer = app.acts(&format!("/api/v1/deliveries/{delivery}/resend"), "again", &again).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }
    app.order_is(number, "delivered").await;
    let there = booked(office, number);
    assert_eq!(there.len(), 1, "{what}: {there:?}");
    assert!(there[0].finished, "{what}: {there:?}");
}

async fn decide(app: &TestApp, exception: &Value, key: &str, verdict: &str) {
    let path = format!("/api/v1/deliveries/{}/decide", exception["delivery_id"].as_str().unwrap());
    let answer = app.acts(&path, key, &json!({ "verdict": verdict, "reason": "it told a lie" })).await;
    assert_eq!(answer.status, 200, "{exception}: {}", answer.text);
}

/// Lies in turn, each about an order of its own.
async fn tells(profile: Profile, when: &str, lies: Vec<(&'static str, Reply)>, tell: fn(&Office, Reply)) {
    let (app, office) = service(&profile).await;
    for (place, (what, lie)) in lies.into_iter().enumerate() {
        tell(&office, lie);
        ends_well(&app, &office, &format!("0000003{place:02}"), &format!("{what}, {when}")).await;
    }
    app.stop().await;
}

/// Every lie at every step, side by side: most of it is waiting.
async fn every_lie_at_every_step(profile: fn() -> Profile) {
    let half = lies().len() / 2;
    let (first, second) = (lies().drain(..half).collect(), lies().drain(half..).collect());
    let in_place: fn(&Office, Reply) = |office, lie| office.when_creating([Fault::Say(lie)]);
    // On the heap: five services at once are much for a stack.
    let hand = |profile, when, lies, tell| Box::pin(tells(profile, when, lies, tell));
    tokio::join!(
        // When the order is looked for, or anything else is asked first.
        hand(profile(), "when it is looked for", lies(), |office, lie| office.next([Fault::Say(lie)])),
        hand(profile(), "in place of making it", first, in_place),
        hand(profile(), "in place of making it", second, in_place),
        hand(profile(), "when it is made", lies(), |office, lie| office.when_creating([Fault::DoAndSay(lie)])),
        hand(profile(), "after it was made", lies(), |office, lie| office.after_creating([Fault::Say(lie)])),
    );
}

/// A test for each profile that makes orders.
macro_rules! told_lies {
    ($($profile:ident),+ $(,)?) => {
        $(mod $profile {
            #[tokio::test(flavor = "multi_thread")]
            async fn unc_6_no_lie_makes_a_second_order_and_none_loses_one() {
                super::every_lie_at_every_step(crate::$profile::profile).await;
            }
        })+
    };
}

told_lies!(brightpearl, business_central, erpnext, mintsoft, netsuite, odoo, sap_business_one, sap_s4hana, shiphero,);

mod netsuite_queued {
    #[tokio::test(flavor = "multi_thread")]
    async fn unc_6_no_lie_makes_a_second_order_and_none_loses_one() {
        super::every_lie_at_every_step(crate::netsuite::queued::profile).await;
    }
}

/// What is handed over where nobody can be asked: it is handed over once, or a person decides. A yes is believed
/// (decision 0013); what is no yes is never taken for one.
async fn handed_over(profile: fn() -> Profile, honours_keys: bool) {
    let (app, office) = service(&profile()).await;
    for (place, (what, lie)) in lies().into_iter().enumerate() {
        for (done, series) in [(false, "4"), (true, "5")] {
            let number = format!("00000{series}9{place:02}");
            let is_yes = (200..300).contains(&lie.status);
            office.when_creating([if done { Fault::DoAndSay(lie.clone()) } else { Fault::Say(lie.clone()) }]);
            send(&app, &sample::rest(&number, "24-WG085", 1).to_string()).await;
            let exception = rests(&app, &number).await;
            let there = booked(&office, &number).len();
            match &exception {
                // What passes by itself was sent again by us: never where it may have been done.
                None if is_yes => assert!(there <= 1, "{what}: {there}"),
                None => assert_eq!(there, if done && !honours_keys { 2 } else { 1 }, "{what}"),
                Some(exception) => {
                    assert_eq!(there, usize::from(done), "{what}: {exception}");
                    assert!(!exception["message"].as_str().unwrap().contains("our own code"), "{what}: {exception}");
                    app.acts("/api/v1/destinations/erp/release", &number, &json!({})).await;
                }
            }
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_a_lie_of_a_flow_that_cannot_be_asked_is_a_persons() {
    tokio::join!(
        handed_over(plain::patchworks, false),
        handed_over(plain::patchworks_webhook, false),
        handed_over(plain::patchworks_callback, false),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unc_2_a_lie_to_a_key_is_told_again_under_the_same_key() {
    handed_over(plain::pick_list, true).await;
}

/// What a system names a record with is put into an address: it leads nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_a_way_out_stays_a_name() {
    let (app, office) = service(&crate::erpnext::profile()).await;
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
    assert!(office.log().iter().any(|asked| asked.method == "POST"));
    app.stop().await;
}
