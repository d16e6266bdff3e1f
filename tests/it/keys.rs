//! `Idempotency-Key` against `kill -9`: the answer is there exactly when the effect is (API-2).

use std::net::SocketAddr;
use std::time::Duration;

use crossdock::clock::{Entropy, SeededEntropy};
use crossdock::demo::erp::StandInErp;
use reqwest::Client;
use serde_json::Value;

use crate::support::process::{Serve, token};
use crate::support::{API_KEY, Answer, Site, orders, until};

struct Caller {
    client: Client,
    token: String,
}

impl Caller {
    async fn sends(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let request = request.bearer_auth(&self.token).header("content-type", "application/json");
        Some(Answer::of(request.send().await.ok()?).await)
    }

    async fn sees(&self, address: SocketAddr, path: &str) -> Value {
        self.sends(self.client.get(format!("http://{address}{path}"))).await.expect("an answer").json()
    }

    async fn replays(&self, address: SocketAddr, exception: &str, key: &str) -> Option<Answer> {
        let path = format!("http://{address}/api/v1/exceptions/{exception}/replay");
        self.sends(self.client.post(path).header("idempotency-key", key).body(r#"{"reason":"mapped"}"#)).await
    }

    async fn maps(&self, address: SocketAddr, csv: &str) {
        let request = self.client.put(format!("http://{address}/api/v1/mappings/skus")).bearer_auth(&self.token);
        let answer = request.header("content-type", "text/csv").body(csv.to_owned()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// An order that waits for its SKU; its exception.
    async fn parked(&self, address: SocketAddr, number: &str) -> String {
        let body = orders::rest(number, "NEW-SKU", 1).to_string();
        let sent =
            self.client.post(format!("http://{address}/in/flows/orders")).header("x-api-key", API_KEY).body(body);
        assert!(sent.send().await.expect("an answer").status().is_success());
        let path = format!("/api/v1/exceptions?increment_id={number}");
        until("the exception is there", async || {
            let open = self.sees(address, &path).await;
            Some(open["items"][0]["id"].as_str()?.to_owned())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_2_after_kill_nine_a_repeat_gets_the_answer_of_the_effect_or_does_it_for_the_first_time() {
    let rounds: u64 =
        std::env::var("CROSSDOCK_CRASH_ROUNDS").map_or(12, |text| text.parse().expect("a number of rounds"));
    let seed = std::env::var("CROSSDOCK_SEED").map_or(42, |text| text.parse().expect("a seed"));
    let chance = SeededEntropy::new(seed);
    println!("seed {seed}");
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| text);
    let mut serve = Serve::start(&site);
    let caller = Caller { client: Client::new(), token: token(&site, "admin") };
    let (mut answered, mut kept) = (0, 0);
    for round in 1..=rounds.min(12) {
        let number = format!("{round:09}");
        caller.maps(serve.address, "key,value,destination\n24-WG085,ITEM-1,\n").await;
        let exception = caller.parked(serve.address, &number).await;
        caller.maps(serve.address, "key,value,destination\nNEW-SKU,ITEM-2,\n").await;
        let key = format!("\"round-{round}\"");
        let first = {
            let call = caller.replays(serve.address, &exception, &key);
            tokio::pin!(call);
            // Some blows fall before the commit, some between commit and answer, some after.
            let moment = Duration::from_millis(20).mul_f64(chance.unit());
            tokio::select! {
                first = &mut call => first,
                () = tokio::time::sleep(moment) => None,
            }
        };
        serve.kill();
        serve = Serve::start(&site);
        let again = caller.replays(serve.address, &exception, &key).await.expect("an answer");
        // Were the effect there without its answer, this would be a 409: the exception is closed already.
        assert_eq!((again.status, &again.json()["result"]), (200, &"released".into()), "round {round}: {}", again.text);
        let replayed = again.headers.contains_key("idempotency-replayed");
        kept += u64::from(replayed);
        if let Some(first) = first {
            answered += 1;
            assert!(replayed, "round {round}: what was answered was kept");
            assert_eq!(first.text, again.text, "round {round}: byte for byte");
        }
        until("the order is delivered", async || {
            let told = caller.sees(serve.address, &format!("/api/v1/orders/{number}")).await;
            (told["state"] == "delivered").then_some(())
        })
        .await;
    }
    println!("{rounds} rounds: {answered} answered before the blow, {kept} answers outlived it");
    assert!(kept >= answered);
    assert_eq!((erp.counts().doubled, erp.counts().key_reused), (0, 0));
    let ledger = caller.sees(serve.address, "/api/v1/ledger").await;
    assert_eq!((&ledger["difference"], &ledger["exception"]), (&0.into(), &0.into()), "{ledger}");
    let audit = caller.sees(serve.address, "/api/v1/audit?limit=200").await;
    let replays = audit["items"].as_array().unwrap().iter().filter(|row| row["action"] == "exception.replay").count();
    assert_eq!(replays as u64, rounds.min(12), "one act a round, however often it was asked for");
    let from = audit["items"][0]["from"].as_str().unwrap();
    assert_eq!(from, "127.0.0.1", "api_5: from where");
}
