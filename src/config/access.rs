//! `[access]`: how people come in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::net::{Network, PlainHttp, outbound_url};
use super::problem::Complaint;
use super::read::{Field, Report, Section};
use super::secret::Secret;
use crate::access::Role;
use crate::oidc;

const MINUTE: Duration = Duration::from_mins(1);

/// How people come in (API-4).
#[derive(Clone, Debug)]
pub struct AccessSettings {
    /// `https://console.example.com`: what stands in people's browsers; `None`: the host that they call.
    pub public_origin: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Unused for so long, a session ends.
    pub session_idle: Duration,
    /// It ends then in any case.
    pub session_absolute: Duration,
    /// `[access.oidc]`: the identity provider that people sign in with.
    pub oidc: Option<OidcSettings>,
}

/// An identity provider that people sign in with (OpenID Connect).
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// What people call it.
    pub name: String,
    /// Its issuer identifier, to the letter.
    pub issuer: String,
    /// Ours.
    pub client_id: String,
    /// Ours.
    pub client_secret: Secret<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that says what somebody is: a name, or a JSON pointer.
    pub role_claim: String,
    /// Role by a value of it.
    pub role_map: BTreeMap<String, Role>,
    /// Role of whoever has none of the values.
    pub role_default: Option<Role>,
    /// Domains of the addresses that are let in, in lower case; empty: all.
    pub email_domains: Vec<String>,
    /// Whether people also sign in with passwords of our own.
    pub local_passwords: bool,
    /// Private addresses that it may live at.
    pub allow_private: Vec<Network>,
}

pub(super) fn access(mut section: Section<'_>, report: &mut Report<'_>) -> AccessSettings {
    let settings = AccessSettings {
        public_origin: section.field("public_url").and_then(|field| field.parse(report, origin)),
        trusted_proxies: match section.field("trusted_proxies") {
            None => Vec::new(),
            Some(field) => {
                let networks = field.list(true, report);
                networks.iter().filter_map(|field| field.parse(report, str::parse)).collect()
            }
        },
        session_idle: section.duration_or("session_idle", MINUTE * 30, (MINUTE, MINUTE * 60), report),
        session_absolute: section.duration_or("session_absolute", MINUTE * 480, (MINUTE * 5, MINUTE * 720), report),
        oidc: section.field("oidc").and_then(|field| oidc(&field, report)),
    };
    if settings.session_idle > settings.session_absolute {
        let place = section.place.below("session_idle");
        report.error(&place, "is longer than session_absolute", "a session ends then in any case: shorten it");
    }
    section.finish(report);
    settings
}

fn oidc(field: &Field<'_>, report: &mut Report<'_>) -> Option<OidcSettings> {
    let mut section = field.section("[access.oidc]", report)?;
    if !oidc::AVAILABLE {
        let message = "asks for sign-in with an identity provider, and this binary was built without it";
        report.error(&section.place, message, "build with --features oidc, or remove the section");
    }
    let allow_private: Vec<Network> = match section.field("allow_private") {
        None => Vec::new(),
        Some(field) => {
            let networks = field.list(true, report);
            networks.iter().filter_map(|field| field.parse(report, str::parse)).collect()
        }
    };
    let name = section.required("name", "what people call it, for the button: \"Contoso\"", report);
    let name = name.and_then(|field| field.parse(report, button));
    let issuer = section.required("issuer", "copy it from the provider's openid-configuration", report);
    let issuer = issuer.and_then(|field| field.parse(report, |text| is_issuer(text, &allow_private)));
    let client_id = section.required("client_id", "the provider's name for this application", report);
    let client_id = client_id.and_then(|field| field.text(report)).map(str::to_owned);
    let client_secret = section.required("client_secret", "the provider gives it with client_id", report);
    let client_secret = client_secret.and_then(|field| field.secret(report));
    let scopes = match section.field("scopes") {
        None => ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        Some(field) => {
            let scopes: Vec<String> = words(&field, report);
            if !scopes.iter().any(|scope| scope == "openid") {
                report.error(&field.place, "lacks openid", "add it: without it the provider says nothing of who it is");
            }
            scopes
        }
    };
    let email_domains = section.field("email_domains").map_or_else(Vec::new, |field| words(&field, report));
    let email_domains: Vec<String> = email_domains.iter().map(|domain| domain.to_lowercase()).collect();
    let local_passwords = section.boolean_or("local_passwords", true, report);
    let roles = section.required("roles", "say who may do what: roles = { claim = \"groups\", map = { … } }", report);
    let roles = roles.and_then(|field| roles_of(&field, email_domains.is_empty(), report));
    section.finish(report);
    let (role_claim, role_map, role_default) = roles?;
    Some(OidcSettings {
        name: name?,
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        scopes,
        role_claim,
        role_map,
        role_default,
        email_domains,
        local_passwords,
        allow_private,
    })
}

