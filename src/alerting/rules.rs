//! Facts, rules and what is raised already: what is to be raised, kept, taken up the ladder, ended. Pure.
//!
//! | an alert …                        | and the facts say     | then                                             |
//! |-----------------------------------|-----------------------|--------------------------------------------------|
//! | is not there                      | something is wrong    | raised: its contacts are told                    |
//! | is there                          | it is still wrong     | kept; its count follows without another message  |
//! | is there, nobody took it for long | it is still wrong     | the next contact is told                         |
//! | is there                          | nothing is wrong      | waits out its time                               |
//! | waits out its time                | something is wrong    | kept: it flapped                                 |
//! | waited long enough                | nothing is wrong      | over: who was told of the beginning is told      |

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::silence::Silence;
use crate::clock::{Timestamp, later};
use crate::domain::defect::{ExceptionCode, Severity};
use crate::store::alerts::{Alert, OpenCauses, OpenGroup};
use crate::store::running::Trouble;

/// Open alerts of one rule about exceptions; further causes share one, so that a broken catalogue is not five hundred
/// messages.
const CAUSES_APART: usize = 10;
/// The subject of the alert that further causes share.
const FURTHER: &str = "further causes";
/// A count that moves is written down this often.
const REWRITTEN: Duration = Duration::from_secs(5);
/// An alert that came back within the hour waits twice as long at its end, and so on up to this many doublings.
const DOUBLINGS_MAX: u32 = 5;

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Open exceptions, one alert a cause.
    Exceptions {
        /// Of this severity or worse.
        at_least: Severity,
    },
    /// Exceptions that nobody attends to, one alert a cause.
    Age {
        /// Open for longer.
        longer: Duration,
        /// Of this severity or worse.
        at_least: Severity,
    },
    /// Many exceptions in a short time, whatever their causes.
    Rate {
        /// So many …
        count: u64,
        /// … within this time.
        within: Duration,
    },
    /// Deliveries that wait too long, one alert a destination.
    Lag {
        /// The oldest has waited for longer.
        longer: Duration,
    },
    /// A destination in trouble: it broke, it is held.
    Breaker {
        /// For longer.
        longer: Duration,
        /// What counts.
        troubles: Vec<Trouble>,
    },
    /// The ledger does not add up (P2).
    Ledger,
    /// No orders, against what is usual at that hour; one alert an instance.
    Silence {
        /// For longer.
        longer: Duration,
        /// Orders that usually come in that time.
        usual: u64,
    },
}

impl Watch {
    fn troubles(&self) -> &[Trouble] {
        match self {
            Watch::Breaker { troubles, .. } => troubles,
            _ => &[],
        }
    }

    /// The word in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Watch::Exceptions { .. } => "exceptions",
            Watch::Age { .. } => "age",
            Watch::Rate { .. } => "rate",
            Watch::Lag { .. } => "lag",
            Watch::Breaker { .. } => "breaker",
            Watch::Ledger => "ledger",
            Watch::Silence { .. } => "silence",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub watch: Watch,
    /// How bad that is; of exceptions theirs counts where nothing is said.
    pub severity: Option<Severity>,
    /// Who is told at once.
    pub to: Vec<String>,
    /// Who is told next, one after the other, while nobody takes it.
    pub escalate_to: Vec<String>,
    /// How long each may take.
    pub escalate_after: Duration,
}

/// The rules of a configuration that names none.
pub fn usual_rules() -> Vec<(&'static str, Watch, Option<Severity>)> {
    let minutes = Duration::from_mins;
    vec![
        ("exceptions", Watch::Exceptions { at_least: Severity::Error }, None),
        ("age", Watch::Age { longer: Duration::from_hours(24), at_least: Severity::Warning }, Some(Severity::Warning)),
        ("rate", Watch::Rate { count: 50, within: minutes(10) }, Some(Severity::Critical)),
        ("lag", Watch::Lag { longer: minutes(15) }, Some(Severity::Error)),
        (
            "breaker",
            Watch::Breaker { longer: Duration::ZERO, troubles: vec![Trouble::Broken, Trouble::Held] },
            Some(Severity::Error),
        ),
        ("ledger", Watch::Ledger, Some(Severity::Critical)),
        ("silence", Watch::Silence { longer: minutes(15), usual: 8 }, Some(Severity::Critical)),
    ]
}

