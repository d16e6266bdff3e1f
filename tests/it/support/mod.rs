//! The service under test, spoken to in verbs: a configuration of its own, real sockets, a stand-in ERP.

pub mod bend;
pub mod browser;
pub mod commerce;
pub mod front;
pub mod inbox;
pub mod key_host;
pub mod laws;
pub mod orders;
pub mod process;
pub mod shop;
pub mod receiver;
pub mod scripted;
pub mod wire;

use std::time::Duration;

use crossdock::app::{self, Doors, Machine, Running};
use crossdock::config::{Config, SignedBytes};
use crossdock::demo::erp::{ErpOptions, StandInErp};
use crossdock::intake::signature::sign::{self, CommerceSigner};
use crossdock::shutdown::Timing;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tempfile::TempDir;

/// Key of the flows origin.
pub const API_KEY: &str = "flows-key-for-tests-0123456789";
/// HMAC secret of the signed flows origin.
pub const HMAC_SECRET: &str = "flows-hmac-secret-for-tests-0123";
/// Standard Webhooks secret.
pub const STANDARD_SECRET: &str = "whsec_dGVzdC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=";

/// Configuration and keys on disk, shared by the in-process service and the real binary.
pub struct Site {
    pub dir: TempDir,
    pub signer: CommerceSigner,
}

impl Site {
    /// Writes a configuration whose only destination is `erp_url`; `edit` may change the text.
    pub fn new(erp_url: &str, edit: impl FnOnce(String) -> String) -> Site {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let signer = CommerceSigner::generate();
        std::fs::write(dir.path().join("commerce.pem"), signer.public_key_pem()).unwrap();
        let text = edit(configuration(erp_url));
        std::fs::write(dir.path().join("crossdock.toml"), text).unwrap();
        Site { dir, signer }
    }

    pub fn config_path(&self) -> std::path::PathBuf {
        self.dir.path().join("crossdock.toml")
    }
}

fn configuration(erp_url: &str) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
drain_intake = "0s"

[store]
url = "sqlite:crossdock.db"
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
auth = [{{ type = "rsa-signature", public_keys = ["file:commerce.pem"] }}]

[origins.flows]
type = "patchworks"
commerce = "acme"
auth = [
  {{ type = "header", name = "X-Api-Key", value = "{API_KEY}" }},
  {{ type = "hmac", header = "X-HMAC-HASH", secret = "{HMAC_SECRET}" }},
  {{ type = "standard-webhooks", secret = "{STANDARD_SECRET}" }},
]

[destinations.erp]
profile = "http"
url = "{erp_url}"
guard = "key"
key_window = "24h"
auth = {{ type = "none" }}
allow_private = ["127.0.0.0/8"]

[[routes]]
name = "orders"
accepts = ["order"]
to = ["erp"]
"#
    )
}

/// An answer of the service.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text))
    }

    pub async fn of(response: reqwest::Response) -> Answer {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        Answer { status, headers, text: response.text().await.expect("a complete answer") }
    }
}

/// The service in this process, with a stand-in ERP beside it.
pub struct TestApp {
    pub site: Site,
    pub erp: StandInErp,
    pub running: Running,
    pub client: reqwest::Client,
    /// An administrator's API token.
    pub token: String,
}

impl TestApp {
    pub async fn start() -> TestApp {
        TestApp::with(|text| text).await
    }

    /// Starts with an edited configuration.
    pub async fn with(edit: impl FnOnce(String) -> String) -> TestApp {
        TestApp::with_erp(ErpOptions::default(), edit).await
    }

    /// Starts beside an ERP of another kind.
    pub async fn with_erp(options: ErpOptions, edit: impl FnOnce(String) -> String) -> TestApp {
        let erp = StandInErp::start_with(options).await.expect("a loopback port");
        let site = Site::new(&erp.url(), edit);
        let running = start(&site).await;
        let token = process::token(&site, "admin");
        TestApp { site, erp, running, client: reqwest::Client::new(), token }
    }

