//! Counters, histograms and gauges, as `OpenMetrics` text.
//!
//! Counters are fed by [`super::Observer`]; gauges are computed when somebody asks, from one [`Scrape`]. No label ever
//! holds an order number, a SKU or anything a buyer typed: label values are configured names and words from our code.

mod labels;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::disk::DiskSpace;
use crate::clock::Timestamp;
use crate::store::books::{AuditHead, MoneyRow};
use crate::store::view::{Ledger, StoreFigures};
pub(super) use labels::{
    OfAction, OfAlarm, OfAttempt, OfCode, OfColumn, OfDestination, OfDestinationState, OfHead, OfIncident, OfMessage,
    OfMoney, OfOrigin, OfOutcome, OfPoll, OfPollRecord, OfRead, OfReading, OfRefusal, OfRule, OfSystem,
};

/// What `/metrics` answers with.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a tenth of a millisecond (an idle commit) to the request deadline.
const SECONDS: [f64; 17] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// From a millisecond to the age limit of a delivery: an outage shows in the upper buckets.
const ACCEPT_TO_ERP_SECONDS: [f64; 15] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3_600.0, 86_400.0, 604_800.0];

type Counts<L> = Family<L, Counter>;
type Whole<L> = Family<L, Gauge<i64, AtomicI64>>;
type Real<L> = Family<L, Gauge<f64, AtomicU64>>;
type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every metric of the service.
pub struct Metrics {
    registry: Registry,
    pub(super) counters: Counters,
    gauges: Gauges,
}

/// What events feed: what only rises, and the few states that nobody else knows.
pub(super) struct Counters {
    pub requests_received: Counts<OfOrigin>,
    pub requests_stored: Counts<OfOrigin>,
    pub requests_refused: Counts<OfRefusal>,
    pub records_received: Counts<OfOrigin>,
    pub records_accepted: Counts<OfOrigin>,
    pub records_duplicate: Counts<OfOrigin>,
    pub records_conflict: Counts<OfOrigin>,
    pub records_rejected: Counts<OfOrigin>,
    pub pushes_missed: Counts<OfOrigin>,
    pub signing_keys_unread: Counts<OfOrigin>,
    pub journal_events: Counts<OfOrigin>,
    pub journal_readings: Counts<OfReading>,
    pub poll_readings: Counts<OfPoll>,
    pub poll_records: Counts<OfPollRecord>,
    pub accept_seconds: Times<OfOrigin>,
    pub commit_seconds: Histogram,
    pub reads_wanted: Counts<OfSystem>,
    pub reads: Counts<OfRead>,
    pub reads_held: Whole<OfSystem>,
    pub sweeps: Counts<OfRead>,
    pub sweep_found: Counts<OfSystem>,
    pub commerce_newest_order: Whole<OfSystem>,
    pub catchup_lag: Whole<OfSystem>,
    pub attempts_started: Counts<OfDestination>,
    pub attempts: Counts<OfAttempt>,
    pub attempt_seconds: Times<OfDestination>,
    pub accept_to_erp_seconds: Times<OfDestination>,
    pub exceptions_opened: Counts<OfCode>,
    pub destination_changes: Counts<OfDestinationState>,
    pub incidents: Counts<OfIncident>,
    pub exception_storms: Counts<OfCode>,
    pub alerts_raised: Counts<OfRule>,
    pub alert_messages: Counts<OfMessage>,
    pub alert_message_seconds: Histogram,
    pub dead_man_pings: Counts<OfOutcome>,
    alerts_open: Gauge<i64, AtomicI64>,
    pub commits_too_slow: Gauge<i64, AtomicI64>,
    pub disk_level: Gauge<i64, AtomicI64>,
    pub mappings_reloads: Counter,
    pub operator_acts: Counts<OfAction>,
    pub clock_jumps: Counter,
    pub catalogue_hits: Counter,
    pub catalogue_misses: Counter,
    pub catalogue_fetch_failures: Counter,
    pub catalogue_products: Gauge<i64, AtomicI64>,
    pub books_alarms: Counts<OfAlarm>,
    pub backups: Counter,
    pub backup_failures: Counter,
    pub backup_last_good: Gauge<i64, AtomicI64>,
    pub check_failures: Counter,
    pub retired_bodies: Counter,
    pub retired_attempts: Counter,
}

