//! Slow and oversized senders cost themselves, nobody else (PRS-4, ACK-8, POI-3).

use std::fmt::Write as _;

use crate::support::wire::Wire;
use crate::support::{API_KEY, TestApp, is_problem, orders};

async fn impatient() -> TestApp {
    TestApp::with(|text| text.replace("[server]\n", "[server]\nheader_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n"))
        .await
}

fn head(rest: &str) -> String {
    format!(
        "POST /in/flows/orders HTTP/1.1\r\nHost: test\r\nX-Api-Key: {API_KEY}\r\nContent-Type: application/json\r\n{rest}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn prs_4_a_slow_head_costs_its_own_connection_alone() {
    let app = impatient().await;
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut wire = Wire::open(app.running.address).await;
        wire.says("POST /in/flows/orders HTTP/1.1\r\nHost: te").await;
        slow.push(wire);
    }
    let answer = app.patchworks_sends(orders::rest("000000001", "24-WG085", 1).to_string()).await;
    assert_eq!(answer.status, 202, "others are served meanwhile");
    for wire in &mut slow {
        let heard = wire.hears_all().await;
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{heard}");
    }
    assert_eq!(app.stored().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn prs_4_a_head_that_trickles_is_not_given_more_time_for_it() {
    let app = impatient().await;
    let mut wire = Wire::open(app.running.address).await;
    wire.says("POST /in/flows/orders HTTP/1.1\r\n").await;
    let trickling = async {
        // Far more bytes than the deadline allows at this pace.
        for index in 0..200 {
            if !wire.says(format!("X-{index}: y\r\n")).await {
                return index;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        200
    };
    assert!(trickling.await < 200, "the connection outlived its deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_8_a_slow_body_is_408_and_nothing_is_stored() {
    let app = impatient().await;
    for length in ["Content-Length: 500\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut wire = Wire::open(app.running.address).await;
        wire.says(head(length)).await;
        wire.says("5\r\n{\"a\":").await;
        assert_eq!(wire.hears_status().await, 408, "{length}");
    }
    assert_eq!(app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_never_stored_in_part() {
    let app = TestApp::start().await;
    let body = orders::rest("000000001", "24-WG085", 1).to_string();
    let mut wire = Wire::open(app.running.address).await;
    wire.says(head(&format!("Content-Length: {}\r\n", body.len() + 1))).await;
    wire.says(&body).await;
    drop(wire);
    let answer = app.patchworks_sends(orders::rest("000000002", "24-WG085", 1).to_string()).await;
    assert_eq!(answer.status, 202);
    assert_eq!(app.stored().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn poi_3_a_body_over_the_limit_is_413_before_it_is_read() {
    let app = TestApp::start().await;
    let mut announced = Wire::open(app.running.address).await;
    announced.says(head("Content-Length: 1048577\r\n")).await;
    assert_eq!(announced.hears_status().await, 413, "with its length announced, no byte of it is waited for");

    let mut chunked = Wire::open(app.running.address).await;
    chunked.says(head("Transfer-Encoding: chunked\r\n")).await;
    let mut chunk = String::new();
    write!(chunk, "{:x}\r\n{}\r\n", 65_536, " ".repeat(65_536)).unwrap();
    for _ in 0..17 {
        chunked.says(&chunk).await;
    }
    assert_eq!(chunked.hears_status().await, 413, "without a length, as soon as it is too much");
    assert_eq!(app.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn poi_3_a_client_that_sends_all_of_ten_megabytes_still_hears_413() {
    let app = TestApp::start().await;
    for _ in 0..8 {
        let sent =
            app.client.post(app.url("/in/flows/orders")).header("x-api-key", API_KEY).body(vec![b' '; 10_000_000]);
        let answer = sent.send().await.expect("an answer, not a reset connection");
        assert_eq!(answer.status(), 413);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_may_allow_ten_mebibytes_and_not_a_byte_more() {
    let app = TestApp::with(|text| {
        text.replacen("type = \"patchworks\"", "type = \"patchworks\"\nbody_bytes_max = \"10MiB\"", 1)
    })
    .await;
    let order = orders::rest("000000001", "24-WG085", 1).to_string();
    let padded = format!("{order}{}", " ".repeat(10 * 1024 * 1024 - order.len()));
    assert_eq!(app.patchworks_sends(padded.clone()).await.status, 202);
    is_problem("one byte more", &app.patchworks_sends(format!("{padded} ")).await, 413);
    let hook = orders::observed("000000002", "24-WG085", 1);
    let padding = " ".repeat(1024 * 1024 - hook.len());
    let exact = app.commerce_sends(hook + &padding).await;
    assert_eq!(exact.status, 200, "exactly the limit: {}", exact.text);
}
