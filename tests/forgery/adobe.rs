//! Adobe I/O's scheme in the matrix: its keys come from a host, here one on loopback. One of the two signatures only, so
//! that each forgery meets nothing that could excuse it.

use std::sync::{Arc, LazyLock};

use crossdock::clock::ManualClock;
use crossdock::config::AuthSetting;
use crossdock::intake::signature::adobe::{AdobeVerifier, Doubt};
use crossdock::intake::signature::sign::AdobeSigner;
use crossdock::intake::signature::{Refused, Verified};
use crossdock::observe::{Metrics, Observer};
use tokio::runtime::Runtime;

use crate::key_host::KeyHost;
use crate::{BODY, CLIENT_ID, Door, Genuine, Headers, NOW, OTHER_BODY, Spelling, at};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
pub static SIGNER: LazyLock<AdobeSigner> = LazyLock::new(AdobeSigner::generate);
pub static STRANGER: LazyLock<AdobeSigner> = LazyLock::new(AdobeSigner::generate);

/// A verifier that reads its keys where the signer published them.
pub struct AdobeDoor {
    verifier: AdobeVerifier,
    /// Kept: it serves until it is dropped.
    _host: KeyHost,
}

impl AdobeDoor {
    pub fn new() -> AdobeDoor {
        let host = RUNTIME.block_on(KeyHost::start());
        host.publishes(SIGNER.published());
        let url = reqwest::Url::parse(&host.url()).expect("an address");
        let observer = Arc::new(Observer::new(Metrics::new()));
        let clock = Arc::new(ManualClock::new(at(NOW)));
        let verifier = AdobeVerifier::new("events", CLIENT_ID, Some(&url), clock, observer).expect("a client");
        AdobeDoor { verifier, _host: host }
    }
}

impl Door for AdobeDoor {
    fn verify(
        &self,
        headers: &http::HeaderMap,
        body: bytes::Bytes,
        now: crossdock::clock::Timestamp,
    ) -> Result<Verified, Refused> {
        let verdict = RUNTIME.block_on(self.verifier.verify(headers, body, now));
        verdict.map_err(|doubt| match doubt {
            Doubt::Refused(refused) => refused,
            Doubt::Unverifiable => Refused::Missing,
        })
    }
}

fn first_pair(signer: &AdobeSigner, body: &[u8]) -> Headers {
    signer.headers(body).into_iter().take(2).map(|(name, value)| (name, value.into_bytes())).collect()
}

/// The genuine request of the matrix.
pub fn genuine() -> Genuine {
    Genuine {
        name: "adobe i/o",
        // Nothing of the file: the keys come from the host.
        auth: AuthSetting::All(Vec::new()),
        headers: first_pair(&SIGNER, BODY),
        spelling: Spelling::Exact,
        covers_body: true,
        by_stranger: first_pair(&STRANGER, BODY),
        of_other_body: Some(first_pair(&SIGNER, OTHER_BODY)),
    }
}

#[test]
fn sig_6_a_genuine_signature_of_bytes_for_somebody_else_is_refused() {
    let door = AdobeDoor::new();
    let theirs = String::from_utf8(BODY.to_vec()).unwrap().replace(CLIENT_ID, "ffffffffffffffffffffffffffffffff");
    let signed = first_pair(&SIGNER, theirs.as_bytes());
    assert_eq!(crate::ask(&door, &signed, theirs.as_bytes(), NOW), Some(Err(Refused::Recipient)));
    assert_eq!(crate::ask(&door, &genuine().headers, BODY, NOW), Some(Ok("adobe-signature")));
}
