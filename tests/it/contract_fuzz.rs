//! Whatever is asked of the API, the answer is one that `openapi.yaml` tells of, and never a 5xx: schemathesis asks, over a store
//! with orders that went, orders that wait, and people.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::{TestApp, orders};

/// Left out: what ends the session or the token that asks, and what leads outside the API.
const LEFT_OUT: &str = "^/(in|health|metrics)|^/api/v1/(session|users/me)|^/api/v1/tokens/";
/// The same cases in every run.
const SEED: &str = "20261201";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_tells_of() {
    let Some(home) = std::env::var_os("CROSSDOCK_SCHEMATHESIS") else {
        eprintln!("CROSSDOCK_SCHEMATHESIS is unset: the API was not tried against its document (tests/run sets it)");
        return;
    };
    let app = TestApp::start().await;
    app.maps("skus", "key,value,destination\n24-WG085,ITEM-1,\n").await;
    for (number, sku) in [("000000001", "24-WG085"), ("000000002", "NEW-SKU"), ("000000003", "NEW-SKU")] {
        app.commerce_sends(orders::observed(number, sku, 1)).await;
    }
    app.settled().await;
    let settings = app.site.dir.path().join("schemathesis.toml");
    std::fs::write(&settings, known(&app).await).unwrap();
    let program = std::path::Path::new(&home).join("venv/bin/schemathesis");
    let output = tokio::task::block_in_place(|| {
        Command::new(program)
            .arg("--config-file")
            .arg(&settings)
            .args(["run", concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml"), "--url", &app.url("")])
            .args(["--header", &format!("Authorization: Bearer {}", app.token)])
            .args(["--exclude-path-regex", LEFT_OUT, "--seed", SEED, "--max-examples", "40", "--workers", "2"])
            .args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--no-color"])
            .args(["--warnings", "off", "--continue-on-failure", "--request-timeout", "20"])
            .args([
                "--checks",
                "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            ])
            .output()
            .expect("schemathesis runs")
    });
    let told = String::from_utf8_lossy(&output.stdout);
    let cases = told.lines().find(|line| line.contains("generated,")).unwrap_or_default();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let asked: u32 = cases.trim().split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(asked > 1_000, "it asked next to nothing: {told}");
    app.stop().await;
}

/// What is there, so that more is tried than what becomes of an unknown name.
async fn known(app: &TestApp) -> String {
    let exceptions = app.sees("/api/v1/exceptions").await;
    let groups = app.sees("/api/v1/exceptions/groups").await;
    let parked = app.order("000000002").await;
    let gone = app.order("000000001").await;
    let text = |value: &serde_json::Value| value.as_str().expect("an id").to_owned();
    let mut settings = String::new();
    for (path, name, value) in [
        ("/api/v1/orders/{increment_id}", "increment_id", "000000002".to_owned()),
        ("/api/v1/orders/{increment_id}/explain", "increment_id", "000000002".to_owned()),
        ("/api/v1/events/{id}", "id", text(&parked["timeline"][0]["id"])),
        ("/api/v1/documents/{id}", "id", text(&gone["documents"][0]["id"])),
        ("/api/v1/documents/{id}/reveal", "id", text(&gone["documents"][0]["id"])),
        ("/api/v1/deliveries/{id}", "id", text(&gone["deliveries"][0]["id"])),
        ("/api/v1/exceptions/{id}", "id", text(&exceptions["items"][0]["id"])),
        ("/api/v1/exceptions/{id}/assign", "id", text(&exceptions["items"][0]["id"])),
        ("/api/v1/exceptions/{id}/snooze", "id", text(&exceptions["items"][0]["id"])),
        ("/api/v1/exceptions/{id}/notes", "id", text(&exceptions["items"][0]["id"])),
        ("/api/v1/exceptions/groups/{fingerprint}/preview", "fingerprint", text(&groups["items"][0]["fingerprint"])),
        ("/api/v1/exceptions/groups/{fingerprint}/proposals", "fingerprint", text(&groups["items"][0]["fingerprint"])),
        ("/api/v1/exceptions/groups/{fingerprint}/fix", "fingerprint", text(&groups["items"][0]["fingerprint"])),
        ("/api/v1/destinations/{name}/hold", "name", "erp".to_owned()),
        ("/api/v1/destinations/{name}/release", "name", "erp".to_owned()),
    ] {
        writeln!(
            settings,
            "[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ \"path.{name}\" = \"{value}\" }}\n"
        )
        .unwrap();
    }
    settings
}
