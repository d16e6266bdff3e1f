//! Tells an outside monitor that we are well, and says nothing when we are not: it alarms when the pings stop.
//!
//! Well means more than alive: ready for requests, the store took a write a moment ago, and deliveries leave.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::channel::{Ping, Sent};
use super::{Alerting, DeadMan};
use crate::clock::later;
use crate::delivery::DestinationState;
use crate::observe::Event;

/// A delivery that is due for longer, at a destination that is open, while nothing is under way: nobody sends.
const STUCK: Duration = Duration::from_mins(2);
/// A write that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until the service stops.
pub(super) async fn run(alerting: Arc<Alerting>, dead_man: DeadMan, mut stopped: watch::Receiver<bool>) {
    let ping = match Ping::new(&dead_man.way) {
        Ok(ping) => ping,
        Err(problems) => {
            tracing::error!(detail = problems.join("; "), "the dead man's switch cannot be pinged");
            let _ = stopped.changed().await;
            return;
        }
    };
    let mut next = Instant::now();
    while !*stopped.borrow() {
        let (outcome, detail) = match unwell(&alerting).await {
            Some(why) => ("withheld", why),
            None => match ping.ping(alerting.clock.now()).await {
                Sent::Accepted { answer } => ("sent", answer),
                Sent::Later { why, .. } | Sent::Refused { why } => ("failed", why),
            },
        };
        alerting.observer.note(&Event::DeadManPinged { outcome, detail: &detail });
        next = (next + dead_man.every).max(Instant::now());
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Why the ping is withheld.
async fn unwell(alerting: &Alerting) -> Option<String> {
    if let Some(reason) = alerting.health.not_ready().into_iter().next() {
        return Some(format!("not ready: {}", reason.code));
    }
    let now = alerting.clock.now();
    match tokio::time::timeout(PATIENCE, alerting.store.mark_alive(now)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Some(error.to_string()),
        Err(_) => return Some("the store takes too long to write".to_owned()),
    }
    for status in alerting.delivery.status() {
        if status.state != DestinationState::Open {
            continue;
        }
        let standing = match alerting.store.standing(status.name.clone()).await {
            Ok(standing) => standing,
            Err(error) => return Some(error.to_string()),
        };
        let overdue = standing.oldest_due_at.is_some_and(|due_at| later(due_at, STUCK) <= now);
        if overdue && standing.in_flight == 0 && status.in_flight == 0 && status.settled_last_minute == 0 {
            return Some(format!("deliveries to {} are due and nothing leaves", status.name));
        }
    }
    None
}
