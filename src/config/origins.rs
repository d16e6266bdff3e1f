//! `[origins.NAME]`: who may send to us, and how they prove it.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;
use reqwest::Url;

use super::auth::{AUTH_REMEDY, AuthSetting, header_name, inbound};
use super::commerce::one_secret;
use super::net::{PlainHttp, outbound_url};
use super::polls::{self, PollSettings};
use super::problem::Complaint;
use super::read::{Field, Report, Section};
use super::secret::Secret;
use super::units;
use crate::clock::Rate;

/// What kind of sender an origin is: decides shapes, answers and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OriginType {
    /// Adobe Commerce's blocking webhooks.
    CommerceWebhook,
    /// Adobe I/O Events.
    CommerceEvents,
    /// A Patchworks flow.
    Patchworks,
    /// An ERP or warehouse posting by itself.
    Backoffice,
}

impl OriginType {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            OriginType::CommerceWebhook => "commerce-webhook",
            OriginType::CommerceEvents => "commerce-events",
            OriginType::Patchworks => "patchworks",
            OriginType::Backoffice => "backoffice",
        }
    }
}

/// Where documents of an origin are bound for (DESIGN 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The payload is Commerce's own and goes to the back office.
    FromCommerce,
    /// The payload tells Commerce what happened.
    ToCommerce,
}

/// What a Commerce hook is answered when its signature fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefused {
    /// 401.
    Unauthorized,
    /// 200 with `{"op":"exception"}`: stops the shopper's action whatever kind of hook it is.
    Exception,
}

/// One sender.
#[derive(Clone, Debug)]
pub struct OriginSettings {
    /// The configured name, `/in/{name}`.
    pub name: String,
    /// What kind of sender.
    pub kind: OriginType,
    /// The Commerce instance its payloads are about; a key of `Config::commerce`.
    pub commerce: String,
    /// Accepted credentials, any one suffices. Empty only for `commerce-events`, which Adobe signs, and for a back office
    /// that is only read: whatever is posted there is refused.
    pub auth: Vec<AuthSetting>,
    /// Store of payloads that name none.
    pub default_store_id: Option<u32>,
    /// Which way its invoices, shipments, credit memos and order changes go.
    pub direction: Direction,
    /// Header with the sender's own event id (patchworks, backoffice).
    pub event_id_header: Option<HeaderName>,
    /// Answer to a failed signature (commerce-webhook).
    pub on_refused: OnRefused,
    /// Whether an unverified payload is answered with success and parked (commerce-webhook, while keys are rotated).
    pub grace: bool,
    /// Our client id, which every event must name (commerce-events).
    pub client_id: Option<String>,
    /// Adobe's journal of the same registration, for what push lost (commerce-events).
    pub journal: Option<JournalSettings>,
    /// What is read out of it, where it does not send by itself (backoffice).
    pub poll: Option<PollSettings>,
    /// Where signing keys are read instead of Adobe's host (commerce-events, loopback only, for tests).
    pub key_base_url: Option<Url>,
    /// Largest body, instead of the server's.
    pub body_bytes_max: Option<u64>,
    /// How fast it may send.
    pub rate: Option<Rate>,
}

const KINDS: [(&str, OriginType); 4] = [
    ("commerce-webhook", OriginType::CommerceWebhook),
    ("commerce-events", OriginType::CommerceEvents),
    ("patchworks", OriginType::Patchworks),
    ("backoffice", OriginType::Backoffice),
];

pub(super) fn origin(name: String, mut section: Section<'_>, report: &mut Report<'_>) -> Option<OriginSettings> {
    let field = section.required("type", "name the kind of sender", report)?;
    let kind = field.choice(&KINDS, report)?;
    section.describe(format!("an origin of type {}", kind.as_str()));
    let commerce = section.required("commerce", "name the Commerce instance its payloads are about", report);
    let commerce = commerce.and_then(|field| field.text(report)).map(str::to_owned);
    let mut origin = OriginSettings {
        name,
        kind,
        commerce: commerce.unwrap_or_default(),
        auth: auth(&mut section, kind, report),
        default_store_id: section
            .field("default_store_id")
            .and_then(|field| field.count((0, u64::from(u32::MAX)), report))
            .map(|id| u32::try_from(id).expect("bounded above")),
        direction: direction(&mut section, kind, report),
        event_id_header: None,
        on_refused: OnRefused::Unauthorized,
        grace: false,
        client_id: None,
        journal: None,
        poll: None,
        key_base_url: None,
        body_bytes_max: section
            .field("body_bytes_max")
            .is_some()
            .then(|| section.bytes_or("body_bytes_max", 1 << 20, (1024, 10 << 20), report)),
        rate: section.field("rate").and_then(|field| field.parse(report, units::rate)),
    };
    match kind {
        OriginType::CommerceWebhook => hook(&mut origin, &mut section, report),
        OriginType::CommerceEvents => events(&mut origin, &mut section, report),
        OriginType::Patchworks | OriginType::Backoffice => {
            if kind == OriginType::Backoffice {
                origin.poll = section.field("poll").and_then(|field| polls::poll(&field, report));
            }
            origin.event_id_header = section
                .field("event_id_header")
                .is_some()
                .then(|| header_name(&mut section, "event_id_header", None, report))
                .flatten();
        }
    }
    section.finish(report);
    Some(origin)
}

