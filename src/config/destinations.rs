//! `[destinations.NAME]`: where documents go, and what the other side guarantees.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;
use reqwest::Url;

use super::auth::{header_name, signing_secrets};
use super::available;
use super::commerce::networks;
use super::door;
use super::limits;
use super::looking;
use super::net::{Network, PlainHttp, outbound_url};
use super::policies::{Policies, policies};
use super::read::{Field, Place, Report, Section};
use super::recipes;
use super::secret::{Secret, Secrets};
use super::shape;
use crate::destinations::tls::Tls;
use crate::destinations::tokens::Exchange;
use crate::destinations::{Account, Batch, ExistsRule, FindSettings, Limits, RecipeSettings};
use crate::intake::signature::standard_webhooks_key;
use crate::oauth1;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// RET-1: seconds after failure n.
const RETRY_SECONDS: [u64; 13] = [2, 10, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400, 86_400];

/// Which adapter speaks to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The canonical document, posted.
    Http,
    /// Starts a Patchworks flow.
    Patchworks,
    /// Calls a Patchworks flow and waits for its answer.
    PatchworksCallback,
    /// Sends to the webhook of a Patchworks flow.
    PatchworksWebhook,
    /// Writes back into a Commerce instance.
    Commerce,
    /// Microsoft Dynamics 365 Business Central.
    BusinessCentral,
    /// Oracle `NetSuite`.
    Netsuite,
    /// SAP Business One.
    SapBusinessOne,
    /// SAP S/4HANA.
    SapS4hana,
    /// Odoo.
    Odoo,
    /// `ERPNext`.
    Erpnext,
    /// Brightpearl.
    Brightpearl,
    /// `ShipHero`.
    ShipHero,
    /// Mintsoft.
    Mintsoft,
    /// Tryton, REST.
    Tryton,
    /// Tryton, JSON-RPC.
    TrytonRpc,
    /// As a recipe of the merchant's own says.
    Recipe,
    /// A file for a warehouse.
    PickList,
}

const PROFILES: [(&str, Profile); 18] = [
    ("http", Profile::Http),
    ("patchworks", Profile::Patchworks),
    ("patchworks-callback", Profile::PatchworksCallback),
    ("patchworks-webhook", Profile::PatchworksWebhook),
    ("commerce", Profile::Commerce),
    ("business-central", Profile::BusinessCentral),
    ("netsuite", Profile::Netsuite),
    ("sap-business-one", Profile::SapBusinessOne),
    ("sap-s4hana", Profile::SapS4hana),
    ("odoo", Profile::Odoo),
    ("erpnext", Profile::Erpnext),
    ("brightpearl", Profile::Brightpearl),
    ("shiphero", Profile::ShipHero),
    ("mintsoft", Profile::Mintsoft),
    ("tryton", Profile::Tryton),
    ("tryton-rpc", Profile::TrytonRpc),
    ("recipe", Profile::Recipe),
    ("pick-list", Profile::PickList),
];

impl Profile {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        let word = PROFILES.iter().find(|(_, profile)| *profile == self).map(|(word, _)| *word);
        word.expect("every profile stands in the table, a test says so")
    }
}

/// What protects a destination from a second effect (delivery-semantics section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It stores our idempotency key for that long.
    Key {
        /// Its window; never zero (RET-7).
        window: Duration,
    },
    /// It refuses a second record with the same external id.
    Unique,
    /// It can be asked by our reference.
    Find,
    /// Nothing.
    None,
}

/// Credentials we present.
#[derive(Clone, Debug)]
pub enum OutboundAuth {
    /// None.
    None,
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        token: Secret<String>,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// A fixed value in a header.
    Header {
        /// Its name.
        name: HeaderName,
        /// The value.
        value: Secret<String>,
    },
    /// Several of them.
    Headers {
        /// Names and values.
        all: Vec<(HeaderName, Secret<String>)>,
    },
    /// A member of the query.
    Query {
        /// Its name.
        name: String,
        /// The value.
        value: Secret<String>,
    },
    /// A signature of each request (OAuth 1.0a).
    OAuth1 {
        /// What is signed with.
        credentials: oauth1::Credentials,
        /// Whose door it is.
        realm: Option<String>,
    },
    /// Fetched: OAuth 2, or a login.
    Fetched(Exchange),
}

