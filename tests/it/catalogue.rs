//! Orders that need the catalogue, through the service's front door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossdock::app::Machine;
use crossdock::commerce::rest::{Answered, Call, Reply, Rest, SharedRest};
use serde_json::{Value, json};

use crate::support::{TestApp, orders};

/// A Commerce that knows one product, or hangs.
#[derive(Default)]
struct Shop {
    hangs: AtomicBool,
    calls: AtomicUsize,
}

impl Rest for Shop {
    fn system(&self) -> &'static str {
        "acme"
    }

    fn call(&self, call: Call) -> Reply<'_> {
        assert_eq!(call.path, "/V1/products");
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            if self.hangs.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let board = json!({ "id": 35, "sku": "BOARD", "type_id": "simple", "price": 10, "options": [
                { "option_id": 5, "title": "Engraving", "type": "field", "sku": "ENG" }] });
            Ok(Answered { status: 200, body: json!({ "items": [board] }).to_string().into() })
        })
    }
}

async fn beside(shop: &Arc<Shop>) -> TestApp {
    let rest: SharedRest = shop.clone();
    let machine = Machine { commerce: BTreeMap::from([("acme".to_owned(), rest)]), ..Machine::default() };
    TestApp::on(machine, |text| text.replace("catalogue = \"off\"", "catalogue = { wait = \"500ms\" }")).await
}

fn engraved(number: &str) -> String {
    let mut order = orders::rest(number, "BOARD-ENG", 1);
    order["items"][0]["product_option"] =
        json!({ "extension_attributes": { "custom_options": [{ "option_id": "5", "option_value": "To Anna" }] } });
    order.to_string()
}

async fn delivered(app: &TestApp, number: &str) -> Value {
    let order = app.order_is(number, "delivered").await;
    let id = order["deliveries"][0]["document_id"].as_str().expect("a document").to_owned();
    app.sees(&format!("/api/v1/documents/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_order_waits_for_the_catalogue_and_the_next_finds_it_there() {
    let shop = Arc::new(Shop::default());
    let app = beside(&shop).await;
    for number in ["000000071", "000000072"] {
        assert_eq!(app.patchworks_sends(engraved(number)).await.status, 202);
        let document = delivered(&app, number).await.to_string();
        for word in ["\"BOARD\"", "\"Engraving\"", "\"To Anna\""] {
            assert!(document.contains(word), "{word} is not in {document}");
        }
        assert!(!document.contains("sku_not_resolved"), "{document}");
    }
    assert_eq!(shop.calls.load(Ordering::Relaxed), 1);
    assert!(app.metric("catalogue_misses_total").await >= 1.0);
    assert!((app.metric("catalogue_products").await - 1.0).abs() < 0.1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commerce_that_hangs_delays_the_orders_that_need_it_and_nobody_else() {
    let shop = Arc::new(Shop::default());
    shop.hangs.store(true, Ordering::Relaxed);
    let app = beside(&shop).await;
    let begun = Instant::now();
    for number in ["000000081", "000000082"] {
        assert_eq!(app.patchworks_sends(engraved(number)).await.status, 202);
    }
    let plain = orders::rest("000000083", "STRAP", 1).to_string();
    assert_eq!(app.patchworks_sends(plain).await.status, 202);
    app.order_is("000000083", "delivered").await;
    let others = app.order("000000081").await;
    if begun.elapsed() < Duration::from_millis(400) {
        assert!(!others.to_string().contains("\"delivered\""), "{others}");
    }
    for number in ["000000081", "000000082"] {
        let document = delivered(&app, number).await.to_string();
        assert!(document.contains("BOARD-ENG") && document.contains("sku_not_resolved"), "{document}");
    }
    app.settled().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_orders_wait_loses_none_of_them() {
    let shop = Arc::new(Shop::default());
    shop.hangs.store(true, Ordering::Relaxed);
    let app = beside(&shop).await;
    for number in 91..=99 {
        assert_eq!(app.patchworks_sends(engraved(&format!("0000000{number}"))).await.status, 202);
    }
    let app = app.restart().await;
    app.settled().await;
    for number in 91..=99 {
        app.order_is(&format!("0000000{number}"), "delivered").await;
    }
    app.stop().await;
}
