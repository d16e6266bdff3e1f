//! The two key pairs that events are signed with, and every public half that was ever published. The signer is the one
//! that Adobe's own published client is asked about.

use std::collections::BTreeMap;

use crate::intake::signature::sign::AdobeSigner;

/// Key 1 and key 2, and every public key there ever was.
pub(super) struct Keys {
    signer: AdobeSigner,
    published: BTreeMap<String, String>,
    next: usize,
    /// Whether the host of the keys answers.
    pub(super) down: bool,
}

impl Keys {
    /// Two new pairs.
    pub(super) fn new() -> Keys {
        let signer = AdobeSigner::generate();
        let published = signer.published().into_iter().collect();
        Keys { signer, published, next: 0, down: false }
    }

    /// Replaces one pair, the other one the next time; a receiver can always verify one of the two.
    pub(super) fn rotate(&mut self) {
        self.signer.rotate(self.next);
        self.published.extend(self.signer.published());
        self.next = 1 - self.next;
    }

    /// The public key under this path.
    pub(super) fn pem(&self, path: &str) -> Option<&str> {
        self.published.get(path).map(String::as_str)
    }

    /// The four headers that sign `body`.
    pub(super) fn headers(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        self.signer.headers(body)
    }
}
