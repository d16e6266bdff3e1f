//! RSA public keys in the forms people paste them.

use std::fmt;

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Smallest modulus believed (SIG-6 names it for Adobe's keys; Commerce makes the same).
const BITS_MIN: usize = 2048;

/// An RSA public key of at least 2048 bits, parsed once.
#[derive(Clone)]
pub struct PublicKey {
    key: ParsedPublicKey,
    signature_bytes: usize,
}

impl PublicKey {
    /// Reads a PEM `SubjectPublicKeyInfo`: with real newlines, with literal `\n`, with CRLF, in quotes, or base64-encoded
    /// once more as a whole.
    ///
    /// # Errors
    /// What it is instead, in words that follow the name of the setting ("is a private key …").
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = unquoted(text).replace("\\r", "\r").replace("\\n", "\n");
        if text.contains("-----BEGIN") {
            return from_pem(&text);
        }
        let inner = STANDARD.decode(without_space(&text)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match inner {
            Some(inner) if inner.contains("-----BEGIN") => from_pem(unquoted(&inner)),
            _ => Err("is not a PEM public key (-----BEGIN PUBLIC KEY-----)".to_owned()),
        }
    }

    /// Whether this key made `signature` over `message` (PKCS#1 v1.5, SHA-256).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// Length of its signatures.
    pub(super) fn signature_bytes(&self) -> usize {
        self.signature_bytes
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({} bits)", self.signature_bytes * 8)
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).map_or(text, str::trim)
}

fn without_space(text: &str) -> String {
    text.chars().filter(|symbol| !symbol.is_ascii_whitespace()).collect()
}

fn from_pem(text: &str) -> Result<PublicKey, String> {
    let (label, after) = text
        .split_once("-----BEGIN ")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .ok_or("has a broken BEGIN line")?;
    match label {
        "PUBLIC KEY" => {}
        "RSA PUBLIC KEY" => {
            return Err("is a PKCS#1 key; convert it: openssl rsa -RSAPublicKey_in -in key.pem -pubout".to_owned());
        }
        "CERTIFICATE" => {
            return Err("is a certificate; extract its key: openssl x509 -in cert.pem -pubkey -noout".to_owned());
        }
        label if label.contains("PRIVATE KEY") => {
            return Err("is a private key, which belongs to the sender alone; use the public one and replace the pair"
                .to_owned());
        }
        _ => return Err("is not a public key".to_owned()),
    }
    let (body, rest) = after.split_once("-----END PUBLIC KEY-----").ok_or("has no END line")?;
    if !rest.trim().is_empty() {
        return Err("holds more than one key; name them as a list".to_owned());
    }
    let der = STANDARD.decode(without_space(body)).map_err(|_| "is damaged: not base64 between BEGIN and END")?;
    from_der(&der)
}

fn from_der(der: &[u8]) -> Result<PublicKey, String> {
    let refuse = |error: aws_lc_rs::error::KeyRejected| {
        if error.to_string() == "TooSmall" { too_small() } else { "is not an RSA public key".to_owned() }
    };
    let facts = PublicEncryptingKey::from_der(der).map_err(refuse)?;
    if facts.key_size_bits() < BITS_MIN {
        return Err(too_small());
    }
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(refuse)?;
    Ok(PublicKey { key, signature_bytes: facts.key_size_bytes() })
}

fn too_small() -> String {
    format!("is an RSA key of less than {BITS_MIN} bits")
}
