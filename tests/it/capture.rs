//! `crossdock capture` beside a running service: what came, without who sent it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::process::binary;
use crate::support::{TestApp, orders};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_origin_sends_is_kept_without_its_buyer() {
    let app = TestApp::start().await;
    let sent = |number: &str| {
        let mut order = orders::rest(number, "24-WG085", 2);
        order["customer_email"] = "anna.himmel@shop.test".into();
        order["billing_address"]["lastname"] = "Himmelblau".into();
        order.to_string()
    };
    assert_eq!(app.patchworks_sends(sent("000000001")).await.status, 202);
    app.order_is("000000001", "delivered").await;

    let out = tempfile::tempdir().unwrap();
    let folder = |name: &str| out.path().join(name);
    let capture = |name: &str, more: &[&str]| {
        let mut verb = binary();
        verb.args(["capture", "--origin", "flows", "--json", "--out"]).arg(folder(name)).args(more);
        verb.arg("--config").arg(app.site.config_path());
        verb
    };
    let stored = capture("stored", &["--stored", "--count", "1"]).output().unwrap();
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    let lines: serde_json::Value = serde_json::from_slice(&stored.stdout).unwrap();
    assert_eq!((&lines[0]["kind"], &lines[0]["file"]), (&"order".into(), &"001-order.json".into()));
    let kept = std::fs::read_to_string(folder("stored").join("001-order.json")).unwrap();
    assert!(!kept.contains("anna.himmel") && !kept.contains("Himmelblau"), "{kept}");
    assert!(kept.contains("000000001") && kept.contains("24-WG085") && kept.contains("@example.com"), "{kept}");

    // The next one, not the one that is there already.
    let mut waiting = capture("next", &["--count", "1", "--within", "1m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting for the next 1"), "{line}");
    assert_eq!(app.patchworks_sends(sent("000000002")).await.status, 202);
    let waited = tokio::task::spawn_blocking(|| waiting.wait_with_output()).await.unwrap().unwrap();
    assert!(waited.status.success());
    let kept = std::fs::read_to_string(folder("next").join("001-order.json")).unwrap();
    assert!(kept.contains("000000002") && !kept.contains("000000001"), "{kept}");

    // Fewer than asked for is a finding; a folder in use is not overwritten; an origin that is not there is named.
    let more = capture("few", &["--stored", "--count", "9"]).output().unwrap();
    assert_eq!(more.status.code(), Some(1));
    let again = capture("stored", &["--stored", "--count", "1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let unknown = capture("x", &["--origin", "nobody"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2), "--origin twice is usage");
    app.stop().await;
}