/// A signature of ours on every request.
#[derive(Clone, Debug)]
pub enum OutboundSignature {
    /// Standard Webhooks; while secrets rotate one signature per secret is sent.
    StandardWebhooks {
        /// The secrets.
        secrets: Secrets,
    },
    /// HMAC-SHA256 of the body in hex, as Patchworks reads it.
    Hmac {
        /// Header that carries it.
        header: HeaderName,
        /// The secrets; the first one signs.
        secrets: Secrets,
    },
}

/// One receiver.
#[derive(Clone, Debug)]
pub struct DestinationSettings {
    /// The configured name, part of every idempotency key.
    pub name: String,
    /// Which adapter.
    pub profile: Profile,
    /// Where requests go; absent only for profiles that take it from elsewhere.
    pub url: Option<Url>,
    /// The Commerce instance written to (profile commerce).
    pub commerce: Option<String>,
    /// What protects from a second effect.
    pub guard: Guard,
    /// How it is spoken to, where its profile is a recipe.
    pub recipe: Option<RecipeSettings>,
    /// How to look; guards `find` and `unique` need it.
    pub find: Option<FindSettings>,
    /// What it answers for a record that it has already.
    pub already_exists: Option<ExistsRule>,
    /// Our credentials.
    pub auth: OutboundAuth,
    /// Whom we believe it to be, and who we are to it.
    pub tls: Tls,
    /// Our signature.
    pub signature: Option<OutboundSignature>,
    /// Header of the idempotency key.
    pub idempotency_header: HeaderName,
    /// Private networks it may live in. Metadata addresses stay forbidden whatever stands here.
    pub allow_private: Vec<Network>,
    /// Requests at once.
    pub concurrency: u32,
    /// How often it may be called, and when not.
    pub limits: Limits,
    /// What it shares with other destinations.
    pub account: Option<Account>,
    /// A destination that every order reaches first, if it goes there at all.
    pub after: Option<String>,
    /// How many records go out together, if not each alone.
    pub batch: Option<Batch>,
    /// Until connected.
    pub connect_timeout: Duration,
    /// Until answered in full.
    pub request_timeout: Duration,
    /// Delay after failure n; one more failure than entries exhausts the retries (RET-1).
    pub retry_schedule: Vec<Duration>,
    /// Older deliveries are given up (RET-2).
    pub age_limit: Duration,
    /// The file's policies with this destination's own laid over them.
    pub policies: Policies,
}

pub(super) fn destination(
    name: String,
    mut section: Section<'_>,
    file_policies: &Section<'_>,
    accounts: &BTreeMap<String, Account>,
    report: &mut Report<'_>,
) -> Option<DestinationSettings> {
    let field = section.required("profile", "write profile = \"http\"", report)?;
    let profile = field.choice(&PROFILES, report)?;
    if let Err(complaint) = available::profile(profile) {
        report.complain(&field.place, complaint);
    }
    section.describe(format!("a destination of profile {}", profile.as_str()));
    let allow_private = networks(&mut section, report);
    let url = url(&mut section, profile, &allow_private, report);
    let commerce = commerce(&mut section, profile, report);
    let timeouts = (SECOND / 10, SECOND * 300);
    let request_timeout = section.duration_or("request_timeout", SECOND * 30, timeouts, report);
    let own = section.section("policies", report);
    let recipe = recipes::recipe(&mut section, profile, request_timeout, report);
    let guard = match &recipe {
        Some(recipe) if section.is_without("guard") => {
            let window =
                section.field("key_window").and_then(|field| field.duration((SECOND, HOUR * 24 * 400), report));
            recipes::guard(recipe, &section.place, window, report)
        }
        _ => guard(&mut section, report),
    };
    let shape = shape::shape(&mut section, report);
    let settings = DestinationSettings {
        name,
        profile,
        url,
        commerce,
        guard,
        find: looking::find(&mut section, &allow_private, guard, request_timeout, report),
        already_exists: looking::already_exists(&mut section, report),
        auth: door::auth(&mut section, report).unwrap_or(OutboundAuth::None),
        tls: door::tls(&mut section, report),
        signature: section.field("signature").and_then(|field| signature(&field, report)),
        idempotency_header: header_name(&mut section, "idempotency_header", Some("idempotency-key"), report)
            .unwrap_or(HeaderName::from_static("idempotency-key")),
        allow_private,
        concurrency: section.count_or("concurrency", 8, (1, 256), report),
        limits: limits::of_destination(&mut section, recipe.as_ref(), report),
        account: limits::account_of(&mut section, accounts, report),
        after: section.field("after").and_then(|field| field.text(report)).map(str::to_owned),
        batch: section.field("batch").and_then(|field| recipes::batch(&field, report)),
        recipe,
        connect_timeout: section.duration_or("connect_timeout", SECOND * 5, timeouts, report),
        request_timeout,
        retry_schedule: retry_schedule(&mut section, report),
        age_limit: section.duration_or("age_limit", HOUR * 168, (SECOND, HOUR * 24 * 400), report),
        policies: Policies { shape, ..policies(file_policies, Some(&own), report) },
    };
    check_guard(&section.place, &settings, report);
    shape::check(&section.place, &settings, report);
    recipes::check(&section.place, &settings, report);
    section.finish(report);
    Some(settings)
}

