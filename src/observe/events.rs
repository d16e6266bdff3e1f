//! Named events: each is logged and counted at one place.

mod told;

use std::time::Duration;

use super::metrics::{
    Metrics, OfAction, OfAlarm, OfAttempt, OfCode, OfDestination, OfDestinationState, OfIncident, OfOrigin, OfRead,
    OfRefusal, OfSystem,
};
use super::opened::Opened;
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, EnvelopeId, ExceptionId};
use crate::store::write::NewException;
use tokio::sync::mpsc;
use told::log;

/// Why a request was refused at the door; the caller is told less (ANS-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Signature or credential missing or wrong.
    Unauthenticated,
    /// The signature could not be checked (key host down).
    Unverifiable,
    /// Body over the limit.
    TooLarge,
    /// Too fast.
    TooFast,
    /// Queue full, store down, disk low.
    Overload,
    /// The service is stopping or starting.
    NotReady,
    /// The body did not arrive in time.
    TimedOut,
    /// No record could be read out of the body.
    Unreadable,
    /// No origin of that name, or not that kind of record.
    Unknown,
    /// Our bug.
    Internal,
}

impl Refusal {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Unauthenticated => "unauthenticated",
            Refusal::Unverifiable => "unverifiable",
            Refusal::TooLarge => "too_large",
            Refusal::TooFast => "too_fast",
            Refusal::Overload => "overload",
            Refusal::NotReady => "not_ready",
            Refusal::TimedOut => "timed_out",
            Refusal::Unreadable => "unreadable",
            Refusal::Unknown => "unknown",
            Refusal::Internal => "internal",
        }
    }
}

