//! What a system allows is counted by requests, not by orders, and shared by all destinations of one account.

use std::time::{Duration, Instant};

use crate::contract::{booked, orders, send, service_with};
use crate::erpnext;
use crate::office::Office;
use crate::support::{TestApp, until};

/// The most requests that came within any stretch of that length.
fn most_within(stretch: Duration, times: &[Instant]) -> usize {
    let within = |first: usize| times[first..].iter().take_while(|at| **at - times[first] < stretch).count();
    (0..times.len()).map(within).max().unwrap_or_default()
}

/// An ERP and a warehouse of one account, with what they say of limits: the ERP of its own, and their account of both.
async fn with_a_warehouse(own: &str, shared: &str) -> (TestApp, Office) {
    service_with(&erpnext::profile(), |text| {
        let begin = text.find("[destinations.erp]").unwrap();
        let end = text.find("[[routes]]").unwrap();
        let line = |name: &str| text[begin..end].lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let wms = "[destinations.wms]\nprofile = \"pick-list\"\nguard = \"none\"\naccount = \"tenant\"\n";
        let wms = format!("{wms}{}\n{}\n{}\n", line("url"), line("allow_private"), line("auth"));
        let head = "profile = \"erpnext\"\n";
        let erp = text[begin..end].replace(head, &format!("{head}account = \"tenant\"\n{own}"));
        let routes = text[end..].replacen("to = [\"erp\"]", "to = [\"erp\", \"wms\"]", 1);
        format!("{}[accounts.tenant]\n{shared}{erp}{wms}{routes}", &text[..begin])
    })
    .await
}

/// Pick lists that came.
fn lists(office: &Office) -> usize {
    office.log().iter().filter(|asked| asked.path == "/" && asked.method == "POST").count()
}

#[tokio::test]
async fn ret_2_every_request_of_every_step_counts_and_no_order_fails_for_waiting() {
    let (app, office) = service_with(&erpnext::profile(), |text| {
        text.replace("profile = \"erpnext\"", "profile = \"erpnext\"\nrate = \"10/s\"")
    })
    .await;
    let orders: Vec<_> = orders().into_iter().take(8).collect();
    for (_, order) in &orders {
        send(&app, order).await;
    }
    for (number, _) in &orders {
        app.order_is(number, "delivered").await;
        assert_eq!(booked(&office, number).len(), 1);
    }
    let times: Vec<Instant> = office.log().iter().map(|asked| asked.at).collect();
    assert!(times.len() >= 24, "three steps each: {}", times.len());
    // A request that waited a little on its way may come together with the next.
    let most = most_within(Duration::from_millis(950), &times);
    assert!(most <= 10, "{most} within a second");
    let attempts = app.sees("/api/v1/destinations").await;
    assert_eq!(attempts["items"][0]["state"], "open", "{attempts}");
}

#[tokio::test]
async fn prs_1_two_destinations_of_an_account_are_one_for_its_limits() {
    let (app, office) = with_a_warehouse("", "rate = \"10/s\"\n").await;
    let orders: Vec<_> = orders().into_iter().take(5).collect();
    for (_, order) in &orders {
        send(&app, order).await;
    }
    for (number, _) in &orders {
        until(&format!("{number} is at the ERP"), async || (booked(&office, number).len() == 1).then_some(())).await;
    }
    until("the pick lists came", async || (lists(&office) >= orders.len()).then_some(())).await;
    let times: Vec<Instant> = office.log().iter().map(|asked| asked.at).collect();
    let most = most_within(Duration::from_millis(950), &times);
    assert!(most <= 10, "{most} within a second");
    let seen = app.sees("/api/v1/destinations").await;
    assert_eq!(seen["items"][1]["account"], "tenant", "{seen}");
}

/// A bug of ours: that the ERP's own rate was used up halfway through an order was taken for the account's word to wait.
#[tokio::test]
async fn ret_3_a_rate_that_is_used_up_halfway_through_an_order_pauses_nobody_else() {
    let orders: Vec<_> = orders().into_iter().take(5).collect();
    let (first, order) = &orders[0];
    let whole = {
        let (app, office) = service_with(&erpnext::profile(), |text| text).await;
        send(&app, order).await;
        app.order_is(first, "delivered").await;
        app.stop().await;
        office.log().len()
    };
    let (app, office) = with_a_warehouse(&format!("rate = \"{}/m\"\n", whole - 1), "concurrency = 8\n").await;
    send(&app, order).await;
    let mut put_off = serde_json::Value::Null;
    until("the order is put off", async || {
        let order = app.asks(reqwest::Method::GET, &format!("/api/v1/orders/{first}"), None).await.json();
        let erp = order["deliveries"].as_array()?.iter().find(|delivery| delivery["destination"] == "erp")?;
        put_off = app.sees(&format!("/api/v1/deliveries/{}", erp["id"].as_str()?)).await;
        (put_off["attempts_made"].as_array()?.last()?["outcome"] == "unfinished").then_some(())
    })
    .await;
    assert_eq!(put_off["state"], "waiting", "{put_off}");
    let last = put_off["attempts_made"].as_array().unwrap().last().unwrap();
    assert!(last["detail"].as_str().unwrap().contains("asked as much as it allows"), "{last}");
    for (_, order) in &orders[1..] {
        send(&app, order).await;
    }
    until("the pick lists came", async || (lists(&office) >= orders.len()).then_some(())).await;
    let seen = app.sees("/api/v1/destinations").await;
    for destination in seen["items"].as_array().unwrap() {
        assert_eq!(destination["state"], "open", "{destination}");
    }
    app.stop().await;
}
