//! Profile `http`: the canonical document, posted as JSON, answers read by their status.

pub mod read;
pub mod render;
pub mod retry_after;

/// What configuration may bend of this profile.
pub struct HttpProfile {
    /// Lower-case name of the header that carries the idempotency key.
    pub key_header: String,
    /// How answers are read.
    pub reading: read::Rules,
}