/// What happened. Names of origins and destinations are configured names, never text of a request.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A request reached an origin.
    RequestReceived {
        /// Origin.
        origin: &'a str,
    },
    /// A request was written down and acknowledged.
    RequestStored {
        /// Origin.
        origin: &'a str,
        /// From the first byte to the answer.
        elapsed: Duration,
    },
    /// A request was refused whole.
    RequestRefused {
        /// Origin; empty when there is none of that name.
        origin: &'a str,
        /// Why.
        reason: Refusal,
        /// For the log only.
        detail: &'a str,
    },
    /// ANS-2: Adobe I/O was refused for good, so what it pushed is on its journal only.
    PushMissed {
        /// Origin.
        origin: &'a str,
        /// What it was answered.
        status: u16,
    },
    /// Adobe I/O asks to validate a registration by an address, which is never called.
    ValidationAsked {
        /// Origin.
        origin: &'a str,
        /// The address's host.
        host: &'a str,
    },
    /// A signing key of Adobe I/O could not be read (SIG-6).
    SigningKeyUnread {
        /// Origin.
        origin: &'a str,
        /// Of the documented pattern.
        path: &'a str,
        /// In words.
        reason: &'a str,
    },
    /// A commit was waited for.
    Committed {
        /// How long.
        elapsed: Duration,
    },
    /// A record was written down for the first time.
    EnvelopeAccepted {
        /// Origin.
        origin: &'a str,
        /// Its envelope.
        envelope: EnvelopeId,
    },
    /// A record is known with the same content.
    DuplicateSeen {
        /// Origin.
        origin: &'a str,
        /// The envelope that stands.
        first: EnvelopeId,
    },
    /// A record is known with other content.
    ConflictSeen {
        /// Origin.
        origin: &'a str,
        /// The envelope that stands.
        first: EnvelopeId,
    },
    /// A record of a batch could not be taken.
    RecordRejected {
        /// Origin.
        origin: &'a str,
        /// Where in the body.
        path: &'a str,
    },
    /// An attempt is durable and about to leave.
    AttemptStarted {
        /// Destination.
        destination: &'a str,
        /// Delivery.
        delivery: DeliveryId,
        /// From 1.
        number: u32,
    },
    /// An attempt came to an outcome.
    AttemptFinished {
        /// Destination.
        destination: &'a str,
        /// Delivery.
        delivery: DeliveryId,
        /// From 1.
        number: u32,
        /// `accepted`, `already_applied`, `rejected`, …
        outcome: &'a str,
        /// One sentence.
        detail: &'a str,
        /// Time on the wire.
        elapsed: Duration,
    },
    /// A delivery is applied at its destination.
    DeliverySettled {
        /// Destination.
        destination: &'a str,
        /// Delivery.
        delivery: DeliveryId,
        /// From making the delivery (the event's arrival on the express lane) to its confirmation.
        age: Duration,
    },
    /// A record needs a person.
    ExceptionOpened {
        /// Its id.
        exception: ExceptionId,
        /// From the catalogue.
        code: &'a str,
        /// Its cause.
        fingerprint: &'a str,
        /// For whom the record was, if that was known.
        destination: Option<&'a str>,
        /// Of an order, or any other id.
        increment_id: &'a str,
        /// In a sentence.
        message: &'a str,
    },
    /// A destination opened, broke, paused or was held.
    DestinationStateChanged {
        /// Destination.
        destination: &'a str,
        /// `open`, `half_open`, `broken`, `paused`, `held`.
        state: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// POI-4: many exceptions with one cause in a short time.
    ExceptionStorm {
        /// From the catalogue.
        code: &'a str,
        /// Their cause.
        fingerprint: &'a str,
        /// For whom; empty when that was not known.
        destination: &'a str,
        /// The destination is held for it.
        paused: bool,
    },
    /// PRS-3: intake is refused because commits take too long, or no longer.
    CommitsTooSlow {
        /// It is refused.
        refusing: bool,
    },
    /// RUN-4: the store's disk has less or more room than before, by levels.
    DiskChanged {
        /// `plenty`, `low`, `scarce`, `full`.
        level: &'a str,
        /// 0 to 3.
        rank: u8,
        /// Bytes free.
        free: u64,
    },
    /// A destination is in trouble; told once, until it is over.
    IncidentOpened {
        /// Destination.
        destination: &'a str,
        /// `backlog`, `paused`, `broken`, `held`.
        kind: &'a str,
        /// In words.
        why: &'a str,
        /// Deliveries that wait.
        waiting: u64,
    },
    /// A destination takes deliveries again and its backlog has gone.
    IncidentEnded {
        /// Destination.
        destination: &'a str,
        /// The worst of it.
        kind: &'a str,
        /// From the beginning until the backlog had gone.
        lasted: Duration,
    },
    /// The catalogue was asked for what an order needs.
    CatalogueRead {
        /// Everything was known.
        found: bool,
    },
    /// Commerce was asked for products.
    CatalogueFetched {
        /// Commerce instance.
        system: &'a str,
        /// Products known now, all instances together.
        known: usize,
        /// Why it failed.
        failed: Option<&'a str>,
    },
    /// Mapping tables were read anew.
    MappingsReloaded {
        /// Their version.
        version: u64,
    },
    /// A person did something.
    OperatorActed {
        /// `token:NAME`, `cli:USER`.
        actor: &'a str,
        /// `exception.replay`, …
        action: &'a str,
        /// What was acted on.
        target: &'a str,
    },
    /// The ledger does not add up (P2).
    LedgerDiffers {
        /// Accepted minus everything that became of it.
        by: i128,
    },
    /// Unfinished envelopes that nobody would look at again (P6).
    EnvelopesSilent {
        /// How many.
        count: u64,
        /// One of them.
        example: EnvelopeId,
    },
    /// A payload leads to a read of its order from Commerce.
    ReadWanted {
        /// The Commerce instance.
        system: &'a str,
    },
    /// An order was read from Commerce, or not.
    ReadEnded {
        /// The Commerce instance.
        system: &'a str,
        /// `read`, `absent`, `unauthorized`, `refused`, `limited`, `unavailable`, `unreachable`, `too_large`, `other`.
        outcome: &'static str,
        /// For the log only.
        detail: &'a str,
    },
    /// Reading from a Commerce instance rests until it takes our credentials again, or does so again.
    ReadsHeld {
        /// The Commerce instance.
        system: &'a str,
        /// Whether it rests.
        held: bool,
        /// What to look at.
        why: &'a str,
    },
    /// Commerce was searched for orders that push lost.
    SweepEnded {
        /// The Commerce instance.
        system: &'a str,
        /// `done`, `partly`, or as of a read.
        outcome: &'static str,
        /// What it found missing or older here, and took in.
        taken: u64,
        /// The newest change there, if it was seen.
        newest: Option<Timestamp>,
        /// How long ago everything was here.
        lag: Duration,
        /// For the log only.
        detail: &'a str,
    },
    /// The store was copied, and the copy proved (BAK-1).
    BackupMade {
        /// Where it is.
        path: &'a str,
        /// When it was begun: what it holds.
        made_at: Timestamp,
        /// How large.
        bytes: u64,
        /// How long it took, the proof included.
        took: Duration,
    },
    /// The store could not be copied, or the copy is not sound.
    BackupFailed {
        /// Why.
        reason: &'a str,
    },
    /// The slow look at everything found something (BAK-4, BAK-2).
    CheckFailed {
        /// How many findings.
        findings: u64,
        /// One of them.
        first: &'a str,
    },
    /// A restored store is taken over: what was open in it is settled or handed to its guard (BAK-3).
    Restored {
        /// When the copy was made.
        copied_at: Timestamp,
        /// Deliveries whose outcome nobody knew.
        in_doubt: u64,
    },
    /// What is no longer needed was removed (DAT-2).
    Retired {
        /// Bodies.
        bodies: u64,
        /// Attempts.
        attempts: u64,
    },
    /// The wall clock jumped (RUN-5).
    ClockJumped {
        /// By how much.
        by: Duration,
    },
}

impl<'a> Event<'a> {
    /// An exception is durable, whoever opened it: intake, the processor or delivery.
    pub fn opened(exception: &'a NewException) -> Self {
        Event::ExceptionOpened {
            exception: exception.id,
            code: &exception.code,
            fingerprint: &exception.fingerprint,
            destination: exception.destination.as_deref(),
            increment_id: &exception.subject.id,
            message: &exception.message,
        }
    }
}

/// Logs and counts events.
#[derive(Debug)]
pub struct Observer {
    metrics: Metrics,
    /// Hears of every exception; what it has no room for is not counted as part of a storm.
    storms: Option<mpsc::Sender<Opened>>,
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
        Observer { metrics, storms: None }
    }

    /// Tells `storms` of every exception (POI-4).
    #[must_use]
    pub fn heard_by(self, storms: mpsc::Sender<Opened>) -> Self {
        Observer { storms: Some(storms), ..self }
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
            Event::IncidentEnded { .. } | Event::Restored { .. } | Event::ValidationAsked { .. } => {}
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
    use super::super::metrics::{DestinationGauge, IncidentGauge, Scrape};
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};
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