    /// On a machine that the test bends.
    pub async fn on(machine: Machine, edit: impl FnOnce(String) -> String) -> TestApp {
        let erp = StandInErp::start().await.expect("a loopback port");
        let site = Site::new(&erp.url(), edit);
        let loaded = Config::load(&site.config_path(), &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let running = app::start_on(loaded, Doors::default(), machine).await.expect("the service starts");
        let token = process::token(&site, "admin");
        TestApp { site, erp, running, client: reqwest::Client::new(), token }
    }

    /// On a store whose last service was killed: the express lane stays closed for a minute, so every record takes the
    /// long way through the processor's loop.
    pub async fn after_a_kill() -> TestApp {
        let erp = StandInErp::start().await.expect("a loopback port");
        let site = Site::new(&erp.url(), |text| text);
        tokio::task::block_in_place(|| process::Serve::start(&site).kill());
        let running = start(&site).await;
        let token = process::token(&site, "admin");
        TestApp { site, erp, running, client: reqwest::Client::new(), token }
    }

    /// Stops in order: for tests that start many, each of which would go on looking for work.
    pub async fn stop(self) {
        self.running.stop(Timing::at_once()).await;
    }

    /// Stops in order and starts again on the same store.
    pub async fn restart(self) -> TestApp {
        let TestApp { site, erp, running, client, token } = self;
        running.stop(Timing::at_once()).await;
        let running = start(&site).await;
        TestApp { site, erp, running, client, token }
    }

    /// As [`TestApp::restart`], on a machine that the test bends.
    pub async fn restart_on(self, machine: Machine) -> TestApp {
        let TestApp { site, erp, running, client, token } = self;
        running.stop(Timing::at_once()).await;
        let loaded = Config::load(&site.config_path(), &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let running = app::start_on(loaded, Doors::default(), machine).await.expect("the service starts");
        TestApp { site, erp, running, client, token }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    /// A signed webhook, as Commerce sends it.
    pub async fn commerce_sends(&self, body: impl Into<String>) -> Answer {
        let body = body.into();
        let signature = self.site.signer.sign(body.as_bytes(), SignedBytes::Base64Body);
        self.posts("/in/hooks", body, &[(sign::COMMERCE_SIGNATURE, &signature)]).await
    }

    /// A call of a flow with the key header.
    pub async fn patchworks_sends(&self, body: impl Into<String>) -> Answer {
        self.posts("/in/flows/orders", body.into(), &[("x-api-key", API_KEY)]).await
    }

    /// Any POST.
    pub async fn posts(&self, path: &str, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Answer {
        let mut given = HeaderMap::new();
        given.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            given.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        let sent = self.client.post(self.url(path)).headers(given).body(body).send().await;
        Answer::of(sent.expect("an answer")).await
    }

    /// A GET of the API as administrator; the status must be 200.
    pub async fn sees(&self, path: &str) -> Value {
        let answer = self.asks(reqwest::Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// Any call of the API as administrator.
    pub async fn asks(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// A mutating call of the API as administrator, under an idempotency key of its own.
    pub async fn acts(&self, path: &str, key: &str, body: &Value) -> Answer {
        let sent = self
            .client
            .post(self.url(path))
            .bearer_auth(&self.token)
            .header("idempotency-key", format!("\"{key}\""))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send();
        Answer::of(sent.await.expect("an answer")).await
    }

    /// Replaces a mapping table by CSV; the status must be 200.
    pub async fn maps(&self, table: &str, csv: &str) {
        let sent = self
            .client
            .put(self.url(&format!("/api/v1/mappings/{table}")))
            .bearer_auth(&self.token)
            .header("content-type", "text/csv")
            .header("idempotency-key", format!("\"{}\"", sha(csv)))
            .body(csv.to_owned())
            .send();
        let answer = Answer::of(sent.await.expect("an answer")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// How many envelopes the store holds.
    pub async fn stored(&self) -> u64 {
        self.running.store.ledger().await.expect("the ledger").accepted
    }

    /// An order as the API tells it.
    pub async fn order(&self, increment_id: &str) -> Value {
        self.sees(&format!("/api/v1/orders/{increment_id}")).await
    }

    /// Waits until an order is in this state.
    pub async fn order_is(&self, increment_id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        until(&format!("order {increment_id} is {state}"), async || {
            let answer = self.asks(reqwest::Method::GET, &format!("/api/v1/orders/{increment_id}"), None).await;
            last = answer.json();
            (answer.status == 200 && last["state"] == state).then_some(())
        })
        .await;
        last
    }

    /// Waits until the ERP destination is in this state.
    pub async fn destination_is(&self, state: &str) -> Value {
        until(&format!("the destination is {state}"), async || {
            let all = self.sees("/api/v1/destinations").await;
            (all["items"][0]["state"] == state).then(|| all["items"][0].clone())
        })
        .await
    }

    /// The open exceptions of an order.
    pub async fn exceptions_of(&self, increment_id: &str) -> Vec<Value> {
        let page = self.sees(&format!("/api/v1/exceptions?increment_id={increment_id}")).await;
        page["items"].as_array().expect("a list").clone()
    }

    /// The value of a line of `/metrics`; 0 where there is none.
    pub async fn metric(&self, line: &str) -> f64 {
        let text = self.asks(reqwest::Method::GET, "/metrics", None).await.text;
        let found = text.lines().find_map(|row| row.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until no envelope is due, at most ten seconds.
    pub async fn settled(&self) {
        let patience = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let ledger = self.running.store.ledger().await.expect("the ledger");
            assert_eq!(ledger.difference(), 0, "p2: {ledger:?}");
            if ledger.due == 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < patience, "still due: {ledger:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn start(site: &Site) -> Running {
    let loaded = Config::load(&site.config_path(), &|name| std::env::var(name).ok())
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    app::start(loaded, Doors::default()).await.expect("the service starts")
}

/// A short name for a text.
fn sha(text: &str) -> String {
    crossdock::envelope::keys::Digest::of(text.as_bytes()).hex()
}

/// Asks until there is an answer, at most twenty seconds: the one place that waits.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let patience = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < patience, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Answers 401 as RFC 9457 wants it, with a request id and without any reason (ANS-1).
#[track_caller]
pub fn is_refusal_without_reason(case: &str, answer: &Answer) {
    assert_eq!(answer.status, 401, "{case}: {}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{case}");
    let body = answer.json();
    let mut names: Vec<&String> = body.as_object().expect("an object").keys().collect();
    names.sort();
    assert_eq!(names, ["request_id", "status", "title", "type"], "{case}");
    assert!(body["request_id"].as_str().unwrap().starts_with("req_"), "{case}");
}

/// Answers this status as a problem document with a request id.
#[track_caller]
pub fn is_problem(case: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{case}");
    let body = answer.json();
    assert!(body["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{case}: {}", answer.text);
}