fn url(section: &mut Section<'_>, profile: Profile, allowed: &[Network], report: &mut Report<'_>) -> Option<Url> {
    let field = match profile {
        profile if profile != Profile::Commerce => {
            section.required("url", "name the address that documents are posted to", report)?
        }
        _ => section.field("url")?,
    };
    field.parse(report, |text| outbound_url(text, PlainHttp::Named(allowed)))
}

fn commerce(section: &mut Section<'_>, profile: Profile, report: &mut Report<'_>) -> Option<String> {
    if profile != Profile::Commerce {
        return None;
    }
    section.required("commerce", "name the Commerce instance", report)?.text(report).map(str::to_owned)
}

fn guard(section: &mut Section<'_>, report: &mut Report<'_>) -> Guard {
    let words = [
        ("key", Guard::Key { window: Duration::ZERO }),
        ("unique", Guard::Unique),
        ("find", Guard::Find),
        ("none", Guard::None),
    ];
    let guard = section.field("guard").and_then(|field| field.choice(&words, report)).unwrap_or(Guard::None);
    let window = section.field("key_window");
    match (guard, window) {
        (Guard::Key { .. }, Some(field)) => {
            let bounds = (SECOND, HOUR * 24 * 400);
            Guard::Key { window: field.duration(bounds, report).unwrap_or(SECOND) }
        }
        (Guard::Key { .. }, None) => {
            let remedy =
                "write how long the destination remembers keys, such as \"24h\"; without that use another guard";
            report.error(&section.place.below("key_window"), "is missing for guard = \"key\"", remedy);
            Guard::Key { window: SECOND }
        }
        (other, Some(field)) => {
            report.error(&field.place, "is only for guard = \"key\"", "remove it, or write guard = \"key\"");
            other
        }
        (other, None) => other,
    }
}

fn check_guard(place: &Place, settings: &DestinationSettings, report: &mut Report<'_>) {
    let looks = matches!(settings.guard, Guard::Find | Guard::Unique);
    if looks && settings.find.is_none() && settings.profile == Profile::Http {
        let remedy = "write find = { method = \"GET\", url = \"https://…?ref={{ order.increment_id }}\", reference = \"/items/0/reference\", id = \"/items/0/id\" }";
        report.error(&place.below("find"), "is missing: guards find and unique must be able to look", remedy);
    }
}

fn signature(field: &Field<'_>, report: &mut Report<'_>) -> Option<OutboundSignature> {
    let kinds = [("standard-webhooks", true), ("hmac", false)];
    let mut section = field.section("the signature of a destination", report)?;
    let standard = section.required("type", "write standard-webhooks or hmac", report)?.choice(&kinds, report)?;
    let secret = section.required("secret", "name the shared secret", report);
    let signature = if standard {
        let length = |secret: &str| standard_webhooks_key(secret).map(|key| key.len());
        let secrets = secret.map(|secret| signing_secrets(&secret, length, report));
        secrets.map(|secrets| OutboundSignature::StandardWebhooks { secrets })
    } else {
        let header = header_name(&mut section, "header", Some("x-hmac-hash"), report);
        let secrets = secret.map(|secret| signing_secrets(&secret, |secret| Some(secret.len()), report));
        header.zip(secrets).map(|(header, secrets)| OutboundSignature::Hmac { header, secrets })
    };
    section.finish(report);
    signature
}

fn retry_schedule(section: &mut Section<'_>, report: &mut Report<'_>) -> Vec<Duration> {
    let Some(field) = section.field("retry_schedule") else {
        return RETRY_SECONDS.iter().map(|seconds| Duration::from_secs(*seconds)).collect();
    };
    let items = field.list(false, report);
    if items.len() > 100 {
        report.error(&field.place, "has more than 100 entries", "shorten it");
    }
    items.iter().filter_map(|item| item.duration((SECOND / 100, HOUR * 24), report)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_its_word() {
        for (word, profile) in PROFILES {
            assert_eq!(profile.as_str(), word);
        }
    }
}
