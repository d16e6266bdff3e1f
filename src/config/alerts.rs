//! `[alerts]`: who is told of what, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use lettre::message::Mailbox;

use super::limits::{hours, zone};
use super::load::refers;
use super::net::Network;
use super::problem::Complaint;
use super::read::{Field, NAME_REMEDY, Report, Section, is_name};
use super::units::shown;
use crate::alerting::channel::{Channel, ChannelSettings, Door, Hidden};
use crate::alerting::email::{EmailSettings, Security};
use crate::alerting::quiet::QuietHours;
use crate::alerting::rules::{Rule, Watch, usual_rules};
use crate::alerting::{ContactSettings, DeadMan, Settings};
use crate::destinations;
use crate::destinations::signing::{Signing, SigningKey};
use crate::domain::defect::Severity;
use crate::intake::signature::standard_webhooks_key;
use crate::store::running::Trouble;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

const SEVERITIES: [(&str, Severity); 4] = [
    ("info", Severity::Info),
    ("warning", Severity::Warning),
    ("error", Severity::Error),
    ("critical", Severity::Critical),
];

pub(super) fn alerts(mut section: Section<'_>, public_url: Option<String>, report: &mut Report<'_>) -> Settings {
    let zone = section.field("zone").and_then(|field| field.parse(report, zone)).unwrap_or(TimeZone::UTC);
    let said = section.named("contacts", report);
    let names: Vec<String> = said.iter().map(|(name, _)| name.clone()).collect();
    let contacts: BTreeMap<String, ContactSettings> = said
        .into_iter()
        .filter_map(|(name, section)| contact(&name, section, &zone, report).map(|contact| (name, contact)))
        .collect();
    let escalate_to = people(&mut section, "escalate_to", &names, report).unwrap_or_default();
    let escalate_after = section.duration_or("escalate_after", MINUTE * 15, (SECOND, DAY), report);
    let first = || names.iter().filter(|name| !escalate_to.contains(name)).cloned().collect();
    let to = people(&mut section, "to", &names, report).unwrap_or_else(first);
    if to.is_empty() && !names.is_empty() {
        report.error(
            &section.place.below("to"),
            "is nobody: every contact is in escalate_to",
            "name who is told first",
        );
    }
    let usual = Rule {
        name: String::new(),
        watch: Watch::Ledger,
        severity: None,
        to,
        escalate_to: escalate_to.clone(),
        escalate_after,
    };
    let rules = rules(&mut section, &usual, &names, report);
    let settings = Settings {
        contacts,
        rules,
        hold: section.duration_or("hold", MINUTE, (Duration::ZERO, DAY), report),
        zone,
        dead_man: section.field("dead_man").and_then(|field| dead_man(&field, report)),
        public_url,
    };
    section.finish(report);
    settings
}

/// Names of contacts.
fn people(
    section: &mut Section<'_>,
    name: &'static str,
    known: &[String],
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let field = section.field(name)?;
    let mut people = Vec::new();
    for one in field.list(true, report) {
        refers(&one, "contact", known, report);
        if let Some(contact) = one.text(report).filter(|contact| !people.iter().any(|known| known == contact)) {
            people.push(contact.to_owned());
        }
    }
    Some(people)
}

#[derive(Clone, Copy)]
enum Kind {
    Webhook,
    Slack,
    Teams,
    Patchworks,
    Email,
}

const KINDS: [(&str, Kind); 5] = [
    ("webhook", Kind::Webhook),
    ("slack", Kind::Slack),
    ("teams", Kind::Teams),
    ("patchworks", Kind::Patchworks),
    ("email", Kind::Email),
];

fn contact(name: &str, mut section: Section<'_>, zone: &TimeZone, report: &mut Report<'_>) -> Option<ContactSettings> {
    let before = report.problems.len();
    let kind = section.required("type", "write webhook, slack, teams, email or patchworks", report);
    let kind = kind.and_then(|field| field.choice(&KINDS, report));
    let quiet = section.field("quiet").and_then(|field| quiet(&field, zone, report));
    let channel = kind.and_then(|kind| channel(kind, &mut section, report));
    let place = section.place.clone();
    // Of what kind it is decides which keys it has.
    if kind.is_some() {
        section.finish(report);
    }
    let channel = channel?;
    if report.problems.len() == before
        && let Err(problems) = Channel::new(name, &channel)
    {
        for problem in problems {
            report.error(&place, problem, "docs/operations/alerts.md shows every kind of contact");
        }
    }
    Some(ContactSettings { channel, quiet })
}

