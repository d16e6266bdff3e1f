//! Starting and stopping the real binary (RUN-1, RUN-2).

use std::time::Duration;

use crossdock::demo::erp::{Fault, StandInErp};

use crate::support::process::{Serve, binary, token};
use crate::support::{API_KEY, Answer, Site, orders, until};

async fn site() -> (StandInErp, Site) {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| text);
    (erp, site)
}

#[tokio::test(flavor = "multi_thread")]
async fn run_2_sigterm_ends_with_code_0_in_time_and_loses_nothing() {
    let (erp, site) = site().await;
    let serve = Serve::start(&site);
    let sent = reqwest::Client::new()
        .post(format!("http://{}/in/flows/orders", serve.address))
        .header("x-api-key", API_KEY)
        .body(orders::rest("000000001", "24-WG085", 1).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status().as_u16(), 202);
    let (code, took) = tokio::task::spawn_blocking(move || serve.terminate()).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(erp.find("000000001").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_2_while_draining_it_is_not_ready_and_still_takes_orders() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| text.replace("drain_intake = \"0s\"", "drain_intake = \"3s\""));
    let serve = Serve::start(&site);
    let address = serve.address;
    let ending = tokio::task::spawn_blocking(move || serve.terminate());
    let client = reqwest::Client::new();
    let patience = tokio::time::Instant::now() + Duration::from_secs(2);
    loop {
        let ready = client.get(format!("http://{address}/health/ready")).send().await.expect("still listening");
        if ready.status().as_u16() == 503 {
            assert!(ready.text().await.unwrap().contains("draining"));
            break;
        }
        assert!(tokio::time::Instant::now() < patience, "still ready");
    }
    let sent = client
        .post(format!("http://{address}/in/flows/orders"))
        .header("x-api-key", API_KEY)
        .body(orders::rest("000000002", "24-WG085", 1).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status().as_u16(), 202);
    assert_eq!(ending.await.unwrap().0, Some(0));
    assert_eq!(erp.find("000000002").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_1_a_second_serve_on_the_same_file_is_refused_in_words() {
    let (_erp, site) = site().await;
    let _first = Serve::start(&site);
    let second = tokio::task::spawn_blocking(move || {
        binary().arg("serve").arg("--config").arg(site.config_path()).output().expect("the binary runs")
    });
    let second = tokio::time::timeout(Duration::from_secs(10), second).await.expect("it ends by itself").unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another") || said.contains("already"), "{said}");
}

#[test]
fn run_6_a_wrong_configuration_shows_every_problem_and_does_not_start() {
    let site = Site::new("https://erp.example.com/orders", |text| {
        text.replace("guard = \"key\"", "guard = \"kee\"")
            .replace("to = [\"erp\"]", "to = [\"wms\"]")
            .replace("[server]", "[server]\nlisen = 1")
    });
    for verb in ["check", "serve"] {
        let ran = binary().arg(verb).arg("--config").arg(site.config_path()).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{verb}: {said}");
        for problem in ["lisen", "kee", "wms"] {
            assert!(said.contains(problem), "{verb} does not show {problem}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_2_a_second_signal_ends_it_at_once_and_nothing_acknowledged_is_lost() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| text.replace("drain_intake = \"0s\"", "drain_intake = \"20s\""));
    for second in ["-TERM", "-INT"] {
        let serve = Serve::start(&site);
        let address = serve.address;
        serve.signal("-TERM");
        not_ready(address).await;
        let number = format!("{:09}", erp.counts().applied + 1);
        assert_eq!(sends(address, &number).await, 202);
        let begun = std::time::Instant::now();
        let code = tokio::task::spawn_blocking(move || {
            serve.signal(second);
            serve.ended()
        });
        assert_eq!(code.await.unwrap(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let again = Serve::start(&site);
        tokio::time::timeout(Duration::from_secs(20), erp.applied(number.parse().unwrap())).await.expect(&number);
        assert_eq!(erp.find(&number).len(), 1);
        again.kill();
    }
    assert_eq!(erp.counts().doubled, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_2_a_request_that_hangs_does_not_hold_up_the_end_and_is_settled_by_the_next_start() {
    let erp = StandInErp::start().await.expect("a loopback port");
    let site = Site::new(&erp.url(), |text| {
        text.replace("drain_intake = \"0s\"", "drain_intake = \"0s\"\ndrain_requests = \"1s\"").replace(
            "[destinations.erp]",
            "[destinations.erp]\nretry_schedule = [\"50ms\"]\nrequest_timeout = \"120s\"",
        )
    });
    erp.next([Fault::HangAfterApply(Duration::from_secs(100))]);
    let serve = Serve::start(&site);
    assert_eq!(sends(serve.address, "000000001").await, 202);
    erp.applied(1).await;
    let (code, took) = tokio::task::spawn_blocking(move || serve.terminate()).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let serve = Serve::start(&site);
    let (client, key) = (reqwest::Client::new(), tokio::task::block_in_place(|| token(&site, "viewer")));
    let order = until("the order is delivered", async || {
        let asked = client.get(format!("http://{}/api/v1/orders/000000001", serve.address)).bearer_auth(&key);
        let order = Answer::of(asked.send().await.expect("an answer")).await.json();
        (order["state"] == "delivered").then_some(order)
    })
    .await;
    assert_eq!(order["deliveries"][0]["attempts_made"][0]["outcome"], "uncertain", "att_1: {order}");
    let counts = erp.counts();
    assert_eq!((counts.applied, counts.replayed, counts.doubled), (1, 1, 0), "{counts:?}");
}

#[test]
fn usage_errors_exit_with_2_and_what_is_missing_with_1() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran = binary().args(arguments).current_dir(scratch.path()).output().expect("the binary runs");
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    for wrong in [&["serv"][..], &["serve", "--colour"], &["serve", "--config"], &["serve", "--log", "loud=x"]] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
    for missing in [&["serve"][..], &["serve", "--config", "absent.toml"], &["check", "--config", "absent.toml"]] {
        let (code, said) = run(missing);
        assert_eq!(code, Some(1), "{missing:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_said_and_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new("https://erp.example.com/orders", |text| text.replace("127.0.0.1:0", &address.to_string()));
    let ran = tokio::task::spawn_blocking(move || {
        binary().arg("serve").arg("--config").arg(site.config_path()).output().expect("the binary runs")
    });
    let ran = tokio::time::timeout(Duration::from_secs(20), ran).await.expect("it ends by itself").unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}

async fn sends(address: std::net::SocketAddr, number: &str) -> u16 {
    let request = reqwest::Client::new().post(format!("http://{address}/in/flows/orders")).header("x-api-key", API_KEY);
    let sent = request.body(orders::rest(number, "24-WG085", 1).to_string()).send().await;
    sent.expect("an answer").status().as_u16()
}

async fn not_ready(address: std::net::SocketAddr) {
    let client = reqwest::Client::new();
    until("it is not ready", async || {
        let ready = client.get(format!("http://{address}/health/ready")).send().await.expect("still listening");
        (ready.status().as_u16() == 503).then_some(())
    })
    .await;
}
