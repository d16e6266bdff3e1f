//! The four values of an integration, and the rules by which the server checks a signed request (reference 3.2).
//!
//! The checks run in the server's own order: version, required members, key, timestamp, nonce, token, method, signature. A
//! nonce is spent before the signature is looked at, so a refused request needs a new one.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

use super::answer::Answer;
use super::tree::Tree;

/// A timestamp further ahead than this is refused; one in the past never is.
const AHEAD_SECONDS_MAX: i64 = 600;

/// Keys and tokens have this length.
const TOKEN_CHARS: usize = 32;

/// What an integration's owner is shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Consumer key, 32 characters.
    pub consumer_key: String,
    /// Consumer secret.
    pub consumer_secret: String,
    /// Access token, 32 characters; also the bearer token where that is on.
    pub token: String,
    /// Access token secret.
    pub token_secret: String,
}

impl Default for Credentials {
    /// Values for tests, of the right length.
    fn default() -> Self {
        Credentials {
            consumer_key: "standinconsumerkey00000000000001".to_owned(),
            consumer_secret: "standinconsumersecret00000000001".to_owned(),
            token: "standinaccesstoken00000000000001".to_owned(),
            token_secret: "standintokensecret00000000000001".to_owned(),
        }
    }
}

/// A request as the server sees it.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// `https` behind an offloader that says so.
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    /// Still percent-encoded.
    pub(super) path: &'a str,
    /// Still percent-encoded.
    pub(super) query: &'a str,
}

/// Verifies the header's members (without the scheme word) against `credentials`; `nonces` remembers those spent.
pub(super) fn verify(
    header: &str,
    request: &Signed<'_>,
    credentials: &Credentials,
    nonces: &mut HashSet<String>,
    now_seconds: i64,
) -> Result<(), Answer> {
    let members = members(header);
    let get = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if let Some(version) = get("oauth_version")
        && version != "1.0"
    {
        return Err(Answer::with(400, "The \"%1\" Oauth version isn't supported.", &[version]));
    }
    let need = |name: &'static str| get(name).filter(|value| !value.is_empty()).ok_or_else(|| Answer::required(name));
    let key = need("oauth_consumer_key")?;
    let signature = need("oauth_signature")?;
    let method = need("oauth_signature_method")?;
    let nonce = need("oauth_nonce")?;
    let timestamp = need("oauth_timestamp")?;
    let token = need("oauth_token")?;
    if token.len() != TOKEN_CHARS {
        return Err(Answer::message(400, "The token length is invalid. Check the length and try again."));
    }
    if key.len() != TOKEN_CHARS {
        return Err(Answer::message(401, "Consumer key is not the correct length"));
    }
    if key != credentials.consumer_key {
        return Err(Answer::message(401, "A consumer having the specified key does not exist"));
    }
    match timestamp.parse::<i64>() {
        Ok(seconds) if seconds > 0 && seconds <= now_seconds + AHEAD_SECONDS_MAX => {}
        _ => return Err(Answer::message(401, "An error occurred validating the nonce")),
    }
    if !nonces.insert(nonce.to_owned()) {
        return Err(Answer::with(401, "The nonce is already being used by the consumer with ID %1", &["3"]));
    }
    if token != credentials.token {
        return Err(Answer::message(401, "Specified token does not exist"));
    }
    if method != "HMAC-SHA256" {
        return Err(Answer::with(400, "Signature method %1 is not supported", &[method]));
    }
    let base = base_string(request, &members);
    if signature_of(&base, credentials) != signature {
        return Err(Answer::message(401, "The signature is invalid. Verify and try again."));
    }
    Ok(())
}

/// `name="value"` pairs, decoded; `realm` is not one of them.
fn members(header: &str) -> Vec<(String, String)> {
    let pairs = header.split(',').filter_map(|part| part.trim().split_once('='));
    let pairs = pairs.map(|(name, value)| (decode(name), decode(value.trim_matches('"'))));
    pairs.filter(|(name, _)| name != "realm").collect()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// RFC 3986: all but unreserved characters.
fn encode(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string()
}

fn base_string(request: &Signed<'_>, members: &[(String, String)]) -> String {
    // A pair of the query that is not exactly a name and a value is not signed.
    let query = request.query.split('&').filter_map(|pair| {
        let mut parts = pair.split('=');
        let (name, value) = (parts.next()?, parts.next()?);
        parts.next().is_none().then(|| (encode(&decode(name)), encode(&decode(value))))
    });
    let signed = members.iter().filter(|(name, _)| name != "oauth_signature");
    let mut pairs: Vec<_> = query.chain(signed.map(|(name, value)| (encode(name), encode(value)))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let host = request.host.to_ascii_lowercase();
    let default_port = if request.scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    let address = format!("{}://{host}{}", request.scheme, normalised(request.path));
    format!("{}&{}&{}", request.method, encode(&address), encode(&pairs.join("&")))
}

/// The path as the server's router rewrites it: some escapes become their character, the others stay.
fn normalised(path: &str) -> String {
    let mut out = path.to_owned();
    for (escape, plain) in [("%2D", "-"), ("%2F", "/"), ("%2B", "+"), ("%3D", "="), ("%40", "@")] {
        out = out.replace(escape, plain).replace(&escape.to_ascii_lowercase(), plain);
    }
    out
}

fn signature_of(base: &str, credentials: &Credentials) -> String {
    let key = format!("{}&{}", encode(&credentials.consumer_secret), encode(&credentials.token_secret));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length is a key");
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The one text for whoever may not: no token, an unknown one, the setting off, no such resource.
pub(super) fn unauthorized(resource: &str) -> Answer {
    let parameters = Tree::object([("resources", Tree::text(resource))]);
    Answer::error(401, "The consumer isn't authorized to access %resources.", Some(parameters))
}
