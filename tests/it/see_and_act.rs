//! A person at work: finding an order, reading why it waits, repairing the cause once, seeing all alike go.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::process::{binary, token};
use crate::support::{Answer, TestApp, orders, until};

#[tokio::test(flavor = "multi_thread")]
async fn forty_two_orders_with_one_unknown_sku_are_one_group_repaired_once_and_released_together() {
    let app = TestApp::start().await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    for number in 1..=42 {
        let answer = app.commerce_sends(orders::observed(&format!("{number:09}"), "NEW-SKU", 1)).await;
        assert_eq!(answer.status, 200);
    }
    app.settled().await;
    let groups = app.sees("/api/v1/exceptions/groups").await;
    assert_eq!(groups["items"].as_array().unwrap().len(), 1, "{groups}");
    let group = &groups["items"][0];
    assert_eq!((group["code"].as_str(), group["open"].as_u64()), (Some("unmapped_sku"), Some(42)));
    let parked = app.sees("/api/v1/orders?state=parked&limit=50").await;
    assert_eq!(parked["items"].as_array().unwrap().len(), 42);
    assert_eq!(app.erp.counts().applied, 0);

    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\nNEW-SKU,ITEM-2,\n").await;
    let fingerprint = group["fingerprint"].as_str().unwrap();
    let path = format!("/api/v1/exceptions/groups/{fingerprint}/release");
    let released = app.acts(&path, "release-1", &json!({})).await;
    assert_eq!((released.status, released.json()["released"].as_u64()), (200, Some(42)), "{}", released.text);
    app.settled().await;
    assert_eq!(app.erp.counts().applied, 42);
    assert_eq!(app.sees("/api/v1/exceptions").await["items"], json!([]));
    let ledger = app.sees("/api/v1/ledger").await;
    assert_eq!((ledger["accepted"].as_u64(), ledger["done"].as_u64()), (Some(42), Some(42)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_of_an_order_runs_from_its_receipt_to_the_erps_number() {
    let app = TestApp::start().await;
    app.commerce_sends(orders::observed("000000007", "24-WG085", 2)).await;
    let order = app.order_is("000000007", "delivered").await;
    let receipt = order["deliveries"][0]["receipt"].as_str().expect("the ERP's number");
    let timeline = order["timeline"].as_array().expect("a timeline");
    let words: Vec<&str> = timeline.iter().filter_map(|step| step["words"].as_str()).collect();
    assert!(timeline.first().unwrap()["id"].as_str().unwrap().starts_with("env_"), "{words:?}");
    assert!(words.last().unwrap().contains(receipt), "{words:?}");
    let times: Vec<&str> = timeline.iter().filter_map(|step| step["at"].as_str()).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_the_first_that_applies_and_can_be_searched() {
    let app =
        TestApp::with(|text| text.replace("to = [\"erp\"]", "when = \"order.store_id == 1\"\nto = [\"erp\"]")).await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    app.commerce_sends(orders::observed("000000001", "24-WG085", 1)).await;
    app.commerce_sends(orders::observed("000000002", "NEW-SKU", 1)).await;
    let mut elsewhere = orders::rest("000000003", "24-WG085", 1);
    elsewhere["store_id"] = json!(2);
    app.patchworks_sends(elsewhere.to_string()).await;
    app.settled().await;
    for (state, number) in [("delivered", "000000001"), ("parked", "000000002"), ("ignored", "000000003")] {
        let found = app.sees(&format!("/api/v1/orders?state={state}")).await;
        let numbers: Vec<&str> =
            found["items"].as_array().unwrap().iter().filter_map(|row| row["increment_id"].as_str()).collect();
        assert_eq!(numbers, [number], "{state}");
        let row = &found["items"][0];
        for member in ["increment_id", "system", "state", "documents", "deliveries", "exceptions"] {
            assert!(!row[member].is_null(), "{member}");
        }
    }
    assert_eq!(app.sees("/api/v1/orders?increment_id=000000002").await["items"][0]["state"], "parked");
    let exception = &app.sees("/api/v1/exceptions").await["items"][0];
    assert_eq!(exception["subject"]["kind"], "order");
    assert_eq!(exception["subject"]["increment_id"], "000000002");
    assert_eq!((exception["code"].as_str(), exception["path"].as_str()), (Some("unmapped_sku"), Some("items/0/sku")));
    for member in ["id", "severity", "state", "message", "remedy"] {
        assert!(exception[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_verb_imports_beside_the_service_is_noticed() {
    let app = TestApp::start().await;
    let csv = app.site.dir.path().join("skus.csv");
    std::fs::write(&csv, "key,value,destination\n24-WG085,\"ITEM, with \"\"quotes\"\" and ü\",\n").unwrap();
    let config = app.site.config_path();
    let imported = tokio::task::spawn_blocking(move || {
        binary()
            .args(["mappings", "import", "--config"])
            .arg(config)
            .arg("skus")
            .arg(csv)
            .output()
            .expect("the binary runs")
    });
    let imported = imported.await.unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    until("the service goes by the new table", async || {
        (app.running.processor.rules().mappings.version() > 0).then_some(())
    })
    .await;
    app.commerce_sends(orders::observed("000000001", "24-WG085", 1)).await;
    let order = app.order_is("000000001", "delivered").await;
    let id = order["deliveries"][0]["document_id"].as_str().unwrap();
    let document = app.sees(&format!("/api/v1/documents/{id}")).await;
    assert_eq!(document["body"]["lines"][0]["sku"], "ITEM, with \"quotes\" and ü");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_and_a_low_role_are_turned_away() {
    let app = TestApp::start().await;
    let site = &app.site;
    let viewer = tokio::task::block_in_place(|| token(site, "viewer"));
    let get = |path: &str| app.client.get(app.url(path)).bearer_auth(&viewer);
    assert_eq!(get("/api/v1/orders").send().await.unwrap().status().as_u16(), 200);
    let put = app.client.put(app.url("/api/v1/mappings/skus")).bearer_auth(&viewer).header("content-type", "text/csv");
    assert_eq!(put.body("key,value,destination\n").send().await.unwrap().status().as_u16(), 403);
    let tokens = app.sees("/api/v1/tokens").await;
    let id = tokens["items"].as_array().unwrap().iter().find(|row| row["name"] == "test-viewer").unwrap()["id"].clone();
    let revoked = app.asks(Method::DELETE, &format!("/api/v1/tokens/{}", id.as_str().unwrap()), None).await;
    assert!(revoked.status < 300, "{}", revoked.text);
    until("the revoked token is refused", async || {
        let answer = Answer::of(get("/api/v1/orders").send().await.unwrap()).await;
        (answer.status == 401).then_some(())
    })
    .await;
    assert_eq!(app.client.get(app.url("/api/v1/orders")).send().await.unwrap().status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_metrics_and_ledger_tell_the_same_story() {
    let app = TestApp::start().await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    let body = orders::observed("000000001", "24-WG085", 1);
    app.commerce_sends(body.clone()).await;
    app.commerce_sends(body).await;
    app.commerce_sends(orders::observed("000000002", "NEW-SKU", 1)).await;
    app.settled().await;
    let text = app.client.get(app.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "intake_records_total{origin=\"hooks\"} 3",
        "intake_accepted_total{origin=\"hooks\"} 2",
        "intake_duplicates_total{origin=\"hooks\"} 1",
        "ledger_difference 0",
        "ready 1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    for line in text.lines() {
        let (name, _) = line.rsplit_once(' ').expect("a name and a value");
        assert!(
            !name.contains("000000001") && !name.contains("-SKU"),
            "order numbers and SKUs are never labels: {line}"
        );
    }
    let live = app.client.get(app.url("/health/live")).send().await.unwrap();
    assert_eq!(live.status().as_u16(), 200);
    tokio::time::timeout(Duration::from_secs(5), app.settled()).await.expect("nothing is due");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_sent_of_an_order_from_a_batch_is_told_of_that_order() {
    let app = TestApp::with(|text| {
        text.replace(
            "[origins.flows]\ntype = \"patchworks\"",
            "[origins.flows]\ntype = \"patchworks\"\ndefault_store_id = 7",
        )
    })
    .await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    let mut order = orders::rest("000000003", "24-WG085", 1);
    order.as_object_mut().unwrap().remove("store_id");
    let batch = json!([orders::rest("000000001", "NOPE-A", 1), orders::rest("000000002", "NOPE-B", 1), order]);
    assert_eq!(app.patchworks_sends(batch.to_string()).await.status, 202);
    app.settled().await;
    let preview = async |number: &str| {
        let body = json!({ "increment_id": number });
        let answer = app.asks(Method::POST, "/api/v1/destinations/erp/render", Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    for (number, sku) in [("000000001", "NOPE-A"), ("000000002", "NOPE-B")] {
        let told = preview(number).await;
        assert!(told["problems"].to_string().contains(sku), "{number}: {told}");
        assert_eq!(told["problems"].as_array().unwrap().len(), 1, "{number}: {told}");
    }
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\nNOPE-B,ITEM-2,\n").await;
    let told = preview("000000002").await;
    assert!(told["requests"][0]["body"].as_str().is_some_and(|body| body.contains("ITEM-2")), "{told}");

    // The store that the document is made for where the payload names none.
    let told = preview("000000003").await;
    assert_eq!(told["from"], "payload", "{told}");
    let body: serde_json::Value = serde_json::from_str(told["requests"][0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["order"]["store_id"], 7, "{told}");
}
