//! What is never said, wherever the service speaks (DAT-3): secrets, authorisation, signatures, URL queries of origins,
//! a buyer's details. Values that can be recognised go in at every door, and everything that comes out is searched.

use std::os::unix::fs::FileExt as _;

use crossdock::demo::erp::{Fault, StandInErp};
use serde_json::Value;

use crate::support::process::{Serve, token};
use crate::support::{API_KEY, Answer, HMAC_SECRET, STANDARD_SECRET, Site, orders, until};

/// A buyer's details in the payloads, with marks that stand nowhere else.
const BUYER: [&str; 6] =
    ["mark-email@example.com", "Markfirst", "Markwell-Last", "9 Mark Street", "020 0000 6661", "N66 6MK"];
/// What only the configuration and the callers know.
const SECRETS: [&str; 8] = [
    API_KEY,
    HMAC_SECRET,
    "dGVzdC1zZWNyZXQtb2YtY3Jvc3Nkb2NrLTAxMjM=",
    "erp-token-mark-0123456789abcdef",
    "mark-in-a-query",
    "mark-wrong-signature",
    "mark-wrong-bearer",
    "mark-in-a-cookie",
];

fn marked(number: &str, sku: &str) -> Value {
    let text = orders::rest(number, sku, 1)
        .to_string()
        .replace("anna@example.com", BUYER[0])
        .replace("\"Anna\"", &format!("\"{}\"", BUYER[1]))
        .replace("\"Weiß\"", &format!("\"{}\"", BUYER[2]))
        .replace("1 High Street", BUYER[3])
        .replace("020 7946 0000", BUYER[4])
        .replace("N1 9GU", BUYER[5]);
    assert!(BUYER.iter().all(|mark| text.contains(mark)), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_3_logs_metrics_and_errors_hold_no_secret_and_no_buyer() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = std::sync::Arc::new(Site::new(&erp.url(), |text| {
        let at = text.find("[destinations.erp]").unwrap();
        let (head, tail) = text.split_at(at);
        let tail = tail
            .replace(
                "auth = { type = \"none\" }",
                &format!("auth = {{ type = \"bearer\", token = \"{}\" }}", SECRETS[3]),
            )
            .replace("[destinations.erp]", "[destinations.erp]\nretry_schedule = [\"10ms\"]");
        format!("{head}{tail}")
    }));
    assert!(STANDARD_SECRET.ends_with(SECRETS[2]));
    let started = site.clone();
    let serve = tokio::task::spawn_blocking(move || Serve::saying("crossdock=trace,info", &started)).await.unwrap();
    let verb = site.clone();
    let key = tokio::task::spawn_blocking(move || token(&verb, "admin")).await.unwrap();
    let client = reqwest::Client::new();
    let base = format!("http://{}", serve.address);
    let mut errors = Vec::new();
    let send = async |path: &str, body: String, headers: &[(&str, &str)]| {
        let mut request = client.post(format!("{base}{path}")).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    };
    let keyed = [("x-api-key", API_KEY)];

    // The ordinary way, a destination that refuses with the buyer's words, one that fails, one that is cut off.
    erp.next_good(1);
    erp.next([Fault::Status(422), Fault::Status(503), Fault::DropAfterApply]);
    for number in 1..=4 {
        let answer = send("/in/flows/orders", marked(&format!("{number:09}"), "24-WG085").to_string(), &keyed).await;
        assert_eq!(answer.status, 202);
    }
    // At every door: wrong credentials, queries, cookies, unreadable and conflicting bodies.
    let order = marked("000000009", "24-WG085").to_string();
    let half = order[..order.len() / 2].to_owned();
    for (path, body, headers) in [
        ("/in/flows/orders?token=mark-in-a-query", order.clone(), &[("x-api-key", "mark-wrong-bearer")][..]),
        ("/in/flows/orders?token=mark-in-a-query", half.clone(), &keyed),
        ("/in/flows/orders", format!("[{half}"), &keyed),
        ("/in/flows/orders", order.replace("grand_total", BUYER[2]), &keyed),
        ("/in/flows/orders", order.replace("\"items\":[", "\"items\":[7,"), &keyed),
        ("/in/flows/mark-in-a-query", order.clone(), &keyed),
        ("/in/hooks", order.clone(), &[("x-adobe-commerce-webhook-signature", "mark-wrong-signature")]),
        ("/in/flows/orders", order.clone(), &[("x-hmac-hash", "mark-wrong-signature")]),
        ("/in/flows/orders", order.clone(), &[("cookie", "session=mark-in-a-cookie")]),
        ("/api/v1/orders/expand", half, &[("authorization", "Bearer mark-wrong-bearer")]),
        ("/api/v1/tokens?x=mark-in-a-query", order.clone(), &[("authorization", "Bearer mark-wrong-bearer")]),
    ] {
        errors.push(send(path, body, headers).await);
    }
    let bearer = format!("Bearer {key}");
    let authorised = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for (path, body) in [
        ("/api/v1/tokens", order.clone()),
        ("/api/v1/exceptions/exc_nonsense/replay", order.clone()),
        ("/api/v1/exceptions/groups/mark-in-a-query/release", order),
    ] {
        errors.push(send(path, body, &authorised).await);
    }
    until("everything is settled", async || {
        let asked = client.get(format!("{base}/api/v1/ledger")).bearer_auth(&key).send().await.expect("an answer");
        (Answer::of(asked).await.json()["due"] == 0).then_some(())
    })
    .await;
    let get = async |path: &str| {
        let asked = client.get(format!("{base}{path}")).bearer_auth(&key).send().await.expect("an answer");
        Answer::of(asked).await.text
    };
    let mut spoken = vec![get("/metrics").await, get("/health/ready").await, get("/api/v1/exceptions/groups").await];
    spoken.extend(errors.iter().filter(|answer| answer.status >= 400).map(|answer| answer.text.clone()));
    assert!(errors.iter().filter(|answer| answer.status >= 400).count() >= 9, "{errors:?}");
    let lines = serve.said();
    assert!(lines.len() > 10, "it said something");
    spoken.extend(lines);
    let key = key.as_str();
    for text in &spoken {
        for mark in BUYER.iter().chain(&SECRETS).chain([&key]) {
            assert!(!text.contains(mark), "{mark} is told in: {text}");
        }
    }
    // DAT-4: every line of the log is one JSON object.
    for line in serve.said() {
        assert!(serde_json::from_str::<Value>(&line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bak_4_a_damaged_store_takes_nothing_in_and_says_which_copy_would_be_used() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = std::sync::Arc::new(Site::new(&erp.url(), |text| {
        text.replace(
            "url = \"sqlite:crossdock.db\"",
            "url = \"sqlite:crossdock.db\"\nbackup = { dir = \"copies\", every = \"10s\" }",
        )
    }));
    let started = site.clone();
    let serve = tokio::task::spawn_blocking(move || Serve::start(&started)).await.unwrap();
    let client = reqwest::Client::new();
    let base = format!("http://{}", serve.address);
    let send = async |number: u32| {
        let body = orders::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
        let request = client.post(format!("{base}/in/flows/orders")).header("x-api-key", API_KEY).body(body);
        Answer::of(request.send().await.expect("an answer")).await
    };
    for number in 1..=40 {
        assert_eq!(send(number).await.status, 202);
    }
    erp.applied(40).await;
    let copies = site.dir.path().join("copies");
    until("a copy", async || crossdock::store::copies::newest(&copies)).await;
    // The rest of the file is overwritten; its log is in the file by then or is met first.
    until("the damage is met", async || {
        let path = site.dir.path().join("crossdock.db");
        for file in [path.clone(), path.with_extension("db-wal")] {
            // In place: a file that is cut short for a moment would be another fault, one that ends the process (ACK-6).
            if let Ok(length) = file.metadata().map(|found| found.len())
                && length > 8192
            {
                let rest = vec![0xff; usize::try_from(length).unwrap() - 4096];
                std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all_at(&rest, 4096).unwrap();
            }
        }
        send(99).await;
        let ready = Answer::of(client.get(format!("{base}/health/ready")).send().await.expect("an answer")).await;
        (ready.status == 503 && ready.text.contains("crossdock restore")).then_some(ready.text)
    })
    .await;
    let refused = send(100).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(site.dir.path().join("crossdock.db").exists(), "the file is kept");
    drop(serve);
    let ran = {
        let config = site.config_path();
        tokio::task::spawn_blocking(move || {
            crate::support::process::binary().args(["serve", "--config"]).arg(config).output().expect("the binary runs")
        })
    };
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("crossdock restore") || said.contains("not a database"), "{said}");
}
