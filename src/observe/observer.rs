//! One place where each event is logged and counted.

use super::events::{Event, log};
use super::metrics::{
    Metrics, OfAction, OfAlarm, OfAttempt, OfCode, OfDestination, OfDestinationState, OfIncident, OfMessage, OfOrigin,
    OfOutcome, OfRead, OfReading, OfRefusal, OfRule, OfSystem,
};
use super::opened::Opened;
use crate::clock::Timestamp;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

/// Logs and counts events.
#[derive(Debug)]
pub struct Observer {
    metrics: Metrics,
    /// Hears of every exception; what it has no room for is not counted as part of a storm.
    storms: Option<mpsc::Sender<Opened>>,
    /// Rung when people may have to be told.
    bell: Option<Arc<Notify>>,
}

fn of(origin: &str) -> OfOrigin {
    OfOrigin { origin: origin.to_owned() }
}

fn to(destination: &str) -> OfDestination {
    OfDestination { destination: destination.to_owned() }
}

impl Observer {
    /// Counts into `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Observer { metrics, storms: None, bell: None }
    }

    /// Tells `storms` of every exception (POI-4).
    #[must_use]
    pub fn heard_by(self, storms: mpsc::Sender<Opened>) -> Self {
        Observer { storms: Some(storms), ..self }
    }

    /// Rings `bell` when people may have to be told.
    #[must_use]
    pub fn ringing(self, bell: Arc<Notify>) -> Self {
        Observer { bell: Some(bell), ..self }
    }

    /// The metrics, for rendering.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The newest good copy of the store is of this instant.
    pub fn backup_is_from(&self, at: Timestamp) {
        self.metrics.counters.backup_last_good.set(at.as_second());
    }

    /// Logs and counts one event.
    pub fn note(&self, event: &Event<'_>) {
        self.count(event);
        if let (Event::ExceptionOpened { code, fingerprint, destination, .. }, Some(storms)) = (event, &self.storms) {
            let opened = Opened {
                fingerprint: (*fingerprint).to_owned(),
                code: (*code).to_owned(),
                destination: destination.map(str::to_owned),
            };
            // Never waits; when it is full there is a storm already.
            drop(storms.try_send(opened));
        }
        if let Some(bell) = &self.bell
            && matches!(
                event,
                Event::ExceptionOpened { .. }
                    | Event::IncidentOpened { .. }
                    | Event::IncidentEnded { .. }
                    | Event::LedgerDiffers { .. }
            )
        {
            bell.notify_one();
        }
        log(event);
    }

    fn count(&self, event: &Event<'_>) {
        let counters = &self.metrics.counters;
        match event {
            Event::RequestReceived { origin } => count(&counters.requests_received, &of(origin)),
            Event::RequestStored { origin, elapsed } => {
                count(&counters.requests_stored, &of(origin));
                counters.accept_seconds.get_or_create(&of(origin)).observe(elapsed.as_secs_f64());
            }
            Event::RequestRefused { origin, reason, .. } => {
                let label = OfRefusal { origin: (*origin).to_owned(), reason: reason.as_str() };
                count(&counters.requests_refused, &label);
            }
            Event::PushMissed { origin, .. } => count(&counters.pushes_missed, &of(origin)),
            Event::SigningKeyUnread { origin, .. } => count(&counters.signing_keys_unread, &of(origin)),
            Event::Committed { elapsed } => counters.commit_seconds.observe(elapsed.as_secs_f64()),
            Event::EnvelopeAccepted { origin, .. } => self.count_record(&counters.records_accepted, origin),
            Event::DuplicateSeen { origin, .. } => self.count_record(&counters.records_duplicate, origin),
            Event::ConflictSeen { origin, .. } => self.count_record(&counters.records_conflict, origin),
            Event::RecordRejected { origin, .. } => self.count_record(&counters.records_rejected, origin),
            Event::AttemptStarted { destination, .. } => count(&counters.attempts_started, &to(destination)),
            Event::AttemptFinished { destination, outcome, elapsed, .. } => {
                let label = OfAttempt { destination: (*destination).to_owned(), outcome: (*outcome).to_owned() };
                count(&counters.attempts, &label);
                counters.attempt_seconds.get_or_create(&to(destination)).observe(elapsed.as_secs_f64());
            }
            Event::DeliverySettled { destination, age, .. } => {
                counters.accept_to_erp_seconds.get_or_create(&to(destination)).observe(age.as_secs_f64());
            }
            Event::ExceptionOpened { code, .. } => {
                count(&counters.exceptions_opened, &OfCode { code: (*code).to_owned() });
            }
            Event::DestinationStateChanged { destination, state, .. } => {
                let label = OfDestinationState { destination: (*destination).to_owned(), state: (*state).to_owned() };
                count(&counters.destination_changes, &label);
            }
            Event::IncidentOpened { destination, kind, .. } => {
                let label = OfIncident { destination: (*destination).to_owned(), kind: (*kind).to_owned() };
                count(&counters.incidents, &label);
            }
            Event::AlertEnded { .. }
            | Event::IncidentEnded { .. }
            | Event::Restored { .. }
            | Event::ValidationAsked { .. } => {}
            Event::AlertRaised { rule, severity, .. } => {
                let label = OfRule { rule: (*rule).to_owned(), severity: (*severity).to_owned() };
                count(&counters.alerts_raised, &label);
            }
            Event::AlertMessage { contact, outcome, took, .. } => {
                count(&counters.alert_messages, &OfMessage { contact: (*contact).to_owned(), outcome });
                if *outcome == "sent" {
                    counters.alert_message_seconds.observe(took.as_secs_f64());
                }
            }
            Event::DeadManPinged { outcome, .. } => count(&counters.dead_man_pings, &OfOutcome { outcome }),
            Event::ExceptionStorm { code, .. } => {
                count(&counters.exception_storms, &OfCode { code: (*code).to_owned() });
            }
            Event::CommitsTooSlow { refusing } => {
                counters.commits_too_slow.set(i64::from(*refusing));
            }
            Event::DiskChanged { rank, .. } => {
                counters.disk_level.set(i64::from(*rank));
            }
            Event::CatalogueRead { found } => {
                if *found {
                    counters.catalogue_hits.inc()
                } else {
                    counters.catalogue_misses.inc()
                };
            }
            Event::CatalogueFetched { known, failed, .. } => {
                if failed.is_some() {
                    counters.catalogue_fetch_failures.inc();
                }
                counters.catalogue_products.set(i64::try_from(*known).unwrap_or(i64::MAX));
            }
            Event::MappingsReloaded { .. } => {
                counters.mappings_reloads.inc();
            }
            Event::OperatorActed { action, .. } => {
                count(&counters.operator_acts, &OfAction { action: (*action).to_owned() });
            }
            Event::LedgerDiffers { .. } => count(&counters.books_alarms, &OfAlarm { alarm: "ledger_difference" }),
            Event::EnvelopesSilent { .. } => count(&counters.books_alarms, &OfAlarm { alarm: "silent_envelopes" }),
            Event::ReadWanted { system } => {
                count(&counters.reads_wanted, &OfSystem { system: (*system).to_owned() });
            }
            Event::ReadEnded { system, outcome, .. } => {
                count(&counters.reads, &OfRead { system: (*system).to_owned(), outcome });
            }
            Event::ReadsHeld { system, held, .. } => {
                let label = OfSystem { system: (*system).to_owned() };
                counters.reads_held.get_or_create(&label).set(i64::from(*held));
            }
            Event::SweepEnded { system, outcome, taken, newest, lag, .. } => {
                counters.swept(system, outcome, *taken, *newest, *lag);
            }
            Event::JournalRead { origin, outcome, taken, .. } => {
                count(&counters.journal_readings, &OfReading { origin: (*origin).to_owned(), outcome });
                counters.journal_events.get_or_create(&of(origin)).inc_by(*taken);
            }
            Event::PollEnded { origin, poll, outcome, new, known, unreadable, .. } => {
                counters.polled(
                    origin,
                    poll,
                    outcome,
                    [("new", new - unreadable), ("known", *known), ("unreadable", *unreadable)],
                );
            }
            Event::BackupMade { made_at, .. } => {
                counters.backups.inc();
                self.backup_is_from(*made_at);
            }
            Event::BackupFailed { .. } => {
                counters.backup_failures.inc();
            }
            Event::CheckFailed { .. } => {
                counters.check_failures.inc();
            }
            Event::Retired { bodies, attempts } => {
                counters.retired_bodies.inc_by(*bodies);
                counters.retired_attempts.inc_by(*attempts);
            }
            Event::ClockJumped { .. } => {
                counters.clock_jumps.inc();
            }
        }
    }

    /// Received and what became of it rise together, so that they always pair up.
    fn count_record(
        &self,
        became: &prometheus_client::metrics::family::Family<OfOrigin, prometheus_client::metrics::counter::Counter>,
        origin: &str,
    ) {
        count(&self.metrics.counters.records_received, &of(origin));
        count(became, &of(origin));
    }
}

