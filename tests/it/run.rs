//! Starting and stopping the real binary (RUN-1, RUN-2).

use std::time::Duration;

use crossdock::demo::erp::StandInErp;

use crate::support::process::{Serve, binary};
use crate::support::{API_KEY, Site, orders};

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
