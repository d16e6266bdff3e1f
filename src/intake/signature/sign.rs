//! The other side: making each signature, for the tour, measurements and tests.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::adobe::SIGNATURE_HEADERS;
use super::schemes::standard_webhooks_key;
use crate::config::SignedBytes;

/// Header of Commerce's signature.
pub const COMMERCE_SIGNATURE: &str = "x-adobe-commerce-webhook-signature";

/// An RSA-2048 key pair that signs as a Commerce instance does.
pub struct CommerceSigner(KeyPair);

impl CommerceSigner {
    /// A new pair; takes tens of milliseconds.
    pub fn generate() -> Self {
        CommerceSigner(KeyPair::generate(KeySize::Rsa2048).expect("the cryptography library can make a key"))
    }

    /// The pair of a private key in PEM (PKCS #8), as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// It is none, in words.
    pub fn from_private_pem(pem: &str) -> Result<Self, String> {
        let body: String = pem
            .lines()
            .skip_while(|line| line.trim() != "-----BEGIN PRIVATE KEY-----")
            .skip(1)
            .take_while(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect();
        if body.is_empty() {
            return Err(
                "there is no PRIVATE KEY in it; `openssl pkcs8 -topk8 -nocrypt` turns other forms into one".to_owned()
            );
        }
        let der = STANDARD.decode(body).map_err(|_| "its base64 is damaged".to_owned())?;
        let pair = KeyPair::from_pkcs8(&der).map_err(|_| "it holds no RSA key".to_owned())?;
        Ok(CommerceSigner(pair))
    }

    /// The private half as PEM (PKCS #8), for whoever plays Commerce.
    pub fn private_key_pem(&self) -> String {
        let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&self.0);
        let der = der.expect("a key just made has an encoding");
        pem("PRIVATE KEY", der.as_ref())
    }

    /// The public half as PEM, as Commerce's configuration page shows it.
    pub fn public_key_pem(&self) -> String {
        let der = self.0.public_key().as_der().expect("a key just made has an encoding");
        pem("PUBLIC KEY", der.as_ref())
    }

    /// The header value for a body.
    pub fn sign(&self, body: &[u8], signed: SignedBytes) -> String {
        let encoded = STANDARD.encode(body);
        let message = match signed {
            SignedBytes::Base64Body => encoded.as_bytes(),
            SignedBytes::RawBody => body,
        };
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("the buffer is as long as the modulus");
        STANDARD.encode(signature)
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {what}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {what}-----\n")
}

/// Two RSA key pairs that sign as Adobe I/O does, each under the path where its public half is to be published.
pub struct AdobeSigner {
    pairs: [(String, CommerceSigner); 2],
    made: u32,
}

impl AdobeSigner {
    /// Two new pairs.
    pub fn generate() -> Self {
        let pair = |number| (key_path(number), CommerceSigner::generate());
        AdobeSigner { pairs: [pair(1), pair(2)], made: 2 }
    }

    /// What the key host serves: path and PEM of either public half.
    pub fn published(&self) -> [(String, String); 2] {
        self.pairs.each_ref().map(|(path, signer)| (path.clone(), signer.public_key_pem()))
    }

    /// Replaces the first (0) or second (1) pair by a new one under a new path; the old path.
    pub fn rotate(&mut self, which: usize) -> String {
        self.made += 1;
        let new = (key_path(self.made), CommerceSigner::generate());
        std::mem::replace(&mut self.pairs[which], new).0
    }

    /// The four headers of a push of this body.
    pub fn headers(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        let names = SIGNATURE_HEADERS.iter().zip(&self.pairs);
        let both = names.flat_map(|((signature, path), (place, signer))| {
            [(signature.as_str(), signer.sign(body, SignedBytes::RawBody)), (path.as_str(), place.clone())]
        });
        both.collect()
    }
}

/// A path of the pattern that Adobe documents.
fn key_path(number: u32) -> String {
    format!("/prod/keys/pub-key-{number:08x}-0000-4000-8000-000000000000.pem")
}

/// The value of `X-HMAC-HASH`: lower-case hex.
pub fn hmac_hex(secret: &str, body: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&hmac(secret.as_bytes(), &[body]))
}

/// The value of `webhook-signature` for one secret; `None` if the secret is not base64 after `whsec_`.
pub fn standard_webhooks(secret: &str, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let key = standard_webhooks_key(secret)?;
    let seconds = seconds.to_string();
    let digest = hmac(&key, &[id.as_bytes(), b".", seconds.as_bytes(), b".", body]);
    Some(format!("v1,{}", STANDARD.encode(digest)))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
