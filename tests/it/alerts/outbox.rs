//! Messages are kept until they are told: through a kill, a receiver that is away, asks us to wait, or hangs.

use std::time::Duration;

use super::{alert, maps, sends_unmapped, telling, webhook};
use crate::support::inbox::{Inbox, Mood};
use crate::support::process::Serve;
use crate::support::{API_KEY, Site, orders, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_raising_and_sending_loses_no_message_and_repeats_it_under_its_key() {
    let ops = Inbox::start().await;
    ops.next([Mood::Hang]);
    let alerts = webhook("ops", &ops.url("/hook"), "");
    let site = Site::new("http://127.0.0.1:1/orders", move |text| text + &alerts);
    maps(&site);
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    let sent = reqwest::Client::new()
        .post(format!("http://{}/in/flows/orders", serve.address))
        .header("x-api-key", API_KEY)
        .header("content-type", "application/json")
        .body(orders::rest("000000001", "MUG", 1).to_string())
        .send();
    assert_eq!(sent.await.unwrap().status(), 202);
    // The message is on its way, and nobody has said that it arrived.
    ops.hears(1).await;
    tokio::task::block_in_place(|| serve.kill());
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    let told = ops.hears(2).await;
    assert_eq!(told[0].json(), told[1].json(), "the same words");
    let key = |place: usize| told[place].header("idempotency-key").to_owned();
    assert!(key(0).starts_with("\"msg_"), "{}", key(0));
    assert_eq!((key(0), told[0].header("webhook-id")), (key(1), told[1].header("webhook-id")), "under the same key");
    tokio::task::block_in_place(|| serve.kill());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_anything_could_be_sent_loses_no_message() {
    let ops = Inbox::start().await;
    let address = ops.address();
    let alerts = webhook("ops", &ops.url("/hook"), "");
    ops.stop().await;
    let site = Site::new("http://127.0.0.1:1/orders", move |text| text + &alerts);
    maps(&site);
    let away = until("the port is free", async || tokio::net::TcpListener::bind(address).await.ok()).await;
    drop(away);
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    let sent = reqwest::Client::new()
        .post(format!("http://{}/in/flows/orders", serve.address))
        .header("x-api-key", API_KEY)
        .header("content-type", "application/json")
        .body(orders::rest("000000001", "MUG", 1).to_string())
        .send();
    assert_eq!(sent.await.unwrap().status(), 202);
    until("it was tried in vain", async || {
        serve.said().iter().any(|line| line.contains("a contact could not be told yet")).then_some(())
    })
    .await;
    tokio::task::block_in_place(|| serve.kill());
    let ops = Inbox::at(address).await;
    let serve = tokio::task::block_in_place(|| Serve::start(&site));
    ops.hears(1).await;
    assert_eq!(ops.kinds(), ["raised"]);
    tokio::task::block_in_place(|| serve.kill());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_or_asks_to_wait_is_told_later_under_the_same_key() {
    let ops = Inbox::start().await;
    ops.next([Mood::Status(503), Mood::RetryAfter(429, 3)]);
    let app = telling(webhook("ops", &ops.url("/hook"), "")).await;
    sends_unmapped(&app, 1).await;
    let told = ops.hears(3).await;
    assert!(told[2].at.duration_since(told[1].at) >= Duration::from_millis(2_900), "it asked for three seconds");
    assert!(told.iter().all(|one| one.header("webhook-id") == told[0].header("webhook-id")));
    until("it is counted", async || {
        let sent = app.metric("alert_messages_total{contact=\"ops\",outcome=\"sent\"}").await;
        let put_off = app.metric("alert_messages_total{contact=\"ops\",outcome=\"put_off\"}").await;
        ((sent, put_off) == (1.0, 2.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_delays_nobody_else() {
    let (slow, quick) = (Inbox::start().await, Inbox::start().await);
    slow.always(Some(Mood::Hang));
    let alerts = webhook("slow", &slow.url("/hook"), "") + &webhook("quick", &quick.url("/hook"), "");
    let app = telling(alerts).await;
    for (number, sku) in ["MUG", "CUP", "JAR", "POT"].into_iter().enumerate() {
        let order = orders::rest(&format!("{:09}", number + 1), sku, 1);
        assert_eq!(app.patchworks_sends(order.to_string()).await.status, 202);
    }
    let begun = std::time::Instant::now();
    quick.hears(4).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(slow.told().len(), 1, "one at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_told_makes_the_next_one_be_told() {
    let (ops, lead) = (Inbox::start().await, Inbox::start().await);
    ops.always(Some(Mood::Status(410)));
    let alerts = "\n[alerts]\nescalate_to = [\"lead\"]\nescalate_after = \"1h\"\n".to_owned()
        + &webhook("ops", &ops.url("/hook"), "")
        + &webhook("lead", &lead.url("/hook"), "");
    let app = telling(alerts).await;
    sends_unmapped(&app, 1).await;
    lead.hears(1).await;
    assert_eq!((lead.kinds(), ops.told().len()), (vec!["escalated".to_owned()], 4), "after four refusals");
    let firing = alert(&app, "it is one level up", |one| one["level"] == 1).await;
    assert_eq!(firing["state"], "firing");
}