/// What is looked up when somebody asks.
#[derive(Default)]
struct Gauges {
    ready: Gauge<i64, AtomicI64>,
    store_up: Gauge<i64, AtomicI64>,
    ledger: Whole<OfColumn>,
    ledger_difference: Gauge<i64, AtomicI64>,
    ledger_orders: Whole<OfMoney>,
    ledger_money_millionths: Whole<OfMoney>,
    silent_envelopes: Gauge<i64, AtomicI64>,
    audit_rows: Whole<OfHead>,
    exceptions_open: Whole<OfCode>,
    backlog: Whole<OfDestination>,
    oldest_due_seconds: Real<OfDestination>,
    in_flight: Whole<OfDestination>,
    held: Whole<OfDestination>,
    state: Whole<OfDestinationState>,
    incident_open: Whole<OfIncident>,
    incident_seconds: Real<OfDestination>,
    incident_safe: Whole<OfDestination>,
    unprocessed: Gauge<i64, AtomicI64>,
    wal_bytes: Gauge<i64, AtomicI64>,
    store_bytes: Gauge<i64, AtomicI64>,
    store_commits: Gauge<i64, AtomicI64>,
    disk_free_ratio: Gauge<f64, AtomicU64>,
}

/// A destination at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct DestinationGauge {
    /// Configured name.
    pub name: String,
    /// `open`, `half_open`, `broken`, `paused`, `closed`, `held`.
    pub state: String,
    /// Attempts on the wire.
    pub in_flight: u64,
}

/// A trouble at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct IncidentGauge {
    /// Configured name.
    pub destination: String,
    /// `backlog`, `paused`, `broken`, `held`.
    pub kind: &'static str,
    /// How long it has lasted.
    pub lasted: Duration,
    /// Deliveries that wait or are under way.
    pub safe: u64,
}

/// What the gauges show; `None` where the store could not be asked.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Ready to take requests.
    pub ready: bool,
    /// Figures and ledger, with the moment they were read.
    pub store: Option<(StoreFigures, Ledger, Timestamp)>,
    /// Every configured destination.
    pub destinations: Vec<DestinationGauge>,
    /// Every open incident.
    pub incidents: Vec<IncidentGauge>,
    /// Room on the store's disk.
    pub disk: Option<DiskSpace>,
    /// Orders in money.
    pub money: Vec<MoneyRow>,
    /// The end of the audit's chain.
    pub audit: Option<AuditHead>,
}

fn times<L: Clone + std::hash::Hash + Eq>(buckets: fn() -> Histogram) -> Times<L> {
    Family::new_with_constructor(buckets)
}

fn short_times() -> Histogram {
    Histogram::new(SECONDS)
}

fn long_times() -> Histogram {
    Histogram::new(ACCEPT_TO_ERP_SECONDS)
}

/// Gauges are signed; figures beyond nine quintillion are shown as that.
fn whole(figure: impl TryInto<i64>) -> i64 {
    figure.try_into().unwrap_or(i64::MAX)
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let counters = Counters::registered(&mut registry);
        let gauges = Gauges::registered(&mut registry);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("crossdock_build", "Version of the program", build);
        Metrics { registry, counters, gauges }
    }

    /// How many envelopes the last walk found silent (P6).
    pub fn set_silent(&self, silent: u64) {
        self.gauges.silent_envelopes.set(whole(silent));
    }

    /// How many alerts are not over.
    pub fn set_alerts_open(&self, open: usize) {
        self.counters.alerts_open.set(whole(open));
    }

    /// `OpenMetrics` text with the gauges of this moment.
    pub fn render(&self, scrape: &Scrape) -> String {
        self.gauges.set(scrape);
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a string cannot fail");
        out
    }
}

