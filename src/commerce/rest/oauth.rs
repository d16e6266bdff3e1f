//! OAuth 1.0a as Commerce checks it (adobe-commerce 3.2): HMAC-SHA256 over method, address and parameters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use reqwest::Url;
use sha2::Sha256;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The four values of an integration.
#[derive(Clone)]
pub struct Credentials {
    /// Names the integration.
    pub consumer_key: String,
    /// First half of the signing key.
    pub consumer_secret: String,
    /// Names the grant.
    pub access_token: String,
    /// Second half of the signing key.
    pub access_token_secret: String,
}

impl Credentials {
    /// What is signed with.
    pub fn signing_key(&self) -> String {
        format!("{}&{}", encode(&self.consumer_secret), encode(&self.access_token_secret))
    }

    /// The `Authorization` header of one attempt; `nonce` is good for one attempt only, whatever becomes of it.
    pub fn header(&self, method: &str, url: &Url, nonce: &str, seconds: i64) -> String {
        let seconds = seconds.to_string();
        let own = [
            ("oauth_consumer_key", self.consumer_key.as_str()),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA256"),
            ("oauth_timestamp", &seconds),
            ("oauth_token", &self.access_token),
            ("oauth_version", "1.0"),
        ];
        let signature = sign(&self.signing_key(), &base_string(method, url, &own));
        let mut parts: Vec<String> = own.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
        parts.push(format!("oauth_signature=\"{}\"", encode(&signature)));
        format!("OAuth {}", parts.join(", "))
    }
}

/// Percent-encodes as OAuth wants it: `%20` for a space, upper-case digits.
pub fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

fn encode_bytes(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// What is signed: the address as the server normalises it, its query and the protocol's own parameters.
pub fn base_string(method: &str, url: &Url, own: &[(&str, &str)]) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    // `Url` drops the scheme's default port, as the server does.
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let address = format!("{}://{host}{port}{}", url.scheme(), normalised(url.path()));
    let mut pairs: Vec<(String, String)> = own.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.extend(url.query().unwrap_or_default().split('&').filter_map(pair));
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}&{}&{}", method.to_ascii_uppercase(), encode(&address), encode(&pairs.join("&")))
}

/// Decoded, then encoded, so that brackets may be written either way; `+` is a plus. The server leaves out what does not
/// fall into exactly two parts at `=`.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').filter(|(_, value)| !value.contains('='))?;
    let again = |part: &str| encode_bytes(&percent_decode_str(part).collect::<Vec<u8>>());
    Some((again(name), again(value)))
}

/// What the server's URI class makes of a path before it is signed: characters that may stand in one are decoded,
/// everything else is encoded.
fn normalised(path: &str) -> String {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match escape(first, behind) {
            Some(byte) if stands_in_path(byte) => {
                decoded.push(byte);
                rest = &behind[2..];
            }
            Some(_) => {
                decoded.push(b'%');
                decoded.extend(behind[..2].to_ascii_uppercase());
                rest = &behind[2..];
            }
            None => decoded.push(first),
        }
    }
    let mut out = String::with_capacity(decoded.len());
    for (at, &byte) in decoded.iter().enumerate() {
        let stays = stands_in_path(byte) && (byte != b'%' || escape(byte, &decoded[at + 1..]).is_some());
        if stays {
            out.push(char::from(byte));
        } else {
            out.push_str(percent_encoding::percent_encode_byte(byte));
        }
    }
    out
}

/// The byte that `%XX` stands for.
fn escape(first: u8, behind: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (high, low) = (behind.first().and_then(digit)?, behind.get(1).and_then(digit)?);
    (first == b'%').then_some(high << 4 | low)
}

fn stands_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:@&=+$,/;%".contains(&byte)
}

/// HMAC-SHA256 in base64.
pub fn sign(key: &str, base: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
