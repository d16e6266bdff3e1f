//! From the beginning of a trouble to its end: who is told, and how often.

use std::time::Duration;

use crossdock::shutdown::Timing;
use serde_json::json;

use super::{Timed, alert, maps, sends_unmapped, telling, webhook};
use crate::support::inbox::Inbox;
use crate::support::{Site, TestApp, orders, until};

/// What is over is over soon.
const SOON: &str = "\n[alerts]\nhold = \"1s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn forty_two_exceptions_of_one_cause_are_one_message_and_one_when_they_are_released() {
    let ops = Inbox::start().await;
    let app = telling(SOON.to_owned() + &webhook("ops", &ops.url("/hook"), "")).await;
    for number in 1..=42 {
        sends_unmapped(&app, number).await;
    }
    let firing = alert(&app, "all are counted", |one| one["waiting"] == 42).await;
    assert_eq!(
        (&firing["state"], &firing["rule"], &firing["severity"]),
        (&json!("firing"), &json!("exceptions"), &json!("error"))
    );
    assert_eq!(ops.kinds(), ["raised"], "one message");
    assert_eq!(app.metric("alerts_open").await, 1.0);
    assert_eq!(app.metric("alert_messages_total{contact=\"ops\",outcome=\"sent\"}").await, 1.0);
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\nMUG,ITEM-2,\n").await;
    let path = format!("/api/v1/exceptions/groups/{}/release", firing["subject"].as_str().unwrap());
    assert_eq!(app.acts(&path, "go", &json!({})).await.status, 200);
    let told = ops.hears(2).await;
    assert_eq!(ops.kinds(), ["raised", "resolved"]);
    assert_eq!(told[1].json()["alert_id"], firing["id"]);
    let over = alert(&app, "it is over", |one| one["state"] == "resolved").await;
    assert_eq!(over["id"], firing["id"]);
    // Longer than two looks: nothing more is said.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(ops.told().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_message_and_one_when_its_backlog_has_gone() {
    let ops = Inbox::start().await;
    let alerts = SOON.to_owned() + &webhook("ops", &ops.url("/hook"), "");
    let mut app = TestApp::with(move |text| {
        text.replace("[destinations.erp]", &format!("[destinations.erp]\n{}", crate::delivery::SOON)) + &alerts
    })
    .await;
    app.erp.go_down();
    for number in 1..=12 {
        let order = orders::rest(&format!("{number:09}"), "24-WG085", 2);
        assert_eq!(app.patchworks_sends(order.to_string()).await.status, 202);
    }
    let told = ops.hears(1).await;
    let notice = told[0].json();
    assert_eq!((&notice["kind"], &notice["rule"]), (&json!("raised"), &json!("breaker")));
    assert_eq!(notice["what"], "Destination erp does not answer as it should");
    app.erp.come_back().await.expect("the same port");
    for number in 1..=12 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    ops.hears(2).await;
    assert_eq!(ops.kinds(), ["raised", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_it_so_the_next_is_told_and_who_sleeps_is_told_in_the_morning() {
    let (ops, lead, boss) = (Inbox::start().await, Inbox::start().await, Inbox::start().await);
    let alerts = "\n[alerts]\nescalate_to = [\"lead\", \"boss\"]\nescalate_after = \"10m\"\n".to_owned()
        + &webhook("ops", &ops.url("/hook"), "")
        + &webhook("lead", &lead.url("/hook"), "quiet = { hours = [\"22:00-07:00\"] }")
        + &webhook("boss", &boss.url("/hook"), "");
    let site = Site::new("http://127.0.0.1:1/orders", move |text| text + &alerts);
    maps(&site);
    let app = Timed::start(&site, "2026-03-02T23:00:00Z").await;
    app.gets(orders::rest("000000001", "MUG", 1).to_string()).await;
    ops.hears(1).await;
    app.clock.advance(Duration::from_mins(11));
    let store = &app.running.store;
    until("it has gone to the next", async || {
        (store.open_alerts().await.unwrap().iter().any(|alert| alert.level == 1)).then_some(())
    })
    .await;
    app.clock.advance(Duration::from_hours(1));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((lead.told().len(), boss.told().len()), (0, 0), "one sleeps, and nobody goes past her in the night");
    // 07:05.
    app.clock.advance(Duration::from_mins(60 * 7 - 6));
    lead.hears(1).await;
    assert_eq!(lead.kinds(), ["escalated"]);
    assert_eq!(boss.told().len(), 0, "her ten minutes have begun now");
    app.clock.advance(Duration::from_mins(11));
    boss.hears(1).await;
    assert_eq!((ops.kinds(), boss.kinds()), (vec!["raised".to_owned()], vec!["escalated".to_owned()]));
    app.running.stop(Timing::at_once()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_5_who_takes_an_alert_is_written_down_and_nobody_else_is_told() {
    let (ops, lead) = (Inbox::start().await, Inbox::start().await);
    let alerts = "\n[alerts]\nescalate_to = [\"lead\"]\nescalate_after = \"8s\"\n".to_owned()
        + &webhook("ops", &ops.url("/hook"), "")
        + &webhook("lead", &lead.url("/hook"), "");
    let app = telling(alerts).await;
    sends_unmapped(&app, 1).await;
    let firing = alert(&app, "it fires", |one| one["state"] == "firing").await;
    let id = firing["id"].as_str().unwrap();
    let path = format!("/api/v1/alerts/{id}/acknowledge?reason=on+it");
    let answer = app.acts(&path, "mine", &json!({})).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("acknowledged")), "{}", answer.text);
    assert_eq!(app.acts(&path, "mine", &json!({})).await.json(), answer.json(), "API-2: a repeat is answered alike");
    assert_eq!(app.acts(&path, "again", &json!({})).await.status, 409, "taken already");
    let audit = app.sees("/api/v1/audit").await;
    let row =
        &audit["items"].as_array().unwrap().iter().find(|row| row["action"] == "alert.acknowledge").unwrap().clone();
    assert_eq!((&row["target"], &row["reason"]), (&json!(id), &json!("on it")));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(lead.told().len(), 0);
    assert_eq!(alert(&app, "it stays", |one| one["id"] == id).await["acknowledged_by"], "token:test-admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_ledger_that_differs_by_one_is_told() {
    let ops = Inbox::start().await;
    let app = telling(SOON.to_owned() + &webhook("ops", &ops.url("/hook"), "")).await;
    let meddle = |sql: &str| {
        let conn = rusqlite::Connection::open(app.site.dir.path().join("crossdock.db")).unwrap();
        conn.busy_timeout(Duration::from_secs(5)).unwrap();
        conn.execute("INSERT INTO tallies (name, n) VALUES ('accepted', 0) ON CONFLICT DO NOTHING", []).unwrap();
        conn.execute(sql, []).unwrap();
    };
    meddle("UPDATE tallies SET n = n + 1 WHERE name = 'accepted'");
    let notice = ops.hears(1).await[0].json();
    assert_eq!((&notice["rule"], &notice["severity"]), (&json!("ledger"), &json!("critical")));
    assert_eq!(notice["what"], "The ledger differs by 1: an accepted event is not accounted for");
    meddle("UPDATE tallies SET n = n - 1 WHERE name = 'accepted'");
    ops.hears(2).await;
    assert_eq!(ops.kinds(), ["raised", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_falls_silent_is_told_and_its_next_order_ends_it() {
    let ops = Inbox::start().await;
    let alerts = SOON.to_owned() + &webhook("ops", &ops.url("/hook"), "");
    let site = Site::new("http://127.0.0.1:1/orders", move |text| text + &alerts);
    maps(&site);
    // Seven weeks of a shop with sixty orders an hour by day and none by night.
    let now: crossdock::clock::Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
    let conn = rusqlite::Connection::open(site.dir.path().join("crossdock.db")).unwrap();
    for hour in 1..=24 * 7 * 7_i64 {
        let at = now.as_microsecond() - hour * 3_600_000_000;
        if (8..20).contains(&(at / 3_600_000_000 % 24)) {
            let sql = "INSERT INTO order_hours (system, hour, orders, last_at) VALUES ('acme', ?1, 60, ?2)";
            conn.execute(sql, (at, at + 3_599_000_000)).unwrap();
        }
    }
    drop(conn);
    let app = Timed::start(&site, "2026-03-02T10:00:00Z").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ops.told().len(), 0, "we have only begun to listen");
    app.clock.advance(Duration::from_mins(16));
    let notice = ops.hears(1).await[0].json();
    assert_eq!((&notice["rule"], &notice["severity"]), (&json!("silence"), &json!("critical")));
    assert_eq!(notice["what"], "No order of acme has come; about 16 are usual in that time");
    app.running.stop(Timing::at_once()).await;

    // A restart does not end what is silent still; an order does.
    let app = Timed::start(&site, "2026-03-02T10:20:00Z").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(ops.kinds(), ["raised"]);
    app.running.stop(Timing::at_once()).await;
    let app = Timed::start(&site, "2026-03-02T10:25:00Z").await;
    app.gets(orders::rest("000000001", "24-WG085", 1).to_string()).await;
    app.running.stop(Timing::at_once()).await;
    let app = Timed::start(&site, "2026-03-02T10:26:00Z").await;
    until("it is seen to be over", async || {
        app.clock.advance(Duration::from_millis(20));
        (ops.told().len() >= 2).then_some(())
    })
    .await;
    assert_eq!(ops.kinds(), ["raised", "resolved"]);
    app.running.stop(Timing::at_once()).await;
}