/// `30.25` as 30250000.
fn millionths(total: &str) -> Option<i64> {
    let (whole, places) = total.split_once('.').unwrap_or((total, ""));
    format!("{whole}{places:0<6}").parse().ok()
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Counters {
    /// What a search of Commerce came to.
    pub(super) fn swept(
        &self,
        system: &str,
        outcome: &'static str,
        taken: u64,
        newest: Option<Timestamp>,
        lag: Duration,
    ) {
        let label = OfSystem { system: system.to_owned() };
        self.sweeps.get_or_create(&OfRead { system: system.to_owned(), outcome }).inc();
        self.sweep_found.get_or_create(&label).inc_by(taken);
        if let Some(newest) = newest {
            self.commerce_newest_order.get_or_create(&label).set(newest.as_second());
        }
        self.catchup_lag.get_or_create(&label).set(whole(lag.as_secs()));
    }

    /// What a run of a poll came to.
    pub(super) fn polled(&self, origin: &str, poll: &str, outcome: &'static str, records: [(&'static str, u64); 3]) {
        let (origin, poll) = (origin.to_owned(), poll.to_owned());
        for (became, count) in records {
            let label = OfPollRecord { origin: origin.clone(), poll: poll.clone(), became };
            self.poll_records.get_or_create(&label).inc_by(count);
        }
        self.poll_readings.get_or_create(&OfPoll { origin, poll, outcome }).inc();
    }

    fn registered(registry: &mut Registry) -> Self {
        let counters = Counters {
            requests_received: Family::default(),
            requests_stored: Family::default(),
            requests_refused: Family::default(),
            records_received: Family::default(),
            records_accepted: Family::default(),
            records_duplicate: Family::default(),
            records_conflict: Family::default(),
            records_rejected: Family::default(),
            pushes_missed: Family::default(),
            signing_keys_unread: Family::default(),
            journal_events: Family::default(),
            journal_readings: Family::default(),
            poll_readings: Family::default(),
            poll_records: Family::default(),
            accept_seconds: times(short_times),
            commit_seconds: short_times(),
            reads_wanted: Family::default(),
            reads: Family::default(),
            reads_held: Family::default(),
            sweeps: Family::default(),
            sweep_found: Family::default(),
            commerce_newest_order: Family::default(),
            catchup_lag: Family::default(),
            attempts_started: Family::default(),
            attempts: Family::default(),
            attempt_seconds: times(short_times),
            accept_to_erp_seconds: times(long_times),
            exceptions_opened: Family::default(),
            destination_changes: Family::default(),
            incidents: Family::default(),
            exception_storms: Family::default(),
            alerts_raised: Family::default(),
            alert_messages: Family::default(),
            alert_message_seconds: long_times(),
            dead_man_pings: Family::default(),
            alerts_open: Gauge::default(),
            commits_too_slow: Gauge::default(),
            disk_level: Gauge::default(),
            mappings_reloads: Counter::default(),
            operator_acts: Family::default(),
            clock_jumps: Counter::default(),
            catalogue_hits: Counter::default(),
            catalogue_misses: Counter::default(),
            catalogue_fetch_failures: Counter::default(),
            catalogue_products: Gauge::default(),
            books_alarms: Family::default(),
            backups: Counter::default(),
            backup_failures: Counter::default(),
            backup_last_good: Gauge::default(),
            check_failures: Counter::default(),
            retired_bodies: Counter::default(),
            retired_attempts: Counter::default(),
        };
        counters.register_alerts(registry);
        counters.register_keeping(registry);
        counters.register_catalogue(registry);
        counters.register_intake(registry);
        counters.register_delivery(registry);
        counters
    }

    fn register_alerts(&self, registry: &mut Registry) {
        registry.register("alerts_raised", "Alerts raised, by rule and severity", self.alerts_raised.clone());
        registry.register("alerts_open", "Alerts that are not over", self.alerts_open.clone());
        registry.register("alert_messages", "Tries to tell a contact, by outcome", self.alert_messages.clone());
        let help = "From writing a message to a contact that was told";
        registry.register("alert_message_seconds", help, self.alert_message_seconds.clone());
        let help = "Pings of the outside monitor, by outcome";
        registry.register("dead_man_pings", help, self.dead_man_pings.clone());
    }

    fn register_intake(&self, registry: &mut Registry) {
        let mut add = |name: &str, help: &str, family: &Counts<OfOrigin>| registry.register(name, help, family.clone());
        add("intake_requests", "Requests received: stored + refused", &self.requests_received);
        add("intake_stored", "Requests written down and acknowledged", &self.requests_stored);
        let received = "Records received: accepted + duplicate + conflict + rejected";
        add("intake_records", received, &self.records_received);
        add("intake_accepted", "Records written down for the first time", &self.records_accepted);
        add("intake_duplicates", "Records known with the same content", &self.records_duplicate);
        add("intake_conflicts", "Records known with other content", &self.records_conflict);
        add("intake_rejected", "Records that could not be taken", &self.records_rejected);
        add("intake_missed_pushes", "Signed pushes of Adobe I/O refused for good", &self.pushes_missed);
        add("journal_events", "Events read from Adobe's journal, those known already among them", &self.journal_events);
        add(
            "intake_signing_keys_unread",
            "Signing keys of Adobe I/O that could not be read",
            &self.signing_keys_unread,
        );
        registry.register("intake_refused", "Requests refused, with the reason", self.requests_refused.clone());
        let help = "From the first byte of a request to its answer";
        registry.register("intake_accept_seconds", help, self.accept_seconds.clone());
        registry.register("store_commit_seconds", "Waiting for a durable commit", self.commit_seconds.clone());
    }

    fn register_keeping(&self, registry: &mut Registry) {
        registry.register("backups", "Copies of the store made and proved", self.backups.clone());
        registry.register("backup_failures", "Copies that failed or were not sound", self.backup_failures.clone());
        let help = "When the newest good copy was made, in seconds since 1970; 0: there is none";
        registry.register("backup_last_good_timestamp_seconds", help, self.backup_last_good.clone());
        let help = "Looks at the whole store that found something";
        registry.register("store_check_failures", help, self.check_failures.clone());
        let help = "Bodies removed at the end of their retention";
        registry.register("retention_bodies", help, self.retired_bodies.clone());
        let help = "Attempts removed at the end of their retention";
        registry.register("retention_attempts", help, self.retired_attempts.clone());
    }

    fn register_catalogue(&self, registry: &mut Registry) {
        let help = "Looks at the catalogue for an order that found everything needed";
        registry.register("catalogue_hits", help, self.catalogue_hits.clone());
        let help = "Looks at the catalogue for an order that found something wanting";
        registry.register("catalogue_misses", help, self.catalogue_misses.clone());
        let help = "Calls to Commerce's catalogue that failed";
        registry.register("catalogue_fetch_failures", help, self.catalogue_fetch_failures.clone());
        registry.register("catalogue_products", "Products known", self.catalogue_products.clone());
    }

    fn register_delivery(&self, registry: &mut Registry) {
        let help = "Payloads that led to a read of their order from Commerce";
        registry.register("reads_wanted", help, self.reads_wanted.clone());
        registry.register("reads", "Reads of orders from Commerce, with their outcome", self.reads.clone());
        let help = "1 while nothing is read because Commerce refuses our credentials";
        registry.register("reads_held", help, self.reads_held.clone());
        registry.register(
            "journal_readings",
            "Readings of Adobe's journal, with their outcome",
            self.journal_readings.clone(),
        );
        let help = "Runs of polls that read stock and shipments out of a back office, with their outcome";
        registry.register("poll_readings", help, self.poll_readings.clone());
        let help = "Records that such runs found, with what became of them";
        registry.register("poll_records", help, self.poll_records.clone());
        registry.register("sweeps", "Searches of Commerce for orders that push lost", self.sweeps.clone());
        let help = "Orders that such a search found missing or older here";
        registry.register("sweep_found", help, self.sweep_found.clone());
        let help = "When the newest change of an order in Commerce was made, by its clock";
        registry.register("commerce_newest_order_seconds", help, self.commerce_newest_order.clone());
        let help =
            "How old the last search that had everything was when it was last looked at; 0 after each such search";
        registry.register("catchup_lag_seconds", help, self.catchup_lag.clone());
        let help = "Attempts made durable before a byte left";
        registry.register("delivery_attempts_started", help, self.attempts_started.clone());
        registry.register("delivery_attempts", "Attempts by outcome", self.attempts.clone());
        registry.register("delivery_attempt_seconds", "Time of one attempt on the wire", self.attempt_seconds.clone());
        let help = "From receiving an event to its confirmed delivery";
        registry.register("accept_to_erp_seconds", help, self.accept_to_erp_seconds.clone());
        registry.register("exceptions_opened", "Exceptions opened by code", self.exceptions_opened.clone());
        let help = "Changes of a destination's state";
        registry.register("destination_state_changes", help, self.destination_changes.clone());
        let help = "Many exceptions of one cause within ten minutes";
        registry.register("exception_storms", help, self.exception_storms.clone());
        let help = "1 while intake is refused because commits take too long";
        registry.register("intake_refused_for_commits", help, self.commits_too_slow.clone());
        let help = "0 plenty, 1 low, 2 scarce (stock is refused), 3 full (nothing is taken in)";
        registry.register("store_disk_level", help, self.disk_level.clone());
        registry.register("incidents", "Troubles of destinations, by their kind at first", self.incidents.clone());
        registry.register("mappings_reloads", "Mapping tables read anew", self.mappings_reloads.clone());
        registry.register("operator_acts", "What operators did", self.operator_acts.clone());
        let help = "Looks at the books that found something wrong";
        registry.register("books_alarms", help, self.books_alarms.clone());
        registry.register("clock_jumps", "Jumps of the wall clock over a second", self.clock_jumps.clone());
    }
}

