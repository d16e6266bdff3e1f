//! When to tell a person, and whom: alerts, the messages about them, and the ping that stops when we do.
//!
//! The cast. A [`Rule`] says what is worth a message. The [`watcher`] gathers facts, [`rules`] judges them
//! against what is raised already, and alerts are written down together with the messages about them: a crash loses
//! neither, and a message is repeated under the same key rather than lost. Each contact has a [`sender`] of its own, so
//! that one that hangs delays nobody else; [`channel`] speaks to it. [`notice`] says what a message says, [`quiet`] and
//! [`silence`] are what they are called. [`dead_man`] pings an outside monitor while we are well: what a dead service
//! cannot say, its silence does.
//!
//! One message when a trouble begins and one when it is over; in between its count moves and nobody is told again, but the
//! next contact if nobody takes it. Deliberately absent: any say in what is delivered, and words of a payload or a
//! destination's answer (DAT-3).

pub mod rules;
pub mod silence;
pub mod quiet;
pub mod notice;
pub mod channel;
pub mod email;
mod watcher;
mod sender;
mod dead_man;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::clock::{SharedClock, SharedEntropy, Timestamp};
use crate::delivery::Delivery;
use crate::domain::defect::Severity;
use crate::envelope::ids::MessageId;
use crate::observe::{Health, Observer};
use crate::store::SharedStore;
use channel::{Channel, ChannelSettings, Sent};
use notice::Notice;
use quiet::QuietHours;
use rules::Rule;

/// `[alerts]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may be told, by name.
    pub contacts: BTreeMap<String, ContactSettings>,
    /// What is worth it.
    pub rules: Vec<Rule>,
    /// What is over stays open this long, so that what flaps is one alert.
    pub hold: Duration,
    /// By whose clock hours of the week are told apart.
    pub zone: TimeZone,
    /// The outside monitor that alarms when we fall silent.
    pub dead_man: Option<DeadMan>,
    /// Where people see the console.
    pub public_url: Option<String>,
}

impl Default for Settings {
    /// Nobody is told.
    fn default() -> Self {
        Settings {
            contacts: BTreeMap::new(),
            rules: Vec::new(),
            hold: Duration::from_mins(1),
            zone: TimeZone::UTC,
            dead_man: None,
            public_url: None,
        }
    }
}

/// `[alerts.contacts.NAME]`.
#[derive(Clone, Debug)]
pub struct ContactSettings {
    /// How it is told.
    pub channel: ChannelSettings,
    /// When it is not.
    pub quiet: Option<QuietHours>,
}

/// `[alerts.dead_man]`.
#[derive(Clone, Debug)]
pub struct DeadMan {
    /// What is asked; the address is the secret.
    pub way: channel::Door,
    /// How often.
    pub every: Duration,
}

/// A contact as people see it: no address that is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContactView {
    /// Configured name.
    pub name: String,
    /// `webhook`, `slack`, `teams`, `email`, `patchworks`.
    pub channel: &'static str,
    /// Where it leads, without what is secret of it.
    pub address: String,
    /// It has quiet hours, and this is one of them.
    pub quiet_now: bool,
    /// The rules that tell it at once.
    pub told_by: Vec<String>,
    /// The rules that tell it when nobody else took it.
    pub next_for: Vec<String>,
}

/// What a channel said of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// The contact.
    pub contact: String,
    /// The channel took the message.
    pub sent: bool,
    /// What it answered, or why it could not be asked.
    pub answer: String,
}

/// The contacts of a configuration, ready to be told.
pub struct Contacts {
    settings: Settings,
    channels: BTreeMap<String, Channel>,
}

impl Contacts {
    /// Checks every channel.
    ///
    /// # Errors
    /// Every problem, each with the name of its contact.
    pub fn new(settings: Settings) -> Result<Self, Vec<String>> {
        let (mut channels, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, contact) in &settings.contacts {
            match Channel::new(name, &contact.channel) {
                Ok(channel) => drop(channels.insert(name.clone(), channel)),
                Err(found) => problems.extend(found.into_iter().map(|problem| format!("contact {name}: {problem}"))),
            }
        }
        if problems.is_empty() { Ok(Contacts { settings, channels }) } else { Err(problems) }
    }

