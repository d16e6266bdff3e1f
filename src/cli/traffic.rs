//! `crossdock traffic`: what came and went lately.

use clap::Args;

use super::{Outcome, Shared, open, print};
use crate::api::traffic::with_configured;
use crate::clock::Timestamp;
use crate::store::traffic::{NewestOrder, Traffic as Told, TrafficHour};

/// No arguments of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  crossdock traffic --config crossdock.toml\n  crossdock traffic --json\n\n\
                  Hours are UTC, the last one is running; beside each stands the same hour one week before. The lag is from\n\
                  receipt to delivered, of what a destination took within the last hour: half, and 95 of 100, were no slower.")]
pub struct Traffic {}

/// Asks the store.
pub async fn run(_: Traffic, shared: &Shared) -> anyhow::Result<Outcome> {
    let config = open::config(shared)?.config;
    let store = open::existing_store(&config)?;
    let now = open::clock().now();
    let traffic = with_configured(store.traffic(now).await?, config.destinations.keys().cloned());
    store.close().await?;
    if shared.json {
        print::json(&traffic)?;
    } else {
        tell(&traffic)?;
    }
    Ok(Outcome::Done)
}

fn tell(traffic: &Told) -> anyhow::Result<()> {
    let beside = |now: u64, before: u64| format!("{now} ({before})");
    let hour = |(hour, before): (&TrafficHour, &TrafficHour)| {
        vec![
            hour.starts_at.strftime("%m-%d %H:00").to_string(),
            beside(hour.accepted, before.accepted),
            beside(hour.delivered, before.delivered),
            beside(hour.parked, before.parked),
        ]
    };
    let hours = traffic.hours.iter().zip(&traffic.week_before).map(hour).collect();
    print::table(&["hour (UTC)", "accepted (a week before)", "delivered", "to a person"], hours)?;
    print::out("\n")?;
    let lag = |millis: Option<u64>| millis.map_or_else(|| "-".to_owned(), |millis| format!("≤ {millis} ms"));
    let at = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let rows = traffic.destinations.iter().map(|one| {
        vec![
            one.destination.clone(),
            one.delivered_last_hour.to_string(),
            lag(one.lag_p50_ms),
            lag(one.lag_p95_ms),
            one.waiting.to_string(),
            at(one.oldest_waiting_at),
        ]
    });
    print::table(&["destination", "last hour", "lag p50", "lag p95", "waiting", "oldest since"], rows.collect())?;
    print::out(&traffic.newest_orders.iter().map(newest).collect::<String>())
}

fn newest(order: &NewestOrder) -> String {
    let here = order.here.as_ref().map_or_else(
        || "no order is here".to_owned(),
        |here| format!("newest order here {}, came in {}", here.increment_id, here.first_seen_at),
    );
    let there = order.there.as_ref().map_or_else(
        || "; Commerce is not searched".to_owned(),
        |there| {
            let where_it_is = if there.is_here { "here" } else { "NOT HERE" };
            format!("; newest that a search saw in Commerce {}: {where_it_is}", there.increment_id)
        },
    );
    format!("{}: {}{}\n", print::visible(&order.system), print::visible(&here), print::visible(&there))
}
