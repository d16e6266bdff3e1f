//! Real payloads, where `CROSSDOCK_CORPUS` says where they are: each order either becomes a document that keeps the laws,
//! checked here once more with exact decimals, or is parked with a code that names why.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::TestApp;
use crate::support::laws::{broken, differs};
use crate::support::process::binary;

/// One order of the corpus as its own JSON text, digits untouched.
struct Case {
    name: String,
    text: String,
    complete: bool,
}

/// The folder of samples; says so when there is none.
fn corpus() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CROSSDOCK_CORPUS") else {
        println!("CROSSDOCK_CORPUS is not set: the real payloads were left out");
        return None;
    };
    Some(PathBuf::from(folder))
}

/// Rows of the manifest that hold orders: `file`, `kind`, `complete`, `orders`, …
fn cases(folder: &Path) -> Vec<Case> {
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).expect("the manifest of the corpus");
    let mut cases = Vec::new();
    for row in manifest.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [file, _, complete, orders, ..] = columns[..] else { panic!("a row of the manifest: {row}") };
        if orders == "0" || orders == "-" {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(file)).expect("a file of the manifest");
        for (index, text) in orders_in(&text).into_iter().enumerate() {
            cases.push(Case { name: format!("{file}#{index}"), text, complete: complete == "yes" });
        }
    }
    cases
}

/// The orders inside a file: bare, in a search result, in a connector's body, in an event's data. Raw slices, so that no
/// digit is spelled anew on the way.
fn orders_in(text: &str) -> Vec<String> {
    type Raw<'a> = std::collections::BTreeMap<String, &'a serde_json::value::RawValue>;
    let Ok(members) = serde_json::from_str::<Raw<'_>>(text) else { panic!("an object: {text:.80}") };
    let is_order = members.contains_key("increment_id") || members.contains_key("grand_total");
    if is_order {
        return vec![text.to_owned()];
    }
    if let Some(items) = members.get("items") {
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(items.get()).expect("a list");
        return items.iter().map(|item| item.get().to_owned()).collect();
    }
    let inner = ["order", "value", "data", "event"].iter().find_map(|name| members.get(*name));
    inner.map(|inner| orders_in(inner.get())).unwrap_or_default()
}

/// Every law that does not hold, and every figure that differs from what Commerce sent.
fn broken_laws(order: &str, document: &Value) -> Vec<String> {
    let mut found = broken(document);
    found.extend(differs(order, document));
    found
}

#[test]
fn every_complete_order_of_the_corpus_expands_on_the_command_line() {
    let Some(folder) = corpus() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (mut complete, mut expanded) = (0, 0);
    for case in cases(&folder) {
        let file = scratch.path().join("order.json");
        std::fs::write(&file, &case.text).unwrap();
        let ran = binary().args(["expand", "--json"]).arg(&file).output().expect("the binary runs");
        complete += usize::from(case.complete);
        if ran.status.success() {
            let document: Value = serde_json::from_slice(&ran.stdout).expect("one document");
            assert_eq!(broken_laws(&case.text, &document), Vec::<String>::new(), "{}", case.name);
            expanded += usize::from(case.complete);
        } else {
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(!case.complete, "{} is complete and was refused: {said}", case.name);
            assert!(said.contains("unreadable_payload") || said.contains("missing_tax_data"), "{}: {said}", case.name);
        }
    }
    println!("corpus: {expanded} of {complete} complete orders expand ({} %)", expanded * 100 / complete);
    assert_eq!((expanded, complete), (42, 42), "the figure of the corpus itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_the_corpus_passes_through_the_service_or_is_parked_with_its_reason() {
    let Some(folder) = corpus() else { return };
    let (mut delivered, mut parked) = (0, 0);
    for (number, case) in cases(&folder).into_iter().enumerate() {
        // A store of its own for each: the corpus uses the same order numbers again and again.
        let app = TestApp::with(|text| {
            text.replace("commerce = \"acme\"\nauth", "commerce = \"acme\"\ndefault_store_id = 1\nauth")
        })
        .await;
        let answer = if number % 2 == 0 {
            let body = format!(
                r#"{{"subject":[],"eventName":"sales_order_save_commit_after","data":{{"order":{}}}}}"#,
                case.text
            );
            app.commerce_sends(body).await
        } else {
            app.patchworks_sends(case.text.clone()).await
        };
        if answer.status == 422 {
            assert!(!case.complete, "{}: {}", case.name, answer.text);
            parked += 1;
            continue;
        }
        assert!(answer.status == 200 || answer.status == 202, "{}: {}", case.name, answer.text);
        app.settled().await;
        let orders = app.sees("/api/v1/orders").await;
        let order = &orders["items"][0];
        if order["state"] == "delivered" {
            let id = order["documents"][0]["id"].as_str().expect("a document");
            let document = app.sees(&format!("/api/v1/documents/{id}")).await["body"].clone();
            assert_eq!(broken_laws(&case.text, &document), Vec::<String>::new(), "{}", case.name);
            assert_eq!(app.erp.counts().applied, 1, "{}", case.name);
            delivered += 1;
        } else {
            assert!(!case.complete, "{} is complete: {}", case.name, order["exceptions"]);
            parked += 1;
        }
    }
    println!("corpus: {delivered} orders delivered by the service, {parked} parked or told to the sender");
    assert_eq!(delivered, 42);
}
