//! The two key pairs that events are signed with, and the paths under which their public halves are read.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Key 1 and key 2, and every public key there ever was.
pub(super) struct Keys {
    current: [Pair; 2],
    published: BTreeMap<String, String>,
    next: usize,
    /// Whether the host of the keys answers.
    pub(super) down: bool,
}

struct Pair {
    path: String,
    key: RsaKeyPair,
}

impl Keys {
    /// Two new pairs; `name` gives each its part of the path.
    pub(super) fn new(name: &dyn Fn() -> String) -> Keys {
        let (current, mut published) = ([pair(&name()), pair(&name())], BTreeMap::new());
        published.extend(current.iter().map(|pair| (pair.path.clone(), pem(&pair.key))));
        Keys { current, published, next: 0, down: false }
    }

    /// Replaces one pair, the other one the next time; a receiver can always verify one of the two.
    pub(super) fn rotate(&mut self, name: &str) {
        let new = pair(name);
        self.published.insert(new.path.clone(), pem(&new.key));
        self.current[self.next] = new;
        self.next = 1 - self.next;
    }

    /// The public key under this path.
    pub(super) fn pem(&self, path: &str) -> Option<&str> {
        self.published.get(path).map(String::as_str)
    }

    /// The four headers that sign `body`.
    pub(super) fn headers(&self, body: &[u8]) -> [(&'static str, String); 4] {
        let [one, two] = &self.current;
        [
            ("x-adobe-digital-signature-1", one.sign(body)),
            ("x-adobe-public-key1-path", one.path.clone()),
            ("x-adobe-digital-signature-2", two.sign(body)),
            ("x-adobe-public-key2-path", two.path.clone()),
        ]
    }
}

impl Pair {
    fn sign(&self, body: &[u8]) -> String {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature)
            .expect("the buffer has the length of the modulus");
        STANDARD.encode(signature)
    }
}

fn pair(name: &str) -> Pair {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key of a usual size can be made");
    Pair { path: format!("/prod/keys/pub-key-{name}.pem"), key }
}

fn pem(key: &RsaKeyPair) -> String {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().expect("a key just made can be written");
    let text = STANDARD.encode(der.as_ref());
    let mut out = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for start in (0..text.len()).step_by(64) {
        out.push_str(&text[start..text.len().min(start + 64)]);
        out.push('\n');
    }
    out + "-----END PUBLIC KEY-----\n"
}
