//! How a destination speaks. Every profile renders a document and reads an answer; nothing else differs.

use bytes::Bytes;

use super::http::HttpProfile;
use super::outcome::{AttemptOutcome, ResponseSeen};
use super::{Guard, http};
use crate::clock::Timestamp;
use crate::envelope::keys::IdempotencyKey;
use crate::store::write::SealedRequest;

/// The profiles we have.
pub enum Profile {
    /// Posts the canonical document as it stands.
    Http(HttpProfile),
}

impl Profile {
    /// Total and without side effects.
    pub fn render(&self, url: &str, document: &Bytes, key: &IdempotencyKey) -> SealedRequest {
        match self {
            Profile::Http(profile) => http::render::render(profile, url, document, key),
        }
    }

    /// First matching rule wins.
    pub fn read(&self, guard: Guard, response: &ResponseSeen, now: Timestamp) -> AttemptOutcome {
        match self {
            Profile::Http(profile) => http::read::read(&profile.reading, guard, response, now),
        }
    }
}
