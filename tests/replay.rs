//! `crossdock replay` over a store in which a real order waits for a person.

#![allow(clippy::unwrap_used, missing_docs, reason = "test code: a panic is the report")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crossdock::app;
use crossdock::clock::{Clock as _, SystemClock, SystemEntropy};
use crossdock::config::Config;
use crossdock::envelope::ids::{EnvelopeId, RequestId};
use crossdock::envelope::keys::{Digest, EventKey};
use crossdock::processor::Processor;
use crossdock::processor::enqueue::enqueue;
use crossdock::store::SharedStore;
use crossdock::store::pack::pack;
use crossdock::store::sqlite::{Options, SqliteStore};
use crossdock::store::write::{Arrival, ArrivedRecord, Subject};
use serde_json::Value;

const CONFIG: &str = r#"
[store]
url = "sqlite:crossdock.db"
[commerce.acme]
edition = "paas"
base_url = "http://127.0.0.1:1/rest"
auth = { type = "none" }
read_back = "never"
[origins.flows]
type = "patchworks"
commerce = "acme"
auth = [{ type = "header", name = "X-Api-Key", value = "0123456789abcdef0123" }]
[destinations.erp]
profile = "http"
url = "http://127.0.0.1:1/sales-orders"
guard = "key"
key_window = "24h"
allow_private = ["127.0.0.0/8"]
[[routes]]
name = "orders"
accepts = ["order"]
to = ["erp"]
"#;

/// Runs a verb; exit code, standard output, standard error.
fn run(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_crossdock")).args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.code().unwrap(), text(ran.stdout), text(ran.stderr))
}

fn json(ran: &(i32, String, String)) -> Value {
    serde_json::from_str(&ran.1).unwrap_or_else(|error| panic!("{error}: {}{}", ran.1, ran.2))
}

/// Writes an order down and processes it under the configuration, as the service would.
async fn receive(dir: &Path, increment_id: &str) {
    let loaded = Config::load(&dir.join("crossdock.toml"), &|_| None).unwrap();
    let clock = Arc::new(SystemClock);
    let store: SharedStore =
        Arc::new(SqliteStore::open(Options::new(dir.join("crossdock.db"), true), clock.clone()).unwrap());
    let rules = app::rules(&loaded.config, &loaded.version);
    let processor = Processor::new(store.clone(), clock.clone(), Arc::new(SystemEntropy), rules);
    processor.reload_mappings().await.unwrap();
    let now = clock.now();
    let body = include_str!("../src/demo/orders/simple.json").replace("100000101", increment_id);
    let record = ArrivedRecord {
        id: EnvelopeId::new(now, &SystemEntropy),
        path: String::new(),
        kind: "order".into(),
        event_name: None,
        event_key: EventKey::explicit("flows", increment_id),
        content: Digest::of(body.as_bytes()),
        subject: Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: increment_id.into() },
        conclusion: None,
        on_conflict: None,
    };
    let arrival = Arrival {
        origin: "flows".into(),
        body: pack(body.as_bytes()),
        headers: "{}".into(),
        verification: "header".into(),
        config_version: "c0ffee".into(),
        request_id: RequestId::new(now, &SystemEntropy),
        traceparent: None,
        received_at: now,
        records: vec![record],
    };
    store.append(arrival).await.unwrap();
    for envelope in store.claim_envelopes(10).await.unwrap() {
        let rules = processor.rules();
        let enqueued = enqueue(processor.preview(&envelope), &envelope.subject, &processor.stamp(&rules));
        store.conclude(envelope.id, enqueued.conclusion, now).await.unwrap();
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_parked_order_is_previewed_repaired_and_replayed_alone_and_with_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("crossdock.toml"), CONFIG).unwrap();
    std::fs::write(dir.join("some.csv"), "key,value\nFRN-TOWEL-LINEN,10042\n").unwrap();
    assert_eq!(run(dir, &["mappings", "import", "skus", "some.csv"]).0, 0);
    receive(dir, "900000001").await;
    receive(dir, "900000002").await;

    let open = json(&run(dir, &["exceptions", "--json"]));
    let items = open["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["code"]), (2, &Value::from("unmapped_sku")));
    let (id, fingerprint) = (items[1]["id"].as_str().unwrap(), items[1]["fingerprint"].as_str().unwrap());

    let still = run(dir, &["replay", id]);
    assert_eq!((still.0, still.1.contains("still parked")), (1, true), "{still:?}");
    std::fs::write(dir.join("all.csv"), "key,value\nFRN-TOWEL-LINEN,10042\nFRN-BOOK-KNOTS,10043\n").unwrap();
    assert_eq!(run(dir, &["mappings", "import", "skus", "all.csv"]).0, 0);

    let open = json(&run(dir, &["exceptions", "--order", "900000001", "--json"]));
    let id = open["items"][0]["id"].as_str().unwrap();
    let preview = run(dir, &["replay", "--dry-run", "--json", id]);
    assert_eq!(preview.0, 0, "{preview:?}");
    let preview = json(&preview);
    assert_eq!((&preview["result"], &preview["dry_run"]), (&Value::from("released"), &Value::from(true)));
    assert_eq!(preview["documents"][0]["document"]["lines"][1]["sku"], "10043");
    assert!(run(dir, &["orders", "show", "900000001"]).1.contains("waits for a person"));

    let done = run(dir, &["replay", id, "--reason", "the SKU is mapped now"]);
    assert_eq!((done.0, done.1.contains("released")), (0, true), "{done:?}");
    assert!(run(dir, &["orders", "show", "900000001"]).1.contains("is about to be sent to erp"));
    let again = run(dir, &["replay", id]);
    assert_eq!((again.0, again.2.contains("already resolved")), (1, true), "{again:?}");

    let group = run(dir, &["replay", "--group", fingerprint]);
    assert_eq!(group.0, 0, "{group:?}");
    assert_eq!(json(&run(dir, &["exceptions", "--json"]))["items"], Value::Array(Vec::new()));
    assert_eq!(run(dir, &["replay", "--group", fingerprint]).0, 1);
    assert_eq!(run(dir, &["replay"]).0, 2);
}
