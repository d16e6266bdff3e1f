//! A destination is away: intake goes on, one incident says what it means, and the backlog goes when it is back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::delivery::{SOON, app_with};
use crate::support::process::binary;
use crate::support::{TestApp, orders, until};
use crossdock::demo::erp::Fault;

async fn sends(app: &TestApp, number: u32) {
    let order = orders::rest(&format!("{number:09}"), "24-WG085", 2);
    let answer = app.patchworks_sends(order.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

async fn incident(app: &TestApp, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let page = app.sees("/api/v1/incidents").await;
        page["items"].as_array().unwrap().iter().find(|one| is(one)).cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn prs_3_ret_5_an_outage_is_one_incident_and_intake_goes_on_meanwhile() {
    let mut app = app_with(SOON).await;
    sends(&app, 1).await;
    app.order_is("000000001", "delivered").await;
    assert_eq!(app.sees("/api/v1/incidents").await["items"], json!([]));
    app.erp.go_down();
    for number in 2..=31 {
        sends(&app, number).await;
    }
    let down = incident(&app, "it is told", |one| one["safe"]["total"] == 30).await;
    assert_eq!(
        (&down["destination"], &down["kind"], &down["state"]),
        (&json!("erp"), &json!("broken"), &json!("down"))
    );
    assert!(down["why"].as_str().unwrap().starts_with("it fails again and again; the last time: "), "{down}");
    assert_eq!((&down["drained_at"], &down["ended_at"]), (&Value::Null, &Value::Null), "nobody knows while it is shut");
    assert!(down["safe"]["oldest_created_at"].is_string(), "{down}");
    assert_eq!(app.metric("incident_open{destination=\"erp\",kind=\"broken\"}").await, 1.0);
    assert_eq!(app.metric("incident_safe{destination=\"erp\"}").await, 30.0);

    // The express lane does not wait for a destination that is away.
    let begun = Instant::now();
    sends(&app, 32).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let id = down["id"].as_str().unwrap();
    assert_eq!(app.sees(&format!("/api/v1/incidents/{id}")).await["id"], id);
    for verb in ["incidents", "doctor"] {
        let ran = binary().args([verb, "--config"]).arg(app.site.config_path()).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success() && said.contains("broken") && said.contains("it fails again"), "{verb}: {said}");
    }

    app.erp.come_back().await.expect("the same port");
    for number in 2..=32 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    let ended = incident(&app, "it is over", |one| one["state"] == "ended").await;
    assert_eq!((&ended["id"], &ended["safe"]), (&down["id"], &Value::Null), "the same one");
    assert!(ended["reopened_at"].is_string() && ended["waiting_most"].as_u64().unwrap() >= 30, "{ended}");
    assert_eq!(app.sees("/api/v1/incidents").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(app.metric("incident_open{destination=\"erp\",kind=\"broken\"}").await, 0.0);
    let counts = app.erp.counts();
    assert_eq!((counts.applied, counts.doubled), (32, 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn section_8_a_hold_is_an_incident_that_a_restart_does_not_end() {
    let app = app_with(SOON).await;
    app.erp.always(Some(Fault::Status(401)));
    sends(&app, 1).await;
    let held = incident(&app, "it is held", |one| one["kind"] == "held").await;
    assert!(held["why"].as_str().unwrap().contains("credential"), "{held}");
    let app = app.restart().await;
    sends(&app, 2).await;
    let again = incident(&app, "it is held again", |one| one["state"] == "down").await;
    assert_eq!(again["id"], held["id"], "one trouble, told by one incident");
    app.erp.always(None);
    app.destination_is("held").await;
    assert_eq!(app.acts("/api/v1/destinations/erp/release", "r1", &json!({})).await.status, 200);
    app.order_is("000000002", "delivered").await;
    incident(&app, "it is over", |one| one["state"] == "ended").await;
}
