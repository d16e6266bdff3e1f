//! Credentials an origin may present.

use http::HeaderName;

use super::problem::Complaint;
use super::read::{Field, Report, Section};
use super::secret::{Dated, Secret, Secrets};
use crate::intake::signature::{PublicKey, standard_webhooks_key};

/// Which bytes Commerce's signature covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignedBytes {
    /// The base64 text of the body: what Commerce does.
    #[default]
    Base64Body,
    /// The body itself: for a proxy that signs.
    RawBody,
}

/// One accepted way to prove who sends. Several in a list: any one suffices.
#[derive(Clone, Debug)]
pub enum AuthSetting {
    /// Adobe Commerce's webhook signature.
    RsaSignature {
        /// PEM texts, in any of the forms people paste.
        public_keys: Vec<Dated<String>>,
        /// What is signed.
        signed: SignedBytes,
    },
    /// A fixed value in a header.
    Header {
        /// Its name.
        name: HeaderName,
        /// The valid values.
        values: Secrets,
    },
    /// `Authorization: Bearer …`.
    Bearer {
        /// The valid tokens.
        tokens: Secrets,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user, without colon.
        user: String,
        /// The valid passwords.
        passwords: Secrets,
    },
    /// HMAC-SHA256 of the body, hex or base64.
    Hmac {
        /// Header that carries it.
        header: HeaderName,
        /// The valid secrets.
        secrets: Secrets,
    },
    /// Standard Webhooks.
    StandardWebhooks {
        /// The valid secrets, `whsec_…` or raw.
        secrets: Secrets,
    },
    /// All of these together.
    All(Vec<AuthSetting>),
}

/// Reads `auth` of an origin.
pub(super) fn inbound(field: &Field<'_>, report: &mut Report<'_>) -> Vec<AuthSetting> {
    let items = field.list(true, report);
    if items.is_empty() {
        report.error(&field.place, "names no credential", AUTH_REMEDY);
    }
    items.iter().filter_map(|item| entry(item, true, report)).collect()
}

/// What to do about an origin without credentials.
pub(super) const AUTH_REMEDY: &str = "nothing is taken unverified: add { type = \"rsa-signature\" | \"header\" | \"bearer\" | \"basic\" | \"hmac\" | \"standard-webhooks\", … }";

#[derive(Clone, Copy)]
enum Kind {
    Rsa,
    Header,
    Bearer,
    Basic,
    Hmac,
    StandardWebhooks,
}

const KINDS: [(&str, Kind); 6] = [
    ("rsa-signature", Kind::Rsa),
    ("header", Kind::Header),
    ("bearer", Kind::Bearer),
    ("basic", Kind::Basic),
    ("hmac", Kind::Hmac),
    ("standard-webhooks", Kind::StandardWebhooks),
];

fn entry(item: &Field<'_>, may_group: bool, report: &mut Report<'_>) -> Option<AuthSetting> {
    let mut section = item.section("a credential", report)?;
    if let Some(group) = section.field("all") {
        section.describe("a group of credentials".to_owned());
        section.finish(report);
        return all(&group, may_group, report);
    }
    let kind = section.required("type", "name the kind of credential", report);
    let (kind, name) = kind.and_then(|kind| kind.choice(&KINDS, report).map(|found| (found, kind)))?;
    section.describe(format!("a credential of type {}", name.value.as_str().unwrap_or_default()));
    let setting = match kind {
        Kind::Rsa => rsa(&mut section, report),
        Kind::Header => header(&mut section, report),
        Kind::Bearer => static_secrets(&mut section, "token", report).map(|tokens| AuthSetting::Bearer { tokens }),
        Kind::Basic => basic(&mut section, report),
        Kind::Hmac => hmac(&mut section, report),
        Kind::StandardWebhooks => standard_webhooks(&mut section, report),
    };
    section.finish(report);
    setting
}

fn all(group: &Field<'_>, may_group: bool, report: &mut Report<'_>) -> Option<AuthSetting> {
    if !may_group {
        report.error(&group.place, "is a group within a group", "list its members in the outer one");
        return None;
    }
    let members = group.list(false, report);
    if members.is_empty() {
        report.error(&group.place, "names no credential", AUTH_REMEDY);
    }
    Some(AuthSetting::All(members.iter().filter_map(|member| entry(member, false, report)).collect()))
}

