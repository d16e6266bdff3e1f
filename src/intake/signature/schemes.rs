//! The six ways to prove who sends, and "all of these together".

use std::collections::BTreeSet;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use super::key::PublicKey;
use super::{Refused, TOLERANCE_SECONDS};
use crate::clock::Timestamp;
use crate::config::{AuthSetting, Dated, Secrets, SignedBytes};

/// Where Commerce puts its signature.
pub(super) const COMMERCE_SIGNATURE: HeaderName = HeaderName::from_static("x-adobe-commerce-webhook-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Signatures looked at in one header (SIG-5).
const SIGNATURES_MAX: usize = 8;

type HmacSha256 = Hmac<Sha256>;

/// What a scheme learned besides "yes".
#[derive(Default)]
pub(super) struct Proof {
    pub(super) event_id: Option<String>,
}

/// One accepted credential, ready to verify.
pub(super) enum Scheme {
    Rsa { keys: Vec<Dated<PublicKey>>, signed: SignedBytes },
    Header { name: HeaderName, values: Secrets },
    Bearer { tokens: Secrets },
    Basic { user: String, passwords: Secrets },
    Hmac { header: HeaderName, keys: Vec<Dated<HmacSha256>> },
    StandardWebhooks { keys: Vec<Dated<HmacSha256>> },
    All { members: Vec<Scheme>, name: &'static str },
}

impl Scheme {
    pub(super) fn new(setting: &AuthSetting, problems: &mut Vec<String>) -> Option<Scheme> {
        let before = problems.len();
        let scheme = match setting {
            AuthSetting::RsaSignature { public_keys, signed } => {
                Scheme::Rsa { keys: rsa_keys(public_keys, problems), signed: *signed }
            }
            AuthSetting::Header { name, values } => Scheme::Header { name: name.clone(), values: values.clone() },
            AuthSetting::Bearer { tokens } => Scheme::Bearer { tokens: tokens.clone() },
            AuthSetting::Basic { user, passwords } => {
                Scheme::Basic { user: user.clone(), passwords: passwords.clone() }
            }
            AuthSetting::Hmac { header, secrets } => Scheme::Hmac {
                header: header.clone(),
                keys: hmac_keys(secrets, |secret| Some(secret.as_bytes().to_vec()), problems),
            },
            AuthSetting::StandardWebhooks { secrets } => {
                Scheme::StandardWebhooks { keys: hmac_keys(secrets, standard_webhooks_key, problems) }
            }
            AuthSetting::All(members) => {
                let members: Vec<Scheme> = members.iter().filter_map(|member| Scheme::new(member, problems)).collect();
                // Nothing is not "all of nothing": an empty group would let everyone in.
                if members.is_empty() {
                    problems.push("all: names no credential".to_owned());
                }
                let name = joined(&members);
                Scheme::All { members, name }
            }
        };
        (problems.len() == before).then_some(scheme)
    }

    /// The word for metrics and the stored envelope.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Scheme::Rsa { .. } => "rsa-signature",
            Scheme::Header { .. } => "header",
            Scheme::Bearer { .. } => "bearer",
            Scheme::Basic { .. } => "basic",
            Scheme::Hmac { .. } => "hmac",
            Scheme::StandardWebhooks { .. } => "standard-webhooks",
            Scheme::All { name, .. } => name,
        }
    }

    /// Headers that must stand alone (SIG-3).
    pub(super) fn headers(&self) -> Vec<HeaderName> {
        match self {
            Scheme::Rsa { .. } => vec![COMMERCE_SIGNATURE],
            Scheme::Header { name, .. } => vec![name.clone()],
            Scheme::Bearer { .. } | Scheme::Basic { .. } => vec![AUTHORIZATION],
            Scheme::Hmac { header, .. } => vec![header.clone()],
            Scheme::StandardWebhooks { .. } => vec![WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE],
            Scheme::All { members, .. } => members.iter().flat_map(Scheme::headers).collect(),
        }
    }

    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Proof, Refused> {
        match self {
            Scheme::Rsa { keys, signed } => rsa(keys, *signed, value(headers, &COMMERCE_SIGNATURE)?, body, now),
            Scheme::Header { name, values } => fixed(name, values, value(headers, name)?, now),
            Scheme::Bearer { tokens } => bearer(tokens, value(headers, &AUTHORIZATION)?, now),
            Scheme::Basic { user, passwords } => basic(user, passwords, value(headers, &AUTHORIZATION)?, now),
            Scheme::Hmac { header, keys } => hmac(keys, value(headers, header)?, body, now),
            Scheme::StandardWebhooks { keys } => standard_webhooks(keys, headers, body, now),
            Scheme::All { members, .. } => all(members, headers, body, now),
        }
    }
}