impl Gauges {
    fn registered(registry: &mut Registry) -> Self {
        let gauges = Gauges::default();
        registry.register("ready", "1 when requests may come", gauges.ready.clone());
        registry.register("store_up", "1 when the store answers", gauges.store_up.clone());
        registry.register("ledger", "Envelopes by what became of them", gauges.ledger.clone());
        let help = "accepted − (done + ignored + superseded + exception + due); anything but 0 is an alarm";
        registry.register("ledger_difference", help, gauges.ledger_difference.clone());
        registry.register("ledger_orders", "Orders by what became of them", gauges.ledger_orders.clone());
        let help = "Grand totals of those orders, in millionths of the currency: whole numbers, never rounded";
        registry.register("ledger_money_millionths", help, gauges.ledger_money_millionths.clone());
        let help = "Unfinished envelopes with neither a due time nor an exception; anything but 0 is an alarm";
        registry.register("silent_envelopes", help, gauges.silent_envelopes.clone());
        let help = "Rows of the audit; the label is the head of its chain";
        registry.register("audit_rows", help, gauges.audit_rows.clone());
        registry.register("exceptions_open", "Exceptions waiting for a person", gauges.exceptions_open.clone());
        registry.register("delivery_backlog", "Deliveries waiting", gauges.backlog.clone());
        let help = "Age of the oldest delivery that waits";
        registry.register("delivery_oldest_due_seconds", help, gauges.oldest_due_seconds.clone());
        registry.register("delivery_in_flight", "Attempts on the wire", gauges.in_flight.clone());
        let help = "1 when a destination takes nothing until its credential or address is repaired";
        registry.register("destination_held", help, gauges.held.clone());
        registry.register("destination_state", "1 for the state a destination is in", gauges.state.clone());
        registry.register("incident_open", "1 while a destination is in trouble", gauges.incident_open.clone());
        let help = "How long a destination has been in trouble";
        registry.register("incident_seconds", help, gauges.incident_seconds.clone());
        let help = "Deliveries that are safe with us while their destination is in trouble";
        registry.register("incident_safe", help, gauges.incident_safe.clone());
        let help = "Envelopes the processor has not concluded";
        registry.register("envelopes_unprocessed", help, gauges.unprocessed.clone());
        registry.register("store_wal_bytes", "Size of the write-ahead log", gauges.wal_bytes.clone());
        registry.register("store_bytes", "Size of the store", gauges.store_bytes.clone());
        let help = "Durable commits since the start: one flush of the disk each";
        registry.register("store_commits", help, gauges.store_commits.clone());
        registry.register("store_disk_free_ratio", "Free share of the store's disk", gauges.disk_free_ratio.clone());
        gauges
    }