    /// Sends a message that says it is a test; `None`: nobody of that name.
    pub async fn test(&self, name: &str, id: MessageId, now: Timestamp) -> Option<Tested> {
        let channel = self.channels.get(name)?;
        let notice = Notice::test(name, now, self.settings.public_url.as_deref());
        let (sent, answer) = match channel.send(&id.to_string(), &notice, now).await {
            Sent::Accepted { answer } => (true, answer),
            Sent::Later { why, .. } | Sent::Refused { why } => (false, why),
        };
        Some(Tested { contact: name.to_owned(), sent, answer })
    }

    /// Everybody who may be told.
    pub fn views(&self, now: Timestamp) -> Vec<ContactView> {
        let rules = |who: &dyn Fn(&Rule) -> bool| -> Vec<String> {
            self.settings.rules.iter().filter(|rule| who(rule)).map(|rule| rule.name.clone()).collect()
        };
        let view = |(name, contact): (&String, &ContactSettings)| ContactView {
            name: name.clone(),
            channel: contact.channel.kind(),
            address: contact.channel.address(),
            quiet_now: contact.quiet.as_ref().is_some_and(|quiet| quiet.due(Severity::Info, now) > now),
            told_by: rules(&|rule| rule.to.contains(name)),
            next_for: rules(&|rule| rule.escalate_to.contains(name)),
        };
        self.settings.contacts.iter().map(view).collect()
    }

    /// Names.
    pub fn names(&self) -> Vec<String> {
        self.channels.keys().cloned().collect()
    }
}

/// Alerting in a running service.
pub struct Alerting {
    /// Who is told.
    pub contacts: Contacts,
    store: SharedStore,
    clock: SharedClock,
    entropy: SharedEntropy,
    observer: Arc<Observer>,
    delivery: Arc<Delivery>,
    health: Arc<Health>,
    /// Rung when something may be wrong.
    bell: Arc<Notify>,
    /// Senders are woken when messages are written.
    written: watch::Sender<u64>,
}

/// What alerting is made of.
pub struct Parts {
    /// Who is told.
    pub contacts: Contacts,
    /// Alerts, their outbox, and facts.
    pub store: SharedStore,
    /// Now.
    pub clock: SharedClock,
    /// Ids and jitter.
    pub entropy: SharedEntropy,
    /// Logs and counts.
    pub observer: Arc<Observer>,
    /// Destinations.
    pub delivery: Arc<Delivery>,
    /// Whether the service is well.
    pub health: Arc<Health>,
    /// Rung when something may be wrong.
    pub bell: Arc<Notify>,
}

impl Alerting {
    /// Ready to run.
    pub fn new(parts: Parts) -> Self {
        let Parts { contacts, store, clock, entropy, observer, delivery, health, bell } = parts;
        let (written, _) = watch::channel(0);
        Alerting { contacts, store, clock, entropy, observer, delivery, health, bell, written }
    }

    /// Nobody is to be told, and nobody waits for a ping.
    pub fn is_idle(&self) -> bool {
        self.contacts.channels.is_empty() && self.contacts.settings.dead_man.is_none()
    }

    /// Sends a message that says it is a test; `None`: nobody of that name.
    pub async fn test(&self, name: &str) -> Option<Tested> {
        let now = self.clock.now();
        self.contacts.test(name, MessageId::new(now, self.entropy.as_ref()), now).await
    }

    /// Until the service stops, or one of its parts ends, which it must not.
    pub async fn run(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let mut parts = JoinSet::new();
        if !self.contacts.channels.is_empty() {
            parts.spawn(watcher::Watcher::new(self.clone()).run(stopped.clone()));
            for name in self.contacts.names() {
                parts.spawn(sender::run(self.clone(), name, self.written.subscribe(), stopped.clone()));
            }
        }
        if let Some(dead_man) = self.contacts.settings.dead_man.clone() {
            parts.spawn(dead_man::run(self.clone(), dead_man, stopped.clone()));
        }
        while let Some(ended) = parts.join_next().await {
            if let Err(error) = ended {
                // The supervisor tells whose end it was (RUN-3).
                std::panic::resume_unwind(error.try_into_panic().unwrap_or_else(|_| Box::new("cancelled")));
            }
            if !*stopped.borrow() {
                return;
            }
        }
    }
}