fn rsa_keys(texts: &[Dated<String>], problems: &mut Vec<String>) -> Vec<Dated<PublicKey>> {
    let mut keys = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match PublicKey::parse(&text.value) {
            Ok(key) => keys.push(Dated { value: key, until: text.until }),
            Err(error) => problems.push(format!("rsa-signature: public key {} {error}", index + 1)),
        }
    }
    keys
}

fn hmac_keys(
    secrets: &Secrets,
    key: impl Fn(&str) -> Option<Vec<u8>>,
    problems: &mut Vec<String>,
) -> Vec<Dated<HmacSha256>> {
    let mut keys = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        match key(secret.value.expose()).filter(|key| !key.is_empty()) {
            Some(key) => {
                let mac = HmacSha256::new_from_slice(&key).expect("HMAC takes keys of any length");
                keys.push(Dated { value: mac, until: secret.until });
            }
            None => problems.push(format!("secret {} cannot be read", index + 1)),
        }
    }
    keys
}

/// The bytes behind a Standard Webhooks secret: base64 after `whsec_`, or the text itself.
pub fn standard_webhooks_key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

/// The names of a group, sorted and joined; kept for ever, of which there are at most 2⁶.
fn joined(members: &[Scheme]) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names: Vec<&str> = members.iter().map(Scheme::name).collect();
    names.sort_unstable();
    names.dedup();
    let name = names.join("+");
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = known.get(name.as_str()) {
        return found;
    }
    let kept: &'static str = Box::leak(name.into_boxed_str());
    known.insert(kept);
    kept
}

/// The one value of a header. That there is only one has been checked for the whole verifier.
fn value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], Refused> {
    headers.get(name).map(http::HeaderValue::as_bytes).ok_or(Refused::Missing)
}

fn text(value: &[u8]) -> Result<&str, Refused> {
    let plain = value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    std::str::from_utf8(value).ok().filter(|_| plain).ok_or(Refused::Malformed)
}

fn verdict(matched: bool) -> Result<Proof, Refused> {
    if matched { Ok(Proof::default()) } else { Err(Refused::Wrong) }
}

/// Whether one of the valid secrets equals `given`; all are compared.
fn equals_any(secrets: &Secrets, given: &[u8], now: Timestamp) -> Choice {
    let valid = secrets.iter().filter(|secret| secret.is_valid(now));
    valid.fold(Choice::from(0), |found, secret| found | secret.value.expose().as_bytes().ct_eq(given))
}

fn rsa(
    keys: &[Dated<PublicKey>],
    signed: SignedBytes,
    header: &[u8],
    body: &[u8],
    now: Timestamp,
) -> Result<Proof, Refused> {
    let signature = STANDARD.decode(text(header)?).map_err(|_| Refused::Malformed)?;
    if !keys.iter().any(|key| key.value.signature_bytes() == signature.len()) {
        return Err(Refused::Malformed);
    }
    // SIG-7: Commerce signs the base64 text of the body.
    let encoded = match signed {
        SignedBytes::Base64Body => Some(STANDARD.encode(body)),
        SignedBytes::RawBody => None,
    };
    let message = encoded.as_ref().map_or(body, |encoded| encoded.as_bytes());
    let mut matched = false;
    for key in keys.iter().filter(|key| key.is_valid(now)) {
        matched |= key.value.verifies(message, &signature);
    }
    verdict(matched)
}

fn fixed(name: &HeaderName, values: &Secrets, given: &[u8], now: Timestamp) -> Result<Proof, Refused> {
    let mut matched = equals_any(values, given, now);
    // Adobe's tables show `Bearer: <token>`; people paste it on one side and not on the other.
    if *name == AUTHORIZATION
        && let Some(token) = bearer_token(given)
    {
        for value in values.iter().filter(|value| value.is_valid(now)) {
            if let Some(expected) = bearer_token(value.value.expose().as_bytes()) {
                matched |= expected.ct_eq(token);
            }
        }
    }
    verdict(bool::from(matched))
}

fn bearer(tokens: &Secrets, given: &[u8], now: Timestamp) -> Result<Proof, Refused> {
    let token = bearer_token(given).ok_or(Refused::Malformed)?;
    verdict(bool::from(equals_any(tokens, token, now)))
}