    fn set(&self, scrape: &Scrape) {
        self.ready.set(i64::from(scrape.ready));
        self.store_up.set(i64::from(scrape.store.is_some()));
        if let Some((figures, ledger, now)) = &scrape.store {
            self.set_ledger(ledger);
            self.set_figures(figures, *now);
        }
        self.set_books(&scrape.money, scrape.audit.as_ref());
        self.set_destinations(&scrape.destinations);
        self.set_incidents(&scrape.incidents);
        if let Some(disk) = scrape.disk {
            let per_mille = u32::try_from(disk.free_per_mille()).unwrap_or(1000);
            self.disk_free_ratio.set(f64::from(per_mille) / 1000.0);
        }
    }

    fn set_ledger(&self, ledger: &Ledger) {
        let columns = [
            ("accepted", ledger.accepted),
            ("done", ledger.done),
            ("ignored", ledger.ignored),
            ("superseded", ledger.superseded),
            ("exception", ledger.exception),
            ("due", ledger.due),
        ];
        for (column, count) in columns {
            self.ledger.get_or_create(&OfColumn { column }).set(whole(count));
        }
        self.ledger_difference.set(whole(ledger.difference()));
    }

    fn set_books(&self, money: &[MoneyRow], audit: Option<&AuditHead>) {
        self.ledger_orders.clear();
        self.ledger_money_millionths.clear();
        for row in money {
            let MoneyRow { system, currency, state, .. } = row.clone();
            let label = OfMoney { system, currency, state };
            self.ledger_orders.get_or_create(&label).set(whole(row.orders));
            // A sum beyond what a gauge holds is left out rather than shown wrong.
            if let Some(millionths) = millionths(&row.total) {
                self.ledger_money_millionths.get_or_create(&label).set(millionths);
            }
        }
        self.audit_rows.clear();
        if let Some(head) = audit {
            self.audit_rows.get_or_create(&OfHead { digest: head.digest.clone() }).set(whole(head.rows));
        }
    }

