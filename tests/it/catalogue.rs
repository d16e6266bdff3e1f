//! Orders that need the catalogue, through the service's front door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossdock::app::Machine;
use crossdock::commerce::rest::{Answered, Call, Reply, Rest, SharedRest};
use serde_json::{Value, json};

use crate::support::{TestApp, orders, until};

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
        if let Some(list) = shop_list(&call.path) {
            return Box::pin(async move { list });
        }
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

/// The short lists of a shop with one source; nobody waits for them.
fn shop_list(path: &str) -> Option<Result<Answered, crossdock::commerce::rest::RestError>> {
    let body = match path {
        "/V1/taxClasses/search" => json!({ "items": [{ "class_id": 2, "class_name": "Taxable Goods" }] }),
        "/V1/store/storeViews" => json!([{ "id": 1, "code": "default", "name": "English", "website_id": 1 }]),
        "/V1/store/websites" => json!([{ "id": 1, "code": "base", "name": "Main Website" }]),
        "/V1/inventory/sources" => json!({ "items": [{ "source_code": "lon1", "name": "London", "enabled": true }] }),
        "/V1/inventory/stocks" => {
            let absent = "Request does not match any route.".to_owned();
            return Some(Err(crossdock::commerce::rest::RestError::NotFound(absent)));
        }
        _ => return None,
    };
    Some(Ok(Answered { status: 200, body: body.to_string().into() }))
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_shown_and_an_order_is_expanded_by_it() {
    let shop = Arc::new(Shop::default());
    let app = beside(&shop).await;
    let path = "/api/v1/catalogue/acme/shop";
    let kept = until("the shop is known", async || {
        let answer = app.asks(reqwest::Method::GET, path, None).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!((&kept["sources"][0]["id"], &kept["tax_classes"][0]["name"]), (&json!("lon1"), &json!("Taxable Goods")));
    assert_eq!(kept["stocks"], json!([]));
    let product = "/api/v1/catalogue/acme/products/board";
    assert_eq!(app.asks(reqwest::Method::GET, product, None).await.status, 404, "nobody asked for it yet");
    let expand = async || {
        let order: Value = serde_json::from_str(&engraved("000000078")).unwrap();
        app.asks(reqwest::Method::POST, "/api/v1/orders/expand", Some(&order)).await.text
    };
    assert!(expand().await.contains("sku_not_resolved"), "nothing is asked for a preview");
    app.patchworks_sends(engraved("000000077")).await;
    delivered(&app, "000000077").await;
    assert_eq!(app.sees(product).await["product"]["options"][0]["title"], "Engraving");
    assert!(expand().await.contains("Engraving"), "and the preview shows it");
    for path in ["/api/v1/catalogue/other/shop", "/api/v1/catalogue/acme/products/none"] {
        assert_eq!(app.asks(reqwest::Method::GET, path, None).await.status, 404);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_policy_park_an_order_waits_for_what_commerce_did_not_say_and_is_replayed_when_it_does() {
    let shop = Arc::new(Shop::default());
    shop.hangs.store(true, Ordering::Relaxed);
    let rest: SharedRest = shop.clone();
    let machine = Machine { commerce: BTreeMap::from([("acme".to_owned(), rest)]), ..Machine::default() };
    let edit = |text: String| {
        format!(
            "{}\n[policies]\nunresolved = \"park\"\n",
            text.replace("catalogue = \"off\"", "catalogue = { wait = \"200ms\" }")
        )
    };
    let app = TestApp::on(machine, edit).await;
    app.patchworks_sends(engraved("000000079")).await;
    let exceptions = until("it waits", async || {
        let open = app.exceptions_of("000000079").await;
        (open.len() == 2).then_some(open)
    })
    .await;
    let mut codes: Vec<&str> = exceptions.iter().map(|one| one["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["unmapped_option", "unmapped_sku"]);
    assert!(exceptions[0]["remedy"].as_str().unwrap().contains("replay the event"), "{exceptions:?}");
    assert!(app.erp.find("000000079").is_empty());
    app.stop().await;
}