/// A destination at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationFacts {
    /// Configured name.
    pub name: String,
    /// Deliveries that wait or are under way.
    pub waiting: u64,
    /// When the oldest that waits was made.
    pub oldest: Option<Timestamp>,
    /// It is an hour when nothing is sent to it, on purpose.
    pub closed: bool,
    /// Its open incident: what it is at its worst, why, since when.
    pub trouble: Option<(Trouble, String, Timestamp)>,
}

/// Everything one look has seen.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Open exceptions by cause; `opened` is in the order of the rules that watch a rate.
    pub causes: OpenCauses,
    /// Every configured destination.
    pub destinations: Vec<DestinationFacts>,
    /// Accepted minus everything that became of it.
    pub ledger_difference: i128,
    /// Every instance with a history.
    pub silences: Vec<Silence>,
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is about.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// In a sentence without a full stop.
    pub what: String,
    /// What to do.
    pub next: String,
    /// Records that wait because of it.
    pub waiting: u64,
    /// Since when.
    pub since: Timestamp,
}

/// What is to be done about one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It begins.
    Raise {
        /// The rule's place.
        rule: usize,
        /// What is wrong.
        found: Found,
    },
    /// Its row follows the facts, without a message.
    Keep(Alert),
    /// The contact at this place of the rule's ladder is told.
    Escalate {
        /// The rule's place.
        rule: usize,
        /// The row, one level up.
        alert: Alert,
    },
    /// It is over.
    Resolve(Alert),
}

/// Judges.
pub fn decide(rules: &[Rule], facts: &Facts, open: &[Alert], hold: Duration, now: Timestamp) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let mut rates = facts.causes.opened.iter().copied();
    // What a rule tells of a destination's trouble, another need not tell as its lag.
    let covered: Vec<Trouble> = rules.iter().flat_map(|rule| rule.watch.troubles()).copied().collect();
    for (place, rule) in rules.iter().enumerate() {
        let own: HashMap<&str, &Alert> =
            open.iter().filter(|alert| alert.rule == rule.name).map(|alert| (alert.subject.as_str(), alert)).collect();
        let found = found(rule, facts, &own, &covered, &mut rates, now);
        let subjects: BTreeSet<String> = found.iter().map(|found| found.subject.clone()).collect();
        for found in found {
            match own.get(found.subject.as_str()) {
                None => decisions.push(Decision::Raise { rule: place, found }),
                Some(alert) => decisions.extend(kept(place, rule, alert, found, now)),
            }
        }
        let of_causes = matches!(rule.watch, Watch::Exceptions { .. } | Watch::Age { .. });
        // Where not every cause was told, one that is not among them may still be open.
        if of_causes && facts.causes.cut {
            continue;
        }
        let gone = own.values().filter(|alert| !subjects.contains(&alert.subject));
        let mut gone: Vec<&&Alert> = gone.collect();
        gone.sort_by_key(|alert| alert.id);
        decisions.extend(gone.into_iter().filter_map(|alert| ending(alert, hold, now)));
    }
    // A rule that is no longer configured watches over nothing.
    let known: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    let orphans = open.iter().filter(|alert| !known.contains(alert.rule.as_str()));
    decisions.extend(orphans.map(|alert| over(alert, now)));
    decisions
}

fn kept(place: usize, rule: &Rule, alert: &Alert, found: Found, now: Timestamp) -> Option<Decision> {
    let moved = alert.what != found.what || alert.waiting != found.waiting || alert.severity != found.severity;
    let flapped = alert.clear_since.is_some();
    let kept = Alert {
        severity: found.severity,
        what: found.what,
        next: found.next,
        waiting: found.waiting,
        clear_since: None,
        changed_at: now,
        ..alert.clone()
    };
    let step = usize::try_from(alert.level).unwrap_or(usize::MAX);
    let nobody_took_it = alert.unreached || later(alert.told_at, rule.escalate_after) <= now;
    if alert.acknowledged_at.is_none() && step < rule.escalate_to.len() && nobody_took_it {
        let alert = Alert { level: alert.level + 1, told_at: now, ..kept };
        return Some(Decision::Escalate { rule: place, alert });
    }
    let due = later(alert.changed_at, REWRITTEN) <= now;
    (flapped || moved && due).then_some(Decision::Keep(kept))
}

