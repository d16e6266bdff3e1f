//! Real payloads, where `CROSSDOCK_CORPUS` says where they are: each order either becomes a document that keeps the laws,
//! checked here once more with exact decimals, or is parked with a code that names why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crossdock::domain::defect::ExceptionCode;
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
    type Raw<'a> = BTreeMap<String, &'a serde_json::value::RawValue>;
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

#[test]
fn every_file_of_the_corpus_expands_as_it_came() {
    let Some(folder) = corpus() else { return };
    let mut documents = 0;
    for (file, orders) in files(&folder) {
        let ran = binary().args(["expand", "--json"]).arg(folder.join(&file)).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{file}: {said}");
        let made: Value = serde_json::from_slice(&ran.stdout).expect("documents");
        let made = made.as_array().cloned().unwrap_or_else(|| vec![made]);
        assert_eq!(made.len(), orders.len(), "{file}");
        for (document, order) in made.iter().zip(&orders) {
            assert_eq!(broken_laws(order, document), Vec::<String>::new(), "{file}");
        }
        documents += made.len();
    }
    println!("corpus: {documents} documents of whole files, bodies of connectors and search results among them");
    assert_eq!(documents, 42);
}

/// Files of complete orders, with the orders inside.
fn files(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in cases(folder).into_iter().filter(|case| case.complete) {
        let (file, _) = case.name.split_once('#').expect("a name of a case");
        files.entry(file.to_owned()).or_default().push(case.text);
    }
    files
}

/// Some payloads of the corpus have no store id.
async fn shop() -> TestApp {
    TestApp::with(|text| text.replace("commerce = \"acme\"\nauth", "commerce = \"acme\"\ndefault_store_id = 1\nauth"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_corpus_goes_through_a_flow_as_it_came() {
    let Some(folder) = corpus() else { return };
    let mut delivered = 0;
    for (file, orders) in files(&folder) {
        let app = shop().await;
        let answer = app.patchworks_sends(std::fs::read_to_string(folder.join(&file)).unwrap()).await;
        assert_eq!(answer.status, 202, "{file}: {}", answer.text);
        app.settled().await;
        let effects = app.erp.effects();
        assert_eq!(effects.len(), orders.len(), "{file}: {}", answer.text);
        for order in &orders {
            let laws = effects.iter().map(|effect| broken_laws(order, &serde_json::from_slice(&effect.body).unwrap()));
            assert!(laws.clone().any(|broken| broken.is_empty()), "{file}: {:?}", laws.collect::<Vec<_>>());
        }
        delivered += effects.len();
        app.stop().await;
    }
    println!("corpus: {delivered} orders delivered from whole files");
    assert_eq!(delivered, 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_the_corpus_passes_through_the_service_or_is_parked_with_its_reason() {
    let Some(folder) = corpus() else { return };
    let (mut delivered, mut parked) = (0, 0);
    for case in cases(&folder) {
        for by_hook in [true, false] {
            // A store of its own for each: the corpus uses the same order numbers again and again.
            let app = shop().await;
            let passed = passes(&app, &case, by_hook).await;
            app.stop().await;
            *(if passed { &mut delivered } else { &mut parked }) += 1;
        }
    }
    println!("corpus: {delivered} orders delivered by the service, {parked} parked or told to the sender");
    assert_eq!(delivered, 84, "42 as webhooks, 42 as flows");
}

/// Sends one order; whether it was delivered, lawfully. One that was not is told to the sender or parked with a code.
async fn passes(app: &TestApp, case: &Case, by_hook: bool) -> bool {
    let answer = if by_hook {
        let order = &case.text;
        let hook =
            format!(r#"{{"subject":[],"eventName":"sales_order_save_commit_after","data":{{"order":{order}}}}}"#);
        app.commerce_sends(hook).await
    } else {
        app.patchworks_sends(case.text.clone()).await
    };
    if answer.status == 422 {
        assert!(!case.complete && !by_hook, "{}: {}", case.name, answer.text);
        return false;
    }
    assert_eq!(answer.status, if by_hook { 200 } else { 202 }, "{}: {}", case.name, answer.text);
    app.settled().await;
    let effects = app.erp.effects();
    if let [effect] = &effects[..] {
        let document: Value = serde_json::from_slice(&effect.body).expect("a document");
        assert_eq!(broken_laws(&case.text, &document), Vec::<String>::new(), "{}", case.name);
        assert_eq!(app.sees("/api/v1/orders").await["items"][0]["state"], "delivered", "{}", case.name);
        return true;
    }
    let open = app.sees("/api/v1/exceptions").await;
    assert!(!case.complete, "{} is complete: {open}", case.name);
    let code = open["items"][0]["code"].as_str().unwrap_or_default();
    assert!(code.parse::<ExceptionCode>().is_ok(), "{} is parked without a code: {open}", case.name);
    false
}
