//! `kill -9` under load: no acknowledged order is lost, none takes effect twice (P1, P3).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossdock::clock::{Entropy, SeededEntropy};
use crossdock::config::SignedBytes;
use crossdock::demo::erp::{Fault, StandInErp};
use crossdock::intake::signature::sign;
use tokio::sync::Mutex;

use crate::support::process::{Serve, token};
use crate::support::{API_KEY, Answer, Site, orders};

/// Rounds of the suite; `tests/run quick` sets fewer.
fn rounds() -> u64 {
    std::env::var("CROSSDOCK_CRASH_ROUNDS").map_or(50, |text| text.parse().expect("a number of rounds"))
}

/// Numbers the service said yes to.
#[derive(Default)]
struct Acknowledged(Mutex<BTreeSet<String>>);

impl Acknowledged {
    async fn count(&self) -> usize {
        self.0.lock().await.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_kill_nine_under_load_loses_and_doubles_nothing() {
    let seed = std::env::var("CROSSDOCK_SEED").map_or(42, |text| text.parse().expect("a seed"));
    let chance = SeededEntropy::new(seed);
    println!("seed {seed}, {} rounds", rounds());
    let erp = StandInErp::start().await.expect("a loopback port");
    // Now and then the answer is lost after the order was made: the worst case for a second effect.
    erp.plan(Some(Box::new(|number| match number % 23 {
        7 => Some(Fault::DropAfterApply),
        13 => Some(Fault::Status(503)),
        _ => None,
    })));
    let site = Arc::new(Site::new(&erp.url(), |text| {
        text.replace("[destinations.erp]", "[destinations.erp]\nretry_schedule = [\"50ms\", \"100ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\"]")
    }));
    let acknowledged = Arc::new(Acknowledged::default());
    let next = Arc::new(AtomicU64::new(1));
    for _ in 0..rounds() {
        let serve = Serve::start(&site);
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..4)
            .map(|channel| {
                let (site, stop) = (site.clone(), stop.clone());
                let (acknowledged, next) = (acknowledged.clone(), next.clone());
                let address = serve.address;
                tokio::spawn(async move { send_until(&site, address, channel, &stop, &acknowledged, &next).await })
            })
            .collect();
        // At least a few orders a round, however busy the machine; then the blow falls at any moment.
        let so_far = acknowledged.count().await;
        let patience = tokio::time::Instant::now() + Duration::from_secs(10);
        while acknowledged.count().await < so_far + 3 && tokio::time::Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(150).mul_f64(chance.unit())).await;
        serve.kill();
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            sender.await.expect("a sender never panics");
        }
    }
    let serve = Serve::start(&site);
    let key = token(&site, "viewer");
    let client = reqwest::Client::new();
    let ledger = settle(&client, &format!("http://{}", serve.address), &key).await;

    let acknowledged = acknowledged.0.lock().await;
    let lost: Vec<&String> = acknowledged.iter().filter(|number| erp.find(number).is_empty()).collect();
    let counts = erp.counts();
    println!("acknowledged {}, applied {}, {ledger}", acknowledged.len(), counts.applied);
    assert!(acknowledged.len() as u64 > rounds(), "the load was too thin to show anything");
    assert_eq!(lost, Vec::<&String>::new(), "acknowledged, and not at the ERP");
    assert_eq!(counts.doubled, 0, "orders that exist twice at the ERP");
    assert_eq!(counts.key_reused, 0, "a key sent with other bytes (KEY-5)");
}

async fn send_until(
    site: &Site,
    address: std::net::SocketAddr,
    channel: u64,
    stop: &AtomicBool,
    acknowledged: &Acknowledged,
    next: &AtomicU64,
) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    while !stop.load(Ordering::SeqCst) {
        let number = format!("{:09}", next.fetch_add(1, Ordering::SeqCst));
        let request = if channel.is_multiple_of(2) {
            let body = orders::observed(&number, "24-WG085", 2);
            let signature = site.signer.sign(body.as_bytes(), SignedBytes::Base64Body);
            client.post(format!("http://{address}/in/hooks")).header(sign::COMMERCE_SIGNATURE, signature).body(body)
        } else {
            let body = orders::rest(&number, "24-WG085", 1).to_string();
            client.post(format!("http://{address}/in/flows/orders")).header("x-api-key", API_KEY).body(body)
        };
        if let Ok(response) = request.send().await
            && response.status().is_success()
        {
            acknowledged.0.lock().await.insert(number);
        }
    }
}

/// Waits until nothing is due; the ledger as text.
async fn settle(client: &reqwest::Client, base: &str, key: &str) -> String {
    let patience = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        let asked = client.get(format!("{base}/api/v1/ledger")).bearer_auth(key).send().await.expect("an answer");
        let ledger = Answer::of(asked).await.json();
        if ledger["due"] == 0 {
            let parked = client
                .get(format!("{base}/api/v1/exceptions?limit=3"))
                .bearer_auth(key)
                .send()
                .await
                .expect("an answer");
            assert_eq!(ledger["exception"], 0, "nothing needs a person: {ledger} {}", Answer::of(parked).await.text);
            return ledger.to_string();
        }
        assert!(tokio::time::Instant::now() < patience, "still due: {ledger}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