fn auth(section: &mut Section<'_>, kind: OriginType, report: &mut Report<'_>) -> Vec<AuthSetting> {
    match section.field("auth") {
        Some(field) if kind == OriginType::CommerceEvents => {
            let remedy = "remove it: Adobe's own signature and client_id are what counts";
            report.error(&field.place, "is not used by an origin of type commerce-events", remedy);
            Vec::new()
        }
        Some(field) => inbound(&field, report),
        None => {
            let only_read = kind == OriginType::Backoffice && !section.is_without("poll");
            if kind != OriginType::CommerceEvents && !only_read {
                report.error(&section.place.below("auth"), "is missing", AUTH_REMEDY);
            }
            Vec::new()
        }
    }
}

fn direction(section: &mut Section<'_>, kind: OriginType, report: &mut Report<'_>) -> Direction {
    let words = [("from-commerce", Direction::FromCommerce), ("to-commerce", Direction::ToCommerce)];
    let default = match kind {
        OriginType::Backoffice => Direction::ToCommerce,
        OriginType::CommerceWebhook | OriginType::CommerceEvents | OriginType::Patchworks => Direction::FromCommerce,
    };
    section.field("direction").and_then(|field| field.choice(&words, report)).unwrap_or(default)
}

fn hook(origin: &mut OriginSettings, section: &mut Section<'_>, report: &mut Report<'_>) {
    let words = [("401", OnRefused::Unauthorized), ("exception", OnRefused::Exception)];
    let on_refused = section.field("on_refused").and_then(|field| field.choice(&words, report));
    origin.on_refused = on_refused.unwrap_or(OnRefused::Unauthorized);
    origin.grace = section.boolean_or("grace", false, report);
    if origin.grace {
        let place = section.place.below("grace");
        let remedy = "switch it off as soon as the new key stands in public_keys";
        report.warn(&place, "answers success to unverified payloads and parks them", remedy);
    }
}

fn events(origin: &mut OriginSettings, section: &mut Section<'_>, report: &mut Report<'_>) {
    let remedy =
        "name the client id of the Adobe Developer Console project: the signing key is shared by all customers";
    origin.client_id = section.required("client_id", remedy, report).and_then(|field| field.parse(report, client_id));
    origin.journal = section.field("journal").and_then(|field| journal(&field, report));
    origin.key_base_url = section.field("key_base_url").and_then(|field| field.parse(report, key_base_url));
}

/// The journal of a registration and how it is read.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// Its address, as the registration's page shows it.
    pub url: Url,
    /// Of the project's OAuth credential.
    pub client_secret: Secret<String>,
    /// The organisation, `…@AdobeOrg`.
    pub org_id: String,
    /// Asked for with each token.
    pub scopes: Vec<String>,
    /// From its end to the next reading.
    pub every: Duration,
    /// Where tokens are read instead of Adobe's host (loopback only, for tests).
    pub token_url: Option<Url>,
}

/// What Adobe's server-to-server credential is given for I/O events.
const JOURNAL_SCOPES: [&str; 5] =
    ["openid", "AdobeID", "read_organizations", "additional_info.projectedProductContext", "event_receiver_api"];

fn journal(field: &Field<'_>, report: &mut Report<'_>) -> Option<JournalSettings> {
    let second = Duration::from_secs(1);
    let mut section = field.section("the journal of an origin", report)?;
    let remedy = "copy the journaling endpoint from the registration's page";
    let url = section.required("url", remedy, report).and_then(|field| field.parse(report, journal_url));
    let client_secret = one_secret(&mut section, "client_secret", report);
    let org_id = section.required("org_id", "name the organisation: …@AdobeOrg", report);
    let org_id = org_id.and_then(|field| field.text(report)).map(str::to_owned);
    let scopes = match section.field("scopes") {
        None => JOURNAL_SCOPES.map(str::to_owned).to_vec(),
        Some(field) => {
            let scopes = field.list(true, report);
            scopes.iter().filter_map(|scope| scope.text(report)).map(str::to_owned).collect()
        }
    };
    let every = section.duration_or("every", second * 60, (second, second * 86_400), report);
    let token_url = section.field("token_url").and_then(|field| field.parse(report, token_url));
    section.finish(report);
    Some(JournalSettings { url: url?, client_secret: client_secret?, org_id: org_id?, scopes, every, token_url })
}

fn journal_url(text: &str) -> Result<Url, Complaint> {
    let url = outbound_url(text, PlainHttp::Loopback)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Complaint::new(
            "has a query",
            "write the journal's address without one: where to read is ours to know",
        ));
    }
    Ok(url)
}

/// As [`key_base_url`]: our secret goes to Adobe's host and to no other.
fn token_url(text: &str) -> Result<Url, Complaint> {
    on_loopback(text, "remove it: tokens are read from Adobe's host")
}

/// As the Developer Console shows it; Adobe's are 32 hexadecimal digits.
fn client_id(text: &str) -> Result<String, Complaint> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain && (8..=128).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let remedy = "copy it from the credential of the project: 8 to 128 letters, digits, hyphens and underscores";
    Err(Complaint::new("is not a client id", remedy))
}

/// SIG-6: the host of the keys is fixed; another one is a test on this machine.
fn key_base_url(text: &str) -> Result<Url, Complaint> {
    on_loopback(text, "remove it: signing keys are read from Adobe's host")
}

fn on_loopback(text: &str, remedy: &'static str) -> Result<Url, Complaint> {
    let url = outbound_url(text, PlainHttp::Loopback)?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if host == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
        return Ok(url);
    }
    Err(Complaint::new("is not on loopback", remedy))
}
