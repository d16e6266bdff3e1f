//! Document → sealed request: method, URL, headers without credentials, date or trace, and the very bytes.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::HttpProfile;
use crate::envelope::keys::{Digest, IdempotencyKey};
use crate::store::write::SealedRequest;

/// DESIGN 2.5.
pub const USER_AGENT: &str =
    concat!("crossdock/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// The request for one document; the body is the document itself, so the store need not keep it twice.
pub fn render(profile: &HttpProfile, url: &str, document: &Bytes, key: &IdempotencyKey) -> SealedRequest {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (profile.key_header.clone(), key.as_str().to_owned()),
        ("user-agent".to_owned(), USER_AGENT.to_owned()),
    ];
    let digest = digest("POST", url, &headers, document);
    SealedRequest {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers,
        body: document.clone(),
        digest,
        body_is_document: true,
    }
}

/// SHA-256 over method, URL, header names and values, and body, each with its length.
pub fn digest(method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    let mut add = |field: &[u8]| {
        let length = u32::try_from(field.len()).expect("documents are bounded far below 4 GiB");
        hasher.update(length.to_be_bytes());
        hasher.update(field);
    };
    add(method.as_bytes());
    add(url.as_bytes());
    for (name, value) in headers {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    add(body);
    Digest(hasher.finalize().into())
}

/// Whether these are still the bytes that were sealed (BAK-2); asked before they are sent again.
pub fn is_intact(request: &SealedRequest) -> bool {
    digest(&request.method, &request.url, &request.headers, &request.body) == request.digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::http::read::Rules;

    fn sealed() -> SealedRequest {
        let profile = HttpProfile { key_header: "idempotency-key".to_owned(), reading: Rules::default() };
        let key = IdempotencyKey::from_stored("ek1-abc");
        render(&profile, "https://erp.example.com/orders", &Bytes::from_static(b"{\"total\":\"1.10\"}"), &key)
    }

    #[test]
    fn key_5_the_sealed_request_holds_no_credential_date_or_trace() {
        let request = sealed();
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "idempotency-key", "user-agent"]);
        assert_eq!(request.headers[2].1, "crossdock/0.1");
        assert_eq!(&request.body[..], b"{\"total\":\"1.10\"}");
        assert!(request.body_is_document && is_intact(&request));
    }

    #[test]
    fn key_5_any_change_of_the_sealed_bytes_shows() {
        for change in [
            |request: &mut SealedRequest| request.method = "PUT".to_owned(),
            |request: &mut SealedRequest| request.url.push('x'),
            |request: &mut SealedRequest| request.headers[1].1.push('x'),
            |request: &mut SealedRequest| request.body = Bytes::from_static(b"{\"total\":\"1.11\"}"),
            |request: &mut SealedRequest| {
                request.headers.pop();
            },
        ] {
            let mut request = sealed();
            change(&mut request);
            assert!(!is_intact(&request));
        }
    }
}
