//! Gathers facts, has them judged, and writes down what follows together with the messages about it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Alerting;
use super::notice::Notice;
use super::rules::{Decision, DestinationFacts, Facts, Found, Rule, Watch, decide};
use super::silence::{self, Silence, silences};
use crate::clock::{Timestamp, from_micros};
use crate::delivery::DestinationState;
use crate::domain::defect::Severity;
use crate::envelope::ids::{AlertId, MessageId};
use crate::observe::Event;
use crate::store::StoreError;
use crate::store::alerts::{Alert, AlertChange, Farewell, MessageKind, NewMessage, OrderHour};

/// Between two looks when nobody rings.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks when somebody rings all the time: a storm is one look, not a thousand.
const BREATH: Duration = Duration::from_millis(100);
/// Orders are counted this often.
const COUNTED: Duration = Duration::from_mins(1);
/// Slices of a long history counted in one look.
const SLICES: usize = 10;
/// Hours are kept for longer than they are looked at, for a silence that goes on.
const KEPT: Duration = Duration::from_hours(24 * 7 * (silence::WEEKS as u64 + 3));

/// Watches over one service.
pub(super) struct Watcher {
    alerting: Arc<Alerting>,
    /// Nobody could hear an order before.
    listening_since: Timestamp,
    /// When the orders were counted last, and what came of it; nothing while there are more to count.
    counted: Option<Instant>,
    hours: Vec<OrderHour>,
}

impl Watcher {
    pub(super) fn new(alerting: Arc<Alerting>) -> Self {
        let listening_since = alerting.clock.now();
        Watcher { alerting, listening_since, counted: None, hours: Vec::new() }
    }