fn count<L>(
    family: &prometheus_client::metrics::family::Family<L, prometheus_client::metrics::counter::Counter>,
    label: &L,
) where
    L: Clone + std::hash::Hash + Eq,
{
    family.get_or_create(label).inc();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Refusal;
    use super::super::metrics::{DestinationGauge, IncidentGauge, Scrape};
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};
    use crate::envelope::ids::{DeliveryId, EnvelopeId};
    use crate::store::view::{Ledger, StoreFigures};

    fn observer() -> Observer {
        Observer::new(Metrics::new())
    }

    #[test]
    fn records_received_pair_up_with_what_became_of_them() {
        let observer = observer();
        let id = EnvelopeId::new(from_micros(0), &SeededEntropy::new(1));
        observer.note(&Event::EnvelopeAccepted { origin: "hooks", envelope: id });
        observer.note(&Event::DuplicateSeen { origin: "hooks", first: id });
        observer.note(&Event::ConflictSeen { origin: "hooks", first: id });
        observer.note(&Event::RecordRejected { origin: "hooks", path: "/0" });
        let text = observer.metrics().render(&Scrape::default());
        assert!(text.contains("intake_records_total{origin=\"hooks\"} 4"), "{text}");
        for became in ["accepted", "duplicates", "conflicts", "rejected"] {
            assert!(text.contains(&format!("intake_{became}_total{{origin=\"hooks\"}} 1")), "{became}: {text}");
        }
    }

    #[test]
    fn attempts_carry_destination_and_outcome() {
        let observer = observer();
        let delivery = DeliveryId::new(from_micros(0), &SeededEntropy::new(1));
        observer.note(&Event::AttemptFinished {
            destination: "erp",
            delivery,
            number: 1,
            outcome: "unavailable",
            detail: "503",
            elapsed: Duration::from_millis(3),
        });
        observer.note(&Event::RequestRefused { origin: "hooks", reason: Refusal::Unauthenticated, detail: "wrong" });
        let text = observer.metrics().render(&Scrape::default());
        assert!(text.contains("delivery_attempts_total{destination=\"erp\",outcome=\"unavailable\"} 1"), "{text}");
        assert!(text.contains("intake_refused_total{origin=\"hooks\",reason=\"unauthenticated\"} 1"), "{text}");
        assert!(!text.contains("dlv_"), "ids never become labels");
    }

    #[test]
    fn p2_the_ledger_and_its_difference_are_gauges() {
        let observer = observer();
        let ledger = Ledger { accepted: 10, done: 5, ignored: 1, superseded: 1, exception: 1, due: 1 };
        let figures = StoreFigures {
            backlog: vec![("erp".to_owned(), 2, Some(from_micros(1_000_000)))],
            open_exceptions: vec![("unmapped_sku".to_owned(), 1)],
            ..StoreFigures::default()
        };
        let scrape = Scrape {
            incidents: vec![IncidentGauge {
                destination: "erp".into(),
                kind: "held",
                lasted: Duration::from_secs(90),
                safe: 7,
            }],
            ready: true,
            store: Some((figures, ledger, from_micros(61_000_000))),
            destinations: vec![DestinationGauge { name: "erp".to_owned(), state: "held".to_owned(), in_flight: 3 }],
            ..Scrape::default()
        };
        let text = observer.metrics().render(&scrape);
        for line in [
            "ledger{column=\"accepted\"} 10",
            "ledger_difference 1",
            "exceptions_open{code=\"unmapped_sku\"} 1",
            "delivery_backlog{destination=\"erp\"} 2",
            "delivery_oldest_due_seconds{destination=\"erp\"} 60.0",
            "destination_held{destination=\"erp\"} 1",
            "ready 1",
            "store_up 1",
        ] {
            assert!(text.contains(line), "{line} is missing: {text}");
        }
        let later = Scrape { store: Some((StoreFigures::default(), ledger, from_micros(0))), ..Scrape::default() };
        assert!(!observer.metrics().render(&later).contains("unmapped_sku"), "a code that is gone leaves the gauges");
        assert!(text.ends_with("# EOF\n"));
    }
}
