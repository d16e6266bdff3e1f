//! Orders, events, deliveries, documents, exceptions: found, paged, told.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::Site;

#[tokio::test]
async fn an_empty_list_is_exactly_items_and_a_cursor() {
    let site = Site::open().await;
    for path in ["/orders", "/events", "/deliveries", "/exceptions", "/exceptions/groups", "/mappings/skus"] {
        assert_eq!(site.get(path).await.json(), json!({ "items": [], "next_cursor": null }), "{path}");
    }
}

#[tokio::test]
async fn a_list_is_walked_by_its_cursors_without_gap_or_double() {
    let site = Site::open().await;
    for number in 0..7 {
        site.parked(&format!("00000000{number}"), "MUG").await;
    }
    for path in ["/orders", "/events", "/exceptions"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = site.get(&format!("{path}?limit=3{cursor}")).await.json();
            let items = page["items"].as_array().unwrap().clone();
            assert!(items.len() <= 3);
            seen.extend(items.iter().map(|item| item.get("id").unwrap_or(&item["increment_id"]).to_string()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((seen.len(), distinct.len()), (7, 7), "{path}");
    }
}

#[tokio::test]
async fn an_order_carries_what_hangs_on_it_in_lists_as_well() {
    let site = Site::open().await;
    site.delivered("000000001").await;
    let page = site.get("/orders?state=delivered").await.json();
    let order = &page["items"][0];
    assert_eq!(
        (&order["increment_id"], &order["system"], &order["state"]),
        (&json!("000000001"), &json!("acme"), &json!("delivered"))
    );
    assert_eq!(order["documents"].as_array().unwrap().len(), 1);
    assert_eq!(order["deliveries"][0]["receipt"], "SO-000001");
    assert_eq!(order["exceptions"], json!([]));
    assert_eq!(site.get("/orders?state=parked").await.json()["items"], json!([]));
    assert_eq!(
        site.get("/orders?increment_id=000000001&system=acme").await.json()["items"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_delivered_order_is_told_from_its_receipt_to_the_number_in_the_erp() {
    let site = Site::open().await;
    let (delivery, document) = site.delivered("000000042").await;
    let order = site.get("/orders/000000042").await.json();
    assert!(order["sentence"].as_str().unwrap().starts_with("Order 000000042 is in erp as SO-000001 since"), "{order}");
    let steps: Vec<&str> =
        order["timeline"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(steps, ["received", "document_made", "delivery_made", "attempt_started", "attempt_ended", "delivered"]);
    assert_eq!(order["deliveries"][0]["sealed"]["url"], "https://erp.example.com/sales-orders");
    let shown = site.get(&format!("/documents/{document}")).await.json();
    assert_eq!(shown["body"]["increment_id"], "000000042");
    let shown = site.get(&format!("/deliveries/{delivery}")).await.json();
    assert_eq!(shown["attempts_made"][0]["outcome"], "accepted");
    let event = order["events"][0]["id"].as_str().unwrap();
    let explained = site.get(&format!("/events/{event}/explain")).await.json();
    assert_eq!(explained["sentence"], "Everything that follows from it is done: route \"orders\" accepts it: to erp.");
    let explained = site.get("/orders/000000042/explain").await.json();
    assert_eq!(
        explained["events"][0]["sentence"],
        "Everything that follows from it is done: route \"orders\" accepts it: to erp."
    );
}

#[tokio::test]
async fn the_sentence_says_where_an_order_is_and_what_to_do() {
    let site = Site::open().await;
    let exception = site.parked("000000001", "MUG-GREEN").await;
    site.waiting("000000002").await;
    let sentence = async |number: &str| {
        site.get(&format!("/orders/{number}")).await.json()["sentence"].as_str().unwrap().to_owned()
    };
    let parked = sentence("000000001").await;
    assert_eq!(
        parked,
        format!(
            "Order 000000001 waits for a person (unmapped_sku): The SKU table has no row for \"MUG-GREEN\". Add the SKU to \
             the table skus, then replay {exception}."
        )
    );
    let due = sentence("000000002").await;
    assert!(
        due.starts_with("Order 000000002 is not in erp yet: 1 attempt so far (answered 503); next attempt not before"),
        "{due}"
    );
}

#[tokio::test]
async fn numbers_with_slashes_and_letters_of_any_script_are_found() {
    let site = Site::open().await;
    for (number, path) in [("2026/000 1", "2026%2F000%201"), ("Ä-№7", "%C3%84-%E2%84%967"), ("a%b", "a%25b")] {
        site.parked(number, "MUG").await;
        let order = site.get(&format!("/orders/{path}")).await;
        assert_eq!(order.status, StatusCode::OK, "{number}");
        assert_eq!(order.json()["increment_id"], number);
    }
}

#[tokio::test]
async fn exceptions_are_listed_open_first_and_grouped_by_cause() {
    let site = Site::open().await;
    let first = site.parked("000000001", "MUG-GREEN").await;
    site.parked("000000002", "MUG-GREEN").await;
    site.parked("000000003", "MUG-RED").await;
    let groups = site.get("/exceptions/groups").await.json();
    let groups = groups["items"].as_array().unwrap();
    assert_eq!(groups.iter().map(|group| group["open"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 1]);
    let fingerprint = groups[0]["fingerprint"].as_str().unwrap();
    let members = site.get(&format!("/exceptions?fingerprint={fingerprint}&code=unmapped_sku")).await.json();
    assert_eq!(members["items"].as_array().unwrap().len(), 2);
    let shown = site.get(&format!("/exceptions/{first}")).await.json();
    assert_eq!(shown["subject"]["kind"], "order");
    assert_eq!(shown["subject"]["increment_id"], "000000001");
    assert_eq!(site.get("/exceptions?state=resolved").await.json()["items"], json!([]));
    assert_eq!(site.get("/exceptions?increment_id=000000003").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn p2_the_ledger_shows_its_difference() {
    let site = Site::open().await;
    site.parked("000000001", "MUG").await;
    site.delivered("000000002").await;
    site.waiting("000000003").await;
    let mut ledger: Value = site.get("/ledger").await.json();
    assert_eq!(ledger.as_object_mut().unwrap().remove("money").unwrap().as_array().unwrap().len(), 3);
    assert_eq!(
        ledger,
        json!({
            "accepted": 3, "done": 1, "ignored": 0, "superseded": 0, "exception": 1, "due": 1, "difference": 0
        })
    );
}
