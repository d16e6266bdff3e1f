//! Keys are derived, never random: the [`EventKey`] guards the way in, the [`IdempotencyKey`] the way out.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Of the fields joined with their lengths (DED-3): `("ab","c")` and `("a","bc")` differ.
    pub fn of_fields(fields: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for field in fields {
            let length = u32::try_from(field.len()).expect("fields are bounded by the body limit");
            hasher.update(length.to_be_bytes());
            hasher.update(field.as_bytes());
        }
        Digest(hasher.finalize().into())
    }

    /// The first half, where rows are many and a chance of one in 2^64 among billions is small enough.
    pub fn short(&self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        short
    }

    /// Lower-case hex.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.hex())
    }
}

/// Identity of an event at its origin (DED-1, DED-2): one row per key for at least 400 days.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EventKey(pub Digest);

impl EventKey {
    /// From the id the sender gave.
    pub fn explicit(origin: &str, event_id: &str) -> Self {
        EventKey(Digest::of_fields(&["id", origin, event_id]))
    }

    /// From what the event says, where the sender gives no id.
    pub fn derived(origin: &str, kind: &str, scope: &str, subject: &str, content: &Digest) -> Self {
        EventKey(Digest::of_fields(&["content", origin, kind, scope, subject, &content.hex()]))
    }
}

/// What the idempotency key is made of (delivery-semantics section 6). Nothing of the envelope, the attempt, the time
/// or the configuration is among it (KEY-1), so every way to the same effect makes the same key (KEY-4).
#[derive(Clone, Debug)]
pub struct KeyParts<'a> {
    /// Made once per store, kept in its backups.
    pub installation: &'a str,
    /// The destination's configured name.
    pub destination: &'a str,
    /// The Commerce instance, not the origin.
    pub system: &'a str,
    /// `order`, …
    pub subject_kind: &'a str,
    /// The decimal store id; empty for subjects without one.
    pub subject_scope: &'a str,
    /// `increment_id`, byte for byte.
    pub subject_id: &'a str,
    /// `order.create`, …
    pub purpose: &'a str,
    /// Empty for create; else the document number or the subject's revision.
    pub revision: &'a str,
    /// 0, raised only as KEY-3 allows.
    pub generation: u32,
}

/// The key sent to a destination: 56 characters of `[a-z0-9-]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// `"ek1-" + base32(SHA-256(join("ek1", …)))`. The subject id is its scope and its number, each with its length.
    pub fn derive(parts: &KeyParts<'_>) -> Self {
        let generation = parts.generation.to_string();
        // `subject_id` of the rule is "store scope and increment_id": joined with lengths so that no pair collides.
        let subject = format!("{}:{}{}", parts.subject_scope.len(), parts.subject_scope, parts.subject_id);
        let digest = Digest::of_fields(&[
            "ek1",
            parts.installation,
            parts.destination,
            parts.system,
            parts.subject_kind,
            &subject,
            parts.purpose,
            parts.revision,
            &generation,
        ]);
        let text = data_encoding::BASE32_NOPAD.encode(&digest.0).to_ascii_lowercase();
        IdempotencyKey(format!("ek1-{text}").into())
    }

    /// As the store keeps it.
    pub fn from_stored(text: &str) -> Self {
        IdempotencyKey(text.into())
    }

    /// The text of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>() -> KeyParts<'a> {
        KeyParts {
            installation: "inst",
            destination: "erp",
            system: "acme",
            subject_kind: "order",
            subject_scope: "1",
            subject_id: "000000042",
            purpose: "order.create",
            revision: "",
            generation: 0,
        }
    }

    #[test]
    fn key_4_the_same_effect_always_has_the_same_key() {
        let key = IdempotencyKey::derive(&parts());
        assert_eq!(key, IdempotencyKey::derive(&parts()));
        assert_eq!(key.as_str().len(), 56);
        assert!(key.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
    }

    #[test]
    fn key_fields_never_run_into_each_other() {
        let one = IdempotencyKey::derive(&KeyParts { subject_scope: "1", subject_id: "0042", ..parts() });
        let two = IdempotencyKey::derive(&KeyParts { subject_scope: "10", subject_id: "042", ..parts() });
        assert_ne!(one, two);
        assert_ne!(one, IdempotencyKey::derive(&KeyParts { generation: 1, ..parts() }));
    }

    #[test]
    fn ded_3_parts_are_joined_with_their_lengths() {
        assert_ne!(Digest::of_fields(&["ab", "c"]), Digest::of_fields(&["a", "bc"]));
    }
}