fn channel(kind: Kind, section: &mut Section<'_>, report: &mut Report<'_>) -> Option<ChannelSettings> {
    match kind {
        Kind::Webhook => {
            let signing = signing(section, "secret", report);
            if section.is_without("secret") {
                let remedy = "write secret = \"env:ALERTS_SECRET\", at least 24 bytes or whsec_…";
                report.warn(&section.place, "has no secret: its receiver cannot tell who wrote", remedy);
            }
            Some(ChannelSettings::Webhook { door: door(section, false, report)?, signing })
        }
        Kind::Slack => Some(ChannelSettings::Slack { door: door(section, true, report)? }),
        Kind::Teams => Some(ChannelSettings::Teams { door: door(section, true, report)? }),
        Kind::Patchworks => {
            let flow = section.field("flow").and_then(|field| field.text(report)).map(str::to_owned);
            let key = section.field("key").and_then(|field| field.secret(report));
            let key = key.map(|key| Hidden(key.expose().clone()));
            if flow.is_some() && key.is_none() {
                let remedy = "write key = \"env:PATCHWORKS_KEY\", the API key that starts flows";
                report.error(&section.place.below("key"), "is missing beside flow", remedy);
            }
            let signing = section.field("hmac").map(|field| field.secrets(report)).map(|secrets| Signing::Hmac {
                header: http::HeaderName::from_static("x-hmac-hash"),
                keys: secrets
                    .iter()
                    .map(|secret| SigningKey { key: secret.value.expose().as_bytes().to_vec(), until: secret.until })
                    .collect(),
            });
            let trigger = flow.is_none();
            Some(ChannelSettings::Patchworks { door: door(section, trigger, report)?, flow, key, signing })
        }
        Kind::Email => email(section, report).map(ChannelSettings::Email),
    }
}

/// `url`, which is a secret itself where nothing else proves who calls.
fn door(section: &mut Section<'_>, secret: bool, report: &mut Report<'_>) -> Option<Door> {
    let allow_private = networks(section, report);
    let timeout = section.duration_or("timeout", SECOND * 10, (SECOND / 10, MINUTE), report);
    let field = section.required("url", "name the address", report)?;
    let url = if secret {
        field.secret(report)?.expose().clone()
    } else {
        field.public_texts(report).into_iter().next()?.value.0
    };
    Some(Door { url: Hidden(url), allow_private, timeout })
}

fn networks(section: &mut Section<'_>, report: &mut Report<'_>) -> Vec<destinations::Network> {
    let Some(field) = section.field("allow_private") else { return Vec::new() };
    let fields = field.list(true, report);
    let read = |text: &str| text.parse::<Network>();
    let networks = fields.iter().filter_map(|field| field.parse(report, read)).collect::<Vec<_>>();
    networks.iter().filter_map(|network| network.to_string().parse().ok()).collect()
}

fn signing(section: &mut Section<'_>, name: &'static str, report: &mut Report<'_>) -> Option<Signing> {
    let field = section.field(name)?;
    let mut keys = Vec::new();
    for secret in field.secrets(report) {
        match standard_webhooks_key(secret.value.expose()) {
            Some(key) if (24..=64).contains(&key.len()) => keys.push(SigningKey { key, until: secret.until }),
            Some(key) => {
                let message = format!("is {} bytes long", key.len());
                report.error(
                    &field.place,
                    message,
                    "Standard Webhooks secrets are 24 to 64 bytes, after whsec_ in base64",
                );
            }
            None => report.error(&field.place, "is not base64 after whsec_", "copy the secret whole"),
        }
    }
    Some(Signing::StandardWebhooks(keys))
}

