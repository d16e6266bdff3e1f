//! How long the service itself takes to answer over HTTP, and the console to make a page, among all the orders of a store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossdock::access::Actor;
use crossdock::access::roles::{Role, Scopes};
use crossdock::access::tokens::mint;
use crossdock::app::{self, Doors};
use crossdock::clock::{ManualClock, SystemClock, SystemEntropy, Timestamp};
use crossdock::config::Config;
use crossdock::shutdown::Timing;
use crossdock::store::Store as _;
use crossdock::store::sqlite::{Options, SqliteStore};

use super::{Bench, receipt};
use crate::growth::SHOP;

/// Each request.
const TIMES: usize = 100;
/// For nineteen of twenty answers about one order, and searches.
const ORDER_BUDGET: Duration = Duration::from_millis(50);
/// For nineteen of twenty answers about everything.
const OVERVIEW_BUDGET: Duration = Duration::from_millis(100);

/// Closes the store, asks a service on it, and opens it again.
pub async fn ask(bench: Arc<Bench>, path: &Path) -> Arc<Bench> {
    let stored = bench.next.load(Ordering::Relaxed);
    let now = bench.moment(stored);
    bench.store.close().await.expect("the store closes");
    drop(bench);
    serve(path, stored, now).await;
    Arc::new(Bench::open(Options::new(path, true), stored, SHOP))
}

/// The same of a store that an earlier run has left behind with so many orders.
pub async fn ask_again(path: &Path, stored: u64) {
    let bench = Bench::open(Options::new(path, true), stored, SHOP);
    let now = bench.moment(stored);
    bench.store.close().await.expect("the store closes");
    serve(path, stored, now).await;
}

async fn serve(path: &Path, stored: u64, now: Timestamp) {
    // Delivered, as no multiple of a thousand waits.
    let known = stored / 2_000 * 1_000;
    let (secret, token) = mint("bench", (Role::Admin, &Scopes::default()), None, now, &SystemEntropy).expect("a token");
    let store = SqliteStore::open(Options::new(path, true), Arc::new(SystemClock)).expect("the store opens");
    store.create_token(token, Actor::System.act("token.create", "bench", now)).await.expect("the store takes it");
    store.close().await.expect("the store closes");
    drop(store);

    let loaded = Config::read(&configuration(path), path.parent().expect("a folder"), &|_| None);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems:#?}"));
    // The newest order has just come.
    let doors = Doors { clock: Arc::new(ManualClock::new(now)), ..Doors::default() };
    let began = Instant::now();
    let running = app::start(loaded, doors).await.expect("the service starts");
    println!("service ready in {:.1} s", began.elapsed().as_secs_f64());
    let client = reqwest::Client::new();
    let (number, receipt) = (format!("{known:09}"), receipt(known));
    let mut late = Vec::new();
    for (name, path, budget) in [
        ("search: order number", format!("/api/v1/search?q={number}"), ORDER_BUDGET),
        ("search: destination's number", format!("/api/v1/search?q={receipt}"), ORDER_BUDGET),
        ("search: buyer", "/api/v1/search?q=buyer-00042@example.com".to_owned(), ORDER_BUDGET),
        ("search: SKU of every order", "/api/v1/search?q=SKU-all".to_owned(), ORDER_BUDGET),
        ("search: nothing of that kind", "/api/v1/search?q=no-such-thing".to_owned(), ORDER_BUDGET),
        ("search page: order number", format!("/console/search?q={number}"), ORDER_BUDGET),
        ("search page: buyer", "/console/search?q=buyer-00042@example.com".to_owned(), ORDER_BUDGET),
        ("order", format!("/api/v1/orders/{number}"), ORDER_BUDGET),
        ("order page", format!("/console/orders/{number}"), ORDER_BUDGET),
        ("overview: ledger", "/api/v1/ledger".to_owned(), OVERVIEW_BUDGET),
        ("overview: traffic", "/api/v1/traffic".to_owned(), OVERVIEW_BUDGET),
        ("overview: groups", "/api/v1/exceptions/groups".to_owned(), OVERVIEW_BUDGET),
        ("overview: orders", "/api/v1/orders?limit=8".to_owned(), OVERVIEW_BUDGET),
        ("overview page", "/console".to_owned(), OVERVIEW_BUDGET),
        ("orders page", "/console/orders".to_owned(), OVERVIEW_BUDGET),
        ("orders page: parked", "/console/orders?state=parked".to_owned(), OVERVIEW_BUDGET),
        ("exceptions page", "/console/exceptions".to_owned(), OVERVIEW_BUDGET),
        ("deliveries page", "/console/deliveries".to_owned(), OVERVIEW_BUDGET),
        ("deliveries page: waiting", "/console/deliveries?state=waiting".to_owned(), OVERVIEW_BUDGET),
        ("destinations page", "/console/destinations".to_owned(), OVERVIEW_BUDGET),
        ("origins page", "/console/origins".to_owned(), OVERVIEW_BUDGET),
        ("metrics", "/metrics".to_owned(), OVERVIEW_BUDGET),
    ] {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let began = Instant::now();
            let asked = client.get(format!("http://{}{path}", running.address)).bearer_auth(secret.reveal());
            let answer = asked.send().await.expect("the service answers");
            let status = answer.status();
            let bytes = answer.bytes().await.expect("the whole answer").len();
            times.push(began.elapsed());
            assert!(status.is_success() && bytes > 0, "{name}: {status}");
        }
        let p95 = super::finding::tell(name, times);
        if p95 >= budget {
            late.push(format!("{name}: {p95:?} of {budget:?}"));
        }
    }
    running.stop(Timing::at_once()).await;
    assert!(late.is_empty(), "over the budget: {late:#?}");
}

/// Two origins, of which one never sent anything, and the destination that has the orders.
fn configuration(path: &Path) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite:{}"
ballast = "1MiB"
[commerce.acme]
edition = "paas"
base_url = "http://127.0.0.1:1/rest"
auth = {{ type = "none" }}
read_back = "never"
sweep = "off"
catalogue = "off"
[origins.hooks]
type = "commerce-webhook"
commerce = "acme"
auth = [{{ type = "header", name = "X-Hook-Key", value = "only-for-the-measurement" }}]
[origins.flows]
type = "patchworks"
commerce = "acme"
auth = [{{ type = "header", name = "X-Api-Key", value = "only-for-the-measurement" }}]
[destinations.erp]
profile = "http"
url = "http://127.0.0.1:9/orders"
guard = "key"
key_window = "24h"
auth = {{ type = "none" }}
allow_private = ["127.0.0.0/8"]
[[routes]]
name = "orders"
accepts = ["order"]
to = ["erp"]
"#,
        path.display()
    )
}