fn ending(alert: &Alert, hold: Duration, now: Timestamp) -> Option<Decision> {
    let hold = hold * 2_u32.pow(alert.relapses.min(DOUBLINGS_MAX));
    match alert.clear_since {
        Some(since) if later(since, hold) <= now => Some(over(alert, now)),
        Some(_) => None,
        None if hold.is_zero() => Some(over(alert, now)),
        None => Some(Decision::Keep(Alert { clear_since: Some(now), changed_at: now, ..alert.clone() })),
    }
}

fn over(alert: &Alert, now: Timestamp) -> Decision {
    Decision::Resolve(Alert { resolved_at: Some(now), changed_at: now, ..alert.clone() })
}

/// What is wrong by one rule.
fn found(
    rule: &Rule,
    facts: &Facts,
    own: &HashMap<&str, &Alert>,
    covered: &[Trouble],
    rates: &mut impl Iterator<Item = u64>,
    now: Timestamp,
) -> Vec<Found> {
    let severity = rule.severity.unwrap_or(Severity::Error);
    match &rule.watch {
        Watch::Exceptions { at_least } => {
            let groups = facts.causes.groups.iter().filter(|group| group.severity >= *at_least);
            of_causes(groups.collect(), own, |group| cause(group, rule.severity.unwrap_or(group.severity), ""))
        }
        Watch::Age { longer, at_least } => {
            let old = |group: &&OpenGroup| group.severity >= *at_least && later(group.oldest, *longer) <= now;
            let words = format!(", the oldest for more than {}", words(*longer));
            let groups = facts.causes.groups.iter().filter(old).collect();
            of_causes(groups, own, |group| cause(group, severity, &words))
        }
        Watch::Rate { count, within } => {
            let opened = rates.next().unwrap_or(0);
            let since = own.values().next().map_or(now, |alert| alert.since);
            let found = || Found {
                subject: "all".to_owned(),
                severity,
                what: format!("Many records fail: {opened} exceptions within {}", words(*within)),
                next: "look at the groups of exceptions; a mapping, a deployment or a destination has probably changed"
                    .to_owned(),
                waiting: facts.causes.groups.iter().map(|group| group.count).sum(),
                since,
            };
            (opened >= *count).then(found).into_iter().collect()
        }
        Watch::Lag { longer } => {
            let told =
                |one: &DestinationFacts| one.trouble.as_ref().is_some_and(|(trouble, ..)| covered.contains(trouble));
            let untold = |one: &&DestinationFacts| !one.closed && !told(one);
            let late = |one: &DestinationFacts| {
                let oldest = one.oldest.filter(|oldest| later(*oldest, *longer) <= now)?;
                Some(Found {
                    subject: one.name.clone(),
                    severity,
                    what: format!("Deliveries to {} are late by more than {}", one.name, words(*longer)),
                    next: format!("see what {} answers: crossdock incidents, or its deliveries in the API", one.name),
                    waiting: one.waiting,
                    since: oldest,
                })
            };
            facts.destinations.iter().filter(untold).filter_map(late).collect()
        }
        Watch::Breaker { longer, troubles } => {
            let troubled = |one: &DestinationFacts| {
                let (trouble, why, since) = one.trouble.as_ref()?;
                let counts = troubles.contains(trouble) && later(*since, *longer) <= now;
                counts.then(|| in_trouble(one, *trouble, why, *since, severity))
            };
            facts.destinations.iter().filter_map(troubled).collect()
        }
        Watch::Ledger => {
            let by = facts.ledger_difference;
            let since = own.values().next().map_or(now, |alert| alert.since);
            let found = || Found {
                subject: "ledger".to_owned(),
                severity,
                what: format!("The ledger differs by {by}: an accepted event is not accounted for"),
                next: "keep the store's file, run crossdock doctor --recount, and tell the vendor".to_owned(),
                waiting: 0,
                since,
            };
            (by != 0).then(found).into_iter().collect()
        }
        Watch::Silence { longer, usual } => {
            let unusual = |one: &Silence| {
                let missed = one.missed_thousandths / 1_000;
                let silent = later(one.since, *longer) <= now && missed >= *usual;
                silent.then(|| Found {
                    subject: one.system.clone(),
                    severity,
                    what: format!("No order of {} has come; about {missed} are usual in that time", one.system),
                    next: "place a test order, and see whether the shop still sends: crossdock commerce, crossdock catchup"
                        .to_owned(),
                    waiting: 0,
                    since: one.since,
                })
            };
            facts.silences.iter().filter_map(unusual).collect()
        }
    }
}