fn rsa(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<AuthSetting> {
    let keys = section.required("public_keys", "name the public key that Commerce shows", report);
    let signed = [("base64-body", SignedBytes::Base64Body), ("raw-body", SignedBytes::RawBody)];
    let signed = section.field("signed").and_then(|field| field.choice(&signed, report)).unwrap_or_default();
    let mut public_keys = Vec::new();
    for key in keys?.public_texts(report) {
        let (text, place) = key.value;
        if let Err(message) = PublicKey::parse(&text) {
            let remedy = "copy the public key again: Stores > Configuration > Adobe Services > Webhooks";
            report.error(&place, message, remedy);
        }
        public_keys.push(Dated { value: text, until: key.until });
    }
    Some(AuthSetting::RsaSignature { public_keys, signed })
}

fn header(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<AuthSetting> {
    let name = header_name(section, "name", None, report);
    let values = static_secrets(section, "value", report);
    Some(AuthSetting::Header { name: name?, values: values? })
}

fn basic(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<AuthSetting> {
    let user = section.required("user", "name the user", report);
    let user = user.and_then(|field| field.parse(report, basic_user));
    let passwords = static_secrets(section, "password", report);
    Some(AuthSetting::Basic { user: user?, passwords: passwords? })
}

/// RFC 7617 splits at the first colon, so a user cannot hold one.
fn basic_user(text: &str) -> Result<String, Complaint> {
    if text.contains(':') {
        return Err(Complaint::new("holds a colon", "user names of Basic cannot: choose another"));
    }
    Ok(text.to_owned())
}

fn hmac(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<AuthSetting> {
    let header = header_name(section, "header", Some("x-hmac-hash"), report);
    let secrets = section.required("secret", "name the shared secret", report)?;
    let secrets = signing_secrets(&secrets, |secret| Some(secret.len()), report);
    Some(AuthSetting::Hmac { header: header?, secrets })
}

fn standard_webhooks(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<AuthSetting> {
    let secrets = section.required("secret", "name the shared secret", report)?;
    let length = |secret: &str| standard_webhooks_key(secret).map(|key| key.len());
    Some(AuthSetting::StandardWebhooks { secrets: signing_secrets(&secrets, length, report) })
}

/// Secrets of a signature: 24 to 64 bytes (SIG-5).
pub(super) fn signing_secrets(
    field: &Field<'_>,
    length: impl Fn(&str) -> Option<usize>,
    report: &mut Report<'_>,
) -> Secrets {
    let secrets = field.secrets(report);
    for secret in &secrets {
        match length(secret.value.expose()) {
            Some(24..=64) => {}
            Some(found) => {
                let message = format!("is a secret of {found} bytes");
                report.error(&field.place, message, "signing secrets have 24 to 64 bytes: openssl rand -hex 24");
            }
            None => report.error(&field.place, "begins with whsec_ but is not base64 after it", "copy it again"),
        }
    }
    secrets
}

/// Secrets that are sent as they are; guessable ones warn.
fn static_secrets(section: &mut Section<'_>, name: &'static str, report: &mut Report<'_>) -> Option<Secrets> {
    let field = section.required(name, "name the secret value", report)?;
    let secrets = field.secrets(report);
    for secret in &secrets {
        check_static(&field, &secret.value, report);
    }
    (!secrets.is_empty()).then_some(secrets)
}

fn check_static(field: &Field<'_>, secret: &Secret<String>, report: &mut Report<'_>) {
    let text = secret.expose();
    if text.trim() != text || text.chars().any(char::is_control) {
        report.error(&field.place, "begins or ends with white space, or holds control characters", "remove them");
    } else if text.len() < 16 {
        report.warn(&field.place, "is shorter than 16 characters", "use a long random value: openssl rand -hex 24");
    }
}

/// The name of a header, in lower case.
pub(super) fn header_name(
    section: &mut Section<'_>,
    key: &'static str,
    default: Option<&'static str>,
    report: &mut Report<'_>,
) -> Option<HeaderName> {
    let field = match default {
        None => section.required(key, "name the header", report)?,
        Some(default) => match section.field(key) {
            None => return Some(HeaderName::from_static(default)),
            Some(field) => field,
        },
    };
    field.parse(report, |text| {
        HeaderName::from_bytes(text.as_bytes())
            .map_err(|_| Complaint::new("is not a header name", "write letters, digits and hyphens"))
    })
}