fn email(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<EmailSettings> {
    let words = [("tls", Security::Tls), ("starttls", Security::StartTls), ("none", Security::Plain)];
    let security =
        section.field("security").and_then(|field| field.choice(&words, report)).unwrap_or(Security::StartTls);
    let usual = match security {
        Security::Tls => 465,
        Security::StartTls => 587,
        Security::Plain => 25,
    };
    let port = section.field("port").and_then(|field| field.count((1, 65_535), report));
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(usual);
    let host = section.required("host", "name the mail server", report).and_then(|field| field.text(report));
    let user = section.field("user").and_then(|field| field.text(report)).map(str::to_owned);
    let password = section.field("password").and_then(|field| field.secret(report));
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, Hidden(password.expose().clone()))),
        (None, None) => None,
        (Some(_), None) => {
            report.error(&section.place.below("password"), "is missing beside user", "name both, or neither");
            None
        }
        (None, Some(_)) => {
            report.error(&section.place.below("user"), "is missing beside password", "name both, or neither");
            None
        }
    };
    if security == Security::Plain && login.is_some() {
        let remedy = "use security = \"starttls\" or \"tls\", or leave user and password out";
        report.error(&section.place.below("security"), "is \"none\": the password would be sent in the clear", remedy);
    }
    let from = section.required("from", "name who writes, such as crossdock@example.com", report);
    let from = from.and_then(|field| mailbox(&field, report));
    let to = section.required("to", "name who is written to, such as [\"ops@example.com\"]", report);
    let to = to.map(|field| field.list(true, report)).unwrap_or_default();
    let to: Vec<Mailbox> = to.iter().filter_map(|field| mailbox(field, report)).collect();
    let authority = section.field("ca").and_then(|field| field.secret(report));
    let allow_private = networks(section, report);
    let timeout = section.duration_or("timeout", SECOND * 20, (SECOND / 10, MINUTE), report);
    if security == Security::Plain && allow_private.is_empty() {
        let remedy = "use starttls or tls, or name the server's addresses in allow_private";
        report.error(&section.place.below("security"), "is \"none\" to an address that is not named", remedy);
    }
    if to.is_empty() {
        report.error(&section.place.below("to"), "is nobody", "name at least one address");
    }
    Some(EmailSettings {
        host: host?.to_owned(),
        port,
        security,
        login,
        from: from?,
        to,
        authority: authority.map(|pem| pem.expose().clone().into_bytes()),
        allow_private,
        timeout,
    })
}

fn mailbox(field: &Field<'_>, report: &mut Report<'_>) -> Option<Mailbox> {
    field.parse(report, |text| {
        let wrong = || Complaint::new(format!("\"{}\" is no address", shown(text)), "write name@example.com");
        if text.chars().any(char::is_control) {
            return Err(wrong());
        }
        text.parse().map_err(|_| wrong())
    })
}

fn quiet(field: &Field<'_>, zone_of_all: &TimeZone, report: &mut Report<'_>) -> Option<QuietHours> {
    let mut section = field.section("quiet hours", report)?;
    let zone = section.field("zone").and_then(|field| field.parse(report, zone)).unwrap_or_else(|| zone_of_all.clone());
    let fields =
        section.required("hours", "write hours = [\"22:00-07:00\"]", report).map(|field| field.list(true, report));
    let fields = fields.unwrap_or_default();
    let hours = fields.iter().filter_map(|field| field.parse(report, |text| hours(text, &zone))).collect();
    let words = SEVERITIES.map(|(word, severity)| (word, Some(severity)));
    let words: Vec<(&str, Option<Severity>)> = words.into_iter().chain([("never", None)]).collect();
    let breaks_through = section.field("break_through").and_then(|field| field.choice(&words, report));
    section.finish(report);
    Some(QuietHours { hours, breaks_through: breaks_through.unwrap_or(Some(Severity::Critical)) })
}

fn dead_man(field: &Field<'_>, report: &mut Report<'_>) -> Option<DeadMan> {
    let mut section = field.section("a dead man's switch", report)?;
    let every = section.duration_or("every", MINUTE, (SECOND / 10, DAY), report);
    let way = door(&mut section, true, report);
    let place = section.place.clone();
    section.finish(report);
    let way = way?;
    if let Err(problems) = way.check() {
        for problem in problems {
            report.error(&place, problem, "name the address that the outside monitor gave you");
        }
    }
    Some(DeadMan { way, every })
}