fn in_trouble(one: &DestinationFacts, trouble: Trouble, why: &str, since: Timestamp, severity: Severity) -> Found {
    let (state, next) = match trouble {
        Trouble::Broken => {
            ("does not answer as it should", "see to it that it runs; what waits goes out by itself then")
        }
        Trouble::Held => {
            ("is held", "put right what it names, then release it: POST /api/v1/destinations/NAME/release")
        }
        Trouble::Paused => ("asks us to wait", "wait, or ask its owner why it is busy"),
        Trouble::Backlog => ("takes less than comes", "ask its owner whether it may take more at a time"),
    };
    // What a destination said stays here: of a hold's reason the words before the colon are ours.
    let ours = why.split(": ").next().filter(|_| trouble == Trouble::Held);
    let why = ours.map(|why| format!(": {}", short(why))).unwrap_or_default();
    Found {
        subject: one.name.clone(),
        severity,
        what: format!("Destination {} {state}{why}", one.name),
        next: next.replace("NAME", &one.name),
        waiting: one.waiting,
        since,
    }
}

/// An alert a cause; beyond a handful the further ones share one. A cause that has its alert keeps it.
fn of_causes(
    mut groups: Vec<&OpenGroup>,
    own: &HashMap<&str, &Alert>,
    tell: impl Fn(&OpenGroup) -> Found,
) -> Vec<Found> {
    groups.sort_by(|one, other| (one.oldest, &one.fingerprint).cmp(&(other.oldest, &other.fingerprint)));
    let mut apart = own.keys().filter(|subject| **subject != FURTHER).count();
    let full_already = own.contains_key(FURTHER);
    let (mut found, mut further) = (Vec::new(), Vec::new());
    for group in groups {
        if own.contains_key(group.fingerprint.as_str()) {
            found.push(tell(group));
        } else if !full_already && apart < CAUSES_APART {
            apart += 1;
            found.push(tell(group));
        } else {
            further.push(tell(group));
        }
    }
    let worst = further.iter().map(|one| one.severity).max();
    if let (Some(severity), Some(since)) = (worst, further.iter().map(|one| one.since).min()) {
        found.push(Found {
            subject: FURTHER.to_owned(),
            severity,
            what: format!("Records wait for a person for {} further causes", further.len()),
            next: "look at the groups of exceptions: crossdock exceptions groups".to_owned(),
            waiting: further.iter().map(|one| one.waiting).sum(),
            since,
        });
    }
    found
}

fn cause(group: &OpenGroup, severity: Severity, words: &str) -> Found {
    let code: Option<ExceptionCode> = group.code.parse().ok();
    let title = code.map_or("A record needs a person", ExceptionCode::title);
    let to = group.destination.as_ref().map(|name| format!(", for {name}")).unwrap_or_default();
    let detail = if is_ours(code) { format!(": {}", short(&group.message)) } else { String::new() };
    Found {
        subject: group.fingerprint.clone(),
        severity,
        what: format!("{title}{to}{words}{detail}"),
        next: format!(
            "repair the cause, then release the group: crossdock exceptions, or POST /api/v1/exceptions/groups/{}/release",
            group.fingerprint
        ),
        waiting: group.count,
        since: group.oldest,
    }
}

/// Whether the words of such an exception are all ours: a catalogue key and a place. What a destination answered or a
/// payload said may hold a buyer's details, and stays with the record.
fn is_ours(code: Option<ExceptionCode>) -> bool {
    use ExceptionCode as Code;
    let ours = [
        Code::UnmappedSku,
        Code::UnmappedTaxCode,
        Code::UnmappedPaymentMethod,
        Code::UnmappedShippingMethod,
        Code::MissingComponent,
        Code::TotalsMismatch,
        Code::UnsupportedProductType,
        Code::StockUnknownSku,
        Code::StockUnknownSource,
    ];
    code.is_some_and(|code| ours.contains(&code))
}

/// At most two hundred characters on one line.
fn short(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.chars().count() <= 200 { line } else { line.chars().take(199).chain(['…']).collect() }
}

/// `90 s`, `15 minutes`, `24 hours`.
pub(super) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
