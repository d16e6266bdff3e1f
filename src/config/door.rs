//! `auth` of a destination: what we show at its door.

use std::time::Duration;

use toml::de::DeValue;

use super::auth::header_name;
use super::commerce::one_secret;
use super::destinations::OutboundAuth;
use super::read::{Field, Report, Section};
use super::recipes;
use super::secret::Secret;
use crate::destinations::tls::{ClientCertificate, Tls};
use crate::destinations::tokens::{Algorithm, Exchange, Login, OAuth2, Proof};
use crate::oauth1::Credentials;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Kind {
    Bearer,
    Basic,
    Header,
    Headers,
    Query,
    OAuth1,
    OAuth2,
    Login,
    None,
}

const KINDS: [(&str, Kind); 9] = [
    ("bearer", Kind::Bearer),
    ("basic", Kind::Basic),
    ("header", Kind::Header),
    ("headers", Kind::Headers),
    ("query", Kind::Query),
    ("oauth1", Kind::OAuth1),
    ("oauth2", Kind::OAuth2),
    ("login", Kind::Login),
    ("none", Kind::None),
];

pub(super) fn auth(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<OutboundAuth> {
    let mut section = section.field("auth")?.section("the auth of a destination", report)?;
    let words = "write bearer, basic, header, headers, query, oauth1, oauth2, login or none";
    let kind = section.required("type", words, report)?.choice(&KINDS, report)?;
    let auth = match kind {
        Kind::None => Some(OutboundAuth::None),
        Kind::Bearer => one_secret(&mut section, "token", report).map(|token| OutboundAuth::Bearer { token }),
        Kind::Basic => {
            let user = text(&mut section, "user", "name the user", report);
            let password = one_secret(&mut section, "password", report);
            user.zip(password).map(|(user, password)| OutboundAuth::Basic { user, password })
        }
        Kind::Header => header(&mut section, report).map(|(name, value)| OutboundAuth::Header { name, value }),
        Kind::Headers => headers(&mut section, report),
        Kind::Query => {
            let name = text(&mut section, "name", "name the member of the query", report);
            let value = one_secret(&mut section, "value", report);
            name.zip(value).map(|(name, value)| OutboundAuth::Query { name, value })
        }
        Kind::OAuth1 => oauth1(&mut section, report),
        Kind::OAuth2 => oauth2(&mut section, report).map(|oauth| OutboundAuth::Fetched(Exchange::OAuth2(oauth))),
        Kind::Login => login(&mut section, report).map(|login| OutboundAuth::Fetched(Exchange::Login(login))),
    };
    let auth = auth.filter(|auth| match auth {
        OutboundAuth::Fetched(exchange) => match exchange.check() {
            Ok(()) => true,
            Err(problem) => {
                report.error(&section.place, problem, "docs/destinations/README.md shows every kind of auth");
                false
            }
        },
        _ => true,
    });
    section.finish(report);
    auth
}

/// `ca` and `client_certificate`: a certificate authority of its own, and a certificate of ours.
pub(super) fn tls(section: &mut Section<'_>, report: &mut Report<'_>) -> Tls {
    let pem = |field: Field<'_>, report: &mut Report<'_>| {
        field.secret(report).map(|secret| secret.expose().clone().into_bytes())
    };
    let authorities = section.field("ca").and_then(|field| pem(field, report));
    let identity = section.field("client_certificate").and_then(|field| {
        let mut section = field.section("a client certificate", report)?;
        let chain = section.required("certificate", "write certificate = \"file:client.pem\"", report);
        let private_key = section.required("private_key", "write private_key = \"file:client.key\"", report);
        let (chain, private_key) = (pem(chain?, report), pem(private_key?, report));
        section.finish(report);
        Some(ClientCertificate { chain: chain?, private_key: private_key? })
    });
    let tls = Tls { authorities, identity };
    let given = tls.authorities.is_some() || tls.identity.is_some();
    if given && let Err(problem) = tls.check() {
        let place = section.place.below(problem.member);
        report.error(&place, problem.detail, "docs/destinations/README.md shows how certificates are named");
    }
    tls
}

fn text(section: &mut Section<'_>, name: &'static str, remedy: &str, report: &mut Report<'_>) -> Option<String> {
    section.required(name, remedy, report)?.text(report).map(str::to_owned)
}

fn header(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<(http::HeaderName, Secret<String>)> {
    let name = header_name(section, "name", None, report);
    let value = one_secret(section, "value", report);
    name.zip(value)
}

fn headers(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<OutboundAuth> {
    let remedy = "write all = [{ name = \"X-Account\", value = \"env:ACCOUNT\" }, …]";
    let fields = section.required("all", remedy, report)?.list(false, report);
    let mut all = Vec::new();
    for field in fields {
        let mut one = field.section("a header", report)?;
        all.extend(header(&mut one, report));
        one.finish(report);
    }
    Some(OutboundAuth::Headers { all })
}

fn oauth1(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<OutboundAuth> {
    let consumer_key = one_secret(section, "consumer_key", report);
    let consumer_secret = one_secret(section, "consumer_secret", report);
    let access_token = one_secret(section, "access_token", report);
    let access_token_secret = one_secret(section, "access_token_secret", report);
    let realm = section.field("realm").and_then(|field| field.text(report)).map(str::to_owned);
    let [consumer_key, consumer_secret, access_token, access_token_secret] =
        [consumer_key?, consumer_secret?, access_token?, access_token_secret?].map(|secret| secret.expose().clone());
    let credentials = Credentials { consumer_key, consumer_secret, access_token, access_token_secret };
    Some(OutboundAuth::OAuth1 { credentials, realm })
}

fn oauth2(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<OAuth2> {
    let token_url = text(section, "token_url", "name the token endpoint", report);
    let client_id = text(section, "client_id", "name the client", report);
    let scope = section.field("scope").and_then(|field| field.text(report)).unwrap_or_default().to_owned();
    let extra = section.field("extra").map(|field| members(&field, report)).unwrap_or_default();
    let places = [("body", false), ("header", true)];
    let in_header = section.field("secret_in").and_then(|field| field.choice(&places, report)).unwrap_or(false);
    let proof = match (section.field("client_secret"), section.field("private_key")) {
        (Some(secret), None) => {
            let secret = secret.secret(report)?.expose().clone();
            Some(if in_header { Proof::SecretInHeader(secret) } else { Proof::SecretInBody(secret) })
        }
        (None, Some(key)) => {
            let private_key = key.secret(report)?.expose().clone();
            let words = [("PS256", Algorithm::Ps256), ("RS256", Algorithm::Rs256), ("ES256", Algorithm::Es256)];
            let algorithm = section.field("algorithm").and_then(|field| field.choice(&words, report));
            let key_id = text(section, "key_id", "name the key as the other side knows it (kid)", report)?;
            Some(Proof::Assertion { private_key, key_id, algorithm: algorithm.unwrap_or(Algorithm::Ps256) })
        }
        (first, _) => {
            let place = first.map_or_else(|| section.place.below("client_secret"), |field| field.place);
            report.error(&place, "one of client_secret and private_key shows who we are", "name exactly one of them");
            None
        }
    };
    Some(OAuth2 { token_url: token_url?, client_id: client_id?, proof: proof?, scope, extra })
}

fn login(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Login> {
    let url = text(section, "url", "name the address of the login", report);
    let body = section.required("body", "write what the login takes, as a table", report);
    let body = body.map(|field| json(&field, report)).unwrap_or_default();
    let token = section.field("token").and_then(|field| field.text(report)).map(str::to_owned);
    let cookies = section.field("cookies").map(|field| field.list(true, report)).unwrap_or_default();
    let cookies = cookies.iter().filter_map(|field| field.text(report)).map(str::to_owned).collect();
    let mut word = |name, default: &str, report: &mut Report<'_>| {
        section.field(name).and_then(|field| field.text(report)).unwrap_or(default).to_owned()
    };
    let (header, value) = (word("header", "authorization", report), word("value", "Bearer {token}", report));
    let lifetime = section.duration_or("lifetime", SECOND * 1_200, (SECOND, SECOND * 86_400 * 30), report);
    let body = body.to_string();
    Some(Login { url: url?, body, token, cookies, header, value, lifetime })
}

/// What is written as JSON; texts that begin with `env:` or `file:` are read from there.
fn json(field: &Field<'_>, report: &mut Report<'_>) -> serde_json::Value {
    match field.value {
        DeValue::String(text) if text.starts_with("env:") || text.starts_with("file:") => {
            field.secret(report).map(|secret| secret.expose().clone().into()).unwrap_or_default()
        }
        DeValue::Array(_) => field.list(false, report).iter().map(|item| json(item, report)).collect(),
        DeValue::Table(_) => {
            let table = field.section("a table", report);
            let entries = table.map(|table| table.entries()).unwrap_or_default();
            entries.iter().map(|(name, field)| (name.clone(), json(field, report))).collect()
        }
        plain => recipes::value(plain).unwrap_or_else(|problem| {
            report.error(&field.place, problem, "write a text, a whole number, true, false, a list or a table");
            serde_json::Value::Null
        }),
    }
}

/// A table of texts; those that begin with `env:` or `file:` are read from there.
fn members(field: &Field<'_>, report: &mut Report<'_>) -> Vec<(String, String)> {
    let Some(table) = field.section("a table of texts", report) else { return Vec::new() };
    let mut members = Vec::new();
    for (name, field) in table.entries() {
        let Some(text) = field.text(report) else { continue };
        if text.starts_with("env:") || text.starts_with("file:") {
            members.extend(field.secret(report).map(|secret| (name, secret.expose().clone())));
        } else {
            members.push((name, text.to_owned()));
        }
    }
    members
}
