//! Copies, restores, erasure and what is never said, with the real binary (BAK-1, BAK-3, DAT-1, DAT-3).

use std::path::{Path, PathBuf};

use crossdock::demo::erp::{ErpOptions, StandInErp};
use serde_json::Value;

use crate::support::process::{Serve, binary, token};
use crate::support::{API_KEY, Answer, Site, orders, until};

/// Runs a verb; exit code and everything it said.
fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let ran = binary().args(arguments).arg("--config").arg(site.config_path()).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    (ran.status.code(), said)
}

fn must(site: &Site, arguments: &[&str]) -> String {
    let (code, said) = run(site, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

async fn send(address: std::net::SocketAddr, body: Value) -> Answer {
    let request = reqwest::Client::new().post(format!("http://{address}/in/flows/orders")).header("x-api-key", API_KEY);
    let answer = Answer::of(request.body(body.to_string()).send().await.expect("an answer")).await;
    assert!(answer.status < 300, "{}", answer.text);
    answer
}

async fn asks(address: std::net::SocketAddr, key: &str, path: &str) -> Value {
    let asked = reqwest::Client::new().get(format!("http://{address}{path}")).bearer_auth(key).send().await;
    Answer::of(asked.expect("an answer")).await.json()
}

async fn nothing_due(address: std::net::SocketAddr, key: &str) -> Value {
    until("nothing is due", async || {
        let ledger = asks(address, key, "/api/v1/ledger").await;
        (ledger["due"] == 0).then_some(ledger)
    })
    .await
}

fn quick(text: &str) -> String {
    text.replace(
        "[destinations.erp]",
        "[destinations.erp]\nretry_schedule = [\"50ms\", \"100ms\", \"200ms\", \"500ms\"]",
    )
}

fn number(number: u32) -> String {
    format!("{number:09}")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic")
}

/// Orders 1 to 5 delivered; 6 to 8 taken in while the ERP is away; a copy; the ERP is back and takes them; 9 to 12 come and
/// are delivered; `kill -9`; the copy is restored.
async fn disaster(erp: &mut StandInErp, site: &std::sync::Arc<Site>) -> (Serve, String) {
    let serve = Serve::start(site);
    for one in 1..=5 {
        send(serve.address, orders::rest(&number(one), "24-WG085", 1)).await;
    }
    erp.applied(5).await;
    erp.go_down();
    for one in 6..=8 {
        send(serve.address, orders::rest(&number(one), "24-WG085", 1)).await;
    }
    let copy = site.dir.path().join("copy.db");
    let (verb, to) = (site.clone(), copy.clone());
    let said = blocking(move || must(&verb, &["backup", "--to", to.to_str().unwrap()])).await;
    assert!(said.contains("is a sound copy: 8 events"), "{said}");
    erp.come_back().await.expect("its port is still free");
    erp.applied(8).await;
    for one in 9..=12 {
        send(serve.address, orders::rest(&number(one), "24-WG085", 1)).await;
    }
    erp.applied(12).await;
    let (verb, to) = (site.clone(), copy.clone());
    let (code, said) = blocking(move || run(&verb, &["restore", to.to_str().unwrap(), "--yes"])).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another `crossdock serve`"), "{said}");
    serve.kill();
    let (verb, to) = (site.clone(), copy.clone());
    let (code, said) = blocking(move || run(&verb, &["restore", to.to_str().unwrap()])).await;
    assert_eq!(code, Some(1), "nobody said yes: {said}");
    assert!(said.contains("to erp: 3 open in the copy") && said.contains("4 events that were acknowledged"), "{said}");
    let verb = site.clone();
    let said = blocking(move || must(&verb, &["restore", copy.to_str().unwrap(), "--yes"])).await;
    assert!(said.contains("what was there is kept as"), "{said}");
    let serve = Serve::start(site);
    let verb = site.clone();
    let key = blocking(move || token(&verb, "admin")).await;
    (serve, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn bak_3_after_a_restore_nothing_is_doubled_at_an_erp_that_honours_keys() {
    let mut erp = StandInErp::start().await.expect("a loopback port");
    let site = std::sync::Arc::new(Site::new(&erp.url(), |text| quick(&text)));
    let (serve, key) = disaster(&mut erp, &site).await;
    // What was open in the copy goes again under its key, and the ERP answers from its memory.
    nothing_due(serve.address, &key).await;
    // The senders repeat what the copy does not know, and one it knows.
    for one in 8..=13 {
        send(serve.address, orders::rest(&number(one), "24-WG085", 1)).await;
    }
    let ledger = nothing_due(serve.address, &key).await;
    assert_eq!(ledger["exception"], 0, "{ledger}");
    for one in 1..=13 {
        assert_eq!(erp.find(&number(one)).len(), 1, "order {one}");
    }
    let counts = erp.counts();
    assert_eq!((counts.applied, counts.doubled, counts.key_reused), (13, 0, 0), "{counts:?}");
    let ready = reqwest::get(format!("http://{}/health/ready", serve.address)).await.unwrap();
    assert_eq!(ready.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bak_3_after_a_restore_an_erp_without_keys_is_sent_nothing_that_it_may_know() {
    let mut erp =
        StandInErp::start_with(ErpOptions { honours_keys: false, ..ErpOptions::default() }).await.expect("a port");
    let site = std::sync::Arc::new(Site::new(&erp.url(), |text| {
        quick(&text).replace("guard = \"key\"\nkey_window = \"24h\"", "guard = \"none\"")
    }));
    let (serve, key) = disaster(&mut erp, &site).await;
    for one in 9..=12 {
        send(serve.address, orders::rest(&number(one), "24-WG085", 1)).await;
    }
    let ledger = nothing_due(serve.address, &key).await;
    assert_eq!(ledger["exception"], 7, "{ledger}");
    let groups = asks(serve.address, &key, "/api/v1/exceptions?limit=20").await;
    for exception in groups["items"].as_array().expect("a list") {
        assert_eq!(exception["code"], "outcome_uncertain", "{exception}");
    }
    assert_eq!((erp.counts().applied, erp.counts().doubled), (12, 0));
}

fn encrypted(text: &str, dir: &Path) -> String {
    let (code, said) = {
        let ran = binary().args(["keys", "new"]).arg(dir.join("store.key")).output().expect("the binary runs");
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    assert_eq!(code, Some(0), "{said}");
    text.replace(
        "url = \"sqlite:crossdock.db\"",
        &format!(
            "url = \"sqlite:crossdock.db\"\nencryption_key = \"file:{}\"\nbackup = {{ dir = \"copies\", every = \"10s\" }}",
            dir.join("store.key").display()
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_1_what_was_erased_stays_erased_through_a_restore() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let keys = tempfile::tempdir().unwrap();
    let site = std::sync::Arc::new(Site::new(&erp.url(), |text| encrypted(&quick(&text), keys.path())));
    let serve = Serve::start(&site);
    for one in 1..=2 {
        send(serve.address, orders::rest(&number(one), "24-WG085", 1)).await;
    }
    erp.applied(2).await;
    let verb = site.clone();
    let key = blocking(move || token(&verb, "admin")).await;
    nothing_due(serve.address, &key).await;
    // The service makes its first copy by itself.
    let folder = site.dir.path().join("copies");
    let copy: PathBuf = until("a copy", async || crossdock::store::copies::newest(&folder).map(|(_, path)| path)).await;
    let verb = site.clone();
    let said = blocking(move || must(&verb, &["erase", "--order", "000000001", "--reason", "asked for"])).await;
    assert!(said.contains("erased: 2 bodies"), "{said}");
    let replay = async |serve: &Serve| {
        let order = asks(serve.address, &key, "/api/v1/orders/000000001").await;
        assert_eq!(order["state"], "delivered");
        let document = order["documents"][0]["id"].as_str().expect("an id").to_owned();
        asks(serve.address, &key, &format!("/api/v1/documents/{document}")).await
    };
    assert_eq!(replay(&serve).await["gone"], "erased");
    serve.kill();
    let verb = site.clone();
    blocking(move || must(&verb, &["restore", copy.to_str().unwrap(), "--yes"])).await;
    let serve = Serve::start(&site);
    assert_eq!(replay(&serve).await["gone"], "erased", "the list beside the key was applied again");
    assert_eq!(erp.counts().doubled, 0);
    let verb = site.clone();
    let said = blocking(move || must(&verb, &["doctor"])).await;
    assert!(said.contains("encrypted under key") && said.contains("the last good one is"), "{said}");
}
