//! OAuth 1.0a as Commerce checks it (adobe-commerce 3.2): its framework normalises the address before it signs.

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::oauth1::{self, Signed};
pub use crate::oauth1::{Credentials, encode, sign};

/// The `Authorization` header of one attempt; `nonce` is good for one attempt only, whatever becomes of it.
pub fn header(credentials: &Credentials, method: &str, url: &Url, nonce: &str, seconds: i64) -> String {
    credentials.header(None, signed(method, url), nonce, seconds)
}

/// What is signed: the address as the server normalises it, its query and the protocol's own parameters.
pub fn base_string(method: &str, url: &Url, own: &[(&str, &str)]) -> String {
    oauth1::base_string(signed(method, url), own)
}

fn signed<'a>(method: &'a str, url: &Url) -> Signed<'a> {
    let address = format!("{}{}", oauth1::origin(url), normalised(url.path()));
    Signed { method, address, query: url.query().unwrap_or_default().split('&').filter_map(pair).collect() }
}

/// Decoded, then encoded, so that brackets may be written either way; `+` is a plus. The server leaves out what does not
/// fall into exactly two parts at `=`.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').filter(|(_, value)| !value.contains('='))?;
    let again = |part: &str| oauth1::encode_bytes(&percent_decode_str(part).collect::<Vec<u8>>());
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
