//! A full disk, a store that does not commit, a sender that is too fast, a storm of exceptions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::delivery::{SOON, app_with};
use crate::support::{API_KEY, Answer, Site, TestApp, orders, until};
use crossdock::app::{self, Doors, Machine};
use crossdock::config::Config;
use crossdock::demo::erp::{Fault, StandInErp};
use crossdock::observe::disk::DiskSpace;
use crossdock::shutdown::Timing;

const GIB: u64 = 1 << 30;

async fn sends(app: &TestApp, number: u32) -> Answer {
    app.patchworks_sends(orders::rest(&format!("{number:09}"), "24-WG085", 2).to_string()).await
}

/// Refused with a time to come again, of 1 to 60 s.
fn is_sent_away(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_4_a_filling_disk_refuses_stock_then_everything_keeps_settling_and_opens_by_itself() {
    let free = Arc::new(AtomicU64::new(50 * GIB));
    let asked = free.clone();
    let disk = move || Some(DiskSpace { free_bytes: asked.load(Ordering::SeqCst), total_bytes: 100 * GIB });
    let app = TestApp::on(Machine { disk: Some(Arc::new(disk)), ..Machine::default() }, |text| {
        text.replace("[destinations.erp]", "[destinations.erp]\nretry_schedule = [\"3s\"]")
    })
    .await;
    let ballast = app.site.dir.path().join("crossdock.db.ballast");
    until("the ballast is there", async || ballast.exists().then_some(())).await;
    let key = [("x-api-key", API_KEY)];
    let stock = async || app.posts("/in/flows/stock", r#"[{"sku":"a"}]"#, &key).await;
    assert_ne!(stock().await.status, 503);

    free.store(7 * GIB, Ordering::SeqCst);
    until("stock is refused", async || (stock().await.status == 503).then_some(())).await;
    is_sent_away(&stock().await, 503);
    app.erp.next([Fault::Status(408)]);
    assert_eq!(sends(&app, 1).await.status, 202, "orders come last");
    assert_eq!(app.metric("store_disk_level").await, 2.0);

    free.store(3 * GIB, Ordering::SeqCst);
    until("nothing is taken in", async || (sends(&app, 2).await.status == 503).then_some(())).await;
    is_sent_away(&sends(&app, 3).await, 503);
    let ready = app.client.get(app.url("/health/ready")).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    assert!(ready.text().await.unwrap().contains("disk"));
    assert_eq!(app.client.get(app.url("/health/live")).send().await.unwrap().status().as_u16(), 200);
    until("the ballast is released", async || (!ballast.exists()).then_some(())).await;
    app.order_is("000000001", "delivered").await;

    free.store(60 * GIB, Ordering::SeqCst);
    let begun = Instant::now();
    until("intake is open again", async || (sends(&app, 4).await.status == 202).then_some(())).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    until("the ballast is back", async || ballast.exists().then_some(())).await;
    app.order_is("000000004", "delivered").await;
}

/// Opening the store writes; on a disk that filled up while nothing ran, only the ballast makes room for that.
#[tokio::test(flavor = "multi_thread")]
async fn run_4_on_a_disk_that_is_full_at_the_start_the_ballast_goes_before_the_store_is_opened() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| text);
    let (store, ballast) = (site.dir.path().join("crossdock.db"), site.dir.path().join("crossdock.db.ballast"));
    let loaded = Config::load(&site.config_path(), &|_| None).unwrap();
    std::fs::File::create(&ballast).unwrap().set_len(loaded.config.store.ballast_bytes).unwrap();
    let looks = Arc::new(Mutex::new(Vec::new()));
    let (seen, watched) = (looks.clone(), (store.clone(), ballast.clone()));
    let disk = move || {
        seen.lock().unwrap().push((watched.0.exists(), watched.1.exists()));
        Some(DiskSpace { free_bytes: GIB, total_bytes: 100 * GIB })
    };
    let machine = Machine { disk: Some(Arc::new(disk)), ..Machine::default() };
    let running = app::start_on(loaded, Doors::default(), machine).await.expect("it starts on a full disk");
    until("the disk is watched", async || (looks.lock().unwrap().len() > 1).then_some(())).await;
    assert_eq!(looks.lock().unwrap()[..2], [(false, true), (true, false)], "(store, ballast) at the first looks");
    running.stop(Timing::at_once()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_8_past_its_deadline_a_request_is_503_and_its_repeat_is_known_once_the_commit_landed() {
    let app = TestApp::with(|text| text.replace("[server]", "[server]\nhandler_timeout = \"300ms\"")).await;
    let other = rusqlite::Connection::open(app.site.dir.path().join("crossdock.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    is_sent_away(&sends(&app, 1).await, 503);
    other.execute_batch("ROLLBACK").unwrap();
    app.order_is("000000001", "delivered").await;
    let again = sends(&app, 1).await;
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("duplicate")), "{}", again.text);
    assert_eq!(app.erp.find("000000001").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn section_3_an_origin_that_is_too_fast_is_429_with_a_time_to_come_again() {
    let app =
        TestApp::with(|text| text.replace("type = \"patchworks\"", "type = \"patchworks\"\nrate = \"2/m\"")).await;
    assert_eq!((sends(&app, 1).await.status, sends(&app, 2).await.status), (202, 202));
    is_sent_away(&sends(&app, 3).await, 429);
    assert_eq!(app.stored().await, 2);
    assert_eq!(app.commerce_sends(orders::observed("000000004", "24-WG085", 1)).await.status, 200, "another origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn poi_4_a_storm_is_one_alarm_and_holds_the_destination_where_the_route_asks_for_it() {
    let storm = async |app: &TestApp| {
        app.erp.always(Some(Fault::Status(422)));
        for number in 1..=20 {
            assert_eq!(sends(app, number).await.status, 202);
        }
        until("twenty are parked", async || {
            let groups = app.sees("/api/v1/exceptions/groups").await;
            (groups["items"][0]["open"] == 20 || groups[0]["open"] == 20).then_some(())
        })
        .await;
        let line = "exception_storms_total{code=\"rejected_by_destination\"}";
        until("it is told", async || (app.metric(line).await == 1.0).then_some(())).await;
    };
    let plain = app_with(SOON).await;
    storm(&plain).await;
    plain.destination_is("open").await;
    plain.stop().await;

    let pausing =
        TestApp::with(|text| text.replace("name = \"orders\"", "name = \"orders\"\npause_on_storm = true")).await;
    storm(&pausing).await;
    let held = pausing.destination_is("held").await;
    assert!(held["reason"].as_str().unwrap().starts_with("route orders is paused: 20 records"), "{held}");
    pausing.erp.always(None);
    assert_eq!(sends(&pausing, 21).await.status, 202);
    assert_eq!(pausing.order("000000021").await["state"], "due", "it waits instead of being parked");
    assert_eq!(pausing.acts("/api/v1/destinations/erp/release", "r1", &json!({})).await.status, 200);
    pausing.order_is("000000021", "delivered").await;
}