    fn set_figures(&self, figures: &StoreFigures, now: Timestamp) {
        // A code or destination that is gone from the figures must not keep its last value.
        self.exceptions_open.clear();
        for (code, open) in &figures.open_exceptions {
            self.exceptions_open.get_or_create(&OfCode { code: code.clone() }).set(whole(*open));
        }
        self.backlog.clear();
        self.oldest_due_seconds.clear();
        for (name, waiting, oldest) in &figures.backlog {
            let label = OfDestination { destination: name.clone() };
            self.backlog.get_or_create(&label).set(whole(*waiting));
            let age = oldest.map_or(Duration::ZERO, |at| now.duration_since(at).try_into().unwrap_or(Duration::ZERO));
            self.oldest_due_seconds.get_or_create(&label).set(age.as_secs_f64());
        }
        self.unprocessed.set(whole(figures.unprocessed));
        self.wal_bytes.set(whole(figures.wal_bytes));
        self.store_bytes.set(whole(figures.store_bytes));
        self.store_commits.set(whole(figures.commits));
    }

    fn set_incidents(&self, incidents: &[IncidentGauge]) {
        self.incident_open.clear();
        self.incident_seconds.clear();
        self.incident_safe.clear();
        for incident in incidents {
            let label = OfIncident { destination: incident.destination.clone(), kind: incident.kind.to_owned() };
            self.incident_open.get_or_create(&label).set(1);
            let label = OfDestination { destination: incident.destination.clone() };
            self.incident_seconds.get_or_create(&label).set(incident.lasted.as_secs_f64());
            self.incident_safe.get_or_create(&label).set(whole(incident.safe));
        }
    }

    fn set_destinations(&self, destinations: &[DestinationGauge]) {
        self.state.clear();
        for destination in destinations {
            let label = OfDestination { destination: destination.name.clone() };
            self.in_flight.get_or_create(&label).set(whole(destination.in_flight));
            self.held.get_or_create(&label).set(i64::from(destination.state == "held"));
            let state = OfDestinationState { destination: destination.name.clone(), state: destination.state.clone() };
            self.state.get_or_create(&state).set(1);
        }
    }
}