/// What follows `Bearer ` or `Bearer: `.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let rest = after_word(value, b"bearer")?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    rest.strip_prefix(b" ").map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn after_word<'v>(value: &'v [u8], word: &[u8]) -> Option<&'v [u8]> {
    let (head, rest) = value.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

/// RFC 7617: user and password are split at the first colon. Both are compared whatever the other gave.
fn basic(user: &str, passwords: &Secrets, given: &[u8], now: Timestamp) -> Result<Proof, Refused> {
    let encoded = after_word(given, b"basic").and_then(|rest| rest.strip_prefix(b" ")).ok_or(Refused::Malformed)?;
    let pair = STANDARD.decode(encoded.trim_ascii()).map_err(|_| Refused::Malformed)?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or(Refused::Malformed)?;
    let right_user = user.as_bytes().ct_eq(&pair[..colon]);
    let right_password = equals_any(passwords, &pair[colon + 1..], now);
    verdict(bool::from(right_user & right_password))
}

fn hmac(keys: &[Dated<HmacSha256>], given: &[u8], body: &[u8], now: Timestamp) -> Result<Proof, Refused> {
    let given = text(given)?;
    let given = given.strip_prefix("sha256=").unwrap_or(given);
    let digest = match given.len() {
        64 => data_encoding::HEXLOWER_PERMISSIVE.decode(given.as_bytes()).ok(),
        44 => STANDARD.decode(given).ok().filter(|digest| digest.len() == 32),
        _ => None,
    };
    let digest = digest.ok_or(Refused::Malformed)?;
    verdict(bool::from(made_by_any(keys, &[body], &[digest], now)))
}

/// Whether one of the valid keys made one of the digests over the parts; all pairs are compared.
fn made_by_any(keys: &[Dated<HmacSha256>], parts: &[&[u8]], digests: &[Vec<u8>], now: Timestamp) -> Choice {
    let mut found = Choice::from(0);
    for key in keys.iter().filter(|key| key.is_valid(now)) {
        let mut mac = key.value.clone();
        for part in parts {
            mac.update(part);
        }
        let expected = mac.finalize().into_bytes();
        for digest in digests {
            found |= expected.as_slice().ct_eq(digest);
        }
    }
    found
}

fn standard_webhooks(
    keys: &[Dated<HmacSha256>],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Proof, Refused> {
    let id = value(headers, &WEBHOOK_ID)?;
    let timestamp = value(headers, &WEBHOOK_TIMESTAMP)?;
    let signatures = text(value(headers, &WEBHOOK_SIGNATURE)?)?;
    let id = webhook_id(id).ok_or(Refused::Malformed)?;
    let sent_at = seconds(timestamp).ok_or(Refused::Malformed)?;
    if now.as_second().checked_sub(sent_at).is_none_or(|age| age.abs() > TOLERANCE_SECONDS) {
        return Err(Refused::Stale);
    }
    let digests: Vec<Vec<u8>> = signatures
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .filter(|digest| digest.len() == 32)
        .collect();
    if digests.is_empty() {
        return Err(Refused::Malformed);
    }
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp, b".", body];
    verdict(bool::from(made_by_any(keys, &parts, &digests, now)))?;
    Ok(Proof { event_id: Some(id.to_owned()) })
}

/// Visible ASCII, 1 to 255, no full stop: the stop separates the signed parts (SIG-5).
fn webhook_id(value: &[u8]) -> Option<&str> {
    let fits = (1..=255).contains(&value.len()) && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
    std::str::from_utf8(value).ok().filter(|_| fits)
}

/// One to twelve ASCII digits, no sign (SIG-5).
fn seconds(value: &[u8]) -> Option<i64> {
    let fits = (1..=12).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| fits)?.parse().ok()
}

/// Every member is asked, so that time does not tell which one failed.
fn all(members: &[Scheme], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Proof, Refused> {
    let mut proof = Proof::default();
    let mut refused: Option<Refused> = None;
    for member in members {
        match member.verify(headers, body, now) {
            Ok(found) => proof.event_id = proof.event_id.take().or(found.event_id),
            Err(found) => refused = Some(refused.map_or(found, |known| known.min(found))),
        }
    }
    match refused {
        Some(refused) => Err(refused),
        None if members.is_empty() => Err(Refused::Missing),
        None => Ok(proof),
    }
}