fn rules(section: &mut Section<'_>, usual: &Rule, names: &[String], report: &mut Report<'_>) -> Vec<Rule> {
    let Some(field) = section.field("rules") else {
        let defaults = usual_rules().into_iter();
        return defaults
            .map(|(name, watch, severity)| Rule { name: name.into(), watch, severity, ..usual.clone() })
            .collect();
    };
    let mut known = BTreeSet::new();
    let mut rules = Vec::new();
    for item in field.list(false, report) {
        let Some(rule) = rule(&item, usual, names, report) else { continue };
        if !known.insert(rule.name.clone()) {
            report.error(&item.place.below("name"), "is the name of another rule as well", "rename one of them");
        }
        rules.push(rule);
    }
    if names.is_empty() && !rules.is_empty() {
        report.warn(&field.place, "tell nobody: there are no contacts", "add [alerts.contacts.NAME]");
    }
    rules
}

const WATCHES: [(&str, &str); 7] = [
    ("exceptions", "exceptions"),
    ("age", "age"),
    ("rate", "rate"),
    ("lag", "lag"),
    ("breaker", "breaker"),
    ("ledger", "ledger"),
    ("silence", "silence"),
];

fn rule(item: &Field<'_>, usual: &Rule, names: &[String], report: &mut Report<'_>) -> Option<Rule> {
    let mut section = item.section("a rule", report)?;
    let word = section.required("watch", "write exceptions, age, rate, lag, breaker, ledger or silence", report);
    let word = word.and_then(|field| field.choice(&WATCHES, report))?;
    section.describe(format!("a rule that watches {word}"));
    let watch = watch(word, &mut section, report);
    let usually = usual_rules().into_iter().find(|(name, ..)| *name == word).and_then(|(.., severity)| severity);
    let name = section.field("name").map(|field| {
        field.parse(report, |text| {
            if is_name(text) { Ok(text.to_owned()) } else { Err(Complaint::new("is not a name", NAME_REMEDY)) }
        })
    });
    let severity = section.field("severity").and_then(|field| field.choice(&SEVERITIES, report)).or(usually);
    let to = people(&mut section, "to", names, report).unwrap_or_else(|| usual.to.clone());
    let escalate_to = people(&mut section, "escalate_to", names, report);
    let escalate_after = section.duration_or("escalate_after", usual.escalate_after, (SECOND, DAY), report);
    section.finish(report);
    Some(Rule {
        name: name.unwrap_or_else(|| Some(word.to_owned()))?,
        watch,
        severity,
        to,
        escalate_to: escalate_to.unwrap_or_else(|| usual.escalate_to.clone()),
        escalate_after,
    })
}

fn watch(word: &str, section: &mut Section<'_>, report: &mut Report<'_>) -> Watch {
    let longer = |section: &mut Section<'_>, usual, report: &mut Report<'_>| {
        section.duration_or("longer", usual, (Duration::ZERO, DAY * 31), report)
    };
    let least = |section: &mut Section<'_>, usual, report: &mut Report<'_>| {
        section.field("at_least").and_then(|field| field.choice(&SEVERITIES, report)).unwrap_or(usual)
    };
    match word {
        "exceptions" => Watch::Exceptions { at_least: least(section, Severity::Error, report) },
        "age" => {
            let at_least = least(section, Severity::Warning, report);
            Watch::Age { longer: longer(section, DAY, report), at_least }
        }
        "rate" => Watch::Rate {
            count: section.count_or("count", 50, (1, 2_000), report).into(),
            within: section.duration_or("within", MINUTE * 10, (SECOND, DAY), report),
        },
        "lag" => Watch::Lag { longer: longer(section, MINUTE * 15, report) },
        "breaker" => {
            let words = Trouble::ALL.map(|trouble| (trouble.as_str(), trouble));
            let fields = section.field("troubles").map(|field| field.list(true, report));
            let troubles = fields.map(|fields| fields.iter().filter_map(|one| one.choice(&words, report)).collect());
            Watch::Breaker {
                longer: longer(section, Duration::ZERO, report),
                troubles: troubles.unwrap_or_else(|| vec![Trouble::Broken, Trouble::Held]),
            }
        }
        "silence" => Watch::Silence {
            longer: longer(section, MINUTE * 15, report),
            usual: section.count_or("usual", 8, (3, 10_000), report).into(),
        },
        _ => Watch::Ledger,
    }
}

#[cfg(test)]
mod tests;
