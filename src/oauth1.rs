//! OAuth 1.0a (RFC 5849) as a client: HMAC-SHA256 over method, address and parameters. Commerce lets its integrations in
//! with it, and `NetSuite` those that were made before it asked for OAuth 2.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use reqwest::Url;
use sha2::Sha256;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The four values of an integration.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OAuth1(***)")
    }
}

/// What is signed of a request: as the server that checks it normalises it.
pub struct Signed<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Scheme, host, port unless it is the scheme's own, and path.
    pub address: String,
    /// Names and values of the query, encoded.
    pub query: Vec<(String, String)>,
}

impl<'a> Signed<'a> {
    /// As RFC 5849 sections 3.4.1.2 and 3.4.1.3.1 say.
    pub fn new(method: &'a str, url: &Url) -> Self {
        let query = url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))).collect();
        Signed { method, address: format!("{}{}", origin(url), url.path()), query }
    }
}

impl Credentials {
    /// What is signed with.
    pub fn signing_key(&self) -> String {
        format!("{}&{}", encode(&self.consumer_secret), encode(&self.access_token_secret))
    }

    /// The `Authorization` header of one attempt; `nonce` is good for one attempt only, whatever becomes of it.
    pub fn header(&self, realm: Option<&str>, signed: Signed<'_>, nonce: &str, seconds: i64) -> String {
        let seconds = seconds.to_string();
        let own = [
            ("oauth_consumer_key", self.consumer_key.as_str()),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA256"),
            ("oauth_timestamp", &seconds),
            ("oauth_token", &self.access_token),
            ("oauth_version", "1.0"),
        ];
        let signature = sign(&self.signing_key(), &base_string(signed, &own));
        let realm = realm.map(|realm| format!("realm=\"{}\"", encode(realm)));
        let own = own.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value)));
        let signature = format!("oauth_signature=\"{}\"", encode(&signature));
        let parts: Vec<String> = realm.into_iter().chain(own).chain([signature]).collect();
        format!("OAuth {}", parts.join(", "))
    }
}

/// What is signed: the request and the protocol's own parameters.
pub fn base_string(signed: Signed<'_>, own: &[(&str, &str)]) -> String {
    let Signed { method, address, query: mut pairs } = signed;
    pairs.extend(own.iter().map(|(name, value)| (encode(name), encode(value))));
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}&{}&{}", method.to_ascii_uppercase(), encode(&address), encode(&pairs.join("&")))
}

/// Scheme and host, with the port unless it is the scheme's own: `Url` drops that, as servers do.
pub fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}", url.scheme())
}

/// Percent-encodes as OAuth wants it: `%20` for a space, upper-case digits.
pub fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

/// The same for what may be no text.
pub fn encode_bytes(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// HMAC-SHA256 in base64.
pub fn sign(key: &str, base: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 5849 section 3.4.1.1, without its body's parameters, which we never send.
    #[test]
    fn the_base_string_is_that_of_the_rfc() {
        let url = Url::parse("http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b").unwrap();
        let own = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
        ];
        let expected = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26\
                        oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26\
                        oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7";
        assert_eq!(base_string(Signed::new("post", &url), &own), expected);
    }

    #[test]
    fn the_header_names_its_realm_and_no_secret() {
        let credentials = Credentials {
            consumer_key: "ck".into(),
            consumer_secret: "consumer secret".into(),
            access_token: "tk".into(),
            access_token_secret: "token secret".into(),
        };
        let url =
            Url::parse("https://1234567-sb1.suitetalk.api.netsuite.com/services/rest/record/v1/salesOrder").unwrap();
        let header = credentials.header(Some("1234567_SB1"), Signed::new("POST", &url), "n0nce", 1_700_000_000);
        assert!(header.starts_with("OAuth realm=\"1234567_SB1\", oauth_consumer_key=\"ck\", "), "{header}");
        assert!(header.contains("oauth_signature_method=\"HMAC-SHA256\"") && !header.contains("secret"), "{header}");
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
