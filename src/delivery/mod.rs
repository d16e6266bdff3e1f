//! From an outbox row to a settled effect.