    /// Until the service stops.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let known = self.alerting.contacts.names();
        let alerting = self.alerting.clone();
        if let Err(error) = alerting.store.give_up_messages(known, alerting.clock.now()).await {
            tracing::warn!(%error, "messages to contacts that are no longer configured could not be given up");
        }
        while !*stopped.borrow() {
            let begun = Instant::now();
            match self.look().await {
                Ok(()) => {}
                Err(StoreError::Stopped) => {
                    let _ = stopped.changed().await;
                    return;
                }
                Err(error) => tracing::warn!(%error, "alerts could not be looked at"),
            }
            // A look at a large heap of exceptions takes its time; four fifths of the day belong to others.
            tokio::time::sleep(BREATH.max(begun.elapsed() * 4)).await;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = alerting.bell.notified() => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One look.
    async fn look(&mut self) -> Result<(), StoreError> {
        let alerting = self.alerting.clone();
        let settings = &alerting.contacts.settings;
        let open = alerting.store.open_alerts().await?;
        let now = alerting.clock.now();
        self.count(now).await?;
        let facts = self.facts(&open, now).await?;
        let decisions = decide(&settings.rules, &facts, &open, settings.hold, now);
        let changes: Vec<AlertChange> = decisions.into_iter().map(|decision| self.change(decision, now)).collect();
        let said = changes.iter().any(|change| !change.messages.is_empty() || change.farewell.is_some());
        if !changes.is_empty() {
            alerting.store.write_alerts(changes.clone()).await?;
        }
        for change in &changes {
            self.tell(change, now);
        }
        let ended = changes.iter().filter(|change| change.farewell.is_some()).count();
        let begun = changes.iter().filter(|change| change.alert.opened_at == now).count();
        alerting.observer.metrics().set_alerts_open((open.len() + begun).saturating_sub(ended));
        if said {
            alerting.written.send_modify(|times| *times += 1);
        }
        Ok(())
    }

    async fn facts(&self, open: &[Alert], now: Timestamp) -> Result<Facts, StoreError> {
        let alerting = &self.alerting;
        let rules = &alerting.contacts.settings.rules;
        let rates = rules.iter().filter_map(|rule| match rule.watch {
            Watch::Rate { within, .. } => Some(before(now, within)),
            _ => None,
        });
        let causes = alerting.store.open_causes(rates.collect()).await?;
        let ledger_difference = alerting.store.ledger().await?.difference();
        let incidents = alerting.store.incidents().await?;
        let mut destinations = Vec::new();
        for status in alerting.delivery.status() {
            let standing = alerting.store.standing(status.name.clone()).await?;
            let incident = incidents.iter().find(|one| one.ended_at.is_none() && one.destination == status.name);
            destinations.push(DestinationFacts {
                waiting: standing.waiting + standing.in_flight,
                oldest: standing.oldest_created_at,
                closed: matches!(status.state, DestinationState::Closed { .. }),
                trouble: incident.map(|one| (one.kind, one.why.clone(), one.opened_at)),
                name: status.name,
            });
        }
        Ok(Facts { causes, destinations, ledger_difference, silences: self.silences(open, now) })
    }

    /// A silence that is told already goes on through a restart; a new one is what we could have heard.
    fn silences(&self, open: &[Alert], now: Timestamp) -> Vec<Silence> {
        let settings = &self.alerting.contacts.settings;
        let silence_rules: Vec<&Rule> =
            settings.rules.iter().filter(|rule| matches!(rule.watch, Watch::Silence { .. })).collect();
        let told = |system: &str| {
            open.iter().any(|alert| alert.subject == system && silence_rules.iter().any(|rule| rule.name == alert.rule))
        };
        let heard = silences(&self.hours, &settings.zone, self.listening_since, now);
        let whole = silences(&self.hours, &settings.zone, from_micros(0), now);
        heard.into_iter().zip(whole).map(|(heard, whole)| if told(&heard.system) { whole } else { heard }).collect()
    }

    /// Orders by the hour, once a minute. The newest order counts at once when it is counted; a minute later is soon enough.
    async fn count(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let rules = &self.alerting.contacts.settings.rules;
        let wanted = rules.iter().any(|rule| matches!(rule.watch, Watch::Silence { .. }));
        if !wanted || self.counted.is_some_and(|at| at.elapsed() < COUNTED) {
            return Ok(());
        }
        for _ in 0..SLICES {
            if !self.alerting.store.count_orders(before(now, KEPT)).await? {
                self.hours = self.alerting.store.order_hours().await?;
                self.counted = Some(Instant::now());
                return Ok(());
            }
        }
        Ok(())
    }

    /// A decision, as it is written down.
    fn change(&self, decision: Decision, now: Timestamp) -> AlertChange {
        match decision {
            Decision::Raise { rule, found } => self.raised(&self.alerting.contacts.settings.rules[rule], found, now),
            Decision::Keep(alert) => {
                let kinds = [MessageKind::Raised, MessageKind::Escalated];
                let fresh = kinds.map(|kind| (kind, self.notice(&alert, kind))).into();
                AlertChange { alert, messages: Vec::new(), fresh, farewell: None }
            }
            Decision::Escalate { rule, mut alert } => {
                let rule = &self.alerting.contacts.settings.rules[rule];
                let step = usize::try_from(alert.level).unwrap_or(usize::MAX);
                let next = rule.escalate_to.get(step.saturating_sub(1));
                let messages: Vec<NewMessage> = next
                    .map(|contact| self.message(contact, &alert, MessageKind::Escalated, now))
                    .into_iter()
                    .collect();
                alert.told_at = messages.first().map_or(now, |message| message.due_at);
                AlertChange { alert, messages, fresh: Vec::new(), farewell: None }
            }
            Decision::Resolve(alert) => {
                let notice = self.notice(&alert, MessageKind::Resolved);
                let to = self.alerting.contacts.names().into_iter().map(|contact| {
                    let due_at = self.due(&contact, alert.severity, now);
                    (contact, self.message_id(now), due_at)
                });
                let to = to.collect();
                AlertChange { alert, messages: Vec::new(), fresh: Vec::new(), farewell: Some(Farewell { notice, to }) }
            }
        }
    }

    fn raised(&self, rule: &Rule, found: Found, now: Timestamp) -> AlertChange {
        let mut alert = Alert {
            id: AlertId::new(now, self.alerting.entropy.as_ref()),
            rule: rule.name.clone(),
            subject: found.subject,
            severity: found.severity,
            what: found.what,
            next: found.next,
            waiting: found.waiting,
            since: found.since,
            opened_at: now,
            changed_at: now,
            clear_since: None,
            resolved_at: None,
            acknowledged_at: None,
            acknowledged_by: None,
            level: 0,
            told_at: now,
            relapses: 0,
            unreached: false,
        };
        let messages: Vec<NewMessage> =
            rule.to.iter().map(|contact| self.message(contact, &alert, MessageKind::Raised, now)).collect();
        // Who is asleep is not late: the time until the next contact begins when the first is told.
        alert.told_at = messages.iter().map(|message| message.due_at).min().unwrap_or(now);
        AlertChange { alert, messages, fresh: Vec::new(), farewell: None }
    }

    fn message(&self, contact: &str, alert: &Alert, kind: MessageKind, now: Timestamp) -> NewMessage {
        NewMessage {
            id: self.message_id(now),
            contact: contact.to_owned(),
            kind,
            level: alert.level,
            notice: self.notice(alert, kind),
            due_at: self.due(contact, alert.severity, now),
        }
    }

    fn message_id(&self, now: Timestamp) -> MessageId {
        MessageId::new(now, self.alerting.entropy.as_ref())
    }

    fn notice(&self, alert: &Alert, kind: MessageKind) -> String {
        let console = self.alerting.contacts.settings.public_url.as_deref();
        serde_json::to_string(&Notice::of(alert, kind, console)).expect("a notice is plain data")
    }

    fn due(&self, contact: &str, severity: Severity, now: Timestamp) -> Timestamp {
        let contact = self.alerting.contacts.settings.contacts.get(contact);
        contact.and_then(|contact| contact.quiet.as_ref()).map_or(now, |quiet| quiet.due(severity, now))
    }

    fn tell(&self, change: &AlertChange, now: Timestamp) {
        let alert = &change.alert;
        if change.farewell.is_some() {
            let lasted = now.duration_since(alert.since).try_into().unwrap_or_default();
            self.alerting.observer.note(&Event::AlertEnded { rule: &alert.rule, what: &alert.what, lasted });
        } else if alert.opened_at == now {
            self.alerting.observer.note(&Event::AlertRaised {
                rule: &alert.rule,
                severity: alert.severity.as_str(),
                what: &alert.what,
                waiting: alert.waiting,
            });
        }
    }
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    from_micros(at.as_microsecond().saturating_sub(micros))
}