type Roles = (String, BTreeMap<String, Role>, Option<Role>);

fn roles_of(field: &Field<'_>, any_domain: bool, report: &mut Report<'_>) -> Option<Roles> {
    let mut section = field.section("the roles of [access.oidc]", report)?;
    let role =
        |field: &Field<'_>, report: &mut Report<'_>| field.choice(&Role::ALL.map(|role| (role.as_str(), role)), report);
    let claim = section.field("claim").and_then(|field| field.text(report)).unwrap_or_default().to_owned();
    let default = section.field("default");
    let granted = default.as_ref().and_then(|field| role(field, report));
    let mapped = section.section("map", report);
    let map: BTreeMap<String, Role> =
        mapped.entries().into_iter().filter_map(|(value, field)| Some((value, role(&field, report)?))).collect();
    if mapped.entries().is_empty() && default.is_none() {
        report.error(&section.place, "lets nobody in", "map values of a claim to roles, or name a default");
    }
    if claim.is_empty() && !mapped.entries().is_empty() {
        report.error(&section.place.below("claim"), "is missing", "name the claim that map is about, such as groups");
    }
    if let Some(field) = default.filter(|_| any_domain) {
        let message = "lets in everybody whom the provider knows";
        report.warn(&field.place, message, "right for a provider of your own people alone; else set email_domains");
    }
    section.finish(report);
    Some((claim, map, granted))
}

/// A list of words without spaces.
fn words(field: &Field<'_>, report: &mut Report<'_>) -> Vec<String> {
    let word = |text: &str| {
        if text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(Complaint::new("holds a space", "write each word as an entry of its own"));
        }
        Ok(text.to_owned())
    };
    field.list(true, report).iter().filter_map(|field| field.parse(report, word)).collect()
}

/// What stands on the button.
fn button(text: &str) -> Result<String, Complaint> {
    if text.trim() != text || text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err(Complaint::new("does not fit on a button", "write 1 to 64 characters on one line"));
    }
    Ok(text.to_owned())
}

/// An issuer is compared to the letter, so it is kept as it is written.
fn is_issuer(text: &str, allow_private: &[Network]) -> Result<String, Complaint> {
    let url = outbound_url(text, PlainHttp::Loopback)?;
    if url.scheme() == "https" {
        outbound_url(text, PlainHttp::Named(allow_private))?;
    }
    if url.query().is_some() || text.ends_with("/.well-known/openid-configuration") {
        let remedy = "write the address before /.well-known/openid-configuration";
        return Err(Complaint::new("is more than the issuer", remedy));
    }
    Ok(text.to_owned())
}

/// The origin of a page's address.
fn origin(text: &str) -> Result<String, Complaint> {
    let url = outbound_url(text, PlainHttp::Loopback)?;
    if url.path() != "/" || url.query().is_some() {
        return Err(Complaint::new("has a path", "write scheme and host alone, such as https://console.example.com"));
    }
    Ok(url.origin().ascii_serialization())
}
