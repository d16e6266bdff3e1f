//! What a system allows is counted by requests, not by orders, and shared by all destinations of one account.

use std::time::{Duration, Instant};

use crate::contract::{booked, orders, send, service_with};
use crate::erpnext;

/// The most requests that came within any stretch of that length.
fn most_within(stretch: Duration, times: &[Instant]) -> usize {
    let within = |first: usize| times[first..].iter().take_while(|at| **at - times[first] < stretch).count();
    (0..times.len()).map(within).max().unwrap_or_default()
}

#[tokio::test]
async fn every_request_of_every_step_counts_and_no_order_fails_for_waiting() {
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
async fn two_destinations_of_an_account_are_one_for_its_limits() {
    let (app, office) = service_with(&erpnext::profile(), |text| {
        let begin = text.find("[destinations.erp]").unwrap();
        let end = text.find("[[routes]]").unwrap();
        let erp = text[begin..end].replace("profile = \"erpnext\"", "profile = \"erpnext\"\naccount = \"tenant\"");
        let wms = "[destinations.wms]\nprofile = \"pick-list\"\nguard = \"none\"\naccount = \"tenant\"\n";
        let line = |name: &str| erp.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let wms = format!("{wms}{}\n{}\n{}\n", line("url"), line("allow_private"), line("auth"));
        let account = "[accounts.tenant]\nrate = \"10/s\"\n";
        let routes = text[end..].replacen("to = [\"erp\"]", "to = [\"erp\", \"wms\"]", 1);
        format!("{}{account}{erp}{wms}{routes}", &text[..begin])
    })
    .await;
    let orders: Vec<_> = orders().into_iter().take(5).collect();
    for (_, order) in &orders {
        send(&app, order).await;
    }
    for (number, _) in &orders {
        crate::support::until(&format!("{number} is at the ERP"), async || {
            (booked(&office, number).len() == 1).then_some(())
        })
        .await;
    }
    crate::support::until("the pick lists came", async || {
        let lists = office.log().iter().filter(|asked| asked.path == "/" && asked.method == "POST").count();
        (lists >= orders.len()).then_some(())
    })
    .await;
    let times: Vec<Instant> = office.log().iter().map(|asked| asked.at).collect();
    let most = most_within(Duration::from_millis(950), &times);
    assert!(most <= 10, "{most} within a second");
    let seen = app.sees("/api/v1/destinations").await;
    assert_eq!(seen["items"][1]["account"], "tenant", "{seen}");
}
